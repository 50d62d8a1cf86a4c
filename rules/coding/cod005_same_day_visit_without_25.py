"""A visit on the day of a spinal stimulator operation by the same practitioner, without 24, 25 or 57.

The preparation on the day belongs to the operation; only a visit that was separate is paid, and says so by its
modifier. 59 and the X modifiers do not count on a visit. Visits that are not paired with the operation, such as
new-patient and emergency visits, need nothing. Hospital claims have no such pairs.

Known limit: on the claim of an ambulatory surgery center the choice of the table is not confirmed, so there it warns.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.pairs import (
    MODIFIER_POLICIES,
    OPENABLE,
    by_column_two,
    has_pair,
    highest_severity,
    opening,
    pairs_in,
)
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule


@rule(
    title="Visit on the day of surgery without a modifier",
    severity=Severity.ERROR,
    reason="BUNDLED_GLOBAL",
    remedy="Add 25 to the visit if it was significant and separate, else remove it.",
    citations=("cms-ncci-ptp-practitioner-2024q3", "noridian-modifiers-2024-06", "cms-mpfs-2024-07"),
    field="lines[].modifiers",
    scope="group",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        not policy["modifiers.visit_codes"].isdisjoint(codes) and has_pair(codes, policy, OPENABLE)
    ),
    claim_types=("professional",),
    base_layer="ptp",
    policy=("ncci.pairs_practitioner", *MODIFIER_POLICIES),
    clean=(
        a_claim(lines=[a_line(), a_line("99213", modifiers=["25"])]),
        a_claim(lines=[a_line(), a_line("99203")]),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line("99213")]),
        a_claim(lines=[a_line("63650", units="2"), a_line("99232", modifiers=["59"])]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    visits = policy["modifiers.visit_codes"]
    if visits.isdisjoint(group.codes):
        return None
    unopened = [
        pair
        for pair in pairs_in(group, policy["ncci.pairs_practitioner"])
        if pair.column_two.procedure_code in visits
        and pair.indicator == OPENABLE
        and opening(claim, pair, policy) == "shut"
    ]
    return [
        Flag(
            f"{line.procedure_code} on the day of {codes} ({group.service_date}) without 24, 25 or 57",
            line=line,
            remedy=f"Add 25 to {line.procedure_code} if it was significant and separate, else remove it.",
            severity=highest_severity(claim),
        )
        for line, codes in by_column_two(unopened)
    ]
