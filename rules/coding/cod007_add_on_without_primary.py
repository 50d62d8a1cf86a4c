"""An add-on code without any of its primary procedures by the same provider on the same day.

An add-on is paid only beside one of its listed primaries, and no modifier changes that. None of the spinal stimulator
codes is a primary, so needle guidance or the microscope beside an implant alone always fails.

Known limits: the lists of five add-on codes are held; a primary billed on another claim of the same day is not seen.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule


@rule(
    title="Add-on code without its primary procedure",
    severity=Severity.ERROR,
    reason="ADDON_WITHOUT_PRIMARY",
    remedy="Remove the add-on code; none of its primary procedures is on the claim.",
    citations=("cms-ncci-addon-2024-06", "uhc-smart-edits"),
    field="lines[].procedure_code",
    scope="group",
    concerns=lambda codes, modifiers, policy: not policy["ncci.addon_codes"].isdisjoint(codes),  # noqa: ARG005
    base_layer="aoc",
    policy=("ncci.addon_codes", "ncci.addon_primaries"),
    clean=(
        a_claim(lines=[a_line("62267"), a_line("77003")]),
        a_facility_claim(lines=[a_facility_line("64596"), a_facility_line("64597")]),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line("77002", modifiers=["59"])]),
        a_facility_claim(lines=[a_facility_line("63655"), a_facility_line("69990")]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    addons, primaries = policy["ncci.addon_codes"], policy["ncci.addon_primaries"]
    if addons.isdisjoint(group.codes) or not (claim.is_professional or claim.is_outpatient_hospital):
        return None
    return [
        Flag(
            f"{line.procedure_code} stands without any of its primary procedures on {group.service_date}",
            line=line,
            remedy=f"Remove {line.procedure_code}; none of its primary procedures is on the claim.",
        )
        for line in group.lines
        if line.procedure_code in addons and not any((line.procedure_code, code) in primaries for code in group.codes)
    ]
