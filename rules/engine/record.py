"""What is kept of one member's claims, how claims, answers and releases change it, and what of it a claim sees.

Everything here is a pure function. A record holds all of them as they came, each with its place in their order;
what follows from them (who was replaced, who was sent again) is worked out when a claim is judged. So a claim event
that is delivered again sees what it saw the first time, whatever has come since, and leaves the record as it is.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from rules.engine.claim import VOID, Claim
from rules.engine.grouping import SPECIALTY_LENGTH
from rules.engine.history import (
    FOR_PACKAGES,
    History,
    Patient,
    PriorClaim,
    PriorLine,
    PriorService,
    Status,
    StatusChange,
)

REPLACEMENT: Final = "7"
CORRECTIONS: Final = (REPLACEMENT, VOID)
RETENTION: Final = timedelta(days=731)
"""24 months: how long a claim is kept."""
MOST_LINES: Final = 1_000
"""Of one member, where nothing else is said."""
_MOST_CHANGES: Final = 20
_MOST_RELEASES: Final = 100
_TAKEN_IN: Final[frozenset[Status]] = frozenset({"accepted", "paid", "denied"})
_NEVER_TAKEN_IN: Final[frozenset[Status]] = frozenset({"rejected", "flagged"})
_OVER: Final[frozenset[Status]] = frozenset({"rejected", "replaced", "voided"})


class StoredClaim(NamedTuple):
    """A claim as it is kept.

    Attributes:
        ordinal: its place in the order in which claims, answers and releases of the member came.
        digest: of the claim event's bytes.
        claim: with the status that the decision about it gave it: received or flagged.
    """

    ordinal: int
    digest: str
    claim: PriorClaim


class Release(NamedTuple):
    """That somebody has released a flagged claim: it stays so whatever becomes of the claim here.

    Attributes:
        ordinal: its place in the order in which claims, answers and releases of the member came.
        claim_id, digest: of the claim event.
        event_id: of the override that released it.
    """

    ordinal: int
    claim_id: str
    digest: str
    event_id: str


class MemberRecord(NamedTuple):
    """What is kept of one member.

    Attributes:
        claims: in the order in which they came.
        next_ordinal: of the next claim, answer or release.
        dropped_through: latest date of service among what had to be dropped for room.
        releases: in the order in which they came.
    """

    claims: tuple[StoredClaim, ...] = ()
    next_ordinal: int = 0
    dropped_through: date | None = None
    releases: tuple[Release, ...] = ()


class Answer(NamedTuple):
    """What a payer or clearinghouse says of a claim: which it means, and what has become of it.

    A claim is meant if everything that the answer names fits it; the billing NPI alone names none.

    Attributes:
        claim_id: of the claim event.
        payer_claim_control_number: the payer's number of the claim; names it where an earlier answer gave the same.
        original_reference_number: the number that the payer gave before, where it has corrected its own answer under
            another.
    """

    status: Status
    status_date: date | None = None
    claim_id: str = ""
    patient_control_number: str = ""
    billing_npi: str = ""
    clearinghouse_trace_number: str = ""
    payer_claim_control_number: str = ""
    original_reference_number: str = ""


NO_RECORD = MemberRecord()


def delivered_before(record: MemberRecord, claim_id: str, digest: str) -> StoredClaim | None:
    """The stored claim that is the same claim event, byte for byte."""
    for stored in record.claims:
        if stored.claim.claim_id == claim_id and stored.digest == digest:
            return stored
    return None


# ---- what a claim under review sees


def history_of(
    record: MemberRecord, claim: Claim, digest: str, patient: Patient, held_since: date | None = None
) -> History:
    """The member's earlier claims, as they count for a claim under review.

    Args:
        record: the member's; it may hold the claim under review, if that was delivered before.
        claim: the claim under review.
        digest: of its bytes.
        patient: its patient.
        held_since: receipt date of the first claim ever recorded, of whatever member.
    """
    dropped_through = record.dropped_through
    if not record.claims:
        return History((), None, (), patient, held_since, dropped_through)
    same = delivered_before(record, claim.claim_id, digest)
    claims = _as_of(record, record.next_ordinal if same is None else same.ordinal, claim.claim_id)
    chain = _resolve(claims)
    control_number, npi = claim.patient_control_number, claim.billing_provider.npi
    predecessor = None
    out: set[int] = set()
    if claim.frequency in CORRECTIONS:
        position = _predecessor(claims, len(claims), claim.original_reference_number, (control_number, npi))
        if position is not None:
            predecessor = claims[position]
            before_it = _replaced_by(chain, position)
            after_it = (number for number in chain if position in _replaced_by(chain, number))
            out = {position, *before_it, *after_it}
    sent_again = _sent_again(claims)
    account: list[PriorClaim] = []
    counted: list[PriorClaim] = []
    for number, known in enumerate(claims):
        status = known.status
        is_out = number in out
        is_mine = is_out or (
            known.patient_control_number == control_number and known.billing_npi == npi and control_number != ""
        )
        if is_mine:
            account.append(known)
        if (
            status not in _OVER
            and not is_out
            and number not in sent_again
            and known.frequency != VOID
            and not (is_mine and status == "flagged")
        ):
            counted.append(known)
    if not counted:
        return History((), predecessor, tuple(account), patient, held_since, dropped_through)
    services = _services(counted, patient)
    return History(tuple(counted), predecessor, tuple(account), patient, held_since, dropped_through, "", *services)


def _services(
    claims: Iterable[PriorClaim], patient: Patient
) -> tuple[
    tuple[PriorService, ...], tuple[PriorService, ...], tuple[PriorService, ...], frozenset[str], frozenset[date]
]:
    """The lines of claims that count by what they count for, as the last fields of a `History`."""
    of_member: list[PriorService] = []
    of_patient: list[PriorService] = []
    of_packages: list[PriorService] = []
    for claim in claims:
        services = [PriorService(claim, line) for line in claim.lines]
        of_member += services
        if claim.patient.may_be(patient):
            of_patient += services
            if claim.status in FOR_PACKAGES:
                of_packages += services
    return (
        tuple(of_member),
        tuple(of_patient),
        tuple(of_packages),
        frozenset([line.procedure_code for _, line in of_patient]),
        frozenset([line.service_date for _, line in of_member if line.service_date is not None]),
    )


def standing(record: MemberRecord) -> list[PriorClaim]:
    """Every claim of a record with the status that it has by now, oldest first."""
    claims = _as_of(record, record.next_ordinal)
    _resolve(claims)
    return claims


def _as_of(record: MemberRecord, before: int, but: str = "") -> list[PriorClaim]:
    """The claims as they stood before an ordinal, by their own answers alone; without the deliveries of one event."""
    seen: list[PriorClaim] = []
    released: dict[tuple[str, str], int] = {}
    if record.releases:
        released = {(each.claim_id, each.digest): each.ordinal for each in record.releases if each.ordinal < before}
    for ordinal, digest, known in record.claims:
        if ordinal >= before or known.claim_id == but:
            continue
        changes = known.changes
        if changes:
            if changes[-1].ordinal >= before:
                changes = tuple([change for change in changes if change.ordinal < before])
            status, status_date, number = known.status, known.status_date, ""
            for change in changes:
                status, status_date = change.status, change.status_date
                number = change.payer_claim_control_number or number
            known = known._replace(  # noqa: PLW2901
                changes=changes, status=status, status_date=status_date, payer_claim_control_number=number
            )
        release = released.get((known.claim_id, digest)) if released else None
        if release is not None and (not changes or changes[-1].ordinal < release):  # else an answer says more
            known = known._replace(status="received", status_date=None)  # noqa: PLW2901
        seen.append(known)
    return seen


def _resolve(claims: list[PriorClaim]) -> dict[int, int]:
    """Give those that were replaced or voided their status, in place; position → position of its predecessor.

    Where the member has no answers at all, nobody sends any, and every claim is taken as accepted.
    """
    chain: dict[int, int] = {}
    over: dict[int, Status] = {}  # what it, and all that it had replaced, was made
    nobody_answers: bool | None = None
    for number, known in enumerate(claims):
        if known.frequency not in CORRECTIONS:
            continue
        if nobody_answers is None:
            nobody_answers = not any(each.changes for each in claims)
        account = (known.patient_control_number, known.billing_npi)
        position = _predecessor(claims, number, known.original_reference_number, account)
        if position is None:
            continue
        chain[number] = position
        if known.status in _TAKEN_IN or (known.status == "received" and nobody_answers):
            status: Status = "voided" if known.frequency == VOID else "replaced"
            each: int | None = position
            while each is not None and over.get(each) not in (status, "voided"):
                # What a void has taken back stays so.
                if claims[each].status != "voided":
                    claims[each] = claims[each]._replace(status=status)
                over[each] = status
                each = chain.get(each)
            if known.frequency == VOID:
                claims[number] = known._replace(status="voided")
    return chain


def _replaced_by(chain: dict[int, int], position: int) -> list[int]:
    """Everything that a claim replaced, and what that had replaced."""
    found: list[int] = []
    while position in chain:
        position = chain[position]
        found.append(position)
    return found


def _predecessor(
    claims: Sequence[PriorClaim], end: int, original_reference_number: str, account: tuple[str, str]
) -> int | None:
    """The claim that a correction means: by the payer's number, else the latest of the account.

    Of an account, one that was only flagged here is meant only if there is no other, and one that was rejected last.
    """
    if original_reference_number:
        for number in range(end - 1, -1, -1):
            known = claims[number]
            if known.changes and known.frequency != VOID and original_reference_number in _numbers(known):
                return number
    if not account[0]:
        return None
    flagged = rejected = None
    for number in range(end - 1, -1, -1):
        known = claims[number]
        if known.patient_control_number != account[0] or known.billing_npi != account[1] or known.frequency == VOID:
            continue
        if known.status not in _NEVER_TAKEN_IN:
            return number
        if known.status == "rejected":
            rejected = number if rejected is None else rejected
        elif flagged is None:
            flagged = number
    return rejected if flagged is None else flagged


def _sent_again(claims: Sequence[PriorClaim]) -> set[int]:
    """Flagged claims of which a later delivery stands beside them."""
    flagged = [number for number, known in enumerate(claims) if known.status == "flagged"]
    if not flagged:
        return set()
    latest = {
        (known.patient_control_number, known.billing_npi): number
        for number, known in enumerate(claims)
        if known.patient_control_number
    }
    accounts = {number: (claims[number].patient_control_number, claims[number].billing_npi) for number in flagged}
    return {number for number, account in accounts.items() if latest.get(account, number) > number}


# ---- how a record changes


def with_claim(
    record: MemberRecord,
    claim: Claim,
    digest: str,
    *,
    payer: str,
    patient: Patient,
    is_flagged: bool = False,
    codes: Container[str] | None = None,
    lifetime: Container[str] = (),
    counted_from: date | None = None,
    most_lines: int = MOST_LINES,
) -> MemberRecord:
    """The record with a claim that was decided; itself where it holds the same claim event already.

    Args:
        record: before.
        claim: the claim.
        digest: of its bytes.
        payer: key of the payer profile that was applied.
        patient: its patient.
        is_flagged: by the decision.
        codes: procedure codes of the lines to keep; None for all.
        lifetime: procedure codes of the lines to keep for good.
        counted_from: day from which retention counts back, if it is before the receipt date.
        most_lines: lines and claims to keep of the member.
    """
    if delivered_before(record, claim.claim_id, digest) is not None:
        return record
    frequency = claim.frequency
    lines = () if frequency == VOID else _prior_lines(claim, codes)
    if not lines and frequency not in CORRECTIONS:
        return record
    biller, received = claim.billing_provider, claim.received_date
    made = PriorClaim(
        claim.claim_id,
        claim.claim_type,
        payer,
        patient,
        received,
        frequency,
        claim.patient_control_number,
        biller.npi,
        biller.tax_number,
        claim.type_of_bill,
        claim.original_reference_number,
        claim.clearinghouse_trace_number,
        biller.taxonomy,
        lines,
        (),
        "flagged" if is_flagged else "received",
    )
    kept = [stored for stored in record.claims if stored.claim.claim_id != claim.claim_id]
    today = received if counted_from is None or (received is not None and received < counted_from) else counted_from
    if kept and today is not None:
        kept = _retained(kept, today, lifetime)
    kept.append(StoredClaim(record.next_ordinal, digest, made))
    changed = MemberRecord(tuple(kept), record.next_ordinal + 1, record.dropped_through, record.releases)
    return bounded(changed, lifetime, most_lines)


def with_answer(record: MemberRecord, answer: Answer) -> MemberRecord | None:
    """The record with an answer to one of its claims; itself where nothing is new, None where no claim is meant."""
    meant = [number for number, stored in enumerate(record.claims) if _is_meant(stored.claim, answer)]
    if not meant:
        return None
    # A number that was given before says which of an account's claims it is; else it is the latest.
    has_number = [
        number for number in meant if answer.payer_claim_control_number in _numbers(record.claims[number].claim)
    ]
    number = (has_number or meant)[-1]
    stored = record.claims[number]
    change = StatusChange(record.next_ordinal, answer.status, answer.status_date, answer.payer_claim_control_number)
    changes = stored.claim.changes
    if any(each[1:] == change[1:] for each in changes):
        return record
    changes = (*changes, change)[-_MOST_CHANGES:]
    changed = stored._replace(claim=stored.claim._replace(changes=changes))
    claims = (*record.claims[:number], changed, *record.claims[number + 1 :])
    return record._replace(claims=claims, next_ordinal=record.next_ordinal + 1)


def released_by(record: MemberRecord, claim_id: str, digest: str) -> str:
    """The event id of the override that released a claim event; blank where none has."""
    for each in record.releases:
        if (each.claim_id, each.digest) == (claim_id, digest):
            return each.event_id
    return ""


def not_to_be_released(record: MemberRecord, claim_id: str, digest: str) -> str:
    """Why releasing a flagged claim would send it twice; blank where nothing speaks against it.

    Args:
        record: the member's.
        claim_id: of the claim event.
        digest: of its bytes.
    """
    event_id = released_by(record, claim_id, digest)
    if event_id:
        return f"released before, by override {event_id}"
    claims = standing(record)
    for number, (stored, now) in enumerate(zip(record.claims, claims, strict=True)):
        if now.claim_id != claim_id:
            continue
        if stored.digest != digest:
            return "sent again since with another content"
        if stored.claim.status != "flagged":
            return "not flagged here but cleared"
        account = (now.patient_control_number, now.billing_npi)
        for later in claims[number + 1 :]:
            if account[0] and (later.patient_control_number, later.billing_npi) == account:
                return f"sent again since as claim {later.claim_id}"
        if now.status not in _NEVER_TAKEN_IN:
            return f"by now it is {now.status_in_words}"
    return ""


def with_release(record: MemberRecord, claim_id: str, digest: str, event_id: str) -> MemberRecord:
    """The record with the release of a flagged claim, which counts as received from then on.

    Args:
        record: before.
        claim_id: of the claim event; it may be held no more.
        digest: of its bytes.
        event_id: of the override.
    """
    release = Release(record.next_ordinal, claim_id, digest, event_id)
    releases = (*record.releases, release)[-_MOST_RELEASES:]
    return record._replace(releases=releases, next_ordinal=record.next_ordinal + 1)


def _is_meant(claim: PriorClaim, answer: Answer) -> bool:
    named = (
        (answer.claim_id, claim.claim_id),
        (answer.clearinghouse_trace_number, claim.clearinghouse_trace_number),
        (answer.patient_control_number, claim.patient_control_number),
    )
    if any(said and said != known for said, known in named):
        return False
    if answer.billing_npi and answer.billing_npi != claim.billing_npi:
        return False
    numbers = _numbers(claim)
    is_number = not numbers.isdisjoint((answer.payer_claim_control_number, answer.original_reference_number))
    # An account has several claims when one was corrected: each has a number of its own.
    if answer.payer_claim_control_number and numbers and not is_number and not answer.claim_id:
        return False
    return is_number or any(said for said, _ in named)


def _numbers(claim: PriorClaim) -> set[str]:
    """The payer's numbers of a claim that answers gave."""
    return {each.payer_claim_control_number for each in claim.changes} - {""}


def _prior_lines(claim: Claim, codes: Container[str] | None) -> tuple[PriorLine, ...]:
    lines = []
    for line in claim.lines:
        code = line.procedure_code
        if not code or (codes is not None and code not in codes):
            continue
        provider = line.rendering_provider or claim.rendering_provider
        lines.append(
            PriorLine(
                code,
                line.service_date,
                line.units,
                line.charge_amount,
                line.modifiers,
                line.place_of_service or claim.place_of_service,
                provider.npi if provider is not None else "",
                provider.taxonomy[:SPECIALTY_LENGTH] if provider is not None else "",
                tuple([each.code.replace(".", "") for each in claim.diagnoses_pointed_to(line)]),
                line.prior_authorization_number or claim.prior_authorization_number,
            )
        )
    return tuple(lines)


def _retained(claims: Iterable[StoredClaim], today: date, lifetime: Container[str]) -> list[StoredClaim]:
    first = today - RETENTION if today - date.min > RETENTION else date.min
    kept = []
    for stored in claims:
        received = stored.claim.received_date
        if received is None or received >= first or any(day >= first for day in stored.claim.service_dates):
            kept.append(stored)
            continue
        stripped = _stripped(stored, lifetime)
        if stripped is not None:
            kept.append(stripped)
    return kept


def _stripped(stored: StoredClaim, lifetime: Container[str]) -> StoredClaim | None:
    """What is kept for good of a claim; None for nothing."""
    lines = tuple(line for line in stored.claim.lines if line.procedure_code in lifetime)
    return stored._replace(claim=stored.claim._replace(lines=lines)) if lines else None


def bounded(record: MemberRecord, lifetime: Container[str], most_lines: int) -> MemberRecord:
    """Drop from the oldest on what is too much: first what is not kept for good, and the latest claim never."""
    claims: Sequence[StoredClaim] = record.claims
    too_many = len(claims) - most_lines
    for stored in claims:
        too_many += len(stored.claim.lines)
    if too_many <= 0:
        return record
    dropped: set[date] = set() if record.dropped_through is None else {record.dropped_through}
    for keeps_lifetime in (True, False):
        kept: list[StoredClaim] = []
        for stored in claims:
            left: StoredClaim | None = stored
            if too_many > 0 and stored is not claims[-1]:
                left = _stripped(stored, lifetime) if keeps_lifetime else None
                remaining = left.claim.lines if left is not None else ()
                too_many -= len(stored.claim.lines) - len(remaining) + (left is None)
                gone = [line for line in stored.claim.lines if line not in remaining]
                dropped |= {line.service_date for line in gone if line.service_date is not None}
            if left is not None:
                kept.append(left)
        claims = kept
    return record._replace(claims=tuple(claims), dropped_through=max(dropped, default=None))
