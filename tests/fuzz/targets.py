"""What must hold of every input, whatever it is: one function for each kind that is read.

A target takes bytes, raises nothing but `AssertionError`, and takes no more than `MOST_SECONDS` of the processor.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter

from rules import NO_HISTORY, Claim, ClaimError, RuleSet
from tests.worker_process import MEMBERS
from worker.agents import Scrubber
from worker.codec import decision_json, parts_of, published
from worker.deadletter import error_headers, x12_headers
from worker.history import Memory, decoded
from worker.inputs import CLAIMS, STATUSES, read_stream
from worker.monitor import Monitor
from worker.overrides import Override, override_event
from worker.pipeline import Outcome, handle, input_digest, take_override, take_status
from worker.settings import Settings
from worker.splitter import Letter, Sizes, split
from worker.wire import DecisionContent
from worker.x12 import Event, X12Error, read_events, read_statuses, read_with_ends
from worker.x12.export_837 import export
from worker.x12.response_277ca import acknowledgements
from worker.x12.response_999 import syntax_acknowledgements

MOST_SECONDS: Final = 10.0
"""Of the processor, for one input; beyond that it hangs."""
AT_MS: Final = 1_786_300_000_000
_RECEIVED: Final = date(2026, 8, 9)
_AT: Final = datetime(2026, 8, 11, 9, 30, tzinfo=UTC)
_OVERRIDE: Final = Override("erin.example", "known to the payer", _AT, "claims.submitted-0-0")
_SIZES: Final = Sizes(x12=10_485_760, claim=1_048_576)
_TELLING: Final = 9
"""Shorter texts than this may stand in a message by chance."""
_TOO_LARGE: Final = "findings; expected at most"
_ENVELOPE: Final = (b"ISA", b"GS", b"ST", b"SE", b"GE", b"IEA")

_DECISION: Final = TypeAdapter(DecisionContent)

RULESET: Final = RuleSet.load()


class HangError(AssertionError):
    """An input takes too long."""


@contextmanager
def alarm(seconds: float = MOST_SECONDS) -> Iterator[None]:
    """End what takes longer, by the processor's clock: a machine with much to do is no hang.

    Raises:
        HangError: it took longer.
    """

    def ring(*_: Any) -> None:
        raise HangError(f"takes more than {seconds} s")

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def fresh_memory() -> Memory:
    """That knows nobody."""
    memory = Memory(MEMBERS, RULESET, {})
    memory.begin()
    return memory


# ---- the kinds


def claim(raw: bytes) -> None:
    """A claim event: with a history and without."""
    outcome = handle(raw, RULESET, AT_MS)
    second = handle(raw, RULESET, AT_MS)
    assert (second.value, str(second.error)) == (outcome.value, str(outcome.error)), "another outcome the second time"
    memory = fresh_memory()
    first = handle(raw, RULESET, AT_MS, memory)
    again = handle(raw, RULESET, AT_MS, memory)
    assert first.value == again.value, "another decision for the event that is delivered again"
    assert not again.changes, "the event that is delivered again changes the history"
    _check_changes(first)
    if outcome.error is not None:
        assert first.error is not None
        assert str(first.error) == str(outcome.error) or _TOO_LARGE in str(outcome.error)
    for each in (outcome, first):
        _check(each, raw, raw)
    if outcome.decision is None:
        return
    read = Claim.from_json(raw)
    read = read if read.received_date is not None else read.changed(received_date=_RECEIVED)
    thorough = RULESET.evaluate(read, NO_HISTORY, thorough=True)
    digest = input_digest(raw)
    assert decision_json(thorough, read, digest) == decision_json(outcome.decision, read, digest), "thorough differs"
    if read.x12 is not None:
        _write_answers([json.loads(outcome.value or b"")])


def status(raw: bytes) -> None:
    """A claim status event."""
    memory = fresh_memory()
    handle(_SMALL, RULESET, AT_MS, memory)
    outcome = take_status(raw, memory)
    assert not take_status(raw, memory).changes, "the status that is delivered again changes the history"
    _check_changes(outcome)
    if outcome.error is not None:
        _check(outcome, raw, raw)
    else:
        assert outcome.value is None


def override(raw: bytes) -> None:
    """An override event; and the release of what is a flagged record's value."""
    memory = fresh_memory()
    outcome = take_override(raw, "claims.overrides-0-0", memory)
    again = take_override(raw, "claims.overrides-0-0", memory)
    assert (again.value, again.changes) == (outcome.value, ()), "another outcome for the override delivered again"
    _check_changes(outcome)
    if outcome.error is not None:
        _check(outcome, raw, raw)
        return
    assert outcome.value is not None
    flagged, decision = parts_of(outcome.value)
    assert flagged in raw
    assert _DECISION.validate_json(decision, strict=True)["disposition"] == "cleared"
    if outcome.key is not None:  # else nobody remembers it
        assert take_override(raw, "claims.overrides-0-1", memory).error is not None, "released twice"


def flagged(raw: bytes) -> None:
    """A claim event that is released if it is flagged."""
    outcome = handle(raw, RULESET, AT_MS, memory := fresh_memory())
    if outcome.decision is None or outcome.decision.disposition.value != "flagged" or outcome.value is None:
        return
    event = override_event(outcome.value, _OVERRIDE)
    released = take_override(event, "claims.overrides-0-0", memory)
    assert released.is_release
    assert parts_of(released.value or b"")[0] == raw
    override(event)


def x12(raw: bytes) -> None:
    """X12 837 text: what is found in it, and what is written in answer."""
    items = split(raw, _SIZES)
    assert items
    events = [item for item in items if isinstance(item, Event)]
    letters = [item for item in items if isinstance(item, Letter)]
    assert [_as_text(item) for item in split(raw, _SIZES)] == [_as_text(item) for item in items]
    values = _values_of_x12(raw)
    for letter in letters:
        assert letter.errors
        for error in letter.errors:
            assert "the reader failed" not in str(error), str(error)
            _says_nothing(error, values)
            error_headers(error, "claims.x12", 0, 0, "group")
            x12_headers(error)
    for event in events[:_FEW]:
        assert event.claim_id == event.claim.claim_id
        claim(event.raw)
    outcomes = [handle(event.raw, RULESET, AT_MS) for event in events]
    _write_answers([json.loads(each.value or b"") for each in outcomes if each.decision is not None])
    syntax_acknowledgements(list(read_with_ends(io.BytesIO(raw)))[:_MANY], at=_AT, control_number=1)
    for letter in letters[:_FEW]:
        if letter.value and letter.value != raw:
            assert any(isinstance(item, X12Error) for item in read_events(io.BytesIO(letter.value))), "lost no claim"


def answers(raw: bytes) -> None:
    """A 277CA or 835."""
    values = _values_of_x12(raw)
    for number, item in enumerate(read_statuses(io.BytesIO(raw))):
        if number == _MANY:
            break
        if isinstance(item, X12Error):
            _says_nothing(item, values)
        else:
            outcome = take_status(item.raw, fresh_memory())
            assert outcome.error is None or outcome.error.path == "member_number", str(outcome.error)


def file(raw: bytes) -> None:
    """A file of claims, or of statuses, of any kind."""
    for kind in (CLAIMS, STATUSES):
        for number, item in enumerate(read_stream(io.BytesIO(raw), "file", kind)):
            if number == _MANY:
                break
            with suppress(ClaimError):
                _ = item.read() if kind is CLAIMS else item.read_status()


class _Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def record(raw: bytes) -> None:
    """A record with any topic, key and headers, which are the lines before an empty one; in each of the modes."""
    head, _, value = raw.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    topics = (_SETTINGS.submitted_topic, _SETTINGS.repartition_topic, _SETTINGS.status_topic, _SETTINGS.overrides_topic)
    number = zlib.crc32(first)
    headers: list[tuple[str, bytes | None]] = []
    for line in lines:
        name, equals, content = line.partition(b"=")
        headers.append((name.decode(errors="replace"), content if equals else None))
    timestamp = (AT_MS, -1, 0, 2**62, AT_MS)[number % 5]
    one = _Record(topics[number % 4], 3, 7, timestamp, first or None, value or None, headers)
    for settings in (_SETTINGS, *_OTHER_MODES):
        scrubber = Scrubber(settings, RULESET, Monitor(settings))
        (output,) = asyncio.run(scrubber.decide([one], fresh_memory(), lambda: None))
        assert output.topic is not None or one.topic in (_SETTINGS.status_topic, _SETTINGS.repartition_topic)
        for copy in filter(None, (output, output.copy)):
            assert all(each.encode() is not None and isinstance(said, bytes | None) for each, said in copy.headers)
            if copy.topic in (settings.cleared_topic, settings.flagged_topic):
                read = published(copy.value or b"", copy.headers)
                assert json.loads(read.decision)["claim_id"] == output.outcome.claim_id
                assert read.event_id
            elif copy.topic == settings.deadletter_topic:
                assert copy.value == one.value


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    each.__name__: each for each in (claim, status, override, flagged, x12, answers, file, record)
}


# ---- what they have in common

_FEW: Final = 5
_MANY: Final = 2_000
_SETTINGS: Final = Settings(deadletter_run=0)
_OTHER_MODES: Final = (
    Settings(deadletter_run=0, cleared_format="claim"),
    Settings(deadletter_run=0, cleared_format="claim", mode="monitor"),
)
_SMALL: Final = (
    b'{"claim_id":"F1","claim_type":"professional","payer":{"key":"AETNA"},"subscriber":{"member_number":"W1"},'
    b'"patient_control_number":"P1","lines":[{"procedure_code":"63685","units":"1","service_date":"2026-08-03"}]}'
)


def _check(outcome: Outcome, raw: bytes, value: bytes) -> None:
    """A dead letter is the event's own bytes, and says nothing of it; an envelope holds them and can be read."""
    if outcome.error is not None:
        assert outcome.value == value
        assert outcome.decision is None
        if _TOO_LARGE not in str(outcome.error):
            _says_nothing(outcome.error, _values_of_json(raw) - {outcome.claim_id})
        error_headers(outcome.error, "claims.submitted", 0, 0, "group")
        return
    assert outcome.decision is not None
    assert outcome.value is not None
    own, decision = parts_of(outcome.value)
    assert own == raw
    content = _DECISION.validate_json(decision, strict=True)
    failed = [finding["message"] for finding in content["findings"] if finding["category"] == "RULE_ERROR"]
    assert not failed, failed
    assert all(finding["segment"] is None or finding["segment"] > 0 for finding in content["findings"])
    json.loads(outcome.value)


def _check_changes(outcome: Outcome) -> None:
    for key, raw in outcome.changes:
        if len(key) > 1:
            decoded(raw)


def _write_answers(envelopes: list[dict[str, Any]]) -> None:
    acknowledged = acknowledgements(envelopes, at=_AT, control_number=1)
    assert sum(each.claims for each in acknowledged.files) + acknowledged.repeated + len(acknowledged.errors) == len(
        envelopes
    )
    for written in export(envelopes, at=_AT, control_number=1).files:
        assert written.content


def _as_text(item: Event | Letter) -> tuple[bytes | None, list[str]]:
    return (item.raw, []) if isinstance(item, Event) else (item.value, [str(error) for error in item.errors])


def _values_of_json(raw: bytes) -> set[str | None]:
    """Texts in it that a message must not repeat."""
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return set()
    found: set[str | None] = set()
    pending = [content]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list):
            pending += one
        elif isinstance(one, str) and len(one.strip()) >= _TELLING:
            found.add(one.strip())
    return found


def _values_of_x12(raw: bytes) -> set[str | None]:
    """Elements in it that a message must not repeat: not those of envelopes, whose control numbers name the place."""
    if len(raw) > 106 and raw[:3] == b"ISA":
        element, terminator = raw[3:4], raw[105:106]
        found = {
            each.decode("latin-1").strip()
            for segment in raw.split(terminator)
            if not segment.strip().startswith(_ENVELOPE)
            for each in segment.split(element)
        }
        enclosing = raw[:106] + b"".join(re.findall(rb"(?:ISA|GS|ST|SE|GE|IEA)[^~]*", raw[:50_000]))
        return {each for each in found if len(each) >= _TELLING and each.encode("latin-1") not in enclosing}
    return set()


def _says_nothing(error: ClaimError, values: set[str | None]) -> None:
    """The message of an error holds no value of the event; what is expected is our own words."""
    said = f"{error.path}: {error.problem}"
    told = [value for value in values if value is not None and value in said]
    assert not told, f"{said} tells {told}"
