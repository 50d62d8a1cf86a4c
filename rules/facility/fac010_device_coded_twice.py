"""A C code and an L code of a generator on one date with one unit of 63685.

One generator was implanted, and it stands on the claim twice: some payers want the C code, some the L code, none both.
The finding points at the L code; where that code is refused in itself, UNT002, FAC008 or FAC009 says so instead.

Known limit: the two may be two devices of which one was wasted; that is billed otherwise.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule


@rule(
    title="Generator coded twice",
    severity=Severity.WARNING,
    reason="DEVICE_MISMATCH",
    remedy="Keep the code that this payer wants.",
    citations=("product-logic",),
    field="lines[].procedure_code",
    scope="group",
    procedures=(GENERATOR,),
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        not policy["devices.other_generators"].isdisjoint(codes) and not policy["devices.generators"].isdisjoint(codes)
    ),
    policy=("devices.generators", "devices.other_generators"),
    yields_to=("UNT002", "FAC008", "FAC009"),
    clean=(
        a_facility_claim("AETNA"),
        a_facility_claim("AETNA", lines=[a_facility_line(), a_facility_line("L8687", revenue_code="0278")]),
        a_claim(),
    ),
    flagged=(
        a_facility_claim(
            "AETNA",
            lines=[
                a_facility_line(),
                a_facility_line("C1820", revenue_code="0278"),
                a_facility_line("L8687", revenue_code="0278"),
            ],
        ),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:  # noqa: ARG001
    generators, other_generators = policy["devices.generators"], policy["devices.other_generators"]
    if other_generators.isdisjoint(group.codes) or generators.isdisjoint(group.codes):
        return None
    if sum(line.units or 0 for line in group.lines if line.procedure_code == GENERATOR) != 1:
        return None
    named = " and ".join(sorted(generators & group.codes))
    return [
        Flag(f"{line.procedure_code} beside {named} on {group.service_date} with 1 unit of 63685", line=line)
        for line in group.lines
        if line.procedure_code in other_generators
    ]
