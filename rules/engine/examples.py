"""Minimal valid claims, for the examples of the rules and for tests. Everybody in them is invented.

`a_claim()` is a clean Medicare claim of a surgeon for a generator placed in a hospital outpatient department;
`a_facility_claim()` is the hospital's. Name what should differ: `a_claim(frequency_code="7", lines=[a_line(units=2)])`.
"""

from __future__ import annotations

import json
from typing import Any

from rules.engine.claim import Claim

SERVICE_DATE = "2026-08-03"
RECEIVED_DATE = "2026-08-10"
CLINIC_NPI = "1234567893"
SURGEON_NPI = "1992345672"
HOSPITAL_NPI = "1184567893"
MEMBER_NUMBERS = {"MEDICARE_FFS": "1EG4TE5MK73"}


def a_line(procedure_code: str = "63685", **changes: Any) -> dict[str, Any]:
    """A professional service line: one unit on the service date, pointing to the first diagnosis."""
    return {
        "procedure_code": procedure_code,
        "units": "1",
        "charge_amount": "9500.00",
        "service_date": SERVICE_DATE,
        "diagnosis_pointers": [1],
        **changes,
    }


def a_facility_line(procedure_code: str = "63685", **changes: Any) -> dict[str, Any]:
    """An institutional service line in the operating room."""
    return {
        "procedure_code": procedure_code,
        "revenue_code": "0360",
        "units": "1",
        "charge_amount": "42000.00",
        "service_date": SERVICE_DATE,
        **changes,
    }


def claim_content(payer: str = "MEDICARE_FFS", /, **changes: Any) -> dict[str, Any]:
    """The claim event of `a_claim` as it stands in JSON."""
    content: dict[str, Any] = {
        "claim_id": "EXAMPLE-1",
        "claim_type": "professional",
        "received_date": RECEIVED_DATE,
        "payer": {"key": payer, "name": payer.replace("_", " ").title()},
        "patient_control_number": "PCN-1",
        "place_of_service": "22",
        "frequency_code": "1",
        "diagnoses": [{"code": "M96.1", "kind": "principal"}],
        "subscriber": {
            "member_number": MEMBER_NUMBERS.get(payer, "W123456789"),
            "last_name": "Example",
            "first_name": "Avery",
            "birth_date": "1955-03-01",
            "sex": "F",
        },
        "billing_provider": {
            "name": "Example Spine Clinic",
            "entity_type": "organization",
            "npi": CLINIC_NPI,
            "tax_number": "001234567",
        },
        "rendering_provider": {
            "name": "Surgeon",
            "entity_type": "person",
            "npi": SURGEON_NPI,
            "taxonomy": "207T00000X",
        },
        "service_facility": {"name": "Example Hospital", "npi": HOSPITAL_NPI},
        "lines": [a_line()],
        **changes,
    }
    content.setdefault("total_charge_amount", _total(content["lines"]))
    return content


def facility_claim_content(payer: str = "MEDICARE_FFS", /, **changes: Any) -> dict[str, Any]:
    """The claim event of `a_facility_claim` as it stands in JSON."""
    defaults: dict[str, Any] = {
        "claim_id": "EXAMPLE-2",
        "claim_type": "institutional",
        "place_of_service": "",
        "type_of_bill": "0131",
        "statement_from_date": SERVICE_DATE,
        "statement_through_date": SERVICE_DATE,
        "billing_provider": {
            "name": "Example Hospital",
            "entity_type": "organization",
            "npi": HOSPITAL_NPI,
            "tax_number": "007654321",
            "taxonomy": "282N00000X",
        },
        "rendering_provider": None,
        "service_facility": None,
        "attending_provider": {"name": "Surgeon", "entity_type": "person", "npi": SURGEON_NPI},
        "operating_provider": {"name": "Surgeon", "entity_type": "person", "npi": SURGEON_NPI},
        "lines": [
            a_facility_line(),
            a_facility_line("C1767", revenue_code="0278", charge_amount="21000.00"),
        ],
    }
    return claim_content(payer, **{**defaults, **changes})


def a_claim(payer: str = "MEDICARE_FFS", /, **changes: Any) -> Claim:
    """A clean professional claim, with the changes named."""
    return Claim.from_json(as_json(claim_content(payer, **changes)))


def a_facility_claim(payer: str = "MEDICARE_FFS", /, **changes: Any) -> Claim:
    """A clean hospital outpatient claim, with the changes named."""
    return Claim.from_json(as_json(facility_claim_content(payer, **changes)))


def as_json(content: dict[str, Any]) -> str:
    """A claim event as JSON; dates and numbers may stand in it as YAML gives them."""
    return json.dumps(content, default=str)


def _total(lines: list[dict[str, Any]]) -> str:
    cents = sum(round(float(line["charge_amount"]) * 100) for line in lines if line.get("charge_amount"))
    return f"{cents // 100}.{cents % 100:02d}"
