"""A tracking number on a hospital outpatient claim to Original Medicare for a generator without a lead.

Only 63650 is in the programme; a generator alone, as at a battery replacement, needs no number, and a number there does
no harm. It is said so that nobody waits for one.

Known limit: since 2026-01-05 a number may belong to 63655 under the WISeR model, so with that code nothing is said.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Severity
from rules.engine.examples import a_facility_claim, a_facility_line
from rules.engine.rule import rule


@rule(
    title="Tracking number where none is needed",
    severity=Severity.INFO,
    reason="PA_MISMATCH",
    remedy="No action; a generator alone needs no tracking number.",
    citations=("ngs-opd-scs-2021", "cgs-opd-isn"),
    field="prior_authorization_number",
    scope="claim",
    procedures=("63685", "63688"),
    payers=("MEDICARE_FFS",),
    claim_types=("institutional",),
    effective=date(2021, 7, 1),
    policy=("authorization.tracking_number", "authorization.numbered_codes"),
    clean=(
        a_facility_claim(),
        a_facility_claim(
            lines=[a_facility_line(), a_facility_line("63650")], prior_authorization_number="A1234567890123"
        ),
    ),
    flagged=(a_facility_claim(prior_authorization_number="A1234567890123"),),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> str | None:
    number = claim.prior_authorization_number
    if not number or not claim.is_outpatient_department:
        return None
    if not re.fullmatch(policy["authorization.tracking_number"]["pattern"], number):
        return None
    numbered = policy["authorization.numbered_codes"]
    if any(line.procedure_code in numbered for line in claim.lines):
        return None
    return f"a tracking number on type of bill {claim.type_of_bill} without a code that needs it"
