"""An original claim of an account that the payer has dealt with already for the same dates, with a line changed.

To the payer that is a duplicate, as nothing says which claim it corrects. A payer that takes replacements wants
frequency 7 with its own number of the first claim. Where nothing has changed, it is the exact duplicate of HIS001.

Known limits: a line added with a code that is neither of the family nor on the earlier claim is not seen as a change.
A second, separate claim of one account and day looks like a correction.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_line, earlier, with_history
from rules.engine.history import PROCESSED, History, PriorClaim, PriorLine
from rules.engine.rule import rule
from rules.history.corrections import LOOKBACK, allows_error, fitting_rows


@rule(
    title="Correction sent as an original claim",
    severity=Severity.ERROR,
    reason="DUPLICATE_NO_FREQ",
    remedy="Send as frequency 7 with the payer claim control number of the first claim.",
    citations=("x12-carc-rarc-2024-06",),
    field="frequency_code",
    scope="history",
    lookback=LOOKBACK,
    concerns_claim=lambda key, policy: key.frequency == "1",  # noqa: ARG005
    policy=("corrected_claims.rules", "modifiers.family"),
    clean=(
        with_history(
            a_claim("BCBSMA", lines=[a_line(units="2")]),
            earlier("BCBSMA", patient_control_number="PCN-1", status="rejected"),
        ),
        with_history(
            a_claim("BCBSMA", frequency_code="7", original_reference_number="ICN1", lines=[a_line(units="2")]),
            earlier("BCBSMA", patient_control_number="PCN-1", status="paid", number="ICN1"),
        ),
    ),
    flagged=(
        with_history(
            a_claim("BCBSMA", lines=[a_line(modifiers=["58"])]),
            earlier("BCBSMA", patient_control_number="PCN-1", status="denied", number="ICN1"),
        ),
        with_history(
            a_facility_claim(condition_codes=["49"], lines=[a_line(charge_amount="1.00")]),
            earlier(facility=True, patient_control_number="PCN-1", status="paid", number="ICN1"),
        ),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Flag | None:
    if not history.account or claim.frequency != "1":
        return None
    rows = [row for row in fitting_rows(claim, policy) if row["accepts_frequency_7_8"]]
    if not rows:
        return None
    for prior in reversed(history.account):
        if prior.status in PROCESSED and _is_changed(claim, prior, policy["modifiers.family"]):
            return Flag(
                f"frequency 1, but claim {prior.claim_id} of the same account and dates was {prior.status}"
                f"{f' on {prior.status_date}' if prior.status_date else ''}, and a line differs",
                severity=None if all(map(allows_error, rows)) else Severity.WARNING,
            )
    return None


def _is_changed(claim: Claim, prior: PriorClaim, family: Collection[str]) -> bool:
    """Whether both are of the same dates, and differ in a line."""
    # Lines with codes that no rule names are not kept, so of others only those that the earlier claim has are compared.
    compared = {*family, *(line.procedure_code for line in prior.lines)}
    lines = [line for line in claim.lines if line.procedure_code in compared]
    dates = {line.service_date for line in lines} - {None}
    return dates == prior.service_dates != frozenset() and Counter(map(_billed, lines)) != Counter(
        map(_billed, prior.lines)
    )


def _billed(line: ServiceLine | PriorLine) -> Hashable:
    return line.procedure_code, line.service_date, frozenset(line.modifiers), line.units, line.charge_amount
