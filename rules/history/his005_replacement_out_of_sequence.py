"""A replacement or void of a claim that the payer has not dealt with yet, or that was voided already.

Some payers refuse a correction while the first claim is open; after a void there is nothing left to correct.

Known limit: which payers take a correction of an open claim is not known. Where no answer to any of the member's claims
is on file, nobody can tell whether the first claim is open.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import VOID, Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, earlier, with_history
from rules.engine.history import PENDING, History
from rules.engine.record import CORRECTIONS
from rules.engine.rule import rule
from rules.history.corrections import LOOKBACK, NO_PREDECESSOR, is_correction


@rule(
    title="Replacement or void out of sequence",
    severity=Severity.WARNING,
    reason="FREQ_WRONG",
    remedy="Wait for the remittance, or send a new original if the first was voided.",
    citations=("x12-carc-rarc-2024-06", "coding-knowledge"),
    field="frequency_code",
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
            a_claim(frequency_code="7", original_reference_number="ICN1"),
            earlier(patient_control_number="PCN-1", status="accepted", number="ICN1"),
        ),
        with_history(
            a_claim(frequency_code="8", original_reference_number="ICN1"),
            earlier(patient_control_number="PCN-1", status="paid", number="ICN1"),
            earlier(
                patient_control_number="PCN-1",
                frequency_code="8",
                original_reference_number="ICN1",
                status="accepted",
            ),
        ),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Flag | NotEvaluated | None:  # noqa: ARG001
    if claim.frequency not in CORRECTIONS:
        return None
    prior = history.predecessor
    if prior is None:
        return NO_PREDECESSOR
    if prior.status == "voided":
        return Flag(
            f"frequency {claim.frequency}, but claim {prior.claim_id} was voided already",
            remedy="Do not send it; the first one is voided."
            if claim.frequency == VOID
            else "Send a new original; the first one is voided.",
        )
    if prior.status not in PENDING:
        return None
    if not any(each.changes for each in (*history.account, *history.claims)):
        return NotEvaluated(
            f"no answer to claim {prior.claim_id} is on file, so it is not known whether the payer has dealt with it"
        )
    return Flag(
        f"frequency {claim.frequency}, but claim {prior.claim_id} is {prior.status}: no remittance is on file",
        remedy=f"Wait for the remittance of claim {prior.claim_id}.",
    )
