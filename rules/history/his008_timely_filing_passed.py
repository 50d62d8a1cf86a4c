"""A first claim received after the payer's filing limit, or with few days of it left.

A claim filed too late is denied for good. Original Medicare allows twelve calendar months (not 365 days), from each
line's From date or from the end of an institutional statement period, and goes on to the next workday where the last
day is none. Other payers count from the earliest line or from the end of the period. Rejected and returned claims were
never filed, so only this claim's receipt counts.

Which of a payer's limits holds depends on the line of business and on the provider's participation. Limits that
contradict what the practice has entered are put aside. Of those that are left, passing the longest one that is sure
enough for an error is an error, passing any other is a warning, and 15 days or fewer before the first is information.

Known limits: the hour of receipt (a claim after 18:00 counts for the next day at one contractor) is not looked at;
exceptions to a limit are not known; a contract may say otherwise and can be entered.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import MAXYEAR, date
from operator import itemgetter
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.policy import Confidence
from rules.engine.rule import rule
from rules.history.filing_days import last_filing_day, service_day, workday_from

_NOTICE_DAYS = 15
_LATER_PAYERS = ("S", "T")
_ANCHORS = {
    "professional": ("line From date", "date of service"),
    "institutional": ("statement Through date", "date of service"),
}
_FEWEST_DAYS = {"days": 1, "calendar months": 28, "year ends": 365}
_LATEST = date(MAXYEAR - 10, 1, 1)  # beyond it, a last day may be the calendar's own last one
_Row = Mapping[str, Any]


@rule(
    title="Timely filing limit passed",
    severity=Severity.ERROR,
    reason="TIMELY_FILING",
    remedy="Send with proof of timely filing or of an exception, or write off.",
    citations=("x12-carc-rarc-2024-06",),
    field="received_date",
    scope="claim",
    policy=("timely_filing.limits",),
    clean=(a_claim(), a_claim("CIGNA", received_date="2026-10-01")),
    flagged=(a_claim(received_date="2027-08-04"), a_facility_claim("BCBSNE", received_date="2026-12-02")),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> Flag | NotEvaluated | list[Flag | NotEvaluated] | None:
    if claim.frequency != "1":
        return None
    received = claim.received_date
    if received is None:
        return NotEvaluated("the claim has no receipt date")
    limits = policy["timely_filing.limits"]
    if _has_time(claim, received, limits):
        return None
    rows = _fitting(claim, limits)
    if not rows:
        return NotEvaluated("no filing limit is held for this line of business and participation, or sources differ")
    if rows[0]["anchor"] != "line From date":
        return _judge(claim, received, rows)
    answers: list[Flag | NotEvaluated] = []
    in_time: date | None = None
    for line in claim.lines:
        day = line.service_date
        if day is None or day != in_time:  # most claims have one date
            answer = _judge(claim, received, rows, line)
            if answer is None:
                in_time = day
            else:
                answers.append(answer)
    return answers or None


def _has_time(claim: Claim, received: date, limits: Iterable[_Row]) -> bool:
    """Whether a claim is surely early, as most are; then neither limits nor last days have to be worked out."""
    practice, claim_type = claim.practice, claim.claim_type
    participation = practice.participation
    if practice.product or claim.payer.responsibility in _LATER_PAYERS:
        return False
    anchor = _earliest(claim.lines) if claim_type == "professional" else claim.statement_through_date
    if anchor is None or received > _LATEST:
        return False
    elapsed, is_limited = (received - anchor).days + _NOTICE_DAYS, False
    for row in limits:
        if (
            row.get("claim_type", claim_type) == claim_type
            and row["limit"] is not None
            and "secondary" not in row
            and (not participation or row["participation"] in ("any", participation))
        ):
            if elapsed >= row["limit"] * _FEWEST_DAYS[row["unit"]] or row["anchor"] not in _ANCHORS[claim_type]:
                return False
            is_limited = True
    return is_limited


def _earliest(lines: Iterable[ServiceLine]) -> date | None:
    """The earliest date of the lines, or None where one has none."""
    earliest: date | None = None
    for line in lines:
        day = line.service_date
        if day is None:
            return None
        if earliest is None or day < earliest:
            earliest = day
    return earliest


def _fitting(claim: Claim, limits: Iterable[_Row]) -> Sequence[_Row]:
    """The limits that neither the claim nor what the practice has entered contradicts."""
    practice = claim.practice
    participation = practice.participation
    rows = [
        row
        for row in limits
        if row.get("claim_type", claim.claim_type) == claim.claim_type
        and (row["participation"] == "any" or not participation or row["participation"] == participation)
    ]
    if practice.product:
        named = [row for row in rows if practice.has_product_named(row.get("products", ()))]
        rows = named or [row for row in rows if "products" not in row]
    # Where the payer has a limit of its own for a secondary claim, that one holds instead of the general one.
    is_second = claim.payer.responsibility in _LATER_PAYERS
    second = {row["participation"] for row in rows if "secondary" in row} if is_second else ()
    return [
        row for row in rows if row["limit"] is not None and ("secondary" in row) == (row["participation"] in second)
    ]


def _judge(
    claim: Claim, received: date, rows: Sequence[_Row], line: ServiceLine | None = None
) -> Flag | NotEvaluated | None:
    ends: list[tuple[date, date, _Row]] = []
    for row in rows:
        anchor = _anchor(claim, line, row["anchor"])
        if anchor is None:
            return NotEvaluated(f"the {row['anchor']} is not known", line)
        end = last_filing_day(anchor, row["limit"], row["unit"])
        if "holidays" in row and (end - received).days <= _NOTICE_DAYS:
            end = workday_from(end, row["holidays"])
        ends.append((end, anchor, row))
    if len(ends) > 1:
        ends.sort(key=itemgetter(0))
    remaining = (ends[0][0] - received).days
    if remaining > _NOTICE_DAYS:
        return None
    if remaining >= 0:
        severity, chosen = Severity.INFO, ends[0]
    else:
        sure = [end for end in ends if end[2]["error_use"] and Confidence(end[2]["confidence"]).allows_error]
        error = bool(sure) and received > sure[-1][0]
        severity, chosen = (Severity.ERROR, sure[-1]) if error else (Severity.WARNING, ends[0])
    end, anchor, row = chosen
    message = (
        f"received on {received}; the last filing day {'is' if remaining >= 0 else 'was'} {end}, "
        f"{_length(row)} from the {row['anchor']} {anchor} ({row['line']}, participation: {row['participation']})"
    )
    if remaining < 0 and received <= ends[-1][0]:
        message += f"; another limit that may hold ends on {ends[-1][0]}"
    field = "received_date" if claim.is_professional else "statement_through_date"
    return Flag(
        message,
        line=line,
        field="lines[].service_date" if line else field,
        remedy=f"Make sure that the payer has the claim by {end}." if remaining >= 0 else None,
        severity=severity,
    )


def _anchor(claim: Claim, line: ServiceLine | None, anchor: str) -> date | None:
    if line is not None:
        return line.service_date
    if anchor == "primary remittance date":
        primary = [other for other in claim.other_payers if other.responsibility in ("", "P")]
        return max((other.paid_date for other in primary if other.paid_date), default=None)
    return service_day(claim)


def _length(row: _Row) -> str:
    return "the end of the next year" if row["unit"] == "year ends" else f"{row['limit']} {row['unit']}"
