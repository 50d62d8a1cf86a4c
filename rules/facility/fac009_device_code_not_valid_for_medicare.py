"""An L code of an electrode or generator on a professional claim to Original Medicare.

The HCPCS file marks these codes as not payable by Medicare; other payers may want them. On a hospital outpatient claim
UNT002 speaks.

Known limit: the file of July 2024 is held; that the codes were marked so from April 2014 on is taken from it.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule

_NOT_PAYABLE = "I"


@rule(
    title="Device code not valid for Medicare",
    severity=Severity.ERROR,
    reason="PROC_INVALID",
    remedy="Remove the code; Medicare does not accept it.",
    citations=("cms-hcpcs-2024-07",),
    field="lines[].procedure_code",
    procedures=("L8680", "L8685", "L8686", "L8687", "L8688"),
    payers=("MEDICARE_FFS",),
    claim_types=("professional",),
    effective=date(2014, 4, 1),
    policy=("devices.codes",),
    clean=(a_claim(), a_claim(lines=[a_line("L8679")]), a_claim("AETNA", lines=[a_line("L8687")])),
    flagged=(a_claim(lines=[a_line(), a_line("L8687")]), a_claim(lines=[a_line("L8680", units="16")])),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:  # noqa: ARG001
    code = line.procedure_code
    flag = Flag(
        f"{code} on a professional claim to Medicare, for which the code is not payable",
        remedy=f"Remove {code}; Medicare does not accept it.",
    )
    return flag if policy["devices.codes"][code]["coverage"] == _NOT_PAYABLE else None
