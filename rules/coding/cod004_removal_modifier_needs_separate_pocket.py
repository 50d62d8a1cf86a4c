"""Removal of a generator billed beside a new one, the pair opened by a modifier.

The modifier is right only where the old unit left one pocket and the new one went into another. The claim cannot show
that; the operative note must.

Known limit: where the modifier stands on the hospital's 63685 line only, COD003 speaks and this rule does not.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.pairs import (
    MODIFIER_POLICIES,
    PAIR_POLICIES,
    by_column_two,
    opening,
    pair_table,
    pairs_in,
)
from rules.coverage.generator import GENERATOR
from rules.coverage.replacement import REMOVAL
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule


@rule(
    title="Generator removal opened by a modifier",
    severity=Severity.WARNING,
    reason="NCCI_PTP",
    remedy="Keep both only if the operative note says that the old unit left one pocket and the new went into another.",
    citations=("aapc-forum-63685", "cms-ncci-manual-ch8-2017"),
    field="lines[].modifiers",
    scope="group",
    procedures=(REMOVAL,),
    concerns=lambda codes, modifiers, policy: (
        GENERATOR in codes and not policy["ncci.bypass_modifiers"].isdisjoint(modifiers)
    ),
    policy=(*PAIR_POLICIES, *MODIFIER_POLICIES),
    yields_to=("COD003",),
    clean=(a_claim(lines=[a_line(), a_line("63688")]), a_claim(lines=[a_line("63688", modifiers=["XS"])])),
    flagged=(
        a_claim(lines=[a_line(), a_line("63688", modifiers=["XS"])]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("63688", modifiers=["59"])]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    opened = [
        pair
        for pair in pairs_in(group, pair_table(claim, policy))
        if pair.is_generator_exchange and opening(claim, pair, policy) == "open"
    ]
    return [
        Flag("63688 stands beside 63685 on one day with a modifier that says it was separate", line=line)
        for line, _ in by_column_two(opened)
    ]
