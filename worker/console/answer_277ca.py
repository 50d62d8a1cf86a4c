"""A flagged claim's 277CA as it may be shown: who the member is, is left out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from rules import ClaimError
from worker.answers import clock_control_number, described
from worker.x12.response_277ca import acknowledgements

HIDDEN = "HIDDEN"
_PATIENT = ("NM1", "QC")
_NAME, _GIVEN_NAMES, _NUMBER = 3, (4, 5, 6, 7), 9


def masked_277ca(envelope: bytes, at: datetime) -> str:
    """The 277CA about one decided claim, a segment a line, without the patient's name, numbers and account.

    Args:
        envelope: value of a record of the flagged or cleared topic.
        at: the time of writing.

    Raises:
        ClaimError: the claim did not come as an 837, or can't be answered as one.
    """
    written = acknowledgements([json.loads(envelope)], at=at, control_number=clock_control_number())
    if written.errors:
        raise ClaimError("$", described(written.errors[0]), "a claim that came as an 837")
    return "\n".join(_masked(written.files[0].content.decode("utf-8", "replace"))) + "\n"


def _masked(text: str) -> Iterator[str]:
    """Of the patient's level: NM103 to NM107 and NM109 of the name, TRN02 and REF02 of the claim."""
    element, terminator = text[3], text[105]  # where ISA says which characters separate
    is_patient = False
    for segment in filter(None, (each.strip("\r\n") for each in text.split(terminator))):
        parts = segment.split(element)
        if parts[0] in ("HL", "SE"):
            is_patient = False
        if tuple(parts[:2]) == _PATIENT:
            is_patient = True
            for place in (_NAME, _NUMBER):
                if len(parts) > place:
                    parts[place] = HIDDEN
            for place in _GIVEN_NAMES:
                if len(parts) > place:
                    parts[place] = ""
        elif is_patient and parts[0] in ("TRN", "REF") and parts[1] != "BLT":
            parts[2] = HIDDEN
        yield element.join(parts) + terminator
