"""What a patient has had and when, by the claim under review and the earlier ones, for rules that compare dates."""

from collections.abc import Container, Iterable
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from rules.engine.claim import Claim
from rules.engine.history import History, PriorService

THIS_CLAIM: Final = ""
"""In place of an earlier claim's id."""
_NO_UNITS: Final = Decimal(0)


class DatedService(NamedTuple):
    """A line with a date, of the claim under review or of an earlier one.

    Attributes:
        claim_id: the earlier claim; blank for the claim under review.
    """

    day: date
    procedure_code: str
    place_of_service: str
    units: Decimal
    claim_id: str

    @property
    def is_of_this_claim(self) -> bool:
        return self.claim_id == THIS_CLAIM

    @property
    def where(self) -> str:
        """The claim it stands on, in words."""
        return on_claim(self.claim_id)


def on_claim(claim_id: str) -> str:
    """A claim in words that go on after a service."""
    return f"on claim {claim_id}" if claim_id != THIS_CLAIM else "on this claim"


def dated_services(claim: Claim, earlier: Iterable[PriorService], codes: Container[str]) -> list[DatedService]:
    """What a patient has had of some procedures, by the claim under review and by earlier lines."""
    found = []
    for line in claim.lines:
        day = line.service_date
        if line.procedure_code in codes and day is not None:
            place = claim.place_of_service_on(line)
            found.append(DatedService(day, line.procedure_code, place, line.units or _NO_UNITS, THIS_CLAIM))
    for prior, its_line in earlier:
        code, day = its_line.procedure_code, its_line.service_date
        if code in codes and day is not None:
            units = its_line.units or _NO_UNITS
            found.append(DatedService(day, code, its_line.place_of_service, units, prior.claim_id))
    return found


def days_between(first: date, last: date) -> str:
    """The days from one date to another, in words."""
    days = (last - first).days
    return f"{days} day" if days == 1 else f"{days} days"


def has_one_date_only(claim: Claim, history: History) -> bool:
    """Whether there is nothing to compare dates with: no earlier claim, and no line of this claim on another date."""
    if history.claims:
        return False
    first = claim.lines[0].service_date if claim.lines else None
    for line in claim.lines:  # noqa: SIM110  (a generator would cost more than the rest)
        if line.service_date != first:
            return False
    return True
