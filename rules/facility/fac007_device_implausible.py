"""A device code that hardly fits the procedures of the claim.

Beside 63685 the only generator is one that is not for the spinal cord (C1827, for example, belongs to a vagus nerve
system); or a lead stands without a lead procedure; or a test lead kit stands with a generator implant and no trial.

A lead beside other surgery and none of spinal cord stimulation may be another nerve's: of it nothing is said.

Known limits: a coder's pairing, so a warning. The claim is seen as a whole, whatever the dates of its lines. A
practitioner's claim holds no devices, see FAC008.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.billers import is_surgery_center
from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule
from rules.facility.foreign_devices import may_be_foreign

_LEAD = "C1778"
_TEST_LEAD = "C1897"


@rule(
    title="Device implausible for the procedures",
    severity=Severity.WARNING,
    reason="DEVICE_MISMATCH",
    remedy="Check the device code against the implant record.",
    citations=("coding-knowledge", "cms-hcpcs-2024-07"),
    field="lines[].procedure_code",
    scope="claim",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        not policy["devices.not_spinal"].isdisjoint(codes) or not codes.isdisjoint(policy["devices.lead_procedures"])
    ),
    policy=(
        "devices.generators",
        "devices.other_generators",
        "devices.not_spinal",
        "devices.lead_procedures",
        "devices.surgery",
        "modifiers.family_surgical",
    ),
    clean=(
        a_facility_claim(),
        a_facility_claim(lines=[a_facility_line("63650"), a_facility_line("C1778", revenue_code="0278")]),
        a_claim(lines=[a_line(), a_line("C1827")]),
    ),
    flagged=(
        a_facility_claim(lines=[a_facility_line(), a_facility_line("C1827", revenue_code="0278")]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("C1778", revenue_code="0278")]),
        a_claim(
            "AETNA", practice={"ambulatory_surgery_center": True}, lines=[a_line(), a_line("L8687"), a_line("C1897")]
        ),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    not_spinal, lead_procedures = policy["devices.not_spinal"], policy["devices.lead_procedures"]
    first: dict[str, ServiceLine] = {}
    for line in claim.lines:
        first.setdefault(line.procedure_code, line)
    flags = []
    if (
        GENERATOR in first
        and not not_spinal.isdisjoint(first)
        and policy["devices.generators"].isdisjoint(first)
        and policy["devices.other_generators"].isdisjoint(first)
    ):
        flags += [
            Flag(f"{code} is the generator beside 63685, and it is not for the spinal cord", line=line)
            for code, line in first.items()
            if code in not_spinal
        ]
    for code, needs_generator in ((_LEAD, False), (_TEST_LEAD, True)):
        if code in first and (GENERATOR in first or not needs_generator):
            procedures = lead_procedures[code]
            if first.keys().isdisjoint(procedures) and not may_be_foreign(
                first.keys(), policy["modifiers.family_surgical"], policy["devices.surgery"]
            ):
                beside = " with 63685 and" if needs_generator else ""
                flags.append(Flag(f"{code}{beside} without {' or '.join(procedures)}", line=first[code]))
    if not flags or (claim.is_professional and not is_surgery_center(claim)):
        return None
    return flags
