"""26 or TC on a code without a technical part, or 66 on a code that is never paid to a team.

Surgery and programming are services of the practitioner alone; the imaging codes do have two parts and may be split.

Known limit: codes outside the fee schedule rows held here are not judged.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule

_TEAM = "66"
_NO_TECHNICAL_PART = "0"
_NEVER_PAID_TO_TEAM = "0"


@rule(
    title="Split or team modifier on a code that has neither",
    severity=Severity.ERROR,
    reason="CODE_MODIFIER_INVALID",
    remedy="Remove the modifier; the code has no technical part and no team payment.",
    citations=("cms-mpfs-2024-07", "cms-pprrvu-2022-2024"),
    field="lines[].modifiers",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        _TEAM in modifiers or not policy["modifiers.split"].isdisjoint(modifiers)
    ),
    base_layer="mpfs",
    effective=date(2022, 1, 1),
    policy=("fee_schedule.indicators", "modifiers.split"),
    clean=(a_claim(), a_claim(lines=[a_line("62267"), a_line("77003", modifiers=["26"])])),
    flagged=(a_claim(lines=[a_line(modifiers=["26"])]), a_claim(lines=[a_line("63655", modifiers=["66"])])),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:  # noqa: ARG001
    row = policy["fee_schedule.indicators"].get((line.procedure_code, None)) if line.modifiers else None
    if row is None:
        return None
    wrong: dict[str, str] = {}
    if row["professional_technical"] == _NO_TECHNICAL_PART:
        wrong |= {each: "no technical part" for each in line.modifiers if each in policy["modifiers.split"]}
    if row["team"] == _NEVER_PAID_TO_TEAM and _TEAM in line.modifiers:
        wrong[_TEAM] = "no team payment"
    if not wrong:
        return None
    named, lacks = ", ".join(wrong), " and ".join(dict.fromkeys(wrong.values()))
    return Flag(
        f"{named} on {line.procedure_code}, which has {lacks}",
        remedy=f"Remove {named}; {line.procedure_code} has {lacks}.",
        modifiers=tuple(wrong),
    )
