"""A replacement or void received after the payer's window for corrected claims.

The window counts from the remittance, the denial or the first processing of the claim to be corrected, or from the
service itself, as the payer says. After it a correction is refused, and an appeal is what is left; Original Medicare
reopens an institutional claim under another frequency.

Of several windows, as for who participates and who does not, each one that nothing contradicts is looked at: that only
some have passed is a warning. Only a payer that insists, by a source that is sure, makes it an error.

Known limits: exceptions to a window are not known. Answers that came before claims were held are not on file.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_facility_claim, earlier, with_history
from rules.engine.history import PROCESSED, History
from rules.engine.record import CORRECTIONS
from rules.engine.rule import rule
from rules.history.corrections import LOOKBACK, NO_PREDECESSOR, Row, allows_error, fitting_rows, is_correction
from rules.history.filing_days import last_filing_day, service_day, workday_from

_FROM_SERVICE = ("date of service", "statement Through date")


@rule(
    title="Window for a corrected claim passed",
    severity=Severity.ERROR,
    reason="TIMELY_FILING",
    remedy="File an appeal instead of a replacement.",
    citations=("x12-carc-rarc-2024-06",),
    field="received_date",
    scope="history",
    lookback=LOOKBACK,
    concerns_claim=is_correction,
    on_void=True,
    policy=("corrected_claims.rules",),
    clean=(
        a_claim("BCBSNE"),
        with_history(
            a_claim("BCBSNE", frequency_code="7", original_reference_number="ICN1", received_date="2027-08-20"),
            earlier("BCBSNE", patient_control_number="PCN-1", status="paid", status_date="2026-08-20", number="ICN1"),
        ),
    ),
    flagged=(
        with_history(
            a_claim("BCBSNE", frequency_code="7", original_reference_number="ICN1", received_date="2027-08-21"),
            earlier("BCBSNE", patient_control_number="PCN-1", status="paid", status_date="2026-08-20", number="ICN1"),
        ),
        a_facility_claim(type_of_bill="0138", frequency_code="", received_date="2027-08-04"),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Flag | NotEvaluated | None:
    if claim.frequency not in CORRECTIONS:
        return None
    rows = [row for row in fitting_rows(claim, policy) if row["window"] is not None]
    if not rows:
        return None
    received = claim.received_date
    if received is None:
        return NotEvaluated("the claim has no receipt date")
    ends = []
    for row in rows:
        anchor = _anchor(claim, history, row["anchor"])
        if isinstance(anchor, NotEvaluated):
            return anchor
        end = last_filing_day(anchor, row["window"], row["unit"])
        ends.append((workday_from(end, row["holidays"]) if "holidays" in row else end, anchor, row))
    ends.sort(key=lambda each: each[0])
    passed = [each for each in ends if each[0] < received]
    if not passed:
        return None
    end, anchor, row = passed[0]
    message = f"received on {received}; the last day was {end}, {row['window']} {row['unit']} from the {row['anchor']}"
    if history.predecessor is not None and row["anchor"] not in _FROM_SERVICE:
        message += f" of claim {history.predecessor.claim_id}"
    message += f", {anchor}"
    if len(passed) < len(ends):
        message += f"; another window that may hold ends on {ends[-1][0]}"
    is_sure = len(passed) == len(ends) and all(allows_error(each[2]) for each in ends)
    return Flag(message, severity=None if is_sure else Severity.WARNING, remedy=_remedy(row))


def _anchor(claim: Claim, history: History, anchor: str) -> date | NotEvaluated:
    if anchor in _FROM_SERVICE:
        return service_day(claim) or NotEvaluated(f"the {anchor} is not known")
    prior = history.predecessor
    if prior is None:
        return NO_PREDECESSOR
    statuses = {"denied"} if anchor == "denial date" else PROCESSED
    days = [change.status_date for change in prior.changes if change.status in statuses]
    known = [day for day in days if day is not None]
    if not known or len(known) < len(days):
        return NotEvaluated(f"the {anchor} of claim {prior.claim_id} is not on file")
    return min(known) if anchor == "first processing" else max(known)


def _remedy(row: Row) -> str | None:
    if "afterwards" not in row:
        return None
    return f"Ask for a reopening with frequency {row['afterwards']}, or file an appeal, instead of a replacement."
