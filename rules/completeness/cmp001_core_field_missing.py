"""A blank field that no claim can be without: who, whom, what, when, where and for how much.

A payer's front end sends such a claim back on the 277CA before anybody looks at it; it was never filed and does not
stop the filing clock. Each blank field is a finding of its own. The patient is the dependent where the claim has one,
else the subscriber. A line's place of service counts for the claim's; an institutional line needs a procedure or a
revenue code. The lines of an inpatient bill (011x) have no dates of their own: the standard gives them the statement
period instead.

Known limit: whether what stands in a field is right is for other rules.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line
from rules.engine.rule import rule

_INPATIENT = "011"


@rule(
    title="Core field is blank",
    severity=Severity.ERROR,
    reason="LACKS_INFO_GENERIC",
    remedy="Fill in the blank field and send the claim again as an original.",
    citations=("x12-carc-rarc-2024-06", "edi-837-guides"),
    field="patient_control_number",
    scope="claim",
    on_void=True,
    policy=("core_fields.fields",),
    clean=(a_claim(), a_facility_claim(lines=[a_facility_line(""), a_facility_line()])),
    flagged=(a_claim(patient_control_number="", diagnoses=[]), a_facility_claim(lines=[a_facility_line(units=None)])),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    if _is_complete(claim):
        return None
    header = zip(_header_paths(claim), _header_values(claim), strict=True)
    blank: list[tuple[str, ServiceLine | None]] = [(path, None) for path, value in header if not value]
    for line in claim.lines:
        blank += [(path, line) for path in _blank_on_line(claim, line)]
    return [_flag(claim, path, line, policy["core_fields.fields"][path]) for path, line in blank]


def _is_complete(claim: Claim) -> bool:
    """Whether nothing is blank, for the most usual claim; what it leaves open is looked at field by field."""
    billing, subscriber, payer, diagnoses = claim.billing_provider, claim.subscriber, claim.payer, claim.diagnoses
    person = subscriber if claim.patient is None else claim.patient
    is_professional = claim.is_professional
    if not (
        claim.patient_control_number
        and person.last_name
        and person.birth_date
        and person.sex
        and subscriber.member_number
        and (payer.name or payer.payer_id)
        and billing.name
        and billing.npi
        and billing.tax_number
        and diagnoses
        and diagnoses[0].code
        and (
            claim.place_of_service
            if is_professional
            else claim.type_of_bill and claim.statement_from_date and claim.statement_through_date
        )
    ):
        return False
    for line in claim.lines:
        if (
            line.charge_amount is None
            or line.units is None
            or line.service_date is None
            or not (line.procedure_code or (line.revenue_code and not is_professional))
        ):
            return False
    return True


def _header_values(claim: Claim) -> tuple[Any, ...]:
    billing, person = claim.billing_provider, claim.patient or claim.subscriber
    return (
        claim.patient_control_number,
        person.last_name,
        person.birth_date,
        person.sex,
        claim.subscriber.member_number,
        claim.payer.name or claim.payer.payer_id,
        billing.name,
        billing.npi,
        billing.tax_number,
        claim.diagnoses and claim.diagnoses[0].code,
        *(
            (claim.place_of_service or (claim.lines and all(line.place_of_service for line in claim.lines)),)
            if claim.is_professional
            else (claim.type_of_bill, claim.statement_from_date, claim.statement_through_date)
        ),
    )


def _header_paths(claim: Claim) -> tuple[str, ...]:
    """The fields of `_header_values`, in the same order."""
    patient = "subscriber" if claim.patient is None else "patient"
    return (
        "patient_control_number",
        *(f"{patient}.{field}" for field in ("last_name", "birth_date", "sex")),
        "subscriber.member_number",
        "payer.name",
        *(f"billing_provider.{field}" for field in ("name", "npi", "tax_number")),
        "diagnoses[].code",
        *(
            ("place_of_service",)
            if claim.is_professional
            else ("type_of_bill", "statement_from_date", "statement_through_date")
        ),
    )


def _blank_on_line(claim: Claim, line: ServiceLine) -> Iterator[str]:
    if not line.procedure_code and (claim.is_professional or not line.revenue_code):
        yield "lines[].procedure_code" if claim.is_professional else "lines[].revenue_code"
    for field in ("charge_amount", "units"):
        if getattr(line, field) is None:
            yield f"lines[].{field}"
    if line.service_date is None and (claim.is_professional or not claim.type_of_bill.startswith(_INPATIENT)):
        yield "lines[].service_date"


def _flag(claim: Claim, path: str, line: ServiceLine | None, field: Mapping[str, str]) -> Flag:
    again = " and send the claim again as an original" if claim.frequency == "1" else ""
    return Flag(
        f"the {field['label']} is blank",
        line=line,
        field=path,
        remedy=f"Fill in the {field['label']}{again}.",
        category=field["category"],
        carc=field.get("carc"),
        rarc=field.get("rarc"),
    )
