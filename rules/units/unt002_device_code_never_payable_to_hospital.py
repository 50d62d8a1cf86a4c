"""An L code of an electrode or generator on a hospital outpatient claim, whose daily limit there is 0.

The unit edits (MUE) of the hospital table allow no unit of these codes: Medicare wants the C code of the device.
Commercial payers may want the L codes and are left out.

Known limit: a Medicare Advantage contract may say otherwise, so there it is a warning.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule


@rule(
    title="Device code never payable to a hospital",
    severity=Severity.ERROR,
    reason="UNITS_MUE",
    remedy="Replace the code by the C code of the device, or remove it.",
    citations=("cms-mue-2024q3", "cms-hcpcs-2024-07"),
    field="lines[].procedure_code",
    procedures=("L8680", "L8685", "L8686", "L8687", "L8688"),
    payers=("MEDICARE_FFS", "MEDICARE_ADV"),
    claim_types=("institutional",),
    policy=("units.daily_limit",),
    clean=(
        a_facility_claim(),
        a_facility_claim("AETNA", lines=[a_facility_line(), a_facility_line("L8687", revenue_code="0278")]),
        a_claim(lines=[a_line("L8687")]),
    ),
    flagged=(
        a_facility_claim(lines=[a_facility_line(), a_facility_line("L8687", revenue_code="0278")]),
        a_facility_claim("MEDICARE_ADV", lines=[a_facility_line(), a_facility_line("L8680", revenue_code="0278")]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:
    code = line.procedure_code
    row = policy["units.daily_limit"].get(code)
    if row is None or row["outpatient"] != 0 or not claim.is_outpatient_hospital:
        return None
    return Flag(
        f"{code} on a hospital outpatient claim, where the limit is 0 units a day",
        remedy=f"Replace {code} by the C code of the device, or remove it.",
    )
