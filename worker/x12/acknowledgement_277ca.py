"""A 277CA (005010X214) → what it says of each claim: taken in, or rejected.

    HL 20   2000A information source: the payer (PR), or a clearinghouse (AY), which does not say whose claims they are
      HL 21   2000B information receiver
        HL 19   2000C billing provider
          HL PT   2000D patient
            2200D claim: TRN, STC, REF 1K and D9
              2220D service line

The category of STC01, STC10 and STC11 says what has become of the claim (https://x12.org/codes; edi-ack-guides):

- A3, A6, A7, A8: rejected, never adjudicated. One of them is enough.
- A0 forwarded, A1 received, A2 taken in, A5 split as it was taken in: accepted. A0 and A1 may be a clearinghouse's word
  only, but the claim is on its way, and counts like one that waits for its first answer.
- P and R, pending and information wanted: accepted. The guide leaves them to other transactions
  (https://x12.org/resources/requests-for-interpretation, RFI 1942), but payers send them (uhc-smart-edits, R1:294).
- A4 not found, D and E search or system failed, X supplement, F finalized: no word on whether the claim was taken in.
  What finalized means is for the 835 to say.

The words of service lines (2220D) only explain what is said of their claim. Where a receiver or billing provider is
rejected as a whole (2200B, 2200C) and no claim follows, the claims are not named, which is a fault to be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from worker.x12.claim_837 import iso_date
from worker.x12.reports import NOTHING, ClaimReport, Content, said
from worker.x12.response_277ca import NO_CONTROL_NUMBER, UNKNOWN

_REJECTED = frozenset({"A3", "A6", "A7", "A8"})
_ACCEPTED = frozenset({"A0", "A1", "A2", "A5"})
_ON_ITS_WAY = ("P", "R")
_SILENT = ("A4", "D", "E", "F", "X")
_LEVELS = {"20": 0, "21": 1, "19": 2, "PT": 3}
_PATIENT = "PT"
_LEVEL_OF = {"AY": "20", "PR": "20", "41": "21", "85": "19", "QC": _PATIENT}
_MEMBER_NUMBERS = frozenset({"MI", "II", ""})
_PAYER_IDS = frozenset({"PI", "XV", "46"})
_NUMBERS = {"1K": "payer_claim_control_number", "D9": "clearinghouse_trace_number"}
_STATUSES = (1, 10, 11)
_BEGINNINGS = frozenset({"HL", "TRN"})


class Acknowledgement:
    """A 277CA being read, segment by segment."""

    member_place = "NM1*QC with NM108 MI and the member number in NM109"

    def __init__(self, component: str) -> None:
        self._component = component
        self._level = ""
        self._payer: Content = {}
        self._processed = ""
        self._npi = ""
        self._member_number = ""
        self._refused: dict[str, int] = {}  # level → segment that rejects all under it, while no claim is named
        self._claim: ClaimReport | None = None
        self._categories: set[str] = set()
        self._is_in_line = False
        self._is_past_status = False  # of the claim or line: another STC is another's

    @property
    def is_in_claim(self) -> bool:
        return self._claim is not None

    def read(self, number: int, elements: Sequence[str]) -> Iterable[ClaimReport]:
        segment_id = elements[0]
        if segment_id == "HL":
            return self._begin_level(number, elements[3])
        if segment_id == "NM1":
            return self._name(number, elements)
        if segment_id == "TRN" and self._level == _PATIENT:
            return self._begin_claim(number, segment_id, elements[2])
        if segment_id == "STC":
            return self._status(number, elements)
        if segment_id == "SVC":
            self._is_in_line, self._is_past_status = True, False
        elif segment_id in ("REF", "DTP"):
            self._is_past_status = True
            if segment_id == "DTP" and elements[1] == "009" and self._level == "20":
                self._processed = elements[3]
            elif self._claim is not None and not self._is_in_line and elements[1] in _NUMBERS:
                self._claim.content[_NUMBERS[elements[1]]] = elements[2]
        return NOTHING

    def lose(self, segment_id: str) -> Iterable[ClaimReport]:
        reports = self._end_claim() if segment_id in _BEGINNINGS else NOTHING
        self._claim = None
        self._member_number = ""  # the segment may have been another patient's
        return reports

    def end(self) -> Iterable[ClaimReport]:
        return [*self._end_claim(), *self._refusals(min(_LEVELS.values()))]

    # ---- levels

    def _begin_level(self, number: int, level: str) -> Iterable[ClaimReport]:
        reports = [*self._end_claim(), *self._refusals(_LEVELS.get(level, 0))]
        if level not in _LEVELS:
            fault = ("HL03 is a level that a 277CA has not; what stands under it is not read", "20, 21, 19 or PT")
            reports.append(ClaimReport(number, "HL", {}, fault=fault))
        self._level = level
        self._member_number = ""
        if level != _PATIENT:
            self._npi = ""
        if level == "20":
            self._payer, self._processed = {}, ""
        return reports

    def _name(self, number: int, elements: Sequence[str]) -> Iterable[ClaimReport]:
        _, entity, _, name, *_ = elements
        qualifier, identifier = elements[8], elements[9]
        level = _LEVEL_OF.get(entity, "")
        if not level:
            return NOTHING
        # An HL may be missing: what follows is another's all the same.
        reports = self._begin_level(number, level) if level != self._level or self.is_in_claim else NOTHING
        if entity == "PR":
            self._payer = said(name=name, payer_id=identifier if qualifier in _PAYER_IDS else "")
        elif entity == "85":
            self._npi = identifier if qualifier == "XX" else ""
        elif entity == "QC":
            is_member_number = qualifier in _MEMBER_NUMBERS and identifier != UNKNOWN
            self._member_number = identifier if is_member_number else ""
        return reports

    def _refusals(self, rank: int) -> Iterator[ClaimReport]:
        """Where all under a level was rejected that ends now, and no claim was named."""
        for level in [level for level in self._refused if _LEVELS[level] >= rank]:
            fault = (
                "everything under it is rejected, and no claim is named",
                "claims with their members; send their statuses as JSON",
            )
            yield ClaimReport(self._refused.pop(level), "STC", {}, fault=fault)

    # ---- claims

    def _begin_claim(self, number: int, segment_id: str, patient_control_number: str) -> Iterable[ClaimReport]:
        reports = self._end_claim()
        self._refused.clear()
        content = {
            "payer": self._payer,
            "member_number": self._member_number,
            "billing_npi": self._npi,
            "patient_control_number": patient_control_number if patient_control_number != NO_CONTROL_NUMBER else "",
        }
        self._claim = ClaimReport(number, segment_id, said(**content))
        self._categories = set()
        self._is_in_line = self._is_past_status = False
        return reports

    def _status(self, number: int, elements: Sequence[str]) -> Iterable[ClaimReport]:
        categories = {elements[position].partition(self._component)[0] for position in _STATUSES} - {""}
        if self._level in ("21", "19"):
            if categories & _REJECTED:
                self._refused[self._level] = number
            return NOTHING
        if self._level != _PATIENT:
            return NOTHING
        if self._claim is None or self._is_past_status:
            fault = ("a status without its claim (TRN) or service line (SVC) before it", "TRN or SVC, then STC")
            return [*self._end_claim(), ClaimReport(number, "STC", {}, fault=fault)]
        if self._is_in_line:
            return NOTHING
        self._claim.content.setdefault("status_date", iso_date(elements[2]))
        self._categories |= categories
        return NOTHING

    def _end_claim(self) -> Iterable[ClaimReport]:
        claim, self._claim = self._claim, None
        if claim is None:
            return NOTHING
        content, categories = claim.content, self._categories
        content["status_date"] = content.get("status_date") or iso_date(self._processed)
        if categories & _REJECTED:
            content["status"] = "rejected"
        elif any(category in _ACCEPTED or category.startswith(_ON_ITS_WAY) for category in categories):
            content["status"] = "accepted"
        elif not categories:
            return (claim._replace(fault=("no status with the claim", "STC with a category in STC01")),)
        elif all(category.startswith(_SILENT) for category in categories):
            return (claim._replace(silence="a status category that is no word on whether the claim was taken in"),)
        else:
            return (claim._replace(fault=("a status category that is not known", "A0 to A8 in STC01")),)
        return (claim._replace(content=said(**content)),)
