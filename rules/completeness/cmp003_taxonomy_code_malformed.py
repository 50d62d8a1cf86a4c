"""A provider taxonomy that is not ten letters or digits, the last an X.

The payer matches the taxonomy with the specialty a provider is enrolled under; one of another shape is refused before
that. Judged are the billing, rendering, service facility, referring, attending and operating provider, and the
rendering provider of a line.

Known limit: a code of the right shape may still be none of the code set, or not this provider's.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_line
from rules.engine.rule import rule

# Role → field, remark code and entity of the 277CA; the category's remark codes speak of the first two roles only.
_ROLES = {
    "billing provider": ("billing_provider.taxonomy", "N95", "85"),
    "rendering provider": ("rendering_provider.taxonomy", "N288", "82"),
    "service facility": ("service_facility.taxonomy", "", "77"),
    "referring provider": ("referring_provider.taxonomy", "", "DN"),
    "attending provider": ("attending_provider.taxonomy", "", "71"),
    "operating provider": ("operating_provider.taxonomy", "", "72"),
    "line's rendering provider": ("lines[].rendering_provider.taxonomy", "N288", "82"),
}


@rule(
    title="Taxonomy code is malformed",
    severity=Severity.ERROR,
    reason="PROVIDER_TAXONOMY",
    remedy="Replace the taxonomy with a ten-character code that ends in X.",
    citations=("stedi-claim-edits-2026", "nucc-taxonomy"),
    field="billing_provider.taxonomy",
    scope="claim",
    policy=("identifiers.taxonomy",),
    clean=(a_claim(), a_facility_claim(attending_provider={"npi": "1992345672", "taxonomy": "208VP0014X"})),
    flagged=(
        a_claim(rendering_provider={"npi": "1992345672", "taxonomy": "208VP0014"}),
        a_claim(lines=[a_line(rendering_provider={"npi": "1992345672", "taxonomy": "208VP00140"})]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    pattern = policy["identifiers.taxonomy"]
    fields = claim.__dict__  # every claim passes here, and so many fields are read fastest this way
    if (
        ((taxonomy := fields["billing_provider"].taxonomy) and _is_wrong(taxonomy, pattern))
        or ((other := fields["rendering_provider"]) and (taxonomy := other.taxonomy) and _is_wrong(taxonomy, pattern))
        or ((other := fields["service_facility"]) and (taxonomy := other.taxonomy) and _is_wrong(taxonomy, pattern))
        or ((other := fields["referring_provider"]) and (taxonomy := other.taxonomy) and _is_wrong(taxonomy, pattern))
        or ((other := fields["attending_provider"]) and (taxonomy := other.taxonomy) and _is_wrong(taxonomy, pattern))
        or ((other := fields["operating_provider"]) and (taxonomy := other.taxonomy) and _is_wrong(taxonomy, pattern))
    ):
        return _flags(claim, pattern)
    for line in fields["lines"]:
        if line.rendering_provider and _is_wrong(line.rendering_provider.taxonomy, pattern):
            return _flags(claim, pattern)
    return None


@lru_cache(maxsize=1_000)
def _is_wrong(taxonomy: str, pattern: str) -> bool:
    """Whether a taxonomy is present and has another shape; remembered, as few of them stand on most claims."""
    return bool(taxonomy) and not re.fullmatch(pattern, taxonomy)


def _flags(claim: Claim, pattern: str) -> list[Flag]:
    of_claim = (
        claim.billing_provider,
        claim.rendering_provider,
        claim.service_facility,
        claim.referring_provider,
        claim.attending_provider,
        claim.operating_provider,
    )
    found = [
        _flag(role, provider.taxonomy)
        for role, provider in zip(_ROLES, of_claim, strict=False)
        if provider is not None and _is_wrong(provider.taxonomy, pattern)
    ]
    found += [
        _flag("line's rendering provider", line.rendering_provider.taxonomy, line)
        for line in claim.lines
        if line.rendering_provider is not None and _is_wrong(line.rendering_provider.taxonomy, pattern)
    ]
    return found


def _flag(role: str, taxonomy: str, line: ServiceLine | None = None) -> Flag:
    field, rarc, entity = _ROLES[role]
    return Flag(
        f"the {role}'s taxonomy {taxonomy} is not ten letters or digits that end in X",
        line=line,
        field=field,
        remedy=f"Replace the {role}'s taxonomy with a ten-character code that ends in X.",
        rarc=rarc,
        entity=entity,
    )
