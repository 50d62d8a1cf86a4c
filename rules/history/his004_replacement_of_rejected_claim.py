"""A replacement or void of a claim that was rejected, and that the payer therefore never took in.

A claim rejected on the way (999 or 277CA) was never adjudicated: the payer has no number for it and nothing to replace.
It is sent again as an original.

Known limit: a claim that one party on the way accepted before another rejected it is not flagged.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import VOID, Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, earlier, with_history
from rules.engine.history import History
from rules.engine.record import CORRECTIONS
from rules.engine.rule import rule
from rules.history.corrections import LOOKBACK, NO_PREDECESSOR, is_correction


@rule(
    title="Replacement or void of a rejected claim",
    severity=Severity.ERROR,
    reason="FREQ_WRONG",
    remedy="Send as frequency 1 without REF F8; the payer never took the first one in.",
    citations=("edi-ack-guides", "x12-carc-rarc-2024-06"),
    field="frequency_code",
    scope="history",
    lookback=LOOKBACK,
    concerns_claim=is_correction,
    on_void=True,
    clean=(
        a_claim(),
        with_history(
            a_claim(frequency_code="7", original_reference_number="ICN1"),
            earlier(patient_control_number="PCN-1", status="denied", number="ICN1"),
        ),
    ),
    flagged=(
        with_history(
            a_claim(frequency_code="7", original_reference_number="ICN1"),
            earlier(patient_control_number="PCN-1", status="rejected"),
        ),
        with_history(
            a_claim(frequency_code="8", original_reference_number="ICN1"),
            earlier(patient_control_number="PCN-1", status="rejected", status_date="2026-08-07"),
        ),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Flag | NotEvaluated | None:  # noqa: ARG001
    if claim.frequency not in CORRECTIONS:
        return None
    prior = history.predecessor
    if prior is None:
        return NO_PREDECESSOR
    if not prior.changes or any(change.status != "rejected" for change in prior.changes):
        return None
    on = f" on {prior.status_date}" if prior.status_date else ""
    return Flag(
        f"frequency {claim.frequency}, but claim {prior.claim_id} was rejected{on} and never taken in",
        remedy="Do not send the void; the payer never took the first one in." if claim.frequency == VOID else None,
    )
