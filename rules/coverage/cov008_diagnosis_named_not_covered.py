"""A first generator line that points only to diagnoses which the payer's policy names as not covered.

One diagnosis outside of what the policy names is enough to stay silent. An exclusion of patients without earlier spine
surgery is not held against one whose record, or a diagnosis anywhere on the claim, shows such surgery.

Known limits: diagnoses from two different exclusions on one line are not added up. That one payer is reported to cover
painful diabetic neuropathy from 2026-08-04 on only ends its exclusion.
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
    title="Diagnosis is named as not covered",
    severity=Severity.ERROR,
    reason="DX_NOT_COVERED",
    remedy="Point to the covered indication if the record has one; the policy excludes these diagnoses.",
    citations=("uhc-t0567", "evicore-cmm-211", "hcsc-sur712", "aetna-cpb-0194-digest"),
    field="lines[].diagnosis_pointers",
    procedures=(GENERATOR,),
    concerns_diagnosis=lambda code, policy: (
        row_of(code, policy["coverage.exclusions"].get("COV008", {}), policy["diagnoses.matrix"]) is not None
    ),
    policy=(
        "coverage.exclusions",
        "coverage.earlier_surgery_diagnoses",
        "coverage.replacement_diagnoses",
        "diagnoses.matrix",
    ),
    clean=(a_claim("UHC_COM"), a_claim("CIGNA", diagnoses=[{"code": "G90.521"}])),
    flagged=(
        a_claim("UHC_COM", diagnoses=[{"code": "I20.2"}]),
        a_claim("CIGNA", diagnoses=[{"code": "G90.59"}]),
    ),
)
def check(claim: Claim, line: ServiceLine, history: History, policy: Mapping[str, Any]) -> Flag | None:
    row = excluding_row(claim, line, policy["coverage.exclusions"].get("COV008", {}), policy["diagnoses.matrix"])
    if row is None or (
        row.get("without_earlier_surgery") and has_earlier_surgery(claim, policy["coverage.earlier_surgery_diagnoses"])
    ):
        return None
    if is_replaced_on(claim, line, history, policy["coverage.replacement_diagnoses"]):
        return None
    codes = listed(claim, line)
    return Flag(
        f"{GENERATOR} points only to {codes}, which the policy names as not covered: {row['what']}",
        field=diagnoses_field(claim),
        remedy=f"Point to the covered indication if the record has one; {codes} is excluded by the policy.",
        severity=severity_of(row),
    )
