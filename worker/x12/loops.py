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
from typing import BinaryIO, Literal, NamedTuple

from worker.x12.errors import X12Error, safe_control_number
from worker.x12.segments import BLANK, LONGEST_SEGMENT, Block, Separators, TooLong, read_segments, separators_of

LONGEST_CLAIM = 1_048_576
"""Characters of one loop 2000A, 2000B, 2000C or 2300; an 837 claim of 999 lines has about 300,000."""

Kind = Literal["professional", "institutional"]
Segment = tuple[str, list[str]]
"""Loop and elements; the segment's id is element 0."""


class Interchange(NamedTuple):
    """An ISA, or that of a lone transaction set: all blank."""

    separators: Separators
    elements: tuple[str, ...]
    text: str

    @property
    def control_number(self) -> str:
        return self.elements[13].strip()


class Group(NamedTuple):
    """A GS, with as many elements as there should be."""

    elements: tuple[str, ...]
    text: str

    @property
    def control_number(self) -> str:
        return self.elements[6].strip()


_NO_GROUP = Group(("",) * 9, "")


def _no_interchange(separators: Separators) -> Interchange:
    """What stands for the ISA of a lone transaction set."""
    return Interchange(separators, ("",) * 17, "")


class TransactionSet(NamedTuple):
    """An ST with the envelopes around it.

    Attributes:
        kind: None if neither ST nor GS says it.
    """

    interchange: Interchange
    group: Group
    control_number: str
    version: str
    kind: Kind | None
    text: str


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


class End(NamedTuple):
    """A transaction set, a group or an interchange ended.

    Attributes:
        transaction: the set; None where a group or an interchange ends.
        group: the group; None where an interchange ends.
    """

    interchange: Interchange
    group: Group | None
    transaction: TransactionSet | None


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


_VERSIONS: dict[str, Kind] = {"005010X222": "professional", "005010X223": "institutional"}
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
_STRUCTURE = frozenset({"ISA", "GS", "ST", "HL", "CLM", "SE", "GE", "IEA"})
_MOVING = _MOVES | _STRUCTURE


def read_loops(stream: BinaryIO) -> Iterator[X12Claim | End | X12Error]:
    """Every claim of a stream, in order, with the ends of the envelopes and what can't be read.

    Raises:
        OSError: the stream can't be read.
    """
    walker = _Walker()
    for item in read_segments(stream):
        if isinstance(item, Block):
            yield from walker.walk(item)
        elif isinstance(item, TooLong):
            yield from walker.too_long(item)
        else:
            yield from walker.close()
            yield item
    yield from walker.close()


class _Walker:
    """Where in the envelopes and loops the next segment stands."""

    def __init__(self) -> None:
        self._interchange: Interchange | None = None
        self._group: Group | None = None
        self._transaction: TransactionSet | None = None
        self._skipping = False  # a transaction set that is no 837
        self._stray = False  # segments outside of a transaction set: said once
        self._groups = self._sets = self._claims = 0
        self._number = 0  # of the segment in the transaction set
        self._separators = Separators("*", ":", "^", "~")
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
        self._transaction = TransactionSet(_no_interchange(self._separators), _NO_GROUP, "", "", kind, "")
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
        if self._nowhere.texts and not self._stray:
            self._stray = True
            segment_id = self._nowhere.segments[0][1][0]
            said = f"segment {segment_id}" if _is_id(segment_id) else "something"
            yield self._error(
                f"{said} outside of a transaction set", "ISA, GS, ST … SE, GE, IEA", segment=False, code="2"
            )
        self._nowhere = self._part = Part(1)

    def too_long(self, item: TooLong) -> Iterator[X12Claim | X12Error]:
        """A segment was skipped."""
        self._number += 1
        segment_id = item.beginning.split(self._separators.element)[0].strip()
        segment_id = segment_id if _is_id(segment_id) else ""
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
        elif segment_id == "ST":
            yield from self._begin_set(elements, text)
        elif segment_id == "SE":
            yield from self._end_set(elements)
        elif segment_id == "GS":
            yield from self._close_set("GS")
            yield from self._close_group("GS")
            self._group = Group((*elements, *_PAD)[:9], text)
            self._groups += 1
            self._sets = 0
        elif segment_id == "GE":
            yield from self._end_group(elements)
        elif segment_id == "IEA":
            yield from self._end_interchange(elements)
        else:
            self._interchange = Interchange(self._separators, (*elements, *_PAD)[:17], text)
            self._groups = 0
            self._stray = False

    def _begin_set(self, elements: list[str], text: str) -> Iterator[X12Claim | End | X12Error]:
        yield from self._close_set("ST")
        interchange = self._interchange or _no_interchange(self._separators)
        group = self._group or _NO_GROUP
        _, transaction_type, control_number, version = (*elements, *_PAD)[:4]
        version = version or group.elements[8]
        kind = _VERSIONS.get(version[:10])
        self._reset_set()
        self._sets += 1
        self._claims = 0
        self._number = 1
        self._transaction = TransactionSet(interchange, group, control_number, version, kind, text)
        self._skipping = transaction_type != "837" or (kind is None and version not in ("", "005010"))
        self._header = self._part = Part(2)
        self._area = "1000"
        if transaction_type != "837":
            said = (
                f"transaction set {transaction_type}"
                if _is_id(transaction_type)
                else "a transaction set of no known type"
            )
            yield self._error(f"{said} is not a claim", "837", segment_id="ST", code="1")
        elif self._skipping:
            said = (
                f"version {version}"
                if version.isalnum() and len(version) <= _LONGEST_VERSION
                else "a version that is not one"
            )
            yield self._error(
                f"{said} is not read", "005010X222 (837P) or 005010X223 (837I)", segment_id="ST", code="I6"
            )

    def _level(self, elements: list[str]) -> Iterator[X12Error]:
        _, own, parent, level = (*elements, *_PAD)[:4]
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
        facility = (*elements, *_PAD)[5].split(self._separators.component)
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

    def _end_set(self, elements: list[str]) -> Iterator[X12Claim | End | X12Error]:
        transaction = self._transaction
        if transaction is None:
            yield self._error("SE without an ST before it", "ST … SE", segment=False, code="2")
            return
        yield from self._end_claim()
        yield from self._leave_levels()
        if not _counts(elements, self._number):
            counted = f"SE01 does not count the segments: there are {self._number}"
            yield self._error(counted, "their number, ST and SE included", segment_id="SE", element=1, code="4")
        if not _closes(elements, transaction.control_number):
            yield self._error(
                "SE02 is not the control number of the ST", "ST02 again", segment_id="SE", element=2, code="3"
            )
        yield from self._leave_set(transaction)

    def _close_set(self, before: str) -> Iterator[X12Claim | End | X12Error]:
        """End a transaction set that has no SE."""
        transaction = self._transaction
        if transaction is None:
            return
        where = f"before {before}" if before else "at the end of the input"
        yield from self._end_claim(f"cut off {where}")
        yield from self._leave_levels()
        yield self._error(f"transaction set without its SE {where}", "SE", code="2")
        yield from self._leave_set(transaction)

    def _leave_levels(self) -> Iterator[X12Error]:
        for level in list(self._broken_levels):
            yield from self._leave_level(level)

    def _leave_set(self, transaction: TransactionSet) -> Iterator[End]:
        yield End(transaction.interchange, transaction.group, transaction)
        self._transaction = None
        self._skipping = False
        self._reset_set()
        self._nowhere = self._part = Part(1)

    def _end_group(self, elements: list[str]) -> Iterator[X12Claim | End | X12Error]:
        yield from self._close_set("GE")
        group = self._group
        if group is None:
            yield self._error("GE without a GS before it", "GS … GE", segment=False)
            return
        if not _counts(elements, self._sets):
            yield self._error(
                f"GE01 does not count the transaction sets: there are {self._sets}",
                "their number",
                segment=False,
                code="5",
            )
        if not _closes(elements, group.control_number):
            yield self._error("GE02 is not the control number of the GS", "GS06 again", segment=False, code="4")
        yield from self._leave_group()

    def _close_group(self, before: str) -> Iterator[End | X12Error]:
        if self._group is not None:
            where = f"before {before}" if before else "at the end of the input"
            yield self._error(f"functional group without its GE {where}", "GE", segment=False, code="3")
            yield from self._leave_group()

    def _leave_group(self) -> Iterator[End]:
        assert self._group is not None
        yield End(self._interchange or _no_interchange(self._separators), self._group, None)
        self._group = None

    def _end_interchange(self, elements: list[str]) -> Iterator[X12Claim | End | X12Error]:
        yield from self._close_set("IEA")
        yield from self._close_group("IEA")
        interchange = self._interchange
        if interchange is None:
            yield self._error("IEA without an ISA before it", "ISA … IEA", segment=False)
            return
        if not _counts(elements, self._groups):
            said = f"IEA01 does not count the functional groups: there are {self._groups}"
            yield self._error(said, "their number", segment=False, code="021")
        if not _closes(elements, interchange.control_number):
            yield self._error("IEA02 is not the control number of the ISA", "ISA13 again", segment=False, code="001")
        yield End(interchange, None, None)
        self._interchange = None

    def close(self) -> Iterator[X12Claim | End | X12Error]:
        """The input ends, or another interchange begins."""
        yield from self._close_set("")
        yield from self._close_group("")
        if self._interchange is not None:
            yield self._error("interchange without its IEA", "IEA", segment=False, code="023")
            yield End(self._interchange, None, None)
            self._interchange = None

    def _error(
        self,
        problem: str,
        expected: str,
        *,
        segment: bool = True,
        number: int | None = None,
        segment_id: str = "",
        element: int | None = None,
        code: str = "",
    ) -> X12Error:
        return X12Error(
            problem,
            expected,
            interchange=self._interchange.control_number if self._interchange else "",
            group=self._group.control_number if self._group else "",
            transaction=self._transaction.control_number if self._transaction else "",
            segment=(number or self._number) if segment else None,
            segment_id=segment_id,
            element=element,
            code=code,
        )


_PAD = ("",) * 17
_FEW = 1_000
_LONGEST_ID = 3
_LONGEST_VERSION = 20


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


def _counts(trailer: list[str], number: int) -> bool:
    """Whether a trailer counts as many."""
    return (*trailer, "")[1].strip().lstrip("0") == str(number or "")


def _closes(trailer: list[str], control_number: str) -> bool:
    """Whether a trailer has the control number of its header."""
    return (*trailer, "", "")[2].strip() == control_number.strip()


def _is_id(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_ID and text.isalnum() and text.isascii()
