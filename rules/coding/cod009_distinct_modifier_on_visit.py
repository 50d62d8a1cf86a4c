"""59 or an X modifier on a visit.

These modifiers separate procedures. A visit apart from a procedure of the day carries 25, one apart from an earlier
operation 24; with 59 the visit stays bundled.

Known limit: none; the modifiers are never right on a visit.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule


@rule(
    title="Procedure modifier on a visit",
    severity=Severity.ERROR,
    reason="CODE_MODIFIER_INVALID",
    remedy="Replace the modifier on the visit by 25 or 24 if one applies.",
    citations=("noridian-modifiers-2024-06",),
    field="lines[].modifiers",
    claim_types=("professional",),
    concerns=lambda codes, modifiers, policy: (
        not (policy["modifiers.visit_codes"].isdisjoint(codes) or policy["modifiers.distinct"].isdisjoint(modifiers))
    ),
    base_layer="mpfs",
    policy=("modifiers.distinct", "modifiers.visit_codes"),
    clean=(
        a_claim(lines=[a_line(), a_line("99213", modifiers=["25"])]),
        a_claim(lines=[a_line(), a_line("63688", modifiers=["59"])]),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line("99213", modifiers=["59"])]),
        a_claim(lines=[a_line("99203", modifiers=["25", "XE"])]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:  # noqa: ARG001
    distinct = policy["modifiers.distinct"]
    is_visit = line.procedure_code in policy["modifiers.visit_codes"]
    if not is_visit or not line.modifiers or distinct.isdisjoint(line.modifiers):
        return None
    found = tuple(modifier for modifier in line.modifiers if modifier in distinct)
    named = ", ".join(found)
    return Flag(
        f"{named} on the visit {line.procedure_code}",
        remedy=f"Replace {named} on the visit by 25 or 24 if one applies.",
        modifiers=found,
    )
