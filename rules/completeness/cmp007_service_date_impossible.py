"""A service line dated after the claim was received, or that ends before it begins.

A service is billed after it was rendered, so a date in the future is a slip of the keyboard, or a claim that left
before the operation.

Known limit: a line that ends before it begins shows the reason code of a service billed too early first.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line
from rules.engine.rule import rule


@rule(
    title="Service date is impossible",
    severity=Severity.ERROR,
    reason="DOS_INVALID",
    remedy="Correct the service date of the line.",
    citations=("x12-carc-rarc-2024-06",),
    field="lines[].service_date",
    clean=(a_claim(), a_claim(received_date="2026-08-03")),
    flagged=(
        a_claim(received_date="2026-08-02"),
        a_facility_claim(lines=[a_facility_line(), a_facility_line(service_date_through="2026-08-02")]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> str | Flag | NotEvaluated | None:  # noqa: ARG001
    received, start, through = claim.received_date, line.service_date, line.service_date_through
    if start is not None and through is not None and through < start:
        problem = f"the line ends on {through}, before it begins on {start}"
        return Flag(problem, field="lines[].service_date_through", carc="16")
    if start is None and through is None:
        return None
    if received is None:
        return NotEvaluated("the claim has no receipt date")
    if start is not None and start > received:
        return f"the service date {start} is after the receipt date {received}"
    if through is not None and through > received:
        problem = f"the line ends on {through}, after the receipt date {received}"
        return Flag(problem, field="lines[].service_date_through")
    return None
