"""Programming or imaging beside a spinal stimulator operation, the pair opened by a modifier.

Checking the system and watching the needle belong to the implant. A modifier on them is right only for work apart from
it by the practitioner who bills; what the device company's representative programs is not billable at all.

Known limit: the claim does not show who programmed.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.pairs import (
    MODIFIER_POLICIES,
    OPENABLE,
    PAIR_POLICIES,
    by_column_two,
    opening,
    pair_table,
    pairs_in,
)
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule


@rule(
    title="Part of the implant unbundled by a modifier",
    severity=Severity.WARNING,
    reason="NCCI_PTP",
    remedy="Keep the line only for work apart from the implant by the billing practitioner.",
    citations=("coding-knowledge", "cms-ncci-ptp-practitioner-2024q3"),
    field="lines[].modifiers",
    scope="group",
    concerns=lambda codes, modifiers, policy: (
        not (
            policy["ncci.integral_services"].isdisjoint(codes)
            or policy["modifiers.family_surgical"].isdisjoint(codes)
            or policy["ncci.bypass_modifiers"].isdisjoint(modifiers)
        )
    ),
    policy=(*PAIR_POLICIES, *MODIFIER_POLICIES, "ncci.integral_services", "modifiers.family_surgical"),
    yields_to=("COD002",),
    clean=(
        a_claim(lines=[a_line(), a_line("95972")]),
        a_claim(lines=[a_line("95972", modifiers=["59"])]),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line("95972", modifiers=["XU"])]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("76000", modifiers=["59"])]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    integral, surgical = policy["ncci.integral_services"], policy["modifiers.family_surgical"]
    if integral.isdisjoint(group.codes):
        return None
    opened = [
        pair
        for pair in pairs_in(group, pair_table(claim, policy))
        if pair.column_two.procedure_code in integral
        and pair.column_one.procedure_code in surgical
        and pair.indicator == OPENABLE
        and opening(claim, pair, policy) == "open"
    ]
    return [
        Flag(
            f"{line.procedure_code} is part of {codes}, and a modifier says it was separate",
            line=line,
            remedy=f"Keep {line.procedure_code} only for work apart from the implant by the billing practitioner; "
            "programming by the company representative is not billable.",
        )
        for line, codes in by_column_two(opened)
    ]
