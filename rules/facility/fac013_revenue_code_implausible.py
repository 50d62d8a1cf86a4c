"""A generator implant or its device on a revenue code that hardly holds it.

The surgery belongs to the operating room, surgery center, clinic or treatment room, and the generator and leads to
0278, or 0624 for a device of a study. 0275 and 0276 are for other implants and never for a neurostimulator.

Known limits: a coder's knowledge, so a warning. 0624 is taken as it stands, whether or not the claim names a study. A
blank revenue code is the matter of CMP001.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line
from rules.engine.rule import rule

_DEVICE_SETS = ("devices.generators", "devices.other_generators", "devices.implanted_leads")


@rule(
    title="Revenue code implausible for the procedure",
    severity=Severity.WARNING,
    reason="REV_PROC_MISMATCH",
    remedy="Move the code to the fitting revenue code.",
    citations=("coding-knowledge",),
    field="lines[].revenue_code",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        GENERATOR in codes or any(_is_device(code, policy) for code in codes)
    ),
    claim_types=("institutional",),
    policy=("revenue_codes.codes", *_DEVICE_SETS),
    clean=(a_facility_claim(), a_claim()),
    flagged=(
        a_facility_claim(lines=[a_facility_line(revenue_code="0250")]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("C1767", revenue_code="0275")]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:  # noqa: ARG001
    revenue_code = line.revenue_code
    row = policy["revenue_codes.codes"].get(revenue_code)
    use = row["use"] if row is not None else ""
    code = line.procedure_code
    wanted = "surgery" if code == GENERATOR else "device"
    if use == wanted or not revenue_code or not (code == GENERATOR or _is_device(code, policy)):
        return None
    named_wrong = f", which is for {row['label']} and wrong for a neurostimulator" if use == "other device" else ""
    return Flag(
        f"{code} on revenue code {revenue_code}{named_wrong}",
        remedy=f"Move {code} to the fitting revenue code.",
    )


def _is_device(code: str, policy: Mapping[str, Any]) -> bool:
    return any(code in policy[name] for name in _DEVICE_SETS)
