"""A professional line that points to no diagnosis, to an empty position, to one twice, or to more than four.

The pointers say why the line was done; without a valid one the payer cannot match it with a diagnosis.

Known limits: whether the diagnosis pointed to supports the procedure is for other rules; where the first diagnosis is
blank, that is CMP001's finding, and a pointer to it is not another one.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, Diagnosis, ServiceLine
from rules.engine.decision import Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule

_FIRST = (1,)


@rule(
    title="Diagnosis pointer is invalid",
    severity=Severity.ERROR,
    reason="DX_POINTER",
    remedy="Point the line to diagnoses that are on the claim.",
    citations=("stedi-claim-edits-2026",),
    field="lines[].diagnosis_pointers",
    claim_types=("professional",),
    policy=("claim_edits.pointer_limit",),
    clean=(
        a_claim(),
        a_claim(diagnoses=[{"code": "M96.1"}, {"code": "G89.4"}], lines=[a_line(diagnosis_pointers=[2, 1])]),
    ),
    flagged=(a_claim(lines=[a_line(diagnosis_pointers=[2])]), a_claim(lines=[a_line(diagnosis_pointers=[])])),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> str | None:
    pointers = line.diagnosis_pointers
    if pointers == _FIRST:
        return None
    if not pointers:
        return "the line points to no diagnosis"
    diagnoses = claim.diagnoses
    for pointer in pointers:
        if pointer != 1 and not (0 < pointer <= len(diagnoses) and diagnoses[pointer - 1].code):
            break
    else:
        count = len(pointers)
        if count == 1 or (count == len(set(pointers)) and count <= policy["claim_edits.pointer_limit"]):
            return None
    return _problems(pointers, diagnoses, policy["claim_edits.pointer_limit"])


def _problems(pointers: tuple[int, ...], diagnoses: tuple[Diagnosis, ...], limit: int) -> str:
    filled = {position for position, diagnosis in enumerate(diagnoses, 1) if diagnosis.code} | {1}
    empty = sorted(set(pointers) - filled)
    repeated = sorted({pointer for pointer in pointers if pointers.count(pointer) > 1})
    problems = []
    if empty:
        problems.append(f"points to {', '.join(map(str, empty))}, where no diagnosis stands")
    if repeated:
        problems.append(f"points to {', '.join(map(str, repeated))} more than once")
    if len(pointers) > limit:
        problems.append(f"has {len(pointers)} diagnosis pointers and can hold {limit}")
    return f"the line {' and '.join(problems)}"
