"""A waveform that the payer's policy covers for some diagnoses only, or not at all.

High frequency is known by its device code or by the practice's record, and is covered for pain after spine surgery;
burst, closed-loop and dual stimulation are called investigational. The diagnoses are those that the generator or device
lines point to.

Known limit: a professional claim shows the waveform only where the practice has supplied it.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line
from rules.engine.rule import rule

_DEVICES = ("C1822", "C1826")


@rule(
    title="Waveform outside the covered indications",
    severity=Severity.WARNING,
    reason="EXPERIMENTAL",
    remedy="Check the policy for this waveform and indication.",
    citations=("evicore-cmm-211", "verity-evicore-cmm-211"),
    field="case_facts.device_mode",
    scope="claim",
    procedures=(GENERATOR, *_DEVICES),
    concerns_claim=lambda key, policy: (
        "device_mode" in key.facts or not key.codes.isdisjoint(policy["coverage.device_waveforms"])
    ),
    policy=("coverage.waveforms", "coverage.device_waveforms"),
    clean=(
        a_claim("CIGNA", case_facts={"device_mode": "HF"}),
        a_claim("CIGNA", diagnoses=[{"code": "G90.521"}], case_facts={"device_mode": "tonic"}),
    ),
    flagged=(
        a_claim("CIGNA", case_facts={"device_mode": "burst"}),
        a_facility_claim("CIGNA", lines=[a_facility_line(), a_facility_line("C1826", revenue_code="0278")]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    waveforms, of_devices = policy["coverage.waveforms"], policy["coverage.device_waveforms"]
    used: dict[str, ServiceLine | None] = {}
    for line in claim.lines:
        waveform = of_devices.get(line.procedure_code)
        if waveform in waveforms:
            used.setdefault(waveform, line)
    if claim.case_facts.device_mode in waveforms:
        used.setdefault(claim.case_facts.device_mode, None)
    if not used:
        return None
    pointed_to = {
        diagnosis.undotted
        for line in claim.lines
        if line.procedure_code == GENERATOR or line.procedure_code in of_devices
        for diagnosis in claim.diagnoses_pointed_to(line)
    }
    return [
        _flag(waveform, line, waveforms[waveform])
        for waveform, line in used.items()
        if not waveforms[waveform] or (pointed_to and pointed_to.isdisjoint(waveforms[waveform]))
    ] or None


def _flag(waveform: str, line: ServiceLine | None, covered: Any) -> Flag:
    source = f" ({line.procedure_code})" if line else ""
    named = " or ".join(f"{code[:3]}.{code[3:]}" for code in covered)
    return Flag(
        f"waveform {waveform}{source}: "
        + (f"covered for {named}, to which nothing points" if covered else "not covered by the policy"),
        line=line,
        field="lines[].procedure_code" if line else None,
    )
