"""Two modifiers on one line of which a line can carry only one.

A procedure was staged, unplanned or unrelated; repeated by the same practitioner or by another; done by a surgeon or an
assistant. Modifiers that answer the same question in two ways leave the payer to choose.

Known limit: the sets are coding practice rather than anyone's published rule. Where a more special rule speaks of one
of the modifiers on the line, this one is silent about it.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule


@rule(
    title="Modifiers exclude each other",
    severity=Severity.WARNING,
    reason="CODE_MODIFIER_INVALID",
    remedy="Keep one of the modifiers.",
    citations=("coding-knowledge", "noridian-modifiers-2024-06"),
    field="lines[].modifiers",
    concerns=lambda codes, modifiers, policy: any(  # noqa: ARG005
        len(modifiers.intersection(each["members"])) > 1 for each in policy["modifiers.exclusive_sets"]
    ),
    policy=("modifiers.exclusive_sets",),
    yields_to=("COD010", "COD011", "COD013", "COD014", "COD015", "COD017", "COD020", "COD022", "COD023"),
    clean=(a_claim(lines=[a_line(modifiers=["58", "80"])]), a_claim(lines=[a_line(modifiers=["76"])])),
    flagged=(
        a_claim(lines=[a_line(modifiers=["58", "78"])]),
        a_facility_claim(lines=[a_facility_line(modifiers=["PO", "PN"])]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> list[Flag] | None:  # noqa: ARG001
    if len(line.modifiers) <= 1:
        return None
    flags: list[Flag] = []
    for each in policy["modifiers.exclusive_sets"]:
        found = tuple(dict.fromkeys(modifier for modifier in line.modifiers if modifier in each["members"]))
        if len(found) > 1:
            named = " and ".join(found)
            flags.append(
                Flag(
                    f"{named} on {line.procedure_code}: a line carries one {each['set']} modifier",
                    remedy=f"Keep one of {named}.",
                    modifiers=found,
                )
            )
    return flags or None
