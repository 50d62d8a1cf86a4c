"""A modifier about a notice to the patient (GA, GX, GY, GZ) that does not fit the service, the line or the payer.

Spinal stimulation is a covered benefit, so it is neither excluded (GY) nor noticed without need (GX alone). A notice
was given (GA) or was not (GZ). None moves a denial for units or for a code pair to the patient. Payers other than
Original Medicare have no such notices.

Known limit: whether a notice was signed does not show. Of a code over its daily limit every line counts as over it.
"""

from collections.abc import Collection, Mapping
from typing import Any

from rules.coding.pairs import MODIFIER_POLICIES, PAIR_POLICIES, denied_lines
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule
from rules.units.daily_limits import over_daily_limit

_GIVEN, _VOLUNTARY, _EXCLUDED, _NOT_GIVEN = "GA", "GX", "GY", "GZ"


@rule(
    title="Notice modifier is misused",
    severity=Severity.WARNING,
    reason="CODE_MODIFIER_INVALID",
    remedy="Correct the notice modifier; a notice cannot shift coding denials to the patient.",
    citations=("noridian-modifiers-2024-06", "cgs-mue-2021"),
    field="lines[].modifiers",
    scope="group",
    concerns=lambda codes, modifiers, policy: not policy["modifiers.notices"].isdisjoint(modifiers),  # noqa: ARG005
    policy=(
        "modifiers.notices",
        "modifiers.uses_notices",
        "modifiers.family",
        "units.daily_limit",
        *PAIR_POLICIES,
        *MODIFIER_POLICIES,
    ),
    clean=(a_claim(lines=[a_line(modifiers=["GA"])]), a_claim("AETNA")),
    flagged=(
        a_claim(lines=[a_line(modifiers=["GY"])]),
        a_claim(lines=[a_line(units="2", modifiers=["GA"])]),
        a_claim("AETNA", lines=[a_line(modifiers=["GA"])]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    notices = policy["modifiers.notices"]
    marked = [line for line in group.lines if line.modifiers and not notices.isdisjoint(line.modifiers)]
    if not policy["modifiers.uses_notices"]:
        return [_not_the_payers(line, notices) for line in marked]
    over = [excess.code for excess in over_daily_limit(claim, group, policy["units.daily_limit"]) or ()]
    denied = [id(line) for line in denied_lines(claim, group, policy)]
    flags: list[Flag] = []
    for line in marked:
        coding = None
        if line.procedure_code in over:
            coding = "whose units are over the daily limit"
        elif id(line) in denied:
            coding = "which a code pair denies"
        flags += _misuses(line, policy["modifiers.family"], coding)
    return flags or None


def _not_the_payers(line: ServiceLine, notices: frozenset[str]) -> Flag:
    found = tuple(dict.fromkeys(each for each in line.modifiers if each in notices))
    named = ", ".join(found)
    return Flag(
        f"{named} on {line.procedure_code}; the payer is not Original Medicare",
        line=line,
        remedy=f"Remove {named}; only Original Medicare has these notices.",
        modifiers=found,
    )


def _misuses(line: ServiceLine, family: Collection[str], coding: str | None) -> list[Flag]:
    modifiers, code = line.modifiers, line.procedure_code
    flags: list[Flag] = []
    if _EXCLUDED in modifiers and code in family:
        flags.append(Flag(f"GY on {code}, which is a covered benefit", line=line, modifiers=(_EXCLUDED,)))
    if _VOLUNTARY in modifiers and _EXCLUDED not in modifiers:
        flags.append(Flag(f"GX on {code} without GY", line=line, modifiers=(_VOLUNTARY,)))
    notice = tuple(each for each in (_GIVEN, _NOT_GIVEN) if each in modifiers)
    if len(notice) > 1:
        flags.append(Flag(f"GA with GZ on {code}: a notice was given or was not", line=line, modifiers=notice))
    if notice and coding is not None:
        flags.append(Flag(f"{' and '.join(notice)} on {code}, {coding}", line=line, modifiers=notice))
    return flags
