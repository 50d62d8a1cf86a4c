"""A service that an earlier claim of the member has billed already, the same in every respect.

Biller, date, code, modifiers in any order, units and charge agree; on professional claims who did it, on institutional
ones the type of bill. A claim that the payer rejected was never taken in, and sending it again is right.

Known limit: a service that was truly repeated needs 76, 77 or 91, and flags without.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_line, earlier, with_history
from rules.engine.history import History
from rules.engine.rule import rule
from rules.history.matching import exact_duplicate_of, standing


@rule(
    title="Exact duplicate of an earlier claim",
    severity=Severity.ERROR,
    reason="DUPLICATE",
    remedy="Do not send again; use frequency 7 to change it, or 76 or 77 if it was truly repeated.",
    citations=("x12-carc-rarc-2024-06",),
    field="lines[].procedure_code",
    scope="history",
    concerns_claim=lambda key, policy: key.has_same_day and key.frequency == "1",  # noqa: ARG005
    lookback=0,
    clean=(
        a_claim(),
        with_history(a_claim(), earlier(status="rejected")),
        with_history(a_claim(lines=[a_line(modifiers=["76"])]), earlier(lines=[a_line(modifiers=["76"])])),
        with_history(
            a_claim(frequency_code="7", original_reference_number="ICN1"),
            earlier(patient_control_number="PCN-1", status="paid", number="ICN1"),
        ),
    ),
    flagged=(
        with_history(a_claim(), earlier()),
        with_history(a_facility_claim(), earlier(facility=True, status="denied", status_date="2026-08-20")),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag] | None:  # noqa: ARG001
    if not history.claims or claim.frequency != "1":
        return None
    flags = []
    for line in claim.lines:
        prior = exact_duplicate_of(claim, line, history)
        if prior is not None:
            flags.append(
                Flag(
                    f"{line.procedure_code} on {line.service_date} stands on claim {prior.claim.claim_id} already "
                    f"({standing(prior.claim)})",
                    line=line,
                )
            )
    return flags or None
