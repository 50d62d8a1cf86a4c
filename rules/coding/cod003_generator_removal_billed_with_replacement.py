"""Removal of a generator billed beside its replacement, with no modifier that opens the pair.

Putting in a new generator includes taking out the old one, so 63688 is part of 63685 unless the two were at different
places. On a hospital claim a modifier on the 63685 line alone gets a warning: it is looked for on the 63688 line.

Known limit: for an ambulatory surgery center's own claim and for types of bill 012x and 085x the choice of the table is
not confirmed, so a finding there is a warning.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.pairs import (
    MODIFIER_POLICIES,
    PAIR_POLICIES,
    by_column_two,
    highest_severity,
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
    title="Generator removal billed with its replacement",
    severity=Severity.ERROR,
    reason="NCCI_PTP",
    remedy="Remove 63688; replacing a generator includes taking out the old one.",
    citations=("cms-ncci-ptp-practitioner-2024q3", "cms-ncci-ptp-outpatient-2024q3", "cms-ncci-manual-ch8-2026"),
    field="lines[].procedure_code",
    scope="group",
    procedures=(REMOVAL,),
    concerns=lambda codes, modifiers, policy: GENERATOR in codes,  # noqa: ARG005
    base_layer="ptp",
    policy=(*PAIR_POLICIES, *MODIFIER_POLICIES),
    clean=(a_claim(lines=[a_line("63688")]), a_claim(lines=[a_line(), a_line("63688", modifiers=["XS"])])),
    flagged=(
        a_claim(lines=[a_line(), a_line("63688")]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("63688", modifiers=["52"])]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    pairs = [pair for pair in pairs_in(group, pair_table(claim, policy)) if pair.is_generator_exchange]
    if not pairs:
        return None
    return [
        Flag(
            "63688 stands beside 63685 on one day; a modifier that opens the pair stands "
            + ("on neither line" if state == "shut" else "on 63685 only"),
            line=line,
            severity=severity,
        )
        for state, severity in (("shut", highest_severity(claim)), ("on column one only", Severity.WARNING))
        for line, _ in by_column_two(pair for pair in pairs if opening(claim, pair, policy) == state)
    ]
