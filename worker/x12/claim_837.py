"""An 837 claim's segments → the content of a claim event.

Where each field stands: edi-837-guides, and the maps of 005010X222A1 and 005010X223A2. Codes and texts are taken as
they stand; a date that is none, or an amount that is no number, is left for the claim's own reader to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeAlias

from worker.x12.loops import Part, Segment, X12Claim, claim_id
from worker.x12.sets import Kind

Content: TypeAlias = dict[str, Any]

_PROVIDERS: dict[Kind, dict[str, dict[str, str]]] = {  # loop → NM101 → field
    "professional": {
        "2310A": {"DN": "referring_provider"},
        "2310B": {"82": "rendering_provider"},
        "2310C": {"77": "service_facility"},
        "2310D": {"DQ": "supervising_provider"},
        "2420A": {"82": "rendering_provider"},
        "2420C": {"77": "service_facility"},
        "2420D": {"DQ": "supervising_provider"},
        "2420E": {"DK": "ordering_provider"},
        "2420F": {"DN": "referring_provider"},
    },
    "institutional": {
        "2310A": {"71": "attending_provider"},
        "2310B": {"72": "operating_provider"},
        "2310C": {"ZZ": "other_operating_provider"},
        "2310D": {"82": "rendering_provider"},
        "2310E": {"77": "service_facility"},
        "2310F": {"DN": "referring_provider"},
        "2420A": {"72": "operating_provider"},
        "2420B": {"ZZ": "other_operating_provider"},
        "2420C": {"82": "rendering_provider"},
        "2420D": {"DN": "referring_provider"},
    },
}
_ENTITY_TYPES = {"1": "person", "2": "organization"}
_DIAGNOSES = {
    **dict.fromkeys(("ABK", "BK"), "principal"),
    **dict.fromkeys(("ABF", "BF"), "other"),
    **dict.fromkeys(("ABJ", "BJ"), "admitting"),
    **dict.fromkeys(("APR", "PR"), "reason_for_visit"),
    **dict.fromkeys(("ABN", "BN"), "external_cause"),
}
_DATED = {  # codes with a date: field of the list, and of the date
    "BH": ("occurrence_codes", "occurrence_date"),
    **dict.fromkeys(("BBR", "BR", "BBQ", "BQ"), ("inpatient_procedures", "procedure_date")),
}
_CLAIM_REFERENCES = {
    "F8": "original_reference_number",
    "G1": "prior_authorization_number",
    "9F": "referral_number",
    "D9": "clearinghouse_trace_number",
}
_LINE_REFERENCES = {"6R": "line_control_number", "G1": "prior_authorization_number", "9F": "referral_number"}
_TAX_NUMBERS = ("EI", "SY")
_CLAIM_OR_LINE = ("2300", "2400")
_PAD = [""] * 16
_MOST_DIGITS = 18


def claim_content(claim: X12Claim) -> Content:
    """The claim event of an 837 claim, as it will stand in JSON."""
    transaction = claim.transaction
    component = transaction.interchange.separators.component
    reading = Reading(claim.kind, component)
    content = reading.content
    content["claim_id"] = claim_id(transaction, claim.number, claim.claim)
    content["claim_type"] = claim.kind
    content["submitter_id"] = _submitter_id(claim.header)
    for part, read in (
        (claim.billing_provider, reading.billing_provider),
        (claim.subscriber, reading.subscriber),
        (claim.patient, reading.patient),
    ):
        if part is not None:
            content.update(_once(part, read))
    reading.claim(claim.claim.segments)
    content["x12"] = _source(claim)
    return content


def _once(part: Part, read: Callable[[Iterable[Segment]], Content]) -> Content:
    """What a part says, made once for all the claims that share it."""
    if part.content is None:
        part.content = read(part.segments)
    return part.content


class Reading:
    """A claim being read, segment by segment; the parts may come in pieces.

    Attributes:
        content: what the segments of the claim have said so far.
    """

    __slots__ = ("_component", "_kind", "_line", "_other_payer", "_provider", "_providers", "content")

    def __init__(self, kind: Kind, component: str) -> None:
        self.content: Content = {}
        self._kind = kind
        self._component = component
        self._providers = _PROVIDERS[kind]
        self._line: Content | None = None
        self._other_payer: Content = {}
        self._provider: Content = {}

    # ---- above the claim

    @staticmethod
    def billing_provider(segments: Iterable[Segment]) -> Content:
        """Loops 2000A and 2010AA; who is to be paid instead (2010AB, AC) is another matter."""
        provider: Content = {}
        for loop, elements in segments:
            if loop == "2010AA" or (loop == "2000A" and elements[0] == "PRV"):
                _read_provider(provider, elements)
        return {"billing_provider": provider}

    @staticmethod
    def subscriber(segments: Iterable[Segment]) -> Content:
        """Loops 2000B, 2010BA and 2010BB."""
        subscriber: Content = {}
        payer: Content = {}
        for loop, elements in segments:
            segment_id = elements[0]
            padded = elements + _PAD
            if loop == "2010BA":
                if segment_id == "NM1":
                    _put(subscriber, last_name=padded[3], first_name=padded[4], member_number=padded[9])
                elif segment_id == "DMG":
                    _put(subscriber, birth_date=iso_date(padded[2]), sex=padded[3])
            elif segment_id == "NM1" and loop == "2010BB":
                _put(payer, name=padded[3], payer_id=padded[9])
            elif segment_id == "SBR":
                _put(payer, responsibility=padded[1], filing_indicator=padded[9])
        return {"subscriber": subscriber, "payer": payer}

    @staticmethod
    def patient(segments: Iterable[Segment]) -> Content:
        """Loop 2010CA."""
        patient: Content = {}
        for loop, elements in segments:
            padded = elements + _PAD
            if loop == "2010CA" and elements[0] == "NM1":
                _put(patient, last_name=padded[3], first_name=padded[4])
            elif loop == "2010CA" and elements[0] == "DMG":
                _put(patient, birth_date=iso_date(padded[2]), sex=padded[3])
        return {"patient": patient}

    # ---- the claim

    def claim(self, segments: Iterable[Segment]) -> Content:
        """Loop 2300 and all in it."""
        for loop, elements in segments:
            read = self._SEGMENTS.get(elements[0])
            if read is not None:
                read(self, loop, elements + _PAD)
        return self.content

    def _claim_information(self, _: str, elements: list[str]) -> None:
        content = self.content
        facility, _, frequency = (elements[5].split(self._component) + _PAD)[:3]
        _put(content, patient_control_number=elements[1], total_charge_amount=elements[2], frequency_code=frequency)
        if self._kind == "professional":
            _put(content, place_of_service=facility)
        elif facility:
            content["type_of_bill"] = f"{facility:0>3}{frequency}"

    def _institutional_claim(self, _: str, elements: list[str]) -> None:
        _put(self.content, admission_type=elements[1], admission_source=elements[2], patient_status=elements[3])

    def _line_number(self, _: str, __: list[str]) -> None:
        self._begin_line()

    def _begin_line(self) -> Content:
        self._line = {}
        self._add("lines", self._line)
        return self._line

    def _service(self) -> Content:
        """The line that a service belongs to: a second service is a line of its own, though its LX is missing."""
        if self._line is None or "unit_of_measure" in self._line:
            return self._begin_line()
        return self._line

    def _professional_service(self, _: str, elements: list[str]) -> None:
        line = self._service()
        self._procedure(line, elements[1])
        _, _, charge, line["unit_of_measure"], units, line["place_of_service"], _, pointers = elements[:8]
        _put_numbers(line, charge, units)
        if pointers:
            each_pointer = pointers.split(self._component)
            line["diagnosis_pointers"] = [_whole_number(pointer) for pointer in each_pointer if pointer]

    def _institutional_service(self, _: str, elements: list[str]) -> None:
        line = self._service()
        self._procedure(line, elements[2])
        _, line["revenue_code"], _, charge, line["unit_of_measure"], units = elements[:6]
        _put_numbers(line, charge, units)

    def _procedure(self, line: Content, composite: str) -> None:
        if composite:
            _, *codes = composite.split(self._component)
            if codes:
                line["procedure_code"] = codes[0]
                modifiers = [each for each in codes[1:5] if each]
                if modifiers:
                    line["modifiers"] = modifiers

    def _date_or_period(self, loop: str, elements: list[str]) -> None:
        _, qualifier, form, value = elements[:4]
        first, last = iso_date(value), ""
        if form == "RD8":
            start, _, end = value.partition("-")
            first, last = iso_date(start), iso_date(end)
        if qualifier == "472":
            if self._line is not None:
                _put(self._line, service_date=first, service_date_through=last)
        elif qualifier == "434":
            _put(self.content, statement_from_date=first, statement_through_date=last or first)
        elif qualifier == "435" and loop == "2300":
            _put(self.content, admission_date=iso_date(value[:8]))
        elif qualifier == "096" and loop == "2300":
            _put(self.content, discharge_hour=value)
        elif qualifier == "573" and loop == "2330B":
            _put(self._other_payer, paid_date=first)
        elif qualifier == "573" and loop == "2430" and self._line:
            _put(self._line["adjudications"][-1], paid_date=first)

    def _reference(self, loop: str, elements: list[str]) -> None:
        qualifier, value = elements[1], elements[2]
        if loop == "2300":
            field = _CLAIM_REFERENCES.get(qualifier)
            if field is not None:
                _put(self.content, **{field: value})
        elif loop == "2400":
            field = _LINE_REFERENCES.get(qualifier)
            if field is not None and self._line is not None and not elements[4]:  # REF04: of another payer
                _put(self._line, **{field: value})
        elif loop in self._providers:
            _read_provider(self._provider, elements)

    def _name(self, loop: str, elements: list[str]) -> None:
        if loop == "2330B":
            _put(self._other_payer, name=elements[3], payer_id=elements[9])
            return
        self._provider = {}
        field = self._providers.get(loop, {}).get(elements[1])
        if field is not None:
            owner = self.content if self._line is None else self._line
            if field not in owner:
                owner[field] = self._provider
            _read_provider(self._provider, elements)

    def _of_provider(self, loop: str, elements: list[str]) -> None:
        if loop in self._providers:
            _read_provider(self._provider, elements)

    def _health_care_codes(self, loop: str, elements: list[str]) -> None:
        if loop == "2300":
            for composite in elements[1:13]:
                if composite:
                    self._health_care_code(composite.split(self._component) + _PAD)

    def _health_care_code(self, parts: list[str]) -> None:
        qualifier, code, _, date, amount = parts[:5]
        kind = _DIAGNOSES.get(qualifier)
        if kind is not None:
            self._add("diagnoses", _put({"code": code, "kind": kind}, present_on_admission=parts[8]))
        elif qualifier in _DATED:
            field, date_field = _DATED[qualifier]
            self._add(field, _put({"code": code}, **{date_field: iso_date(date)}))
        elif qualifier == "BE":
            self._add("value_codes", _put({"code": code}, amount=amount))
        elif qualifier == "BI":
            start, _, end = date.partition("-")
            self._add("occurrence_spans", _put({"code": code}, from_date=iso_date(start), through_date=iso_date(end)))
        elif qualifier == "BG":
            self._add("condition_codes", code)
        elif qualifier == "DR":
            self.content["diagnosis_related_group"] = code

    def _add(self, field: str, value: object) -> None:
        self.content.setdefault(field, []).append(value)

    def _note(self, loop: str, elements: list[str]) -> None:
        if loop in _CLAIM_OR_LINE:
            self._append("notes", {"qualifier": elements[1], "text": elements[2]})

    def _attachment(self, loop: str, elements: list[str]) -> None:
        if loop in _CLAIM_OR_LINE:
            fields = {"report_type": elements[1], "transmission": elements[2], "control_number": elements[6]}
            self._append("attachments", _put({}, **fields))

    def _fixed_format(self, loop: str, elements: list[str]) -> None:
        if loop in _CLAIM_OR_LINE:
            self._append("fixed_format", elements[1])

    def _certification(self, loop: str, elements: list[str]) -> None:
        if loop in _CLAIM_OR_LINE:
            certification = _put({}, category=elements[1], applies=elements[2])
            conditions = [each for each in elements[3:8] if each]
            if conditions:
                certification["conditions"] = conditions
            self._append("certifications", certification)

    def _repricing(self, loop: str, elements: list[str]) -> None:
        if loop in _CLAIM_OR_LINE:
            owner = self.content if self._line is None else self._line
            owner["repricing"] = _put(
                {},
                methodology=elements[1],
                allowed_amount=elements[2],
                savings_amount=elements[3],
                repricer_id=elements[4],
                reject_reason=elements[13],
            )

    def _drug(self, _: str, elements: list[str]) -> None:
        if elements[2] == "N4" and self._line is not None:
            _put(self._line, national_drug_code=elements[3])

    def _other_subscriber(self, _: str, elements: list[str]) -> None:
        self._other_payer = _put({}, responsibility=elements[1], filing_indicator=elements[9])
        self._add("other_payers", self._other_payer)

    def _amount(self, loop: str, elements: list[str]) -> None:
        if loop == "2320" and elements[1] == "D":
            _put(self._other_payer, paid_amount=elements[2])

    def _line_adjudication(self, _: str, elements: list[str]) -> None:
        if self._line is not None:
            self._append("adjudications", _put({}, payer_id=elements[1], paid_amount=elements[2]))

    def _append(self, field: str, value: object) -> None:
        owner = self.content if self._line is None else self._line
        owner.setdefault(field, []).append(value)

    _SEGMENTS: ClassVar[dict[str, Callable[[Reading, str, list[str]], None]]] = {
        "CLM": _claim_information,
        "CL1": _institutional_claim,
        "LX": _line_number,
        "SV1": _professional_service,
        "SV2": _institutional_service,
        "DTP": _date_or_period,
        "REF": _reference,
        "NM1": _name,
        "PRV": _of_provider,
        "N4": _of_provider,
        "HI": _health_care_codes,
        "NTE": _note,
        "PWK": _attachment,
        "K3": _fixed_format,
        "CRC": _certification,
        "HCP": _repricing,
        "LIN": _drug,
        "SBR": _other_subscriber,
        "AMT": _amount,
        "SVD": _line_adjudication,
    }


SEGMENTS_READ = frozenset({*Reading._SEGMENTS, "DMG"})  # noqa: SLF001
"""Ids of the segments that say anything that is read."""


def _read_provider(provider: Content, elements: list[str]) -> None:
    padded = elements + _PAD
    segment_id = padded[0]
    if segment_id == "NM1":
        entity_type = _ENTITY_TYPES.get(padded[2], "")
        npi = padded[9] if padded[8] == "XX" else ""
        _put(provider, name=padded[3], first_name=padded[4], entity_type=entity_type, npi=npi)
    elif segment_id == "PRV":
        _put(provider, taxonomy=padded[3])
    elif segment_id == "N4":
        _put(provider, state=padded[2])
    elif segment_id == "REF" and padded[1] in _TAX_NUMBERS:
        _put(provider, tax_number=padded[2])


def _put_numbers(line: Content, charge: str, units: str) -> None:
    if charge:
        line["charge_amount"] = charge
    if units:
        line["units"] = units


def _put(content: Content, **values: str) -> Content:
    """Set what is not blank and not there yet: the first of two says what holds."""
    for name, value in values.items():
        if value and name not in content:
            content[name] = value
    return content


def iso_date(value: str) -> str:
    """CCYYMMDD as CCYY-MM-DD; anything else as it is, to be refused."""
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 else value  # noqa: PLR2004


def _whole_number(value: str) -> int | str:
    return int(value) if value.isdecimal() and len(value) <= _MOST_DIGITS else value


def _submitter_id(header: Part) -> str:
    for loop, elements in header.segments:
        if loop == "1000A" and elements[0] == "NM1":
            return (elements + _PAD)[9]
    return ""


def _source(claim: X12Claim) -> Content:
    """Where the claim stood, and its own segments."""
    header = claim.header
    if header.content is None:
        header.content = _envelope(claim)
    terminator = claim.transaction.interchange.separators.terminator
    return {
        **header.content,
        "claim_number": claim.number,
        "encoding": "utf-8",
        "billing_provider": _text(claim.billing_provider, terminator),
        "subscriber": _text(claim.subscriber, terminator),
        "patient": None if claim.patient is None else _text(claim.patient, terminator),
        "claim": _text(claim.claim, terminator),
    }


def _envelope(claim: X12Claim) -> Content:
    """What all claims of a transaction set share."""
    transaction = claim.transaction
    isa, gs = transaction.interchange.elements, transaction.group.elements
    separators = transaction.interchange.separators
    return {
        "sender_qualifier": isa[5].strip(),
        "sender_id": isa[6].strip(),
        "receiver_qualifier": isa[7].strip(),
        "receiver_id": isa[8].strip(),
        "interchange_control_number": isa[13].strip(),
        "usage": isa[15].strip(),
        "group_sender": gs[2],
        "group_receiver": gs[3],
        "group_control_number": gs[6],
        "version": transaction.version,
        "transaction_control_number": transaction.control_number,
        "separators": "".join(separators),
        "header": _text(claim.header, separators.terminator),
    }


def _text(part: Part, terminator: str) -> Content:
    return {"first_segment": part.first, "segments": terminator.join(part.texts)}
