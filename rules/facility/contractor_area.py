"""The Medicare contractor area of a claim: the one the practice has stated, else what the states on the claim imply."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rules.engine.claim import Claim


class ContractorArea(NamedTuple):
    """An area with where it comes from; a finding that rests on a derived one is at most a warning."""

    key: str
    is_derived: bool


def contractor_area(claim: Claim, areas_by_state: Mapping[str, Mapping[str, Any]]) -> ContractorArea | None:
    """The area, or None where neither the practice nor the states of facility and billing provider settle it."""
    if claim.practice.contractor_area:
        return ContractorArea(claim.practice.contractor_area, is_derived=False)
    found = set()
    for provider in (claim.service_facility, claim.billing_provider):
        if provider is not None and provider.state:
            row = areas_by_state.get(provider.state)
            found.add(row["area"] if row is not None else "")
    area = found.pop() if len(found) == 1 else ""
    return ContractorArea(area, is_derived=True) if area else None
