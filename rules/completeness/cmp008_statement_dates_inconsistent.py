"""An institutional statement period that is incomplete, runs backwards or into the future, or misses a line's date.

The period (DTP 434) must hold every line. Payers count the filing limit from its last day, so a wrong one costs twice.

Known limit: a missing date of the period is CMP001's finding too.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_facility_claim, a_facility_line
from rules.engine.rule import rule


@rule(
    title="Statement dates are inconsistent",
    severity=Severity.ERROR,
    reason="STATEMENT_DATES",
    remedy="Make the statement period cover every line date.",
    citations=("x12-carc-rarc-2024-06", "edi-837-guides"),
    field="statement_from_date",
    scope="claim",
    claim_types=("institutional",),
    clean=(a_facility_claim(), a_facility_claim(statement_from_date="2026-08-01", statement_through_date="2026-08-05")),
    flagged=(
        a_facility_claim(statement_through_date=None),
        a_facility_claim(lines=[a_facility_line(), a_facility_line(service_date="2026-08-04")]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | NotEvaluated | None:  # noqa: ARG001
    start, through, received = claim.statement_from_date, claim.statement_through_date, claim.received_date
    if start is not None and through is not None and received is not None and start <= through <= received:
        for line in claim.lines:
            day, last = line.service_date, line.service_date_through
            if (day is not None and not start <= day <= through) or (last is not None and not start <= last <= through):
                break
        else:
            return None
    return _judge(claim, start, through, received)


def _judge(
    claim: Claim, start: date | None, through: date | None, received: date | None
) -> list[Flag] | NotEvaluated | None:
    flags = []
    if start is None:
        flags.append(Flag("the statement from date is missing", rarc="M52"))
    if through is None:
        flags.append(Flag("the statement through date is missing", field="statement_through_date", rarc="M59"))
    elif start is not None and start > through:
        # Then no line can lie inside, which would be the same defect once more.
        return [Flag(f"the statement period begins on {start}, after it ends on {through}")]
    elif received is not None and through > received:
        problem = f"the statement period ends on {through}, after the receipt date {received}"
        flags.append(Flag(problem, field="statement_through_date", rarc="M59"))
    for line in claim.lines:
        for day, field in (
            (line.service_date, "lines[].service_date"),
            (line.service_date_through, "lines[].service_date_through"),
        ):
            if day is not None and ((start is not None and day < start) or (through is not None and day > through)):
                period = f"{start or '(missing)'} to {through or '(missing)'}"
                flags.append(Flag(f"the line's date {day} lies outside the statement period {period}", line, field))
                break
    if not flags and received is None:
        return NotEvaluated("the claim has no receipt date")
    return flags or None
