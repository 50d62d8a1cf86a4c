"""53 on a facility's line, 73 or 74 on a practitioner's, or 73 beside 74.

A practitioner who stopped a procedure says 53. A facility says 73 where it was stopped before anesthesia and 74 where
after, so 73 and 74 exclude each other.

Known limits: where nothing says whether a surgery center bills for place of service 24, 73 and 74 are warnings. On a
critical access hospital's bill the lines for practitioners' fees are not told from the facility's.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.billers import is_facility, may_be_surgery_center
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule

_PRACTITIONER = "53"


@rule(
    title="Modifier for a stopped procedure on the wrong claim",
    severity=Severity.ERROR,
    reason="CODE_MODIFIER_INVALID",
    remedy="Use 53 for the physician, 73 or 74 for the facility.",
    citations=("noridian-modifiers-2024-06",),
    field="lines[].modifiers",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        _PRACTITIONER in modifiers or not policy["modifiers.stopped_at_facility"].isdisjoint(modifiers)
    ),
    base_layer="mpfs",
    policy=("modifiers.stopped_at_facility",),
    clean=(a_claim(lines=[a_line(modifiers=["53"])]), a_facility_claim(lines=[a_facility_line(modifiers=["74"])])),
    flagged=(
        a_claim(lines=[a_line(modifiers=["74"])]),
        a_facility_claim(lines=[a_facility_line(modifiers=["53"])]),
        a_facility_claim(lines=[a_facility_line(modifiers=["73", "74"])]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> list[Flag] | None:
    if not line.modifiers:
        return None
    code = line.procedure_code
    stopped = tuple(dict.fromkeys(each for each in line.modifiers if each in policy["modifiers.stopped_at_facility"]))
    named = ", ".join(stopped)
    if not is_facility(claim):
        if not stopped:
            return None
        unsure = may_be_surgery_center(claim, claim.place_of_service_on(line))
        return [
            Flag(
                f"{named} on {code} on a practitioner's claim" + (", unless a surgery center bills" if unsure else ""),
                remedy=f"Replace {named} by 53, or bill it on the facility's claim.",
                severity=Severity.WARNING if unsure else None,
                modifiers=stopped,
            )
        ]
    flags: list[Flag] = []
    if _PRACTITIONER in line.modifiers:
        flags.append(
            Flag(
                f"53 on {code} on a facility's claim",
                remedy="Replace 53 by 73 before anesthesia or 74 after it.",
                modifiers=(_PRACTITIONER,),
            )
        )
    if len(stopped) > 1:
        flags.append(
            Flag(
                f"{named} on {code}: it was stopped before anesthesia or after",
                remedy="Keep 73 before anesthesia or 74 after it.",
                modifiers=stopped,
            )
        )
    return flags or None
