"""A procedure for which the payer wants an authorization, without a number on the claim or the line.

A payer that asks for an authorization before the service denies the line without it. Which procedures need one, in
which setting and from when, is in each payer's profile. Where the answer depends on the plan or the member's card, the
finding is a warning that says so; where it is not known whether the payer asks, there is none.

Known limits: what is held of the payers is not confirmed, so a finding is an error only by a row of the biller's own
contract. Inpatient is place of service 21 or type of bill 011x, and everything else outpatient. A product that a row
leaves out is known only if the practice has entered it. Original Medicare's own programme is AUT002's matter.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_line
from rules.engine.policy import Confidence
from rules.engine.rule import rule

_INPATIENT_PLACE = "21"
_INPATIENT_BILL = "011"
_ASKED_FOR = ("yes", "plan")


@rule(
    title="Payer's authorization missing",
    severity=Severity.ERROR,
    reason="PA_MISSING",
    remedy="Enter the authorization number in REF G1, or obtain it.",
    citations=("x12-carc-rarc-2024-06",),
    field="prior_authorization_number",
    policy=("authorization.requirements",),
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        "authorization.requirements" not in policy
        or any(not codes.isdisjoint(row["codes"]) for row in policy["authorization.requirements"])
    ),
    clean=(
        a_claim(),
        a_claim("AETNA", prior_authorization_number="PA1"),
        a_claim("HCSC"),
        a_claim("UHC_COM", lines=[a_line("63688")]),
    ),
    flagged=(a_claim("AETNA"), a_claim("CIGNA", place_of_service="21"), a_facility_claim("HUMANA_MA")),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:
    if claim.prior_authorization_number or line.prior_authorization_number:
        return None
    setting = _setting(claim, line)
    product = claim.practice.product.casefold()
    for row in policy["authorization.requirements"]:
        if (
            line.procedure_code in row["codes"]
            and setting in row["settings"]
            and row["required"] in _ASKED_FOR
            and not any(word.casefold() in product for word in row.get("not_products", ()))
        ):
            is_asked_for = row["required"] == "yes"
            is_sure = is_asked_for and Confidence(row["confidence"]).allows_error
            return Flag(
                f"{line.procedure_code} ({setting}) without an authorization number of {row['through']}"
                + ("" if is_asked_for else ", if the member's plan asks for one"),
                severity=Severity.ERROR if is_sure else Severity.WARNING,
            )
    return None


def _setting(claim: Claim, line: ServiceLine) -> str:
    if claim.is_professional:
        return "inpatient" if claim.place_of_service_on(line) == _INPATIENT_PLACE else "outpatient"
    return "inpatient" if claim.type_of_bill.startswith(_INPATIENT_BILL) else "outpatient"
