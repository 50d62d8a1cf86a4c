"""57 on a visit while all surgery by the same provider on that day and the next has a package of at most ten days.

57 says that the visit decided on major surgery, which has a 90-day package. Beside minor surgery, such as the generator
or a percutaneous lead, the modifier for a separate visit is 25.

Known limits: where other surgery of those days is not in the fee schedule rows held here, or the contractor sets its
package, the rule is silent; surgery billed on another claim is not seen.
"""

import re
from collections.abc import Mapping
from typing import Any

from rules.coding.billers import is_same_provider
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule

_DECISION = "57"
_MINOR = frozenset({"000", "010"})
_NO_PACKAGE = frozenset({"XXX", "ZZZ"})
_SAME_DAY_OR_NEXT = (0, 1)


@rule(
    title="Modifier 57 on a visit beside minor surgery",
    severity=Severity.ERROR,
    reason="CODE_MODIFIER_INVALID",
    remedy="Replace 57 by 25; 57 belongs to surgery with a 90-day package.",
    citations=("noridian-modifiers-2024-06", "cms-mpfs-2024-07"),
    field="lines[].modifiers",
    scope="claim",
    concerns=lambda codes, modifiers, policy: (
        _DECISION in modifiers and not policy["modifiers.visit_codes"].isdisjoint(codes)
    ),
    claim_types=("professional",),
    base_layer="global",
    policy=("modifiers.visit_codes", "modifiers.assistant", "fee_schedule.indicators", "fee_schedule.packaged_codes"),
    clean=(
        a_claim(lines=[a_line(), a_line("99213", modifiers=["25"])]),
        a_claim(lines=[a_line("63655"), a_line("99213", modifiers=["57"])]),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line("99213", modifiers=["57"])]),
        a_claim(lines=[a_line(), a_line("99214", modifiers=["57"], service_date="2026-08-02")]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    visits = policy["modifiers.visit_codes"]
    flags: list[Flag] = []
    for visit in claim.lines:
        if _DECISION in visit.modifiers and visit.procedure_code in visits:
            minor = _minor_surgery(claim, visit, policy)
            if minor:
                named = ", ".join(f"{code} ({package})" for code, package in minor.items())
                flags.append(
                    Flag(
                        f"57 on {visit.procedure_code}; no surgery of that day or the next has 90 days: {named}",
                        line=visit,
                        modifiers=(_DECISION,),
                    )
                )
    return flags or None


def _minor_surgery(claim: Claim, visit: ServiceLine, policy: Mapping[str, Any]) -> dict[str, str] | None:
    """The surgery of the visit's provider on that day and the next, with its packages; None if any may be major."""
    if visit.service_date is None:
        return None
    minor: dict[str, str] = {}
    for line in claim.lines:
        if (
            line.service_date is None
            or (line.service_date - visit.service_date).days not in _SAME_DAY_OR_NEXT
            or line.procedure_code in policy["modifiers.visit_codes"]
            or not policy["modifiers.assistant"].isdisjoint(line.modifiers)
            or not is_same_provider(claim, visit, line)
        ):
            continue
        row = policy["fee_schedule.indicators"].get((line.procedure_code, None))
        package = None if row is None else row["global_period"]
        if package in _MINOR:
            minor[line.procedure_code] = package
        elif package not in _NO_PACKAGE and re.fullmatch(policy["fee_schedule.packaged_codes"], line.procedure_code):
            return None
    return minor
