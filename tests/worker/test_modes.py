"""The drop-in modes: what is published in them, and what reads it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO

import pytest

from rules import Claim, ClaimError, Disposition, RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from rules.engine.record import standing
from tests.x12.writer_837 import write_837
from worker.codec import UNREADABLE, envelope, event_id_of, is_monitored, monitored, parts_of, published, shortened
from worker.history import Memory
from worker.members import Members
from worker.overrides import Override, override_event
from worker.pipeline import Limits, handle, take_override
from worker.x12 import Event, read_events
from worker.x12.export_837 import export
from worker.x12.response_277ca import acknowledgements

RULESET = RuleSet.load()
MEMBERS = Members("secret", RULESET.recognised)
NOW = datetime(2026, 8, 10, 14, 5, tzinfo=UTC)
OVERRIDE = Override("erin.example", "The payer has agreed by phone.", NOW, "claims.submitted-3-17")
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


def _memory() -> Memory:
    memory = Memory(MEMBERS, RULESET, {})
    memory.begin()
    return memory


def _claim(claim_id: str = "C1", units: str = "2") -> bytes:
    """A claim that is flagged, unless it has one unit."""
    return as_json(claim_content(claim_id=claim_id, patient_control_number="P1", lines=[a_line(units=units)])).encode()


def _status(memory: Memory, raw: bytes) -> str:
    """What is remembered of a claim."""
    key = MEMBERS.key_of_claim(Claim.from_json(raw))
    assert key is not None
    (claim,) = standing(memory.record(key))
    return claim.status


def test_in_monitor_mode_only_the_mark_is_another() -> None:
    """The decision is that of enforce mode, byte for byte, and the mark; a clean claim's is the same."""
    for units, is_flagged in (("2", True), ("1", False)):
        enforced = handle(_claim(units=units), RULESET)
        outcome = handle(_claim(units=units), RULESET, monitors=True)
        _, before = parts_of(enforced.value or b"")
        claim, decision = parts_of(outcome.value or b"")

        assert claim == _claim(units=units)
        assert decision == (monitored(before) if is_flagged else before)
        assert outcome.disposition is Disposition.CLEARED
        assert outcome.is_monitored is is_flagged


def test_in_monitor_mode_a_dead_letter_stays_one() -> None:
    """What can't be read can't go on, as nobody knows what it is."""
    assert handle(b"junk", RULESET, monitors=True).error is not None


def test_a_monitored_claim_counts_as_sent() -> None:
    """In the member's history it is received, as one that was cleared; in enforce mode it is flagged."""
    memory = _memory()
    handle(_claim(), RULESET, memory=memory, monitors=True)
    assert _status(memory, _claim()) == "received"

    memory = _memory()
    handle(_claim(), RULESET, memory=memory)
    assert _status(memory, _claim()) == "flagged"


def test_a_claim_that_was_held_back_and_comes_again_in_monitor_mode_counts_as_sent() -> None:
    """From then on, like one that was released; its release is refused."""
    memory = _memory()
    held = handle(_claim(), RULESET, memory=memory)
    again = handle(_claim(), RULESET, memory=memory, monitors=True)
    assert _status(memory, _claim()) == "received"
    assert handle(_claim(), RULESET, memory=memory, monitors=True).changes == ()

    assert len(again.changes) == 1
    refused = take_override(override_event(held.value or b"", OVERRIDE), "claims.overrides-0-1", memory)
    assert "sent on in monitor mode" in str(refused.error)


def test_a_monitored_claim_can_not_be_released() -> None:
    """It has gone on: the override is refused where it is made, and where it is read."""
    memory = _memory()
    value = handle(_claim(), RULESET, memory=memory, monitors=True).value or b""

    with pytest.raises(ClaimError, match=r"flagged\.decision\.mode: monitor; expected a claim that was held back"):
        override_event(value, OVERRIDE)
    # Its unmarked decision of a time in enforce mode does not help: it is known that the claim was sent.
    unmarked = handle(_claim(), RULESET).value or b""
    refused = take_override(override_event(unmarked, OVERRIDE), "claims.overrides-0-1", memory)
    assert "not flagged here but cleared" in str(refused.error)


def test_in_monitor_mode_a_decision_that_is_too_large_is_shortened() -> None:
    """The claim goes on, if it fits at all; the decision says how much is missing from it."""
    raw = _claim()
    enforced = handle(raw, RULESET, limits=Limits(1_048_576, len(raw) + 1_000))
    outcome = handle(raw, RULESET, limits=Limits(1_048_576, len(raw) + 1_000), monitors=True)
    claim, decision = parts_of(outcome.value or b"")
    content = json.loads(decision)

    assert enforced.error is not None
    assert claim == raw
    assert (content["disposition"], content["mode"], content["findings"]) == ("flagged", "monitor", [])
    assert content["left_out"]["findings"] == len(outcome.decision.findings if outcome.decision else ())
    assert shortened(decision) == decision
    assert handle(raw, RULESET, limits=Limits(1_048_576, len(raw)), monitors=True).error is not None


def test_a_monitored_claim_is_acknowledged_as_accepted_and_exported() -> None:
    """It has gone on, whatever the rules found; cleared and flagged record together make one answer."""
    content = claim_content(patient_control_number="P1", lines=[a_line(units="2")])
    (event,) = (each for each in read_events(BytesIO(write_837([content]).encode())) if isinstance(each, Event))
    decided = json.loads(handle(event.raw, RULESET, monitors=True).value or b"")
    answered = acknowledgements([decided, decided], at=NOW, control_number=1)
    exported = export([decided], at=NOW, control_number=1)

    assert b"STC*A1:20" in answered.files[0].content
    assert b"STC*A7" not in answered.files[0].content
    assert answered.repeated == 1
    assert [file.claims for file in exported.files] == [1]
