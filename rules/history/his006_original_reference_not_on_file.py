"""A replacement or void whose original reference number is not the payer's latest number on file for the account.

The payer finds the claim to replace by its own number (REF F8), and each replacement gets a new one: with an older
number, or another account's, the wrong claim is replaced or none.

Known limit: where the payer's latest number has not come back yet, it is not evaluated.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import VOID, Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, earlier, with_history
from rules.engine.history import History, PriorClaim
from rules.engine.record import CORRECTIONS
from rules.engine.rule import rule
from rules.history.corrections import LOOKBACK, NO_PREDECESSOR, is_correction

_NOT_TAKEN_IN = ("received", "flagged", "rejected")


@rule(
    title="Original reference number is not the latest on file",
    severity=Severity.WARNING,
    reason="FREQ_REF_MISSING",
    remedy="Use the latest payer claim control number.",
    citations=("product-logic",),
    field="original_reference_number",
    scope="history",
    lookback=LOOKBACK,
    concerns_claim=is_correction,
    on_void=True,
    clean=(
        a_claim(),
        with_history(
            a_claim(frequency_code="7", original_reference_number="ICN1"),
            earlier(patient_control_number="PCN-1", status="paid", number="ICN1"),
        ),
    ),
    flagged=(
        with_history(
            a_claim(frequency_code="7", original_reference_number="ICN9"),
            earlier(patient_control_number="PCN-1", status="paid", number="ICN1"),
        ),
        with_history(
            a_claim(frequency_code="8", original_reference_number="ICN1"),
            earlier(patient_control_number="PCN-1", status="paid", number="ICN1"),
            earlier(
                patient_control_number="PCN-1",
                frequency_code="7",
                original_reference_number="ICN1",
                status="paid",
                number="ICN2",
            ),
        ),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Flag | NotEvaluated | None:  # noqa: ARG001
    named = claim.original_reference_number
    if claim.frequency not in CORRECTIONS or not named:
        return None
    if history.predecessor is None:
        return NO_PREDECESSOR
    latest = _latest_taken_in(claim, history)
    number = "" if latest is None else latest.payer_claim_control_number
    if latest is None or not number:
        return NotEvaluated("the payer's number of the account's latest claim is not on file")
    if number == named:
        return None
    return Flag(
        # The numbers themselves would name a person's account wherever the decision is shown.
        f"the original reference number is not the latest on file, which is of claim {latest.claim_id}"
        f"{f', {latest.status} on {latest.status_date}' if latest.status_date else ''}",
        remedy=f"Use the payer claim control number that the payer gave claim {latest.claim_id} last.",
    )


def _latest_taken_in(claim: Claim, history: History) -> PriorClaim | None:
    # Where the number names a claim of another account, and none of this one is on file, that account's is meant.
    of_account = [each for each in history.account if each.patient_control_number == claim.patient_control_number]
    for each in reversed(of_account or history.account):
        if each.frequency != VOID and each.status not in _NOT_TAKEN_IN:
            return each
    return None
