"""No rendering provider, service facility, operating or attending provider where the kind of claim names one.

A group's professional claim says who of the group rendered the service, and a service in a hospital or an ambulatory
surgery center where that was; an institutional claim says who was responsible for the patient and who operated. Payers
send a claim without them back, or pay it under the wrong contract. What a line names counts for that line.

Known limits: an ambulatory surgery center's own professional claim is not judged, as it is itself the site and nobody
renders for it; a billing provider of unknown kind is not taken for an organization.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.billers import is_surgery_center
from rules.engine.claim import Claim, Provider
from rules.engine.decision import Flag, Severity
from rules.engine.examples import SURGEON_NPI, a_claim, a_facility_claim, a_line
from rules.engine.rule import rule


@rule(
    title="Provider or site of the service is missing",
    severity=Severity.WARNING,
    reason="LACKS_INFO_GENERIC",
    remedy="Add the missing provider or service facility.",
    citations=("coding-knowledge", "edi-837-guides"),
    field="rendering_provider.npi",
    scope="claim",
    policy=("providers.facility_places", "modifiers.family_surgical"),
    clean=(
        a_claim(),
        a_claim(rendering_provider=None, lines=[a_line(rendering_provider={"npi": SURGEON_NPI})]),
        a_facility_claim(),
    ),
    flagged=(a_claim(rendering_provider=None), a_claim(service_facility=None), a_facility_claim(operating_provider={})),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    if claim.is_professional:
        rendering, site = claim.rendering_provider, claim.service_facility
        if rendering is not None and rendering.npi and _is_site(site):
            return None
        if is_surgery_center(claim):
            return None
        return [*_rendering_missing(claim), *_site_missing(claim, policy["providers.facility_places"])]
    attending, operating = claim.attending_provider, claim.operating_provider
    if attending is not None and attending.npi and operating is not None and operating.npi:
        return None
    flags = []
    if not _is_named(attending):
        flags.append(_flag("attending provider", "stands on the claim", "attending_provider.npi", "71"))
    if not _is_named(operating):
        surgery = policy["modifiers.family_surgical"]
        codes = {
            line.procedure_code
            for line in claim.lines
            if line.procedure_code in surgery and not _is_named(line.operating_provider)
        }
        if codes:
            said = f"is named for {', '.join(sorted(codes))}"
            flags.append(_flag("operating provider", said, "operating_provider.npi", "72"))
    return flags


def _rendering_missing(claim: Claim) -> list[Flag]:
    if claim.billing_provider.entity_type != "organization":
        return []
    if claim.rendering_provider is not None and claim.rendering_provider.npi:
        return []
    lacking = [line for line in claim.lines if line.rendering_provider is None or not line.rendering_provider.npi]
    role = "rendering provider"
    if len(lacking) == len(claim.lines):
        said = "with an NPI stands on the claim, and the billing provider is an organization"
        return [_flag(role, said, "rendering_provider.npi", "82", rarc="N290")]
    said = "with an NPI stands on the claim or the line, and the billing provider is an organization"
    return [_flag(role, said, "lines[].rendering_provider.npi", "82", rarc="N290", line=line) for line in lacking]


def _site_missing(claim: Claim, facility_places: frozenset[str]) -> list[Flag]:
    site = claim.service_facility
    if _is_site(site):
        return []
    places = {claim.place_of_service_on(line) for line in claim.lines if not _is_site(line.service_facility)}
    places &= facility_places
    if not places:
        return []
    missing, field = "with name and NPI", "service_facility.npi"
    if site is not None and site.npi:
        missing, field = "with a name", "service_facility.name"
    elif site is not None and site.name:
        missing = "with an NPI"
    said = f"{missing} stands on the claim, and the place of service is {', '.join(sorted(places))}"
    return [_flag("service facility", said, field, "77")]


def _is_named(provider: Provider | None) -> bool:
    return provider is not None and bool(provider.npi or provider.name)


def _is_site(facility: Provider | None) -> bool:
    return facility is not None and bool(facility.npi and facility.name)


def _flag(role: str, said: str, field: str, entity: str, **more: Any) -> Flag:
    return Flag(f"no {role} {said}", field=field, remedy=f"Add the missing {role}.", entity=entity, **more)
