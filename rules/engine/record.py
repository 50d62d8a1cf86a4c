"""What is kept of one member's claims, how a claim and an answer change it, and what of it a claim under review sees.

Everything here is a pure function. A record holds claims and answers as they came, each with its place in their order;
what follows from them (who was replaced, who was sent again) is worked out when a claim is judged. So a claim event
that is delivered again sees what it saw the first time, whatever has come since, and leaves the record as it is.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from rules.engine.claim import VOID, Claim
from rules.engine.grouping import SPECIALTY_LENGTH
from rules.engine.history import History, Patient, PriorClaim, PriorLine, Status, StatusChange

REPLACEMENT: Final = "7"
CORRECTIONS: Final = (REPLACEMENT, VOID)
RETENTION: Final = timedelta(days=731)
"""24 months: how long a claim is kept."""
MOST_LINES: Final = 1_000
"""Of one member, where nothing else is said."""
_MOST_CHANGES: Final = 20
_TAKEN_IN: Final[frozenset[Status]] = frozenset({"accepted", "paid", "denied"})


class StoredClaim(NamedTuple):
    """A claim as it is kept.

    Attributes:
        ordinal: its place in the order in which claims and answers of the member came.
        digest: of the claim event's bytes.
        is_flagged: by the decision about it.
    """

    ordinal: int
    digest: str
    is_flagged: bool
    claim: PriorClaim


class MemberRecord(NamedTuple):
    """What is kept of one member.

    Attributes:
        claims: in the order in which they came.
        next_ordinal: of the next claim or answer.
        dropped_through: latest date of service among what had to be dropped for room.
    """

    claims: tuple[StoredClaim, ...] = ()
    next_ordinal: int = 0
    dropped_through: date | None = None


class Answer(NamedTuple):
    """What a payer or clearinghouse says of a claim: which it means, and what has become of it.

    A claim is meant if everything that the answer names fits it; the billing NPI alone names none.

    Attributes:
        claim_id: of the claim event.
        payer_claim_control_number: the payer's number of the claim; names it where an earlier answer gave the same.
    """

    status: Status
    status_date: date | None = None
    claim_id: str = ""
    patient_control_number: str = ""
    billing_npi: str = ""
    clearinghouse_trace_number: str = ""
    payer_claim_control_number: str = ""


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
    if not record.claims:
        return History(patient=patient, held_since=held_since, dropped_through=record.dropped_through)
    same = delivered_before(record, claim.claim_id, digest)
    before = record.next_ordinal if same is None else same.ordinal
    account = (claim.patient_control_number, claim.billing_provider.npi)
    seen = _as_of(record, before)
    earlier = [
        (stored, known)
        for stored, known in zip(record.claims, seen, strict=True)
        if known is not None and stored.claim.claim_id != claim.claim_id
    ]
    chain = _resolve(earlier)
    claims = [known for _, known in earlier]
    correction = claim.frequency in CORRECTIONS
    predecessor = None
    out: set[int] = set()
    if correction:
        position = _predecessor(claims, len(claims), claim.original_reference_number, account)
        if position is not None:
            predecessor = claims[position]
            before_it = _replaced_by(chain, position)
            after_it = (number for number in chain if position in _replaced_by(chain, number))
            out = {position, *before_it, *after_it}
    mine = [
        number
        for number, known in enumerate(claims)
        if number in out or (account[0] and (known.patient_control_number, known.billing_npi) == account)
    ]
    not_taken_in = {
        number for number in mine if claims[number].status in ("rejected", "flagged") and number not in out
    } | _sent_again(claims)
    return History(
        claims=tuple(
            known
            for number, known in enumerate(claims)
            if number not in out
            and number not in not_taken_in
            and known.status not in ("rejected", "replaced", "voided")
            and known.frequency != VOID
        ),
        predecessor=predecessor,
        account=tuple(claims[number] for number in mine),
        patient=patient,
        held_since=held_since,
        dropped_through=record.dropped_through,
    )


def standing(record: MemberRecord) -> list[PriorClaim]:
    """Every claim of a record with the status that it has by now, oldest first."""
    earlier = [
        (stored, known)
        for stored, known in zip(record.claims, _as_of(record, record.next_ordinal), strict=True)
        if known is not None
    ]
    _resolve(earlier)
    return [known for _, known in earlier]


def _as_of(record: MemberRecord, before: int) -> list[PriorClaim | None]:
    """Each claim as it stood before an ordinal, None for one that came later; by its own answers alone."""
    seen: list[PriorClaim | None] = []
    for stored in record.claims:
        if stored.ordinal >= before:
            seen.append(None)
            continue
        status: Status = "flagged" if stored.is_flagged else "received"
        status_date, number = None, ""
        changes = stored.claim.changes
        if changes and changes[-1].ordinal >= before:
            changes = tuple(change for change in changes if change.ordinal < before)
        for change in changes:
            status, status_date = change.status, change.status_date
            number = change.payer_claim_control_number or number
        seen.append(
            stored.claim._replace(
                changes=changes, status=status, status_date=status_date, payer_claim_control_number=number
            )
        )
    return seen


def _resolve(earlier: list[tuple[StoredClaim, PriorClaim]]) -> dict[int, int]:
    """Give those that were replaced or voided their status, in place; position → position of its predecessor.

    Where the member has no answers at all, nobody sends any, and every claim is taken as accepted.
    """
    answered = any(known.changes for _, known in earlier)
    chain: dict[int, int] = {}
    for number, (stored, known) in enumerate(earlier):
        if known.frequency not in CORRECTIONS:
            continue
        claims = [each for _, each in earlier[:number]]
        account = (known.patient_control_number, known.billing_npi)
        position = _predecessor(claims, number, known.original_reference_number, account)
        if position is None:
            continue
        chain[number] = position
        if known.status in _TAKEN_IN or (known.status == "received" and not answered):
            status: Status = "voided" if known.frequency == VOID else "replaced"
            for each in (position, *_replaced_by(chain, position)):
                before = earlier[each][1]
                # What a replacement has replaced stays so when the replacement is voided.
                if before.status != "voided":
                    earlier[each] = (earlier[each][0], before._replace(status=status))
            if known.frequency == VOID:
                earlier[number] = (stored, known._replace(status="voided"))
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

    Of an account, one that was only rejected is meant only if there is no other.
    """
    candidates = [number for number in range(end) if claims[number].frequency != VOID]
    if original_reference_number:
        named = [
            number
            for number in candidates
            if any(each.payer_claim_control_number == original_reference_number for each in claims[number].changes)
        ]
        if named:
            return named[-1]
    if not account[0]:
        return None
    same = [
        number
        for number in candidates
        if (claims[number].patient_control_number, claims[number].billing_npi) == account
    ]
    taken_in = [number for number in same if claims[number].status != "rejected"]
    return max(taken_in or same, default=None)


def _sent_again(claims: Sequence[PriorClaim]) -> set[int]:
    """Flagged claims of which a later delivery stands beside them."""
    latest = {
        (known.patient_control_number, known.billing_npi): number
        for number, known in enumerate(claims)
        if known.patient_control_number
    }
    return {
        number
        for number, known in enumerate(claims)
        if known.status == "flagged" and latest.get((known.patient_control_number, known.billing_npi), number) > number
    }


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
    lines = () if claim.is_void else tuple(_prior_lines(claim, codes))
    if not lines and claim.frequency not in CORRECTIONS:
        return record
    kept = [stored for stored in record.claims if stored.claim.claim_id != claim.claim_id]
    made = PriorClaim(
        claim_id=claim.claim_id,
        claim_type=claim.claim_type,
        payer=payer,
        patient=patient,
        received_date=claim.received_date,
        frequency=claim.frequency,
        patient_control_number=claim.patient_control_number,
        billing_npi=claim.billing_provider.npi,
        tax_number=claim.billing_provider.tax_number,
        type_of_bill=claim.type_of_bill,
        original_reference_number=claim.original_reference_number,
        clearinghouse_trace_number=claim.clearinghouse_trace_number,
        lines=lines,
    )
    kept.append(StoredClaim(record.next_ordinal, digest, is_flagged, made))
    today = min(filter(None, (claim.received_date, counted_from)), default=None)
    if today is not None:
        kept = _retained(kept, today, lifetime)
    return _bounded(kept, record.next_ordinal + 1, record.dropped_through, lifetime, most_lines)


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
    is_number = answer.payer_claim_control_number in numbers
    # An account has several claims when one was corrected: each has a number of its own.
    if answer.payer_claim_control_number and numbers and not is_number and not answer.claim_id:
        return False
    return is_number or any(said for said, _ in named)


def _numbers(claim: PriorClaim) -> set[str]:
    """The payer's numbers of a claim that answers gave."""
    return {each.payer_claim_control_number for each in claim.changes} - {""}


def _prior_lines(claim: Claim, codes: Container[str] | None) -> Iterable[PriorLine]:
    for line in claim.lines:
        if not line.procedure_code or (codes is not None and line.procedure_code not in codes):
            continue
        provider = claim.rendering_provider_on(line)
        yield PriorLine(
            procedure_code=line.procedure_code,
            service_date=line.service_date,
            units=line.units,
            charge_amount=line.charge_amount,
            modifiers=line.modifiers,
            place_of_service=claim.place_of_service_on(line),
            rendering_npi=provider.npi if provider is not None else "",
            specialty=provider.taxonomy[:SPECIALTY_LENGTH] if provider is not None else "",
            diagnoses=tuple(each.undotted for each in claim.diagnoses_pointed_to(line)),
            prior_authorization_number=line.prior_authorization_number or claim.prior_authorization_number,
        )


def _retained(claims: Iterable[StoredClaim], today: date, lifetime: Container[str]) -> list[StoredClaim]:
    first = today - RETENTION if today - date.min > RETENTION else date.min
    kept = []
    for stored in claims:
        latest = max([*stored.claim.service_dates, *filter(None, [stored.claim.received_date])], default=today)
        if latest >= first:
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


def _bounded(
    claims: list[StoredClaim],
    next_ordinal: int,
    dropped_through: date | None,
    lifetime: Container[str],
    most_lines: int,
) -> MemberRecord:
    """Drop from the oldest on what is too much: first what is not kept for good, and the latest claim never."""
    too_many = sum(1 + len(stored.claim.lines) for stored in claims) - most_lines
    dropped: set[date] = set() if dropped_through is None else {dropped_through}
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
    return MemberRecord(tuple(claims), next_ordinal, max(dropped, default=None))
