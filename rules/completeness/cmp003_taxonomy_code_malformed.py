"""A provider taxonomy that is not ten letters or digits, the last an X.

The payer matches the taxonomy with the specialty a provider is enrolled under; one of another shape is refused before
that. Judged are the billing, rendering, service facility, referring, attending and operating provider, and the
rendering provider of a line.

Known limit: a code of the right shape may still be none of the code set, or not this provider's.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any

from rules.completeness.providers import ENTITIES, OF_LINE, ProviderFault, provider_faults
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_line
from rules.engine.rule import rule

# The category's remark codes speak of these roles only.
_REMARKS = {"billing provider": "N95", "rendering provider": "N288", OF_LINE: "N288"}
_TAXONOMY = attrgetter("taxonomy")


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
    faults = provider_faults(claim, _TAXONOMY, _fault_of(policy["identifiers.taxonomy"]))
    return None if faults is None else [_flag(each) for each in faults]


@lru_cache
def _fault_of(pattern: str) -> Callable[[str], str]:
    """A taxonomy, if it is present and has another shape; remembered, as most claims have the same few."""

    @lru_cache(maxsize=1_000)
    def fault_of(taxonomy: str) -> str:
        return taxonomy if taxonomy and not re.fullmatch(pattern, taxonomy) else ""

    return fault_of


def _flag(found: ProviderFault) -> Flag:
    return Flag(
        f"the {found.role}'s taxonomy {found.fault} is not ten letters or digits that end in X",
        line=found.line,
        field=f"{found.field}.taxonomy",
        remedy=f"Replace the {found.role}'s taxonomy with a ten-character code that ends in X.",
        rarc=_REMARKS.get(found.role, ""),
        entity=ENTITIES[found.role],
    )
