"""An 835 (005010X221A1) → what it says of each claim: paid, or denied.

    BPR, DTM 405   1000A payer (N1 PR, REF 2U)   1000B payee (N1 PE)
      LX  2000
        CLP  2100 claim: CAS, NM1 QC patient, IL insured, 74 corrected, REF F8
          SVC  2110 service line: CAS

What has become of the claim (CLP02; https://x12.org/resources/requests-for-interpretation):

- 1, 2, 3, and 19, 20, 21, which were sent on as well: processed, which is not to say paid (RFI 1423). With money in
  CLP04 it is paid. Without, the reasons of the adjustments decide: if one of them is a share that is somebody else's to
  pay (the patient's deductible or coinsurance, an earlier payer's payment), the claim was allowed, and counts as paid;
  else it is denied.
- 4: denied; the patient is not recognised (RFI 1423).
- 22: a payment is taken back. The correction, which the payer should send right behind it (RFI 791), says what holds
  from then on; where none comes, nothing was paid for what was done, which is what `denied` says.
- 23: not this payer's claim, and sent on: denied by this one.
- 25: a predetermination, no answer to a claim (RFI 1941).

The member number is the one that the claim was sent with, as its history is held under that: the insured's, else the
patient's, who is the insured then (RFI 2227). A corrected one only serves where there is no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

from worker.x12.claim_837 import iso_date
from worker.x12.reports import NOTHING, ClaimReport, Content, said

_PROCESSED = frozenset({"1", "2", "3", "19", "20", "21"})
_DENIED = frozenset({"4", "22", "23"})
_PREDETERMINATION = "25"
# Deductible 1, 66, 247; coinsurance 2, 248; copayment 3, 241; an earlier payer 23; paid to the patient 100.
_ALLOWED_REASONS = frozenset({"1", "2", "3", "23", "66", "100", "241", "247", "248"})
_REASONS = range(2, 18, 3)
_MEMBER_NUMBERS = {"IL": 0, "QC": 1, "74": 2}  # NM101, best first
_MEMBER_NUMBER_QUALIFIERS = frozenset({"MI", "II", "HN", "MR", "C", ""})
_PRODUCED = "405"
_BEGINNINGS = frozenset({"CLP", "LX", "PLB"})


class Remittance:
    """An 835 being read, segment by segment."""

    member_place = "NM1*IL or NM1*QC with NM108 MI and the member number in NM109"

    def __init__(self, component: str) -> None:
        del component  # no composite is looked into
        self._paid_on = self._produced_on = ""
        self._party = ""  # N101 of the loop we are in
        self._payer: Content = {}
        self._npi = ""
        self._claim: ClaimReport | None = None
        self._clp: Sequence[str] = ()
        self._is_in_line = False
        self._is_adjusted = self._is_allowed = False
        self._member_numbers: dict[int, str] = {}
        self._patients = 0

    @property
    def is_in_claim(self) -> bool:
        return self._claim is not None

    def read(self, number: int, elements: Sequence[str]) -> Iterable[ClaimReport]:
        segment_id = elements[0]
        if segment_id in _BEGINNINGS:
            reports = self._end_claim()
            if segment_id == "CLP":
                self._begin_claim(number, elements)
            return reports
        if self._claim is None:
            self._header(segment_id, elements)
        elif segment_id == "CAS":
            reasons = {elements[position] for position in _REASONS} - {""}
            self._is_adjusted |= bool(reasons)
            self._is_allowed |= not reasons.isdisjoint(_ALLOWED_REASONS)
        elif segment_id == "SVC":
            self._is_in_line = True
        elif segment_id == "NM1" and elements[1] in _MEMBER_NUMBERS:
            self._patients += elements[1] == "QC"
            if elements[8] in _MEMBER_NUMBER_QUALIFIERS:
                self._member_numbers.setdefault(_MEMBER_NUMBERS[elements[1]], elements[9])
        elif segment_id == "REF" and elements[1] == "F8" and not self._is_in_line:
            self._claim.content["original_reference_number"] = elements[2]
        return NOTHING

    def lose(self, segment_id: str) -> Iterable[ClaimReport]:
        reports = self._end_claim() if segment_id in _BEGINNINGS else NOTHING
        self._claim = None
        return reports

    def end(self) -> Iterable[ClaimReport]:
        return self._end_claim()

    def _header(self, segment_id: str, elements: Sequence[str]) -> None:
        if segment_id == "BPR":
            self._paid_on = elements[16]
        elif segment_id == "DTM" and elements[1] == _PRODUCED:
            self._produced_on = elements[2]
        elif segment_id == "N1":
            self._party = elements[1]
            _, _, name, qualifier, identifier, *_ = elements
            if self._party == "PR":
                self._payer = said(name=name, payer_id=identifier if qualifier == "XV" else "")
            elif self._party == "PE":
                self._npi = identifier if qualifier == "XX" else ""
        elif segment_id == "REF" and elements[1] == "2U" and self._party == "PR":
            self._payer["payer_id"] = elements[2]

    def _begin_claim(self, number: int, elements: Sequence[str]) -> None:
        self._claim = ClaimReport(number, "CLP", {})
        self._clp = elements
        self._is_in_line = self._is_adjusted = self._is_allowed = False
        self._member_numbers = {}
        self._patients = 0

    def _end_claim(self) -> Iterable[ClaimReport]:
        claim, self._claim = self._claim, None
        if claim is None:
            return NOTHING
        _, patient_control_number, code, _, _, _, filing_indicator, payer_number, *_ = self._clp
        if code == _PREDETERMINATION:
            return (claim._replace(silence="a predetermination (CLP02 25)"),)
        fault, status = ("", ""), "denied"
        if self._patients != 1:
            fault = (
                f"{'more than one' if self._patients else 'no'} patient (NM1*QC) in the claim",
                "one after each CLP",
            )
        elif code in _PROCESSED:
            fault, status = self._processed()
        elif code not in _DENIED:
            fault = ("CLP02 is not a claim status that is known", "1, 2, 3, 4, 19, 20, 21, 22, 23 or 25")
        if fault[0]:
            return (claim._replace(fault=fault),)
        numbers = [self._member_numbers.get(rank, "") for rank in sorted(_MEMBER_NUMBERS.values())]
        content = said(
            payer=said(**self._payer, filing_indicator=filing_indicator),
            member_number=next(filter(None, numbers), ""),
            status=status,
            status_date=iso_date(self._paid_on or self._produced_on),
            patient_control_number=patient_control_number,
            billing_npi=self._npi,
            payer_claim_control_number=payer_number,
            original_reference_number=claim.content.get("original_reference_number"),
        )
        return (claim._replace(content=content),)

    def _processed(self) -> tuple[tuple[str, str], str]:
        """The status of a claim that was processed; or why it can't be told, and what is expected."""
        try:
            charge, paid = map(Decimal, self._clp[3:5])
            if paid > 0 or charge == 0 or self._is_allowed:
                return ("", ""), "paid"
        except InvalidOperation:
            return ("CLP03 or CLP04 is not an amount", "the charge and what was paid"), ""
        if not self._is_adjusted:
            return ("nothing was paid, and no adjustment says why", "CAS with the reasons"), ""
        return ("", ""), "denied"
