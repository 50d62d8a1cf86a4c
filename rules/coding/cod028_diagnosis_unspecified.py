"""A diagnosis behind a spinal stimulator code that leaves side, site or type open where a finer code exists.

Payers ask for the side and the type where the record has them, and some policies do not accept the open codes.

Known limits: only the diagnoses of the coverage matrix are known. Whether the record says more does not show.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule

_UNSPECIFIED = "unspec"


def _is_open(code: str, policy: Mapping[str, Any]) -> bool:
    row = policy["diagnoses.matrix"].get(code)
    return row is not None and row["flags"] is not None and _UNSPECIFIED in row["flags"].split()


@rule(
    title="Diagnosis leaves side, site or type open",
    severity=Severity.WARNING,
    reason="DX_UNSPECIFIC",
    remedy="State side and type if the record gives them.",
    citations=("coding-knowledge", "icd10cm-fy2026"),
    field="diagnoses[].code",
    scope="claim",
    concerns=lambda codes, modifiers, policy: not policy["modifiers.family"].isdisjoint(codes),  # noqa: ARG005
    concerns_diagnosis=_is_open,
    policy=("diagnoses.matrix", "diagnoses.groups", "modifiers.family"),
    clean=(a_claim(), a_claim(diagnoses=[{"code": "M96.1"}, {"code": "G90.50"}])),
    flagged=(
        a_claim(diagnoses=[{"code": "G90.50"}]),
        a_facility_claim(diagnoses=[{"code": "M96.1", "kind": "principal"}, {"code": "E11.40"}]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag]:
    found: dict[str, tuple[int, str]] = {}
    for position, diagnosis in enumerate(claim.diagnoses):
        code = diagnosis.undotted
        if _is_open(code, policy):
            label = policy["diagnoses.groups"][policy["diagnoses.matrix"][code]["group"]]["label"]
            found.setdefault(code, (position, f"{diagnosis.code} ({label})"))
    family = policy["modifiers.family"]
    pointed = {
        diagnosis.undotted
        for line in claim.lines
        if line.procedure_code in family
        for diagnosis in claim.diagnoses_pointed_to(line)
    }
    return [
        Flag(f"diagnosis {position + 1}, {named}, leaves side, site or type open", field=f"diagnoses[{position}].code")
        for code, (position, named) in found.items()
        if code in pointed
    ]
