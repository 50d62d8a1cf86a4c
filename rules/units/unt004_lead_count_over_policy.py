"""More than two leads (C1778) on one date in an area of Original Medicare whose policy allows two, or 16 contacts.

The local policies of Noridian (JE, JF) and Palmetto (JJ, JM) hold for leads of one system. The area is the one the
practice states, else the one its states imply.

Known limit: contacts are not known from the claim.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_facility_claim, a_facility_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule
from rules.facility.contractor_area import contractor_area


@rule(
    title="More leads than the local policy allows",
    severity=Severity.WARNING,
    reason="FREQUENCY_LIMIT",
    remedy="Check that no more than 2 leads or 16 contacts were placed.",
    citations=("lcd-l35136", "lcd-l36204", "article-a56876"),
    field="lines[].units",
    scope="group",
    procedures=("C1778",),
    payers=("MEDICARE_FFS",),
    effective=date(2019, 12, 1),
    policy=("units.lead_limit", "place_of_service.contractor_areas"),
    clean=(
        a_facility_claim(practice={"contractor_area": "JE"}, lines=[a_facility_line("C1778", units="2")]),
        a_facility_claim(practice={"contractor_area": "JN"}, lines=[a_facility_line("C1778", units="4")]),
    ),
    flagged=(
        a_facility_claim(practice={"contractor_area": "JE"}, lines=[a_facility_line("C1778", units="3")]),
        a_facility_claim(
            practice={"contractor_area": "JM"}, lines=[a_facility_line("C1778"), a_facility_line("C1778", units="2")]
        ),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> Flag | NotEvaluated | None:
    held = policy["units.lead_limit"]
    code, limit = held["code"], held["leads"]
    units = Decimal(0)
    over = None
    for line in group.lines:
        if line.procedure_code == code:
            units += line.units or Decimal(0)
            if over is None and units > limit:
                over = line
    if over is None or units <= limit:
        return None
    area = contractor_area(claim, policy["place_of_service.contractor_areas"])
    if area is None:
        return NotEvaluated(f"{units:f} units of {code} on {group.service_date} need the contractor area", line=over)
    document = held["areas"].get(area.key)
    if document is None:
        return None
    derived = " (derived from the state)" if area.is_derived else ""
    return Flag(
        f"{units:f} units of {code} on {group.service_date} in area {area.key}{derived}: "
        f"{document} allows {limit} leads or {held['contacts']} contacts",
        line=over,
    )
