"""What a history rule sees: the earlier claims of one member, with the status each has by now.

Which of them count depends on what is asked. A claim that the payer never took in, that was replaced or voided counts
for nothing; a denied one is no surgery that was paid, but the patient was operated on all the same, and sending it
again makes a duplicate. The claim under review is never among them: `rules.engine.record` takes it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final, Literal, NamedTuple

Status = Literal["received", "flagged", "rejected", "accepted", "paid", "denied", "replaced", "voided"]
"""Of an earlier claim. `received`: no answer yet. `flagged`: by this scrubber, and no answer either; it counts like
one received, until it is sent again."""
Counting = frozenset[Status]

FOR_DUPLICATES: Final[Counting] = frozenset({"received", "flagged", "accepted", "paid", "denied"})
"""Statuses of claims that another can be a duplicate of."""
FOR_PACKAGES: Final[Counting] = frozenset({"received", "flagged", "accepted", "paid"})
"""Statuses of claims that count for surgical packages, pairs and units."""
FOR_EVENTS: Final[Counting] = FOR_DUPLICATES
"""Statuses of claims that tell what was done to the patient: a trial, an earlier generator, a lifetime limit."""
PENDING: Final[Counting] = frozenset({"received", "flagged", "accepted"})
"""Statuses without a remittance (835)."""
PROCESSED: Final[Counting] = frozenset({"paid", "denied"})
"""Statuses that a remittance gives."""


_UNANSWERED: Final[Mapping[Status, str]] = {"received": "no answer on file", "flagged": "flagged here"}


class Patient(NamedTuple):
    """Who of those with one member number it is; twins share the birth date too.

    Attributes:
        birth_date, first_name: marks that can only be compared, as the worker keeps keyed hashes; blank if not known.
    """

    birth_date: str = ""
    first_name: str = ""

    def may_be(self, other: Patient) -> bool:
        """Whether nothing tells the two apart; what is not known tells nothing."""
        return (not self.birth_date or not other.birth_date or self.birth_date == other.birth_date) and (
            not self.first_name or not other.first_name or self.first_name == other.first_name
        )


UNKNOWN_PATIENT: Final = Patient()


class StatusChange(NamedTuple):
    """An answer to a claim.

    Attributes:
        ordinal: its place in the order in which claims and answers of the member came.
        status_date: of the answer: the date of the 277CA, or of the remittance (835).
        payer_claim_control_number: blank if the answer has none.
    """

    ordinal: int
    status: Status
    status_date: date | None = None
    payer_claim_control_number: str = ""


class PriorLine(NamedTuple):
    """A service line of an earlier claim.

    Attributes:
        place_of_service: of the line, else of the claim.
        rendering_npi, specialty: of the line's rendering provider, else of the claim's; the specialty is the first four
            characters of the taxonomy.
        diagnoses: those pointed to, without dots.
        prior_authorization_number: of the line, else of the claim.
    """

    procedure_code: str
    service_date: date | None = None
    units: Decimal | None = None
    charge_amount: Decimal | None = None
    modifiers: tuple[str, ...] = ()
    place_of_service: str = ""
    rendering_npi: str = ""
    specialty: str = ""
    diagnoses: tuple[str, ...] = ()
    prior_authorization_number: str = ""


class PriorClaim(NamedTuple):
    """An earlier claim of the member.

    Attributes:
        lines: those with a procedure code that a rule or a value names.
        status, status_date: by now, with what later claims have done to it: `replaced`, `voided`.
        payer_claim_control_number: the latest that an answer gave.
        changes: all answers, in their order.
    """

    claim_id: str
    claim_type: str
    payer: str
    patient: Patient
    received_date: date | None
    frequency: str
    patient_control_number: str
    billing_npi: str
    tax_number: str
    type_of_bill: str = ""
    original_reference_number: str = ""
    clearinghouse_trace_number: str = ""
    billing_taxonomy: str = ""
    lines: tuple[PriorLine, ...] = ()
    changes: tuple[StatusChange, ...] = ()
    status: Status = "received"
    status_date: date | None = None
    payer_claim_control_number: str = ""

    @property
    def is_professional(self) -> bool:
        return self.claim_type == "professional"

    @property
    def status_in_words(self) -> str:
        """What has become of it, and when: `paid on 2026-08-07`."""
        status = _UNANSWERED.get(self.status, self.status)
        return status if self.status_date is None else f"{status} on {self.status_date}"

    @property
    def service_dates(self) -> frozenset[date]:
        return frozenset(line.service_date for line in self.lines if line.service_date is not None)


class PriorService(NamedTuple):
    """An earlier line with the claim that it stands on."""

    claim: PriorClaim
    line: PriorLine


class History(NamedTuple):
    """The earlier claims of one member, as they count for the claim under review.

    Attributes:
        claims: in the order in which they came; what was replaced, voided or sent again is not among them, nor are own
            deliveries and, for frequency 7 and 8, what the claim under review replaces.
        predecessor: of a frequency 7 or 8: the claim it replaces or voids, whatever its status.
        account: earlier claims with the patient control number and billing NPI of the claim under review, whatever
            their status, with the predecessor; own deliveries not among them.
        patient: of the claim under review.
        held_since: receipt date of the first claim that was ever recorded; None for none.
        dropped_through: latest date of service among claims that had to be dropped, as the member has too many.
        not_known: why no history could be looked up; blank if it was.
        member_services: lines of the claims that another can be a duplicate of, also of other patients with the same
            member number; here and below oldest claim first.
        patient_services: those of the patient, which tell what was done: trials, generators, lifetime limits.
        package_services: of these the ones that count for surgical packages, pairs and units.
        procedure_codes: of `patient_services`.
        service_dates: of `member_services`.
    """

    claims: tuple[PriorClaim, ...] = ()
    predecessor: PriorClaim | None = None
    account: tuple[PriorClaim, ...] = ()
    patient: Patient = UNKNOWN_PATIENT
    held_since: date | None = None
    dropped_through: date | None = None
    not_known: str = ""
    member_services: tuple[PriorService, ...] = ()
    patient_services: tuple[PriorService, ...] = ()
    package_services: tuple[PriorService, ...] = ()
    procedure_codes: frozenset[str] = frozenset()
    service_dates: frozenset[date] = frozenset()

    def is_held(self, day: date, days: int) -> bool:
        """Whether history is held for so many days before a day, and nothing of it had to be dropped."""
        if self.held_since is None or (day - self.held_since).days < days:
            return False
        return self.dropped_through is None or (day - self.dropped_through).days > days


NO_HISTORY = History()
