"""24, 25 or 57 on a surgical or programming code of spinal stimulation.

These modifiers tell a visit from an operation. On the operation they say nothing, and the visit they were meant for is
denied without them.

Known limit: on other codes than those of spinal stimulation they are not judged.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule


@rule(
    title="Visit modifier on surgery or programming",
    severity=Severity.ERROR,
    reason="CODE_MODIFIER_INVALID",
    remedy="Move the modifier to the visit line or remove it.",
    citations=("noridian-modifiers-2024-06",),
    field="lines[].modifiers",
    concerns=lambda codes, modifiers, policy: (
        not (policy["modifiers.family"].isdisjoint(codes) or policy["modifiers.visit_only"].isdisjoint(modifiers))
    ),
    base_layer="mpfs",
    policy=("modifiers.visit_only", "modifiers.family"),
    clean=(a_claim(), a_claim(lines=[a_line(), a_line("99213", modifiers=["25"])])),
    flagged=(
        a_claim(lines=[a_line(modifiers=["25"]), a_line("99213")]),
        a_facility_claim(lines=[a_facility_line("95972", modifiers=["25"])]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:  # noqa: ARG001
    wrong = policy["modifiers.visit_only"]
    if not line.modifiers or wrong.isdisjoint(line.modifiers) or line.procedure_code not in policy["modifiers.family"]:
        return None
    found = tuple(each for each in line.modifiers if each in wrong)
    named = ", ".join(found)
    return Flag(
        f"{named} on {line.procedure_code}, which is no visit",
        remedy=f"Move {named} to the visit line or remove it.",
        modifiers=found,
    )
