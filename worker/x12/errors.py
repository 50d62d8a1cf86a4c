"""What is wrong with X12 input, and where it stands."""

from __future__ import annotations

import re

from rules import ClaimError

_NOT_IN_CONTROL_NUMBERS = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_CONTROL_NUMBER = 20


def safe_control_number(text: str) -> str:
    """A control number fit for ids, messages and headers, whatever the input has in its place."""
    return _NOT_IN_CONTROL_NUMBERS.sub("_", text.strip()[:_LONGEST_CONTROL_NUMBER])


class X12Error(ClaimError):
    """A claim, a segment or an envelope that can't be read.

    Readers yield it in the place of what they could not read and go on; it is raised nowhere.

    Attributes:
        interchange, group, transaction: control numbers ISA13, GS06 and ST02, as far as they are known.
        segment: number of the segment within the transaction set (ST is 1); None outside of one.
        segment_id: for example `DTP`.
        element: position of the element in the segment, from 1, where the fault is in one.
        code: the error code a 999 gives for it: of IK403 with an element, IK304 with a segment, IK502 else.
        claim_id: id of the claim that was lost by it; None if the fault lost no claim.
        raw: the claim that was lost, to be mended: an interchange of its own, its segments unchanged, which is refused
            as it is. Empty where no claim was lost, or not all of it is there, or it is not sure whose it is.
    """

    def __init__(
        self,
        problem: str,
        expected: str,
        *,
        interchange: str = "",
        group: str = "",
        transaction: str = "",
        segment: int | None = None,
        segment_id: str = "",
        element: int | None = None,
        code: str = "",
        claim_id: str | None = None,
        raw: bytes = b"",
    ) -> None:
        interchange, group, transaction = map(safe_control_number, (interchange, group, transaction))
        named = (("interchange", interchange), ("group", group), ("transaction", transaction))
        where = [f"{name} {control_number}" for name, control_number in named if control_number]
        if segment is not None:
            where.append(f"segment {segment}" + (f" ({segment_id})" if segment_id else ""))
        super().__init__(", ".join(where) or "X12", problem, expected, claim_id)
        self.interchange = interchange
        self.group = group
        self.transaction = transaction
        self.segment = segment
        self.segment_id = segment_id
        self.element = element
        self.code = code
        self.raw = raw


class NoStatusError(X12Error):
    """What says nothing of what became of a claim: it is named and passed over, and is no fault."""
