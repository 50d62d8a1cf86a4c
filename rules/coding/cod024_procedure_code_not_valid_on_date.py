"""A procedure or supply code that was not valid on the date of service.

A line with a code that did not exist yet, or does no longer, is denied or sent back before anything else is looked at.

Known limits: unless a code set is loaded for the date, only codes that began lately are known, with their first dates.
A loaded set replaces them.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule


def _may_be_invalid(code: str, policy: Mapping[str, Any]) -> bool:
    loaded = policy["code_sets.procedures"]
    return code in policy["fee_schedule.first_dates"] if loaded is None else bool(code) and code not in loaded


@rule(
    title="Procedure code not valid on the date",
    severity=Severity.ERROR,
    reason="PROC_INVALID",
    remedy="Replace the code by one valid on the date of service.",
    citations=("cms-pprrvu-2022-2024", "cms-hcpcs-2024-07", "x12-carc-rarc-2024-06"),
    field="lines[].procedure_code",
    concerns=lambda codes, modifiers, policy: any(_may_be_invalid(code, policy) for code in codes),  # noqa: ARG005
    policy=("code_sets.procedures", "fee_schedule.first_dates"),
    clean=(a_claim(), a_claim(lines=[a_line("0784T")])),
    flagged=(
        a_claim(lines=[a_line("0784T", service_date="2023-12-31")]),
        a_facility_claim(lines=[a_facility_line("C1826", revenue_code="0278", service_date="2022-12-31")]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:
    code = line.procedure_code
    if not _may_be_invalid(code, policy):
        return None
    day = line.service_date or claim.first_service_date
    message = f"{code} is not in the code set of {day or 'the date of service'}"
    if policy["code_sets.procedures"] is None:
        first_date = policy["fee_schedule.first_dates"][code]
        if day is None or day >= first_date:
            return None
        message = f"{code} on {day}; it is valid from {first_date}"
    return Flag(message, remedy=f"Replace {code} by a code valid on {day or 'the date of service'}.")
