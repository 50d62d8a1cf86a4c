"""Which of a member's claims an answer means, when an account has several and the payer has numbered them."""

from __future__ import annotations

from datetime import date

from rules import Answer, Claim, MemberRecord
from rules.engine.examples import as_json, claim_content
from rules.engine.history import UNKNOWN_PATIENT
from rules.engine.record import NO_RECORD, with_answer, with_claim

PAID = Answer("paid", date(2026, 8, 1), patient_control_number="PCN-1", payer_claim_control_number="ICN-1")
REVERSED = PAID._replace(status="denied", status_date=date(2026, 9, 1))
CORRECTED = PAID._replace(status_date=date(2026, 9, 1), payer_claim_control_number="ICN-2")


def _with_claim(record: MemberRecord, frequency: str) -> MemberRecord:
    """The record with one more claim of the same account."""
    claim_id = f"C{len(record.claims)}"
    content = claim_content(claim_id=claim_id, patient_control_number="PCN-1", frequency_code=frequency)
    claim = Claim.from_json(as_json(content))
    return with_claim(record, claim, f"digest of {claim_id}", payer="AETNA", patient=UNKNOWN_PATIENT)


def _statuses(record: MemberRecord, *answers: Answer) -> list[list[str]]:
    """The statuses that each claim has got by these answers, in their order."""
    for answer in answers:
        record = with_answer(record, answer) or record
    return [[change.status for change in stored.claim.changes] for stored in record.claims]


ORIGINAL = _with_claim(NO_RECORD, "1")
REPLACEMENT_SENT = _with_claim(with_answer(ORIGINAL, PAID) or ORIGINAL, "7")


def test_a_known_number_names_its_claim_though_a_later_one_has_none_yet() -> None:
    """What is said of a claim by its number is not taken for the correction that the payer has not numbered."""
    assert _statuses(REPLACEMENT_SENT, REVERSED) == [["paid", "denied"], []]
    assert _statuses(REPLACEMENT_SENT, REVERSED, CORRECTED) == [["paid", "denied"], ["paid"]]


def test_a_correction_of_the_payer_names_the_number_that_it_had_before() -> None:
    """A new number alone names no claim that has another; with the one before it does, and both are its own then."""
    corrected = CORRECTED._replace(original_reference_number="ICN-1")
    later = CORRECTED._replace(status="denied", status_date=date(2026, 10, 1))

    assert _statuses(ORIGINAL, PAID, REVERSED, CORRECTED) == [["paid", "denied"]]
    assert _statuses(ORIGINAL, PAID, REVERSED, corrected, later) == [["paid", "denied", "paid", "denied"]]


def test_the_number_before_leaves_a_correction_of_the_provider_its_answer() -> None:
    """Where the provider's own correction waits for an answer, the payer's correction is that answer."""
    corrected = CORRECTED._replace(original_reference_number="ICN-1")

    assert _statuses(REPLACEMENT_SENT, corrected) == [["paid"], ["paid"]]
