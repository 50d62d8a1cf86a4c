"""A device credit in value code FD without condition code 49, 50 or 53, on a Medicare hospital outpatient claim.

Medicare takes the amount of the credit from value code FD and its reason from the condition code: replaced early in its
life, recalled, or first placed in a trial or as a free sample. One without the other is incomplete.

Known limit: whether there was a credit at all, and how large, is not known from the claim.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule


@rule(
    title="Device credit without its condition code",
    severity=Severity.ERROR,
    reason="DEVICE_CREDIT",
    remedy="Add condition code 49, 50 or 53.",
    citations=("medlearn-device-credit-2017", "insideangle-device-credit-2018"),
    field="condition_codes",
    scope="claim",
    payers=("MEDICARE_FFS",),
    claim_types=("institutional",),
    effective=date(2014, 1, 1),
    policy=("devices.credit",),
    clean=(
        a_facility_claim(),
        a_facility_claim(value_codes=[{"code": "FD", "amount": "9000.00"}], condition_codes=["50"]),
        a_claim(),
    ),
    flagged=(a_facility_claim(value_codes=[{"code": "FD", "amount": "9000.00"}]),),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> str | None:
    if not claim.value_codes:
        return None
    credit = policy["devices.credit"]
    if (
        all(each.code != credit["value_code"] for each in claim.value_codes)
        or not claim.is_outpatient_hospital
        or any(code in credit["conditions"] for code in claim.condition_codes)
    ):
        return None
    *others, last = credit["conditions"]
    return f"value code {credit['value_code']} without condition code {', '.join(others)} or {last}"
