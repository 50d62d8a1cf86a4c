"""62 on a code that is never paid to two surgeons.

With co-surgeon indicator 0 the fee schedule pays one surgeon only; a second one is not paid whatever the record says.
Where two are payable with records (indicator 1, as for the generator) COD016 looks for the explanation.

Known limit: codes outside the fee schedule rows held here are not judged.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.grouping import TWO_SURGEONS
from rules.engine.rule import rule

_NOT_PAID_TO_TWO = "0"


@rule(
    title="Second surgeon is not payable",
    severity=Severity.ERROR,
    reason="ASSISTANT_NOT_PAYABLE",
    remedy="Remove 62; the code is not payable to two surgeons.",
    citations=("cms-mpfs-2024-07", "noridian-modifiers-2024-06"),
    field="lines[].modifiers",
    concerns=lambda codes, modifiers, policy: TWO_SURGEONS in modifiers,  # noqa: ARG005
    claim_types=("professional",),
    base_layer="mpfs",
    effective=date(2022, 1, 1),
    policy=("fee_schedule.indicators",),
    clean=(a_claim(), a_claim(lines=[a_line(modifiers=["62"])])),
    flagged=(a_claim(lines=[a_line("63650", modifiers=["62"])]), a_claim(lines=[a_line("63688", modifiers=["62"])])),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:  # noqa: ARG001
    if not line.modifiers or TWO_SURGEONS not in line.modifiers:
        return None
    code = line.procedure_code
    row = policy["fee_schedule.indicators"].get((code, None))
    if row is None or row["cosurgeon"] != _NOT_PAID_TO_TWO:
        return None
    return Flag(
        f"62 on {code}, which is not payable to two surgeons",
        remedy=f"Remove 62; {code} is not payable to two surgeons.",
        modifiers=(TWO_SURGEONS,),
    )
