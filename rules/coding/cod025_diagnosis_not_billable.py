"""A diagnosis code that is incomplete on the date of service: a parent of finer codes, or one that lacks characters.

A code is split into finer ones with the fiscal year (1 October), and the old one stops being billable that day. A claim
with such a code fails before any question of coverage. Confirmed is that the codes of the table are not billable in
FY2026; for other years, and for a row that is marked, a finding is a warning.

Known limits: no full ICD-10-CM set is loaded, so a code that does not exist, or an incomplete one outside the table, is
not found. A claim over two fiscal years is judged by its first date.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule


@rule(
    title="Diagnosis is not billable",
    severity=Severity.ERROR,
    reason="DX_INVALID",
    remedy="Replace the diagnosis by a complete code.",
    citations=("icd10cm-fy2026", "x12-carc-rarc-2024-06"),
    field="diagnoses[].code",
    scope="claim",
    policy=("diagnoses.not_billable",),
    clean=(a_claim(), a_claim(diagnoses=[{"code": "G90.521"}, {"code": "T85.112A"}])),
    flagged=(
        a_claim(diagnoses=[{"code": "M54.5"}]),
        a_facility_claim(diagnoses=[{"code": "M96.1", "kind": "principal"}, {"code": "T85112"}]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | NotEvaluated | None:
    table = policy["diagnoses.not_billable"]
    if table.keys().isdisjoint([diagnosis.undotted for diagnosis in claim.diagnoses]):
        return None
    day = claim.first_service_date
    if day is None:
        return NotEvaluated("the claim has no date")
    flags: dict[str, Flag] = {}
    for position, diagnosis in enumerate(claim.diagnoses, 1):
        row = table.get(diagnosis.undotted)
        if row is None or (row["since"] is not None and day < row["since"]):
            continue
        flags.setdefault(
            diagnosis.undotted,
            Flag(
                f"diagnosis {position}, {diagnosis.code}, is not billable on {day}",
                remedy=f"Replace {diagnosis.code} by a complete code: {row['use_instead']}.",
                field=f"diagnoses[{position - 1}].code",
                rarc="MA63" if position == 1 else "M64",
                status_code="254" if position == 1 else "255",
                severity=Severity.WARNING if row["confidence"] else None,
            ),
        )
    return list(flags.values()) or None
