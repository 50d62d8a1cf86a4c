"""The override event, and what becomes of it: a flagged claim is released once, and never sent twice."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import Claim, ClaimError, Disposition, RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from worker.codec import envelope, parts_of
from worker.history import META_KEY, Memory, Meta, read_meta
from worker.members import Members
from worker.overrides import Override, override_event, override_headers, override_schema, read_override
from worker.pipeline import Limits, Outcome, handle, input_digest, take_override, take_status
from worker.x12 import Event, read_events
from worker.x12.export_837 import export
from worker.x12.response_277ca import acknowledgements

RULESET = RuleSet.load()
MEMBERS = Members("secret", RULESET.recognised)
RECEIVED_MS = 1_786_300_000_000  # 2026-08-09
OVERRIDE = Override(
    "erin.example", "The payer has agreed by phone.", datetime(2026, 8, 10, 14, 5, tzinfo=UTC), "claims.submitted-3-17"
)
EVENT_ID = "claims.overrides-3-0"


def _memory(store: dict[bytes, bytes] | None = None, place: tuple[int, int] = (0, 1)) -> Memory:
    memory = Memory(MEMBERS, RULESET, {} if store is None else store, place=place)
    memory.begin()
    return memory


def _claim(claim_id: str = "C1", units: str = "2", **changes: Any) -> bytes:
    """A claim that is flagged, unless it has one unit."""
    names = {"claim_id": claim_id, "patient_control_number": f"P-{claim_id}"}
    return as_json(claim_content(**{**names, "lines": [a_line(units=units)], **changes})).encode()


def _decided(memory: Memory, raw: bytes) -> bytes:
    value = handle(raw, RULESET, RECEIVED_MS, memory).value
    assert value is not None
    return value


def _flagged(memory: Memory, raw: bytes | None = None) -> bytes:
    """The value of the flagged record of a claim."""
    value = _decided(memory, _claim() if raw is None else raw)
    assert json.loads(value)["decision"]["disposition"] == "flagged"
    return value


def _release(memory: Memory, flagged: bytes, event_id: str = EVENT_ID, override: Override = OVERRIDE) -> Outcome:
    return take_override(override_event(flagged, override), event_id, memory)


def _refusal(outcome: Outcome) -> str:
    assert outcome.disposition is None
    assert outcome.changes == ()
    return str(outcome.error)


# ---- what comes out


def test_a_released_claim_is_cleared_with_the_override_in_its_decision() -> None:
    """All else is as it was flagged: the claim's own bytes, the findings, what decided and on what."""
    raw = b" \n" + _claim() + b"\t "
    memory = _memory()
    flagged = _flagged(memory, raw)
    outcome = _release(memory, flagged)
    claim, decision = parts_of(outcome.value or b"")
    content = json.loads(decision)

    assert (outcome.disposition, outcome.claim_id, outcome.key) == (
        Disposition.CLEARED,
        "C1",
        memory.key_of_claim(Claim.from_json(raw)),
    )
    assert claim == raw
    assert content.pop("override") == {
        "user": "erin.example",
        "reason": "The payer has agreed by phone.",
        "released_at": "2026-08-10T14:05:00Z",
        "flagged_event_id": "claims.submitted-3-17",
    }
    assert content == {**json.loads(flagged)["decision"], "disposition": "cleared"}
    assert [each["rule_id"] for each in content["findings"] if each["severity"] == "error"] == ["UNT001"]


_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_jsons = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(), _jsons, max_size=3),
    st.booleans(),
    st.text(" \t\r\n", max_size=3),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=60).filter(str.strip),
)
def test_whatever_a_claim_and_a_reason_hold_comes_out_as_it_went_in(
    own: dict[str, Any], escaped: bool, blanks: str, reason: str
) -> None:
    """A claim keeps its bytes, whatever else stands in it and around it; a reason its words."""
    text = json.dumps({**json.loads(_claim()), "own": own, "decision": {"claim": 1}}, ensure_ascii=escaped, indent=1)
    raw = f"{blanks}{text}{blanks}".encode(errors="replace")
    memory = _memory()
    outcome = _release(memory, _flagged(memory, raw), override=OVERRIDE._replace(reason=reason))
    claim, decision = parts_of(outcome.value or b"")

    assert claim == raw
    assert json.loads(decision)["override"]["reason"] == reason.strip()


def test_a_release_is_told_in_utc() -> None:
    """Whatever offset the event names."""
    released_at = datetime(2026, 8, 10, 16, 5, tzinfo=timezone(timedelta(hours=2)))
    read = read_override(override_event(_flagged(_memory()), OVERRIDE._replace(released_at=released_at)))
    assert read.override == OVERRIDE
    assert read.override.released_at.tzinfo is UTC


def test_headers_of_an_override_carry_on_those_of_the_claim() -> None:
    """The event is one of its own, about the same claim."""
    flagged = [("ce_id", b"claims.submitted-3-17"), ("content-type", b"application/json"), ("traceparent", b"00-1")]
    headers = override_headers(OVERRIDE, "C1", flagged)
    ids = {dict(override_headers(OVERRIDE, "C1"))["ce_id"] for _ in range(3)}

    assert len(ids) == 3
    assert {name: value for name, value in headers if name != "ce_id"} == {
        "ce_specversion": b"1.0",
        "ce_source": b"claimscrub",
        "ce_type": b"claimscrub.claim.override.v1",
        "ce_subject": b"C1",
        "content-type": b"application/json",
        "traceparent": b"00-1",
    }


# ---- once


def test_a_release_that_is_delivered_again_gives_the_same_answer() -> None:
    """Whatever has come since, and from what stands on disk too; the record stays as it is."""
    store: dict[bytes, bytes] = {}
    memory = _memory(store)
    flagged = _flagged(memory)
    first = _release(memory, flagged)
    _decided(memory, _claim(patient_control_number="P-C1", billing_provider={}))
    _decided(memory, _claim("C2", patient_control_number="P-C1"))
    take_status(_status("paid"), memory)
    again = _release(memory, flagged)
    store |= dict(first.changes)

    assert (again.value, again.changes) == (first.value, ())
    assert _release(_memory(store), flagged).value == first.value


def test_a_claim_is_released_once() -> None:
    """A second override is a dead letter that names the first one, also where the claim is held no more."""
    memory = _memory()
    flagged = _flagged(memory)
    _release(memory, flagged)
    second = _release(memory, flagged, "claims.overrides-3-1")
    foreign = _memory()
    foreign_first = _release(foreign, flagged)

    said = "flagged: released before, by override claims.overrides-3-0; expected a flagged claim that waits"
    assert _refusal(second) == said
    assert second.value == override_event(flagged, OVERRIDE)
    assert foreign_first.disposition is Disposition.CLEARED
    assert _refusal(_release(foreign, flagged, "claims.overrides-3-1")) == said


def _status(status: str, claim_id: str = "C1") -> bytes:
    subscriber, payer = (json.loads(_claim())[name] for name in ("subscriber", "payer"))
    content = {"payer": payer, "member_number": subscriber["member_number"], "status": status, "claim_id": claim_id}
    return json.dumps(content).encode()


def test_a_claim_that_was_sent_again_since_is_not_released() -> None:
    """It would be billed twice: under its account, as its correction, or as another version of itself."""
    again = {
        "sent again since as claim C2": _claim("C2", "1", patient_control_number="P-C1"),
        "sent again since as claim C3": _claim("C3", patient_control_number="P-C1", frequency_code="7"),
        "sent again since with another content": _claim("C1", "1"),
    }
    for said, raw in again.items():
        memory = _memory()
        flagged = _flagged(memory)
        _decided(memory, raw)
        assert said in _refusal(_release(memory, flagged))


def test_a_claim_that_the_payer_has_is_not_released() -> None:
    """One that went out another way and was taken in would be a duplicate; one that was rejected there would not."""
    for status in ("accepted", "paid", "denied", "replaced", "voided"):
        memory = _memory()
        flagged = _flagged(memory)
        take_status(_status(status), memory)
        assert f"flagged: by now it is {status}" in _refusal(_release(memory, flagged))
    memory = _memory()
    flagged = _flagged(memory)
    take_status(_status("rejected"), memory)
    assert _release(memory, flagged).disposition is Disposition.CLEARED


def test_a_claim_that_was_cleared_is_not_released() -> None:
    """A flagged decision that this partition's history contradicts is not one of its own."""
    memory = _memory()
    raw = _claim(units="1")
    _, decision = parts_of(_flagged(_memory()))
    forged = json.dumps({**json.loads(decision), "input_digest": input_digest(raw)}).encode()
    _decided(memory, raw)

    assert "not flagged here but cleared" in _refusal(_release(memory, envelope(raw, forged)))


def test_another_claim_of_the_member_is_no_obstacle() -> None:
    """Neither an earlier one of the account nor a later one of another; without a number none is of the account."""
    memory = _memory()
    _decided(memory, _claim("C0", patient_control_number="P-C1"))
    flagged = _flagged(memory)
    blank = _flagged(memory, _claim("C3", patient_control_number=""))
    _decided(memory, _claim("C4", patient_control_number=""))

    assert _release(memory, flagged).disposition is Disposition.CLEARED
    assert _release(memory, blank).disposition is Disposition.CLEARED


# ---- in the member's history


def _duplicates(memory: Memory, raw: bytes) -> set[str]:
    findings = json.loads(_decided(memory, raw))["decision"]["findings"]
    return {each["rule_id"] for each in findings if each["rule_id"] in ("HIS001", "HIS003")}


def test_a_released_claim_counts_as_one_that_was_sent() -> None:
    """What comes again under its account is then a duplicate; while it waits it is the same claim sent again."""
    waiting, released = _memory(), _memory()
    for memory in (waiting, released):
        flagged = _flagged(memory)
    _release(released, flagged)
    again = _claim("C2", patient_control_number="P-C1")

    assert _duplicates(waiting, again) == set()
    assert _duplicates(released, again) != set()


def test_a_claim_delivered_again_after_its_release_is_decided_as_before() -> None:
    """It does not see its own release, nor changes it."""
    memory = _memory()
    raw = _claim()
    flagged = _flagged(memory, raw)
    _release(memory, flagged)
    outcome = handle(raw, RULESET, RECEIVED_MS, memory)

    assert (outcome.value, outcome.changes) == (flagged, ())


def test_a_release_may_begin_a_partition_s_history() -> None:
    """It says what the keys rest on; since when claims are held is said by the first claim."""
    flagged = _flagged(_memory())
    memory = _memory()
    (key, meta), _ = _release(memory, flagged).changes
    (again, later), _ = handle(_claim("C2"), RULESET, RECEIVED_MS, memory).changes
    third = handle(_claim("C3"), RULESET, RECEIVED_MS, memory)

    assert key == again == META_KEY
    assert read_meta(meta) == Meta(None, MEMBERS.fingerprint, 1)
    assert read_meta(later) is not None
    assert json.loads(third.value or b"")["decision"]["history"]["held_since"] == str(read_meta(later)[0])  # type: ignore[index]
    assert len(third.changes) == 1


def test_without_a_member_number_a_claim_is_released_where_it_is() -> None:
    """Nothing is remembered of it."""
    raw = json.dumps({**json.loads(_claim()), "subscriber": {}}).encode()
    outcome = _release(_memory(), _flagged(_memory(), raw))

    assert (outcome.disposition, outcome.key, outcome.changes) == (Disposition.CLEARED, None, ())


def test_an_override_goes_on_to_its_member_s_partition() -> None:
    """As it came; and where it is sent on to a partition that has not the member either, it is not guessed at."""
    flagged = _flagged(_memory())
    raw = override_event(flagged, OVERRIDE)
    key = MEMBERS.key_of_claim(Claim.from_json(_claim()))
    assert key is not None
    elsewhere = _memory(place=(1 - _memory(place=(0, 2)).partition_of(key), 2))
    outcome = take_override(raw, EVENT_ID, elsewhere)
    astray = take_override(raw, EVENT_ID, elsewhere, was_repartitioned=True)

    assert (outcome.goes_on, outcome.value, outcome.key, outcome.error) == (True, raw, key, None)
    assert "sent to a partition that has not this member" in _refusal(astray)


# ---- what is refused


def _event(flagged: bytes | None = None, **changes: Any) -> bytes:
    """An override event that says something else, or nothing where it says None."""
    content = json.loads(override_event(_flagged(_memory()), OVERRIDE))["override"]
    said = {name: value for name, value in {**content, **changes}.items() if value is not None}
    return b'{"override":%s,"flagged":%s}' % (json.dumps(said).encode(), flagged or _flagged(_memory()))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"user": None}, "override.user: missing; expected a value"),
        ({"user": " "}, "override.user: missing; expected a value"),
        ({"user": 1}, "override.user: not a string; expected a string"),
        ({"user": "MARKED" * 20}, "override.user: string too long; expected a shorter string"),
        ({"reason": ""}, "override.reason: missing; expected a value"),
        ({"reason": "MARKED" * 200}, "override.reason: string too long; expected a shorter string"),
        ({"released_at": "MARKED"}, "override.released_at: not a time; expected a time with its offset from UTC"),
        (
            {"released_at": "2026-08-10T14:05:00"},
            "override.released_at: without its offset from UTC; expected a time with",
        ),
        ({"flagged_event_id": "MARKED ID"}, "override.flagged_event_id: not printable ASCII without blanks; expected"),
    ],
)
def test_what_an_override_lacks_is_named(changes: dict[str, Any], said: str) -> None:
    """Field and fix, and nothing of what stands there; the dead letter keeps the event and names the claim."""
    raw = _event(**changes)
    outcome = take_override(raw, EVENT_ID, _memory())

    assert _refusal(outcome).startswith(said)
    assert "MARKED" not in str(outcome.error)
    assert (outcome.value, outcome.claim_id) == (raw, "C1")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (OVERRIDE._replace(user="  "), "override.user: missing; expected a value"),
        (OVERRIDE._replace(reason="x" * 1_001), "override.reason: string too long; expected a shorter string"),
        (OVERRIDE._replace(released_at=OVERRIDE.released_at.replace(tzinfo=None)), "override.released_at: without its"),
    ],
)
def test_no_event_is_made_without_a_user_and_a_reason(override: Override, said: str) -> None:
    """Whoever asks for it is told which field lacks what."""
    with pytest.raises(ClaimError) as raised:
        override_event(_flagged(_memory()), override)
    assert str(raised.value).startswith(said)


def test_user_and_reason_are_stripped() -> None:
    """Blanks around them say nothing."""
    override = OVERRIDE._replace(user=" erin.example\n", reason="\tThe payer has agreed by phone. ")
    assert read_override(override_event(_flagged(_memory()), override)).override == OVERRIDE


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"MARKED", "$: not an override; expected one JSON object"),
        (b"\xff", "$: not an override"),
        (b"[" * 100_000, "$: not an override"),
        (b'{"override":{}}', "$: not an override"),
        (b'{"override":{},"flagged":{}}', "flagged: not an envelope of claim and decision; expected the value of a"),
        (b'{"override":{},"flagged":{"claim":{},"decision":[]}}', "flagged: not an envelope of claim and decision"),
        (b'{"override":{},"flagged":{"claim":{},"decision":{"claim_id":"A B"}}}', "flagged: not an envelope"),
        (b'{"override":{},"flagged":{"claim":{},"decision":{"claim_id":"\xff"}}}', "flagged: not an envelope"),
        (b'{"override":{},"flagged":{"claim":{},"decision":{"claim_id":"A","x":1e999}}}', "flagged: not an envelope"),
        (b'{"override":{},"flagged":{ "claim":{},"decision":{"claim_id":"A"}}}', "flagged: not an envelope"),
        (
            b'{"override":{},"flagged":{"claim":{},"decision":{"claim_id":"A","disposition":"cleared"}}}',
            "flagged.decision.disposition: not flagged; expected a record of the flagged topic",
        ),
        (b'{"override":[],"flagged":%s}', "override: not an object; expected an object"),
        (b'{"override":NaN,"flagged":%s}', "$: not an override"),
    ],
)
def test_what_is_no_override_is_named_without_any_value(raw: bytes, said: str) -> None:
    """What can't be read is a dead letter with a reason."""
    outcome = take_override(raw.replace(b"%s", _flagged(_memory())), EVENT_ID, _memory())

    assert _refusal(outcome).startswith(said)
    assert "MARKED" not in str(outcome.error)


def _changed(claim: bytes, **changes: Any) -> bytes:
    """An override of a claim whose decision says something else."""
    flagged = _flagged(_memory())
    content = {**json.loads(flagged)["decision"], "input_digest": input_digest(claim), **changes}
    return _event(envelope(claim, json.dumps(content).encode()))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            _changed(_claim(), input_digest=f"sha256:{'0' * 64}"),
            "flagged.decision.input_digest: not that of the claim;",
        ),
        (_changed(_claim(), claim_id="C2"), "flagged.decision.claim_id: not that of the claim; expected"),
        (_changed(_claim(diagnoses=1)), "flagged.claim.diagnoses: not an array; expected an array"),
        (_changed(b"7"), "flagged.claim: not an object; expected an object"),
    ],
)
def test_a_claim_that_is_not_the_decided_one_is_not_released(raw: bytes, said: str) -> None:
    """Claim and decision belong together."""
    assert _refusal(take_override(raw, EVENT_ID, _memory())).startswith(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"findings": None}, "flagged.decision.findings: not as published; expected the value of a record"),
        ({"findings": [{}]}, "flagged.decision.findings[0].rule_id: not as published"),
        ({"payer": 7}, "flagged.decision.payer: not as published"),
        ({"rule_set": {"version": "1", "digest": "MARKED"}}, "flagged.decision.rule_set.digest: not as published"),
        ({"mode": ""}, "flagged.decision.mode: not as published"),
        ({"silenced": [None] * 100_000}, "flagged.decision: not as published"),
    ],
)
def test_a_decision_that_no_reader_could_take_in_is_not_published_again(changes: dict[str, Any], said: str) -> None:
    """It must be as the contract has it; what is not known there travels on."""
    refusal = _refusal(take_override(_changed(_claim(), **changes), EVENT_ID, _memory()))
    assert refusal.startswith(said)
    assert "MARKED" not in refusal

    released = take_override(_changed(_claim(), seen_by="erin.example"), EVENT_ID, _memory())
    assert json.loads(released.value or b"")["decision"]["seen_by"] == "erin.example"


def test_an_event_without_a_value_and_one_that_is_too_large_are_dead_letters() -> None:
    """The limit is that of a decision, with room for the override."""
    memory = _memory()
    raw = override_event(_flagged(memory), OVERRIDE)
    limits = Limits(claim=1_024, message=len(raw) - 16_385)

    assert _refusal(take_override(None, EVENT_ID, memory)).startswith(
        "$: the record has no value; expected an override"
    )
    assert _refusal(take_override(raw, EVENT_ID, memory, limits)).endswith(
        "(16384 more than CLAIMSCRUB_MAX_MESSAGE_BYTES)"
    )
    assert take_override(raw, EVENT_ID, memory, limits._replace(message=len(raw) - 16_384)).is_release


# ---- what is said about it


def test_schema_agrees_with_the_reader() -> None:
    """What the schema says of an event is what the reader says of it."""
    validator = jsonschema.Draft202012Validator(override_schema())
    assert validator.is_valid(json.loads(_event()))
    for changes in ({"user": ""}, {"reason": None}, {"flagged_event_id": "a b"}):
        assert not validator.is_valid(json.loads(_event(**changes)))
    assert not validator.is_valid({"override": json.loads(_event())["override"]})


def test_example_of_the_documentation_is_an_override() -> None:
    """The event shown in docs/overrides.md has the fields that the schema asks for."""
    text = (Path(__file__).parents[2] / "docs" / "overrides.md").read_text()
    shown = text.partition("```json\n")[2].partition("```")[0]
    jsonschema.Draft202012Validator(override_schema()).validate(json.loads(shown.replace("{…}", "{}")))


def test_a_released_837_claim_goes_out_and_is_acknowledged_as_accepted() -> None:
    """What was rejected to the submitter while it waited is accepted now, and its 837 is written."""
    at = datetime(2026, 8, 10, 14, 6, tzinfo=UTC)
    text = (Path(__file__).parents[1] / "golden" / "claims" / "professional_837.837").read_bytes()
    events = [item.raw for item in read_events(io.BytesIO(text)) if isinstance(item, Event)]
    memory = _memory()
    flagged = next(value for value in (_decided(memory, raw) for raw in events) if b'"disposition":"flagged"' in value)
    released = _release(memory, flagged).value or b""
    answers = []
    for value in (flagged, released):
        (file,) = acknowledgements([json.loads(value)], at=at, control_number=1).files
        answers.append([segment for segment in file.content.decode().split("~") if segment.startswith("STC*")][-1])

    assert [answer.split("*")[3] for answer in answers] == ["U", "WQ"]
    assert export([json.loads(flagged)], at=at, control_number=1).files == ()
    assert len(export([json.loads(released)], at=at, control_number=1).files) == 1
