"""What makes two claims be about the same service, for every history rule that has to know."""

from collections.abc import Container
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from rules.engine.claim import Claim, ServiceLine
from rules.engine.history import Counting, History, PriorClaim, PriorService

_NO_UNITS = Decimal(0)


class DatedService(NamedTuple):
    """A line with a date, of the claim under review or of an earlier one.

    Attributes:
        where: the claim it stands on, in words: on claim 17.
        is_of_this_claim: whether that is the claim under review.
    """

    day: date
    procedure_code: str
    place_of_service: str
    units: Decimal
    where: str
    is_of_this_claim: bool


def dated_services(claim: Claim, history: History, counting: Counting, codes: Container[str]) -> list[DatedService]:
    """What a patient has had of some procedures, by the claim under review and the earlier ones that count."""
    found = [
        DatedService(
            line.service_date,
            line.procedure_code,
            claim.place_of_service_on(line),
            line.units or _NO_UNITS,
            "on this claim",
            is_of_this_claim=True,
        )
        for line in claim.lines
        if line.procedure_code in codes and line.service_date is not None
    ]
    for prior, line in history.services(counting):
        if line.procedure_code in codes and line.service_date is not None:
            where = f"on claim {prior.claim_id}"
            units, place = line.units or _NO_UNITS, line.place_of_service
            found.append(
                DatedService(line.service_date, line.procedure_code, place, units, where, is_of_this_claim=False)
            )
    return found


def has_one_date_only(claim: Claim, history: History) -> bool:
    """Whether there is nothing to compare dates with: no earlier claim, and no line of this claim on another date."""
    if history.claims:
        return False
    first = claim.lines[0].service_date if claim.lines else None
    for line in claim.lines:  # noqa: SIM110  (a generator would cost more than the rest)
        if line.service_date != first:
            return False
    return True


def is_same_biller(claim: Claim, prior: PriorClaim) -> bool:
    """Whether both come from one billing provider: the same NPI, or the same tax number."""
    provider = claim.billing_provider
    return bool(
        (provider.npi and provider.npi == prior.billing_npi)
        or (provider.tax_number and provider.tax_number == prior.tax_number)
    )


def is_same_service(claim: Claim, line: ServiceLine, prior: PriorService) -> bool:
    """Whether an earlier line has the biller, the date and the code of a line, and on professional claims who did it.

    Hospital claims must be of the same type of bill too, whatever their frequency.
    """
    other, its_line = prior
    if (
        line.procedure_code != its_line.procedure_code
        or line.service_date is None
        or line.service_date != its_line.service_date
        or claim.claim_type != other.claim_type
        or not is_same_biller(claim, other)
    ):
        return False
    if not claim.is_professional:
        return claim.type_of_bill[:3] == other.type_of_bill[:3]
    provider = claim.rendering_provider_on(line)
    return (provider.npi if provider is not None else "") == its_line.rendering_npi


def is_exact_duplicate(claim: Claim, line: ServiceLine, prior: PriorService) -> bool:
    """Whether an earlier line is the same in modifiers (in any order), units and charge too."""
    return (
        is_same_service(claim, line, prior)
        and set(line.modifiers) == set(prior.line.modifiers)
        and line.units == prior.line.units
        and line.charge_amount == prior.line.charge_amount
    )
