"""X12 → claim events, and where in the X12 a field of a claim event stood."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO, NamedTuple

from pydantic_core import to_json

from rules import Claim, ClaimError
from worker.x12.claim_837 import Content, Reading, claim_content
from worker.x12.errors import X12Error
from worker.x12.loops import End, Kind, Part, X12Claim, interchange_of, part_of, read_loops
from worker.x12.segments import Separators


class Event(NamedTuple):
    """A claim event made of an 837 claim.

    Attributes:
        raw: the claim event in JSON.
    """

    claim_id: str
    raw: bytes
    claim: Claim


class Place(NamedTuple):
    """A segment of a transaction set; ST is number 1."""

    loop: str
    segment_id: str
    number: int


def read_events(stream: BinaryIO) -> Iterator[Event | X12Error]:
    """The claim events of a stream of interchanges or lone transaction sets, and what can't be read, in order.

    Raises:
        OSError: the stream can't be read.
    """
    for item in read_with_ends(stream):
        if not isinstance(item, End):
            yield item


def read_with_ends(stream: BinaryIO) -> Iterator[Event | End | X12Error]:
    """As `read_events`, with the ends of transaction sets, groups and interchanges."""
    for item in read_loops(stream):
        yield claim_event(item) if isinstance(item, X12Claim) else item


def claim_event(claim: X12Claim) -> Event | X12Error:
    """One claim event; the error where its segments make no claim."""
    content = claim_content(claim)
    raw = to_json(content)
    if not raw.isascii():
        raw = _decoded(content)
    try:
        return Event(content["claim_id"], raw, Claim.from_json(raw))
    except ClaimError as error:
        return _located(error, claim, content)


def _decoded(content: Content) -> bytes:
    """Again with the text in its true encoding: UTF-8 if it is that, else one character a byte."""
    try:
        return to_json(_recoded(content))
    except UnicodeDecodeError:
        content["x12"]["encoding"] = "latin-1"
        return to_json(content)


def _recoded(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("latin-1").decode()
    if isinstance(value, dict):
        return {name: _recoded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_recoded(each) for each in value]
    return value


def _located(error: ClaimError, claim: X12Claim, content: Content) -> X12Error:
    """A claim's own error, with the segment that it stands in."""
    parts = [
        None if part is None else partial(_itself, part)
        for part in (claim.billing_provider, claim.subscriber, claim.patient, claim.claim)
    ]
    component = claim.transaction.interchange.separators.component
    place = _places(claim.kind, component, parts, [error.path])[error.path]
    transaction = claim.transaction
    expected = "a date as CCYYMMDD" if error.problem == "not a date" else error.expected
    return X12Error(
        f"{error.path}: {error.problem}",
        expected,
        interchange=transaction.interchange.control_number,
        group=transaction.group.control_number,
        transaction=transaction.control_number,
        segment=place.number,
        segment_id=place.segment_id,
        code="8",
        claim_id=content["claim_id"],
        raw=interchange_of(
            transaction,
            claim.number,
            claim.header,
            claim.billing_provider,
            claim.subscriber,
            claim.patient,
            claim.claim,
        ),
    )


def places(claim: Claim, paths: Iterable[str]) -> dict[str, Place]:
    """In which segment each field of a claim stood; where it is missing, the segment that its owner began with.

    Args:
        claim: a claim that came as X12.
        paths: JSON paths as findings have them, for example `lines[1].units`; `$` is the claim.
    """
    source = claim.x12
    assert source is not None
    separators = Separators(*source["separators"])
    parts = (source["billing_provider"], source["subscriber"], source["patient"], source["claim"])
    read = [
        None
        if part is None
        else partial(part_of, claim.claim_type, level, part["first_segment"], part["segments"], separators)
        for level, part in zip(("2000A", "2000B", "2000C", "2300"), parts, strict=True)
    ]
    return _places(claim.claim_type, separators.component, read, paths)


def _places(
    kind: Kind, component: str, parts: Sequence[Callable[[], Part] | None], paths: Iterable[str]
) -> dict[str, Place]:
    """Read the claim again, segment by segment, and see after which of them a field is there.

    Args:
        kind: professional or institutional.
        component: the component separator.
        parts: billing provider, subscriber, patient and claim, each read when it is needed.
        paths: JSON paths.
    """
    steps = {path: _steps(path) for path in paths}
    missing = {each[:length] for each in steps.values() for length in range(1, len(each) + 1)}
    found: dict[tuple[int | str, ...], Place] = {}
    reading = Reading(kind, component)
    billing_provider, subscriber, patient, claim = parts
    assert claim is not None
    first = 1
    for make, read, at_once in (
        (claim, reading.claim, False),
        (billing_provider, reading.billing_provider, True),
        (subscriber, reading.subscriber, True),
        (patient, reading.patient, True),
    ):
        if make is None or not missing:
            continue
        part = make()
        if make is claim:
            first = part.first
        for index, (loop, elements) in enumerate(part.segments):
            content = read(part.segments[: index + 1] if at_once else [(loop, elements)])
            for each in [each for each in missing if _is_there(content, each)]:
                missing.discard(each)
                found[each] = Place(loop, elements[0], part.first + index)
    beginning = Place("2300", "CLM", first)
    return {
        path: next((found[each[:length]] for length in range(len(each), 0, -1) if each[:length] in found), beginning)
        for path, each in steps.items()
    }


def _itself(part: Part) -> Part:
    return part


_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def _steps(path: str) -> tuple[int | str, ...]:
    return tuple(int(match[1]) if match[1] else match[2] for match in _STEP.finditer(path))


def _is_there(content: Any, steps: tuple[int | str, ...]) -> bool:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(content, list) or step >= len(content):
                return False
        elif not isinstance(content, dict) or step not in content:
            return False
        content = content[step]
    return bool(content)
