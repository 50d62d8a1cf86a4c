"""What makes two claims be about the same service, for every history rule that has to know."""

from rules.engine.claim import Claim, ServiceLine
from rules.engine.grouping import SPECIALTY_LENGTH, TWO_SURGEONS, is_assistant
from rules.engine.history import History, PriorClaim, PriorService

_ORIGINAL = "1"
_REPEATED = frozenset({"76", "77", "91"})


def standing(prior: PriorClaim) -> str:
    """When an earlier claim was received and what has become of it, in words."""
    received = "" if prior.received_date is None else f"received on {prior.received_date}, "
    return received + prior.status_in_words


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
    return claim.rendering_npi_on(line) == its_line.rendering_npi


def is_exact_duplicate(claim: Claim, line: ServiceLine, prior: PriorService) -> bool:
    """Whether an earlier line is the same in modifiers (in any order), units and charge too."""
    return (
        is_same_service(claim, line, prior)
        and set(line.modifiers) == set(prior.line.modifiers)
        and line.units == prior.line.units
        and line.charge_amount == prior.line.charge_amount
    )


def is_marked_as_repeated(line: ServiceLine) -> bool:
    """Whether a modifier says that the service was truly done again."""
    return not _REPEATED.isdisjoint(line.modifiers)


def exact_duplicate_of(claim: Claim, line: ServiceLine, history: History) -> PriorService | None:
    """The first earlier line that a line of an original claim repeats in every respect without a modifier for it."""
    if claim.frequency == _ORIGINAL and not is_marked_as_repeated(line):
        for prior in history.member_services:
            if is_exact_duplicate(claim, line, prior):
                return prior
    return None


def is_in_one_group(claim: Claim, line: ServiceLine, prior: PriorService) -> bool:
    """Whether an earlier line would stand in one group with a line, were they on one claim: see `engine.grouping`.

    Who renders nothing else is the biller. Hospital claims must be of the same type of bill too, whatever their
    frequency.
    """
    other, its_line = prior
    if line.service_date is None or line.service_date != its_line.service_date or claim.claim_type != other.claim_type:
        return False
    biller = claim.billing_provider
    if not claim.is_professional:
        return bool(biller.npi) and biller.npi == other.billing_npi and claim.type_of_bill[:3] == other.type_of_bill[:3]
    if is_assistant(line) != is_assistant(its_line):
        return False
    provider = claim.rendering_provider_on(line)
    npi = claim.rendering_npi_on(line) or biller.npi
    if npi and npi == (its_line.rendering_npi or other.billing_npi):
        return True
    return (
        bool(biller.tax_number)
        and biller.tax_number == other.tax_number
        and provider is not None
        and bool(its_line.specialty)
        and provider.taxonomy[:SPECIALTY_LENGTH] == its_line.specialty
        and not (TWO_SURGEONS in line.modifiers and TWO_SURGEONS in its_line.modifiers)
    )
