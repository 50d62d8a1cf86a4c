"""A first generator after a trial that brought less relief than the payer's policy asks for.

A permanent system is covered when a trial has shown that it helps, mostly by half of the pain. Some policies take half
fewer analgesics instead: there it is enough that one of the two was supplied and reaches the value. A replacement needs
no new trial. The Noridian policies are named where the claim's contractor area is theirs.

Known limits: the value of the Medicare policies is a rule of thumb, so it only warns; relief is one number, although it
may differ by region of the body.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rules.coverage.criteria import Answers, Breach, Criterion, amount, answers
from rules.coverage.generator import GENERATOR
from rules.coverage.replacement import is_replacement
from rules.engine.claim import CaseFacts, Claim
from rules.engine.decision import Severity
from rules.engine.examples import a_claim
from rules.engine.history import History
from rules.engine.rule import rule

_LABELS = {"trial_relief_pct": "trial relief", "analgesic_reduction_pct": "analgesic reduction"}


@rule(
    title="Trial relief below the policy's threshold",
    severity=Severity.ERROR,
    reason="NOT_MED_NECESSARY",
    remedy="Document a trial with enough relief, or do not implant.",
    citations=(
        "mp-328",
        "lcd-l35136",
        "verity-aetna-0194",
        "evicore-cmm-211",
        "payerpolicy-uhc-ma",
        "hcsc-sur712",
    ),
    field="case_facts.trial_relief_pct",
    scope="claim",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: (
        "trial_relief_pct" in policy["coverage.criteria"] and not key.facts.isdisjoint(_LABELS)
    ),
    policy=("coverage.criteria", "coverage.replacement_diagnoses", "place_of_service.contractor_areas"),
    yields_to=("COV001",),
    clean=(a_claim("MP328"), a_claim("MP328", case_facts={"trial_relief_pct": "50"})),
    flagged=(a_claim("MP328", case_facts={"trial_relief_pct": "49"}), a_claim(case_facts={"trial_relief_pct": "30"})),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Answers | None:
    breaches = [
        breach
        for criterion in policy["coverage.criteria"].get("trial_relief_pct", ())
        if (breach := _breach(claim.case_facts, criterion)) is not None
    ]
    if not breaches or is_replacement(claim, history, policy["coverage.replacement_diagnoses"]):
        return None
    return answers(claim, breaches, policy["place_of_service.contractor_areas"])


def _breach(facts: CaseFacts, criterion: Criterion) -> Breach | None:
    asked = ["trial_relief_pct", *criterion.get("or_facts", ())]
    supplied: dict[str, Decimal] = {fact: value for fact in asked if (value := getattr(facts, fact)) is not None}
    least, unit = criterion["at_least"], criterion["unit"]
    if not supplied or max(supplied.values()) >= least:
        return None
    said = ", ".join(f"{_LABELS[fact]}: {amount(value, unit)}" for fact, value in supplied.items())
    of = f" of {' or '.join(_LABELS[fact] for fact in asked)}" if len(asked) > 1 else ""
    return Breach(
        criterion,
        said,
        f"asks for at least {amount(least, unit)}{of}",
        f"case_facts.{next(iter(supplied))}",
        f"Document a trial with at least {amount(least, unit)} relief, or do not implant.",
    )
