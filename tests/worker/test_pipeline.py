"""From bytes to what is published: envelopes, dead letters, and the limits between them."""

from __future__ import annotations

import json
from datetime import date
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import Claim, ClaimError, Disposition, RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from worker.codec import cloud_event_headers
from worker.deadletter import DeadLetterFloodError, DeadLetterLimit, error_headers
from worker.history import Memory
from worker.members import Members, partition_of
from worker.pipeline import Limits, Outcome, handle, input_digest, take_status, utc_date

RULESET = RuleSet.load()
CLEAN = as_json(claim_content()).encode()
MEMBERS = Members("secret", RULESET.recognised)
DAY = 86_400_000
RECEIVED = 1_786_000_000_000


def test_an_envelope_holds_the_claims_own_bytes_and_the_decision() -> None:
    """The claim is spliced in byte for byte, whatever its spacing, and the whole is JSON."""
    raw = b'  {"odd" :  "spacing\\u00e9",\n' + CLEAN[1:] + b"\n"
    outcome = handle(raw, RULESET)

    assert outcome.value is not None
    assert raw in outcome.value
    content = json.loads(outcome.value)
    assert content["claim"]["claim_id"] == content["decision"]["claim_id"] == "EXAMPLE-1"
    assert content["decision"]["input_digest"] == input_digest(raw)
    assert content["decision"]["rule_set"] == {"version": RULESET.version, "digest": RULESET.digest}


@pytest.mark.parametrize("size", [0, 1, 2_047, 2_048, 10_000])
def test_the_identity_of_an_event_is_the_digest_of_its_bytes(size: int) -> None:
    """However many there are; anybody can check it."""
    raw = bytes(number % 251 for number in range(size))

    assert input_digest(raw) == f"sha256:{sha256(raw).hexdigest()}"


def test_a_flagged_claim_says_why_where_and_what_to_do() -> None:
    """Each finding has rule, severity, likely denial, line, field, message, remedy and citations."""
    outcome = handle(as_json(claim_content(lines=[a_line(units="2")])).encode(), RULESET)
    findings = json.loads(outcome.value or b"")["decision"]["findings"]
    (finding,) = [each for each in findings if each["rule_id"] == "UNT001"]

    assert outcome.disposition is Disposition.FLAGGED
    assert (finding["severity"], finding["carc"], finding["rarc"], finding["group"]) == ("error", "151", "N362", "CO")
    assert (finding["line"], finding["field"], finding["location"]) == (1, "lines[0].units", "2400 SV104")
    assert "2 units" in finding["message"]
    assert finding["remedy"]
    assert {"key", "publisher", "title", "edition", "url"} == set(finding["citations"][0])


def test_the_same_event_gives_the_same_bytes() -> None:
    """A redelivered event is answered with the very same bytes."""
    assert handle(CLEAN, RULESET, 1_786_000_000_000) == handle(CLEAN, RuleSet.load(), 1_786_000_000_000)


def test_the_records_timestamp_dates_the_receipt_of_a_claim_that_does_not() -> None:
    """Without a receipt date of its own a claim counts as received when the record was written."""
    content = claim_content()
    del content["received_date"]
    raw = as_json(content).encode()

    assert json.loads(handle(raw, RULESET, 1_786_000_000_000).value or b"")["decision"]["received_date"] == "2026-08-06"
    assert json.loads(handle(raw, RULESET, None).value or b"")["decision"]["received_date"] is None
    assert json.loads(handle(CLEAN, RULESET, 0).value or b"")["decision"]["received_date"] == "2026-08-10"


@pytest.mark.parametrize(
    ("timestamp", "day"),
    [
        (0, date(1970, 1, 1)),
        (86_399_999, date(1970, 1, 1)),
        (86_400_000, date(1970, 1, 2)),
        (-1, None),
        (2**62, None),
        (None, None),
    ],
)
def test_a_timestamp_is_a_utc_date(timestamp: int | None, day: date | None) -> None:
    """A record's timestamp is read in UTC; what is no timestamp gives no date."""
    assert utc_date(timestamp) == day


def test_what_is_no_claim_is_kept_as_it_came() -> None:
    """A dead letter holds the event's own bytes, and the claim's id where it can be read."""
    raw = b'{"claim_id":"C7","claim_type":"dental"}'
    outcome = handle(raw, RULESET)

    assert outcome.value is raw
    assert outcome.disposition is None
    assert outcome.claim_id == "C7"
    assert str(outcome.error).startswith("claim_type: value not known; expected one of")


def test_x12_among_the_events_is_told_where_to_go() -> None:
    """X12 text sent to the topic of the claim events is a dead letter that names the right topic."""
    outcome = handle(b"ISA*00*          *00*", RULESET)

    assert outcome.disposition is None
    assert str(outcome.error) == (
        "$: X12 text; expected one JSON object in UTF-8; X12 goes to the topic of CLAIMSCRUB_X12_TOPIC"
    )


def test_an_event_without_a_value_is_a_dead_letter() -> None:
    """A tombstone is no claim."""
    outcome = handle(None, RULESET)

    assert (outcome.value, outcome.disposition) == (None, None)
    assert "no value" in str(outcome.error)


def test_sizes_are_limited() -> None:
    """A claim, or a claim with its decision, that is too large is a dead letter that names the setting."""
    too_large = handle(CLEAN, RULESET, limits=Limits(claim=len(CLEAN) - 1, message=1_000_000))
    with_decision = handle(CLEAN, RULESET, limits=Limits(claim=len(CLEAN), message=len(CLEAN)))
    fits = handle(CLEAN, RULESET, limits=Limits(claim=len(CLEAN), message=1_000_000))

    assert "CLAIMSCRUB_MAX_CLAIM_BYTES" in str(too_large.error)
    assert "CLAIMSCRUB_MAX_MESSAGE_BYTES" in str(with_decision.error)
    assert with_decision.value is CLEAN
    assert fits.error is None


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_it_fail(raw: bytes) -> None:
    """Whatever comes, there is an outcome, and what is no claim is kept."""
    outcome = handle(raw, RULESET)

    assert outcome.value == raw
    assert outcome.error is not None


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["63685", "2026-08-03"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*claim_content(), "code", "npi"]), inner)
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from([*claim_content(), "type_of_bill", "statement_from_date"]), _JSON, max_size=6))
def test_no_shape_of_claim_makes_it_fail(changes: dict[str, object]) -> None:
    """Claims with any JSON in any field are decided or dead letters; no rule fails over one."""
    raw = json.dumps({**claim_content(), **changes}).encode()
    outcome = handle(raw, RULESET)

    assert (outcome.error is None) == (outcome.decision is not None)
    if outcome.decision is not None:
        assert not [finding for finding in outcome.decision.findings if finding.name == "rule-error"]
        json.loads(outcome.value or b"", parse_constant=lambda constant: pytest.fail(f"{constant} in the output"))


# ---- with what is remembered of members


def _memory(place: tuple[int, int] = (0, 1)) -> Memory:
    memory = Memory(MEMBERS, RULESET, {}, place=place)
    memory.begin()
    return memory


def _memories() -> tuple[Memory, Memory]:
    """That of the partition which has the member of the claims here, and that of another."""
    key = MEMBERS.key_of_claim(Claim.from_json(CLEAN))
    assert key is not None
    own = partition_of(key, 4)
    return _memory((own, 4)), _memory(((own + 1) % 4, 4))


def _event(claim_id: str, **changes: Any) -> bytes:
    content = claim_content(claim_id=claim_id, patient_control_number=f"P-{claim_id}", **changes)
    return as_json({name: value for name, value in content.items() if value is not None}).encode()


def _decision(outcome: Outcome) -> dict[str, Any]:
    decision: dict[str, Any] = json.loads(outcome.value or b"")["decision"]
    return decision


def _rules(outcome: Outcome) -> set[str]:
    return {finding["rule_id"] for finding in _decision(outcome)["findings"]}


def test_a_claim_is_decided_with_those_before_it() -> None:
    """The same surgery billed again is found, for this member alone, and by whom it was changed is told."""
    memory = _memory()
    first, second = (handle(_event(name), RULESET, RECEIVED, memory) for name in ("C1", "C2"))
    other = {**claim_content()["subscriber"], "member_number": "1EG4TE5MK72"}
    third = handle(_event("C3", subscriber=other), RULESET, RECEIVED, memory)

    assert ["HIS001" in _rules(each) for each in (first, second, third)] == [False, True, False]
    assert first.key == second.key != third.key
    assert [key for key, _ in second.changes] == [second.key]


@pytest.mark.parametrize("dates", [{}, {"received_date": None}])
def test_an_event_that_is_delivered_again_is_answered_as_the_first_time(dates: dict[str, None]) -> None:
    """Whatever has come since, and however late: the very same bytes, and nothing changes in what is remembered."""
    memory = _memory()
    events = [_event(f"C{number}", **dates) for number in range(3)]
    before = [handle(raw, RULESET, RECEIVED + number * DAY, memory) for number, raw in enumerate(events)]
    again = [handle(raw, RULESET, RECEIVED + 40 * DAY, memory) for raw in events]

    assert [each.value for each in again] == [each.value for each in before]
    assert [each.changes for each in again] == [()] * 3
    assert all(each.changes for each in before)


def test_a_claim_is_received_on_the_day_of_its_first_delivery() -> None:
    """An event without a date of its own keeps that of its first record; one that dates itself has that in any case."""
    memory = _memory()
    undated, dated = _event("C1", received_date=None), _event("C2")
    days = [
        _decision(handle(raw, RULESET, timestamp, memory))["received_date"]
        for raw in (undated, dated)
        for timestamp in (RECEIVED, RECEIVED + 5 * DAY)
    ]

    assert days == ["2026-08-06", "2026-08-06", "2026-08-10", "2026-08-10"]


def test_another_event_with_the_same_claim_id_is_another_delivery() -> None:
    """Its bytes differ, so it is received when it comes, and takes the place of the first."""
    memory = _memory()
    handle(_event("C1", received_date=None), RULESET, RECEIVED, memory)
    changed = handle(_event("C1", received_date=None, place_of_service="21"), RULESET, RECEIVED + 5 * DAY, memory)

    assert _decision(changed)["received_date"] == "2026-08-11"
    assert "HIS001" not in _rules(changed)
    assert changed.changes


def test_a_claim_without_a_member_number_is_decided_without_history() -> None:
    """It says so, and is not remembered."""
    nobody = {**claim_content()["subscriber"], "member_number": ""}
    outcome = handle(_event("C1", subscriber=nobody, received_date=None), RULESET, RECEIVED, _memory())
    (reason,) = [each["reason"] for each in _decision(outcome)["not_evaluated"] if each["rule_id"] == "HISTORY"]

    assert (outcome.key, outcome.changes) == (None, ())
    assert _decision(outcome)["received_date"] == "2026-08-06"
    assert "no member number" in reason


def test_a_claim_of_another_partitions_member_goes_on_as_it_came() -> None:
    """To where its member's other claims are; nothing is decided and nothing remembered."""
    own, other = _memories()
    outcome = handle(CLEAN, RULESET, RECEIVED, other)

    assert outcome.goes_on
    assert (outcome.value, outcome.claim_id, outcome.changes) == (CLEAN, "EXAMPLE-1", ())
    assert outcome.key is not None
    assert own.has(outcome.key)
    assert handle(CLEAN, RULESET, RECEIVED, own, was_repartitioned=True).decision is not None


def test_a_claim_that_was_sent_on_is_not_sent_on_again() -> None:
    """Workers that disagree about partitions must not send it to and fro: it is decided, and says what it lacks."""
    _, other = _memories()
    outcome = handle(CLEAN, RULESET, RECEIVED, other, was_repartitioned=True)
    (reason,) = [each["reason"] for each in _decision(outcome)["not_evaluated"] if each["rule_id"] == "HISTORY"]

    assert not outcome.goes_on
    assert outcome.changes == ()
    assert "CLAIMSCRUB_MEMBER_KEY_SECRET" in reason


def test_a_decision_that_is_too_large_is_not_remembered() -> None:
    """What became a dead letter was never billed."""
    memory = _memory()
    refused = handle(_event("C1"), RULESET, RECEIVED, memory, Limits(claim=1_000_000, message=100))

    assert (refused.decision, refused.changes) == (None, ())
    assert refused.key is not None
    assert "HIS001" not in _rules(handle(_event("C2"), RULESET, RECEIVED, memory))


def _status(**changes: Any) -> bytes:
    subscriber = claim_content()["subscriber"]
    status = {"payer": {"key": "MEDICARE_FFS"}, "member_number": subscriber["member_number"], "claim_id": "C1"}
    return json.dumps({**status, "status": "rejected", **changes}).encode()


def test_a_status_changes_what_the_next_claim_sees() -> None:
    """A claim that was rejected may be sent again; the answer itself publishes nothing."""
    memory = _memory()
    handle(_event("C1"), RULESET, RECEIVED, memory)
    outcome = take_status(_status(), memory)

    assert (outcome.value, outcome.claim_id, outcome.error) == (None, "C1", None)
    assert [key for key, _ in outcome.changes] == [outcome.key]
    assert "HIS001" not in _rules(handle(_event("C2"), RULESET, RECEIVED, memory))
    assert take_status(_status(claim_id="", patient_control_number="nobody's"), memory).changes == ()


def test_a_status_of_another_partitions_member_goes_on_once() -> None:
    """Where the other partition has not the member either, the workers disagree, and it is a dead letter."""
    _, other = _memories()
    sent_on, again = take_status(_status(), other), take_status(_status(), other, was_repartitioned=True)

    assert sent_on.goes_on
    assert (sent_on.value, sent_on.claim_id, sent_on.error) == (_status(), "C1", None)
    assert not again.goes_on
    assert "CLAIMSCRUB_MEMBER_KEY_SECRET" in str(again.error)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (None, "no value"),
        (b"junk", "not JSON"),
        (b'{"claim_id": "C1"}', "member_number"),
        (_status(member_number=" "), "member_number"),
        (_status(member_number="\x1c"), "member_number: blank"),
        (_status(claim_id=""), "names no claim"),
        (b" " * 2_000, "CLAIMSCRUB_MAX_CLAIM_BYTES"),
    ],
)
def test_what_is_no_status_is_a_dead_letter(raw: bytes | None, said: str) -> None:
    """It is kept as it came, with its reason."""
    outcome = take_status(raw, _memory(), Limits(claim=1_999, message=4_000))

    assert outcome.value is raw
    assert outcome.decision is None
    assert said in str(outcome.error)


def test_headers_are_those_of_a_cloud_event() -> None:
    """Each output names its type, its subject and an id that is the same for every delivery."""
    headers = dict(cloud_event_headers(Disposition.CLEARED, "C1", "t-0-5", [("ce_type", b"x"), ("mine", b"1")]))

    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"t-0-5",
        "ce_source": b"claimscrub",
        "ce_type": b"claimscrub.claim.cleared.v1",
        "ce_subject": b"C1",
        "content-type": b"application/json",
        "mine": b"1",
    }
    assert dict(cloud_event_headers(None, None, "t-0-5"))["ce_type"] == b"claimscrub.claim.deadletter.v1"


def test_dead_letter_headers_are_those_of_kafka_connect() -> None:
    """The reason stands where Kafka Connect's tools look for it."""
    error = ClaimError("lines[0].units", "not a number", "a number")
    headers = dict(error_headers(error, "claims.submitted", 3, 42, "group"))

    assert headers["__connect.errors.topic"] == b"claims.submitted"
    assert headers["__connect.errors.partition"] == b"3"
    assert headers["__connect.errors.offset"] == b"42"
    assert headers["__connect.errors.exception.class.name"] == b"rules.engine.claim.ClaimError"
    assert headers["__connect.errors.exception.message"] == b"lines[0].units: not a number; expected a number"


def test_a_share_of_dead_letters_among_the_last_events_is_too_many() -> None:
    """Below the share they pass for ever, at the share the next one is refused, and 0 sets no limit."""
    limit, unlimited = DeadLetterLimit(10, 0.5), DeadLetterLimit(0, 0.5)
    for _ in range(500):
        for _ in range(4):
            limit.deadletter()
        for _ in range(6):
            limit.readable()
    for _ in range(10_000):
        unlimited.deadletter()
    for _ in range(4):
        limit.deadletter()

    with pytest.raises(
        DeadLetterFloodError, match=r"5 of the last 10 events are not claims.*CLAIMSCRUB_DEADLETTER_SHARE"
    ):
        limit.deadletter()
