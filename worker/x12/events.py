"""X12 → claim events, and where in the X12 a field of a claim event stood."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from pydantic_core import to_json

from rules import Claim, ClaimError
from worker.x12.claim_837 import SEGMENTS_READ, Content, Reading, claim_content
from worker.x12.errors import X12Error
from worker.x12.loops import Fault, Part, X12Claim, lost_claim, part_of, read_loops
from worker.x12.segments import Separators
from worker.x12.sets import End, Kind


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
        return _located(error, claim)


def _decoded(content: Content) -> bytes:
    """Again with the text in its true encoding: UTF-8 if it is that, else one character a byte."""
    try:
        return to_json(recoded(content))
    except UnicodeDecodeError:
        content["x12"]["encoding"] = "latin-1"
        return to_json(content)


def recoded(value: Any) -> Any:
    """Text that was taken byte by byte, as the UTF-8 that it is.

    Raises:
        UnicodeDecodeError: it is not.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("latin-1").decode()
    if isinstance(value, dict):
        return {name: recoded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [recoded(each) for each in value]
    return value


def _located(error: ClaimError, claim: X12Claim) -> X12Error:
    """A claim's own error, with the segment that it stands in."""
    transaction = claim.transaction
    above = (claim.billing_provider, claim.subscriber, claim.patient)
    component = transaction.interchange.separators.component
    place = _places(claim.kind, component, (claim.claim, *above), [error.path])[error.path]
    expected = "a date as CCYYMMDD" if error.problem == "not a date" else error.expected
    problem = f"{error.path}: {error.problem}"
    fault = Fault(problem, expected, place.number, place.segment_id, "8", whole=True)
    return lost_claim(transaction, claim.number, (claim.header, *above, claim.claim), fault)


def places(claim: Claim, paths: Iterable[str]) -> dict[str, Place]:
    """In which segment each field of a claim stood; where it is missing, the segment that its owner began with.

    Args:
        claim: a claim that came as X12.
        paths: JSON paths as findings have them, for example `lines[1].units`; `$` is the claim.
    """
    source = claim.x12
    assert source is not None
    separators = Separators(*source["separators"])
    parts = (
        part and part_of(claim.claim_type, level, part["first_segment"], part["segments"], separators)
        for level, part in (
            ("2300", source["claim"]),
            ("2000A", source["billing_provider"]),
            ("2000B", source["subscriber"]),
            ("2000C", source["patient"]),
        )
    )
    return _places(claim.claim_type, separators.component, parts, paths)


def _places(kind: Kind, component: str, parts: Iterable[Part | None], paths: Iterable[str]) -> dict[str, Place]:
    """Read the claim again, segment by segment, and see after which of them a field is there.

    Args:
        kind: professional or institutional.
        component: the component separator.
        parts: claim, billing provider, subscriber and patient; asked for only as far as they are needed.
        paths: JSON paths.
    """
    steps = {path: _steps(path) for path in paths}
    missing = _Missing(each[:length] for each in steps.values() for length in range(1, len(each) + 1))
    found: dict[_Steps, Place] = {}
    reading = Reading(kind, component)
    # What stands above the claim is read anew with each segment, as none of them says more for another.
    readers = (reading.claim, reading.billing_provider, reading.subscriber, reading.patient)
    beginning = None
    for part, read in zip(parts, readers, strict=False):
        if part is not None:
            beginning = beginning or Place("2300", "CLM", part.first)
            missing.begin()
            for number, segment in enumerate(part.segments, part.first):
                loop, elements = segment
                if elements[0] in SEGMENTS_READ:
                    for each in missing.found_in(read([segment])):
                        found[each] = Place(loop, elements[0], number)
        if not missing:
            break
    assert beginning is not None
    return {
        path: next((found[each[:length]] for length in range(len(each), 0, -1) if each[:length] in found), beginning)
        for path, each in steps.items()
    }


class _Missing:
    """Paths that are looked for in content that grows at its end: only there it is looked at again.

    A claim may have thousands of them, and thousands of segments.
    """

    def __init__(self, paths: Iterable[_Steps]) -> None:
        self._by_owner: dict[_Steps, set[_Steps]] = {}  # a field of the claim, or one element of it
        for each in paths:
            owner = each[:2] if len(each) > 1 and isinstance(each[1], int) else each[:1]
            self._by_owner.setdefault(owner, set()).add(each)
        self._names = {str(owner[0]) for owner in self._by_owner}
        self._lengths: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._by_owner)

    def begin(self) -> None:
        """Look at other content."""
        self._lengths.clear()

    def found_in(self, content: Content) -> list[_Steps]:
        """Those that are there by now; they are missing no more."""
        found: list[_Steps] = []
        for name in self._names & content.keys():
            value = content[name]
            owners: list[_Steps] = [(name,)]
            if isinstance(value, list):
                owners += [(name, index) for index in range(max(self._lengths.get(name, 0) - 1, 0), len(value))]
                self._lengths[name] = len(value)
            for owner in owners:
                paths = self._by_owner.get(owner)
                if paths:
                    there = [each for each in paths if _is_there(content, each)]
                    found += there
                    paths.difference_update(there)
                    if not paths:
                        del self._by_owner[owner]
        return found


_Steps: TypeAlias = tuple[int | str, ...]
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def _steps(path: str) -> _Steps:
    return tuple(int(match[1]) if match[1] else match[2] for match in _STEP.finditer(path))


def _is_there(content: Any, steps: _Steps) -> bool:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(content, list) or step >= len(content):
                return False
        elif not isinstance(content, dict) or step not in content:
            return False
        content = content[step]
    return bool(content)
