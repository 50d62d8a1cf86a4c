"""Segments → the claims of 837 transaction sets, each with its loops, in constant memory.

    ISA  GS  ST  BHT  1000A submitter  1000B receiver
      HL 20   2000A billing provider (2010AA, AB, AC)
        HL 22   2000B subscriber (2010BA) and payer (2010BB)
          2300 claim
          HL 23   2000C dependent (2010CA)
            2300 claim: 2310 providers, 2320 other payers (2330), 2400 lines (2410, 2420, 2430, 2440)
    SE  GE  IEA

A claim is handed on when the segment after its last one is there: what is cut off is never taken for whole. Envelopes
are checked as they end (SE, GE, IEA). Segments and qualifiers that are not known stay with their claim under a loop of
no meaning. Loops of other payers (2320, 2330, 2430) have names of their own, so nothing in them is the subscriber's.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import BinaryIO, NamedTuple

from worker.x12.errors import X12Error, safe_control_number
from worker.x12.segments import BLANK, LONGEST_SEGMENT, Block, Separators, TooLong, separators_of
from worker.x12.sets import (
    ENVELOPE_SEGMENTS,
    NO_GROUP,
    PAD,
    End,
    Envelopes,
    Kind,
    TransactionSet,
    is_id,
    no_interchange,
)

LONGEST_CLAIM = 1_048_576
"""Characters of one loop 2000A, 2000B, 2000C or 2300; an 837 claim of 999 lines has about 300,000."""

Segment = tuple[str, list[str]]
"""Loop and elements; the segment's id is element 0."""


class Part:
    """Segments in a row: a header, or one of the loops 2000A, 2000B, 2000C (without HL) and 2300.

    Attributes:
        first: number of the first segment in the transaction set; ST is 1.
        segments: loop and elements of each.
        texts: the segments as they stood there.
        content: what was made of it, kept for the claims that share it.
    """

    __slots__ = ("content", "first", "segments", "texts")

    def __init__(self, first: int) -> None:
        self.first = first
        self.segments: list[Segment] = []
        self.texts: list[str] = []
        self.content: dict[str, object] | None = None


Parts = tuple[Part, Part | None, Part | None, Part | None, Part]
"""Header, billing provider, subscriber, patient and claim."""


class X12Claim(NamedTuple):
    """One claim in segments.

    Attributes:
        number: position of the claim in its transaction set, from 1.
    """

    transaction: TransactionSet
    kind: Kind
    number: int
    header: Part
    billing_provider: Part
    subscriber: Part
    patient: Part | None
    claim: Part


class Fault(NamedTuple):
    """Why a claim can't be read, and in which segment one sees it.

    Attributes:
        whole: all segments of the claim are there, and it is sure whose it is.
    """

    problem: str
    expected: str
    number: int
    segment_id: str
    code: str
    whole: bool


_KINDS: dict[str, Kind] = {"B": "professional", "A": "institutional"}  # CLM05-2
_LEVELS = {"20": "2000A", "22": "2000B", "23": "2000C"}
_PARENTS = {"22": "20", "23": "22"}
_LOWEST = "99"  # any level that an 837 has not

_UNKNOWN = "?"
_NOTHING: dict[str, str] = {}
_NAMES_ABOVE = {
    "1000": {"41": "1000A", "40": "1000B"},
    "2000A": {"85": "2010AA", "87": "2010AB", "PE": "2010AC"},
    "2000B": {"IL": "2010BA", "PR": "2010BB"},
    "2000C": {"QC": "2010CA"},
}
_NAMES: dict[Kind, dict[str, dict[str, str]]] = {
    "professional": {
        "2300": {
            "DN": "2310A",
            "P3": "2310A",
            "82": "2310B",
            "77": "2310C",
            "DQ": "2310D",
            "PW": "2310E",
            "45": "2310F",
        },
        "2320": {"IL": "2330A", "PR": "2330B", "DN": "2330C", "P3": "2330C", "82": "2330D", "77": "2330E"}
        | {"DQ": "2330F", "85": "2330G"},
        "2400": {
            "82": "2420A",
            "QB": "2420B",
            "77": "2420C",
            "DQ": "2420D",
            "DK": "2420E",
            "DN": "2420F",
            "P3": "2420F",
        }
        | {"PW": "2420G", "45": "2420H"},
    },
    "institutional": {
        "2300": {"71": "2310A", "72": "2310B", "ZZ": "2310C", "82": "2310D", "77": "2310E", "DN": "2310F"},
        "2320": {"IL": "2330A", "PR": "2330B", "71": "2330C", "72": "2330D", "ZZ": "2330E", "77": "2330F"}
        | {"82": "2330G", "DN": "2330H", "85": "2330I"},
        "2400": {"72": "2420A", "ZZ": "2420B", "82": "2420C", "DN": "2420D"},
    },
}
_LINE_LOOPS = {"LX": "2400", "SV1": "2400", "SV2": "2400", "LIN": "2410", "SVD": "2430", "LQ": "2440"}
# Who these are decides whose claim it is: anywhere else but in their loops, an HL is missing.
_PLACED = frozenset({"40", "41", "85", "87", "PE", "IL", "PR", "QC"})
# What moves between loops; everything else stays in the loop in which it stands.
_MOVES = frozenset({"NM1", "SBR", *_LINE_LOOPS})
_STRUCTURE = ENVELOPE_SEGMENTS | {"HL", "CLM"}
_MOVING = _MOVES | _STRUCTURE


def read_loops(stream: BinaryIO) -> Iterator[X12Claim | End | X12Error]:
    """Every claim of a stream, in order, with the ends of the envelopes and what can't be read.

    Raises:
        OSError: the stream can't be read.
    """
    return _Walker().items(stream)


class _Walker(Envelopes[X12Claim]):
    """Where in the envelopes and loops the next segment stands."""

    def __init__(self) -> None:
        super().__init__()
        self._skipping = False  # a transaction set that is no 837
        self._claims = 0
        self._nowhere = Part(1)
        self._reset_set()

    def _reset_set(self) -> None:
        self._header = self._nowhere
        self._billing: Part | None = None
        self._subscriber: Part | None = None
        self._patient: Part | None = None
        self._claim: Part | None = None
        self._kind: Kind | None = None
        self._levels: dict[str, str] = {}  # level → HL01 of the one we are in
        self._broken: Fault | None = None  # the claim we are in can't be read
        self._broken_levels: dict[str, Fault] = {}  # level → why no claim under the one we are in can be read
        self._told: set[str] = set()  # levels whose fault a claim was reported with
        self._trimmed = False  # not all of what we are in was kept
        self._part = self._nowhere
        self._area = self._loop = _UNKNOWN

    def resume(self, kind: Kind, level: str, first: int) -> None:
        """Stand before the first segment of a level."""
        self._transaction = TransactionSet(no_interchange(self._separators), NO_GROUP, "", "", kind, "")
        self._billing = self._subscriber = self._nowhere
        self._number = first - 1
        self._part = Part(first)
        self._area = self._loop = level

    @property
    def part(self) -> Part:
        """The part that the last segment belongs to."""
        return self._part

    # ---- segments

    def walk(self, block: Block) -> Iterator[X12Claim | End | X12Error]:  # noqa: C901  (the hot path)
        """Take up the segments of a block."""
        if block.starts:
            yield from self.close()
            self._separators = block.separators
        separator = block.separators.element
        number, part, loop = self._number, self._part, self._loop
        segments, texts = part.segments, part.texts
        moving, moves, line_loops = _MOVING, _MOVES, _LINE_LOOPS
        for text in block.segments:
            elements = text.split(separator)
            segment_id = elements[0]
            if segment_id not in moving and segment_id.isalnum():
                number += 1
                segments.append((loop, elements))
                texts.append(text)
                continue
            if segment_id not in moving:  # blanks around it, or no segment at all
                text = text.strip(BLANK)  # noqa: PLW2901
                if not text:
                    continue
                elements = text.split(separator)
                segment_id = elements[0]
            number += 1
            self._number = number
            if segment_id in moves:
                if segment_id in line_loops and self._claim is not None:
                    loop = line_loops[segment_id]
                    if loop == "2400":
                        self._area = loop
                else:
                    self._loop = loop
                    loop = self._loop_of(segment_id, elements)
                segments.append((loop, elements))
                texts.append(text)
            elif segment_id in _STRUCTURE:
                yield from self._structure(segment_id, elements, text)
                number, part, loop = self._number, self._part, self._loop
                segments, texts = part.segments, part.texts
            else:
                segments.append((loop, elements))
                texts.append(text)
        self._number, self._loop = number, loop
        self._bound()
        if self._transaction is None:
            yield from self._outside()

    def _loop_of(self, segment_id: str, elements: list[str]) -> str:
        """The loop that an NM1 or SBR begins."""
        if segment_id == "SBR":
            if self._claim is None:
                return self._loop
            if self._area == "2400":
                self._misplaced("SBR behind the service lines", segment_id)
            self._area = "2320"
            return "2320"
        qualifier = elements[1] if len(elements) > 1 else ""
        if self._claim is None:
            names = _NAMES_ABOVE.get(self._area, _NOTHING)
        else:
            names = _NAMES[self._kind or "professional"][self._area]
        if qualifier not in names and qualifier in _PLACED and not self._skipping and self._transaction is not None:
            self._misplaced(f"NM1 {qualifier} outside of its loop", segment_id)
        return names.get(qualifier, _UNKNOWN)

    def _misplaced(self, problem: str, segment_id: str) -> None:
        """An HL is missing: neither the claim it stands in nor those that follow are surely of the patient."""
        expected = "an HL before each billing provider, subscriber and dependent"
        fault = Fault(problem, expected, self._number, segment_id, "7", whole=False)
        self._break_claim(fault)
        self._break_level(fault)

    def _bound(self) -> None:
        """Keep no more of anything than a claim may have."""
        part = self._part
        if self._skipping or self._transaction is None:
            del part.segments[_FEW:], part.texts[_FEW:]
        elif len(part.texts) > _FEW and sum(map(len, part.texts)) > LONGEST_CLAIM:
            del part.segments[_FEW:], part.texts[_FEW:]
            self._trimmed = True
            self._break(f"more than {LONGEST_CLAIM} characters in one loop", "claims of at most 999 lines", "", "4")

    def _outside(self) -> Iterator[X12Error]:
        if self._nowhere.texts:
            yield from self._stray_segment(self._nowhere.segments[0][1][0])
        self._nowhere = self._part = Part(1)

    def too_long(self, item: TooLong) -> Iterator[X12Claim | X12Error]:
        """A segment was skipped."""
        self._number += 1
        segment_id = item.beginning.split(self._separators.element)[0].strip()
        segment_id = segment_id if is_id(segment_id) else ""
        problem, expected = "segment too long", f"at most {LONGEST_SEGMENT} characters"
        if self._skipping:
            return
        if segment_id == "CLM" and self._levels:
            yield from self._end_claim()
            self._begin_claim(["CLM"], "CLM")
        if self._transaction is None or (self._claim is None and not self._levels):
            yield self._error(problem, expected, segment=self._transaction is not None, segment_id=segment_id, code="5")
        else:
            self._break(problem, expected, segment_id, "5")
            self._trimmed = True

    # ---- envelopes and levels

    def _structure(self, segment_id: str, elements: list[str], text: str) -> Iterator[X12Claim | End | X12Error]:
        if self._transaction is None:
            yield from self._outside()
        if segment_id in ("HL", "CLM") and (self._transaction is None or self._skipping):
            self._part.segments.append((_UNKNOWN, elements))
            self._part.texts.append(text)
        elif segment_id == "CLM":
            yield from self._end_claim()
            self._begin_claim(elements, text)
        elif segment_id == "HL":
            yield from self._end_claim()
            yield from self._level(elements)
        else:
            yield from self._envelope(segment_id, elements, text)

    def _begin_content(self, transaction_type: str, version: str) -> Iterator[X12Error]:
        assert self._transaction is not None
        self._reset_set()
        self._claims = 0
        self._skipping = transaction_type != "837" or (self._transaction.kind is None and version not in ("", "005010"))
        self._header = self._part = Part(2)
        self._area = "1000"
        if transaction_type != "837":
            yield self._not_read(transaction_type, version, "a claim", "837")
        elif self._skipping:
            yield self._not_read(transaction_type, version, "", "005010X222 (837P) or 005010X223 (837I)")

    def _level(self, elements: list[str]) -> Iterator[X12Error]:
        _, own, parent, level = (*elements, *PAD)[:4]
        part = Part(self._number + 1)
        self._part, self._area = part, _LEVELS.get(level, _UNKNOWN)
        self._loop = self._area
        if level == "20":
            self._billing, self._subscriber, self._patient = part, None, None
        elif level == "22":
            self._subscriber, self._patient = part, None
        else:
            self._patient = part
        rank = level if level in _LEVELS else _LOWEST
        for each in [each for each in (*_LEVELS, _LOWEST) if each >= rank]:
            self._levels.pop(each, None)
            yield from self._leave_level(each)
        self._levels[rank] = own
        above = _PARENTS.get(level)
        if level not in _LEVELS:
            self._break("HL03 is a level that an 837 has not", "20, 22 or 23", "HL", "8")
        elif above is not None and above not in self._levels:
            self._break(f"HL {level} without an HL {above} before it", "parents before their children", "HL", "8")
        elif above is not None and parent and parent != self._levels[above]:
            self._break(f"HL02 does not name the HL {above} before it", "children behind their parent", "HL", "8")

    def _leave_level(self, level: str) -> Iterator[X12Error]:
        """A fault of a level is reported with each claim that it lost; here, where it lost none that one knows of."""
        fault = self._broken_levels.pop(level, None)
        if fault is not None and level not in self._told:
            yield self._error(
                fault.problem, fault.expected, number=fault.number, segment_id=fault.segment_id, code=fault.code
            )
        self._told.discard(level)

    def _begin_claim(self, elements: list[str], text: str) -> None:
        self._claims += 1
        self._broken = None
        self._trimmed = self._trimmed and bool(self._broken_levels)
        self._claim = self._part = Part(self._number)
        self._area = self._loop = "2300"
        facility = (*elements, *PAD)[5].split(self._separators.component)
        assert self._transaction is not None
        self._kind = self._transaction.kind or (_KINDS.get(facility[1]) if len(facility) > 1 else None)
        self._part.segments.append(("2300", elements))
        self._part.texts.append(text)
        if self._subscriber is None or self._billing is None:
            expected = "HL 20 and HL 22 before CLM"
            self._break("claim before its billing provider and subscriber", expected, "CLM", "7", whole=True)
        elif self._kind is None:
            expected = "a version in GS08 or ST03"
            self._break("professional or institutional can't be told", expected, "CLM", "8", whole=True)

    def _break(self, problem: str, expected: str, segment_id: str, code: str, *, whole: bool = False) -> None:
        """The claim, or where no claim has begun, every claim under the level we are in, can't be read."""
        fault = Fault(problem, expected, self._number, segment_id, code, whole)
        if self._claim is None:
            self._break_level(fault)
        else:
            self._break_claim(fault)

    def _break_claim(self, fault: Fault) -> None:
        if self._claim is not None and self._broken is None:
            self._broken = fault

    def _break_level(self, fault: Fault) -> None:
        self._broken_levels.setdefault(max(self._levels, default=""), fault)

    def _end_claim(self, cut_off: str = "") -> Iterator[X12Claim | X12Error]:
        claim = self._claim
        if claim is None:
            return
        if cut_off:
            self._break(cut_off, "the whole claim, and SE behind the last one", "", "3")
        self._claim = None
        broken = self._broken
        if broken is None and self._broken_levels:
            broken = next(iter(self._broken_levels.values()))
            self._told.update(self._broken_levels)
        transaction, billing, subscriber, kind = self._transaction, self._billing, self._subscriber, self._kind
        assert transaction is not None
        if broken is None and billing is not None and subscriber is not None and kind is not None:
            parts = (self._header, billing, subscriber, self._patient, claim)
            yield X12Claim(transaction, kind, self._claims, *parts)
        elif broken is not None:
            whole = broken.whole and not self._trimmed
            yield lost_claim(
                transaction,
                self._claims,
                (self._header, billing, subscriber, self._patient, claim),
                broken._replace(whole=whole),
            )

    # ---- ends

    def _end_content(self, cut_off: str) -> Iterator[X12Claim | X12Error]:
        yield from self._end_claim(cut_off)
        for level in list(self._broken_levels):
            yield from self._leave_level(level)

    def _leave_content(self) -> None:
        self._skipping = False
        self._reset_set()
        self._nowhere = self._part = Part(1)


_FEW = 1_000


def claim_id(transaction: TransactionSet, number: int, claim: Part) -> str:
    """The id of a claim event: made of the envelopes' control numbers, so that it stays the same when read again.

    A lone transaction set has no envelopes: there the claim's own digest makes the difference.
    """
    sender = transaction.interchange.elements[6].strip()
    parts = [sender, transaction.interchange.control_number, transaction.group.control_number]
    if not any(parts):
        digest = sha256("".join(claim.texts).encode("latin-1")).hexdigest()
        return f"{_in_ids(transaction.control_number)}-{number}-{digest[:16]}"
    return "-".join([*map(_in_ids, parts), _in_ids(transaction.control_number), str(number)])


def lost_claim(transaction: TransactionSet, number: int, parts: Parts, fault: Fault) -> X12Error:
    """The error that stands in the place of a claim."""
    return X12Error(
        fault.problem,
        fault.expected,
        interchange=transaction.interchange.control_number,
        group=transaction.group.control_number,
        transaction=transaction.control_number,
        segment=fault.number,
        segment_id=fault.segment_id,
        code=fault.code,
        claim_id=claim_id(transaction, number, parts[-1]),
        raw=_interchange_of(transaction, number, parts) if fault.whole else b"",
    )


_in_ids = lru_cache(maxsize=1_024)(safe_control_number)


def part_of(kind: Kind, level: str, first: int, text: str, separators: Separators) -> Part:
    """One of the loops 2000A, 2000B, 2000C and 2300 with all in it, from its text alone."""
    walker = _Walker()
    walker.resume(kind, level, first)
    for _ in walker.walk(Block(separators, text.split(separators.terminator))):
        pass
    return walker.part


def _interchange_of(transaction: TransactionSet, number: int, parts: Parts) -> bytes:
    """One claim as an interchange of its own, its segments and the beginnings of its envelopes unchanged.

    Only ST02 is another, so that what is read of it again has an id of its own. A lone transaction set stays one.
    """
    header, billing_provider, subscriber, patient, claim = parts
    separators, group = transaction.interchange.separators, transaction.group
    element = separators.element
    control_number = f"{transaction.control_number}C{number}"
    beginning = transaction.text.split(element)
    beginning[2:3] = [control_number]
    texts = [element.join(beginning), *header.texts]
    levels = [(each, level) for each, level in ((billing_provider, "20"), (subscriber, "22"), (patient, "23")) if each]
    for position, (part, level) in enumerate(levels, 1):
        parent = str(position - 1) if position > 1 else ""
        child = "1" if position < len(levels) else "0"
        texts += [element.join(("HL", str(position), parent, level, child)), *part.texts]
    texts += claim.texts
    texts.append(element.join(("SE", str(len(texts) + 1), control_number)))
    if transaction.interchange.text:
        if group.text:
            texts = [group.text, *texts, element.join(("GE", "1", group.control_number))]
        texts = [
            transaction.interchange.text,
            *texts,
            element.join(("IEA", "1", transaction.interchange.control_number)),
        ]
    text = separators.terminator.join(texts) + separators.terminator
    if separators_of(text) != separators:
        return b""  # a lone set whose separators another claim has shown: alone it would be read otherwise
    return text.encode("latin-1")
