"""Generator or plate lead surgery at a place of service where it is hardly done.

The fee schedule values these procedures for facilities only: hospital (19, 21, 22) and ambulatory surgery center (24).

Known limit: a payer may allow another place, so this is a warning. Where Medicare bars the place, FAC001 or FAC003
speaks instead; a blank place of service is the matter of CMP001.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule


@rule(
    title="Place of service implausible for the surgery",
    severity=Severity.WARNING,
    reason="POS_INVALID",
    remedy="Check the place of service against the operative record.",
    citations=("cms-mpfs-2024-07", "coding-knowledge"),
    field="lines[].place_of_service",
    procedures=("63655", "63662", "63664", "63685", "63688"),
    concerns_claim=lambda key, policy: not key.places <= policy["place_of_service.implant_sites"],
    claim_types=("professional",),
    policy=("place_of_service.implant_sites",),
    yields_to=("FAC001", "FAC003"),
    clean=(a_claim(), a_claim(place_of_service="11", lines=[a_line("63650")])),
    flagged=(a_claim("AETNA", place_of_service="11"), a_claim(lines=[a_line("63688", place_of_service="12")])),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:
    place = claim.place_of_service_on(line)
    if not place or place in policy["place_of_service.implant_sites"]:
        return None
    return Flag(
        f"{line.procedure_code} in place of service {place}",
        field=None if line.place_of_service else "place_of_service",
    )
