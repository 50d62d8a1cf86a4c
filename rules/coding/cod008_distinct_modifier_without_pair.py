"""59 or an X modifier on a procedure that forms no pair a modifier could open with any other line of the day.

A lead and a generator placed in one operation are both payable as they stand; 59 on either opens nothing and invites a
review. Where the code stands on several lines the modifier may tell them apart, so the rule is silent. Visits are the
matter of COD009.

Known limits: only pairs that involve the surgery of spinal stimulation are held in full, so beside any other two codes
the rule is silent; a pair with a line of another claim is not seen.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.pairs import OPENABLE, PAIR_POLICIES, pair_table, pairs_in
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule


@rule(
    title="Separating modifier with nothing to separate",
    severity=Severity.WARNING,
    reason="CODE_MODIFIER_INVALID",
    remedy="Remove the modifier; no edit has to be opened.",
    citations=("noridian-modifiers-2024-06", "cms-ncci-ptp-practitioner-2024q3"),
    field="lines[].modifiers",
    scope="group",
    concerns=lambda codes, modifiers, policy: not policy["modifiers.distinct"].isdisjoint(modifiers),  # noqa: ARG005
    policy=(*PAIR_POLICIES, "modifiers.distinct", "modifiers.visit_codes", "modifiers.family_surgical"),
    yields_to=("COD001",),
    clean=(
        a_claim(lines=[a_line(), a_line("63650", units="2")]),
        a_claim(lines=[a_line(), a_line("63688", modifiers=["59"])]),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line("63650", units="2", modifiers=["59"])]),
        a_facility_claim(lines=[a_facility_line(modifiers=["XS"]), a_facility_line("63655")]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    distinct = policy["modifiers.distinct"]
    marked = [line for line in group.lines if line.modifiers and not distinct.isdisjoint(line.modifiers)]
    table = pair_table(claim, policy) if marked else None
    if table is None:
        return None
    paired = {line.procedure_code for pair in pairs_in(group, table) if pair.indicator == OPENABLE for line in pair[:2]}
    codes = [line.procedure_code for line in group.lines]
    surgical, visits = policy["modifiers.family_surgical"], policy["modifiers.visit_codes"]

    def opens_nothing(line: ServiceLine) -> bool:
        code = line.procedure_code
        # The tables hold every pair of a surgical code of the family, and few others.
        is_known = code in surgical or group.codes - {code} <= surgical
        return bool(code) and is_known and code not in paired and code not in visits and codes.count(code) == 1

    return [
        Flag(
            f"{', '.join(found)} on {line.procedure_code}, which forms no pair that a modifier opens with another line "
            f"of {group.service_date}",
            line=line,
            modifiers=found,
        )
        for line in marked
        if opens_nothing(line) and (found := tuple(each for each in line.modifiers if each in distinct))
    ]
