"""What a response of a payer or clearinghouse says of one claim, and what those who read responses have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

Content = dict[str, Any]
NOTHING: tuple[ClaimReport, ...] = ()


class ClaimReport(NamedTuple):
    """What a response says of one claim.

    Attributes:
        number: of the segment that it begins with, in its transaction set.
        segment_id: of that segment.
        content: the claim status event, as far as the response says it.
        silence: why it says nothing of what became of the claim; blank if it does.
        fault: why it can't be read, and what is expected; blank if it can.
    """

    number: int
    segment_id: str
    content: Content
    silence: str = ""
    fault: tuple[str, str] = ("", "")


class Response(Protocol):
    """A transaction set being read, segment by segment."""

    member_place: str
    """Where a claim's member number stands, for messages."""

    @property
    def is_in_claim(self) -> bool:
        """Whether a claim has begun and not ended."""

    def read(self, number: int, elements: Sequence[str]) -> Iterable[ClaimReport]:
        """Take up a segment, which has at least as many elements as are asked for; what it completes."""

    def lose(self, segment_id: str) -> Iterable[ClaimReport]:
        """A segment could not be read: what was complete before it. The claim that it stood in is given up."""

    def end(self) -> Iterable[ClaimReport]:
        """The transaction set ends; what that completes."""


def said(**values: Any) -> Content:
    """A part of the event, without what is blank."""
    return {name: value for name, value in values.items() if value}
