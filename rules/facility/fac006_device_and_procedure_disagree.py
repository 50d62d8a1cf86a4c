"""A generator's C code without its procedure on a hospital outpatient claim, or a procedure without its device.

The outpatient code editor wants both on one date. For a lead procedure on a Medicare claim the device is a lead or test
lead kit; UnitedHealthcare denies 63685 without any device code. 52, 73 or 74 means that the procedure was reduced or
stopped, and then no device is missed. C1826 comes with its leads. The generator of 63685 on a Medicare claim is the
matter of FAC005. A generator beside other surgery and none of spinal cord stimulation may be another nerve's: of it
nothing is said.

Known limits: that lead procedures are device-intensive is confirmed for 2020 only, and UnitedHealthcare's rule is known
second hand, so these are warnings. Where the missing part stands on a line without a service date nothing is said.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_facility_claim, a_facility_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule
from rules.facility.foreign_devices import may_be_foreign
from rules.facility.undated import stands_undated

_ANY_DEVICE = "any"


@rule(
    title="Device and procedure do not come together",
    severity=Severity.WARNING,
    reason="DEVICE_MISMATCH",
    remedy="Add the missing device or procedure line.",
    citations=("cgs-device-tool", "openpayer-uhc-device"),
    field="lines[].procedure_code",
    scope="group",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        not policy["devices.generators"].isdisjoint(codes) or not codes.isdisjoint(policy["devices.needed_with"])
    ),
    payers=("MEDICARE_FFS", "UHC_COM"),
    claim_types=("institutional",),
    policy=(
        "devices.codes",
        "devices.generators",
        "devices.generator_procedures",
        "devices.needed_with",
        "devices.edit_off_modifiers",
        "devices.surgery",
        "modifiers.family_surgical",
    ),
    clean=(
        a_facility_claim(),
        a_facility_claim(lines=[a_facility_line("63650"), a_facility_line("C1897", revenue_code="0278")]),
        a_facility_claim("AETNA", lines=[a_facility_line("63650")]),
    ),
    flagged=(
        a_facility_claim(lines=[a_facility_line("63688"), a_facility_line("C1820", revenue_code="0278")]),
        a_facility_claim(lines=[a_facility_line("63650")]),
        a_facility_claim("UHC_COM", lines=[a_facility_line()]),
    ),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    codes = group.codes
    generators, procedures = policy["devices.generators"], policy["devices.generator_procedures"]
    needed_with = policy["devices.needed_with"]
    lacks_procedure = (
        procedures.isdisjoint(codes)
        and not generators.isdisjoint(codes)
        and not may_be_foreign(codes, policy["modifiers.family_surgical"], policy["devices.surgery"])
    )
    if (codes.isdisjoint(needed_with) and not lacks_procedure) or not claim.is_outpatient_hospital:
        return None
    day = group.service_date
    flags = []
    if lacks_procedure and not stands_undated(claim, procedures):
        line = next(line for line in group.lines if line.procedure_code in generators)
        flags.append(Flag(f"{line.procedure_code} on {day} without {_one_of(procedures)} on that date", line=line))
    for code, devices in needed_with.items():
        accepted = policy["devices.codes"] if devices == _ANY_DEVICE else devices
        if code not in codes or not codes.isdisjoint(accepted) or stands_undated(claim, accepted):
            continue
        for line in group.lines:
            if line.procedure_code == code and policy["devices.edit_off_modifiers"].isdisjoint(line.modifiers):
                lacking = "any device code" if devices == _ANY_DEVICE else _one_of(devices)
                flags.append(Flag(f"{code} on {day} without {lacking} on that date", line=line))
                break
    return flags or None


def _one_of(codes: Any) -> str:
    *others, last = sorted(codes)
    return f"{', '.join(others)} or {last}"
