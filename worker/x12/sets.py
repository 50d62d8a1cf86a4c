"""The envelopes around transaction sets: ISA, GS, ST … SE, GE, IEA, verified as they end.

What stands in a transaction set is for those who extend `Envelopes`; they see to it that what is cut off is never taken
for whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import BinaryIO, Generic, Literal, NamedTuple, TypeVar

from worker.x12.errors import X12Error
from worker.x12.segments import Block, Separators, TooLong, read_segments

Kind = Literal["professional", "institutional"]
ENVELOPE_SEGMENTS = frozenset({"ISA", "GS", "ST", "SE", "GE", "IEA"})
PAD = ("",) * 17
_LONGEST_ID = 3
_LONGEST_VERSION = 20
_VERSIONS: dict[str, Kind] = {"005010X222": "professional", "005010X223": "institutional"}
_Found = TypeVar("_Found")


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


NO_GROUP = Group(("",) * 9, "")


def no_interchange(separators: Separators) -> Interchange:
    """What stands for the ISA of a lone transaction set."""
    return Interchange(separators, ("",) * 17, "")


class TransactionSet(NamedTuple):
    """An ST with the envelopes around it.

    Attributes:
        kind: of claims; None if neither ST nor GS says it.
    """

    interchange: Interchange
    group: Group
    control_number: str
    version: str
    kind: Kind | None
    text: str


class End(NamedTuple):
    """A transaction set, a group or an interchange ended.

    Attributes:
        transaction: the set; None where a group or an interchange ends.
        group: the group; None where an interchange ends.
    """

    interchange: Interchange
    group: Group | None
    transaction: TransactionSet | None


class Envelopes(ABC, Generic[_Found]):
    """Where in the envelopes the next segment stands.

    Those who extend it count segments in `_number`, and hand those of `ENVELOPE_SEGMENTS` to `_envelope`.
    """

    def __init__(self) -> None:
        self._interchange: Interchange | None = None
        self._group: Group | None = None
        self._transaction: TransactionSet | None = None
        self._stray = False  # segments outside of a transaction set: said once
        self._groups = self._sets = 0
        self._number = 0  # of the segment in the transaction set
        self._separators = Separators("*", ":", "^", "~")

    def items(self, stream: BinaryIO) -> Iterator[_Found | End | X12Error]:
        """What is found in a stream, in order, with the ends of the envelopes and what can't be read.

        Raises:
            OSError: the stream can't be read.
        """
        for item in read_segments(stream):
            if isinstance(item, Block):
                yield from self.walk(item)
            elif isinstance(item, TooLong):
                yield from self.too_long(item)
            else:
                yield from self.close()
                yield item
        yield from self.close()

    # ---- for those who extend it

    @abstractmethod
    def walk(self, block: Block) -> Iterator[_Found | End | X12Error]:
        """Take up the segments of a block."""

    @abstractmethod
    def too_long(self, item: TooLong) -> Iterator[_Found | X12Error]:
        """A segment was skipped."""

    @abstractmethod
    def _begin_content(self, transaction_type: str, version: str) -> Iterator[X12Error]:
        """A transaction set begins."""

    @abstractmethod
    def _end_content(self, cut_off: str) -> Iterator[_Found | X12Error]:
        """The transaction set ends; where it does not, `cut_off` says so."""

    @abstractmethod
    def _leave_content(self) -> None:
        """The transaction set has ended."""

    # ---- envelopes

    def _envelope(self, segment_id: str, elements: list[str], text: str) -> Iterator[_Found | End | X12Error]:
        if segment_id == "ST":
            yield from self._begin_set(elements, text)
        elif segment_id == "SE":
            yield from self._end_set(elements)
        elif segment_id == "GS":
            yield from self._close_set("GS")
            yield from self._close_group("GS")
            self._group = Group((*elements, *PAD)[:9], text)
            self._groups += 1
            self._sets = 0
        elif segment_id == "GE":
            yield from self._end_group(elements)
        elif segment_id == "IEA":
            yield from self._end_interchange(elements)
        else:
            self._interchange = Interchange(self._separators, (*elements, *PAD)[:17], text)
            self._groups = 0
            self._stray = False

    def _begin_set(self, elements: list[str], text: str) -> Iterator[_Found | End | X12Error]:
        yield from self._close_set("ST")
        interchange = self._interchange or no_interchange(self._separators)
        group = self._group or NO_GROUP
        _, transaction_type, control_number, version = (*elements, *PAD)[:4]
        version = version or group.elements[8]
        kind = _VERSIONS.get(version[:10])
        self._sets += 1
        self._number = 1
        self._transaction = TransactionSet(interchange, group, control_number, version, kind, text)
        yield from self._begin_content(transaction_type, version)

    def _end_set(self, elements: list[str]) -> Iterator[_Found | End | X12Error]:
        transaction = self._transaction
        if transaction is None:
            yield self._error("SE without an ST before it", "ST … SE", segment=False, code="2")
            return
        yield from self._end_content("")
        if not _counts(elements, self._number):
            counted = f"SE01 does not count the segments: there are {self._number}"
            yield self._error(counted, "their number, ST and SE included", segment_id="SE", element=1, code="4")
        if not _closes(elements, transaction.control_number):
            yield self._error(
                "SE02 is not the control number of the ST", "ST02 again", segment_id="SE", element=2, code="3"
            )
        yield from self._leave_set(transaction)

    def _close_set(self, before: str) -> Iterator[_Found | End | X12Error]:
        """End a transaction set that has no SE."""
        transaction = self._transaction
        if transaction is None:
            return
        where = f"before {before}" if before else "at the end of the input"
        yield from self._end_content(f"cut off {where}")
        yield self._error(f"transaction set without its SE {where}", "SE", code="2")
        yield from self._leave_set(transaction)

    def _leave_set(self, transaction: TransactionSet) -> Iterator[End]:
        yield End(transaction.interchange, transaction.group, transaction)
        self._transaction = None
        self._leave_content()

    def _end_group(self, elements: list[str]) -> Iterator[_Found | End | X12Error]:
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
        yield End(self._interchange or no_interchange(self._separators), self._group, None)
        self._group = None

    def _end_interchange(self, elements: list[str]) -> Iterator[_Found | End | X12Error]:
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

    def close(self) -> Iterator[_Found | End | X12Error]:
        """The input ends, or another interchange begins."""
        yield from self._close_set("")
        yield from self._close_group("")
        if self._interchange is not None:
            yield self._error("interchange without its IEA", "IEA", segment=False, code="023")
            yield End(self._interchange, None, None)
            self._interchange = None

    # ---- faults

    def _not_read(self, transaction_type: str, version: str, what: str, expected: str) -> X12Error:
        """A transaction set that is passed over: of another type, or, where `what` is blank, of another version."""
        if what:
            known = is_id(transaction_type)
            said = f"transaction set {transaction_type}" if known else "a transaction set of no known type"
            return self._error(f"{said} is not {what}", expected, segment_id="ST", code="1")
        known = version.isalnum() and len(version) <= _LONGEST_VERSION
        said = f"version {version}" if known else "a version that is not one"
        return self._error(f"{said} is not read", expected, segment_id="ST", code="I6")

    def _stray_segment(self, segment_id: str) -> Iterator[X12Error]:
        """A segment stands outside of a transaction set."""
        if not self._stray:
            self._stray = True
            said = f"segment {segment_id}" if is_id(segment_id) else "something"
            yield self._error(
                f"{said} outside of a transaction set", "ISA, GS, ST … SE, GE, IEA", segment=False, code="2"
            )

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
        kind: type[X12Error] = X12Error,
    ) -> X12Error:
        return kind(
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


def is_id(text: str) -> bool:
    """Whether it may be a segment's id, or a transaction set's type."""
    return 0 < len(text) <= _LONGEST_ID and text.isalnum() and text.isascii()


def _counts(trailer: list[str], number: int) -> bool:
    """Whether a trailer counts as many."""
    return (*trailer, "")[1].strip().lstrip("0") == str(number or "")


def _closes(trailer: list[str], control_number: str) -> bool:
    """Whether a trailer has the control number of its header."""
    return (*trailer, "", "")[2].strip() == control_number.strip()
