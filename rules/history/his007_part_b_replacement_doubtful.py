"""A professional claim to Original Medicare sent as a replacement or a void.

The usual way to correct a Part B claim is to ask the contractor for a reopening, or to send a new claim where the first
was rejected; whether the contractors take frequency 7 or 8 from a practitioner is said both ways.

Known limit: a contractor may take it, so this is a warning. Institutional claims are corrected by their frequency.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Severity
from rules.engine.examples import a_claim
from rules.engine.rule import rule

_CORRECTIONS = ("7", "8")


@rule(
    title="Part B replacement or void is doubtful",
    severity=Severity.WARNING,
    reason="FREQ_WRONG",
    remedy="Ask the contractor for a reopening, or send a new claim if the first was rejected.",
    citations=("legalclarity-partb-correct", "fcso-parta-adjust"),
    field="frequency_code",
    scope="claim",
    payers=("MEDICARE_FFS",),
    claim_types=("professional",),
    on_void=True,
    policy=("corrected_claims.rules",),
    clean=(a_claim(), a_claim("BCBSMA", frequency_code="7", original_reference_number="ICN1")),
    flagged=(
        a_claim(frequency_code="7", original_reference_number="ICN1"),
        a_claim(frequency_code="8", original_reference_number="ICN1"),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> str | None:
    if claim.frequency_code not in _CORRECTIONS:
        return None
    for row in policy["corrected_claims.rules"]:
        if row.get("claim_type", claim.claim_type) == claim.claim_type and row["accepts_frequency_7_8"]:
            return None
    return f"frequency {claim.frequency_code} on a professional claim to Original Medicare, where sources differ on it"
