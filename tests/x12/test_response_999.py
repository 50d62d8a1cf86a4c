"""What was read → 999: a submitter sees which transaction set was accepted, and which segment was not."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from rules.engine.examples import claim_content, facility_claim_content
from tests.x12.answering import AT, only_file, segments, starting
from tests.x12.oracle import problems
from tests.x12.writer_837 import write_837
from worker.x12 import X12Error, read_with_ends
from worker.x12.envelope import Written
from worker.x12.response_999 import syntax_acknowledgements

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.837"))


def acknowledged(text: str | bytes) -> Written:
    """The answer to X12 text, in which pyx12 finds nothing wrong."""
    content = text.encode() if isinstance(text, str) else text
    written = syntax_acknowledgements(read_with_ends(io.BytesIO(content)), at=AT, control_number=7)
    assert [problems(file.content.decode("latin-1")) for file in written.files] == [[]] * len(written.files)
    return written


def answer(text: str) -> list[str]:
    """The segments between ST and SE of the answer to one functional group."""
    return segments(only_file(acknowledged(text)).content.decode())[3:-3]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples(sample: Path) -> None:
    """Each sample is accepted."""
    written = acknowledged(sample.read_bytes())
    assert written.errors == ()
    for file in written.files:
        text = file.content.decode()
        assert text.count("AK9" + text[3] + "A") == text.count("AK1" + text[3]) > 0


def test_accepted() -> None:
    """A group without errors: each of its transaction sets and the group are accepted."""
    contents = [claim_content(patient_control_number=f"P{number}") for number in range(3)]
    file = only_file(acknowledged(write_837(contents, per_transaction=2)))
    assert (file.name, file.claims) == ("999_SENDERID_000000007.edi", 3)
    assert segments(file.content.decode()) == [
        "ISA*00*          *00*          *ZZ*RECEIVERID     *ZZ*SENDERID       *260811*0930*^*00501*000000007*0*T*:",
        "GS*FA*RECEIVERID*SENDERID*20260811*0930*7*X*005010X231A1",
        "ST*999*0001*005010X231A1",
        "AK1*HC*1*005010X222A1",
        "AK2*837*0001*005010X222A1",
        "IK5*A",
        "AK2*837*0002*005010X222A1",
        "IK5*A",
        "AK9*A*2*2*2",
        "SE*8*0001",
        "GE*1*7",
        "IEA*1*000000007",
    ]


def test_claim_that_can_not_be_read() -> None:
    """A set is accepted with errors when other claims of it were read; the segment is named."""
    text = write_837([claim_content(), claim_content()])
    assert answer(text.replace("DTP*472*D8*20260803", "DTP*472*D8*2026080X", 1)) == [
        "AK1*HC*1*005010X222A1",
        "AK2*837*0001*005010X222A1",
        "IK3*DTP*27**8",
        "IK5*E*5",
        "AK9*E*1*1*1",
    ]


def test_no_claim_can_be_read() -> None:
    """A set of which no claim could be read is rejected, and with it a group that has no other."""
    text = write_837([claim_content()]).replace("DTP*472*D8*20260803", "DTP*472*D8*2026080X")
    assert answer(text)[-3:] == ["IK3*DTP*27**8", "IK5*R*5", "AK9*R*1*1*0"]


def test_partly_accepted_group() -> None:
    """A group with an accepted and a rejected set is partly accepted."""
    text = write_837([claim_content(), claim_content()], per_transaction=1)
    assert answer(text.replace("DTP*472*D8*20260803", "DTP*472*D8*X", 1))[-5:] == [
        *("IK3*DTP*27**8", "IK5*R*5", "AK2*837*0002*005010X222A1", "IK5*A", "AK9*P*2*2*1"),
    ]


def test_counts_and_control_numbers() -> None:
    """Wrong counts and control numbers of SE and GE are said with their codes."""
    text = write_837([claim_content()])
    number = text[text.index("SE*") + 3 : text.index("*0001", text.index("SE*"))]
    wrong = text.replace(f"SE*{number}*0001", "SE*5*0009").replace("GE*1*1", "GE*3*4")
    assert answer(wrong)[-2:] == ["IK5*E*4*3", "AK9*E*1*1*1*5*4"]


def test_cut_off() -> None:
    """A claim without its end lacks a segment; the set and the group lack their trailers."""
    text = write_837([claim_content(), claim_content(patient_control_number="LAST")])
    cut = text[: text.index("LX*1", text.index("LAST"))]
    number = cut.count("~") - 2 + 1 - 1
    assert answer(cut)[2:] == [f"IK3*SE*{number}**3", "IK5*E*2*5", "AK9*E*1*1*1*3"]


def test_not_a_claim() -> None:
    """A transaction set that is no 837 is rejected as not supported, and the others are read."""
    text = write_837([claim_content(), claim_content()], per_transaction=1).replace("ST*837*0001", "ST*835*0001")
    assert answer(text)[1:] == [
        *("AK2*835*0001*005010X222A1", "IK5*R*1", "AK2*837*0002*005010X222A1", "IK5*A", "AK9*P*2*2*1"),
    ]


def test_elements() -> None:
    """Errors of elements come under their segment, each once, in the order of the segments."""
    text = write_837([claim_content()])
    items = list(read_with_ends(io.BytesIO(text.encode())))
    errors = [
        X12Error("-", "-", transaction="0001", segment=number, segment_id=segment_id, element=element, code=code)
        for number, segment_id, element, code in (
            *((30, "SV1", 2, "6"), (30, "SV1", 1, "unknown"), (30, "SV1", 2, "6"), (20, "CLM", None, "unknown")),
            *((21, "HI", None, "2"), (40, "SE", 1, "unknown")),
        )
    ]
    written = syntax_acknowledgements([*errors, *items], at=AT, control_number=1)
    text = only_file(written).content.decode()
    assert problems(text) == []
    assert starting(text, "IK") == [
        *("IK3*CLM*20**8", "IK3*HI*21**2", "IK3*SV1*30**8", "IK4*1**7", "IK4*2**6", "IK5*E*5"),
    ]


def test_an_answer_for_each_group_and_submitter() -> None:
    """Every functional group has its transaction set, every submitter its file."""
    contents = [claim_content(), facility_claim_content()]
    text = write_837(contents) + write_837(contents, sender_id="OTHER")
    written = acknowledged(text)
    assert [(file.name, file.claims) for file in written.files] == [
        ("999_SENDERID_000000007.edi", 2),
        ("999_OTHER_000000008.edi", 2),
    ]
    assert starting(written.files[0].content.decode(), "AK1", "ST*") == [
        *("ST*999*0001*005010X231A1", "AK1*HC*1*005010X222A1"),
        *("ST*999*0002*005010X231A1", "AK1*HC*2*005010X223A2"),
    ]
    assert written.next_control_number == 9


def test_lone_transaction_set() -> None:
    """A transaction set without a functional group can't be acknowledged: it is named."""
    text = write_837([claim_content()])
    written = acknowledged(text[text.index("ST*837") : text.index("GE*")])
    assert written.files == ()
    assert [str(error) for error in written.errors] == [
        "transaction 0001: no functional group around it; expected GS and GE to acknowledge"
    ]


def test_blank_control_numbers() -> None:
    """Control numbers that are missing are answered with zero, as the answer must have some."""
    text = write_837([claim_content()]).replace("ST*837*0001*005010X222A1", "ST*837").replace("*1*X*005", "**X*005")
    assert answer(text)[:2] == ["AK1*HC*0000*005010X222A1", "AK2*837*0000"]


def test_separator_in_a_control_number() -> None:
    """What is echoed can't break the answer."""
    text = write_837([claim_content()]).replace("ST*837*0001", "ST*837*00:01")
    assert answer(text)[1] == "AK2*837*00 01*005010X222A1"


def test_random_damage() -> None:
    """However a transaction set is damaged, the answer is one that pyx12 finds nothing wrong with."""
    chance = random.Random(999)
    source = write_837([claim_content(patient_control_number=f"P{number}") for number in range(4)])
    body = source.index("BHT*"), source.index("SE*")
    answers = set()
    for _ in range(60):
        damaged = list(source)
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(*body)] = chance.choice("*:~^A0 ")
        answers |= set(starting(only_file(acknowledged("".join(damaged))).content.decode(), "IK5"))
    assert {"IK5*A", "IK5*E*5"} <= answers
