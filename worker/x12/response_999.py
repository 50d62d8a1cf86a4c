"""What the reader found → 999, the implementation acknowledgment (005010X231A1).

A transaction set is accepted (A), accepted with errors (E) when some of its claims could not be read, or rejected (R)
when none could. Readable claims have gone on, so only those that are named have to be sent again.

Lone transaction sets have no functional group that could be acknowledged, and faults of an interchange (IEA) are no
matter of a 999: both are in the reader's own errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from rules import ClaimError
from worker.x12.envelope import ControlNumbers, OutgoingFile, Route, Written, file_name, interchange
from worker.x12.errors import X12Error
from worker.x12.events import Event
from worker.x12.sets import End, Group, Interchange

_VERSION = "005010X231A1"
_SEGMENT_CODES = frozenset({"1", "2", "3", "4", "5", "6", "7", "8", "I4", "I6", "I7", "I8", "I9"})
_ELEMENT_CODES = frozenset(
    {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "I6", "I9", "I10", "I11", "I12", "I13"}
)
_SET_CODES = frozenset({"1", "2", "3", "4", "6", "7", "I5", "I6"})
_GROUP_CODES = frozenset({"3", "4", "5"})
_ELEMENTS_IN_ERROR = "8"  # IK304
_SEGMENTS_IN_ERROR = "5"  # IK502
_MOST_CODES = 5
_ENVELOPE_OF_SET = ("ST", "SE")
_NO_CONTROL_NUMBER = "0000"


def syntax_acknowledgements(items: Iterable[Event | End | X12Error], *, at: datetime, control_number: int) -> Written:
    """The 999 files for what was read, one for each submitter and usage; a transaction set for each functional group.

    Args:
        items: from `worker.x12.read_with_ends`. Claims are counted, not kept.
        at: the time of writing.
        control_number: ISA13 of the first interchange.

    Raises:
        ValueError: no control number from 1 to 999999999.
    """
    numbers = ControlNumbers(control_number)
    unanswered: list[ClaimError] = []
    files: dict[tuple[str, ...], dict[Route, tuple[list[list[str]], int]]] = {}
    claims, errors, sets = 0, _Errors(), _Sets()
    for item in items:
        if isinstance(item, Event):
            claims += 1
        elif isinstance(item, X12Error):
            errors.add(item)
        elif item.transaction is not None:
            if item.transaction.group.text:
                sets.add(item, claims, errors)
            else:
                said = f"transaction {item.transaction.control_number}"
                unanswered.append(ClaimError(said, "no functional group around it", "GS and GE to acknowledge"))
            claims, errors = 0, _Errors()
        elif item.group is not None:
            route = _route(item.interchange, item.group)
            file = (route.receiver_qualifier, route.receiver_id, route.usage)
            groups, count = files.setdefault(file, {}).get(route, ([], 0))
            groups.append(["999", *sets.segments(route, item.group, errors.of_group)])
            files[file][route] = (groups, count + sets.claims)
            errors, sets = _Errors(), _Sets()
    written = []
    for (_, submitter, _), routes in files.items():
        first, texts, total = numbers.following, [], 0
        for route, (groups, count) in routes.items():
            texts.append(interchange(route, "FA", _VERSION, groups, at=at, control_number=numbers.take()))
            total += count
        content = "".join(texts).encode("latin-1")
        written.append(OutgoingFile(file_name("999", submitter, first, "edi"), content, total))
    return Written(tuple(written), tuple(unanswered), 0, 0, numbers.following)


class _Errors:
    """The errors of a transaction set, or of what stands around the sets of a group."""

    def __init__(self) -> None:
        self.of_segments: dict[tuple[int, str], tuple[set[str], set[tuple[int, str]]]] = {}
        self.of_set: list[str] = []
        self.of_group: list[str] = []

    def add(self, error: X12Error) -> None:
        if error.segment is None:
            self.of_group.append(error.code)
        elif error.segment_id in _ENVELOPE_OF_SET or not (error.segment_id or error.claim_id):
            self.of_set.append(error.code if error.code in _SET_CODES else _SEGMENTS_IN_ERROR)
        else:
            # A claim that was cut off lacks the segment behind it.
            place = (error.segment, error.segment_id or "SE")
            codes, elements = self.of_segments.setdefault(place, (set(), set()))
            if error.element is None:
                codes.add(error.code if error.code in _SEGMENT_CODES else _ELEMENTS_IN_ERROR)
            else:
                codes.add(_ELEMENTS_IN_ERROR)
                elements.add((error.element, error.code if error.code in _ELEMENT_CODES else "7"))

    def __bool__(self) -> bool:
        return bool(self.of_segments or self.of_set)

    def segments(self, route: Route) -> Iterator[str]:
        """IK3 and IK4, in the order of the segments."""
        for (number, segment_id), (codes, elements) in sorted(self.of_segments.items()):
            for code in sorted(codes):
                yield route.segment("IK3", segment_id, str(number), "", code)
                if code == _ELEMENTS_IN_ERROR:
                    for position, element_code in sorted(elements):
                        yield route.segment("IK4", str(position), "", element_code)


class _Sets:
    """The transaction sets of a functional group as they are acknowledged."""

    def __init__(self) -> None:
        self.claims = 0
        self._answers: list[str] = []  # IK501 of each
        self._sets: list[tuple[End, _Errors]] = []

    def add(self, end: End, claims: int, errors: _Errors) -> None:
        self.claims += claims
        self._answers.append("A" if not errors else "E" if claims else "R")
        self._sets.append((end, errors))

    def segments(self, route: Route, group: Group, group_codes: list[str]) -> Iterator[str]:
        """AK1 to AK9."""
        segment, elements = route.segment, group.elements
        control_number = route.words(elements[6]) or _NO_CONTROL_NUMBER
        yield segment("AK1", route.words(elements[1]) or "HC", control_number, route.words(elements[8]))
        for (end, errors), answer in zip(self._sets, self._answers, strict=True):
            assert end.transaction is not None
            sent = [*end.transaction.text.split(route.element), "", "", ""]
            control_number = route.words(end.transaction.control_number) or _NO_CONTROL_NUMBER
            yield segment("AK2", route.words(sent[1]), control_number, route.words(sent[3]))
            yield from errors.segments(route)
            codes = [*errors.of_set, *([_SEGMENTS_IN_ERROR] if errors.of_segments else [])]
            yield segment("IK5", answer, *list(dict.fromkeys(codes))[:_MOST_CODES])
        accepted = sum(answer != "R" for answer in self._answers)
        codes = [code for code in dict.fromkeys(group_codes) if code in _GROUP_CODES]
        counts = [str(len(self._answers)), str(len(self._answers)), str(accepted)]
        yield segment("AK9", self._answer(accepted, group_codes), *counts, *codes)

    def _answer(self, accepted: int, group_codes: list[str]) -> str:
        rejected = len(self._answers) - accepted
        if rejected:
            return "P" if accepted else "R"
        return "E" if group_codes or "E" in self._answers else "A"


def _route(received: Interchange, group: Group) -> Route:
    """Back to where a functional group came from."""
    isa, gs = ([each.strip() for each in elements] for elements in (received.elements, group.elements))
    sender, receiver = isa[6] or gs[2], isa[8] or gs[3]
    there = Route.of(received.separators, isa[15], (isa[5], sender), (isa[7], receiver), (gs[2], gs[3]))
    return there.back()
