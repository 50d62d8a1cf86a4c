"""Two codes of one provider and day that the NCCI tables pay together only with a modifier, and no such modifier.

Imaging, programming, debridement or closure beside an implant are part of it unless they were separate and a modifier
says so. On a professional claim the modifier may stand on either line. On a hospital claim it is looked for on the
column two line, because that change was made for the Part B system only; on the column one line it gets a warning.

The generator with its own removal is the matter of COD003, and a visit on a professional claim that of COD005.

Known limits: only pairs that involve spinal stimulation are held. For an ambulatory surgery center's own claim and for
types of bill 012x and 085x the choice of the table is not confirmed, so a finding there is a warning.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.pairs import (
    MODIFIER_POLICIES,
    OPENABLE,
    PAIR_POLICIES,
    by_column_two,
    has_pair,
    highest_severity,
    is_visit_pair,
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
    title="Code pair without a modifier that opens it",
    severity=Severity.ERROR,
    reason="NCCI_PTP",
    remedy="Remove the column two code, or if it was truly separate add XE, XS, XP, XU or 59 and keep the record.",
    citations=(
        "cms-ncci-ptp-practitioner-2024q3",
        "cms-ncci-ptp-outpatient-2024q3",
        "ncci-modifier-list",
        "cms-cr11168",
    ),
    field="lines[].modifiers",
    scope="group",
    concerns=lambda codes, modifiers, policy: has_pair(codes, policy, OPENABLE),  # noqa: ARG005
    base_layer="ptp",
    policy=(*PAIR_POLICIES, *MODIFIER_POLICIES),
    clean=(
        a_claim(lines=[a_line(), a_line("63655")]),
        a_claim(lines=[a_line(), a_line("95972", modifiers=["XU"])]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("11042", modifiers=["XS"])]),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line("76000", modifiers=["26"])]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("95972")]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    pairs = pairs_in(group, pair_table(claim, policy))
    if not pairs:
        return None
    visits = policy["modifiers.visit_codes"]
    flags: list[Flag] = []
    for state, severity in (("shut", highest_severity(claim)), ("on column one only", Severity.WARNING)):
        for line, codes in by_column_two(
            pair
            for pair in pairs
            if pair.indicator == OPENABLE
            and not pair.is_generator_exchange
            and not is_visit_pair(claim, pair, policy)
            and opening(claim, pair, policy) == state
        ):
            code = line.procedure_code
            modifiers = "25" if code in visits else "XE, XS, XP, XU or 59"
            flags.append(
                Flag(
                    f"{code} is column two of a pair with {codes}; a modifier that opens it stands "
                    + ("on neither line" if state == "shut" else state),
                    line=line,
                    remedy=f"Remove {code}, or if it was truly separate add {modifiers} to it and keep the record.",
                    severity=severity,
                )
            )
    return flags
