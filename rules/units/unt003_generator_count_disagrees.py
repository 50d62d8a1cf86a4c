"""A hospital outpatient claim whose generators on a date are more or fewer than its units of 63685.

Each unit of 63685 implants one generator, so the two counts agree unless one is keyed wrongly.

Known limits: generators of L codes are not counted, and a generator opened and wasted looks like one too many. Where
one of the two is absent, FAC005 and FAC006 speak.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule

_NONE = Decimal(0)


@rule(
    title="Number of generators and of 63685 units disagree",
    severity=Severity.WARNING,
    reason="DEVICE_MISMATCH",
    remedy="Make the number of generators and of 63685 units agree.",
    citations=("product-logic",),
    field="lines[].units",
    scope="group",
    procedures=(GENERATOR,),
    concerns=lambda codes, modifiers, policy: not policy["devices.generators"].isdisjoint(codes),  # noqa: ARG005
    claim_types=("institutional",),
    policy=("devices.generators",),
    clean=(a_facility_claim(), a_claim()),
    flagged=(
        a_facility_claim(lines=[a_facility_line(), a_facility_line("C1767", units="2", revenue_code="0278")]),
        a_facility_claim(lines=[a_facility_line(units="2"), a_facility_line("C1820", revenue_code="0278")]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> Flag | None:
    generators = policy["devices.generators"]
    implanted = devices = _NONE
    first = None
    for line in group.lines:
        code = line.procedure_code
        if code == GENERATOR:
            first = first or line
            implanted += line.units or _NONE
        elif code in generators:
            devices += line.units or _NONE
    if devices == implanted or devices <= 0 or implanted <= 0 or not claim.is_outpatient_hospital:
        return None
    named = " and ".join(sorted(generators & group.codes))
    return Flag(f"{devices:f} of {named} and {implanted:f} units of 63685 on {group.service_date}", line=first)
