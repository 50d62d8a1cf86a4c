"""The claims that `claimscrub demo` submits, as 837 files; `python -m tests.x12.make_demo_claims` writes them anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rules.engine.examples import a_facility_line, a_line, as_json, claim_content, facility_claim_content
from tests.worker_process import member_number
from tests.x12.carried import Content
from tests.x12.writer_837 import write_837

FOLDER = Path(__file__).parents[2] / "worker" / "demo_claims"

# By these a claim's payer is recognised, for an 837 has no payer key.
_MEDICARE = {"name": "MEDICARE PART B", "payer_id": "01112", "filing_indicator": "MB"}
_MEDICARE_A = {"name": "MEDICARE PART A", "payer_id": "01111", "filing_indicator": "MA"}
_AETNA = {"name": "AETNA", "payer_id": "60054", "filing_indicator": "CI"}
_AETNA_MA = {**_AETNA, "filing_indicator": "16"}
_CIGNA = {"name": "CIGNA", "payer_id": "62308", "filing_indicator": "CI"}
_HUMANA = {"name": "HUMANA", "payer_id": "DEMOPAYER1", "filing_indicator": "16"}
_UNITED = {"name": "UNITEDHEALTHCARE", "payer_id": "87726", "filing_indicator": "CI"}
_FEDERAL = {"name": "FEDERAL EMPLOYEE PROGRAM", "payer_id": "DEMOPAYER2", "filing_indicator": "FI"}
_BLUE = {"name": "ANTHEM BLUE CROSS", "payer_id": "DEMOPAYER3", "filing_indicator": "BL"}

_MEMBER = {"last_name": "Example", "first_name": "Avery", "birth_date": "1955-03-01", "sex": "F"}

_BATTERY_END = [{"code": "Z45.42", "kind": "principal"}, {"code": "M96.1"}]
_LEADS = {"procedure_code": "63650", "units": "2", "charge_amount": "7200.00"}
_LEAD_DEVICES = {"procedure_code": "C1778", "units": "2", "charge_amount": "8600.00", "revenue_code": "0278"}
_VISIT: dict[str, Any] = {"procedure_code": "99213", "charge_amount": "180.00"}
_REMOVAL: dict[str, Any] = {"procedure_code": "63688", "charge_amount": "4200.00"}


def _claim(number: int, payer: Content, *more_lines: Content, **changes: Any) -> Content:
    fixed = {"claim_id": f"DEMO-{number:02}", "lines": [a_line(), *more_lines], **_of(number, payer)}
    return claim_content(**{**fixed, **changes})


def _other_member(number: int) -> Content:
    """A member of a payer other than Original Medicare, and of no other claim."""
    return {**_MEMBER, "member_number": f"W{123456700 + number}"}


def _hospital_claim(number: int, payer: Content, **changes: Any) -> Content:
    return facility_claim_content(**{"claim_id": f"DEMO-{number:02}", **_of(number, payer), **changes})


def _of(number: int, payer: Content) -> Content:
    fixed: Content = {
        "patient_control_number": f"DEMO-{number:02}",
        "payer": payer,
        "subscriber": _other_member(number),
    }
    if payer in (_MEDICARE, _MEDICARE_A):
        member = {**_MEMBER, "member_number": member_number(number)}
        return {**fixed, "subscriber": member, "diagnoses": _BATTERY_END}
    if payer in (_HUMANA, _AETNA_MA):
        fixed["diagnoses"] = _BATTERY_END
    return {**fixed, "prior_authorization_number": f"DEMO{number:04}"}


_PROFESSIONAL = [
    _claim(1, _MEDICARE),
    _claim(3, _MEDICARE, a_line(**_REMOVAL)),
    _claim(4, _AETNA, a_line(**_LEADS)),
    _claim(5, _AETNA, a_line("01942", charge_amount="900.00")),
    _claim(7, _CIGNA, lines=[a_line(units="2")]),
    _claim(8, _MEDICARE, a_line(**_VISIT)),
    _claim(
        9,
        _AETNA_MA,
        a_line(**_VISIT, modifiers=["25"], diagnosis_pointers=[2]),
        diagnoses=[{"code": "Z45.42", "kind": "principal"}, {"code": "E11.9"}],
    ),
    _claim(10, _MEDICARE, place_of_service="11", service_facility=None),
    _claim(11, _UNITED, place_of_service="24", diagnoses=[{"code": "M54.59", "kind": "principal"}]),
    _claim(13, _FEDERAL, a_line("95972", charge_amount="350.00")),
    _claim(14, _FEDERAL),
    _claim(15, _UNITED, place_of_service="24", lines=[a_line(modifiers=["50"])]),
    _claim(16, _AETNA, diagnoses=[{"code": "M96.1", "kind": "principal"}, {"code": "M54.5"}]),
    _claim(
        18,
        _BLUE,
        rendering_provider={"name": "Surgeon", "npi": "1992345627"},
        subscriber={**_other_member(18), "birth_date": ""},
    ),
    _claim(19, _MEDICARE, a_line(**_REMOVAL, modifiers=["XS"])),
    _claim(
        22,
        _MEDICARE,
        subscriber={
            "member_number": "1EG4-TE5-MK73",
            "last_name": "Example",
            "first_name": "Robin",
            "birth_date": "1949-11-20",
            "sex": "M",
        },
    ),
    _claim(23, _MEDICARE, lines=[a_line(service_date="2025-06-12")]),
    _claim(24, _HUMANA, a_line("95984", charge_amount="110.00")),
    _claim(25, _AETNA, lines=[a_line(**_LEADS, service_date="2026-07-27")]),
    _claim(26, _AETNA, subscriber=_other_member(25)),
    _claim(27, _MEDICARE, subscriber={**_MEMBER, "member_number": member_number(1)}),
]
_INSTITUTIONAL = [
    _hospital_claim(2, _MEDICARE_A),
    _hospital_claim(6, _HUMANA),
    _hospital_claim(12, _MEDICARE_A, lines=[a_facility_line(**_LEADS), a_facility_line(**_LEAD_DEVICES)]),
    _hospital_claim(17, _MEDICARE_A, lines=[a_facility_line()]),
    _hospital_claim(
        20,
        _CIGNA,
        total_charge_amount="36000.00",
        diagnoses=[{"code": "M96.1", "kind": "principal"}, {"code": "M96.1"}],
    ),
]
_UNREADABLE = _claim(21, _MEDICARE, lines=[a_line(service_date="08/03/2026")])


def demo_claims() -> dict[str, str]:
    """File name → text."""
    return {
        "professional.837": _file(_PROFESSIONAL, "000000001"),
        "institutional.837": _file(_INSTITUTIONAL, "000000002"),
        "unreadable.json": as_json(_UNREADABLE) + "\n",
    }


def _file(claims: list[Content], interchange_control_number: str) -> str:
    return write_837(
        claims,
        interchange_control_number=interchange_control_number,
        sender_id="DEMOBILLING",
        receiver_id="DEMORECEIVER",
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in demo_claims().items():
        (FOLDER / name).write_bytes(text.encode())
