"""An NPI that is not ten digits beginning with 1 or 2, or whose check digit does not fit the other nine.

The last digit is reckoned from the others, so a mistyped or swapped digit shows without any look-up. Judged are the
billing, rendering, service facility, referring, attending and operating provider, and the rendering provider of a line.

Known limit: a number that fits may still be nobody's, or somebody else's.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any

from rules.completeness.providers import ENTITIES, NPI_REMARKS, ProviderFault, provider_faults
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import CLINIC_NPI, HOSPITAL_NPI, a_claim, a_facility_claim
from rules.engine.rule import rule

_NUMBER = attrgetter("npi")
_WRONG_SHAPE = "is not ten digits that begin with 1 or 2"


@rule(
    title="NPI check digit is wrong",
    severity=Severity.ERROR,
    reason="NPI_FORMAT",
    remedy="Correct the NPI; its check digit does not fit.",
    citations=("cms-npi-check-digit", "x12-carc-rarc-2024-06"),
    field="billing_provider.npi",
    scope="claim",
    on_void=True,
    policy=("identifiers.npi",),
    clean=(a_claim(), a_facility_claim(operating_provider={"npi": CLINIC_NPI})),
    flagged=(
        a_claim(rendering_provider={"npi": "1234567890"}),
        a_facility_claim(attending_provider={"npi": HOSPITAL_NPI[:-1]}),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    shape = policy["identifiers.npi"]
    faults = provider_faults(claim, _NUMBER, _fault_of(shape["pattern"], shape["prefix"]))
    return None if faults is None else [_flag(each) for each in faults]


@lru_cache
def _fault_of(pattern: str, prefix: str) -> Callable[[str], str]:
    """What is wrong with a number; blank when nothing is, or there is none. Remembered, as most return."""
    has_shape = re.compile(pattern).fullmatch

    @lru_cache(maxsize=10_000)
    def fault_of(npi: str) -> str:
        if not npi:
            return ""
        if not has_shape(npi):
            return _WRONG_SHAPE
        # The Luhn sum: from the right every second digit counts double, and the digits of a product are added.
        digits = [int(digit) for digit in reversed(prefix + npi)]
        total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
        return f"{npi} has a check digit that does not fit" if total % 10 else ""

    return fault_of


def _flag(found: ProviderFault) -> Flag:
    why = "." if found.fault == _WRONG_SHAPE else "; its check digit does not fit."
    return Flag(
        f"the {found.role}'s NPI {found.fault}",
        line=found.line,
        field=f"{found.field}.npi",
        remedy=f"Correct the {found.role}'s NPI" + why,
        rarc=NPI_REMARKS.get(found.role, ""),
        entity=ENTITIES[found.role],
    )
