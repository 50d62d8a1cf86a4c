"""What is kept of a member, and what of it a claim under review sees (rule catalogue, sections 3.1 to 3.3)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import Answer, Claim, History, MemberRecord
from rules.engine.examples import (
    HELD_SINCE,
    Earlier,
    a_claim,
    a_line,
    as_json,
    claim_content,
    earlier,
    patient_of,
    with_history,
)
from rules.engine.history import (
    FOR_DUPLICATES,
    FOR_EVENTS,
    FOR_PACKAGES,
    NO_HISTORY,
    PENDING,
    PROCESSED,
    UNKNOWN_PATIENT,
    Patient,
    PriorLine,
    Status,
    StatusChange,
)
from rules.engine.record import (
    NO_RECORD,
    RETENTION,
    delivered_before,
    history_of,
    not_to_be_released,
    released_by,
    standing,
    with_answer,
    with_claim,
    with_release,
)

Sent = tuple[Claim, str]


def _claim(claim_id: str = "A", **changes: Any) -> Claim:
    """A claim event of the account P-<its id>, if nothing else is said."""
    content = claim_content(**{"patient_control_number": f"P-{claim_id}", **changes, "claim_id": claim_id})
    return Claim.from_json(as_json(content))


def _with(record: MemberRecord, *claims: Claim, **changes: Any) -> MemberRecord:
    for claim in claims:
        record = with_claim(record, claim, f"#{claim.claim_id}", payer="AETNA", patient=patient_of(claim), **changes)
    return record


def _answered(record: MemberRecord, answer: Answer) -> MemberRecord:
    answered = with_answer(record, answer)
    assert answered is not None
    return answered


def _seen(record: MemberRecord, claim: Claim) -> History:
    return history_of(record, claim, f"#{claim.claim_id}", patient_of(claim))


def _ids(history: History) -> list[str]:
    return [each.claim_id for each in history.claims]


def _statuses(history: History) -> list[tuple[str, Status]]:
    return [(each.claim_id, each.status) for each in history.claims]


def _original(number: str = "ICN1", account: str = "P", status: Status = "paid", **changes: Any) -> Earlier:
    """An earlier claim of an account, by default paid."""
    return earlier(patient_control_number=account, status=status, number=number, **changes)


def _correction(
    frequency: str, of: str = "ICN1", account: str = "P", status: Status | None = "accepted", number: str = ""
) -> Earlier:
    """An earlier replacement or void of a claim of an account, by default accepted."""
    return earlier(
        patient_control_number=account,
        frequency_code=frequency,
        original_reference_number=of,
        status=status,
        number=number,
    )


# ---- 3.1 which statuses count


@pytest.mark.parametrize(
    ("status", "duplicates", "packages", "events"),
    [
        (None, True, True, True),
        ("rejected", False, False, False),
        ("accepted", True, True, True),
        ("paid", True, True, True),
        ("denied", True, False, True),
    ],
)
def test_what_counts_for_what(status: Status | None, duplicates: bool, packages: bool, events: bool) -> None:
    """A denied claim is no surgery that was paid; a rejected one is nothing."""
    _, history = with_history(a_claim(), earlier(status=status))

    assert bool(list(history.patient_services)) is duplicates
    assert bool(list(history.package_services)) is packages
    assert bool(list(history.patient_services)) is events


def test_every_status_is_pending_or_processed_or_counts_for_nothing() -> None:
    """The sets of statuses fit together."""
    assert PENDING | PROCESSED == FOR_DUPLICATES == FOR_EVENTS
    assert FOR_DUPLICATES - {"denied"} == FOR_PACKAGES


def test_a_claim_flagged_here_counts_until_it_is_sent_again() -> None:
    """Of a flagged claim and its later delivery, only the later one is seen, also by claims of other accounts."""
    flagged = earlier(patient_control_number="P", is_flagged=True)

    assert _statuses(with_history(a_claim(), flagged).history) == [("EARLIER-1", "flagged")]
    assert _ids(with_history(a_claim(), flagged, earlier(patient_control_number="P")).history) == ["EARLIER-2"]
    assert _ids(with_history(a_claim(), flagged, earlier(patient_control_number="Q")).history) == [
        "EARLIER-1",
        "EARLIER-2",
    ]


def test_an_answer_comes_after_the_flag() -> None:
    """A claim that was sent although it was flagged has the status of its answers."""
    assert _statuses(with_history(a_claim(), earlier(is_flagged=True, status="paid")).history) == [
        ("EARLIER-1", "paid")
    ]


def test_the_last_answer_gives_the_status_and_the_latest_number_stays() -> None:
    """An answer without a number leaves the number that an earlier one gave."""
    answers = (
        Answer("accepted", date(2026, 8, 11), payer_claim_control_number="ICN1"),
        Answer("paid", date(2026, 8, 20)),
    )
    (prior,) = with_history(a_claim(), earlier()._replace(answers=answers)).history.claims

    assert (prior.status, prior.status_date, prior.payer_claim_control_number) == ("paid", date(2026, 8, 20), "ICN1")
    assert [change.status for change in prior.changes] == ["accepted", "paid"]


def test_what_is_kept_of_a_line() -> None:
    """Place, provider, diagnoses and authorization are the line's own, else the claim's; a line without a code goes."""
    own: dict[str, Any] = {
        "rendering_provider": {"npi": "1998765436", "taxonomy": "208VP0014X"},
        "place_of_service": "24",
        "prior_authorization_number": "B2",
        "modifiers": ["58"],
        "diagnosis_pointers": [2],
    }
    claim = _claim(
        lines=[a_line(), a_line("63650", **own), a_line("")],
        diagnoses=[{"code": "M96.1", "kind": "principal"}, {"code": "G89.4"}],
        prior_authorization_number="A1",
    )
    bare = _claim("B", rendering_provider=None)
    first, second = _with(NO_RECORD, claim, bare).claims

    assert first.claim.lines == (
        PriorLine(
            "63685",
            date(2026, 8, 3),
            Decimal(1),
            Decimal("9500.00"),
            place_of_service="22",
            rendering_npi="1992345672",
            specialty="207T",
            diagnoses=("M961",),
            prior_authorization_number="A1",
        ),
        PriorLine(
            "63650",
            date(2026, 8, 3),
            Decimal(1),
            Decimal("9500.00"),
            modifiers=("58",),
            place_of_service="24",
            rendering_npi="1998765436",
            specialty="208V",
            diagnoses=("G894",),
            prior_authorization_number="B2",
        ),
    )
    assert first.claim.service_dates == {date(2026, 8, 3)}
    assert first.claim.is_professional
    assert (second.claim.lines[0].rendering_npi, second.claim.lines[0].specialty) == ("", "")


def test_only_codes_that_are_asked_for_are_kept() -> None:
    """Other lines are left out, and a claim without any line left is not kept, unless it corrects another."""
    plain, other = _claim(lines=[a_line(), a_line("80053")]), _claim("B", lines=[a_line("80053")])
    correction = _claim("C", frequency_code="7", lines=[a_line("80053")])
    record = _with(NO_RECORD, plain, other, correction, codes={"63685"})

    assert [(each.claim.claim_id, len(each.claim.lines)) for each in record.claims] == [("A", 1), ("C", 0)]
    assert _with(NO_RECORD, other, codes={"63685"}) is NO_RECORD


# ---- 3.2 the claim under review is not its own history


def test_nothing_is_on_file() -> None:
    """Of a member without a record, history holds only whose it is and how long claims are held."""
    claim = _claim()
    history = history_of(NO_RECORD, claim, "#A", patient_of(claim), HELD_SINCE)

    assert history == History(patient=patient_of(claim), held_since=HELD_SINCE)


def test_a_claim_event_delivered_again_does_not_see_itself() -> None:
    """The same bytes are the same delivery, and leave the record as it is."""
    claim = _claim()
    record = _with(NO_RECORD, claim)
    found = delivered_before(record, "A", "#A")

    assert _seen(record, claim) == History(patient=patient_of(claim))
    assert _with(record, claim) is record
    assert found is not None
    assert found.claim.claim_id == "A"
    assert delivered_before(record, "A", "#B") is None


def test_another_content_under_the_same_id_takes_its_place() -> None:
    """A claim event is named by its id: with other bytes it is another version of the claim, not an earlier claim."""
    first, second = _claim(), _claim(lines=[a_line(units="2")])
    record = _with(NO_RECORD, first)
    again = with_claim(record, second, "#2", payer="AETNA", patient=patient_of(second))

    assert _ids(history_of(record, second, "#2", patient_of(second))) == []
    assert [each.digest for each in again.claims] == ["#2"]


def test_a_claim_delivered_again_sees_what_it_saw_the_first_time() -> None:
    """Claims and answers that came since are not seen."""
    first, second, third = _claim("A"), _claim("B"), _claim("C", frequency_code="7", patient_control_number="P-A")
    before = _with(NO_RECORD, first)
    seen = _seen(before, second)
    record = _with(before, second)
    record = _answered(record, Answer("paid", claim_id="A", payer_claim_control_number="ICN1"))
    record = _answered(_with(record, third), Answer("accepted", claim_id="C"))

    assert _seen(record, second) == seen
    assert _statuses(seen) == [("A", "received")]
    assert _statuses(_seen(record, _claim("D"))) == [("B", "received"), ("C", "accepted")]


def test_of_several_answers_those_that_came_since_are_not_seen() -> None:
    """The status of the first time is that of the answers until then."""
    second = _claim("B")
    record = _answered(_with(NO_RECORD, _claim()), Answer("accepted", claim_id="A"))
    record = _answered(_with(record, second), Answer("paid", claim_id="A"))

    assert _statuses(_seen(record, second)) == [("A", "accepted")]


@pytest.mark.parametrize("status", ["rejected", "flagged"])
def test_an_earlier_delivery_that_was_not_taken_in_is_out(status: str) -> None:
    """What was rejected, or flagged here and never sent, is sent again rightly; the account still tells of it."""
    same = earlier(patient_control_number="PCN-1", status="rejected" if status == "rejected" else None)
    _, history = with_history(a_claim(), same._replace(is_flagged=status == "flagged"))

    assert history.claims == ()
    assert [(each.claim_id, each.status) for each in history.account] == [("EARLIER-1", status)]


@pytest.mark.parametrize("status", [None, "accepted", "paid", "denied"])
def test_an_original_that_repeats_an_account_is_no_delivery_of_its_own(status: Status | None) -> None:
    """What the payer has, or may have, is seen: that is the duplicate or the correction to look for."""
    _, history = with_history(a_claim(), earlier(patient_control_number="PCN-1", status=status))

    assert _ids(history) == [each.claim_id for each in history.account] == ["EARLIER-1"]


def test_without_a_patient_control_number_no_claims_are_of_one_account() -> None:
    """Two blanks are no match: a flagged claim without a number is not taken for a delivery of the next without one."""
    record = _with(NO_RECORD, _claim("A", patient_control_number=""), is_flagged=True)
    history = _seen(record, _claim("B", patient_control_number=""))

    assert _ids(history) == ["A"]
    assert history.account == ()


def test_another_biller_has_accounts_of_its_own() -> None:
    """The same patient control number of another billing NPI is another account."""
    _, history = with_history(
        a_claim(), earlier(patient_control_number="PCN-1", billing_provider={"npi": "1003004502"}, is_flagged=True)
    )

    assert _ids(history) == ["EARLIER-1"]
    assert history.account == ()


# ---- 3.3 frequency 7 and 8


def test_an_accepted_replacement_replaces() -> None:
    """For all other claims only the replacement is left."""
    _, history = with_history(a_claim(), _original(), _correction("7"))

    assert _statuses(history) == [("EARLIER-2", "accepted")]


@pytest.mark.parametrize("status", ["paid", "denied"])
def test_a_processed_replacement_replaces(status: Status) -> None:
    """What the payer has dealt with it has taken in."""
    _, history = with_history(a_claim(), _original(), _correction("7", status=status))

    assert _statuses(history) == [("EARLIER-2", status)]


def test_a_pending_replacement_leaves_what_it_replaces_visible() -> None:
    """Until it is accepted, other claims see both."""
    _, history = with_history(a_claim(), _original(), _correction("7", status=None))

    assert _statuses(history) == [("EARLIER-1", "paid"), ("EARLIER-2", "received")]


def test_a_rejected_replacement_replaces_nothing() -> None:
    """It was never taken in."""
    _, history = with_history(a_claim(), _original(), _correction("7", status="rejected"))

    assert _statuses(history) == [("EARLIER-1", "paid")]


def test_a_chain_leaves_its_last_accepted_member() -> None:
    """Of an original, its replacement and the replacement's replacement only the last counts."""
    chain = (_original(), _correction("7", number="ICN2"), _correction("7", of="ICN2", number="ICN3"))

    assert _ids(with_history(a_claim(), *chain).history) == ["EARLIER-3"]
    assert _ids(with_history(a_claim(), *chain, _correction("7", of="ICN3", status="rejected")).history) == [
        "EARLIER-3"
    ]


def test_a_void_and_what_it_voids_leave_history() -> None:
    """When it is accepted; until then the voided claim stays, and a void is never seen as a service."""
    assert _ids(with_history(a_claim(), _original(), _correction("8")).history) == []
    assert _ids(with_history(a_claim(), _original(), _correction("8", status=None)).history) == ["EARLIER-1"]
    assert _ids(with_history(a_claim(), _original(), _correction("8", status="rejected")).history) == ["EARLIER-1"]


@pytest.mark.parametrize("of", ["ICN2", ""])
def test_a_void_of_a_chain_takes_all_of_it_away(of: str) -> None:
    """By the replacement's number or by the account, nothing of the chain is left, and nothing comes back."""
    _, history = with_history(
        a_claim(patient_control_number="P"), _original(), _correction("7", number="ICN2"), _correction("8", of=of)
    )

    assert history.claims == ()
    assert [each.status for each in history.account] == ["voided", "voided", "voided"]


def test_what_was_voided_stays_so() -> None:
    """A replacement accepted after the void does not make the first claim a replaced one."""
    _, history = with_history(a_claim(patient_control_number="P"), _original(), _correction("8"), _correction("7"))

    assert [each.status for each in history.account] == ["voided", "voided", "accepted"]
    assert _ids(history) == ["EARLIER-3"]


def test_what_an_answer_calls_voided_stays_so() -> None:
    """Where the void itself never came by here, a replacement accepted later changes nothing either."""
    _, history = with_history(
        a_claim(patient_control_number="P"), _original(status="voided"), _correction("7", number="ICN2")
    )

    assert [each.status for each in history.account] == ["voided", "accepted"]
    assert _ids(history) == ["EARLIER-2"]


def test_where_the_member_has_no_answers_every_claim_is_taken_as_accepted() -> None:
    """Nobody sends any: a replacement replaces and a void voids at once; one that was flagged here was never sent."""
    original = earlier(patient_control_number="P")

    assert _ids(with_history(a_claim(), original, _correction("7", of="", status=None)).history) == ["EARLIER-2"]
    assert _ids(with_history(a_claim(), original, _correction("8", of="", status=None)).history) == []
    flagged = _correction("7", of="", status=None)._replace(is_flagged=True)
    assert _ids(with_history(a_claim(), original, flagged).history) == ["EARLIER-1", "EARLIER-2"]


def test_a_correction_of_nothing_on_file_stands_for_itself() -> None:
    """With another number and account, or with none, it replaces nothing."""
    for account in ("Q", ""):
        _, history = with_history(a_claim(), _original(), _correction("7", of="ICN9", account=account))

        assert _ids(history) == ["EARLIER-1", "EARLIER-2"]


def test_without_a_number_and_an_account_nothing_is_replaced() -> None:
    """A blank patient control number names no account."""
    record = _with(NO_RECORD, _claim("A", patient_control_number=""))
    record = _with(record, _claim("B", patient_control_number="", frequency_code="7"))

    assert _ids(_seen(record, _claim("C"))) == ["A", "B"]


def _reviewed(of: str = "", account: str = "P", frequency: str = "7") -> Claim:
    return a_claim(frequency_code=frequency, original_reference_number=of, patient_control_number=account)


@pytest.mark.parametrize("frequency", ["7", "8"])
def test_a_correction_under_review_does_not_see_what_it_corrects(frequency: str) -> None:
    """It is judged as if its predecessor had never been sent; what else is on file it sees."""
    _, history = with_history(_reviewed("ICN1", frequency=frequency), _original(), earlier())

    assert _ids(history) == ["EARLIER-2"]
    assert history.predecessor is not None
    assert history.predecessor.claim_id == "EARLIER-1"
    assert history.account == (history.predecessor,)


def test_the_predecessor_is_named_by_the_payers_number() -> None:
    """It may be of another account; an unknown number falls back on the account."""
    claims = (_original("ICN1", "P"), _original("ICN2", "Q"))

    for of, expected in (("ICN1", "EARLIER-1"), ("ICN2", "EARLIER-2"), ("ICN9", "EARLIER-2"), ("", "EARLIER-2")):
        predecessor = with_history(_reviewed(of, "Q"), *claims).history.predecessor
        assert predecessor is not None
        assert predecessor.claim_id == expected


def test_a_number_that_the_payer_has_replaced_names_the_claim_still() -> None:
    """Any number that an answer gave is the claim's."""
    answers = [Answer("accepted", payer_claim_control_number="ICN1"), Answer("paid", payer_claim_control_number="ICN2")]
    _, history = with_history(_reviewed("ICN1", "Q"), earlier()._replace(answers=answers))

    assert history.predecessor is not None
    assert history.predecessor.payer_claim_control_number == "ICN2"


def test_without_a_predecessor_nothing_is_taken_out() -> None:
    """A correction of what is not on file is judged as any claim."""
    for claim in (_reviewed("ICN9", "Q"), _reviewed("", "Q"), a_claim(patient_control_number="Q")):
        _, history = with_history(claim, _original())

        assert _ids(history) == ["EARLIER-1"]
        assert history.predecessor is None
        assert history.account == ()


def test_of_an_account_one_that_was_never_taken_in_is_meant_last() -> None:
    """A rejected or flagged attempt after the paid claim is not what the next one replaces; alone it is."""
    rejected = earlier(patient_control_number="P", status="rejected")
    flagged = earlier(patient_control_number="P", is_flagged=True)

    for claims, expected in (
        ((_original(), rejected), "EARLIER-1"),
        ((_original(), flagged, rejected), "EARLIER-1"),
        ((flagged, rejected), "EARLIER-1"),
        ((flagged, flagged, rejected), "EARLIER-2"),
        ((rejected, rejected), "EARLIER-2"),
    ):
        predecessor = with_history(_reviewed(), *claims).history.predecessor
        assert predecessor is not None
        assert predecessor.claim_id == expected


def test_a_replacement_of_a_chain_does_not_see_the_chain() -> None:
    """Neither what its predecessor replaced nor another replacement of it, accepted or not."""
    chain = (_original(), _correction("7", number="ICN2"), _correction("7", of="ICN2", status=None))

    for of in ("ICN1", "ICN2", ""):
        _, history = with_history(_reviewed(of), *chain, earlier())

        assert _ids(history) == ["EARLIER-4"]
        assert [each.claim_id for each in history.account] == ["EARLIER-1", "EARLIER-2", "EARLIER-3"]


def test_a_chain_of_another_account_is_of_the_account_too() -> None:
    """What the payer's number names is examined with what became of it."""
    _, history = with_history(_reviewed("ICN1", "Q"), _original(), _correction("7", number="ICN2"))

    assert [(each.claim_id, each.status) for each in history.account] == [
        ("EARLIER-1", "replaced"),
        ("EARLIER-2", "accepted"),
    ]


def test_every_claim_of_a_record_has_the_status_it_has_by_now() -> None:
    """Those that have left history too, each in its place."""
    record = _answered(_replaced(), Answer("accepted", claim_id="B"))

    assert [(each.claim_id, each.status) for each in standing(record)] == [("A", "replaced"), ("B", "accepted")]
    assert standing(NO_RECORD) == []


def test_a_void_is_no_predecessor() -> None:
    """There is nothing to replace in a void: what it voided is meant."""
    _, history = with_history(_reviewed("ICN2"), _original(), _correction("8", number="ICN2"))

    assert history.predecessor is not None
    assert (history.predecessor.claim_id, history.predecessor.status) == ("EARLIER-1", "voided")


# ---- patients


@pytest.mark.parametrize(
    ("one", "other", "may_be"),
    [
        (Patient("h1", "avery"), Patient("h1", "avery"), True),
        (Patient("h1", "avery"), Patient("h1", "blake"), False),
        (Patient("h1", "avery"), Patient("h2", "avery"), False),
        (Patient("h1", "avery"), Patient("h1"), True),
        (Patient("h1", "avery"), Patient("", "avery"), True),
        (Patient("h1", "avery"), Patient("", "blake"), False),
        (Patient("h1"), UNKNOWN_PATIENT, True),
    ],
)
def test_who_may_be_the_same_patient(one: Patient, other: Patient, may_be: bool) -> None:
    """A twin has another first name, another dependant another birth date; what is not known tells nothing."""
    assert one.may_be(other) is other.may_be(one) is may_be


def test_services_of_others_with_the_same_number_are_left_out() -> None:
    """Unless a rule asks for the member."""
    twin = earlier(patient={"first_name": "Blake", "birth_date": "1955-03-01"}, lines=[a_line("63650")])
    _, history = with_history(a_claim(), twin, earlier(lines=[a_line(), a_line("63688")]))

    assert [each.line.procedure_code for each in history.patient_services] == ["63685", "63688"]
    assert [each.claim.claim_id for each in history.member_services] == [
        "EARLIER-1",
        "EARLIER-2",
        "EARLIER-2",
    ]


def test_history_is_held_from_its_first_claim_on() -> None:
    """Held for 90 days before a day is what began on the 90th day before it or earlier."""
    day = date(2026, 8, 3)
    history = NO_HISTORY._replace(held_since=day - timedelta(days=90))

    assert history.is_held(day, 90)
    assert not history.is_held(day, 91)
    assert not NO_HISTORY.is_held(day, 0)


def test_history_is_not_held_where_some_of_it_had_to_be_dropped() -> None:
    """What was dropped ends on a day, and history is whole from the day after it."""
    day = date(2026, 8, 3)
    history = NO_HISTORY._replace(held_since=date(2020, 1, 1), dropped_through=day - timedelta(days=90))

    assert not history.is_held(day, 90)
    assert history.is_held(day, 89)


def test_a_surgery_center_is_known_from_its_earlier_claims() -> None:
    """The taxonomy of who bills is kept."""
    center = earlier(billing_provider={"npi": NPI, "taxonomy": "261QA1903X"})
    _, history = with_history(a_claim(), center)

    assert [claim.billing_taxonomy for claim in history.claims] == ["261QA1903X"]


# ---- answers


ACCOUNT = _claim("A", patient_control_number="P", clearinghouse_trace_number="T1")
NPI = ACCOUNT.billing_provider.npi


@pytest.mark.parametrize(
    ("named", "is_meant"),
    [
        ({"claim_id": "A"}, True),
        ({"claim_id": "B"}, False),
        ({"clearinghouse_trace_number": "T1"}, True),
        ({"clearinghouse_trace_number": "T2"}, False),
        ({"patient_control_number": "P"}, True),
        ({"patient_control_number": "P", "billing_npi": NPI}, True),
        ({"patient_control_number": "P", "billing_npi": "1003004502"}, False),
        ({"patient_control_number": "P", "clearinghouse_trace_number": "T2"}, False),
        ({"billing_npi": NPI}, False),
        ({"payer_claim_control_number": "ICN1"}, False),
        ({}, False),
    ],
)
def test_which_claim_an_answer_means(named: dict[str, Any], is_meant: bool) -> None:
    """Everything it names must fit, and the biller alone names no claim; an answer that means none changes nothing."""
    record = with_answer(_with(NO_RECORD, ACCOUNT), Answer("paid", **named))

    assert (record is not None) is is_meant
    assert record is None or len(record.claims[0].claim.changes) == 1


def test_an_answer_may_name_a_claim_by_the_payers_number() -> None:
    """Where an earlier answer gave the same number."""
    record = _answered(_with(NO_RECORD, ACCOUNT), Answer("accepted", claim_id="A", payer_claim_control_number="ICN1"))
    record = _answered(record, Answer("paid", date(2026, 8, 20), payer_claim_control_number="ICN1"))

    assert record.claims[0].claim.changes == (
        StatusChange(1, "accepted", None, "ICN1"),
        StatusChange(2, "paid", date(2026, 8, 20), "ICN1"),
    )


def _replaced() -> MemberRecord:
    """An original paid as ICN1, and a replacement of the same account without an answer."""
    first = _claim("A", patient_control_number="P")
    second = _claim("B", patient_control_number="P", frequency_code="7", original_reference_number="ICN1")
    paid = Answer("paid", date(2026, 8, 20), patient_control_number="P", payer_claim_control_number="ICN1")
    return _with(_answered(_with(NO_RECORD, first), paid), second)


def _numbers(record: MemberRecord) -> list[list[str]]:
    return [[change.payer_claim_control_number for change in each.claim.changes] for each in record.claims]


def test_an_answer_to_an_account_means_its_latest_claim() -> None:
    """A new number is the latest claim's; a claim that has a number has no other account's."""
    record = _replaced()

    assert _numbers(_answered(record, Answer("accepted", patient_control_number="P"))) == [["ICN1"], [""]]
    assert _numbers(
        _answered(record, Answer("paid", patient_control_number="P", payer_claim_control_number="ICN2"))
    ) == [["ICN1"], ["ICN2"]]


def test_an_answer_with_a_known_number_means_the_claim_of_that_number() -> None:
    """Also when a later claim of the account has none yet: an answer that comes twice changes nothing."""
    record = _replaced()
    again = Answer("paid", date(2026, 8, 20), patient_control_number="P", payer_claim_control_number="ICN1")
    reversal = Answer("denied", date(2026, 9, 1), patient_control_number="P", payer_claim_control_number="ICN1")

    assert _answered(record, again) is record
    assert _numbers(_answered(record, reversal)) == [["ICN1", "ICN1"], []]


def test_an_answer_that_names_the_claim_may_give_it_another_number() -> None:
    """The payer can give a claim a new number; by the account alone that would be another claim."""
    record = _answered(_with(NO_RECORD, ACCOUNT), Answer("accepted", claim_id="A", payer_claim_control_number="ICN1"))
    other = Answer("paid", patient_control_number="P", payer_claim_control_number="ICN2")

    assert with_answer(record, other) is None
    assert _numbers(_answered(record, other._replace(claim_id="A"))) == [["ICN1", "ICN2"]]


def test_answers_are_kept_within_bounds() -> None:
    """A claim that is answered again and again keeps its latest answers."""
    record = _with(NO_RECORD, ACCOUNT)
    for number in range(30):
        record = _answered(record, Answer("accepted", claim_id="A", payer_claim_control_number=f"ICN{number}"))

    assert _numbers(record) == [[f"ICN{number}" for number in range(10, 30)]]


# ---- how long and how much


def _of_day(claim_id: str, day: date, **changes: Any) -> Claim:
    line = a_line(changes.pop("code", "63685"), service_date=day)
    return _claim(claim_id, **{"received_date": day, "lines": [line], **changes})


TODAY = date(2026, 8, 3)
NEW = _of_day("NEW", TODAY)


def _kept(record: MemberRecord) -> list[str]:
    return [each.claim.claim_id for each in record.claims]


@pytest.mark.parametrize(("age", "is_kept"), [(730, True), (731, True), (732, False)])
def test_claims_are_kept_for_24_months(age: int, is_kept: bool) -> None:
    """Counted back from the receipt of the claim that comes."""
    old = _of_day("OLD", TODAY - timedelta(days=age))

    assert timedelta(days=731) == RETENTION
    assert _kept(_with(NO_RECORD, old, NEW)) == (["OLD", "NEW"] if is_kept else ["NEW"])


def test_the_receipt_counts_as_well_as_the_service() -> None:
    """What was sent within 24 months is kept, however old the service."""
    late = _of_day("LATE", TODAY - timedelta(days=2_000), received_date=TODAY - timedelta(days=10))
    void = _claim("VOID", frequency_code="8", received_date=TODAY - timedelta(days=10))
    undated = _claim("UNDATED", received_date=None, lines=[a_line(service_date=None)])

    assert _kept(_with(NO_RECORD, late, void, undated, NEW)) == ["LATE", "VOID", "UNDATED", "NEW"]


def test_lines_of_lifetime_codes_are_kept_for_good() -> None:
    """Of an old claim the other lines go."""
    day = TODAY - timedelta(days=3_000)
    old = _claim("OLD", received_date=day, lines=[a_line("63655", service_date=day), a_line("99213", service_date=day)])
    record = _with(NO_RECORD, old, NEW, lifetime={"63655"})

    assert [[line.procedure_code for line in each.claim.lines] for each in record.claims] == [["63655"], ["63685"]]
    assert record.dropped_through is None


def test_retention_may_count_from_an_earlier_day() -> None:
    """A receipt date far ahead of the clock must not empty the record."""
    old, ahead = _of_day("OLD", TODAY - timedelta(days=700)), _of_day("AHEAD", date(2099, 1, 1))

    assert _kept(_with(NO_RECORD, old, ahead)) == ["AHEAD"]
    assert _kept(_with(NO_RECORD, old, ahead, counted_from=TODAY)) == ["OLD", "AHEAD"]
    assert _kept(_with(NO_RECORD, old, _claim("UNDATED", received_date=None))) == ["OLD", "UNDATED"]
    assert _kept(_with(NO_RECORD, old, _claim("FIRST", received_date=date(1, 1, 2)))) == ["OLD", "FIRST"]


def test_of_a_member_with_too_many_claims_the_oldest_go() -> None:
    """What had to go is told by its latest date of service, also once nothing more has to."""
    days = [TODAY + timedelta(days=number) for number in range(4)]
    record = _with(NO_RECORD, *(_of_day(f"C{number}", day) for number, day in enumerate(days)), most_lines=4)

    assert _kept(record) == ["C2", "C3"]
    assert record.dropped_through == days[1]
    later = _with(record, _of_day("C4", TODAY + timedelta(days=9)))
    assert _kept(later) == ["C2", "C3", "C4"]
    assert later.dropped_through == days[1]
    assert _seen(later, _claim()).dropped_through == days[1]


def test_lines_of_lifetime_codes_go_last() -> None:
    """First what is not kept for good goes, then the oldest of the rest."""
    day = TODAY - timedelta(days=30)
    lines = [a_line("63655", service_date=day), a_line("99213", service_date=day - timedelta(days=1))]
    old = _claim("OLD", received_date=day, lines=lines)
    void = _claim("VOID", frequency_code="8", received_date=day)
    limits: dict[str, Any] = {"lifetime": {"63655"}}

    record = _with(NO_RECORD, old, void, NEW, **limits, most_lines=4)
    assert [(each.claim.claim_id, len(each.claim.lines)) for each in record.claims] == [("OLD", 1), ("NEW", 1)]
    assert record.dropped_through == day - timedelta(days=1)
    record = _with(NO_RECORD, old, void, NEW, **limits, most_lines=2)
    assert _kept(record) == ["NEW"]
    assert record.dropped_through == day


def test_the_latest_claim_is_never_dropped() -> None:
    """Not even where it alone is too much; an undated line that goes leaves no date."""
    large = _claim("LARGE", lines=[a_line(), a_line(), a_line()])
    record = _with(NO_RECORD, _claim("OLD", lines=[a_line(service_date=None)]), large, most_lines=1)

    assert _kept(record) == ["LARGE"]
    assert record.dropped_through is None


# ---- what a release changes


def _released(record: MemberRecord, claim_id: str, event_id: str = "overrides-0-0") -> MemberRecord:
    return with_release(record, claim_id, f"#{claim_id}", event_id)


def _problem(record: MemberRecord, claim_id: str) -> str:
    return not_to_be_released(record, claim_id, f"#{claim_id}")


def test_a_released_claim_counts_as_received() -> None:
    """It was sent: the next one of its account sees it, and is told apart from one that was flagged and never sent."""
    flagged = _with(NO_RECORD, _claim("A", patient_control_number="P"), is_flagged=True)
    again = _claim("B", patient_control_number="P")

    assert _ids(_seen(flagged, again)) == []
    assert _statuses(_seen(_released(flagged, "A"), again)) == [("A", "received")]
    assert _statuses(_seen(_released(flagged, "A"), _claim("C"))) == [("A", "received")]
    assert released_by(_released(flagged, "A"), "A", "#A") == "overrides-0-0"
    assert released_by(_released(flagged, "A"), "A", "#B") == ""


def test_what_is_answered_after_a_release_counts() -> None:
    """Of a release and answers the last one holds; a number that an answer before it gave stays."""
    flagged = _with(NO_RECORD, _claim("A"), is_flagged=True)
    rejected = _answered(flagged, Answer("rejected", date(2026, 8, 5), "A", payer_claim_control_number="ICN1"))
    released = _released(rejected, "A")
    paid = _answered(released, Answer("paid", date(2026, 8, 9), "A"))
    (before,), (after,) = standing(released), standing(paid)

    assert (before.status, before.status_date, before.payer_claim_control_number) == ("received", None, "ICN1")
    assert (after.status, after.status_date, after.payer_claim_control_number) == ("paid", date(2026, 8, 9), "ICN1")


def test_a_release_is_no_answer_of_a_payer() -> None:
    """A member without answers has none still: a replacement counts as accepted at once."""
    record = _released(_with(NO_RECORD, _claim("A", patient_control_number="P"), is_flagged=True), "A")
    record = _with(record, _claim("B", patient_control_number="P", frequency_code="7"))

    assert _statuses(_seen(record, _claim("C"))) == [("B", "received")]


def test_a_claim_delivered_again_does_not_see_its_release() -> None:
    """What came after it the first time comes after it again, and leaves the record as it is."""
    first = _with(NO_RECORD, _claim("A"), is_flagged=True)
    second = _with(first, _claim("B"), is_flagged=True)
    record = _released(second, "A")

    assert _seen(record, _claim("B")) == _seen(first, _claim("B"))
    assert _with(record, _claim("A"), is_flagged=True) is record


def test_what_speaks_against_a_release() -> None:
    """A claim that would be sent twice is not released."""
    flagged = _with(NO_RECORD, _claim("A", patient_control_number="P"), is_flagged=True)
    corrected = _with(flagged, _claim("B", patient_control_number="P", frequency_code="7"))
    other = with_claim(flagged, _claim("A"), "#other", payer="AETNA", patient=UNKNOWN_PATIENT)

    assert _problem(flagged, "A") == ""
    assert _problem(_released(flagged, "A"), "A") == "released before, by override overrides-0-0"
    assert _problem(_with(NO_RECORD, _claim("A")), "A") == "not flagged here but cleared"
    assert _problem(other, "A") == "sent again since with another content"
    assert _problem(corrected, "A") == "sent again since as claim B"
    paid = _answered(flagged, Answer("paid", date(2026, 8, 7), "A"))
    assert _problem(paid, "A") == "by now it is paid on 2026-08-07"


def test_what_does_not_speak_against_a_release() -> None:
    """Nothing on file, other claims, earlier ones of the account, and a rejection: none of them makes it two."""
    earlier_one = _with(NO_RECORD, _claim("A", patient_control_number="P"))
    record = _with(earlier_one, _claim("B", patient_control_number="P"), is_flagged=True)
    record = _with(record, _claim("C"), _claim("D", patient_control_number=""))
    blank = _with(NO_RECORD, _claim("A", patient_control_number=""), is_flagged=True)
    blank = _with(blank, _claim("B", patient_control_number=""))

    assert _problem(NO_RECORD, "A") == ""
    assert _problem(record, "B") == ""
    assert _problem(_answered(record, Answer("rejected", claim_id="B")), "B") == ""
    assert _problem(blank, "A") == ""


def test_a_release_outlives_its_claim() -> None:
    """Dropped for room, or come again with another content: it was released all the same. The latest 100 are kept."""
    record = _released(_with(NO_RECORD, _claim("A"), is_flagged=True), "A")
    dropped = _with(record, _claim("B"), most_lines=1)
    many = record
    for number in range(99):
        many = _released(many, f"R{number}", f"overrides-0-{number + 1}")

    assert _kept(dropped) == ["B"]
    assert _problem(dropped, "A").startswith("released before")
    assert _problem(many, "A").startswith("released before")
    assert _problem(_released(many, "LAST"), "A") == ""
    assert len(_released(many, "LAST").releases) == 100


# ---- whatever comes


_accounts = st.sampled_from(["P", "Q", ""])
_references = st.sampled_from(["", "ICN1", "ICN2", "ICN3"])
_claims = st.fixed_dictionaries(
    {
        "patient_control_number": _accounts,
        "frequency_code": st.sampled_from(["1", "1", "7", "8"]),
        "original_reference_number": _references,
        "lines": st.lists(st.sampled_from([a_line(), a_line("63650"), a_line(units="2")]), min_size=1, max_size=2),
    }
)
_named: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.fixed_dictionaries({"claim_id": st.sampled_from(["C0", "C1", "C2", "C3"])}),
    st.fixed_dictionaries({"patient_control_number": _accounts}),
    st.just({}),
)
_answers = st.builds(
    lambda named, status, number: Answer(status, payer_claim_control_number=number, **named),
    _named,
    st.sampled_from(["rejected", "accepted", "paid", "denied"]),
    _references,
)


_releases = st.integers(0, 3)


@given(st.lists(st.one_of(st.tuples(_claims, st.booleans()), _answers, _releases), max_size=20))
def test_a_claim_delivered_again_changes_nothing(events: list[Any]) -> None:
    """Whatever comes since, each claim sees the history it saw the first time, and leaves the record as it is.

    That holds as long as nothing had to be dropped meanwhile.
    """
    record = NO_RECORD
    first_seen: list[tuple[Claim, bool, History]] = []
    for event in events:
        if isinstance(event, Answer):
            record = with_answer(record, event) or record
            continue
        if isinstance(event, int):
            if not _problem(record, f"C{event}"):
                record = _released(record, f"C{event}")
            continue
        content, is_flagged = event
        claim = _claim(f"C{len(first_seen)}", **content)
        first_seen.append((claim, is_flagged, _seen(record, claim)))
        record = _with(record, claim, is_flagged=is_flagged)

    for claim, is_flagged, history in first_seen:
        assert _seen(record, claim) == history
        assert _with(record, claim, is_flagged=is_flagged) is record
        assert claim.claim_id not in _ids(history)
