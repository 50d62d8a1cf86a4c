"""277CA and 835 → claim statuses: what each code says of a claim, whose it is, and what can't be read."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.engine.examples import a_line, claim_content
from tests.x12.answering import AT, cleared, decided, text_of
from tests.x12.make_response_samples import response_samples
from tests.x12.make_samples import FOLDER
from tests.x12.oracle import problems
from tests.x12.writer_837 import write_837
from tests.x12.writer_responses import CLEARINGHOUSE, Acknowledged, Remitted, write_277ca, write_835
from worker.x12 import NoStatusError, StatusEvent, X12Error, read_statuses
from worker.x12.response_277ca import acknowledgements

SAMPLES = response_samples()


def _read(content: str | bytes) -> list[StatusEvent | X12Error]:
    return list(read_statuses(io.BytesIO(content.encode() if isinstance(content, str) else content)))


def _events(content: str | bytes) -> list[dict[str, Any]]:
    """The events of content all of which can be read."""
    items = _read(content)
    assert [str(item) for item in items if isinstance(item, X12Error)] == []
    return [json.loads(item.raw) for item in items if isinstance(item, StatusEvent)]


def _statuses(content: str | bytes) -> list[tuple[str, str]]:
    """Patient control number and status of what can be read."""
    found = [item.status for item in _read(content) if isinstance(item, StatusEvent)]
    return [(status.patient_control_number, status.status) for status in found]


def _errors(content: str | bytes) -> list[str]:
    return [str(item) for item in _read(content) if isinstance(item, X12Error)]


def _said(content: str) -> str:
    """What is said of the only claim: its status, why there is none, or in brackets what it was passed over for."""
    (item,) = _read(content)
    if isinstance(item, StatusEvent):
        return item.status.status
    said = f"{item.problem}; expected {item.expected}"
    return f"({said})" if isinstance(item, NoStatusError) else said


def _acknowledged(*statuses: str, **changes: Any) -> str:
    return write_277ca([Acknowledged("PCN-1", statuses, **changes)])


def _remitted(code: str = "1", paid: str = "0", *adjustments: str, **changes: Any) -> str:
    lines = [(paid, adjustments)]
    return write_835([Remitted("PCN-1", code, paid, **{"lines": lines, **changes})])


# ---- samples


def test_sample_files_are_those_that_are_made() -> None:
    """The committed files are what `python -m tests.x12.make_response_samples` writes."""
    committed = {
        path.name: path.read_bytes().decode() for path in FOLDER.iterdir() if path.suffix in (".277ca", ".835")
    }
    assert committed == SAMPLES


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"acknowledgement-batch-rejected.277ca"}))
def test_sample_is_valid(name: str) -> None:
    """Each sample is valid to pyx12, but for the one without a claim, of which its map knows nothing."""
    assert problems(SAMPLES[name]) == []


def test_acknowledgement() -> None:
    """What a payer's 277CA says of a claim stands in the event in the field's words."""
    events = _events(SAMPLES["acknowledgement-payer.277ca"])

    assert events[0] == {
        "payer": {"name": "CIGNA", "payer_id": "62308"},
        "member_number": "W000000001",
        "status": "accepted",
        "status_date": "2026-08-11",
        "patient_control_number": "PCN-1",
        "billing_npi": "1234567893",
        "clearinghouse_trace_number": "TRACE-PCN-1",
        "payer_claim_control_number": "ICN-1",
    }
    assert [event["status"] for event in events] == ["accepted", "rejected", "accepted", "rejected"]
    assert [event["member_number"] for event in events] == ["W000000001"] * 2 + ["W000000002"] * 2


def test_remittance() -> None:
    """What an 835 says of a claim stands in the event; the correction names the number that the claim had before."""
    text = SAMPLES["remittance.835"]
    events = [json.loads(item.raw) for item in _read(text) if isinstance(item, StatusEvent)]

    assert events[0] == {
        "payer": {"name": "MEDICARE PART B", "filing_indicator": "MB"},
        "member_number": "1EG4TE5MK73",
        "status": "paid",
        "status_date": "2026-08-20",
        "patient_control_number": "PCN-1",
        "billing_npi": "1234567893",
        "payer_claim_control_number": "ICN-1",
    }
    statuses = ["paid", "denied", "paid", "paid", "denied", "denied", "paid", "denied"]
    assert [event["status"] for event in events] == statuses
    assert [event.get("original_reference_number") for event in events] == [None] * 6 + ["ICN-6", None]


@pytest.mark.parametrize("name", ["acknowledgement-separators.277ca", "remittance-separators.835"])
def test_separators_are_those_of_the_interchange(name: str) -> None:
    """The same answers with other separators are the same events."""
    plain = "acknowledgement-payer.277ca" if name.endswith("ca") else "remittance.835"
    assert [str(each) if isinstance(each, X12Error) else each.raw for each in _read(SAMPLES[name])] == [
        str(each) if isinstance(each, X12Error) else each.raw for each in _read(SAMPLES[plain])
    ]


# ---- what a 277CA says


SILENT = "(a status category that is no word on whether the claim was taken in; expected an answer to a claim)"


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (["A0:16"], "accepted"),
        (["A1:19"], "accepted"),
        (["A2:20"], "accepted"),
        (["A5:0"], "accepted"),
        (["P1:20"], "accepted"),
        (["R1:294"], "accepted"),
        (["A3:21"], "rejected"),
        (["A6:252"], "rejected"),
        (["A7:562:85"], "rejected"),
        (["A8:187"], "rejected"),
        (["A1:19", "A7:476"], "rejected"),
        (["A4:35"], SILENT),
        (["F1:65", "E1:0"], SILENT),
        (["A9:1"], "a status category that is not known; expected A0 to A8 in STC01"),
        (["", ""], "no status with the claim; expected STC with a category in STC01"),
        ([], "no status with the claim; expected STC with a category in STC01"),
    ],
)
def test_categories(statuses: list[str], said: str) -> None:
    """Each category of STC01 is a status, no word on the claim, or a fault; one rejection is enough."""
    assert _said(_acknowledged(*statuses)) == said


def test_further_statuses_of_a_segment_count() -> None:
    """A rejection in STC10 rejects, whatever STC01 says."""
    assert _said(_acknowledged("A1:19", others="A7:476")) == "rejected"


def test_status_of_a_line_is_not_that_of_its_claim() -> None:
    """What is said of service lines, and of whole batches, does not change what is said of the claim."""
    assert _said(_acknowledged("A1:19", lines=["A7:476"])) == "accepted"
    assert _said(write_277ca([Acknowledged("PCN-1")], batch="A3:21:41")) == "accepted"


def test_date_is_that_of_the_status_else_of_the_response() -> None:
    """STC02 dates the answer; without it the day on which the claims were processed does."""
    (dated,) = _events(_acknowledged("A1:19", "A1:20", day="20260814"))
    (undated,) = _events(_acknowledged("A1:19", day=""))
    assert (dated["status_date"], undated["status_date"]) == ("2026-08-14", "2026-08-12")


def test_a_clearinghouse_does_not_say_whose_claims_they_are() -> None:
    """Where a clearinghouse answers, the event names no payer: neither it nor its id is one."""
    (event,) = _events(write_277ca([Acknowledged("PCN-1")], source=CLEARINGHOUSE))
    assert "payer" not in event


def test_other_identifiers_are_not_taken() -> None:
    """A payer's tax number is no payer ID; a provider's is no NPI."""
    text = write_277ca([Acknowledged("PCN-1")], source=("PR", "CIGNA", "FI", "001234567")).replace("*XX*", "*FI*")
    (event,) = _events(text)
    assert event["payer"] == {"name": "CIGNA"}
    assert "billing_npi" not in event


@pytest.mark.parametrize("qualifier", ["34", "FI"])
def test_claim_without_a_member_number_is_named(qualifier: str) -> None:
    """Without a member number a claim is an error with its place and what to do; its neighbours are read."""
    text = write_277ca([Acknowledged("PCN-1", qualifier=qualifier), Acknowledged("PCN-2")])

    assert _statuses(text) == [("PCN-2", "accepted")]
    (error,) = _errors(text)
    assert error == (
        "interchange 000000031, group 31, transaction 0001, segment 18 (TRN): the claim has no member number, without"
        " which the member's claims can't be found; expected NM1*QC with NM108 MI and the member number in NM109; or"
        " send this status as JSON"
    )


def test_claim_without_a_name_of_its_own_is_named() -> None:
    """0 stands for a patient control number that was not known; some number of the claim has to be there."""
    assert _said(write_277ca([Acknowledged("0")])).startswith("it names no claim; expected claim_id, patient_control")
    (event,) = _events(write_277ca([Acknowledged("0", trace="TRACE-1")]))
    assert event["clearinghouse_trace_number"] == "TRACE-1"
    assert "patient_control_number" not in event


def test_date_that_is_none_is_named_without_its_value() -> None:
    """A wrong date is an error of its claim, in the words of X12."""
    assert _said(_acknowledged("A1:19", day="20269999")) == "status_date: not a date; expected a date as CCYYMMDD"


REFUSED = "everything under it is rejected, and no claim is named; expected claims with their members; send their"


def test_batch_that_is_rejected_as_a_whole_is_an_error() -> None:
    """Where the receiver is rejected and no claim is named, nothing can be found, and it is said."""
    (error,) = _errors(SAMPLES["acknowledgement-batch-rejected.277ca"])
    assert "segment 11 (STC): " + REFUSED in error


def test_provider_that_is_rejected_as_a_whole_is_an_error() -> None:
    """So is a billing provider without a claim, wherever it stands."""
    text = write_277ca([Acknowledged("PCN-1")])
    start, end = text.index("HL*3*"), text.index("SE*")
    provider = text[start : text.index("HL*4*")].replace("STC*A1:19:PR", "STC*A3:21:85")
    receiver = text[text.index("HL*2*") : start].replace("STC*A1:19:PR", "STC*A3:21:41")
    before = text[:start] + provider + text[start:]
    after = text[:end] + provider + text[end:]
    between = text[:end] + receiver + provider + text[text.index("HL*1*") : start] + text[end:]

    for damaged, times in ((before, 1), (after, 1), (between, 2)):
        assert _statuses(damaged) == [("PCN-1", "accepted")]
        assert sum(REFUSED in error for error in _errors(damaged)) == times


def test_level_that_a_277ca_has_not_is_named() -> None:
    """A hierarchy of another transaction is an error, and nothing is read from it."""
    text = _acknowledged("A1:19").replace("*PT~", "*22~").replace("NM1*QC*", "NM1*IL*")
    assert _said(text).startswith("HL03 is a level that a 277CA has not; what stands under it is not read; expected 20")


def test_missing_hl_makes_no_difference() -> None:
    """The names say where a level begins, so a lost HL gives no claim to another patient or provider."""
    claims = [Acknowledged("PCN-1"), Acknowledged("PCN-2", member_number="W000000002")]
    text = write_277ca(claims)
    for lost in ("HL*5*3*PT~\n", "HL*4*3*PT~\n", "HL*3*2*19*1~\n"):
        items = [item for item in _read(text.replace(lost, "")) if isinstance(item, StatusEvent)]
        assert [item.status.member_number for item in items] == ["W000000001", "W000000002"]


def test_status_without_its_claim_is_named() -> None:
    """A status whose TRN is lost is an error, and no other claim's."""
    claims = [Acknowledged("PCN-1", lines=["A1:20"]), Acknowledged("PCN-2", ["A7:476"]), Acknowledged("PCN-3")]
    text = write_277ca(claims)
    lost = "a status without its claim (TRN) or service line (SVC) before it; expected TRN or SVC, then STC"
    without = text.replace("TRN*2*PCN-2~\n", "")

    assert _statuses(without) == [("PCN-1", "accepted"), ("PCN-3", "accepted")]
    assert lost in _errors(without)[0]
    assert lost in _errors(text.replace("TRN*2*PCN-1~\n", ""))[0]


# ---- what an 835 says


@pytest.mark.parametrize("code", ["1", "2", "3", "19", "20", "21"])
@pytest.mark.parametrize(
    ("paid", "adjustments", "said"),
    [
        ("7600", ["CO*45*1900"], "paid"),
        ("0.01", [], "paid"),
        ("0", ["CO*50*9500"], "denied"),
        ("0", ["CO*45*1900", "PR*1*7600"], "paid"),
        ("0", ["CO*45*1900**96*100**2*7500"], "paid"),
        ("0", ["OA*23*9500"], "paid"),
        ("0", ["PR*96*9500"], "denied"),
        ("-5", ["CO*50*9505"], "denied"),
        ("0", [], "nothing was paid, and no adjustment says why; expected CAS with the reasons"),
        ("none", ["CO*50*9500"], "CLP03 or CLP04 is not an amount; expected the charge and what was paid"),
        ("NaN", ["CO*50*9500"], "CLP03 or CLP04 is not an amount; expected the charge and what was paid"),
    ],
)
def test_processed_claim(code: str, paid: str, adjustments: list[str], said: str) -> None:
    """Processed is paid where money came or somebody else's share is left; else it is denied."""
    assert _said(_remitted(code, paid, *adjustments)) == said


def test_claim_of_no_charge_is_not_denied() -> None:
    """A claim that charged nothing is processed without an adjustment."""
    assert _said(_remitted().replace("*9500*0*", "*0*0*")) == "paid"


def test_adjustments_of_the_claim_count_as_those_of_its_lines() -> None:
    """The reasons may stand on the claim."""
    assert _said(_remitted("1", "0", adjustments=["CO*50*9500"], lines=[])) == "denied"
    assert _said(_remitted("1", "0", adjustments=["PR*3*9500"], lines=[])) == "paid"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("4", "denied"),
        ("22", "denied"),
        ("23", "denied"),
        ("25", "(a predetermination (CLP02 25); expected an answer to a claim)"),
        ("5", "CLP02 is not a claim status that is known; expected 1, 2, 3, 4, 19, 20, 21, 22, 23 or 25"),
        ("", "CLP02 is not a claim status that is known; expected 1, 2, 3, 4, 19, 20, 21, 22, 23 or 25"),
    ],
)
def test_other_claim_statuses(code: str, said: str) -> None:
    """What was not processed is denied; a predetermination is passed over, and an unknown code a fault."""
    assert _said(_remitted(code, "0", "CO*45*9500")) == said


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"patient": "MI*W1"}, "W1"),
        ({"patient": "HN*W1"}, "W1"),
        ({"patient": "MR*W1", "corrected": "C*W2"}, "W1"),
        ({"patient": "MI*W1", "insured": "MI*W3"}, "W3"),
        ({"patient": "", "insured": "MI*W3"}, "W3"),
        ({"patient": "34*111223333", "corrected": "C*W2"}, "W2"),
        ({"patient": "", "insured": "FI*001234567", "corrected": "C*W2"}, "W2"),
    ],
)
def test_member_number_is_that_of_the_claim(changes: dict[str, str], number: str) -> None:
    """The insured's number is that of the claim, else the patient's; a corrected one only where there is no other."""
    (event,) = _events(_remitted("1", "7600", **changes))
    assert event["member_number"] == number


def test_remitted_claim_without_a_member_number_is_named() -> None:
    """A social security number is no member number; the claim is named, and what to do."""
    said = _said(_remitted("1", "7600", patient="34*111223333"))
    assert said.endswith(
        "expected NM1*IL or NM1*QC with NM108 MI and the member number in NM109; or send this status as JSON"
    )


def test_payer_is_named_by_all_that_the_835_says() -> None:
    """Name, REF 2U, else N104, and the filing indicator of the claim; another payer on the claim is not it."""
    (plain,) = _events(write_835([Remitted("PCN-1")], payer="CIGNA", national_id="7777777777"))
    (numbered,) = _events(write_835([Remitted("PCN-1")], payer="CIGNA", national_id="7777777777", payer_id="62308"))
    assert plain["payer"] == {"name": "CIGNA", "payer_id": "7777777777", "filing_indicator": "MB"}
    assert numbered["payer"] == {"name": "CIGNA", "payer_id": "62308", "filing_indicator": "MB"}


def test_payee_without_an_npi_narrows_nothing() -> None:
    """A payee known by its tax number leaves the NPI open; another REF 2U than the payer's is not the payer's."""
    text = write_835([Remitted("PCN-1")]).replace("*XX*1234567893", "*FI*001234567").replace("REF*TJ*", "REF*2U*")
    (event,) = _events(text)
    assert "billing_npi" not in event
    assert "payer_id" not in event["payer"]


def test_remittance_is_dated_by_its_payment() -> None:
    """BPR16 dates the remittance; without it the day on which it was made does."""
    text = write_835([Remitted("PCN-1")]).replace("*CHK************20260820", "*NON")
    (produced,) = _events(text)
    (undated,) = _events(text.replace("DTM*405*", "DTM*999*"))
    assert produced["status_date"] == "2026-08-19"
    assert "status_date" not in undated


def test_lost_clp_gives_no_claim_to_another_patient() -> None:
    """Where a CLP is lost, two patients stand in one claim, which is an error."""
    claims = [Remitted("PCN-1"), Remitted("PCN-2", patient="MI*W2"), Remitted("PCN-3")]
    text = write_835(claims)
    without = text.replace("CLP*PCN-2*1*9500*7600**MB*ICN-1*24*1~\n", "")
    assert without != text
    assert _statuses(without) == [("PCN-3", "paid")]
    assert "more than one patient (NM1*QC) in the claim; expected one after each CLP" in _errors(without)[0]


def test_claim_without_its_patient_is_named() -> None:
    """An 835 has the patient of every claim; where that is lost, nobody is guessed."""
    text = write_835([Remitted("PCN-1", corrected="C*W2")]).replace("NM1*QC*", "NM1*ZZ*")
    assert _said(text) == "no patient (NM1*QC) in the claim; expected one after each CLP"


# ---- our own 277CA


def test_our_own_277ca_is_read() -> None:
    """What the scrubber writes about cleared and flagged claims is read as accepted and rejected, with its numbers."""
    contents = [
        claim_content(patient_control_number="PCN-1", clearinghouse_trace_number="TRACE-1"),
        claim_content(patient_control_number="PCN-2", lines=[a_line(units="2")]),
    ]
    text = text_of(acknowledgements(decided(write_837(contents)), at=AT, control_number=7))
    fixed = {"member_number": "1EG4TE5MK73", "billing_npi": "1234567893", "status_date": "2026-08-11"}

    assert _events(text) == [
        {**fixed, "patient_control_number": "PCN-1", "clearinghouse_trace_number": "TRACE-1", "status": "accepted"},
        {**fixed, "patient_control_number": "PCN-2", "status": "rejected"},
    ]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.837")), ids=lambda path: path.stem)
@pytest.mark.parametrize("accepted", ["A1", "A2"])
def test_our_own_277ca_of_each_sample(path: Any, accepted: Any) -> None:
    """Every claim of every 837 of the samples comes back, under its member number, whatever the separators."""
    envelopes = cleared(path.read_bytes().decode())
    written = acknowledgements(envelopes, at=AT, control_number=1, accepted=accepted)
    found = [event for file in written.files for event in _events(file.content)]
    sent = [
        (each["claim"]["patient_control_number"], each["claim"]["subscriber"]["member_number"]) for each in envelopes
    ]

    assert sorted((event["patient_control_number"], event["member_number"]) for event in found) == sorted(sent)
    assert {event["status"] for event in found} == {"accepted"}


def test_our_own_277ca_of_a_claim_without_member_number() -> None:
    """Where the claim had none, our 277CA says so with a word that is no member number."""
    content = claim_content(subscriber={"last_name": "Example", "first_name": "Avery"})
    text = text_of(acknowledgements(cleared(write_837([content])), at=AT, control_number=7))
    assert _said(text).startswith("the claim has no member number")


# ---- envelopes


def test_several_interchanges_and_transaction_sets() -> None:
    """Interchanges of both kinds may follow each other, each with its separators; positions count in each set."""
    text = _acknowledged("A1:19") + write_835([Remitted("PCN-8"), Remitted("PCN-9")], separators="|>!\n")
    items = [item for item in _read(text) if isinstance(item, StatusEvent)]
    assert [(item.status.patient_control_number, item.number) for item in items] == [
        ("PCN-1", 1),
        ("PCN-8", 1),
        ("PCN-9", 2),
    ]
    assert _errors(text) == []


@pytest.mark.parametrize("separators", ["*:^~", "|>!\n"])
def test_lone_transaction_sets_are_read(separators: str) -> None:
    """A transaction set without envelopes shows its separators itself, whichever kind it is."""
    for text, said in (
        (write_277ca([Acknowledged("PCN-1", ["A7:476"])], separators=separators), "rejected"),
        (write_835([Remitted("PCN-1")], separators=separators), "paid"),
    ):
        lone = text[text.index("\nST") + 1 : text.index("\nGE") + 1]
        assert _statuses(lone + lone) == [("PCN-1", said)] * 2


def test_encodings_are_told_apart() -> None:
    """UTF-8 and latin-1 are both read."""
    text = _acknowledged("A1:19").replace("CIGNA", "CIGNÄ")
    for content in (text.encode(), text.encode("latin-1")):
        (event,) = _events(content)
        assert event["payer"]["name"] == "CIGNÄ"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("SE*", "SE*9"), "segment 21 (SE): SE01 does not count the segments: there are 21"),
        (lambda text: text.replace("IEA*1*", "IEA*7*"), "IEA01 does not count the functional groups: there are 1"),
        (lambda text: text.replace("GE*1*", "GE*7*"), "GE01 does not count the transaction sets: there are 1"),
        (lambda text: text + "ZZZ*1~", "segment ZZZ outside of a transaction set"),
        (lambda text: "junk " + text, "4 characters before an ISA or ST are not X12"),
    ],
)
def test_fault_of_an_envelope_is_named_and_loses_no_claim(change: Callable[[str], str], said: str) -> None:
    """Envelopes are verified as they are around claims."""
    text = change(_acknowledged("A1:19"))
    assert _statuses(text) == [("PCN-1", "accepted")]
    (error,) = _errors(text)
    assert said in error


def test_cut_off_claim_is_never_taken_for_whole() -> None:
    """Wherever the input ends, no claim is read that has not ended, and the end is named."""
    for text in (_acknowledged("A1:19", "A7:476"), _remitted("1", "0", "CO*45*1900", "PR*1*7600")):
        whole = _statuses(text)
        last = text.index("PLB*") + 3 if "PLB*" in text else text.index("~\nSE*") + 4
        for end in range(text.index("BHT" if "BHT" in text else "BPR"), text.index("IEA*")):
            cut = text[:end]
            assert _statuses(cut) == (whole if end >= last else []), cut[-40:]
            assert _errors(cut)
    assert "cut off at the end of the input; expected the whole claim" in _errors(_acknowledged("A1:19")[:-80])[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (write_837([claim_content()]), "transaction set 837 is not an answer to claims; expected 005010X214 (277CA)"),
        (_acknowledged("A1:19").replace("X214", "X212"), "version 005010X212 is not read; expected 005010X214 (277CA)"),
        (_remitted("1", "1").replace("X221A1", "X230"), "version 005010X230 is not read; expected 005010X214 (277CA)"),
        ("", "empty; expected an X12 interchange"),
    ],
)
def test_what_is_no_answer_is_one_error(text: str, said: str) -> None:
    """Other transactions and versions are named and passed over as a whole."""
    (error,) = _errors(text)
    assert said in error
    assert _statuses(text) == []


@pytest.mark.parametrize("version", ["005010", "005010X214E1"])
def test_versions_that_are_read(version: str) -> None:
    """A version that says less, or a later letter, is read."""
    assert _statuses(write_277ca([Acknowledged("PCN-1")], version=version)) == [("PCN-1", "accepted")]


def test_999_and_ta1_name_no_claim() -> None:
    """They are named and passed over: their claims are in the 277CA, or have to be sent as JSON."""
    text = _acknowledged("A1:19")
    syntax = text[text.index("ST*") :].replace("ST*277*", "ST*999*").replace("TRN*2*PCN-1", "IK5*R*5")
    items = _read(text.replace("GS*", "TA1*000000905*260811*0930*A*000~\nGS*") + text[: text.index("ST*")] + syntax)

    assert [type(item) for item in items] == [NoStatusError, StatusEvent, NoStatusError]
    assert "a TA1 names no claim; expected a status for each claim: those of the 277CA, or send" in str(items[0])
    assert "segment 1 (ST): a 999 names no member and no claim; expected a status for each claim" in str(items[2])


def test_no_value_of_a_claim_is_in_an_error() -> None:
    """Errors say where and what, and never who: neither numbers nor names nor dates."""
    marked = {"member_number": "MARKED1", "trace": "MARKED2", "payer_number": "MARKED" * 20, "day": "MARKED3"}
    texts = [
        write_277ca([Acknowledged("MARKED4", ["MARKED"], **marked), Acknowledged("MARKED5", **marked)]),
        write_277ca([Acknowledged("MARKED6", qualifier="34", member_number="MARKED7")]),
        _remitted("MARKED", "MARKED", number="MARKED8"),
        _remitted("1", "MARKED", patient="34*MARKED", number="MARKED9"),
    ]
    for text in texts:
        errors = _errors(text.replace("AVERY", "MARKED"))
        assert errors
        assert "MARKED" not in "".join(errors)


# ---- damage


class _Endless(io.RawIOBase):
    """A stream of pieces that are made as they are read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _: int = -1) -> bytes:
        return next(self._pieces, b"")


def _peak_megabytes(pieces: Iterator[bytes]) -> tuple[int, list[str], float]:
    """Statuses, errors, and the most memory it took to read them."""
    tracemalloc.start()
    try:
        statuses, errors = 0, []
        for item in read_statuses(_Endless(pieces)):  # type: ignore[arg-type]
            if isinstance(item, X12Error):
                errors.append(item.problem)
            else:
                statuses += 1
        return statuses, errors, tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("beginning", "read"),
    [
        ("TRN*2*PCN-2", ["PCN-1", "PCN-3"]),
        ("NM1*QC*1*EXAMPLE*AVERY****MI*W2", ["PCN-1", "PCN-3"]),
        ("HL*5*3*PT", ["PCN-1", "PCN-2", "PCN-3"]),
        ("STC*A7:476", ["PCN-1", "PCN-3"]),
        ("BHT*0085", ["PCN-1", "PCN-2", "PCN-3"]),
    ],
)
def test_segment_without_end_loses_its_claim_alone(beginning: str, read: list[str]) -> None:
    """A segment of 20 megabytes takes no memory; only what it stood in is lost."""
    claims = [
        Acknowledged("PCN-1"),
        Acknowledged("PCN-2", ["A7:476"], member_number="W2"),
        Acknowledged("PCN-3", member_number="W3"),
    ]
    head, tail = write_277ca(claims).encode().split(beginning.encode())
    pieces = [head + beginning.encode(), *[b"X" * 100_000] * 200, tail]
    statuses, errors, megabytes = _peak_megabytes(iter(pieces))

    assert megabytes < 10
    assert "segment too long" in errors
    assert [number for number, _ in _statuses(b"".join(pieces))] == read
    assert statuses == len(read)


@pytest.mark.parametrize(
    ("beginning", "read"),
    [("CLP*PCN-2", ["PCN-1"]), ("NM1*QC*1*EXAMPLE*AVERY****MI*W2", ["PCN-1"]), ("BPR*I", ["PCN-1", "PCN-2"])],
)
def test_remittance_with_a_segment_without_end(beginning: str, read: list[str]) -> None:
    """So in an 835: a claim that ended before it is read."""
    head, tail = write_835([Remitted("PCN-1"), Remitted("PCN-2", patient="MI*W2")]).encode().split(beginning.encode())
    content = b"".join([head, beginning.encode(), b"X" * 100_000, tail])
    assert [number for number, _ in _statuses(content)] == read
    assert "segment too long; expected at most 65536 characters" in _errors(content)[0]


def test_segments_without_end_outside_of_what_is_read() -> None:
    """Between transaction sets it is named too; in a transaction set that is passed over it is not."""
    text = _acknowledged("A1:19")
    endless = "%" * 70_000
    assert "group 31: segment too long" in _errors(text.replace("ST*277", endless + "~ST*277"))[0]
    other = text.replace("ST*277", "ST*271").replace("TRN*2*PCN-1", "TRN*2*" + endless)
    assert len(_errors(other)) == 1


def test_memory_does_not_grow_with_the_claims() -> None:
    """A response may be of any size, and of any number of rejected batches."""
    text = write_835([Remitted("PCN-1")]).encode()
    start, end = text.index(b"CLP*"), text.index(b"PLB*")
    pieces = [text[:start], *[text[start:end] * 100] * 100, text[end:]]
    statuses, errors, megabytes = _peak_megabytes(iter(pieces))

    assert (statuses, len(errors)) == (10_000, 1)
    assert megabytes < 10


def _who(content: bytes) -> set[tuple[str, str, str]]:
    found = [item.status for item in _read(content) if isinstance(item, StatusEvent)]
    return {(status.patient_control_number, status.member_number, status.status) for status in found}


@pytest.mark.parametrize("name", ["acknowledgement-payer.277ca", "remittance.835"])
def test_lost_segment_never_changes_what_is_said_of_whom(name: str) -> None:
    """Whichever segment is missing, no claim gets another's status or member; reasons of adjustments aside."""
    segments = SAMPLES[name].encode().splitlines(keepends=True)
    whole = _who(b"".join(segments))
    for position, lost in enumerate(segments):
        if not lost.startswith(b"CAS"):
            assert _who(b"".join(segments[:position] + segments[position + 1 :])) <= whole, lost


_TEXTS = [text.encode() for text in SAMPLES.values()]


@settings(max_examples=150)
@given(data=st.data())
def test_random_damage_never_raises(data: st.DataObject) -> None:
    """Whatever is cut out of or put into a response, reading it ends with events and errors."""
    content = bytearray(data.draw(st.sampled_from(_TEXTS)))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content)))
        removed = data.draw(st.integers(0, 40))
        pieces = [b"~", b"*", b":", b"\xff", b"~ST*835*1~", b"~HL*1**20*1~", b"~CLP*A*1*1*1~", b"~STC*A1~", b""]
        content[position : position + removed] = data.draw(st.sampled_from(pieces))
    for item in _read(bytes(content)):
        assert isinstance(item, StatusEvent | X12Error)
