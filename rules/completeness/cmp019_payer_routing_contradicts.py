"""A payer ID of another payer, or a claim filing indicator that the payer's claims do not have.

By payer ID and filing indicator (SBR09) the claim finds its way; where they contradict the payer that was meant,
another payer gets it. Original Medicare has MB on a professional and MA on an institutional claim; a Medicare Advantage
plan has neither.

Known limits: few payer IDs are known; a claim that names no payer key is given its payer by these same fields, so that
its payer ID cannot contradict; a blank field contradicts nothing.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim
from rules.engine.rule import rule


@rule(
    title="Payer ID or filing indicator contradicts the payer",
    severity=Severity.WARNING,
    reason="WRONG_PAYER",
    remedy="Check payer ID and filing indicator.",
    citations=("uhc-payer-id", "muni-health", "coding-knowledge"),
    field="payer.payer_id",
    scope="claim",
    policy=("payer_routing.payer_ids", "payer_routing.filing_indicators"),
    clean=(
        a_claim(payer={"key": "MEDICARE_FFS", "name": "Medicare", "filing_indicator": "MB"}),
        a_claim(payer={"key": "UHC_COM", "name": "UnitedHealthcare", "payer_id": "87726", "filing_indicator": "CI"}),
    ),
    flagged=(
        a_claim(payer={"key": "MEDICARE_FFS", "name": "Medicare", "filing_indicator": "MA"}),
        a_claim(payer={"key": "HUMANA_MA", "name": "Humana", "filing_indicator": "MB"}),
        a_claim(payer={"key": "CIGNA", "name": "Cigna", "payer_id": "87726"}),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    payer = claim.payer
    payer_id, indicator = payer.payer_id, payer.filing_indicator
    if not (payer_id or indicator):
        return None
    flags: list[Flag] = []
    owners = policy["payer_routing.payer_ids"].get(payer_id)
    if owners is not None and payer.key and payer.key not in owners:
        flags.append(Flag(f"payer ID {payer_id} is that of {' and '.join(owners)}, and the payer key is {payer.key}"))
    limits = policy["payer_routing.filing_indicators"].get(claim.claim_type)
    if indicator and limits is not None:
        only, never = limits.get("only"), limits.get("never", ())
        if (only is not None and indicator not in only) or indicator in never:
            expected = f"is {' or '.join(only)}" if only else f"is never {' or '.join(never)}"
            kind = "a professional" if claim.is_professional else "an institutional"
            problem = f"the filing indicator is {indicator}; of {kind} claim to this payer it {expected}"
            flags.append(Flag(problem, field="payer.filing_indicator"))
    return flags or None
