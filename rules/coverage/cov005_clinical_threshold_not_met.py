"""A first generator with a supplied duration, score or count below what the payer's policy asks for.

Policies want months of conservative care, drugs and physical therapy tried, and pain of some strength and duration
before a stimulator. Some thresholds are asked for some diagnoses only: they hold where the generator line points to one
of those. A replacement is not asked again.

Known limit: a threshold for some diagnoses is asked also where the line points to another indication besides.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.criteria import Answers, Breach, Criterion, amount, answers
from rules.coverage.generator import GENERATOR, diagnoses_for_generator, group_of
from rules.coverage.replacement import is_replacement
from rules.engine.claim import Claim
from rules.engine.decision import Severity
from rules.engine.examples import a_claim
from rules.engine.history import History
from rules.engine.rule import rule

_LABELS = {
    "conservative_months": "conservative care",
    "drug_classes": "drugs tried",
    "pt_weeks_last_year": "physical therapy in the last year",
    "odi_pct": "disability score",
    "pain_score": "pain score",
    "pain_months": "duration of pain",
}


@rule(
    title="Clinical threshold of the policy not met",
    severity=Severity.ERROR,
    reason="NOT_MED_NECESSARY",
    remedy="Document what the policy asks for.",
    citations=("mp-328", "droracle-aetna-scs", "evicore-cmm-211", "policychanges-bcbsmn"),
    field="case_facts",
    scope="claim",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: not key.facts.isdisjoint(_LABELS.keys() & policy["coverage.criteria"].keys()),
    policy=(
        "coverage.criteria",
        "coverage.replacement_diagnoses",
        "diagnoses.matrix",
        "place_of_service.contractor_areas",
    ),
    clean=(a_claim("MP328"), a_claim("MP328", case_facts={"pain_score": "5", "pain_months": "3"})),
    flagged=(
        a_claim("MP328", case_facts={"pain_score": "4"}),
        a_claim("AETNA", case_facts={"conservative_months": "5"}),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Answers | None:
    facts = claim.case_facts
    criteria = policy["coverage.criteria"]
    breaches = [
        _breach(fact, supplied, criterion)
        for fact in _LABELS
        if fact in criteria and (supplied := getattr(facts, fact)) is not None
        for criterion in criteria[fact]
        if supplied < criterion["at_least"] and _fits(claim, criterion, policy["diagnoses.matrix"])
    ]
    if not breaches or is_replacement(claim, history, policy["coverage.replacement_diagnoses"]):
        return None
    return answers(claim, breaches, policy["place_of_service.contractor_areas"])


def _fits(claim: Claim, criterion: Criterion, matrix: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the criterion holds for what the generator is for."""
    groups = criterion.get("groups")
    return groups is None or any(group_of(each.undotted, matrix) in groups for each in diagnoses_for_generator(claim))


def _breach(fact: str, supplied: Any, criterion: Criterion) -> Breach:
    label, least = _LABELS[fact], amount(criterion["at_least"], criterion["unit"])
    return Breach(
        criterion,
        f"{label}: {amount(supplied, criterion['unit'])}",
        f"asks for at least {least}",
        f"case_facts.{fact}",
        f"Document at least {least} ({label}).",
    )
