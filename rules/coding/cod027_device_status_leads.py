"""The code for the presence of a stimulator (Z96.82) as the first diagnosis, or alone on the generator's line.

That the patient has a device is no reason to operate. The reason is a battery at its end, a fault, or the pain itself.

Known limit: whether a reason that stands before it is the true one does not show.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.diagnosis_order import leading_diagnosis
from rules.coverage.generator import GENERATOR, group_of
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule

_DEVICE_PRESENT = "DEV_STATUS"


def _is_status(code: str, policy: Mapping[str, Any]) -> bool:
    return group_of(code, policy["diagnoses.matrix"]) == _DEVICE_PRESENT


@rule(
    title="Device status as the reason",
    severity=Severity.WARNING,
    reason="DX_SEQUENCE",
    remedy="Put Z45.42, the device fault or the pain diagnosis before Z96.82.",
    citations=("coding-knowledge",),
    field="diagnoses[].code",
    scope="claim",
    concerns_diagnosis=_is_status,
    policy=("diagnoses.matrix",),
    clean=(a_claim(), a_claim(diagnoses=[{"code": "Z45.42"}, {"code": "Z96.82"}])),
    flagged=(
        a_claim(diagnoses=[{"code": "Z96.82"}, {"code": "M96.1"}]),
        a_facility_claim(diagnoses=[{"code": "Z9682", "kind": "principal"}]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag]:
    status = {each.undotted: each.code for each in claim.diagnoses if _is_status(each.undotted, policy)}
    position = leading_diagnosis(claim)
    if position is not None and (leading := claim.diagnoses[position]).undotted in status:
        return [Flag(f"{leading.code}, the presence of the device, leads", field=f"diagnoses[{position}].code")]
    return [
        Flag(
            f"{GENERATOR} points to {' and '.join(status.values())}, the presence of the device, alone",
            line=line,
            field="lines[].diagnosis_pointers",
        )
        for line in claim.lines
        if line.procedure_code == GENERATOR
        and (pointed := claim.diagnoses_pointed_to(line))
        and all(each.undotted in status for each in pointed)
    ]
