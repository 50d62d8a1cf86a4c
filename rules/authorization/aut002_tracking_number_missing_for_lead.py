"""A percutaneous lead in a hospital outpatient department of Original Medicare without its tracking number.

Medicare pays 63650 on type of bill 013x only after prior authorization, for the trial as for the permanent lead, and
looks for the number in REF G1 of the claim. Physicians, surgery centers, critical access hospitals and Medicare
Advantage plans are outside the programme, and so is a generator alone. An emergency (modifier ET, revenue code 045x) is
excluded; that is known second hand, but it only takes a finding away.

Known limit: whether the hospital is exempt is not on the claim. Unless the practice says so, the finding stands and
names the exemption.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule

_EMERGENCY = "ET"
_EMERGENCY_ROOM = "045"


@rule(
    title="Tracking number missing for a lead",
    severity=Severity.ERROR,
    reason="PA_MISSING",
    remedy="Put the 14-character tracking number in REF G1; for a permanent lead after a hospital trial, the trial's.",
    citations=(
        "ngs-opd-scs-2021",
        "cgs-opd-isn",
        "palmetto-opd-scs",
        "noridian-opd-claims",
        "fcso-opd-claims-2024",
        "allzone-opd",
    ),
    field="prior_authorization_number",
    scope="claim",
    procedures=("63650",),
    payers=("MEDICARE_FFS",),
    claim_types=("institutional",),
    effective=date(2021, 7, 1),
    clean=(
        a_facility_claim(),
        a_facility_claim(lines=[a_facility_line("63650")], prior_authorization_number="A1234567890123"),
        a_claim(lines=[a_line("63650")]),
    ),
    flagged=(
        a_facility_claim(lines=[a_facility_line("63650", units="2")]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("63650")], practice={"opd_exempt": False}),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> Flag | None:  # noqa: ARG001
    if claim.prior_authorization_number or not claim.is_outpatient_department:
        return None
    is_exempt = claim.practice.opd_exempt
    if is_exempt or any(
        _EMERGENCY in line.modifiers or line.revenue_code.startswith(_EMERGENCY_ROOM) for line in claim.lines
    ):
        return None
    return Flag(
        f"63650 on type of bill {claim.type_of_bill} without a tracking number"
        + (", unless the hospital is exempt" if is_exempt is None else "")
    )
