"""A first generator, and no trial lead of the patient on file from the year before it.

Payers cover a permanent system after a trial that helped. A lead of the same day on this claim is the permanent one and
no trial. Nothing is asked of a replacement, nor where the practice has supplied a fact about the trial; what that fact
says is the matter of the coverage rules.

Known limits: a trial that went to another payer is not on file. A trial older than history, where that is held for 90
days or more, looks like none. An assistant's line is not asked, as the surgeon's is.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.coverage.replacement import is_replacement
from rules.engine.claim import Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.grouping import is_assistant
from rules.engine.history import History
from rules.engine.rule import rule
from rules.history.dated import DatedService, dated_services, has_one_date_only

_TRIAL_LEADS = frozenset({"63650", "63655"})
_TRIAL_FACTS = frozenset(
    {"trial_done", "trial_days", "trial_hours", "trial_relief_pct", "analgesic_reduction_pct", "ncd_trial_relief"}
)
_DAYS = 365
_FEWEST_DAYS_HELD = 90
_TOO_SHORT = NotEvaluated(f"no trial is on file, but history is held for less than {_FEWEST_DAYS_HELD} days")


@rule(
    title="Trial before the generator is not on file",
    severity=Severity.WARNING,
    reason="NOT_MED_NECESSARY",
    remedy="Attach or note date and result of the trial.",
    citations=("ncd-160.7", "lcd-l35136", "verity-aetna-0194", "evicore-cmm-211", "mp-328"),
    field="lines[].procedure_code",
    scope="history",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: key.facts.isdisjoint(_TRIAL_FACTS),  # noqa: ARG005
    policy=("coverage.replacement_diagnoses",),
    lookback=_DAYS,
    clean=(
        a_claim(),
        with_history(a_claim(), earlier(lines=[a_line("63650", service_date="2025-08-03")])),
        with_history(a_claim(case_facts={"trial_done": True})),
        with_history(a_claim(diagnoses=[{"code": "Z45.42"}])),
    ),
    flagged=(
        with_history(a_claim()),
        with_history(a_claim(), earlier(lines=[a_line("63650", service_date="2025-08-02")])),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> NotEvaluated | list[Flag] | None:
    facts = claim.case_facts
    supplied = _TRIAL_FACTS & facts.model_fields_set
    if supplied and any(getattr(facts, name) is not None for name in supplied):
        return None
    if is_replacement(claim, history, policy["coverage.replacement_diagnoses"]):
        return None
    is_alone = has_one_date_only(claim, history)
    leads = [] if is_alone else dated_services(claim, history.patient_services, _TRIAL_LEADS)
    flags = []
    for line in claim.lines:
        day = line.service_date
        if line.procedure_code != GENERATOR or day is None or is_assistant(line):
            continue
        if leads and any(_may_be_trial(lead, day) for lead in leads):
            continue
        if not history.is_held(day, _FEWEST_DAYS_HELD):
            return _TOO_SHORT
        flags.append(Flag(f"{GENERATOR} on {day}, and no 63650 or 63655 on file of the {_DAYS} days before", line=line))
    return flags or None


def _may_be_trial(lead: DatedService, day: date) -> bool:
    days = (day - lead.day).days
    return 0 <= days <= _DAYS and not (days == 0 and lead.is_of_this_claim)
