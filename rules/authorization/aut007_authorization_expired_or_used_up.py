"""A service outside the window of its stored authorization, or more units than were approved.

An authorization holds for its dates and its number of units; what lies beyond is denied as if there were none. Original
Medicare's tracking number holds for services within 120 days of the decision, whatever else the record says.

Judged are the lines whose code the record lists, or the surgical codes of spinal cord stimulation where it lists none
(for Original Medicare 63650); an assistant's lines use up no units. Records with the same number for several codes are
taken together.

Known limits: units that earlier claims have used up are not seen. Without a record of the number the rule cannot tell.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rules.authorization.stored import NO_RECORD, NumberUse, number_uses, without_records
from rules.engine.claim import Claim, ServiceLine, StoredAuthorization
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import SERVICE_DATE, a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.grouping import is_assistant
from rules.engine.rule import rule


@rule(
    title="Authorization expired or used up",
    severity=Severity.ERROR,
    reason="PA_EXCEEDED",
    remedy="Request an extension or a new authorization before sending.",
    citations=("x12-carc-rarc-2024-06", "product-logic"),
    field="prior_authorization_number",
    scope="claim",
    concerns_claim=lambda key, policy: key.is_authorized,  # noqa: ARG005
    policy=("authorization.valid_days", "authorization.covered_codes"),
    clean=(
        a_claim(),
        a_claim(
            "AETNA",
            prior_authorization_number="PA1",
            authorizations=[{"number": "PA1", "from_date": SERVICE_DATE, "through_date": SERVICE_DATE, "units": "1"}],
        ),
        a_claim(prior_authorization_number="PA1"),
    ),
    flagged=(
        a_claim(
            "AETNA",
            prior_authorization_number="PA1",
            authorizations=[{"number": "PA1", "through_date": "2026-08-02"}],
        ),
        a_claim(
            "AETNA",
            prior_authorization_number="PA1",
            lines=[a_line("63650", units="2")],
            authorizations=[{"number": "PA1", "units": "1"}],
        ),
        a_facility_claim(
            prior_authorization_number="A1234567890123",
            lines=[a_facility_line("63650")],
            authorizations=[{"number": "A1234567890123", "decision_date": "2026-04-04"}],
        ),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> NotEvaluated | Sequence[Flag | NotEvaluated] | None:
    if not claim.authorizations:
        return without_records(claim)
    answers: list[Flag | NotEvaluated] = []
    for use in number_uses(claim):
        if not use.records:
            answers.append(NotEvaluated(NO_RECORD.reason, use.line))
            continue
        covered = [line for line in use.lines if _is_covered(use, line, policy["authorization.covered_codes"])]
        answers += [
            Flag(message, line=line, field="lines[].service_date")
            for line in covered
            if (message := _expired(line, use.records_for(line), policy["authorization.valid_days"]))
        ]
        answers += _used_up(use, covered)
    return answers or None


def _is_covered(use: NumberUse, line: ServiceLine, surgical: frozenset[str]) -> bool:
    return any(line.procedure_code in (record.procedure_codes or surgical) for record in use.records_for(line))


def _expired(line: ServiceLine, records: list[StoredAuthorization], valid_days: int | None) -> str:
    """Why none of the records holds on the line's dates; blank when one does, or when the date is not known."""
    reasons = [_not_in_force(line, record, valid_days) for record in records]
    return min(reasons) if all(reasons) else ""


def _not_in_force(line: ServiceLine, record: StoredAuthorization, valid_days: int | None) -> str:
    first = line.service_date
    if first is None:
        return ""
    last = line.service_date_through or first
    if record.from_date is not None and first < record.from_date:
        return f"service date {first} is before the authorization's first day {record.from_date}"
    if record.through_date is not None and last > record.through_date:
        return f"service date {last} is after the authorization's last day {record.through_date}"
    decided = record.decision_date
    if valid_days is not None and decided is not None and last - decided > timedelta(days=valid_days):
        return f"service date {last} is {(last - decided).days} days after the decision of {decided}; {valid_days} hold"
    return ""


def _used_up(use: NumberUse, covered: list[ServiceLine]) -> list[Flag]:
    codes = {line.procedure_code for line in covered}
    approvals = [
        record.units
        for record in use.records
        if not record.procedure_codes or not codes.isdisjoint(record.procedure_codes)
    ]
    known = [units for units in approvals if units is not None]
    # An assistant works under the surgeon's authorization.
    billed = sum(max(line.units or 0, 0) for line in covered if not is_assistant(line))
    approved = sum(known)
    if not covered or len(known) < len(approvals) or billed <= approved:
        return []
    return [
        Flag(
            f"{billed} units of {', '.join(sorted(codes))} billed; the authorization approves {approved}",
            line=use.line,
            field=use.field,
        )
    ]
