"""The providers of a claim by role, for the rules that look at an identifier of each of them.

Judged are the billing, rendering, service facility, referring, attending and operating provider, and the rendering
provider of a line.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from rules.engine.claim import Claim, Provider, ServiceLine

OF_LINE = "line's rendering provider"
ENTITIES: Mapping[str, str] = {
    "billing provider": "85",
    "rendering provider": "82",
    "service facility": "77",
    "referring provider": "DN",
    "attending provider": "71",
    "operating provider": "72",
    OF_LINE: "82",
}
"""Role → entity identifier code of the 277CA; those of the claim in the order in which they are looked at."""
NPI_REMARKS: Mapping[str, str] = {"billing provider": "N257", "rendering provider": "N290", OF_LINE: "N290"}
"""Role → remark code of a wrong NPI; the remark codes of its category speak of these roles only."""


class ProviderFault(NamedTuple):
    """What is wrong with one provider.

    Attributes:
        field: the provider as a path in the claim.
        line: the line whose provider it is; None for the claim's.
    """

    role: str
    field: str
    fault: str
    line: ServiceLine | None = None


def providers_of(claim: Claim) -> Iterator[tuple[str, str, Provider, ServiceLine | None]]:
    """Each provider with its role, its path in the claim and the line that names it, in the order of the roles."""
    for role in ENTITIES:
        if role == OF_LINE:
            continue
        field = role.replace(" ", "_")
        provider = getattr(claim, field)
        if provider is not None:
            yield role, field, provider, None
    for line in claim.lines:
        if line.rendering_provider is not None:
            yield OF_LINE, "lines[].rendering_provider", line.rendering_provider, line


def provider_faults(
    claim: Claim, identifier: Callable[[Provider], str], fault_of: Callable[[str], str]
) -> list[ProviderFault] | None:
    """What is wrong with an identifier of a claim's providers, in the order of the roles; None where nothing is.

    Args:
        claim: the claim.
        identifier: the identifier of a provider.
        fault_of: what is wrong with it; blank for nothing.
    """
    of_claim = (
        claim.billing_provider,
        claim.rendering_provider,
        claim.service_facility,
        claim.referring_provider,
        claim.attending_provider,
        claim.operating_provider,
    )
    is_faultless = True  # as on nearly every claim
    for provider in of_claim:
        if provider is not None and fault_of(identifier(provider)):
            is_faultless = False
    for line in claim.lines:
        if line.rendering_provider is not None and fault_of(identifier(line.rendering_provider)):
            is_faultless = False
    if is_faultless:
        return None
    return [
        ProviderFault(role, field, fault, line)
        for role, field, provider, line in providers_of(claim)
        if (fault := fault_of(identifier(provider)))
    ]
