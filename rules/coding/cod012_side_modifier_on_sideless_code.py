"""A single LT or RT on a spinal stimulator code, which has no sides.

Advice differs: the fee schedule gives these codes no sides, yet LT and RT are on the list of modifiers that open a
pair, and some payers ask for them. So it is a warning, which says so where the side is all that opens a pair.

Known limit: LT and RT together are the matter of COD011.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.pairs import MODIFIER_POLICIES, OPENABLE, PAIR_POLICIES, LinePair, pair_table, pairs_in
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule

_NOT_BILATERAL = "0"


@rule(
    title="Side modifier on a code without sides",
    severity=Severity.WARNING,
    reason="CODE_MODIFIER_INVALID",
    remedy="Remove the side modifier unless the payer asks for it; use XS where a second site has to be shown.",
    citations=("cms-mpfs-2024-07", "aapc-laterality", "ncci-modifier-list"),
    field="lines[].modifiers",
    scope="group",
    concerns=lambda codes, modifiers, policy: (
        not (policy["modifiers.sides"].isdisjoint(modifiers) or policy["modifiers.family"].isdisjoint(codes))
    ),
    policy=(*PAIR_POLICIES, *MODIFIER_POLICIES, "fee_schedule.indicators", "modifiers.sides", "modifiers.family"),
    yields_to=("COD011",),
    clean=(a_claim(), a_claim(lines=[a_line("64561", modifiers=["LT"])])),
    flagged=(
        a_claim(lines=[a_line(modifiers=["LT"])]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("63688", modifiers=["RT"])]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    sides, family = policy["modifiers.sides"], policy["modifiers.family"]
    flags: list[Flag] = []
    for line in group.lines:
        if not line.modifiers or sides.isdisjoint(line.modifiers) or line.procedure_code not in family:
            continue
        row = policy["fee_schedule.indicators"].get((line.procedure_code, None))
        found = sides.intersection(line.modifiers)
        if row is None or row["bilateral"] != _NOT_BILATERAL or found == sides:
            continue
        opened = [
            pair
            for pair in pairs_in(group, pair_table(claim, policy))
            if any(line is each for each in pair[:2]) and _opening_modifiers(claim, pair, policy) == found
        ]
        message = f"{next(iter(found))} on {line.procedure_code}, which has no sides"
        if opened:
            one, two, _ = opened[0]
            message += f"; nothing else opens the pair of {one.procedure_code} with {two.procedure_code}"
        flags.append(Flag(message, line=line, modifiers=tuple(found)))
    return flags


def _opening_modifiers(claim: Claim, pair: LinePair[ServiceLine], policy: Mapping[str, Any]) -> frozenset[str]:
    one, two, indicator = pair
    if indicator != OPENABLE or two.procedure_code in policy["modifiers.visit_codes"]:
        return frozenset()
    modifiers = (*one.modifiers, *two.modifiers) if claim.is_professional else two.modifiers
    opening: frozenset[str] = policy["ncci.bypass_modifiers"].intersection(modifiers)
    return opening
