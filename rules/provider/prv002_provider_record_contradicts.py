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
from typing import Any

from rules.completeness.providers import ENTITIES, NPI_REMARKS, providers_of
from rules.engine.claim import Claim, Provider, ProviderRecord, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import CLINIC_NPI, HOSPITAL_NPI, SURGEON_NPI, a_claim
from rules.engine.rule import rule

_RENDERING = "82"


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
            f"the registry says that the {role}'s NPI {provider.npi} {contradiction}",
            line=line,
            field=f"{path}.npi",
            rarc=NPI_REMARKS.get(role, ""),
            entity=ENTITIES[role],
        )
        for role, path, provider, line in providers_of(claim)
        if provider.npi and provider.npi in records
        for contradiction in _contradictions(claim, role, provider, line, records[provider.npi])
    ] or None


def _contradictions(
    claim: Claim, role: str, provider: Provider, line: ServiceLine | None, record: ProviderRecord
) -> Iterator[str]:
    day = line.service_date if line is not None else _last_service_date(claim)
    deactivated = record.deactivated_date
    if deactivated is not None and (day is None or deactivated <= day):
        yield f"was deactivated on {deactivated}"
    if _are_different(provider.name, record.name):
        yield "belongs to another name"
    if record.entity_type == "organization" and ENTITIES[role] == _RENDERING:
        yield "is that of an organization"


def _last_service_date(claim: Claim) -> date | None:
    return max((line.service_date for line in claim.lines if line.service_date is not None), default=None)


def _are_different(one: str, other: str) -> bool:
    words, other_words = _words(one), _words(other)
    return bool(words) and bool(other_words) and not (words <= other_words or other_words <= words)


def _words(name: str) -> set[str]:
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each))
    return set(re.findall(r"\w+", plain.replace("'", "").casefold()))
