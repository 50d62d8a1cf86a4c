"""A system whose lead and generator are one unit, billed beside a lead or a generator by itself.

The codes of such a system cover both parts, so a code for one of them on the same day says the work twice, or one of
the codes is wrong.

Known limit: the NCCI tables hold no such pair; this is the meaning of the codes, so it warns.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule


@rule(
    title="Integrated system beside a separate lead or generator",
    severity=Severity.WARNING,
    reason="MUTUALLY_EXCLUSIVE",
    remedy="Report either the integrated system or lead and generator apart.",
    citations=("coding-knowledge", "cms-mpfs-2024-07"),
    field="lines[].procedure_code",
    scope="group",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        not policy["modifiers.integrated_systems"].isdisjoint(codes)
        and not policy["modifiers.separate_parts"].isdisjoint(codes)
    ),
    effective=date(2024, 1, 1),
    policy=("modifiers.integrated_systems", "modifiers.separate_parts"),
    clean=(a_claim(lines=[a_line("0784T")]), a_claim(lines=[a_line("0784T"), a_line("95972")])),
    flagged=(
        a_claim(lines=[a_line("0784T"), a_line()]),
        a_facility_claim(lines=[a_facility_line("0785T"), a_facility_line("63688")]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:  # noqa: ARG001
    parts = policy["modifiers.separate_parts"]
    if parts.isdisjoint(group.codes):
        return None
    named = " and ".join(dict.fromkeys(line.procedure_code for line in group.lines if line.procedure_code in parts))
    return [
        Flag(f"{line.procedure_code} stands beside {named} on {group.service_date}", line=line)
        for line in group.lines
        if line.procedure_code in policy["modifiers.integrated_systems"]
    ]
