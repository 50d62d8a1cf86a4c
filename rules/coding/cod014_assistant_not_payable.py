"""An assistant's line for a code that is never paid to an assistant.

With assistant indicator 1 the fee schedule never pays an assistant, so the line is denied whatever the record says. Of
the stimulator codes that is so for the percutaneous lead and for removing or revising the generator.

Known limits: codes outside the fee schedule rows held here are not judged; nor is indicator 0, which is paid with
records.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule

_NEVER_PAID = "1"


@rule(
    title="Assistant is not payable",
    severity=Severity.ERROR,
    reason="ASSISTANT_NOT_PAYABLE",
    remedy="Remove the assistant line; no assistant is payable for the code.",
    citations=("cms-mpfs-2024-07", "bcbsne-manual"),
    field="lines[].modifiers",
    concerns=lambda codes, modifiers, policy: not policy["modifiers.assistant"].isdisjoint(modifiers),  # noqa: ARG005
    claim_types=("professional",),
    base_layer="mpfs",
    effective=date(2022, 1, 1),
    policy=("fee_schedule.indicators", "modifiers.assistant"),
    clean=(a_claim(), a_claim(lines=[a_line(modifiers=["AS"])])),
    flagged=(a_claim(lines=[a_line("63650", modifiers=["80"])]), a_claim(lines=[a_line("63688", modifiers=["AS"])])),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:  # noqa: ARG001
    if not line.modifiers or policy["modifiers.assistant"].isdisjoint(line.modifiers):
        return None
    code = line.procedure_code
    row = policy["fee_schedule.indicators"].get((code, None))
    if row is None or row["assistant"] != _NEVER_PAID:
        return None
    found = tuple(each for each in line.modifiers if each in policy["modifiers.assistant"])
    return Flag(
        f"{', '.join(found)} on {code}, for which no assistant is payable",
        remedy=f"Remove the assistant line; no assistant is payable for {code}.",
        modifiers=found,
    )
