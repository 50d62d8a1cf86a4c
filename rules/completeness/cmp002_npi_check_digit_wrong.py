"""An NPI that is not ten digits beginning with 1 or 2, or whose check digit does not fit the other nine.

The last digit is reckoned from the others, so a mistyped or swapped digit shows without any look-up. Judged are the
billing, rendering, service facility, referring, attending and operating provider, and the rendering provider of a line.

Known limit: a number that fits may still be nobody's, or somebody else's.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import CLINIC_NPI, HOSPITAL_NPI, a_claim, a_facility_claim
from rules.engine.rule import rule

# Role → field, remark code and entity of the 277CA; the category's remark codes speak of the first two roles only.
_ROLES = {
    "billing provider": ("billing_provider.npi", "N257", "85"),
    "rendering provider": ("rendering_provider.npi", "N290", "82"),
    "service facility": ("service_facility.npi", "", "77"),
    "referring provider": ("referring_provider.npi", "", "DN"),
    "attending provider": ("attending_provider.npi", "", "71"),
    "operating provider": ("operating_provider.npi", "", "72"),
    "line's rendering provider": ("lines[].rendering_provider.npi", "N290", "82"),
}


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
    fault_of = _fault_of(shape["pattern"], shape["prefix"])
    fields = claim.__dict__  # every claim passes here, and so many fields are read fastest this way
    if (
        fault_of(fields["billing_provider"].npi)
        or ((other := fields["rendering_provider"]) and fault_of(other.npi))
        or ((other := fields["service_facility"]) and fault_of(other.npi))
        or ((other := fields["referring_provider"]) and fault_of(other.npi))
        or ((other := fields["attending_provider"]) and fault_of(other.npi))
        or ((other := fields["operating_provider"]) and fault_of(other.npi))
    ):
        return _flags(claim, fault_of)
    for line in fields["lines"]:
        if line.rendering_provider and fault_of(line.rendering_provider.npi):
            return _flags(claim, fault_of)
    return None


def _flags(claim: Claim, fault_of: Callable[[str], str]) -> list[Flag]:
    of_claim = (
        claim.billing_provider,
        claim.rendering_provider,
        claim.service_facility,
        claim.referring_provider,
        claim.attending_provider,
        claim.operating_provider,
    )
    flags = [
        _flag(role, fault)
        for role, provider in zip(_ROLES, of_claim, strict=False)
        if provider is not None and (fault := fault_of(provider.npi))
    ]
    flags += [
        _flag("line's rendering provider", fault, line)
        for line in claim.lines
        if line.rendering_provider is not None and (fault := fault_of(line.rendering_provider.npi))
    ]
    return flags


@lru_cache
def _fault_of(pattern: str, prefix: str) -> Callable[[str], str]:
    """What is wrong with a number; blank when nothing is, or there is none. Remembered, as most come again."""
    has_shape = re.compile(pattern).fullmatch

    @lru_cache(maxsize=10_000)
    def fault_of(npi: str) -> str:
        if not npi:
            return ""
        if not has_shape(npi):
            return "is not ten digits that begin with 1 or 2"
        # The Luhn sum: from the right every second digit counts double, and the digits of a product are added.
        digits = [int(digit) for digit in reversed(prefix + npi)]
        total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
        return f"{npi} has a check digit that does not fit" if total % 10 else ""

    return fault_of


def _flag(role: str, fault: str, line: ServiceLine | None = None) -> Flag:
    field, rarc, entity = _ROLES[role]
    remedy = f"Correct the {role}'s NPI; its check digit does not fit."
    return Flag(f"the {role}'s NPI {fault}", line=line, field=field, remedy=remedy, rarc=rarc, entity=entity)
