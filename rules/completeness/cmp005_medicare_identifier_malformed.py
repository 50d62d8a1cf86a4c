"""A member number that is no Medicare beneficiary identifier (MBI), on a claim to Original Medicare.

An MBI has eleven characters in a fixed order of letters and digits, without S, L, O, I, B and Z. The dashes printed on
the card are no part of it. Plans, Medicare Advantage included, give out numbers of their own, of no common shape.

Known limits: whether the number is this patient's, and the one valid on the date of service, cannot be seen from it; a
blank number is CMP001's finding.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule


@rule(
    title="Medicare number is malformed",
    severity=Severity.ERROR,
    reason="SUBSCRIBER_ID",
    remedy="Enter the 11-character Medicare number from the card, without dashes.",
    citations=("cms-mbi-format",),
    field="subscriber.member_number",
    scope="claim",
    payers={"MEDICARE_FFS"},
    effective=date(2020, 1, 1),
    on_void=True,
    policy=("identifiers.mbi",),
    clean=(a_claim(), a_claim("HUMANA_MA", subscriber={"member_number": "H12345678"})),
    flagged=(
        a_claim(subscriber={"member_number": "1EG4-TE5-MK73"}),
        a_facility_claim(subscriber={"member_number": "123456789A"}),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> str | None:
    number = claim.subscriber.member_number
    if not number or _shape(policy["identifiers.mbi"])(number):
        return None
    if "-" in number:
        return "the member number has dashes; a Medicare number is written without them"
    return f"the member number has not the shape of a Medicare number (its length: {len(number)} characters)"


@cache
def _shape(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(pattern).fullmatch
