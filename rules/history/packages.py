"""The surgical packages that earlier operations opened, for every rule that has to know what falls into one.

A package is the day of the operation with the 10 or 90 days after it, and before major surgery (90 days) one day more.
An operation with 58 or 79 opens one of its own; with 78 it goes on with the one it returns to. A package is that of the
surgeon, and of everybody in his group and specialty: the same tax number, and the same first four characters of the
taxonomy. Assistants and surgery centers have none.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from rules.coding.billers import was_surgery_center
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import NotEvaluated
from rules.engine.grouping import ASSISTANT_MODIFIERS, SPECIALTY_LENGTH
from rules.engine.history import History, PriorClaim, PriorService
from rules.history.dated import THIS_CLAIM, on_claim

STAGES: Final = frozenset({"58", "78", "79"})
"""Modifiers that say why there is another operation within a package."""
IMPLANTS: Final = ("63685", "63650", "63655")
"""Operations that put a stimulator or a lead in."""
LONGEST: Final = 90
LOOKBACK: Final = LONGEST
_RETURN: Final = "78"
_DAYS_AFTER: Final[Mapping[str, int]] = {"000": 0, "010": 10, "090": LONGEST}

DaysAfter = Callable[[str], int | None]
"""Procedure code → days after the operation that are in its package; None for a code that opens none here."""


class Practitioner(NamedTuple):
    """Who rendered a line of the group; the biller, where no other is named."""

    npi: str
    specialty: str

    def shares_packages_with(self, other: "Practitioner") -> bool | None:
        """Whether both are one, or of one specialty; None where a specialty is not known."""
        if self.npi and self.npi == other.npi:
            return True
        return self.specialty == other.specialty if self.specialty and other.specialty else None


class Package(NamedTuple):
    """What an operation opened.

    Attributes:
        code, day: of the operation.
        days_after: how many days after it are in the package.
        claim_id: the earlier claim with it; blank for the claim under review.
    """

    code: str
    day: date
    days_after: int
    practitioner: Practitioner
    claim_id: str

    def is_open_on(self, day: date) -> bool:
        """Whether the day is one of those after the operation."""
        return 0 < (day - self.day).days <= self.days_after

    def begins_after(self, day: date) -> bool:
        """Whether the day is the one before major surgery."""
        return self.days_after == LONGEST and (self.day - day).days == 1

    @property
    def is_of_this_claim(self) -> bool:
        return self.claim_id == THIS_CLAIM

    def __str__(self) -> str:
        return f"{self.code} of {self.day} {on_claim(self.claim_id)} (package of {self.days_after} days)"


def days_after(code: str, indicators: Mapping[Any, Mapping[str, Any]]) -> int | None:
    """How many days after an operation are in its package; None for a code that has none, or is not in the table."""
    row = indicators.get((code, None))
    return None if row is None else _DAYS_AFTER.get(row["global_period"])


def family_packages(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Package]:
    """The packages of operations for spinal stimulation, by the practitioners of the claim's group."""
    family, indicators = policy["modifiers.family_surgical"], policy["fee_schedule.indicators"]
    return packages(claim, history, lambda code: days_after(code, indicators) if code in family else None)


def packages(claim: Claim, history: History, days_of: DaysAfter) -> list[Package]:
    """The packages that operations of the claim and of earlier ones opened, latest first."""
    found = []
    for line in claim.lines:
        days, day = days_of(line.procedure_code), line.service_date
        if days and day is not None and _opens_package(line.modifiers):
            found.append(Package(line.procedure_code, day, days, practitioner_of(claim, line), THIS_CLAIM))
    first = claim.first_service_date
    for prior in history.package_services:
        day = prior.line.service_date
        if day is None or (first is not None and (first - day).days > LONGEST):
            continue
        code, modifiers = prior.line.procedure_code, prior.line.modifiers
        days = days_of(code)
        if days and _opens_package(modifiers) and _is_of_group(claim, prior.claim):
            found.append(Package(code, day, days, _practitioner_before(prior), prior.claim.claim_id))
    return sorted(found, key=lambda package: package.day, reverse=True)


def _opens_package(modifiers: Iterable[str]) -> bool:
    return _RETURN not in modifiers and ASSISTANT_MODIFIERS.isdisjoint(modifiers)


def _is_of_group(claim: Claim, prior: PriorClaim) -> bool:
    """Whether an earlier claim is of the same group: by tax number, or where one is not known by billing NPI."""
    if not prior.is_professional or was_surgery_center(prior):
        return False
    provider = claim.billing_provider
    if provider.tax_number and prior.tax_number:
        return provider.tax_number == prior.tax_number
    return bool(provider.npi) and provider.npi == prior.billing_npi


def practitioner_of(claim: Claim, line: ServiceLine) -> Practitioner:
    """Who renders a line."""
    provider = claim.rendering_provider_on(line) or claim.billing_provider
    return Practitioner(provider.npi, provider.taxonomy[:SPECIALTY_LENGTH])


def _practitioner_before(prior: PriorService) -> Practitioner:
    if prior.line.rendering_npi:
        return Practitioner(prior.line.rendering_npi, prior.line.specialty)
    return Practitioner(prior.claim.billing_npi, prior.claim.billing_taxonomy[:SPECIALTY_LENGTH])


def shared_package(claim: Claim, line: ServiceLine, candidates: Iterable[Package]) -> Package | NotEvaluated | None:
    """The first of some packages that is also that of a line's practitioner, or why nobody can tell."""
    practitioner = practitioner_of(claim, line)
    undecided: Package | None = None
    for package in candidates:
        is_shared = practitioner.shares_packages_with(package.practitioner)
        if is_shared:
            return package
        if is_shared is None and undecided is None:
            undecided = package
    if undecided is None:
        return None
    return NotEvaluated(
        f"whether {line.procedure_code} on {line.service_date} is by the same practitioner or specialty as {undecided}"
        " is not known",
        line,
    )
