"""A percutaneous lead on a hospital outpatient claim to Original Medicare with a number that is no tracking number.

The claims system looks for the 14 letters and digits of the tracking number in REF G1; another number, or one with
blanks or dashes in it, is not found, and the claim is denied as if it had none.

Known limit: a number of the right shape may still be another patient's.
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
    title="Tracking number is malformed",
    severity=Severity.ERROR,
    reason="PA_MISMATCH",
    remedy="Enter the 14 characters of the tracking number without blanks.",
    citations=("noridian-opd-claims", "fcso-opd-claims-2024"),
    field="prior_authorization_number",
    scope="claim",
    procedures=("63650",),
    payers=("MEDICARE_FFS",),
    claim_types=("institutional",),
    effective=date(2021, 7, 1),
    policy=("authorization.tracking_number",),
    clean=(
        a_facility_claim(prior_authorization_number="PA1"),
        a_facility_claim(lines=[a_facility_line("63650")], prior_authorization_number="A1234567890123"),
    ),
    flagged=(
        a_facility_claim(lines=[a_facility_line("63650")], prior_authorization_number="A123456789012"),
        a_facility_claim(lines=[a_facility_line("63650")], prior_authorization_number="A1234-56789012"),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> str | None:
    number = claim.prior_authorization_number
    if not number or not claim.is_outpatient_department:
        return None
    shape = policy["authorization.tracking_number"]
    if re.fullmatch(shape["pattern"], number):
        return None
    return (
        f"the number in REF G1 has {len(number)} characters; a tracking number has {shape['length']} letters or digits"
    )
