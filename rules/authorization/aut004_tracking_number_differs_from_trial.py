"""A tracking number on the permanent implant that is another than that of the hospital trial before it.

Where trial and permanent implant both bring a lead in a hospital outpatient department, Original Medicare wants one
request, for the trial, and its tracking number on both claims.

Known limits: a separate request for the permanent implant is allowed, so this is a warning. A trial at another hospital
is not looked at.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, earlier, with_history
from rules.engine.history import History, PriorService
from rules.engine.rule import rule

_LEAD = "63650"
_OUTPATIENT = "013"
_DAYS = 365
_TRIAL = earlier(
    facility=True,
    prior_authorization_number="A1234567890123",
    lines=[a_facility_line(_LEAD, service_date="2026-07-20")],
)
_IMPLANT = {"lines": [a_facility_line(), a_facility_line(_LEAD)]}


@rule(
    title="Tracking number differs from that of the trial",
    severity=Severity.WARNING,
    reason="PA_MISMATCH",
    remedy="Use the trial's tracking number, unless a separate request was made.",
    citations=("cgs-opd-isn", "palmetto-opd-scs"),
    field="prior_authorization_number",
    scope="history",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: (  # noqa: ARG005
        key.has_history and key.is_authorized and _LEAD in key.codes and key.type_of_bill.startswith(_OUTPATIENT)
    ),
    payers=("MEDICARE_FFS",),
    claim_types=("institutional",),
    effective=date(2021, 7, 1),
    lookback=_DAYS,
    clean=(
        a_claim(),
        a_facility_claim(prior_authorization_number="A1234567890123", **_IMPLANT),
        with_history(a_facility_claim(prior_authorization_number="A1234567890123", **_IMPLANT), _TRIAL),
    ),
    flagged=(with_history(a_facility_claim(prior_authorization_number="B1234567890123", **_IMPLANT), _TRIAL),),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Flag | None:  # noqa: ARG001
    for line in claim.lines:
        number = line.prior_authorization_number or claim.prior_authorization_number
        day = line.service_date
        if line.procedure_code != _LEAD or not number or day is None:
            continue
        trials = [prior for prior in history.patient_services if _is_trial(claim, day, prior)]
        if trials and all(prior.line.prior_authorization_number != number for prior in trials):
            last = max(trials, key=lambda prior: prior.line.service_date or day)
            return Flag(
                f"the tracking number is another than that of claim {last.claim.claim_id} for the trial of "
                f"{last.line.service_date}",
                line=line if line.prior_authorization_number else None,
                field="lines[].prior_authorization_number" if line.prior_authorization_number else None,
            )
    return None


def _is_trial(claim: Claim, day: date, prior: PriorService) -> bool:
    """Whether an earlier line is a lead with a number, at this claim's hospital, in the year before a day."""
    other, line = prior
    return (
        line.procedure_code == _LEAD
        and bool(line.prior_authorization_number)
        and line.service_date is not None
        and 0 < (day - line.service_date).days <= _DAYS
        and claim.is_outpatient_department
        and other.type_of_bill.startswith(_OUTPATIENT)
        and other.billing_npi == claim.billing_provider.npi
        and all(each.procedure_code != GENERATOR for each in other.lines)
    )
