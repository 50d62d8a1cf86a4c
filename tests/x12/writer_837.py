"""Claim event content → 837 text, for tests: what a billing system would send for these claims.

A content is a claim event as JSON gives it (`rules/engine/examples.py` makes minimal ones). Every field that an 837 of
its claim type has a place for is written there as it is. `tests/x12/carried.py` says what has none, and which fixed
value stands for what an 837 must have and a content does not name.

Unmodelled elements that an 837 must have are constants. Some unmodelled segments stand where a careless reader would
take them for the claim's own: addresses, and the other payer's own insured, adjustments and reference numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.x12.carried import Content, filled

VERSIONS = {"professional": "005010X222A1", "institutional": "005010X223A2"}
_DATE, _TIME = "20260810", "1200"
_STREET = ["N3", "1 TEST STREET"]
_MOST_IN_HI = 12

# An element, or a composite of components; in a segment the id comes first.
Segment = Sequence[str | Sequence[str]]


def write_837(
    contents: Iterable[Content],
    *,
    separators: str = "*:^~",
    line_break: str = "\n",
    interchange_control_number: str = "000000905",
    group_control_number: str = "1",
    sender_id: str = "SENDERID",
    receiver_id: str = "RECEIVERID",
    usage: str = "T",
    version: str | None = None,
    per_transaction: int | None = None,
) -> str:
    """One interchange with these claims in their order; a functional group for each run of one claim type.

    Args:
        contents: the claims. Neighbours with the same billing provider, subscriber or patient share their loops.
        separators: element, component and repetition separator, segment terminator.
        line_break: what follows each terminator; nothing follows a terminator that is a line break itself.
        interchange_control_number: ISA13.
        group_control_number: GS06 of the first group; the following ones count on.
        sender_id: ISA06, GS02 and the submitter's NM109.
        receiver_id: ISA08, GS03 and the receiver's NM109.
        usage: ISA15.
        version: GS08 and ST03; by the claim type if None.
        per_transaction: the most claims in a transaction set; all of a group in one if None.

    Raises:
        ValueError: a value contains a separator.
    """
    element, component, repetition, terminator = tuple(separators)
    groups = [list(group) for _, group in itertools.groupby(contents, lambda content: content["claim_type"])]
    segments: list[Segment] = []
    for number, group in enumerate(groups):
        control_number = str(int(group_control_number) + number)
        named = version or VERSIONS[group[0]["claim_type"]]
        size = per_transaction or len(group)
        transactions = [group[start : start + size] for start in range(0, len(group), size)]
        segments.append(["GS", "HC", sender_id, receiver_id, _DATE, _TIME, control_number, "X", named])
        for position, claims in enumerate(transactions, 1):
            header: list[Segment] = [
                ["BHT", "0019", "00", f"{interchange_control_number}-{position}", _DATE, _TIME, "CH"],
                ["NM1", "41", "2", "TEST SUBMITTER", "", "", "", "", "46", sender_id],
                ["PER", "IC", "TEST DESK", "TE", "5555550100"],
                ["NM1", "40", "2", "TEST RECEIVER", "", "", "", "", "46", receiver_id],
            ]
            body = [*header, *_hierarchy([filled(claim) for claim in claims])]
            segments.append(["ST", "837", f"{position:04}", named])
            segments += body
            segments.append(["SE", str(len(body) + 2), f"{position:04}"])
        segments.append(["GE", str(len(transactions)), control_number])
    segments.append(["IEA", str(len(groups)), interchange_control_number])

    blank = " " * 10
    parties = ["ZZ", f"{sender_id:15}", "ZZ", f"{receiver_id:15}"]
    opening = ["ISA", "00", blank, "00", blank, *parties, _DATE[2:], _TIME, repetition, "00501"]
    isa = element.join([*opening, interchange_control_number, "0", usage, component])
    lines = [isa, *(_joined(segment, separators) for segment in segments)]
    return "".join(line + terminator + line_break * (terminator not in "\r\n") for line in lines)


def _joined(segment: Segment, separators: str) -> str:
    """The segment as text, without the empty elements and components at its end."""
    element, component = separators[:1], separators[1:2]
    texts = []
    for each in segment:
        parts = [each] if isinstance(each, str) else list(each)
        if any(set(separators) & set(part) for part in parts):
            raise ValueError(f"a value in a segment {segment[0]} contains a separator")
        texts.append(component.join(parts).rstrip(component))
    return element.join(texts).rstrip(element)


# ---- the hierarchy: billing provider (2000A), subscriber (2000B), patient (2000C)


def _hierarchy(claims: list[Content]) -> Iterator[Segment]:
    segments: list[Segment] = []
    levels: list[list[str]] = []  # the HL segments from the billing provider down to the current claim
    number = 0

    def open_level(depth: int, code: str) -> None:
        nonlocal number
        number += 1
        del levels[depth:]
        parent = ""
        if levels:
            levels[-1][4] = "1"  # it has a child
            parent = levels[-1][1]
        levels.append(["HL", str(number), parent, code, "0"])
        segments.append(levels[-1])

    billing_provider, insured, patient = None, None, None
    for claim in claims:
        if not levels or claim.get("billing_provider") != billing_provider:
            billing_provider, insured, patient = claim.get("billing_provider"), None, None
            open_level(0, "20")
            segments += _billing_provider(claim)
        # A subscriber's own claims stand before those of dependents, or in a loop of their own.
        if (_insured(claim) != insured) or (patient and not claim.get("patient")):
            insured, patient = _insured(claim), None
            open_level(1, "22")
            segments += _subscriber(claim)
        if claim.get("patient") and claim["patient"] != patient:
            patient = claim["patient"]
            open_level(2, "23")
            segments += _patient(patient)
        segments += _claim(claim)
    return iter(segments)


def _insured(claim: Content) -> tuple[Any, Any]:
    return claim["payer"], claim.get("subscriber")


def _billing_provider(claim: Content) -> Iterator[Segment]:
    provider = claim.get("billing_provider") or {}
    yield from _unless_blank("PRV", "BI", "PXC", provider.get("taxonomy"))
    yield _name("85", provider)
    yield from _address(provider)
    yield from _unless_blank("REF", "EI", provider.get("tax_number"))


def _subscriber(claim: Content) -> Iterator[Segment]:
    payer, subscriber = claim["payer"], claim.get("subscriber") or {}
    itself = "" if claim.get("patient") else "18"
    filing_indicator = _text(payer.get("filing_indicator"))
    yield ["SBR", _text(payer.get("responsibility")), itself, "", "", "", "", "", "", filing_indicator]
    yield _person("IL", subscriber, "MI", subscriber.get("member_number"))
    yield from _demographics(subscriber)
    yield _organization("PR", payer.get("name"), "PI", payer.get("payer_id"))


def _patient(patient: Content) -> Iterator[Segment]:
    yield ["PAT", "19"]
    yield _person("QC", patient)
    yield from _demographics(patient)


def _demographics(person: Content) -> Iterator[Segment]:
    yield _STREET
    yield ["N4", "TESTVILLE", "NV", "890010001"]
    if person.get("birth_date") or person.get("sex"):
        yield ["DMG", "D8", _date(person.get("birth_date")), _text(person.get("sex"))]


# ---- names


def _name(code: str, provider: Content) -> Segment:
    if provider.get("entity_type") == "person":
        return _person(code, {**provider, "last_name": provider.get("name")}, "XX", provider.get("npi"))
    return _organization(code, provider.get("name"), "XX", provider.get("npi"))


def _person(code: str, person: Content, qualifier: str = "", identifier: object = None) -> Segment:
    names = [_text(person.get("last_name")), _text(person.get("first_name")), "", "", ""]
    return ["NM1", code, "1", *names, *_qualified(qualifier, identifier)]


def _organization(code: str, name: object, qualifier: str, identifier: object) -> Segment:
    return ["NM1", code, "2", _text(name), "", "", "", "", *_qualified(qualifier, identifier)]


def _qualified(qualifier: str, identifier: object) -> list[str]:
    return [qualifier, _text(identifier)] if _text(identifier) else []


def _address(provider: Content) -> Iterator[Segment]:
    yield _STREET
    yield ["N4", "TESTTOWN", _text(provider.get("state")), "900010001"]


# Role → entity code and loop, in the order of the map.
_CLAIM_PROVIDERS = {
    "professional": {
        "referring_provider": "DN",  # 2310A
        "rendering_provider": "82",  # 2310B
        "service_facility": "77",  # 2310C
        "supervising_provider": "DQ",  # 2310D
    },
    "institutional": {
        "attending_provider": "71",  # 2310A
        "operating_provider": "72",  # 2310B
        "other_operating_provider": "ZZ",  # 2310C
        "rendering_provider": "82",  # 2310D
        "service_facility": "77",  # 2310E
        "referring_provider": "DN",  # 2310F
    },
}
_LINE_PROVIDERS = {
    "professional": {
        "rendering_provider": "82",  # 2420A
        "service_facility": "77",  # 2420C
        "supervising_provider": "DQ",  # 2420D
        "ordering_provider": "DK",  # 2420E
        "referring_provider": "DN",  # 2420F
    },
    "institutional": {
        "operating_provider": "72",  # 2420A
        "other_operating_provider": "ZZ",  # 2420B
        "rendering_provider": "82",  # 2420C
        "referring_provider": "DN",  # 2420D
    },
}
_TAXONOMIES = {("professional", "82"): "PE", ("institutional", "71"): "AT"}  # PRV01, where there is a PRV


def _providers(part: Content, roles: dict[str, str], claim_type: str) -> Iterator[Segment]:
    for role, code in roles.items():
        if provider := part.get(role):
            yield _name(code, provider)
            if (claim_type, code) in _TAXONOMIES:
                yield from _unless_blank("PRV", _TAXONOMIES[claim_type, code], "PXC", provider.get("taxonomy"))
            if role == "service_facility":
                yield from _address(provider)


# ---- the claim (2300) and its other payers (2320, 2330)


def _claim(claim: Content) -> Iterator[Segment]:
    claim_type = claim["claim_type"]
    frequency, type_of_bill = _text(claim.get("frequency_code")), _text(claim.get("type_of_bill"))
    if claim_type == "professional":
        place, signed = [_text(claim.get("place_of_service")), "B", frequency], "Y"
    else:
        place, signed = [type_of_bill[1:3], "A", frequency or type_of_bill[3:4]], ""
    total = _text(claim.get("total_charge_amount"))
    yield ["CLM", _text(claim.get("patient_control_number")), total, "", "", place, signed, "A", "Y", "Y"]
    if claim_type == "institutional":
        yield from _unless_blank("DTP", "096", "TM", claim.get("discharge_hour"))
        yield from _dates("434", claim.get("statement_from_date"), claim.get("statement_through_date"))
    yield from _dates("435", claim.get("admission_date"))
    if claim_type == "institutional":
        yield ["CL1", *(_text(claim.get(name)) for name in ("admission_type", "admission_source", "patient_status"))]
    yield from _attachments(claim)
    yield from _unless_blank("REF", "9F", claim.get("referral_number"))
    yield from _unless_blank("REF", "G1", claim.get("prior_authorization_number"))
    yield from _unless_blank("REF", "F8", claim.get("original_reference_number"))
    yield from _unless_blank("REF", "D9", claim.get("clearinghouse_trace_number"))
    yield from _remarks(claim)
    yield from _certifications(claim)
    yield from _health_care_information(claim)
    yield from _repricing(claim)
    yield from _providers(claim, _CLAIM_PROVIDERS[claim_type], claim_type)
    for payer in claim.get("other_payers") or ():
        yield from _other_payer(payer, claim_type)
    for number, line in enumerate(claim.get("lines") or (), 1):
        yield ["LX", str(number)]
        yield from _service_line(line, claim_type)


def _attachments(part: Content) -> Iterator[Segment]:
    for each in part.get("attachments") or ():
        control_number = _text(each.get("control_number"))
        qualifier = "AC" if control_number else ""
        yield ["PWK", _text(each["report_type"]), _text(each["transmission"]), "", "", qualifier, control_number]


def _remarks(part: Content) -> Iterator[Segment]:
    for text in part.get("fixed_format") or ():
        yield ["K3", text]
    for note in part.get("notes") or ():
        yield ["NTE", _text(note.get("qualifier")), _text(note.get("text"))]


def _certifications(part: Content) -> Iterator[Segment]:
    for each in part.get("certifications") or ():
        yield ["CRC", _text(each.get("category")), _text(each.get("applies")), *(each.get("conditions") or ())]


def _repricing(part: Content) -> Iterator[Segment]:
    if each := part.get("repricing"):
        names = ("methodology", "allowed_amount", "savings_amount", "repricer_id")
        yield ["HCP", *(_text(each.get(name)) for name in names), *[""] * 8, _text(each.get("reject_reason"))]


_DIAGNOSES = {
    "principal": "ABK",
    "other": "ABF",
    "admitting": "ABJ",
    "reason_for_visit": "APR",
    "external_cause": "ABN",
}


def _health_care_information(claim: Content) -> Iterator[Segment]:
    """The HI segments: first the diagnoses in the claim's order."""
    composites = []
    for each in claim.get("diagnoses") or ():
        present_on_admission = [""] * 6 + [_text(each.get("present_on_admission"))]
        code = _text(each.get("code")).replace(".", "")
        composites.append([_DIAGNOSES[each.get("kind", "other")], code, *present_on_admission])
    if claim["claim_type"] == "professional":
        yield from _in_hi(composite[:2] for composite in composites)
        yield from _in_hi(["BG", code] for code in claim.get("condition_codes") or ())
        return
    for _, alike in itertools.groupby(composites, lambda composite: composite[0]):
        yield from _in_hi(alike)
    procedures = claim.get("inpatient_procedures") or ()
    dated = [[_text(each.get("code")), *_dated(each.get("procedure_date"))] for each in procedures]
    yield from _unless_blank("HI", ["DR", _text(claim.get("diagnosis_related_group"))])
    yield from _in_hi(["BBR", *each] for each in dated[:1])
    yield from _in_hi(["BBQ", *each] for each in dated[1:])
    yield from _in_hi(
        ["BI", each["code"], "RD8", f"{_date(each['from_date'])}-{_date(each['through_date'])}"]
        for each in claim.get("occurrence_spans") or ()
    )
    yield from _in_hi(
        ["BH", each["code"], *_dated(each.get("occurrence_date"))] for each in claim.get("occurrence_codes") or ()
    )
    yield from _in_hi(["BE", each["code"], "", "", _text(each["amount"])] for each in claim.get("value_codes") or ())
    yield from _in_hi(["BG", code] for code in claim.get("condition_codes") or ())


def _in_hi(composites: Iterable[Sequence[str]]) -> Iterator[Segment]:
    all_of_them = list(composites)
    for start in range(0, len(all_of_them), _MOST_IN_HI):
        yield ["HI", *all_of_them[start : start + _MOST_IN_HI]]


def _other_payer(payer: Content, claim_type: str) -> Iterator[Segment]:
    signature = "P" if claim_type == "professional" else ""
    filing_indicator = _text(payer.get("filing_indicator"))
    yield ["SBR", _text(payer.get("responsibility")), "18", "", "", "", "", "", "", filing_indicator]
    yield ["CAS", "PR", "1", "12.34"]
    yield from _unless_blank("AMT", "D", payer.get("paid_amount"))
    yield ["OI", "", "", "Y", signature, "", "Y"]
    yield _person("IL", {"last_name": "Otherinsured", "first_name": "Sam"}, "MI", "OTHER0001")
    yield _organization("PR", payer.get("name"), "PI", payer.get("payer_id"))
    yield from _dates("573", payer.get("paid_date"))
    yield ["REF", "G1", "OTHERAUTHORIZATION"]
    yield ["REF", "F8", "OTHERREFERENCE"]


# ---- the service line (2400 to 2430)


def _service_line(line: Content, claim_type: str) -> Iterator[Segment]:
    professional = claim_type == "professional"
    code = _text(line.get("procedure_code"))
    procedure = ["HC", code, *(line.get("modifiers") or ())] if code else []
    charge, units, unit = (_text(line.get(name)) for name in ("charge_amount", "units", "unit_of_measure"))
    revenue_code = _text(line.get("revenue_code"))
    if professional:
        pointers = [str(pointer) for pointer in line.get("diagnosis_pointers") or ()]
        yield ["SV1", procedure, charge, unit, units, _text(line.get("place_of_service")), "", pointers]
    else:
        yield ["SV2", revenue_code, procedure, charge, unit, units]
    yield from _attachments(line)
    if professional:
        yield from _certifications(line)
    yield from _dates("472", line.get("service_date"), line.get("service_date_through"))
    if professional:
        yield from _unless_blank("REF", "G1", line.get("prior_authorization_number"))
    yield from _unless_blank("REF", "6R", line.get("line_control_number"))
    if professional:
        yield from _unless_blank("REF", "9F", line.get("referral_number"))
    yield from _remarks(line if professional else {"notes": line.get("notes")})
    yield from _repricing(line)
    if line.get("national_drug_code"):
        yield ["LIN", "", "N4", line["national_drug_code"]]
        yield ["CTP", "", "", "", "1", "UN"]
    yield from _providers(line, _LINE_PROVIDERS[claim_type], claim_type)
    for each in line.get("adjudications") or ():
        paid = _text(each.get("paid_amount"))
        yield ["SVD", _text(each.get("payer_id")), paid, procedure, "" if professional else revenue_code, units]
        yield from _dates("573", each.get("paid_date"))


# ---- elements


def _unless_blank(*elements: str | Sequence[str] | None) -> Iterator[Segment]:
    """The segment, unless its last element or component is blank."""
    *others, last = ["" if each is None else each if isinstance(each, list) else str(each) for each in elements]
    if last and last[-1]:
        yield [*others, last]


def _dates(qualifier: str, from_date: object, through_date: object = None) -> Iterator[Segment]:
    if _text(from_date):
        period = [_date(from_date), _date(through_date)] if _text(through_date) else [_date(from_date)]
        yield ["DTP", qualifier, "RD8" if len(period) > 1 else "D8", "-".join(period)]


def _dated(value: object) -> list[str]:
    return ["D8", _date(value)] if _text(value) else []


def _date(value: object) -> str:
    """CCYYMMDD; what is no date stays as it is."""
    return _text(value).replace("-", "")


def _text(value: object) -> str:
    return "" if value is None else str(value)
