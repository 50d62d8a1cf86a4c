"""The 837 files in `samples/`: what they hold, and `python -m tests.x12.make_samples` writes them anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rules.engine.examples import (
    CLINIC_NPI,
    HOSPITAL_NPI,
    SERVICE_DATE,
    SURGEON_NPI,
    a_facility_line,
    a_line,
    claim_content,
    facility_claim_content,
)
from tests.x12.carried import Content
from tests.x12.writer_837 import write_837

FOLDER = Path(__file__).parent / "samples"

_MEDICARE = {"name": "MEDICARE PART B", "payer_id": "01112", "filing_indicator": "MB", "responsibility": "P"}
_MEDICARE_A = {**_MEDICARE, "name": "MEDICARE PART A", "payer_id": "01111", "filing_indicator": "MA"}
_AETNA = {"name": "AETNA", "payer_id": "60054", "filing_indicator": "CI", "responsibility": "P"}
_CIGNA = {"name": "CIGNA", "payer_id": "62308", "filing_indicator": "CI", "responsibility": "P"}
_CLINIC = {
    "name": "Example Spine Clinic",
    "entity_type": "organization",
    "npi": CLINIC_NPI,
    "tax_number": "001234567",
    "taxonomy": "207T00000X",
    "state": "CA",
}
_SOLE_SURGEON = {
    "name": "Surgeon",
    "first_name": "Robin",
    "entity_type": "person",
    "npi": SURGEON_NPI,
    "tax_number": "002345678",
    "state": "NV",
}
_SURGEON = {"name": "Surgeon", "first_name": "Robin", "entity_type": "person", "npi": SURGEON_NPI}
_HOSPITAL = {"name": "Example Hospital", "entity_type": "organization", "npi": HOSPITAL_NPI, "state": "CA"}
_VISIT: dict[str, Any] = {
    "procedure_code": "99213",
    "charge_amount": "180.00",
    "modifiers": ["25"],
    "diagnosis_pointers": [2, 1],
}
_LEADS = {"procedure_code": "63650", "units": "2", "charge_amount": "7200.00"}
_TWO_DIAGNOSES = [{"code": "M961", "kind": "principal"}, {"code": "G894"}]
# More than one HI segment holds.
_SECONDARY_DIAGNOSES = [
    *("G894", "E119", "I10", "Z950", "F329", "E785", "N189", "J449", "G4733", "E669", "K219", "M1990", "D649", "E039"),
]


class Sample(NamedTuple):
    """A file of the samples, and the contents of its claims in their order."""

    text: str
    contents: list[Content]


def samples() -> dict[str, Sample]:
    """File name → sample."""
    one = [_claim("PCN-ONE")]
    hospital = [_hospital_claim("PCN-OUTPATIENT")]
    many = _many()
    made: dict[str, tuple[list[Content], dict[str, Any]]] = {
        "professional": (one, {}),
        "professional-many": (many, {}),
        "professional-dependent": (_dependents(), {}),
        "professional-secondary": ([_secondary()], {}),
        "professional-line-providers": ([_line_providers()], {}),
        "professional-attachments": ([_with_attachments()], {}),
        "institutional-outpatient": (hospital, {}),
        "institutional-inpatient": ([_inpatient()], {}),
        "institutional-secondary": ([_hospital_secondary()], {}),
        "transaction-sets": (many, {"per_transaction": 2}),
        "both-types": ([*one, *hospital, *many[:2]], {"usage": "P"}),
        "separators": (one, {"separators": "|>^\n"}),
        "one-line": (one, {"separators": "*>!'", "line_break": ""}),
        "carriage-returns": (one, {"line_break": "\r\n"}),
        "version-x222": (one, {"version": "005010X222"}),
        "version-x222a2": (one, {"version": "005010X222A2"}),
        "version-x223": (hospital, {"version": "005010X223"}),
        "version-x223a1": (hospital, {"version": "005010X223A1"}),
        "version-x223a3": (hospital, {"version": "005010X223A3"}),
    }
    found = {name: Sample(write_837(contents, **arguments), contents) for name, (contents, arguments) in made.items()}
    second = write_837(hospital, separators="|>!\n", interchange_control_number="000000906", sender_id="OTHERSENDER")
    others = [{**content, "submitter_id": "OTHERSENDER"} for content in hospital]
    found["two-interchanges"] = Sample(found["professional"].text + second, [*one, *others])
    return {f"{name}.837": sample for name, sample in found.items()}


def _claim(patient_control_number: str, payer: Content = _MEDICARE, **changes: Any) -> Content:
    fixed = {
        "patient_control_number": patient_control_number,
        "payer": payer,
        "billing_provider": _CLINIC,
        "rendering_provider": {**_SURGEON, "taxonomy": "207T00000X"},
        "service_facility": _HOSPITAL,
        "clearinghouse_trace_number": f"TRACE-{patient_control_number}",
    }
    return claim_content(**{**fixed, **changes})


def _hospital_claim(patient_control_number: str, **changes: Any) -> Content:
    fixed = {
        "patient_control_number": patient_control_number,
        "payer": _MEDICARE_A,
        "billing_provider": {**_HOSPITAL, "tax_number": "007654321", "taxonomy": "282N00000X"},
        "attending_provider": {**_SURGEON, "taxonomy": "207T00000X"},
        "operating_provider": _SURGEON,
        "prior_authorization_number": "UTN0000000001",
        "admission_type": "3",
        "admission_source": "1",
        "patient_status": "01",
        "diagnoses": [
            {"code": "M961", "kind": "principal"},
            {"code": "G894", "kind": "reason_for_visit"},
            {"code": "Z950"},
            {"code": "E119"},
            {"code": "Y831", "kind": "external_cause"},
        ],
        "condition_codes": ["49", "50"],
        "value_codes": [{"code": "FD", "amount": "21000.00"}, {"code": "A1", "amount": "12.5"}],
        "occurrence_codes": [{"code": "11", "occurrence_date": "2026-01-15"}],
        "occurrence_spans": [{"code": "72", "from_date": "2026-08-01", "through_date": "2026-08-03"}],
        "lines": [
            a_facility_line(modifiers=["LT"], line_control_number="LINE-1"),
            a_facility_line("C1767", revenue_code="0278", charge_amount="21000.00", service_date_through="2026-08-04"),
            a_facility_line("", revenue_code="0250", units="3", charge_amount="75.25", service_date=None),
        ],
    }
    return facility_claim_content(**{**fixed, **changes})


def _member(number: str, last_name: str) -> Content:
    return {
        "member_number": number,
        "last_name": last_name,
        "first_name": "Avery",
        "birth_date": "1955-03-01",
        "sex": "F",
    }


def _many() -> list[Content]:
    """Two claims of one subscriber, and others of other subscribers, payers and billing providers."""
    other, third = _member("W123456780", "Otherexample"), _member("U0001112223", "Thirdexample")
    leads = [a_line(), a_line(**_LEADS, modifiers=["59", "LT"])]
    replacement = {"frequency_code": "7", "original_reference_number": "PAYERCLAIM-5"}
    return [
        _claim("PCN-1"),
        _claim("PCN-2", lines=[a_line(**_VISIT)], diagnoses=_TWO_DIAGNOSES, place_of_service="11"),
        _claim("PCN-3", _AETNA, subscriber=other, prior_authorization_number="AUTH-3", lines=leads),
        _claim("PCN-4", _CIGNA, subscriber=third, billing_provider=_SOLE_SURGEON, rendering_provider=None),
        _claim("PCN-5", _CIGNA, subscriber=other, billing_provider=_SOLE_SURGEON, **replacement),
    ]


def _dependents() -> list[Content]:
    """A subscriber's own claim, two of one dependent, one of another, and the subscriber's again."""
    subscriber = _member("W123456780", "Otherexample")
    child = {"last_name": "Otherexample", "first_name": "Kim", "birth_date": "2001-12-31", "sex": "M"}
    spouse = {"last_name": "Example", "first_name": "Lee", "birth_date": "1956-02-29", "sex": "U"}
    patients = [None, child, child, spouse, None]
    return [
        _claim(f"PCN-{number}", _AETNA, subscriber=subscriber, patient=patient)
        for number, patient in enumerate(patients, 1)
    ]


def _secondary() -> Content:
    """A claim to the second payer, with what the first and a third one did."""
    paid = {"payer_id": "01112", "paid_date": "2026-08-20"}
    return _claim(
        "PCN-SECONDARY",
        {**_AETNA, "responsibility": "S"},
        other_payers=[
            {
                "name": "MEDICARE PART B",
                "payer_id": "01112",
                "responsibility": "P",
                "filing_indicator": "MB",
                "paid_amount": "5210.40",
            },
            {
                "name": "CIGNA",
                "payer_id": "62308",
                "responsibility": "T",
                "filing_indicator": "CI",
                "paid_date": "2026-08-21",
            },
        ],
        lines=[
            a_line(adjudications=[{**paid, "paid_amount": "4800.15"}]),
            a_line(
                **_LEADS,
                adjudications=[
                    {**paid, "paid_amount": "410.25"},
                    {"payer_id": "62308", "paid_amount": "0", "paid_date": "2026-08-21"},
                ],
            ),
        ],
    )


def _hospital_secondary() -> Content:
    paid = {"payer_id": "01111", "paid_amount": "17000.01", "paid_date": "2026-08-20"}
    return _hospital_claim(
        "PCN-HOSPITAL-SECONDARY",
        payer={**_AETNA, "responsibility": "S"},
        other_payers=[
            {
                "name": "MEDICARE PART A",
                "payer_id": "01111",
                "responsibility": "P",
                "filing_indicator": "MA",
                "paid_amount": "17000.01",
            }
        ],
        lines=[a_facility_line(adjudications=[paid])],
    )


def _line_providers() -> Content:
    """Providers, references, dates and places that stand on lines, beside those of the claim."""
    doctor = {"name": "Doctor", "first_name": "Jo", "entity_type": "person", "npi": "1245319599"}
    return _claim(
        "PCN-LINES",
        referring_provider=doctor,
        supervising_provider=_SURGEON,
        referral_number="REFERRAL-0",
        prior_authorization_number="AUTH-0",
        diagnoses=[*_TWO_DIAGNOSES, {"code": "G90511"}, {"code": "M5416"}],
        lines=[
            a_line(
                rendering_provider={**doctor, "taxonomy": "208VP0014X"},
                service_facility={**_HOSPITAL, "name": "Example Surgery Center", "state": "NV"},
                referring_provider=_SURGEON,
                ordering_provider=doctor,
                supervising_provider=doctor,
                place_of_service="24",
                prior_authorization_number="AUTH-1",
                referral_number="REFERRAL-1",
                line_control_number="LINE-1",
                service_date_through="2026-08-05",
                modifiers=["59", "LT", "22", "GA"],
                diagnosis_pointers=[1, 2, 3, 4],
            ),
            a_line("J3490", units="2.5", charge_amount="31.7", national_drug_code="00000111122"),
            a_line("00630", units="95", unit_of_measure="MJ", charge_amount="1900.00", line_control_number="LINE-3"),
        ],
    )


def _with_attachments() -> Content:
    """Attachments, notes, fixed format, certifications and repricing, of the claim and of a line."""
    priced = {"methodology": "10", "allowed_amount": "7000.00", "savings_amount": "2500.00", "repricer_id": "REPRICER1"}
    return _claim(
        "PCN-ATTACHMENTS",
        attachments=[
            {"report_type": "OB", "transmission": "EL", "control_number": "ATTACHMENT-1"},
            {"report_type": "03", "transmission": "AA"},
        ],
        notes=[{"qualifier": "ADD", "text": "GENERATOR AND LEADS, SAME SESSION"}],
        fixed_format=["STATE DATA A", "STATE DATA B"],
        certifications=[{"category": "ZZ", "applies": "Y", "conditions": ["AV", "ST"]}],
        condition_codes=["AJ"],
        repricing=priced,
        admission_date="2026-08-02",
        lines=[
            a_line(
                attachments=[{"report_type": "OZ", "transmission": "FX", "control_number": "ATTACHMENT-2"}],
                notes=[
                    {"qualifier": "ADD", "text": "BATTERY AT END OF LIFE"},
                    {"qualifier": "TPO", "text": "REPRICED"},
                ],
                fixed_format=["LINE DATA"],
                certifications=[{"category": "09", "applies": "N", "conditions": ["38"]}],
                repricing={**priced, "methodology": "00", "reject_reason": "T1"},
            )
        ],
    )


def _inpatient() -> Content:
    return _hospital_claim(
        "PCN-INPATIENT",
        type_of_bill="0111",
        statement_from_date="2026-08-01",
        statement_through_date="2026-08-05",
        admission_date="2026-08-01",
        discharge_hour="1430",
        admission_type="1",
        admission_source="7",
        patient_status="06",
        diagnosis_related_group="518",
        other_operating_provider={**_SURGEON, "first_name": "Jo", "npi": "1245319599"},
        rendering_provider=_SURGEON,
        referring_provider=_SURGEON,
        service_facility={**_HOSPITAL, "name": "Example Rehabilitation Hospital", "state": "NV"},
        diagnoses=[
            {"code": "M961", "kind": "principal", "present_on_admission": "Y"},
            {"code": "M5416", "kind": "admitting"},
            *(
                {"code": code, "present_on_admission": mark}
                for code, mark in zip(_SECONDARY_DIAGNOSES, "YNUWYYYYYYYYNY", strict=True)
            ),
        ],
        inpatient_procedures=[
            {"code": "0JH70DZ", "procedure_date": SERVICE_DATE},
            {"code": "00HU0MZ", "procedure_date": SERVICE_DATE},
            {"code": "00HV0MZ", "procedure_date": "2026-08-04"},
        ],
        notes=[{"qualifier": "DGN", "text": "SECOND STAGE"}, {"qualifier": "ADD", "text": "TRIAL ENDED"}],
        attachments=[{"report_type": "OB", "transmission": "EL", "control_number": "ATTACHMENT-1"}],
        certifications=[{"category": "ZZ", "applies": "N", "conditions": ["NU"]}],
        fixed_format=["STATE DATA A"],
        repricing={"methodology": "02", "allowed_amount": "39000.00", "repricer_id": "REPRICER1"},
        referral_number="REFERRAL-0",
        lines=[
            a_facility_line(
                "", revenue_code="0120", units="4", unit_of_measure="DA", charge_amount="8000.00", service_date=None
            ),
            a_facility_line(
                operating_provider=_SURGEON,
                other_operating_provider={**_SURGEON, "npi": "1245319599"},
                rendering_provider=_SURGEON,
                referring_provider=_SURGEON,
                attachments=[{"report_type": "OZ", "transmission": "FX", "control_number": "ATTACHMENT-2"}],
                notes=[{"qualifier": "TPO", "text": "REPRICED"}],
                repricing={"methodology": "02", "allowed_amount": "30000.00"},
                national_drug_code="00000111122",
            ),
        ],
    )


if __name__ == "__main__":
    for name, sample in samples().items():
        (FOLDER / name).write_bytes(sample.text.encode())
