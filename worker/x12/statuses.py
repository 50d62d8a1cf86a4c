"""X12 responses (277CA, 835) → claim status events, in constant memory.

What a response says of each claim is for `acknowledgement_277ca` and `remittance_835`. A claim is handed on when the
segment behind its last one is there: what is cut off is never taken for whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, TypedDict

from pydantic_core import to_json

from rules import ClaimError
from worker.status import ClaimStatus
from worker.x12.acknowledgement_277ca import Acknowledgement
from worker.x12.errors import NoStatusError, X12Error
from worker.x12.events import recoded
from worker.x12.remittance_835 import Remittance
from worker.x12.reports import ClaimReport, Content, Response
from worker.x12.segments import BLANK, LONGEST_SEGMENT, Block, TooLong
from worker.x12.sets import ENVELOPE_SEGMENTS, PAD, End, Envelopes, TransactionSet, is_id

_READERS: dict[str, tuple[str, Callable[[str], Response]]] = {
    "277": ("005010X214", Acknowledgement),
    "835": ("005010X221", Remittance),
}
_EXPECTED = "005010X214 (277CA) or 005010X221 (835)"
_CLAIMS = ("TRN", "CLP")  # segments that a claim begins with
_NAMES_NO_MEMBER = "a status for each claim: those of the 277CA, or send them as JSON"
_NO_MEMBER_NUMBER = "the claim has no member number, without which the member's claims can't be found"


class _Place(TypedDict):
    """Where a claim begins."""

    number: int
    segment_id: str


class StatusEvent(NamedTuple):
    """A claim status event made of a 277CA or an 835.

    Attributes:
        raw: the event in JSON.
        number: position of the claim in its transaction set, from 1.
    """

    raw: bytes
    status: ClaimStatus
    transaction: TransactionSet
    number: int


def read_statuses(stream: BinaryIO) -> Iterator[StatusEvent | X12Error]:
    """The claim status events of a stream of interchanges or lone transaction sets, and what can't be read, in order.

    What says nothing of a claim is among the errors as a `NoStatusError`.

    Raises:
        OSError: the stream can't be read.
    """
    for item in _Walker().items(stream):
        if not isinstance(item, End):
            yield item


class _Walker(Envelopes[StatusEvent]):
    """Where in the envelopes the next segment stands, and the response that it is of."""

    def __init__(self) -> None:
        super().__init__()
        self._response: Response | None = None
        self._claims = 0

    def walk(self, block: Block) -> Iterator[StatusEvent | End | X12Error]:
        """Take up the segments of a block."""
        if block.starts:
            yield from self.close()
            self._separators = block.separators
        for each in block.segments:
            text = each.strip(BLANK)
            if not text:
                continue
            elements = text.split(self._separators.element)
            segment_id = elements[0]
            self._number += 1
            if segment_id in ENVELOPE_SEGMENTS:
                yield from self._envelope(segment_id, elements, text)
            elif self._response is not None:
                for report in self._response.read(self._number, [*elements, *PAD]):
                    yield self._item(report, self._response)
            elif self._transaction is None:
                yield from self._between(segment_id)

    def too_long(self, item: TooLong) -> Iterator[StatusEvent | X12Error]:
        """A segment was skipped."""
        self._number += 1
        if self._transaction is not None and self._response is None:
            return
        segment_id = item.beginning.split(self._separators.element)[0].strip()
        segment_id = segment_id if is_id(segment_id) else ""
        if self._response is not None:
            for report in self._response.lose(segment_id):
                yield self._item(report, self._response)
        yield self._error(
            "segment too long",
            f"at most {LONGEST_SEGMENT} characters",
            segment=self._transaction is not None,
            segment_id=segment_id,
        )

    def _between(self, segment_id: str) -> Iterator[X12Error]:
        if segment_id == "TA1":
            yield self._error("a TA1 names no claim", _NAMES_NO_MEMBER, segment=False, kind=NoStatusError)
        else:
            yield from self._stray_segment(segment_id)

    def _begin_content(self, transaction_type: str, version: str) -> Iterator[X12Error]:
        known, reader = _READERS.get(transaction_type, ("", None))
        self._claims = 0
        if transaction_type == "999":
            said = "a 999 names no member and no claim"
            yield self._error(said, _NAMES_NO_MEMBER, segment_id="ST", kind=NoStatusError)
        elif reader is None:
            yield self._not_read(transaction_type, version, "an answer to claims", _EXPECTED)
        elif version[:10] != known and version not in ("", "005010"):
            yield self._not_read(transaction_type, version, "", _EXPECTED)
        else:
            self._response = reader(self._separators.component)

    def _end_content(self, cut_off: str) -> Iterator[StatusEvent | X12Error]:
        response = self._response
        if response is None:
            return
        if not cut_off:
            for report in response.end():
                yield self._item(report, response)
        elif response.is_in_claim:
            yield self._error(cut_off, "the whole claim, and SE behind the last one")

    def _leave_content(self) -> None:
        self._response = None

    def _item(self, report: ClaimReport, response: Response) -> StatusEvent | X12Error:
        """The event that a report makes, or why it makes none."""
        self._claims += report.segment_id in _CLAIMS
        place = _Place(number=report.number, segment_id=report.segment_id)
        problem, expected = report.fault
        if not problem and report.silence:
            return self._error(report.silence, "an answer to a claim", kind=NoStatusError, **place)
        if not problem and not report.content.get("member_number"):
            problem, expected = _NO_MEMBER_NUMBER, f"{response.member_place}; or send this status as JSON"
        if not problem:
            raw = _json(report.content)
            try:
                assert self._transaction is not None
                return StatusEvent(raw, ClaimStatus.from_json(raw), self._transaction, self._claims)
            except ClaimError as error:
                problem = error.problem if error.path == "$" else f"{error.path}: {error.problem}"
                expected = "a date as CCYYMMDD" if error.problem == "not a date" else error.expected
        return self._error(problem, expected, **place)


def _json(content: Content) -> bytes:
    raw = to_json(content)
    if raw.isascii():
        return raw
    try:
        return to_json(recoded(content))
    except UnicodeDecodeError:
        return raw
