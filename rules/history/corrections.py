"""Replacements and voids (frequency 7 and 8) of earlier claims, for every rule that has to know.

What a payer wants of them stands in `corrected_claims.rules`: a row for each claim type or participation, where it
makes a difference.
"""

from collections.abc import Mapping
from typing import Any, Final

from rules.engine.claim import Claim
from rules.engine.decision import NotEvaluated
from rules.engine.pack import PlanKey
from rules.engine.policy import Confidence
from rules.engine.record import CORRECTIONS, RETENTION

LOOKBACK: Final = RETENTION.days
"""24 months."""
NO_PREDECESSOR: Final = NotEvaluated(
    "no earlier claim with this original reference number or patient control number is on file"
)
Row = Mapping[str, Any]


def is_correction(key: PlanKey, policy: Mapping[str, Any]) -> bool:  # noqa: ARG001
    """For `concerns_claim` of a rule about replacements and voids."""
    return key.frequency in CORRECTIONS


def fitting_rows(claim: Claim, policy: Mapping[str, Any]) -> list[Row]:
    """The payer's rows that neither the claim nor what the practice has entered contradicts."""
    participation = claim.practice.participation
    return [
        row
        for row in policy["corrected_claims.rules"]
        if row.get("claim_type", claim.claim_type) == claim.claim_type
        and (not participation or row["participation"] in ("any", participation))
    ]


def allows_error(row: Row) -> bool:
    """Whether the payer insists on it, and that is sure enough for an error."""
    return row["binding"] == "must" and Confidence(row["confidence"]).allows_error
