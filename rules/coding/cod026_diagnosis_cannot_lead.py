"""An external cause (V, W, X or Y) or a late effect (seventh character S) as the first or principal diagnosis.

Such codes say how an injury came about or what is left of one. They stand behind the condition that is treated, and a
claim that starts with one is sent back.

Known limit: other codes that cannot lead (manifestations, for one) are not known here; Z96.82 is the matter of COD027.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.diagnosis_order import leading_diagnosis
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule

_SEVENTH = 6


def _cannot_lead(code: str, policy: Mapping[str, Any]) -> bool:
    never = policy["diagnoses.never_first"]
    return bool(code) and (code[0] in never["first_characters"] or code[_SEVENTH:] == never["seventh_characters"])


@rule(
    title="Diagnosis that cannot come first",
    severity=Severity.ERROR,
    reason="DX_SEQUENCE",
    remedy="Put the condition treated first.",
    citations=("stedi-claim-edits-2026", "cms-ioce-v240"),
    field="diagnoses[].code",
    scope="claim",
    concerns_diagnosis=_cannot_lead,
    policy=("diagnoses.never_first",),
    clean=(a_claim(), a_claim(diagnoses=[{"code": "M96.1"}, {"code": "S34.3XXS"}, {"code": "Y83.1"}])),
    flagged=(
        a_claim(diagnoses=[{"code": "S34.3XXS"}, {"code": "M96.1"}]),
        a_facility_claim(diagnoses=[{"code": "Y83.1", "kind": "principal"}, {"code": "M96.1"}]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> Flag | None:
    position = leading_diagnosis(claim)
    if position is None:
        return None
    written, code = claim.diagnoses[position].code, claim.diagnoses[position].undotted
    if not _cannot_lead(code, policy):
        return None
    is_external = code[0] in policy["diagnoses.never_first"]["first_characters"]
    return Flag(
        f"{written} leads; it is {'an external cause' if is_external else 'a late effect'}",
        field=f"diagnoses[{position}].code",
        remedy=f"Put the condition treated first and {written} after it.",
    )
