"""A diagnosis that stands twice on the claim, or a professional claim with more diagnoses than it can hold.

A repeated code adds nothing and is refused by the front end; where it stands for two conditions, one of them is coded
wrongly. On an institutional claim the admitting diagnosis and the reason for the visit may repeat the principal one.

Known limit: how many diagnoses an institutional claim can hold is not judged.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule

_APART = ("admitting", "reason_for_visit")


@rule(
    title="Diagnosis list is invalid",
    severity=Severity.ERROR,
    reason="DX_INVALID",
    remedy="Remove the repeated or surplus diagnosis and renumber the pointers.",
    citations=("stedi-claim-edits-2026",),
    field="diagnoses",
    scope="claim",
    policy=("claim_edits.diagnosis_limit",),
    clean=(
        a_claim(diagnoses=[{"code": "M96.1"}, {"code": "G89.4"}]),
        a_facility_claim(diagnoses=[{"code": "M96.1", "kind": "principal"}, {"code": "M96.1", "kind": "admitting"}]),
    ),
    flagged=(
        a_claim(diagnoses=[{"code": "M96.1"}, {"code": "M961"}]),
        a_claim(diagnoses=[{"code": f"M54.{number}"} for number in range(10, 23)]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    diagnoses, limit = claim.diagnoses, policy["claim_edits.diagnosis_limit"]
    count = len(diagnoses)
    if count <= limit and (
        count == 1 or len({diagnosis.code.replace(".", "") for diagnosis in diagnoses}) == count  # undotted, faster
    ):
        return None
    flags = []
    positions: dict[str, int] = {}
    for position, diagnosis in enumerate(diagnoses, 1):
        if not diagnosis.code or (diagnosis.kind in _APART and not claim.is_professional):
            continue
        first = positions.setdefault(diagnosis.undotted, position)
        if first != position:
            flags.append(_flag(f"{diagnosis.code} stands at positions {first} and {position}", position))
    if claim.is_professional and count > limit:
        flags.append(_flag(f"{count} diagnoses on a claim that can hold {limit}", limit + 1))
    return flags or None


def _flag(message: str, position: int) -> Flag:
    # The codes themselves may be valid: 16, and the remark and status of a diagnosis that is not the first.
    return Flag(message, field=f"diagnoses[{position - 1}].code", carc="16", rarc="M64", status_code="255")
