"""Cleared claims → 837 files: what is read again is what went in, and pyx12 finds nothing wrong with them."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.engine.examples import claim_content, facility_claim_content
from tests.x12.answering import AT, a_finding, answered_with, cleared, only_file, segments, starting, text_of
from tests.x12.oracle import interchanges, problems, with_known_version
from tests.x12.writer_837 import write_837
from worker.x12 import Event, read_events
from worker.x12.envelope import Written
from worker.x12.export_837 import export

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.837"))
PARTS = ("billing_provider", "subscriber", "patient", "claim")
ENVELOPE = ("sender_qualifier", "sender_id", "receiver_qualifier", "receiver_id", "usage", "separators", "encoding")
OTHER_CLINIC = {"name": "Other Example Clinic", "entity_type": "organization", "npi": "1184567893", "tax_number": "1"}
CASEY = {"last_name": "Example", "first_name": "Casey", "birth_date": "1980-01-01", "sex": "F"}
ROBIN = {"last_name": "Example", "first_name": "Robin", "birth_date": "1982-01-01", "sex": "M"}


def segments_of(claim: dict[str, Any]) -> tuple[Any, ...]:
    """All that is a claim's own: its segments, and who sent it to whom."""
    x12 = claim["x12"]
    header = [text for text in x12["header"]["segments"].split(x12["separators"][3]) if not text.startswith("BHT")]
    parts = [x12[part] and x12[part]["segments"] for part in PARTS]
    return (claim["claim_type"], x12["version"], tuple(header), *parts, *(x12[name] for name in ENVELOPE))


def read_again(written: Written) -> list[dict[str, Any]]:
    """The claims of all files, every one of which can be read."""
    claims = []
    for file in written.files:
        for item in read_events(io.BytesIO(file.content)):
            assert isinstance(item, Event), str(item)
            claims.append(json.loads(item.raw))
    return claims


def exported(envelopes: list[dict[str, Any]]) -> str:
    """The one file for them, in which pyx12 finds nothing wrong and from which the same claims are read."""
    written = export(envelopes, at=AT, control_number=7)
    text = text_of(written)
    assert problems(text) == []
    assert Counter(map(segments_of, read_again(written))) == Counter(segments_of(each["claim"]) for each in envelopes)
    return text


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples(sample: Path) -> None:
    """Every claim of every sample comes back equal in every segment, from valid files."""
    envelopes = cleared(sample.read_bytes().decode())
    written = export(envelopes, at=AT, control_number=1)
    assert written.errors == ()
    assert Counter(map(segments_of, read_again(written))) == Counter(segments_of(each["claim"]) for each in envelopes)
    assert [problems(with_known_version(file.content.decode())) for file in written.files] == [[]] * len(written.files)


def test_all_samples_at_once() -> None:
    """The same holds for a batch of claims from many files in any order."""
    envelopes = [each for sample in SAMPLES for each in cleared(sample.read_bytes().decode())]
    random.Random(63685).shuffle(envelopes)
    written = export(envelopes, at=AT, control_number=1)
    distinct = {(each["claim"]["claim_id"], segments_of(each["claim"])) for each in envelopes}
    again = read_again(written)
    assert sum(file.claims for file in written.files) == len(again) == len(envelopes) - written.repeated
    assert set(map(segments_of, again)) == {segments for _, segments in distinct}
    assert all(problems(with_known_version(file.content.decode())) == [] for file in written.files)


def test_envelopes_hierarchy_and_counts_are_made_anew() -> None:
    """All around the claim's own segments is new: control numbers, reference and time of BHT, HL, counts."""
    (envelope,) = cleared(write_837([claim_content()]))
    text = exported([envelope])
    own = [
        envelope["claim"]["x12"][part]["segments"].split("~") for part in ("billing_provider", "subscriber", "claim")
    ]
    assert segments(text) == [
        "ISA*00*          *00*          *ZZ*SENDERID       *ZZ*RECEIVERID     *260811*0930*^*00501*000000007*0*T*:",
        "GS*HC*SENDERID*RECEIVERID*20260811*0930*7*X*005010X222A1",
        "ST*837*0001*005010X222A1",
        "BHT*0019*00*0000000070001*20260811*0930*CH",
        *envelope["claim"]["x12"]["header"]["segments"].split("~")[1:],
        "HL*1**20*1",
        *own[0],
        "HL*2*1*22*0",
        *own[1],
        *own[2],
        f"SE*{sum(map(len, own)) + 8}*0001",
        "GE*1*7",
        "IEA*1*000000007",
    ]


def test_nothing_flagged_is_in_it() -> None:
    """Flagged claims are left out and counted."""
    contents = [claim_content(patient_control_number=f"PCN-{number}") for number in range(3)]
    envelopes = cleared(write_837(contents))
    envelopes[1] = answered_with(envelopes[1], a_finding("A7:476", 1))
    written = export(envelopes, at=AT, control_number=1)
    assert written.flagged_left_out == 1
    assert [claim.split("*")[1] for claim in starting(text_of(written), "CLM")] == ["PCN-0", "PCN-2"]
    none = export(envelopes[1:2], at=AT, control_number=1)
    assert (none.files, none.flagged_left_out, none.next_control_number) == ((), 1, 1)


def hierarchy(text: str) -> list[str]:
    """The HL segments, with the control numbers of the claims between them."""
    return [part if part.startswith("HL") else part.split("*")[1] for part in starting(text, "HL*", "CLM*")]


def test_claims_share_their_loops() -> None:
    """Same provider, subscriber or patient: one loop, wherever the claims stood."""
    contents = [
        claim_content(patient_control_number="C1", patient=CASEY),
        claim_content(patient_control_number="O1", billing_provider=OTHER_CLINIC),
        claim_content(patient_control_number="R1", patient=ROBIN),
        claim_content(patient_control_number="O2", billing_provider=OTHER_CLINIC),
        claim_content(patient_control_number="C2", patient=CASEY),
    ]
    assert hierarchy(exported(cleared(write_837(contents)))) == [
        *("HL*1**20*1", "HL*2*1*22*1", "HL*3*2*23*0", "C1", "C2", "HL*4*2*23*0", "R1"),
        *("HL*5**20*1", "HL*6*5*22*0", "O1", "O2"),
    ]


@pytest.mark.parametrize("content", [claim_content, facility_claim_content])
def test_own_claims_and_those_of_dependents(content: Callable[..., dict[str, Any]]) -> None:
    """Claims of a subscriber and of its dependents stand under an HL 22 each, the subscriber's first."""
    contents = [content(patient_control_number="S1"), content(patient_control_number="D1", patient=CASEY)]
    dependent, own = reversed(cleared(write_837(contents)))
    dependent["claim"]["x12"]["subscriber"] = own["claim"]["x12"]["subscriber"]
    assert hierarchy(exported([dependent, own])) == [
        *("HL*1**20*1", "HL*2*1*22*0", "S1", "HL*3*1*22*1", "HL*4*3*23*0", "D1"),
    ]


def test_more_claims_of_a_patient_than_a_loop_holds() -> None:
    """After 100 claims of one patient, its HL is repeated."""
    for patient in (None, CASEY):
        contents = [claim_content(patient_control_number=f"P{number}", patient=patient) for number in range(201)]
        text = exported(cleared(write_837(contents)))
        assert len(starting(text, "HL*")) == (4 if patient is None else 5)


def test_no_more_than_5000_claims_in_a_set() -> None:
    """A transaction set never holds more than 5,000 claims, and none is lost."""
    (envelope,) = cleared(write_837([claim_content(patient_control_number="PCN-X")]))
    raw = json.dumps(envelope)
    many = [json.loads(raw.replace("PCN-X", f"P{number}")) for number in range(5_001)]
    file = only_file(export(many, at=AT, control_number=1))
    text = file.content.decode()
    assert file.claims == len(starting(text, "CLM")) == len(set(starting(text, "CLM"))) == 5_001
    assert [part.split("*")[2] for part in starting(text, "ST*")] == ["0001", "0002"]
    assert starting(text, "GE") == ["GE*2*1"]


def test_a_file_for_each_submitter_and_type() -> None:
    """Professional and institutional claims do not share a file, nor do submitters, usages or encodings."""
    contents = [claim_content(), facility_claim_content()]
    envelopes = cleared(write_837(contents)) + cleared(write_837(contents, sender_id="OTHER", usage="P"))
    latin = cleared(write_837([claim_content(patient_control_number="L")]))
    latin[0]["claim"]["x12"]["encoding"] = "latin-1"
    written = export(envelopes + latin, at=AT, control_number=10)
    assert [file.name for file in written.files] == [
        "837p_SENDERID_000000010.837",
        "837i_SENDERID_000000011.837",
        "837p_OTHER_000000012.837",
        "837i_OTHER_000000013.837",
        "837p_SENDERID_000000014.837",
    ]
    assert written.next_control_number == 15


def test_separators_are_kept() -> None:
    """Each claim goes out with the separators it came with, in an interchange of its own where they differ."""
    texts = [write_837([claim_content()], separators=separators) for separators in ("*:^~", "|>!\n", "+:^'")]
    texts[2] = texts[2].replace("+^+00501+", "+U+00501+")  # no repetition separator
    envelopes = [each for text in texts for each in cleared(text)]
    text = text_of(export(envelopes, at=AT, control_number=1))
    assert [each[3] + each[104] + each[82] + each[105] for each in interchanges(text)] == ["*:^~", "|>!\n", "+:^'"]
    assert problems(text) == []


def test_separators_that_do_not_print() -> None:
    """The separators that X12 itself suggests are kept too (pyx12 does not read them)."""
    envelopes = cleared(write_837([claim_content()], separators="\x1d\x1f\x1e\x1c"))
    again = read_again(export(envelopes, at=AT, control_number=1))
    assert list(map(segments_of, again)) == [segments_of(each["claim"]) for each in envelopes]


def test_lone_transaction_set() -> None:
    """A claim from a transaction set without an interchange gets one, with the ids of its submitter and receiver."""
    text = write_837([claim_content()])
    lone = text[text.index("ST*837") : text.index("GE*")]
    written = text_of(export(cleared(lone), at=AT, control_number=7))
    assert segments(written)[:3] == [
        "ISA*00*          *00*          *ZZ*SENDERID       *ZZ*RECEIVERID     *260811*0930*^*00501*000000007*0*P*:",
        "GS*HC*SENDERID*RECEIVERID*20260811*0930*7*X*005010X222A1",
        "ST*837*0001*005010X222A1",
    ]
    assert problems(written) == []


def test_repeated_delivery() -> None:
    """A claim that was delivered twice goes out once."""
    (envelope,) = cleared(write_837([claim_content()]))
    written = export([envelope, envelope], at=AT, control_number=1)
    assert (only_file(written).claims, written.repeated) == (1, 1)


def test_what_did_not_come_as_x12() -> None:
    """A claim that came as JSON has no segments to send: it is named, and the others go out."""
    (good,) = cleared(write_837([claim_content()]))
    bare = {**good, "claim": {**good["claim"], "claim_id": "JSON-1", "x12": None}}
    undecodable = json.loads(json.dumps(good))
    undecodable["claim"]["x12"] |= {"encoding": "latin-1", "claim": {"first_segment": 9, "segments": "CLM*\u4e00"}}
    written = export([bare, undecodable, good], at=AT, control_number=1)
    assert [str(error) for error in written.errors] == [
        "claim.x12: missing: the claim did not come as X12; expected a claim read from an 837",
        "claim.x12: damaged; expected x12 as it was read from an 837",
    ]
    assert [file.claims for file in written.files] == [1]


def test_text_keeps_its_bytes() -> None:
    """A name in latin-1 goes out in latin-1."""
    subscriber = {"last_name": "Exámple", "first_name": "Zoë", "member_number": "1EG4TE5MK73"}
    source = write_837([claim_content(subscriber=subscriber)]).encode("latin-1")
    (event,) = read_events(io.BytesIO(source))
    assert isinstance(event, Event)
    envelope = answered_with({"claim": json.loads(event.raw), "decision": {}})
    content = only_file(export([envelope], at=AT, control_number=1)).content
    assert "NM1*IL*1*Exámple*Zoë*".encode("latin-1") in content


CLAIMS = st.lists(
    st.builds(
        lambda provider, patient, payer, institutional: (facility_claim_content if institutional else claim_content)(
            payer, **({"billing_provider": OTHER_CLINIC} if provider else {}), patient=patient
        ),
        st.booleans(),
        st.sampled_from([None, CASEY, ROBIN]),
        st.sampled_from(["AETNA", "CIGNA"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25)
@given(contents=CLAIMS, separators=st.sampled_from(["*:^~", "|>!\n", "*>^'"]), data=st.data())
def test_any_batch(contents: list[dict[str, Any]], separators: str, data: st.DataObject) -> None:
    """Any claims in any order come back equal in every segment, from valid files."""
    contents = [{**each, "patient_control_number": f"P{number}"} for number, each in enumerate(contents)]
    envelopes = data.draw(st.permutations(cleared(write_837(contents, separators=separators, per_transaction=3))))
    written = export(envelopes, at=AT, control_number=1)
    assert Counter(map(segments_of, read_again(written))) == Counter(segments_of(each["claim"]) for each in envelopes)
    assert all(problems(file.content.decode()) == [] for file in written.files)
