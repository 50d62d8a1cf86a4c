"""A device credit reported in a way that Medicare no longer or never takes from this biller.

Since 2014 a hospital reports a credit in value code FD; FB and FC are for surgery centers, so on a hospital's or
practitioner's line they are out of place. Condition code 49 or 50 without FD asks whether there was a credit.

Where a professional claim does not say who bills, place of service 24 and no practitioner count as a surgery center.

Known limits: the replacement of FB and FC by FD is known second hand. Not every early replacement or recall comes with
a credit of half the device's cost, below which none is reported.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.coding.billers import is_surgery_center, looks_like_surgery_center
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule

# The category's own remark is that of a missing condition code.
_VALUE_CODE_MISSING = "M49"


@rule(
    title="Device credit reported in an odd way",
    severity=Severity.WARNING,
    reason="DEVICE_CREDIT",
    remedy="Hospitals report the credit in value code FD; FB and FC are for ASCs.",
    citations=("insideangle-device-credit-2018", "palmetto-modifier-fb"),
    field="lines[].modifiers",
    scope="claim",
    payers=("MEDICARE_FFS",),
    effective=date(2014, 1, 1),
    policy=("devices.credit", "devices.credit_modifiers"),
    clean=(
        a_facility_claim(),
        a_facility_claim(value_codes=[{"code": "FD", "amount": "9000.00"}], condition_codes=["49"]),
        a_claim(practice={"ambulatory_surgery_center": True}, lines=[a_line(modifiers=["FB"])]),
    ),
    flagged=(
        a_facility_claim(lines=[a_facility_line(modifiers=["FB"]), a_facility_line("C1767", revenue_code="0278")]),
        a_facility_claim(condition_codes=["50"]),
        a_claim(lines=[a_line(modifiers=["FC"])]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    flags = []
    credit_modifiers = policy["devices.credit_modifiers"]
    for line in claim.lines:
        if (
            line.modifiers
            and not credit_modifiers.isdisjoint(line.modifiers)
            and not looks_like_surgery_center(claim, line)
        ):
            found = tuple(each for each in line.modifiers if each in credit_modifiers)
            message = f"{' and '.join(found)} on {line.procedure_code or 'a line without a procedure code'}"
            flags.append(Flag(f"{message}: only a surgery center reports so", line=line, modifiers=found))
    if claim.is_professional:
        if flags and is_surgery_center(claim):
            return None
        return flags or None
    if claim.condition_codes:
        credit = policy["devices.credit"]
        found = tuple(code for code in claim.condition_codes if code in credit["suggest_credit"])
        if found and all(each.code != credit["value_code"] for each in claim.value_codes):
            message = f"condition code {' and '.join(found)} without value code {credit['value_code']}"
            flags.append(Flag(message, field="condition_codes", rarc=_VALUE_CODE_MISSING))
    return flags or None
