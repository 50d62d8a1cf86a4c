"""The drop-in modes: what is published in them, and what reads it."""

from __future__ import annotations

import pytest

from worker.codec import UNREADABLE, envelope, event_id_of, is_monitored, monitored, published

CLAIM, DECISION = b' {"claim_id": "C1"} ', b'{"claim_id":"C1","disposition":"flagged"}'


def test_a_record_is_read_in_either_format() -> None:
    """Claim, decision and id come out the same, whichever way they stand in the record."""
    in_envelope = published(envelope(CLAIM, DECISION), [("ce_id", b"t-0-5"), ("mine", None)])
    as_it_came = published(
        CLAIM, [("ce_id", b"theirs"), ("claimscrub_id", b"t-0-5"), ("claimscrub_decision", DECISION)]
    )

    assert in_envelope == as_it_came == (CLAIM, DECISION, "t-0-5")


def test_of_repeated_headers_the_last_is_ours() -> None:
    """A claim that went through another such stage before has its headers in front of ours."""
    headers = [
        *(("claimscrub_id", b"before"), ("claimscrub_decision", b"{}"), ("claimscrub_mode", b"monitor")),
        *(("claimscrub_id", b"t-0-5"), ("claimscrub_decision", DECISION)),
    ]

    assert published(CLAIM, headers) == (CLAIM, DECISION, "t-0-5")


@pytest.mark.parametrize("value", [b"", b"{}", CLAIM, b'{"claim":{},"decision":{}} '])
def test_what_is_neither_is_refused(value: bytes) -> None:
    """A record without the decision's header that is no envelope is not taken for one."""
    with pytest.raises(UNREADABLE):
        published(value, [("ce_id", b"t-0-5")])


def test_a_monitored_decision_says_so() -> None:
    """The mark stands at the end of the decision, and in a header of its own."""
    assert monitored(DECISION) == b'{"claim_id":"C1","disposition":"flagged","mode":"monitor"}'
    assert is_monitored({"claimscrub_mode": b"monitor"})
    assert not is_monitored({"claimscrub_mode": None})
    assert event_id_of({}) == ""
