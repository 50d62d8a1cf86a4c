"""A provider on the claim whose record in the registry says something else.

A payer looks every NPI up: one that was deactivated before the service, or that belongs to somebody of another name, is
refused, and who renders the service is a person. Names are compared without case, accents, punctuation or order; one
that holds all the words of the other is the same.

Known limits: only records that were sent with the claim are looked at, and a provider without one is not judged. A
record may be older than a change of name.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from rules.engine.claim import Claim, Provider, ProviderRecord, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import CLINIC_NPI, HOSPITAL_NPI, SURGEON_NPI, a_claim
from rules.engine.rule import rule


class _Role(NamedTuple):
    """A role on the claim, with the remark code and the entity of the 277CA; the category's speak of the biller."""

    name: str
    field: str
    rarc: str
    entity: str


_RENDERING = _Role("rendering provider", "rendering_provider.npi", "N290", "82")
_RENDERING_LINE = _Role("line's rendering provider", "lines[].rendering_provider.npi", "N290", "82")
_ROLES = (
    _Role("billing provider", "billing_provider.npi", "N257", "85"),
    _RENDERING,
    _Role("service facility", "service_facility.npi", "", "77"),
    _Role("referring provider", "referring_provider.npi", "", "DN"),
    _Role("attending provider", "attending_provider.npi", "", "71"),
    _Role("operating provider", "operating_provider.npi", "", "72"),
)


@rule(
    title="Provider's registry record contradicts the claim",
    severity=Severity.WARNING,
    reason="NPI_MISMATCH",
    remedy="Correct the NPI or the name.",
    citations=("x12-carc-rarc-2024-06", "product-logic"),
    field="billing_provider.npi",
    scope="claim",
    requires="provider_records",
    clean=(
        a_claim(),
        a_claim(provider_records=[{"npi": CLINIC_NPI, "name": "EXAMPLE SPINE CLINIC LLC"}]),
        a_claim(provider_records=[{"npi": SURGEON_NPI, "name": "Surgeon", "entity_type": "person"}]),
    ),
    flagged=(
        a_claim(provider_records=[{"npi": CLINIC_NPI, "deactivated_date": "2026-01-31"}]),
        a_claim(provider_records=[{"npi": HOSPITAL_NPI, "name": "Another Hospital"}]),
        a_claim(provider_records=[{"npi": SURGEON_NPI, "entity_type": "organization"}]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:  # noqa: ARG001
    records = {record.npi: record for record in claim.provider_records}
    return [
        Flag(
            f"the registry says that the {role.name}'s NPI {provider.npi} {contradiction}",
            line=line,
            field=role.field,
            rarc=role.rarc,
            entity=role.entity,
        )
        for role, provider, line in _providers(claim)
        if provider.npi in records
        for contradiction in _contradictions(claim, role, provider, line, records[provider.npi])
    ] or None


def _providers(claim: Claim) -> Iterator[tuple[_Role, Provider, ServiceLine | None]]:
    of_claim = (
        claim.billing_provider,
        claim.rendering_provider,
        claim.service_facility,
        claim.referring_provider,
        claim.attending_provider,
        claim.operating_provider,
    )
    for role, provider in zip(_ROLES, of_claim, strict=True):
        if provider is not None and provider.npi:
            yield role, provider, None
    for line in claim.lines:
        if line.rendering_provider is not None and line.rendering_provider.npi:
            yield _RENDERING_LINE, line.rendering_provider, line


def _contradictions(
    claim: Claim, role: _Role, provider: Provider, line: ServiceLine | None, record: ProviderRecord
) -> Iterator[str]:
    day = line.service_date if line is not None else _last_service_date(claim)
    deactivated = record.deactivated_date
    if deactivated is not None and (day is None or deactivated <= day):
        yield f"was deactivated on {deactivated}"
    if _are_different(provider.name, record.name):
        yield "belongs to another name"
    if record.entity_type == "organization" and role in (_RENDERING, _RENDERING_LINE):
        yield "is that of an organization"


def _last_service_date(claim: Claim) -> date | None:
    return max((line.service_date for line in claim.lines if line.service_date is not None), default=None)


def _are_different(one: str, other: str) -> bool:
    words, other_words = _words(one), _words(other)
    return bool(words) and bool(other_words) and not (words <= other_words or other_words <= words)


def _words(name: str) -> set[str]:
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    return set(re.findall(r"\w+", plain.replace("'", "").casefold()))
