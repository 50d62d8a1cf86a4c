"""A generator implanted in an office, on a claim to Original Medicare or a Medicare Advantage plan.

The Medicare fee schedule has no office value for 63685, and in the areas JE and JF the local policy says in words that
a permanent system is placed in an ambulatory surgery center or hospital. Other payers get the warning of FAC002.

Known limits: no office value means rarely or never done there, so outside JE and JF a contractor may still price it.
Before 2022 only the local policies are held; there a finding on an area derived from a state is a warning.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule
from rules.facility.contractor_area import contractor_area

_OFFICE = "11"
_NEEDS_AREA = "63685 in place of service 11 needs the contractor area; no office value is held for this date of service"


@rule(
    title="Generator implanted outside a facility",
    severity=Severity.ERROR,
    reason="POS_INVALID",
    remedy="Correct the place of service; the implant belongs in 19, 21, 22 or 24.",
    citations=("lcd-l35136", "lcd-l36204", "cms-mpfs-2024-07", "cms-pprrvu-2022-2024"),
    field="lines[].place_of_service",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: _OFFICE in key.places,  # noqa: ARG005
    payers=("MEDICARE_FFS", "MEDICARE_ADV"),
    claim_types=("professional",),
    effective=date(2019, 12, 1),
    policy=(
        "place_of_service.no_office_value",
        "place_of_service.generator_office_bars",
        "place_of_service.contractor_areas",
    ),
    clean=(a_claim(), a_claim("AETNA", place_of_service="11")),
    flagged=(
        a_claim(place_of_service="11"),
        a_claim(practice={"contractor_area": "JE"}, lines=[a_line(place_of_service="11")]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | NotEvaluated | None:
    if claim.place_of_service_on(line) != _OFFICE:
        return None
    has_no_office_value = line.procedure_code in policy["place_of_service.no_office_value"]
    area = contractor_area(claim, policy["place_of_service.contractor_areas"])
    local_policy = policy["place_of_service.generator_office_bars"].get(area.key) if area is not None else None
    rests_on_derived_area = area is not None and area.is_derived and not has_no_office_value
    if local_policy is None and not has_no_office_value:
        return NotEvaluated(_NEEDS_AREA) if area is None else None
    return Flag(
        f"{line.procedure_code} in place of service 11: "
        + (
            f"{local_policy} places the permanent system in an ambulatory surgery center or hospital"
            if local_policy is not None
            else "the Medicare fee schedule has no office value for it"
        ),
        field=None if line.place_of_service else "place_of_service",
        severity=Severity.WARNING if rests_on_derived_area else None,
    )
