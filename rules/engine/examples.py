"""Minimal valid claims, for the examples of the rules and for tests. Everybody in them is invented.

`a_claim()` is a clean Medicare claim of a surgeon for a generator placed in a hospital outpatient department;
`a_facility_claim()` is the hospital's. Name what should differ: `a_claim(frequency_code="7", lines=[a_line(units=2)])`.
`with_history(a_claim(), earlier(lines=[a_line("63650", service_date="2026-07-28")]))` has an earlier claim on file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from rules.engine.claim import Claim
from rules.engine.history import NO_HISTORY, History, Patient, PriorClaim, Status
from rules.engine.record import NO_RECORD, Answer, history_of, standing, with_answer, with_claim

SERVICE_DATE = "2026-08-03"
RECEIVED_DATE = "2026-08-10"
CLINIC_NPI = "1234567893"
SURGEON_NPI = "1992345672"
HOSPITAL_NPI = "1184567893"
MEMBER_NUMBERS = {"MEDICARE_FFS": "1EG4TE5MK73"}

HELD_SINCE = date(2000, 1, 1)
"""From when on history is held, in an example with history."""


class _Judged(NamedTuple):
    claim: Claim
    history: History = NO_HISTORY


class Example(_Judged):
    """A claim under review with its member's history: `RuleSet.evaluate(*example)`.

    Attributes:
        on_file: every earlier claim with the status it has by now, oldest first, also those that don't count.
    """

    on_file: Sequence[PriorClaim] = ()


class Earlier(NamedTuple):
    """An earlier claim of an example.

    Attributes:
        content: its claim event.
        answers: what came back, in order.
        is_flagged: by this scrubber.
    """

    content: Mapping[str, Any]
    answers: Sequence[Answer] = ()
    is_flagged: bool = False


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


def earlier(
    payer: str = "MEDICARE_FFS",
    /,
    *,
    facility: bool = False,
    status: Status | None = None,
    status_date: str | None = None,
    number: str = "",
    is_flagged: bool = False,
    **changes: Any,
) -> Earlier:
    """An earlier claim of the same member, for `with_history`; it has a patient control number of its own.

    Args:
        payer: as of the claim under review, whose member it has to be.
        facility: a hospital's claim instead of the surgeon's.
        status: what came back; None for nothing yet.
        status_date: of that answer.
        number: payer claim control number of that answer.
        is_flagged: by this scrubber.
        changes: of the claim.
    """
    content = (facility_claim_content if facility else claim_content)(
        payer, **{"claim_id": "", "patient_control_number": "", **changes}
    )
    day = None if status_date is None else date.fromisoformat(status_date)
    answers = () if status is None else (Answer(status, day, payer_claim_control_number=number),)
    return Earlier(content, answers, is_flagged)


def with_history(claim: Claim, *claims: Earlier, held_since: date | None = HELD_SINCE) -> Example:
    """A claim with earlier ones on file, oldest first, by the way that claims and answers take in the worker."""
    record = NO_RECORD
    for number, each in enumerate(claims, 1):
        content = dict(each.content)
        for field, name in (("claim_id", "EARLIER"), ("patient_control_number", "PCN-EARLIER")):
            content[field] = content[field] or f"{name}-{number}"
        before = Claim.from_json(as_json(content))
        patient = patient_of(before)
        record = with_claim(
            record, before, before.claim_id, payer=before.payer.key, patient=patient, is_flagged=each.is_flagged
        )
        for answer in each.answers:
            record = with_answer(record, answer._replace(claim_id=before.claim_id)) or record
    example = Example(claim, history_of(record, claim, claim.claim_id, patient_of(claim), held_since))
    example.on_file = standing(record)
    return example


def patient_of(claim: Claim) -> Patient:
    """The patient of a claim in plain text, as only invented ones may stand."""
    return Patient(str(claim.patient_birth_date or ""), claim.patient_first_name.casefold())


def as_json(content: dict[str, Any]) -> str:
    """A claim event as JSON; dates and numbers may stand in it as YAML gives them."""
    return json.dumps(content, default=str)


def _total(lines: list[dict[str, Any]]) -> str:
    cents = sum(round(float(line["charge_amount"]) * 100) for line in lines if line.get("charge_amount"))
    return f"{cents // 100}.{cents % 100:02d}"
