"""Decisions → 277CA: what submitters read in it, and that pyx12 finds nothing wrong with it."""

from __future__ import annotations

import csv
import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.engine.examples import a_line, claim_content, facility_claim_content
from tests.x12.answering import (
    AT,
    a_finding,
    answered_with,
    cleared,
    decided,
    only_file,
    segments,
    starting,
    text_of,
)
from tests.x12.oracle import interchanges, problems
from tests.x12.writer_837 import write_837
from worker.x12.response_277ca import acknowledgements

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.837"))
CATEGORIES = Path(__file__).parents[2] / "rules/reference/x12/failure_categories.csv"
LAST_STATUS_IN_PYX12 = 771
WRONG_NPI = {
    "name": "Example Spine Clinic",
    "entity_type": "organization",
    "npi": "1234567894",
    "tax_number": "001234567",
}


def acknowledged(envelopes: list[dict[str, Any]]) -> str:
    """The one file for them, in which pyx12 finds nothing wrong."""
    text = text_of(acknowledgements(envelopes, at=AT, control_number=7))
    assert problems(text) == []
    return text


def claim_level(text: str, *beginnings: str) -> list[str]:
    """The segments of loop 2000D that begin so."""
    everything = segments(text)
    start = next(index for index, segment in enumerate(everything) if segment.startswith("NM1*QC"))
    return [segment for segment in everything[start:] if segment.startswith(beginnings)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples(sample: Path) -> None:
    """Every claim of every sample is acknowledged, in valid interchanges."""
    envelopes = decided(sample.read_bytes().decode())
    written = acknowledgements(envelopes, at=AT, control_number=1)
    assert written.errors == ()
    assert sum(file.claims for file in written.files) == len(envelopes)
    for file in written.files:
        text = file.content.decode()
        assert problems(text) == []
    traces = {
        segment[2]
        for file in written.files
        for text in interchanges(file.content.decode())
        for segment in (each.split(text[3]) for each in text.split(text[105]))
        if segment[0].strip() == "TRN"
    }
    assert {envelope["claim"]["patient_control_number"] for envelope in envelopes} <= traces


def test_cleared_claim() -> None:
    """A cleared claim is accepted; its trace, its dates and both parties of the 837 are named."""
    content = claim_content(clearinghouse_trace_number="TRACE-1", patient_control_number="PCN-7")
    text = acknowledged(cleared(write_837([content])))
    assert segments(text) == [
        "ISA*00*          *00*          *ZZ*RECEIVERID     *ZZ*SENDERID       *260811*0930*^*00501*000000007*0*T*:",
        "GS*HN*RECEIVERID*SENDERID*20260811*0930*7*X*005010X214",
        "ST*277*0001*005010X214",
        "BHT*0085*08*0000000070001*20260811*0930*TH",
        "HL*1**20*1",
        "NM1*AY*2*TEST RECEIVER*****46*RECEIVERID",
        "TRN*1*0000000070001",
        "DTP*050*D8*20260809",
        "DTP*009*D8*20260811",
        "HL*2*1*21*1",
        "NM1*41*2*TEST SUBMITTER*****46*SENDERID",
        "TRN*2*000000905-1",
        "STC*A1:19:AY*20260811*WQ*9500",
        "QTY*90*1",
        "AMT*YU*9500",
        "HL*3*2*19*1",
        "NM1*85*2*Example Spine Clinic*****XX*1234567893",
        "TRN*1*0",
        "STC*A1:19:AY**WQ*9500",
        "QTY*QA*1",
        "AMT*YU*9500",
        "HL*4*3*PT",
        "NM1*QC*1*Example*Avery****MI*1EG4TE5MK73",
        "TRN*2*PCN-7",
        "STC*A1:20*20260811*WQ*9500",
        "REF*D9*TRACE-1",
        "DTP*472*D8*20260803",
        "SE*26*0001",
        "GE*1*7",
        "IEA*1*000000007",
    ]


def test_acceptance_can_be_the_payers() -> None:
    """Who speaks for the payer may say A2, accepted."""
    envelopes = cleared(write_837([claim_content()]))
    text = text_of(acknowledgements(envelopes, at=AT, control_number=1, accepted="A2"))
    assert claim_level(text, "STC") == ["STC*A2:20*20260811*WQ*9500"]


def test_flagged_claim() -> None:
    """The real rules' findings come with their status codes, rule ids and remedies; those of a line name it too."""
    contents = [claim_content(billing_provider=WRONG_NPI, lines=[a_line(units="2", line_control_number="L-1")])]
    envelopes = decided(write_837(contents))
    remedies = [each["remedy"] for each in envelopes[0]["decision"]["findings"] if each["severity"] == "error"]
    text = acknowledged(envelopes)
    assert claim_level(text, "STC", "SVC", "REF", "DTP") == [
        f"STC*A7:562:85*20260811*U*9500********CMP002 - {remedies[0]}",
        f"STC*A7:476*20260811*U*9500********UNT001 line 1 - {remedies[1]}",
        "DTP*472*D8*20260803",
        "SVC*HC:63685*9500*****2",
        "STC*A7:476*20260811*U",
        "REF*FJ*L-1",
        "DTP*472*D8*20260803",
    ]


def test_warnings_are_no_rejection() -> None:
    """A 277CA has no warnings: a cleared claim with one is accepted and nothing else."""
    (envelope,) = decided(write_837([claim_content()]))
    text = acknowledged([answered_with(envelope, a_finding("A7:476", 1, severity="warning"))])
    assert claim_level(text, "STC", "SVC") == ["STC*A1:20*20260811*WQ*9500"]


def test_no_finding_of_a_line_is_lost() -> None:
    """A line has room for three different statuses; the claim has all of them, with words."""
    (envelope,) = decided(write_837([claim_content(lines=[a_line(modifiers=["LT", "59"]), a_line("63650")])]))
    codes = ["A7:476", "A7:453", "A7:476", "A3:735", "A6:252"]
    findings = [a_finding(code, 2, rule_id=f"R{number}") for number, code in enumerate(codes)]
    text = acknowledged([answered_with(envelope, *findings)])
    expected = [
        f"STC*{code}*20260811*U*19000********R{number} line 2 - Correct the units." for number, code in enumerate(codes)
    ]
    assert claim_level(text, "STC")[:-1] == expected
    assert claim_level(text, "STC")[-1] == "STC*A7:476*20260811*U*******A7:453*A3:735"
    assert claim_level(text, "SVC", "REF*FJ") == ["SVC*HC:63650*9500*****1", "REF*FJ*2"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("A7:562:85", "A7:562:85"),
        ("A7:562:ZZ", "A7:562"),  # an entity that STC01-3 may not name
        ("A2:20", "A3:20"),  # a category that accepts
        ("", "A3:0"),  # a rule that failed has none
        ("A7", "A3:0"),
    ],
)
def test_status(status: str, expected: str) -> None:
    """Whatever a finding's status is, the claim is rejected with a valid one."""
    (envelope,) = decided(write_837([claim_content()]))
    text = acknowledged([answered_with(envelope, a_finding(status, remedy=""))])
    assert claim_level(text, "STC") == [f"STC*{expected}*20260811*U*9500********UNT001 -"]


def test_every_status_of_the_failure_categories() -> None:
    """Each status that a rule can give is valid on a claim and on a line, as far as pyx12's list of codes goes."""
    (envelope,) = decided(write_837([claim_content()]))
    for category in csv.DictReader(CATEGORIES.read_text().splitlines()):
        for code, entity in itertools.product(category["csc_status"].split(";"), category["entity"].split(";")):
            status = f"{category['csc_category']}:{code}:{entity}".rstrip(":")
            flagged = answered_with(envelope, a_finding(status), a_finding(status, 1))
            text = text_of(acknowledgements([flagged], at=AT, control_number=1))
            assert problems(text) == [] or int(code) > LAST_STATUS_IN_PYX12, status


def test_flagged_without_a_finding() -> None:
    """A claim that is flagged is rejected, even if no finding says why."""
    (envelope,) = decided(write_837([claim_content()]))
    envelope["decision"] |= {"disposition": "flagged", "findings": []}
    assert claim_level(acknowledged([envelope]), "STC") == ["STC*A3:0*20260811*U*9500"]


def test_words_keep_out_of_the_structure() -> None:
    """A remedy can neither break the segment nor exceed what STC12 holds."""
    (envelope,) = decided(write_837([claim_content()]))
    remedy = "Use *, : and ~ — or ^ … " + "x" * 300
    text = acknowledged([answered_with(envelope, a_finding("A7:476", remedy=remedy))])
    (status,) = claim_level(text, "STC")
    words = status.split("*")[12]
    assert words.startswith("UNT001 - Use , and or xxx")
    assert len(words) == 264


def test_totals_add_up() -> None:
    """The totals of the receiver are the sums of the providers', and those the sums of their claims."""
    other = {"name": "Other Example Clinic", "entity_type": "organization", "npi": "1184567893", "tax_number": "1"}
    contents = [
        claim_content(patient_control_number=f"P{number}", lines=[a_line(charge_amount=charge)], **provider)
        for number, (charge, provider) in enumerate(
            [("100.10", {}), ("200.20", {}), ("50.00", {"billing_provider": other}), ("0.05", {})]
        )
    ]
    envelopes = cleared(write_837(contents))
    envelopes[1] = answered_with(envelopes[1], a_finding("A7:476"))
    text = acknowledged(envelopes)
    assert starting(text, "QTY", "AMT") == [
        *("QTY*90*3", "QTY*AA*1", "AMT*YU*150.15", "AMT*YY*200.2"),
        *("QTY*QA*2", "QTY*QC*1", "AMT*YU*100.15", "AMT*YY*200.2"),
        *("QTY*QA*1", "AMT*YU*50"),
    ]
    assert starting(text, "HL") == [
        *("HL*1**20*1", "HL*2*1*21*1", "HL*3*2*19*1", "HL*4*3*PT", "HL*5*2*19*1", "HL*6*5*PT"),
    ]
    assert len(starting(text, "TRN*2*P")) == 4


def test_dependent() -> None:
    """The patient is named, with the subscriber's member number."""
    patient = {"last_name": "Example", "first_name": "Casey", "birth_date": "1980-01-01", "sex": "F"}
    text = acknowledged(cleared(write_837([claim_content("AETNA", patient=patient), claim_content("AETNA")])))
    assert starting(text, "NM1*QC") == [
        "NM1*QC*1*Example*Casey****MI*W123456789",
        "NM1*QC*1*Example*Avery****MI*W123456789",
    ]


def test_institutional_claim() -> None:
    """Bill type and statement period of an institutional claim; a line without procedure by its revenue code."""
    content = facility_claim_content(statement_through_date="2026-08-05")
    content["lines"].append({"revenue_code": "0250", "units": "1", "charge_amount": "10", "service_date": "2026-08-03"})
    content["total_charge_amount"] = str(Decimal(content["total_charge_amount"]) + 10)
    (envelope,) = decided(write_837([content]))
    text = acknowledged([answered_with(envelope, a_finding("A7:455", 1), a_finding("A7:455", 3))])
    assert claim_level(text, "REF*BLT", "DTP", "SVC") == [
        "REF*BLT*131",
        "DTP*472*RD8*20260803-20260805",
        "SVC*HC:63685*42000**0360***1",
        "DTP*472*D8*20260803",
        "SVC*NU:0250*10*****1",
        "DTP*472*D8*20260803",
    ]


def test_claim_that_says_next_to_nothing() -> None:
    """A claim without provider numbers, names, dates, charge or procedure still gets a valid answer."""
    content = claim_content(
        patient_control_number="",
        total_charge_amount="",
        billing_provider={"name": "", "entity_type": "organization"},
        subscriber={"last_name": "", "first_name": "", "member_number": ""},
        lines=[{"procedure_code": "", "units": "", "charge_amount": ""}],
    )
    text = acknowledged(decided(write_837([content])))
    assert starting(text, "NM1*85", "NM1*QC", "TRN*2", "DTP*472")[1:] == [
        "NM1*85*2*UNKNOWN*****SV*UNKNOWN",
        "NM1*QC*1*UNKNOWN*****MI*UNKNOWN",
        "TRN*2*0",
        "DTP*472*D8*20260809",
    ]
    assert starting(text, "SVC") == []


def test_header_that_says_nothing() -> None:
    """Without submitter, receiver and reference the ids of the interchange do, and the day of writing."""
    (envelope,) = cleared(write_837([claim_content()]))
    envelope["claim"]["x12"]["header"]["segments"] = "PER*IC"
    del envelope["decision"]["received_date"]
    text = acknowledged([envelope])
    assert starting(text, "NM1*AY", "NM1*41", "TRN*2", "DTP*050")[:4] == [
        *("NM1*AY*2*UNKNOWN*****46*RECEIVERID", "DTP*050*D8*20260811"),
        *("NM1*41*2*UNKNOWN*****46*SENDERID", "TRN*2*0"),
    ]


def test_early_date() -> None:
    """A year is written with four digits, however wrong it is."""
    envelopes = decided(write_837([claim_content(lines=[a_line(service_date="0208-08-03")])]))
    text = text_of(acknowledgements(envelopes, at=AT, control_number=1))
    assert claim_level(text, "DTP")[0] == "DTP*472*D8*02080803"


def test_tax_number_where_there_is_no_npi() -> None:
    """The billing provider is named by its tax number when it has no NPI."""
    provider = {"name": "Example Spine Clinic", "entity_type": "organization", "tax_number": "001234567"}
    text = acknowledged(decided(write_837([claim_content(billing_provider=provider)])))
    assert starting(text, "NM1*85") == ["NM1*85*2*Example Spine Clinic*****FI*001234567"]


def test_one_file_for_each_submitter() -> None:
    """Submitters and usages do not share a file; control numbers count on over all interchanges."""
    texts = [
        write_837([claim_content()], sender_id="FIRST/..", receiver_id="SCRUBBER"),
        write_837([claim_content()], sender_id="SECOND", receiver_id="SCRUBBER"),
        write_837([claim_content()], sender_id="SECOND", receiver_id="SCRUBBER", separators="|>!\n"),
        write_837([claim_content()], sender_id="SECOND", receiver_id="SCRUBBER", usage="P"),
    ]
    written = acknowledgements([each for text in texts for each in cleared(text)], at=AT, control_number=999_999_998)
    assert [(file.name, file.claims) for file in written.files] == [
        ("277ca_FIRST__999999998.edi", 1),
        ("277ca_SECOND_999999999.edi", 2),
        ("277ca_SECOND_000000002.edi", 1),
    ]
    assert written.next_control_number == 3
    assert [problems(file.content.decode()) for file in written.files] == [[], [], []]
    second, third = interchanges(written.files[1].content.decode())
    assert second.startswith("ISA*00*")
    assert third.startswith("ISA|00|")


def test_a_set_for_each_set() -> None:
    """Each transaction set of the submitter is answered by one of its own, which names it."""
    contents = [claim_content(patient_control_number=f"P{number}") for number in range(3)]
    text = acknowledged(cleared(write_837(contents, per_transaction=2)))
    assert starting(text, "ST*", "TRN*2", "GE") == [
        *("ST*277*0001*005010X214", "TRN*2*000000905-1", "TRN*2*P0", "TRN*2*P1"),
        *("ST*277*0002*005010X214", "TRN*2*000000905-2", "TRN*2*P2"),
        "GE*2*7",
    ]


def test_lone_transaction_set() -> None:
    """A transaction set without an interchange is answered to its submitter's id."""
    text = write_837([claim_content()])
    lone = text[text.index("ST*837") : text.index("GE*")]
    answer = acknowledged(cleared(lone))
    assert starting(answer, "ISA", "GS") == [
        "ISA*00*          *00*          *ZZ*RECEIVERID     *ZZ*SENDERID       *260811*0930*^*00501*000000007*0*P*:",
        "GS*HN*RECEIVERID*SENDERID*20260811*0930*7*X*005010X214",
    ]


def test_names_in_their_encoding() -> None:
    """A name comes back in the bytes in which it was sent."""
    subscriber = {"last_name": "Exámple", "first_name": "Zoë", "member_number": "1EG4TE5MK73"}
    envelopes = cleared(write_837([claim_content(subscriber=subscriber)]))
    assert "NM1*QC*1*Exámple*Zoë*".encode() in only_file(acknowledgements(envelopes, at=AT, control_number=1)).content
    envelopes[0]["claim"]["x12"]["encoding"] = "latin-1"
    file = only_file(acknowledgements(envelopes, at=AT, control_number=1))
    assert "NM1*QC*1*Exámple*Zoë*".encode("latin-1") in file.content


def test_repeated_delivery() -> None:
    """The same answer to the same claim is given once; another answer to it is given too."""
    (envelope,) = cleared(write_837([claim_content()]))
    flagged = answered_with(envelope, a_finding("A7:476"))
    written = acknowledgements([envelope, envelope, flagged, flagged], at=AT, control_number=1)
    assert only_file(written).claims == 2
    assert written.repeated == 2


def test_what_did_not_come_as_x12() -> None:
    """Claims that can't be answered are named with the reason, without any of their values, and the others go on."""
    (good,) = cleared(write_837([claim_content()]))
    as_json = {**good, "claim": {**good["claim"], "x12": None, "claim_id": "JSON-1"}}
    damaged = {**good, "claim": {**good["claim"], "x12": {"sender_id": "A"}, "claim_id": "DAMAGED-1"}}
    unreadable = {**good, "claim": {**good["claim"], "admission_date": "1950-13-01", "claim_id": "BAD-1"}}
    undecided = {**good, "decision": {"disposition": ["maybe"]}}
    untyped = {**good, "claim": {**good["claim"], "claim_type": "dental"}}
    everything = [as_json, damaged, {"claim": {}}, {"decision": 1}, {"claim": {}, "decision": {}}, unreadable]
    written = acknowledgements([*everything, undecided, untyped, good], at=AT, control_number=1)
    assert [(str(error), error.claim_id) for error in written.errors] == [
        ("claim.x12: missing: the claim did not come as X12; expected a claim read from an 837", "JSON-1"),
        ("claim.x12: damaged; expected x12 as it was read from an 837", "DAMAGED-1"),
        ('decision: not an object; expected an envelope {"claim": {…}, "decision": {…}}', None),
        ('claim: not an object; expected an envelope {"claim": {…}, "decision": {…}}', None),
        ("claim.claim_id: missing; expected the id of the claim event", None),
        ("decision.disposition: value not known; expected cleared or flagged", good["claim"]["claim_id"]),
        ("claim.claim_type: value not known; expected professional or institutional", good["claim"]["claim_id"]),
        ("claim.admission_date: not a date; expected a date as YYYY-MM-DD", "BAD-1"),
    ]
    assert [file.claims for file in written.files] == [1]


@pytest.mark.parametrize("control_number", [0, -1, 1_000_000_000])
def test_control_number_out_of_range(control_number: int) -> None:
    """A control number that ISA13 can't hold is refused."""
    with pytest.raises(ValueError, match="expected 1 to 999999999"):
        acknowledgements([], at=AT, control_number=control_number)


@pytest.mark.parametrize("junk", [[], "text", None, 1, {"claim": [], "decision": {}}])
def test_what_is_no_envelope(junk: Any) -> None:
    """Any other JSON is named as no envelope."""
    written = acknowledgements([junk], at=AT, control_number=1)
    assert [str(error)[: len("claim: not an object")] for error in written.errors] == ["claim: not an object"]


@pytest.mark.parametrize("findings", [None, 1, ["text"], [{"severity": "error", "line": "one", "status": 7}]])
def test_damaged_findings(findings: Any) -> None:
    """A flagged claim is rejected whatever its findings look like."""
    (envelope,) = cleared(write_837([claim_content()]))
    envelope["decision"] |= {"disposition": "flagged", "findings": findings}
    assert claim_level(acknowledged([envelope]), "STC")[0].startswith("STC*A3:0*20260811*U*9500")


def test_no_claims() -> None:
    """An empty batch makes no file and uses no control number."""
    written = acknowledgements([], at=AT, control_number=5)
    assert (written.files, written.next_control_number) == ((), 5)


def test_large_batch() -> None:
    """A transaction set never holds more than 5,000 claims, and none is lost."""
    (envelope,) = cleared(write_837([claim_content()]))
    raw = json.dumps(envelope)
    many = [json.loads(raw.replace(envelope["claim"]["claim_id"], f"C-{number}")) for number in range(5_001)]
    file = only_file(acknowledgements(many, at=AT, control_number=1))
    assert file.claims == 5_001
    assert starting(file.content.decode(), "ST*", "QTY*90") == [
        *("ST*277*0001*005010X214", "QTY*90*5000", "ST*277*0002*005010X214", "QTY*90*1"),
    ]


STATUSES = st.sampled_from(["A7:476", "A7:562:85", "A6:21", "A3:735", "A7:164:IL", ""])
FINDINGS = st.lists(
    st.tuples(STATUSES, st.none() | st.integers(1, 3), st.text(max_size=40), st.sampled_from(["error", "warning"])),
    max_size=6,
)


@settings(max_examples=25)
@given(decisions=st.lists(FINDINGS, min_size=1, max_size=6))
def test_any_findings(decisions: list[list[tuple[str, int | None, str, str]]]) -> None:
    """Any findings whatever give a valid 277CA with one answer for each claim."""
    contents = [
        claim_content(patient_control_number=f"P{number}", lines=[a_line(), a_line()])
        for number in range(len(decisions))
    ]
    envelopes = [
        answered_with(
            envelope,
            *(a_finding(status, line, remedy=words, severity=severity) for status, line, words, severity in findings),
        )
        for envelope, findings in zip(decided(write_837(contents)), decisions, strict=True)
    ]
    text = acknowledged(envelopes)
    assert len(starting(text, "TRN*2*P")) == len(decisions)
    rejected = sum(envelope["decision"]["disposition"] == "flagged" for envelope in envelopes)
    assert starting(text, "QTY*AA") == ([f"QTY*AA*{rejected}"] if rejected else [])
