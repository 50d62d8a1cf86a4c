"""An immutable view of one member's earlier services, as far as rules need it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class PriorService:
    """One line of an earlier claim of the same member; the claim under review is never among them."""

    claim_id: str
    patient_control_number: str
    status: str
    frequency: str
    billing_npi: str
    rendering_npi: str
    procedure_code: str
    modifiers: tuple[str, ...]
    units: Decimal | None
    service_date: date | None
    place_of_service: str


@dataclass(frozen=True, slots=True)
class History:
    """The earlier services of one member, oldest first."""

    services: tuple[PriorService, ...] = ()


NO_HISTORY = History()
