"""A generator implant on a Medicare hospital outpatient claim without the C code of a generator on its date.

63685 is a device-intensive procedure: the outpatient code editor returns the claim (reason code W7092) unless a device
code stands on the same date, or 52, 73 or 74 says that the procedure was reduced or stopped. A returned claim counts
as never filed.

Known limits: any listed device satisfies the edit; whether it fits is the matter of FAC007. Where a device line has no
service date nothing is said.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_facility_claim, a_facility_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule
from rules.facility.undated import stands_undated


@rule(
    title="Device code of the generator is missing",
    severity=Severity.ERROR,
    reason="DEVICE_CODE_MISSING",
    remedy="Add the C code of the generator on the same date, or 73 or 74 if the procedure was stopped.",
    citations=("cgs-device-tool", "asc-neuromod-guide-2020", "cms-cr7275"),
    field="lines[].procedure_code",
    scope="group",
    procedures=(GENERATOR,),
    payers=("MEDICARE_FFS",),
    claim_types=("institutional",),
    effective=date(2020, 1, 1),
    policy=("devices.generator_edit", "devices.edit_off_modifiers"),
    clean=(
        a_facility_claim(),
        a_facility_claim(lines=[a_facility_line(modifiers=["74"])]),
        a_facility_claim("AETNA", lines=[a_facility_line()]),
    ),
    flagged=(
        a_facility_claim(lines=[a_facility_line()]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("C1767", service_date="2026-08-04")]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> Flag | None:
    devices = policy["devices.generator_edit"]
    if not devices.isdisjoint(group.codes) or not claim.is_outpatient_department:
        return None
    edit_off = policy["devices.edit_off_modifiers"]
    for line in group.lines:
        if line.procedure_code == GENERATOR and edit_off.isdisjoint(line.modifiers):
            if stands_undated(claim, devices):
                return None
            return Flag(f"63685 on {group.service_date} without a device code on that date", line=line)
    return None
