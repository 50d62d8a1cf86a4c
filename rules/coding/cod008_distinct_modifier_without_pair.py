"""59 or an X modifier on a procedure that forms no pair a modifier could open with any other line of the day.

A lead and a generator placed in one operation are both payable as they stand; 59 on either opens nothing and invites a
review. Where the code stands on several lines the modifier may tell them apart, so the rule is silent, as it is where
an earlier claim that counts has the other half of a pair. Visits are the matter of COD009.

Known limits: only pairs that involve the surgery of spinal stimulation are held in full, so beside any other two codes
the rule is silent; a line of another claim that is not on file is not seen.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from rules.coding.pairs import OPENABLE, PAIR_POLICIES, PairTable, pair_between, pair_table, pairs_in
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line, earlier, with_history
from rules.engine.grouping import LineGroup, line_groups
from rules.engine.history import History
from rules.engine.rule import rule
from rules.history.matching import is_in_one_group


@rule(
    title="Separating modifier with nothing to separate",
    severity=Severity.WARNING,
    reason="CODE_MODIFIER_INVALID",
    remedy="Remove the modifier; no edit has to be opened.",
    citations=("noridian-modifiers-2024-06", "cms-ncci-ptp-practitioner-2024q3"),
    field="lines[].modifiers",
    scope="claim",
    concerns=lambda codes, modifiers, policy: not policy["modifiers.distinct"].isdisjoint(modifiers),  # noqa: ARG005
    policy=(*PAIR_POLICIES, "modifiers.distinct", "modifiers.visit_codes", "modifiers.family_surgical"),
    yields_to=("COD001",),
    clean=(
        a_claim(lines=[a_line(), a_line("63650", units="2")]),
        a_claim(lines=[a_line(), a_line("63688", modifiers=["59"])]),
        with_history(a_claim(lines=[a_line("95972", modifiers=["XU"])]), earlier()),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line("63650", units="2", modifiers=["59"])]),
        a_facility_claim(lines=[a_facility_line(modifiers=["XS"]), a_facility_line("63655")]),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag] | None:
    distinct = policy["modifiers.distinct"]
    if all(distinct.isdisjoint(line.modifiers) for line in claim.lines):
        return None
    table = pair_table(claim, policy)
    if table is None:
        return None
    return [flag for group in line_groups(claim) for flag in _of_group(claim, group, history, table, policy)] or None


def _of_group(
    claim: Claim, group: LineGroup, history: History, table: PairTable, policy: Mapping[str, Any]
) -> Iterator[Flag]:
    paired = {line.procedure_code for pair in pairs_in(group, table) if pair.indicator == OPENABLE for line in pair[:2]}
    codes = [line.procedure_code for line in group.lines]
    surgical, visits = policy["modifiers.family_surgical"], policy["modifiers.visit_codes"]
    for line in group.lines:
        code = line.procedure_code
        found = tuple(each for each in line.modifiers if each in policy["modifiers.distinct"])
        # The tables hold every pair of a surgical code of the family, and few others.
        is_known = code in surgical or group.codes - {code} <= surgical
        if (
            found
            and code
            and is_known
            and code not in paired
            and code not in visits
            and codes.count(code) == 1
            and not _is_paired_before(claim, line, group.service_date, history, table)
        ):
            yield Flag(
                f"{', '.join(found)} on {code}, which forms no pair that a modifier opens with another line of "
                f"{group.service_date}",
                line=line,
                modifiers=found,
            )


def _is_paired_before(claim: Claim, line: ServiceLine, day: date, history: History, table: PairTable) -> bool:
    """Whether the modifier may open a pair with a line of an earlier claim, of which HIS018 speaks without it."""
    for prior in history.package_services:
        pair = pair_between(line, prior.line, table, day)
        if pair is not None and pair.indicator == OPENABLE and is_in_one_group(claim, line, prior):
            return True
    return False
