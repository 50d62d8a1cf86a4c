"""A generator line that points only to a lead fault or a device infection, on a claim without a lead procedure.

Such a diagnosis is the reason for work on the leads or for taking the device out; for a new generator alone it is
either the wrong reason, or a lead code is missing.

Known limit: a lead procedure that is billed on another claim is not seen.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.generator import GENERATOR, diagnoses_field, group_of
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule

_LEAD_PROCEDURES = frozenset({"63650", "63655", "63661", "63662", "63663", "63664"})


@rule(
    title="Lead fault or infection as the generator's reason",
    severity=Severity.WARNING,
    reason="DX_PROC_MISMATCH",
    remedy="Check whether a lead code is missing or the generator reason is another.",
    citations=("coding-knowledge",),
    field="lines[].diagnosis_pointers",
    procedures=(GENERATOR,),
    concerns_diagnosis=lambda code, policy: (
        group_of(code, policy["diagnoses.matrix"]) in policy["coverage.doubtful_generator_groups"]
    ),
    policy=("coverage.doubtful_generator_groups", "diagnoses.matrix"),
    clean=(a_claim(), a_claim(diagnoses=[{"code": "T85.112A"}], lines=[a_line(), a_line("63663")])),
    flagged=(a_claim(diagnoses=[{"code": "T85.112A"}]), a_claim("AETNA", diagnoses=[{"code": "T85.733A"}])),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:
    matrix, doubtful = policy["diagnoses.matrix"], policy["coverage.doubtful_generator_groups"]
    diagnoses = claim.diagnoses_pointed_to(line)
    if not diagnoses or not all(group_of(each.undotted, matrix) in doubtful for each in diagnoses):
        return None
    if any(other.procedure_code in _LEAD_PROCEDURES for other in claim.lines):
        return None
    named = ", ".join(each.code for each in diagnoses)
    return Flag(
        f"{GENERATOR} points only to {named}, and no lead procedure is on the claim", field=diagnoses_field(claim)
    )
