"""A first generator after a trial that was shorter or longer than the payer's policy asks for.

Where the practice has supplied how long the trial was, that is compared with the policy. Besides, a generator that
follows the latest lead of the 90 days before it in fewer days than the least the policy asks for cannot follow a trial
of that length. A replacement needs no new trial.

Known limits: a lead that was no trial, such as a permanent one placed some days before its generator, looks like a
short trial. How long a trial lasted does not follow from dates that are further apart.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from rules.coverage.criteria import Answers, Breach, Criterion, amount, answers
from rules.coverage.generator import GENERATOR
from rules.coverage.replacement import is_replacement
from rules.engine.claim import CaseFacts, Claim, ServiceLine
from rules.engine.decision import Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.history import History
from rules.engine.rule import rule
from rules.history.dated import dated_services, days_between, has_one_date_only

_LEAD = "63650"
_FACTS = ("trial_days", "trial_hours")
_HOURS: Final[Mapping[str, int]] = {"days": 24, "hours": 1}
_WORDS: Final[Mapping[str, str]] = {"at_least": "at least", "more_than": "more than", "at_most": "at most"}
_LOOKBACK = 90


@rule(
    title="Trial length outside the policy's range",
    severity=Severity.WARNING,
    reason="NOT_MED_NECESSARY",
    remedy="Check the trial dates against the policy.",
    citations=("verity-aetna-0194", "d3rx-aetna-0194", "evicore-cmm-211", "highmark-s258"),
    field="case_facts.trial_days",
    scope="history",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: (
        not policy["coverage.criteria"].keys().isdisjoint(_FACTS)
        and (key.has_history or _LEAD in key.codes or not key.facts.isdisjoint(_FACTS))
    ),
    policy=("coverage.criteria", "coverage.replacement_diagnoses", "place_of_service.contractor_areas"),
    lookback=_LOOKBACK,
    clean=(
        a_claim("AETNA"),
        a_claim("AETNA", case_facts={"trial_days": "3"}),
        with_history(a_claim("AETNA"), earlier("AETNA", lines=[a_line("63650", service_date="2026-07-31")])),
    ),
    flagged=(
        a_claim("AETNA", case_facts={"trial_days": "8"}),
        a_claim("CIGNA", case_facts={"trial_hours": "48"}),
        with_history(a_claim("AETNA"), earlier("AETNA", lines=[a_line("63650", service_date="2026-08-01")])),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Answers | None:
    held = policy["coverage.criteria"]
    criteria = [criterion for fact in _FACTS for criterion in held.get(fact, ())]
    breaches = _supplied(claim.case_facts, criteria)
    if not breaches and not has_one_date_only(claim, history):
        breaches = _by_dates(claim, history, criteria)
    if not breaches or is_replacement(claim, history, policy["coverage.replacement_diagnoses"]):
        return None
    return answers(claim, breaches, policy["place_of_service.contractor_areas"])


def _supplied(facts: CaseFacts, criteria: Iterable[Criterion]) -> list[Breach]:
    """What the supplied length of the trial breaks; hours count before days, as they say more."""
    if facts.trial_hours is not None:
        fact, length, unit = "trial_hours", facts.trial_hours, "hours"
    elif facts.trial_days is not None:
        fact, length, unit = "trial_days", facts.trial_days, "days"
    else:
        return []
    hours = length * _HOURS[unit]
    return [
        _breach(f"trial: {amount(length, unit)}", criterion, criteria, f"case_facts.{fact}")
        for criterion in criteria
        if not _is_met(hours, criterion)
    ]


def _by_dates(claim: Claim, history: History, criteria: Iterable[Criterion]) -> list[Breach]:
    """What the days between the latest lead and a generator break, as far as they can."""
    leads = dated_services(claim, history.patient_services, (_LEAD,))
    breaches = []
    for line in claim.lines:
        day = line.service_date
        if line.procedure_code != GENERATOR or day is None:
            continue
        before = [each for each in leads if 0 < (day - each.day).days <= _LOOKBACK]
        if not before:
            continue
        last = max(before, key=lambda each: each.day)
        days = (day - last.day).days
        said = f"{GENERATOR} on {day}, {days_between(last.day, day)} after {_LEAD} of {last.day} {last.where}"
        for criterion in criteria:
            least = criterion.get("at_least", criterion.get("more_than"))
            if least is not None and days * _HOURS["days"] < least * _HOURS[criterion["unit"]]:
                breaches.append(_breach(said, criterion, criteria, "lines[].service_date", line))
    return breaches


def _is_met(hours: Decimal, criterion: Criterion) -> bool:
    in_hours = _HOURS[criterion["unit"]]
    if "at_most" in criterion:
        return bool(hours <= criterion["at_most"] * in_hours)
    if "at_least" in criterion:
        return bool(hours >= criterion["at_least"] * in_hours)
    return bool(hours > criterion["more_than"] * in_hours)


def _breach(
    said: str, criterion: Criterion, criteria: Iterable[Criterion], field: str, line: ServiceLine | None = None
) -> Breach:
    remedy = f"Check the trial dates against the policy ({', '.join(map(_in_words, criteria))})."
    return Breach(criterion, said, f"asks for {_in_words(criterion)}", field, remedy, line)


def _in_words(criterion: Criterion) -> str:
    test = next(each for each in _WORDS if each in criterion)
    return f"{_WORDS[test]} {amount(criterion[test], criterion['unit'])}"
