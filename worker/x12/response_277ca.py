"""Decisions → 277CA, the claim acknowledgement (005010X214) that submitters already understand.

    HL 20   2000A information source: the receiver of the 837, as a clearinghouse (AY)
      HL 21   2000B information receiver: the submitter of the 837; totals of the transaction set
        HL 19   2000C billing provider; totals of the provider
          HL PT   2000D patient
            2200D claim: accepted, or rejected with a status for each finding
              2220D service line that was a reason to reject the claim

What a 277CA can't say is left out: it has no warnings, only accepted and rejected claims
(https://x12.org/resources/requests-for-interpretation, RFI 2203), and no line of an accepted claim (RFI 1211).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from rules import Claim, ClaimError, ServiceLine
from rules.engine.claim import X12Source
from worker.x12.envelope import (
    LARGEST_SET,
    Answered,
    ControlNumbers,
    OutgoingFile,
    Route,
    Written,
    errors_of,
    file_name,
    interchange,
    named,
    read_envelopes,
    route_of,
    segments_of,
)

_VERSION = "005010X214"
_RECEIVED = "A1:19:AY"
_REJECTED = frozenset({"A3", "A6", "A7", "A8"})
_NO_STATUS = ("A3", "0")  # a finding without a status: a rule that failed
# Entities that STC01-3 may name.
_ENTITIES = frozenset(
    {
        *("03", "1P", "1Z", "40", "41", "71", "72", "73", "77", "82", "85", "87", "DK", "DN", "DQ", "FA", "GB", "HK"),
        *("IL", "LI", "MSC", "PR", "PRP", "QB", "QC", "QD", "SEP", "TL", "TTP", "TU"),
    }
)
_PROCEDURE_QUALIFIERS = frozenset({"AD", "ER", "HC", "HP", "IV", "WK"})
_LONGEST_WORDS = 264
_STATUSES_A_LINE = 3
# Required elements that the claim did not say; saying so is better than no answer.
UNKNOWN = "UNKNOWN"
NO_CONTROL_NUMBER = "0"


class _Claim(NamedTuple):
    """A claim to be acknowledged."""

    answered: Answered
    claim: Claim

    @property
    def charge(self) -> Decimal:
        return self.claim.total_charge_amount or Decimal(0)


def acknowledgements(
    envelopes: Iterable[Mapping[str, Any]],
    *,
    at: datetime,
    control_number: int,
    accepted: Literal["A1", "A2"] = "A1",
) -> Written:
    """The 277CA files for a batch of decisions, one for each submitter, usage and encoding.

    A transaction set answers one transaction set of the submitter, as far as its claims are in the batch.

    Args:
        envelopes: `{"claim": {…}, "decision": {…}}`, as the cleared and flagged topics carry them.
        at: the time of writing.
        control_number: ISA13 of the first interchange.
        accepted: category of a cleared claim: A1, as a clearinghouse says it, which leaves A2 to the payer; or A2.

    Raises:
        ValueError: no control number from 1 to 999999999.
    """
    numbers = ControlNumbers(control_number)
    batch = read_envelopes(envelopes)
    errors = list(batch.errors)
    files: dict[tuple[str, ...], dict[Route, dict[tuple[str, ...], list[_Claim]]]] = {}
    for answered in batch.answered:
        source = answered.source
        try:
            fields = {name: value for name, value in answered.claim.items() if name != "x12"}
            claim = _Claim(answered, Claim.from_json(json.dumps(fields)))
        except ClaimError as error:
            errors.append(ClaimError(f"claim.{error.path}", error.problem, error.expected, answered.claim_id))
            continue
        route = route_of(source)
        file = (route.sender_qualifier, route.sender_id, route.usage, source["encoding"])
        numbers_of_set = (source["interchange_control_number"], source["group_control_number"])
        answered_set = (*numbers_of_set, source["transaction_control_number"], source["header"]["segments"])
        files.setdefault(file, {}).setdefault(route, {}).setdefault(answered_set, []).append(claim)
    written = []
    for (_, submitter, _, encoding), routes in files.items():
        first, texts, count = numbers.following, [], 0
        for route, sets in routes.items():
            back, number = route.back(), numbers.take()
            contents: list[list[str]] = []
            for claims in sets.values():
                ordered = [each for provider in _by_provider(claims) for patient in provider for each in patient]
                for start in range(0, len(ordered), LARGEST_SET):
                    reference = f"{number:09d}{len(contents) + 1:04d}"
                    some = ordered[start : start + LARGEST_SET]
                    contents.append(["277", *_TransactionSet(back, at, accepted).segments(some, reference)])
                count += len(claims)
            texts.append(interchange(back, "HN", _VERSION, contents, at=at, control_number=number))
        content = "".join(texts).encode(encoding, "replace")  # codes are upper-cased, which may leave latin-1
        written.append(OutgoingFile(file_name("277ca", submitter, first, "edi"), content, count))
    return Written(tuple(written), tuple(errors), 0, batch.repeated, numbers.following)


def _by_provider(claims: Iterable[_Claim]) -> list[list[list[_Claim]]]:
    """The claims by billing provider and patient."""
    providers: dict[str, dict[tuple[str, str], list[_Claim]]] = {}
    for claim in claims:
        source = claim.answered.source
        patient = (source["subscriber"]["segments"], source["patient"]["segments"] if source["patient"] else "")
        providers.setdefault(source["billing_provider"]["segments"], {}).setdefault(patient, []).append(claim)
    return [list(patients.values()) for patients in providers.values()]


class _TransactionSet:
    """Writes the segments between ST and SE of one transaction set."""

    def __init__(self, route: Route, at: datetime, accepted: str) -> None:
        self._route = route
        self._segment = route.segment
        self._at = at
        self._today = f"{at:%Y%m%d}"
        self._accepted = route.composite(accepted, "20")
        self._received = route.composite(*_RECEIVED.split(":"))
        self._levels = 0

    def segments(self, claims: Sequence[_Claim], reference: str) -> Iterator[str]:
        """All of them, for claims of one transaction set of the submitter."""
        segment = self._segment
        source = claims[0].answered.source
        yield segment("BHT", "0085", "08", reference, self._today, f"{self._at:%H%M}", "TH")
        receiver = named(source, source["header"], "40")
        yield self._level("", "20", "1")
        name, identifier = receiver[3] or UNKNOWN, receiver[9] or self._route.sender_id
        yield segment("NM1", "AY", "2", name, "", "", "", "", "46", identifier)
        yield segment("TRN", "1", reference)
        yield segment("DTP", "050", "D8", min(map(self._received_on, claims)))
        yield segment("DTP", "009", "D8", self._today)
        submitter = named(source, source["header"], "41")
        yield self._level("1", "21", "1")
        person = submitter[4:6] if submitter[2] == "1" else ["", ""]
        name, identifier = submitter[3] or UNKNOWN, submitter[9] or self._route.receiver_id
        yield segment("NM1", "41", submitter[2] or "2", name, *person, "", "", "46", identifier)
        yield segment("TRN", "2", _reference_of(source) or NO_CONTROL_NUMBER)
        yield segment("STC", self._received, self._today, "WQ", _amount(_total(claims)))
        yield from self._totals(claims, "90", "AA")
        for provider in _by_provider(claims):
            yield from self._provider(provider)

    def _provider(self, patients: Sequence[Sequence[_Claim]]) -> Iterator[str]:
        claims = [claim for patient in patients for claim in patient]
        level = str(self._levels + 1)
        yield self._level("2", "19", "1")
        yield self._segment("NM1", "85", *_billing_provider(claims[0]))
        yield self._segment("TRN", "1", "0")
        yield self._segment("STC", self._received, "", "WQ", _amount(_total(claims)))
        yield from self._totals(claims, "QA", "QC")
        for patient in patients:
            yield self._level(level, "PT", "")
            yield self._segment("NM1", "QC", *_patient(patient[0]))
            for claim in patient:
                yield from self._claim(claim)

    def _claim(self, claim: _Claim) -> Iterator[str]:
        segment, fields = self._segment, claim.claim
        findings = errors_of(claim.answered.decision)
        yield segment("TRN", "2", fields.patient_control_number or NO_CONTROL_NUMBER)
        charge = _amount(claim.charge)
        if claim.answered.is_cleared:
            yield segment("STC", self._accepted, self._today, "WQ", charge)
        elif not findings:
            yield segment("STC", self._route.composite(*_NO_STATUS), self._today, "U", charge)
        else:
            # Every finding, also those of lines: a line has room for three statuses only, and none for words.
            for each in findings:
                yield segment("STC", self._status(each), self._today, "U", charge, *[""] * 7, self._words(each))
        if fields.clearinghouse_trace_number:
            yield segment("REF", "D9", fields.clearinghouse_trace_number)
        if not fields.is_professional and fields.type_of_bill:
            yield segment("REF", "BLT", fields.type_of_bill.removeprefix("0"))
        yield self._dates(_service_dates(fields) or [self._received_on(claim)])
        if not claim.answered.is_cleared:
            yield from self._lines(claim, findings)

    def _lines(self, claim: _Claim, findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        statuses: dict[int, list[str]] = {}
        for finding in findings:
            number = finding.get("line")
            status = self._status(finding)
            if isinstance(number, int) and status not in statuses.setdefault(number, []):
                statuses[number].append(status)
        if not statuses:
            return
        qualifiers = _qualifiers(claim)
        for number, line in enumerate(claim.claim.lines, 1):
            if number not in statuses:
                continue
            procedure, revenue_code = self._procedure(line, qualifiers.get(number, ""))
            if not procedure:
                continue
            charge = _amount(line.charge_amount or Decimal(0))
            units = "" if line.units is None else _amount(line.units)
            yield self._segment("SVC", procedure, charge, "", revenue_code, "", "", units)
            first, *others = statuses[number][:_STATUSES_A_LINE]
            yield self._segment("STC", first, self._today, "U", *[""] * 6, *others)
            yield self._segment("REF", "FJ", line.line_control_number or str(number))
            if dates := _dates_of(line):
                yield self._dates(dates)

    def _procedure(self, line: ServiceLine, qualifier: str) -> tuple[str, str]:
        """SVC01 and SVC04; blank where the line has neither procedure nor revenue code."""
        if line.procedure_code:
            qualifier = qualifier if qualifier in _PROCEDURE_QUALIFIERS else "HC"
            return self._route.composite(qualifier, line.procedure_code, *line.modifiers[:4]), line.revenue_code
        return (self._route.composite("NU", line.revenue_code) if line.revenue_code else ""), ""

    def _status(self, finding: Mapping[str, Any]) -> str:
        category, code, entity = (*str(finding.get("status") or "").split(":"), "", "", "")[:3]
        if not code:
            category, code = _NO_STATUS
        category = category if category in _REJECTED else _NO_STATUS[0]
        return self._route.composite(category, code, entity if entity in _ENTITIES else "")

    def _words(self, finding: Mapping[str, Any]) -> str:
        """The rule and what to do: STC12. Remedies never hold a value of a claim."""
        line = f" line {finding['line']}" if finding.get("line") else ""
        words = f"{finding.get('rule_id') or ''}{line} - {finding.get('remedy') or ''}"
        return self._route.words(words)[:_LONGEST_WORDS].strip()

    def _totals(self, claims: Sequence[_Claim], accepted: str, rejected: str) -> Iterator[str]:
        parts = [[each for each in claims if each.answered.is_cleared is cleared] for cleared in (True, False)]
        for qualifier, some in zip((accepted, rejected), parts, strict=True):
            if some:
                yield self._segment("QTY", qualifier, str(len(some)))
        for qualifier, some in zip(("YU", "YY"), parts, strict=True):
            if some:
                yield self._segment("AMT", qualifier, _amount(_total(some)))

    def _level(self, parent: str, code: str, has_children: str) -> str:
        self._levels += 1
        return self._segment("HL", str(self._levels), parent, code, has_children)

    def _dates(self, dates: Sequence[str]) -> str:
        first, last = min(dates), max(dates)
        period = ("D8", first) if first == last else ("RD8", f"{first}-{last}")
        return self._segment("DTP", "472", *period)

    def _received_on(self, claim: _Claim) -> str:
        """The date of receipt that the decision went by."""
        try:
            return _day(date.fromisoformat(claim.answered.decision["received_date"]))
        except (KeyError, TypeError, ValueError):
            return self._today


def _billing_provider(claim: _Claim) -> list[str]:
    """NM102 to NM109: the NPI, else the tax number."""
    source, provider = claim.answered.source, claim.claim.billing_provider
    _, _, kind, name, *names = named(source, source["billing_provider"], "85")
    if provider.npi:
        identifier = ["XX", provider.npi]
    else:
        identifier = ["FI", provider.tax_number] if provider.tax_number else ["SV", UNKNOWN]
    return [kind or "2", name or UNKNOWN, *names[:4], *identifier]


def _patient(claim: _Claim) -> list[str]:
    """NM102 to NM109 of the patient, with the member number of the subscriber."""
    source = claim.answered.source
    subscriber = named(source, source["subscriber"], "IL")
    person = named(source, source["patient"], "QC") if source["patient"] else subscriber
    qualifier = subscriber[8] if subscriber[8] in ("MI", "II") else "MI"
    return ["1", person[3] or UNKNOWN, *person[4:8], qualifier, subscriber[9] or UNKNOWN]


def _reference_of(source: X12Source) -> str:
    """BHT03 of the submitter's transaction set."""
    for elements in segments_of(source, source["header"]):
        if elements[0] == "BHT":
            return "".join(elements[3:4])
    return ""


def _qualifiers(claim: _Claim) -> dict[int, str]:
    """The qualifier of each line's procedure code, by line number."""
    source = claim.answered.source
    qualifiers, number = {}, 0
    for elements in segments_of(source, source["claim"]):
        if elements[0] == "LX":
            number += 1
        elif elements[0] in ("SV1", "SV2"):
            composite = "".join(elements[1:2] if elements[0] == "SV1" else elements[2:3])
            qualifiers[number] = composite.split(source["separators"][1])[0]
    return qualifiers


def _service_dates(claim: Claim) -> list[str]:
    """The statement period of an institutional claim, else the dates of the lines."""
    statement = [each for each in (claim.statement_from_date, claim.statement_through_date) if each]
    if statement and not claim.is_professional:
        return [_day(each) for each in statement]
    return [each for line in claim.lines for each in _dates_of(line)]


def _dates_of(line: ServiceLine) -> list[str]:
    return [_day(each) for each in (line.service_date, line.service_date_through) if each]


def _day(day: date) -> str:
    return day.isoformat().replace("-", "")


def _total(claims: Iterable[_Claim]) -> Decimal:
    return sum((claim.charge for claim in claims), Decimal(0))


def _amount(value: Decimal) -> str:
    """Without needless zeros, as X12 wants it."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
