"""A replacement or void without the payer's claim control number of the claim it replaces or voids.

The payer finds the earlier claim by that number (REF F8) only; without it the correction is refused or taken for a
duplicate.

Known limit: whether the number is that of the earlier claim is for the history rules.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule


@rule(
    title="Original reference number is missing",
    severity=Severity.ERROR,
    reason="FREQ_REF_MISSING",
    remedy="Add the payer claim control number of the claim being replaced or voided.",
    citations=("x12-carc-rarc-2024-06", "edi-837-guides"),
    field="original_reference_number",
    scope="claim",
    concerns_claim=lambda key, policy: key.frequency in policy["frequency.of_an_earlier_claim"],
    on_void=True,
    policy=("frequency.of_an_earlier_claim",),
    clean=(a_claim(), a_claim(frequency_code="7", original_reference_number="202622000123")),
    flagged=(a_claim(frequency_code="7"), a_facility_claim(frequency_code="", type_of_bill="0138")),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> str | None:
    frequency = claim.frequency
    if frequency not in policy["frequency.of_an_earlier_claim"] or claim.original_reference_number:
        return None
    return f"the frequency code is {frequency}, and the original reference number is blank"
