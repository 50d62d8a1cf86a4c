"""A first generator line that points only to back or root pain, with no sign of an earlier spine operation.

Payers cover a stimulator for pain that an operation has left behind, not instead of one. Earlier surgery shows in a
code for it anywhere on the claim, or in the practice's record.

Known limits: diagnoses from two different exclusions on one line are not added up. For some payers codes that mean a
disc or root rather than back pain only warn, by another rule.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.criteria import severity_of
from rules.coverage.exclusions import excluding_row, has_earlier_surgery, listed, row_of
from rules.coverage.generator import GENERATOR, diagnoses_field
from rules.coverage.replacement import is_replaced_on
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim
from rules.engine.history import History
from rules.engine.rule import rule


@rule(
    title="Back pain without earlier spine surgery",
    severity=Severity.ERROR,
    reason="DX_PROC_MISMATCH",
    remedy="If the patient had spine surgery report M96.1; otherwise the policy does not cover it.",
    citations=("uhc-t0567", "d3rx-aetna-0194", "evicore-cmm-211"),
    field="lines[].diagnosis_pointers",
    procedures=(GENERATOR,),
    concerns_diagnosis=lambda code, policy: (
        row_of(code, policy["coverage.exclusions"].get("COV010", {}), policy["diagnoses.matrix"]) is not None
    ),
    policy=(
        "coverage.exclusions",
        "coverage.earlier_surgery_diagnoses",
        "coverage.replacement_diagnoses",
        "diagnoses.matrix",
    ),
    clean=(
        a_claim("UHC_COM"),
        a_claim("UHC_COM", diagnoses=[{"code": "M54.50"}], case_facts={"prior_spine_surgery": True}),
    ),
    flagged=(
        a_claim("UHC_COM", diagnoses=[{"code": "M54.50"}]),
        a_claim("CIGNA", diagnoses=[{"code": "M54.16"}]),
    ),
)
def check(claim: Claim, line: ServiceLine, history: History, policy: Mapping[str, Any]) -> Flag | None:
    row = excluding_row(claim, line, policy["coverage.exclusions"].get("COV010", {}), policy["diagnoses.matrix"])
    if row is None or has_earlier_surgery(claim, policy["coverage.earlier_surgery_diagnoses"]):
        return None
    if is_replaced_on(claim, line, history, policy["coverage.replacement_diagnoses"]):
        return None
    return Flag(
        f"{GENERATOR} points only to {listed(claim, line)}, and nothing shows earlier spine surgery: "
        f"the policy excludes {row['what']}",
        field=diagnoses_field(claim),
        severity=severity_of(row),
    )
