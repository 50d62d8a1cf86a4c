"""A replacement of a device that, by the record, still works and is in warranty.

Payers cover a new generator when the old one is at its end, has failed or is out of warranty. Exchanging a working unit
for another kind, such as one with high frequency, is not covered.

Known limit: whether a working unit is exchanged is known only where the practice has supplied it.
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
    title="Working device exchanged",
    severity=Severity.WARNING,
    reason="NOT_MED_NECESSARY",
    remedy="Document battery end, failure or end of warranty.",
    citations=("aetna-cpb-0194-digest", "evicore-cmm-211"),
    field="case_facts.device_usable",
    scope="claim",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: "device_usable" in key.facts and "device_usable" in policy["coverage.criteria"],
    policy=("coverage.criteria", "coverage.replacement_diagnoses", "place_of_service.contractor_areas"),
    clean=(
        a_claim("AETNA", diagnoses=[{"code": "Z45.42"}]),
        a_claim("AETNA", diagnoses=[{"code": "Z45.42"}], case_facts={"device_usable": False}),
    ),
    flagged=(
        a_claim("AETNA", diagnoses=[{"code": "Z45.42"}], case_facts={"device_usable": True}),
        a_claim("CIGNA", case_facts={"device_usable": True, "replacement": True}),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Answers | None:
    if not claim.case_facts.device_usable:
        return None
    criteria = policy["coverage.criteria"].get("device_usable")
    if criteria is None or not is_replacement(claim, history, policy["coverage.replacement_diagnoses"]):
        return None
    breaches = [
        Breach(
            criterion,
            "the device that is replaced still works and is in warranty",
            "covers its replacement only at battery end, failure or end of warranty",
            "case_facts.device_usable",
        )
        for criterion in criteria
    ]
    return answers(claim, breaches, policy["place_of_service.contractor_areas"])
