"""AS beside 80, 81 or 82, a modifier about the surgical package on an assistant's line, or 54 or 55 on a facility's.

AS says that the assistant is a PA, NP or CNS, the others that it is a physician. Neither has a share in the surgeon's
package, and a facility has none either, so nothing can be split off from what they bill.

Known limit: on a critical access hospital's bill the lines for practitioners' fees are not told from the facility's.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.billers import is_facility
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule

_NOT_A_PHYSICIAN = "AS"


@rule(
    title="Modifiers contradict the assistant or the facility",
    severity=Severity.ERROR,
    reason="CODE_MODIFIER_INVALID",
    remedy="Keep AS for a PA, NP or CNS, or 80, 81 or 82 for a physician, and drop the package modifier.",
    citations=("noridian-modifiers-2024-06",),
    field="lines[].modifiers",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        _NOT_A_PHYSICIAN in modifiers
        or not policy["modifiers.not_for_assistants"].isdisjoint(modifiers)
        or not policy["modifiers.not_for_facilities"].isdisjoint(modifiers)
    ),
    base_layer="mpfs",
    policy=("modifiers.assistant", "modifiers.not_for_assistants", "modifiers.not_for_facilities"),
    clean=(
        a_claim(lines=[a_line(), a_line(modifiers=["AS"])]),
        a_claim(lines=[a_line(modifiers=["54"])]),
        a_facility_claim(lines=[a_facility_line(modifiers=["58"])]),
    ),
    flagged=(
        a_claim(lines=[a_line(modifiers=["80", "AS"])]),
        a_claim(lines=[a_line(modifiers=["82", "58"])]),
        a_facility_claim(lines=[a_facility_line(modifiers=["55"])]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> list[Flag] | None:
    modifiers = line.modifiers
    if not modifiers:
        return None
    code = line.procedure_code
    assistant = [each for each in modifiers if each in policy["modifiers.assistant"]]
    flags: list[Flag] = []
    if _NOT_A_PHYSICIAN in assistant and (physician := [each for each in assistant if each != _NOT_A_PHYSICIAN]):
        named = ", ".join(physician)
        flags.append(
            Flag(
                f"AS beside {named} on {code}: the assistant is a physician or is not",
                remedy=f"Keep AS for a PA, NP or CNS, or {named} for a physician.",
                modifiers=(_NOT_A_PHYSICIAN, *physician),
            )
        )
    foreign: dict[str, str] = {}
    if is_facility(claim):
        foreign |= {each: "a facility's line" for each in modifiers if each in policy["modifiers.not_for_facilities"]}
    if assistant:
        foreign |= {each: "an assistant's line" for each in modifiers if each in policy["modifiers.not_for_assistants"]}
    flags += [
        Flag(f"{each} on {code} on {whose}", remedy=f"Remove {each} from {code}.", modifiers=(each,))
        for each, whose in foreign.items()
    ]
    return flags or None
