"""Who bills: on a professional claim the practitioner, or an ambulatory surgery center for its own services."""

from typing import Final

from rules.engine.claim import Claim, ServiceLine
from rules.engine.history import PriorClaim

_TAXONOMY: Final = "261QA1903X"
_PLACE_OF_SERVICE: Final = "24"
_SPECIALTY_LENGTH: Final = 4


def is_surgery_center(claim: Claim) -> bool:
    """Whether a professional claim is known to be an ambulatory surgery center's own."""
    stated = claim.practice.ambulatory_surgery_center
    return claim.billing_provider.taxonomy == _TAXONOMY if stated is None else stated


def was_surgery_center(prior: PriorClaim) -> bool:
    """Whether an earlier professional claim is known to be an ambulatory surgery center's own."""
    return prior.is_professional and prior.billing_taxonomy == _TAXONOMY


def may_be_surgery_center(claim: Claim, place_of_service: str) -> bool:
    """Whether nothing says who bills for a place of service that is a surgery center."""
    return (
        claim.practice.ambulatory_surgery_center is None
        and not claim.billing_provider.taxonomy
        and place_of_service == _PLACE_OF_SERVICE
    )


def looks_like_surgery_center(claim: Claim, line: ServiceLine) -> bool:
    """Whether nothing says who bills, and the line is as a surgery center's: in its place of service, by nobody."""
    return (
        may_be_surgery_center(claim, claim.place_of_service_on(line))
        and claim.billing_provider.entity_type != "person"
        and claim.rendering_provider_on(line) is None
    )


def is_facility(claim: Claim) -> bool:
    """Whether a hospital or an ambulatory surgery center bills."""
    return not claim.is_professional or is_surgery_center(claim)


def is_same_provider(claim: Claim, one: ServiceLine, two: ServiceLine) -> bool:
    """Whether two lines of a professional claim are of one practitioner, or of two of the group in one specialty."""
    first, second = claim.rendering_provider_on(one), claim.rendering_provider_on(two)
    if first is None or second is None:
        return first is second
    if first.npi == second.npi:
        return True
    specialty = first.taxonomy[:_SPECIALTY_LENGTH]
    return bool(specialty) and specialty == second.taxonomy[:_SPECIALTY_LENGTH]
