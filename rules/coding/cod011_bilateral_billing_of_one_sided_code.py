"""50, or LT and RT on one day, with a code that is not paid for two sides.

The spinal canal has no sides, so the fee schedule pays these codes once however many leads or pockets there are. LT on
one line and RT on another of the same day say the same as 50.

Known limits: codes outside the fee schedule rows held here are not judged. A single LT or RT is the matter of COD012.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule

_BOTH_SIDES = "50"
_NOT_BILATERAL = "0"
_REDUCED_WHEN_MULTIPLE = "2"


@rule(
    title="Both sides billed for a code without sides",
    severity=Severity.ERROR,
    reason="CODE_MODIFIER_INVALID",
    remedy="Remove the bilateral modifier; bill the code once.",
    citations=("cms-mpfs-2024-07", "fcso-mpfs-indicators"),
    field="lines[].modifiers",
    scope="claim",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        _BOTH_SIDES in modifiers or policy["modifiers.sides"] <= modifiers
    ),
    base_layer="mpfs",
    effective=date(2022, 1, 1),
    policy=("fee_schedule.indicators", "modifiers.sides"),
    clean=(a_claim(), a_claim(lines=[a_line("64561", modifiers=["50"])])),
    flagged=(
        a_claim(lines=[a_line("63650", modifiers=["50"])]),
        a_claim(lines=[a_line("63650", modifiers=["LT"]), a_line("63650", modifiers=["RT"])]),
        a_facility_claim(lines=[a_facility_line(modifiers=["LT", "RT"])]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    sides = policy["modifiers.sides"]
    marked = [
        line
        for line in claim.lines
        if line.modifiers and (_BOTH_SIDES in line.modifiers or not sides.isdisjoint(line.modifiers))
    ]
    billed: dict[tuple[str, date | None], set[str]] = {}
    for line in marked:
        billed.setdefault((line.procedure_code, line.service_date), set()).update(line.modifiers)
    flags: list[Flag] = []
    for line in marked:
        code = line.procedure_code
        row = policy["fee_schedule.indicators"].get((code, None))
        if row is None or row["bilateral"] != _NOT_BILATERAL or row["multiple"] != _REDUCED_WHEN_MULTIPLE:
            continue
        found = tuple(sorted(sides.intersection(line.modifiers)))
        if _BOTH_SIDES in line.modifiers:
            message = f"50 on {code}, which is not paid for two sides"
            flags.append(Flag(message, line=line, modifiers=(_BOTH_SIDES, *found)))
        elif sides <= billed[code, line.service_date]:
            message = f"LT and RT for {code} on one day; it is not paid for two sides"
            flags.append(Flag(message, line=line, modifiers=found))
    return flags
