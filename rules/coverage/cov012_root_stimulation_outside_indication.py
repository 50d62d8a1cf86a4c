"""Dorsal root stimulation for something that the payer's policy does not cover it for.

UnitedHealthcare covers it for regional pain syndrome type I and II, to which a generator line has to point; Cigna
covers it as a replacement only.

Known limit: the claim's codes do not tell dorsal root from cord stimulation, so the practice has to supply the mode.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.criteria import severity_of
from rules.coverage.generator import GENERATOR, diagnoses_for_generator, group_of
from rules.coverage.replacement import is_replacement
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim
from rules.engine.history import History
from rules.engine.rule import rule


@rule(
    title="Dorsal root stimulation outside its indication",
    severity=Severity.ERROR,
    reason="DX_NOT_COVERED",
    remedy="Document the covered indication; dorsal root stimulation is covered for nothing else.",
    citations=("uhc-t0567", "evicore-cmm-211"),
    field="case_facts.device_mode",
    scope="claim",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: "device_mode" in key.facts and "COV012" in policy["coverage.exclusions"],
    policy=("coverage.exclusions", "coverage.replacement_diagnoses", "diagnoses.matrix"),
    clean=(
        a_claim("UHC_COM"),
        a_claim("UHC_COM", diagnoses=[{"code": "G57.71"}], case_facts={"device_mode": "DRG"}),
    ),
    flagged=(
        a_claim("UHC_COM", case_facts={"device_mode": "DRG"}),
        a_claim("CIGNA", diagnoses=[{"code": "G90.521"}], case_facts={"device_mode": "DRG"}),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag] | None:
    mode = claim.case_facts.device_mode
    return [
        Flag(
            f"device mode {mode}, and nothing shows {row['only']}: the policy covers it for nothing else",
            remedy=f"Document {row['only']}; dorsal root stimulation is covered for nothing else.",
            severity=severity_of(row),
        )
        for row in policy["coverage.exclusions"].get("COV012", ())
        if row["mode"] == mode and not _is_covered(claim, history, row, policy)
    ] or None


def _is_covered(claim: Claim, history: History, row: Mapping[str, Any], policy: Mapping[str, Any]) -> bool:
    """Whether the claim shows what the row leaves open; where it points to nothing at all, nobody can tell."""
    if "groups" not in row:
        return is_replacement(claim, history, policy["coverage.replacement_diagnoses"])
    matrix = policy["diagnoses.matrix"]
    diagnoses = diagnoses_for_generator(claim)
    return not diagnoses or any(group_of(each.undotted, matrix) in row["groups"] for each in diagnoses)
