"""A type of bill of impossible digits, a discharge hour on a bill for a stay that goes on, or an occurrence code twice.

These are faults of the bill's header that the payer's front end refuses before it reads a line. The type of bill is a
zero, two digits from 1 to 9, and the frequency.

Known limit: whether the type of bill suits the services is for other rules; a blank one is CMP001's finding.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_facility_claim
from rules.engine.rule import rule


@rule(
    title="Institutional bill header is invalid",
    severity=Severity.ERROR,
    reason="LACKS_INFO_GENERIC",
    remedy="Correct the header of the bill.",
    citations=("stedi-claim-edits-2026",),
    field="type_of_bill",
    scope="claim",
    claim_types=("institutional",),
    policy=("identifiers.type_of_bill", "frequency.interim"),
    clean=(
        a_facility_claim(discharge_hour="11"),
        a_facility_claim(occurrence_codes=[{"code": "11"}, {"code": "A3"}]),
    ),
    flagged=(
        a_facility_claim(type_of_bill="0031"),
        a_facility_claim(type_of_bill="0112", frequency_code="2", discharge_hour="11"),
        a_facility_claim(occurrence_codes=[{"code": "11"}, {"code": "11"}]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    bill, hour, occurrences = claim.type_of_bill, claim.discharge_hour, claim.occurrence_codes
    is_malformed = _is_malformed(bill, policy["identifiers.type_of_bill"])
    if not (is_malformed or hour or occurrences):
        return None
    flags = []
    if is_malformed:
        problem = f"the type of bill {bill} is not a zero, two digits from 1 to 9 and the frequency"
        flags.append(_flag(problem, "the type of bill", "type_of_bill", rarc="MA30", status_code="228"))
    if hour and claim.frequency in policy["frequency.interim"]:
        problem = f"a discharge hour stands on a bill of frequency {claim.frequency}, which is not the final one"
        flags.append(_flag(problem, "the discharge hour or the frequency", "discharge_hour"))
    codes = [occurrence.code for occurrence in occurrences if occurrence.code]
    flags += [
        _flag(f"occurrence code {code} stands {codes.count(code)} times", "the occurrence codes", "occurrence_codes")
        for code in sorted(set(codes))
        if codes.count(code) > 1
    ]
    return flags


@lru_cache(maxsize=1_000)
def _is_malformed(bill: str, pattern: str) -> bool:
    return bool(bill) and not re.fullmatch(pattern, bill)


def _flag(problem: str, detail: str, field: str, **codes: Any) -> Flag:
    return Flag(problem, field=field, remedy=f"Correct the bill header: {detail}.", **codes)
