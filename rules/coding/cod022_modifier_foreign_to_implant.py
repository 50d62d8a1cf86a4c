"""A modifier of another kind of service on a spinal stimulator code, or PO or PN on a professional claim.

Anesthesia modifiers, the clinic's and the drug's own ones have no meaning on the implant. PO and PN say in which
department of a hospital it was done, which only the hospital's own claim does.

Known limit: the list is coding practice; KX counts as wrong because no stimulator policy that was read asks for it.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule


def _is_foreign(row: Mapping[str, Any]) -> bool:
    """Whether it never suits the implant; where that is confirmed, a rule of its own says so as an error."""
    return bool(row["on_63685"] == "never" and row["confidence"] == "unverified")


def _is_hospitals(row: Mapping[str, Any]) -> bool:
    return bool(row["on_63685"] == "I only")


@rule(
    title="Modifier foreign to the implant",
    severity=Severity.WARNING,
    reason="CODE_MODIFIER_INVALID",
    remedy="Remove the modifier.",
    citations=("coding-knowledge",),
    field="lines[].modifiers",
    concerns=lambda codes, modifiers, policy: any(
        _is_hospitals(row) or (_is_foreign(row) and not policy["modifiers.family"].isdisjoint(codes))
        for each in modifiers
        if (row := policy["modifiers.suitability"].get(each)) is not None
    ),
    policy=("modifiers.suitability", "modifiers.family"),
    clean=(a_claim(lines=[a_line(modifiers=["GC"])]), a_facility_claim(lines=[a_facility_line(modifiers=["PO"])])),
    flagged=(
        a_claim(lines=[a_line(modifiers=["QK"])]),
        a_claim(lines=[a_line(modifiers=["PO"])]),
        a_facility_claim(lines=[a_facility_line(modifiers=["KX"])]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:
    if not line.modifiers:
        return None
    is_implant = line.procedure_code in policy["modifiers.family"]
    found = tuple(
        dict.fromkeys(
            each
            for each in line.modifiers
            if (row := policy["modifiers.suitability"].get(each)) is not None
            and ((is_implant and _is_foreign(row)) or (claim.is_professional and _is_hospitals(row)))
        )
    )
    if not found:
        return None
    named = ", ".join(found)
    kind = "a professional" if claim.is_professional else "an institutional"
    return Flag(
        f"{named} on {line.procedure_code} on {kind} claim",
        remedy=f"Remove {named} from {line.procedure_code}.",
        modifiers=found,
    )
