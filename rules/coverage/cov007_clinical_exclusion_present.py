"""A generator for a patient with something that the payer's policy excludes: substance use, nicotine, a heart device.

An exclusion holds for a replacement too. A pacemaker or defibrillator is known also by its status code anywhere on the
claim. The Noridian policies are named where the claim's contractor area is theirs.

Known limit: whether substance use is being treated is known only where the practice has said so.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.criteria import Answers, Breach, Criterion, amount, answers
from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim
from rules.engine.decision import Severity
from rules.engine.examples import a_claim
from rules.engine.rule import rule

_LABELS = {
    "substance_use_active": "active substance use",
    "substance_use_untreated": "untreated substance use",
    "nicotine_free_weeks": "time without nicotine",
    "cardiac_device": "pacemaker or defibrillator",
}


@rule(
    title="Clinical exclusion of the policy is present",
    severity=Severity.ERROR,
    reason="NOT_MED_NECESSARY",
    remedy="Resolve or document it; the policy excludes it.",
    citations=("lcd-l35136", "lcd-l36204", "mp-328", "verity-aetna-0194", "policychanges-bcbsmn"),
    field="case_facts",
    scope="claim",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: (
        "cardiac_device" in policy["coverage.criteria"]
        or not key.facts.isdisjoint(_LABELS.keys() & policy["coverage.criteria"].keys())
    ),
    policy=("coverage.criteria", "place_of_service.contractor_areas"),
    clean=(a_claim("MP328"), a_claim("AETNA", case_facts={"cardiac_device": False})),
    flagged=(
        a_claim("MP328", case_facts={"substance_use_untreated": True}),
        a_claim("AETNA", diagnoses=[{"code": "M96.1"}, {"code": "Z95.0"}]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> Answers | None:
    criteria = policy["coverage.criteria"]
    breaches = [
        breach
        for fact in _LABELS
        if fact in criteria
        for criterion in criteria[fact]
        if (breach := _breach(claim, fact, criterion)) is not None
    ]
    return answers(claim, breaches, policy["place_of_service.contractor_areas"]) if breaches else None


def _breach(claim: Claim, fact: str, criterion: Criterion) -> Breach | None:
    label, supplied = _LABELS[fact], getattr(claim.case_facts, fact)
    remedy = f"Resolve or document {label}; the policy excludes it."
    if "at_least" in criterion:
        least, unit = criterion["at_least"], criterion["unit"]
        if supplied is None or supplied >= least:
            return None
        said, asks = f"{label}: {amount(supplied, unit)}", f"asks for at least {amount(least, unit)}"
        return Breach(
            criterion, said, asks, f"case_facts.{fact}", f"Document at least {amount(least, unit)} ({label})."
        )
    if supplied:
        return Breach(criterion, label, "excludes it", f"case_facts.{fact}", remedy)
    known_by = criterion.get("or_diagnoses", ())
    for position, diagnosis in enumerate(claim.diagnoses if known_by else ()):
        if diagnosis.undotted in known_by:
            return Breach(
                criterion, f"{label} ({diagnosis.code})", "excludes it", f"diagnoses[{position}].code", remedy
            )
    return None
