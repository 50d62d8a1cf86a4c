"""Units of a line with a code that are zero or negative, or not whole for surgery, its programming or a device.

No code is billed in less than nothing. Operations and devices are counted, so a fraction there is a slip, often an
amount in the wrong column. Drugs and time may have a fraction: that only surgery and devices go by whole units is
confirmed, so of other codes a fraction is not judged. A revenue line without a code may count what it likes.

Known limit: blank units are CMP001's finding, on every line.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule

_ONE = Decimal(1)


@rule(
    title="Units are not a positive whole number",
    severity=Severity.ERROR,
    reason="UNITS_INVALID",
    remedy="Enter whole units of at least 1 on the line.",
    citations=("x12-carc-rarc-2024-06",),
    field="lines[].units",
    concerns=lambda codes, modifiers, policy: codes != {""},  # noqa: ARG005
    policy=("units.whole_unit_codes",),
    clean=(
        a_claim(lines=[a_line(units="2")]),
        a_facility_claim(lines=[a_facility_line("", units="0.5"), a_facility_line("J2704", units="0.5")]),
    ),
    flagged=(a_claim(lines=[a_line(units="0")]), a_facility_claim(lines=[a_facility_line("C1767", units="1.5")])),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> str | None:  # noqa: ARG001
    units = line.units
    if units == _ONE or units is None or not line.procedure_code:
        return None
    if units <= 0:
        return f"the line has {units:f} units"
    if units % 1 and re.fullmatch(policy["units.whole_unit_codes"], line.procedure_code):
        return f"the line has {units:f} units, which is not a whole number"
    return None
