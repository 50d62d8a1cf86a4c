"""A claim to a second or third payer that does not say what the payer before it paid, and when.

A payer that is not the first reckons its part from the other payer's payment, and turns the claim away without it. The
date may stand with the other payer, or with what it paid for a line.

Known limits: any one other payer with amount and date is enough; its adjustments are not looked at.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, OtherPayer
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim
from rules.engine.rule import rule


@rule(
    title="Other payer's data are missing",
    severity=Severity.WARNING,
    reason="COB_MISSING",
    remedy="Add the primary payer with amount, adjustments and date.",
    citations=("uhc-smart-edits", "edi-837-guides"),
    field="other_payers",
    scope="claim",
    concerns_claim=lambda key, policy: key.responsibility in policy["payer_routing.later_payers"],
    policy=("payer_routing.later_payers",),
    clean=(
        a_claim(),
        a_claim(
            payer={"key": "UHC_COM", "name": "UnitedHealthcare", "responsibility": "S"},
            other_payers=[{"name": "Medicare", "paid_amount": "1200.00", "paid_date": "2026-08-08"}],
        ),
    ),
    flagged=(a_claim(payer={"key": "UHC_COM", "name": "UnitedHealthcare", "responsibility": "S"}),),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> str | Flag | None:
    responsibility = claim.payer.responsibility
    if responsibility not in policy["payer_routing.later_payers"]:
        return None
    paid = [other for other in claim.other_payers if other.paid_amount is not None]
    if any(other.paid_date is not None or _has_dated_line(claim, other) for other in paid):
        return None
    said = f"the payer's responsibility is {responsibility}"
    if not claim.other_payers:
        return f"{said}, and no other payer stands on the claim"
    if not paid:
        return Flag(f"{said}, and no other payer has a paid amount", field="other_payers[].paid_amount")
    return Flag(f"{said}, and no other payer with a paid amount has a date of it", field="other_payers[].paid_date")


def _has_dated_line(claim: Claim, other: OtherPayer) -> bool:
    return any(
        adjudication.paid_date is not None and adjudication.payer_id == other.payer_id
        for line in claim.lines
        for adjudication in line.adjudications
    )
