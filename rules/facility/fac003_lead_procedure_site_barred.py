"""A lead procedure at a place that the billing article of the Medicare contractor bars.

Plate leads are placed in a hospital or ambulatory surgery center; in the Palmetto areas percutaneous leads are also not
removed or revised in an office. The area is the one the practice states; one derived from a state gives a warning.

Known limit: Virginia has two contractors, so a claim from there needs the practice's own statement.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule
from rules.facility.contractor_area import contractor_area


@rule(
    title="Lead procedure at a barred place of service",
    severity=Severity.ERROR,
    reason="POS_INVALID",
    remedy="Correct the place of service, or do not bill the procedure there.",
    citations=("article-a56876", "article-a57792"),
    field="lines[].place_of_service",
    procedures=("63655", "63661", "63663"),
    payers=("MEDICARE_FFS",),
    claim_types=("professional",),
    effective=date(2021, 5, 13),
    policy=("place_of_service.lead_site_bars", "place_of_service.contractor_areas"),
    clean=(
        a_claim(practice={"contractor_area": "JJ"}, lines=[a_line("63655")]),
        a_claim(practice={"contractor_area": "JF"}, place_of_service="11", lines=[a_line("63661")]),
    ),
    flagged=(
        a_claim(practice={"contractor_area": "JF"}, place_of_service="11", lines=[a_line("63655")]),
        a_claim(practice={"contractor_area": "JM"}, lines=[a_line("63663", place_of_service="11")]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | NotEvaluated | None:
    bar = policy["place_of_service.lead_site_bars"].get(line.procedure_code)
    place = claim.place_of_service_on(line)
    if bar is None or not place:
        return None
    if not (place in bar["barred"] if "barred" in bar else place not in bar["allowed"]):
        return None
    area = contractor_area(claim, policy["place_of_service.contractor_areas"])
    if area is None:
        return NotEvaluated(f"{line.procedure_code} in place of service {place} needs the contractor area")
    article = bar["areas"].get(area.key)
    if article is None:
        return None
    return Flag(
        f"{line.procedure_code} in place of service {place} in area {area.key}"
        + (f" (derived from the state): {article} bars it" if area.is_derived else f": {article} bars it"),
        field=None if line.place_of_service else "place_of_service",
        remedy=f"Correct the place of service, or do not bill {line.procedure_code} there.",
        severity=Severity.WARNING if area.is_derived else None,
    )
