"""Two codes of one provider and day that the NCCI tables never pay together (modifier indicator 0).

The column two service is part of the column one procedure, or excludes it, and no modifier opens such a pair. The
surgeon's own nerve blocks, neuromonitoring and microscope beside an implant are the usual cases. The hospital's table
is milder than the practitioner's: most of its pairs can be opened.

Known limits: only pairs that involve spinal stimulation are held. For an ambulatory surgery center's own claim and for
types of bill 012x and 085x the choice of the table is not confirmed, so a finding there is a warning.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.pairs import (
    CLOSED,
    PAIR_POLICIES,
    by_column_two,
    has_pair,
    highest_severity,
    pair_table,
    pairs_in,
)
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule


@rule(
    title="Codes never payable together",
    severity=Severity.ERROR,
    reason="NCCI_PTP",
    remedy="Remove the column two code; no modifier separates it.",
    citations=("cms-ncci-ptp-practitioner-2024q3", "cms-ncci-ptp-outpatient-2024q3"),
    field="lines[].procedure_code",
    scope="group",
    concerns=lambda codes, modifiers, policy: has_pair(codes, policy, CLOSED),  # noqa: ARG005
    base_layer="ptp",
    policy=PAIR_POLICIES,
    clean=(
        a_claim(lines=[a_line(), a_line("63650", units="2")]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("95938", modifiers=["XU"])]),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line("95938", modifiers=["XU"])]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("69990")]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    pairs = pairs_in(group, pair_table(claim, policy))
    if not pairs:
        return None
    severity = highest_severity(claim)
    return [
        Flag(
            f"{line.procedure_code} is never payable with {codes} on one day (NCCI indicator 0)",
            line=line,
            remedy=f"Remove {line.procedure_code}; it is part of {codes} and no modifier separates them.",
            severity=severity,
        )
        for line, codes in by_column_two(pair for pair in pairs if pair.indicator == CLOSED)
    ]
