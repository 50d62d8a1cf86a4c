"""A first generator without the psychological evaluation that the payer's policy asks for.

The evaluation has to come before the implant. A replacement is not asked again. The Noridian policies are named where
the claim's contractor area is theirs.

Known limit: whether the evaluation cleared the patient is not among the facts, only whether there was one.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.criteria import Answers, Breach, answers
from rules.coverage.generator import GENERATOR
from rules.coverage.replacement import is_replacement
from rules.engine.claim import Claim
from rules.engine.decision import Severity
from rules.engine.examples import a_claim
from rules.engine.history import History
from rules.engine.rule import rule


@rule(
    title="Psychological evaluation is missing",
    severity=Severity.ERROR,
    reason="NOT_MED_NECESSARY",
    remedy="Obtain the psychological evaluation before the implant.",
    citations=("lcd-l35136", "lcd-l36204", "evicore-cmm-211", "verity-aetna-0194"),
    field="case_facts.psych_eval",
    scope="claim",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: "psych_eval" in key.facts and "psych_eval" in policy["coverage.criteria"],
    policy=("coverage.criteria", "coverage.replacement_diagnoses", "place_of_service.contractor_areas"),
    yields_to=("COV001",),
    clean=(a_claim("AETNA"), a_claim("AETNA", case_facts={"psych_eval": True})),
    flagged=(
        a_claim("AETNA", case_facts={"psych_eval": False}),
        a_claim(practice={"contractor_area": "JF"}, case_facts={"psych_eval": False}),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Answers | None:
    if claim.case_facts.psych_eval is not False:
        return None
    criteria = policy["coverage.criteria"].get("psych_eval")
    if criteria is None or is_replacement(claim, history, policy["coverage.replacement_diagnoses"]):
        return None
    breaches = [
        Breach(
            criterion,
            "there was no psychological evaluation",
            "asks for one before the implant",
            "case_facts.psych_eval",
        )
        for criterion in criteria
    ]
    return answers(claim, breaches, policy["place_of_service.contractor_areas"])
