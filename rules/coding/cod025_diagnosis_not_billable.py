"""A diagnosis code that is incomplete on the date of service: a parent of finer codes, or one that lacks characters.

A code is split into finer ones with the fiscal year (1 October), and the old one stops being billable that day. A claim
with such a code fails before any question of coverage. Confirmed is that the codes of the table are not billable in
FY2026; for other years, and for a row that is marked, a finding is a warning.

Known limits: unless the ICD-10-CM set of the date is loaded, a code that does not exist, or an incomplete one outside
the table, is not found. A claim over two fiscal years is judged by its first date.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule


def _may_be_invalid(code: str, policy: Mapping[str, Any]) -> bool:
    loaded = policy["code_sets.diagnoses"]
    return code in policy["diagnoses.not_billable"] or (loaded is not None and bool(code) and code not in loaded)


@rule(
    title="Diagnosis is not billable",
    severity=Severity.ERROR,
    reason="DX_INVALID",
    remedy="Replace the diagnosis by a complete code.",
    citations=("icd10cm-fy2026", "x12-carc-rarc-2024-06"),
    field="diagnoses[].code",
    scope="claim",
    concerns_diagnosis=_may_be_invalid,
    policy=("diagnoses.not_billable", "code_sets.diagnoses"),
    clean=(a_claim(), a_claim(diagnoses=[{"code": "G90.521"}, {"code": "T85.112A"}])),
    flagged=(
        a_claim(diagnoses=[{"code": "M54.5"}]),
        a_facility_claim(diagnoses=[{"code": "M96.1", "kind": "principal"}, {"code": "T85112"}]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | NotEvaluated | None:
    table, loaded = policy["diagnoses.not_billable"], policy["code_sets.diagnoses"]
    day = claim.first_service_date
    flags: dict[str, Flag] = {}
    for position, diagnosis in enumerate(claim.diagnoses, 1):
        code = diagnosis.undotted
        if not _may_be_invalid(code, policy):
            continue
        if day is None:
            return NotEvaluated("the claim has no date")
        row = table.get(code)
        if row is not None and (row["since"] is None or day >= row["since"]):
            problem, instead = f"is not billable on {day}", f"a complete code: {row['use_instead']}"
        elif loaded is not None and code not in loaded:
            problem, instead = f"is not in the ICD-10-CM set of {day}", f"a code valid on {day}"
        else:
            continue
        flags.setdefault(
            code,
            Flag(
                f"diagnosis {position}, {diagnosis.code}, {problem}",
                remedy=f"Replace {diagnosis.code} by {instead}.",
                field=f"diagnoses[{position - 1}].code",
                rarc="MA63" if position == 1 else "M64",
                status_code="254" if position == 1 else "255",
                severity=Severity.WARNING if row is not None and row["confidence"] else None,
            ),
        )
    return list(flags.values()) or None
