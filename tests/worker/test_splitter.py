"""What a record of X12 text becomes: claim events and dead letters."""

from __future__ import annotations

import pytest

from rules.engine.examples import a_line, claim_content
from tests.x12.writer_837 import write_837
from worker.splitter import MOST_CLAIMS, Letter, Sizes, split
from worker.x12 import Event

SIZES = Sizes(x12=100_000, claim=20_000)


def _text(*numbers: int) -> str:
    return write_837([claim_content(patient_control_number=f"PCN-{number}") for number in numbers])


def _said(items: list[Event | Letter]) -> list[str]:
    return [str(error) for item in items if isinstance(item, Letter) for error in item.errors]


def test_every_claim_is_an_event() -> None:
    """A record may hold any number of claims."""
    items = split(_text(1, 2, 3).encode(), SIZES)
    assert [item.claim.patient_control_number for item in items if isinstance(item, Event)] == [
        "PCN-1",
        "PCN-2",
        "PCN-3",
    ]
    assert _said(items) == []


def test_broken_claim_is_a_letter_of_its_own() -> None:
    """Only the broken claim is in the dead letter, and the others are events."""
    value = _text(1, 2, 3).replace("PCN-2*9500.00", "PCN-2*9,500.00").encode()
    first, letter, last = split(value, SIZES)

    assert isinstance(first, Event)
    assert isinstance(letter, Letter)
    assert isinstance(last, Event)
    assert letter.value is not None
    assert (b"PCN-2" in letter.value, b"PCN-1" in letter.value, letter.value[:4]) == (True, False, b"ISA*")


def test_faults_of_envelopes_are_one_letter_with_the_record() -> None:
    """Two wrong counts are one dead letter that names both; the claim goes on."""
    value = _text(1).replace("GE*1*", "GE*2*").replace("IEA*1*", "IEA*2*").encode()
    event, letter = split(value, SIZES)

    assert isinstance(event, Event)
    assert isinstance(letter, Letter)
    assert letter.value == value
    assert ["GE01" in _said([letter])[0], "IEA01" in _said([letter])[1]] == [True, True]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "the record has no value"),
        (b"", "the record has no value"),
        (b"x" * 100_001, "100001 bytes; expected at most 100000 bytes (CLAIMSCRUB_MAX_X12_BYTES)"),
        (b"hello", "5 characters in the input are not X12"),
        (_text().encode(), "no claim; expected an 837 with at least one claim"),
        (
            write_837([claim_content(lines=[a_line() for _ in range(150)])]).encode(),
            "bytes; expected at most 20000 bytes (CLAIMSCRUB_MAX_CLAIM_BYTES)",
        ),
    ],
)
def test_what_gives_no_claim_is_one_letter(value: bytes | None, said: str) -> None:
    """Nothing, too much, junk, no claim in it, a claim that is too large: one dead letter each."""
    (letter,) = split(value, SIZES)

    assert isinstance(letter, Letter)
    assert said in _said([letter])[0]
    assert letter.value == value or b"claim_id" in (letter.value or b"")


def _parts() -> tuple[str, str, str]:
    """A text with one claim, cut before the claim and behind it."""
    text = _text(1)
    begin, end = text.index("CLM*"), text.index("SE*")
    return text[:begin], text[begin:end], text[end:]


def _refused(text: str, sizes: Sizes = SIZES, headers_bytes: int = 0) -> str:
    """Why the record as a whole is one dead letter."""
    (letter,) = split(text.encode(), sizes, headers_bytes=headers_bytes)
    assert isinstance(letter, Letter)
    assert letter.value == text.encode()
    (said,) = _said([letter])
    return said


def test_too_many_claims_are_one_letter() -> None:
    """A record of hundreds of thousands of claims, however small, would take all memory."""
    before, _, after = _parts()
    said = _refused(before + "CLM*A~" * (MOST_CLAIMS + 1) + after, Sizes(x12=10_000_000, claim=20_000))
    assert said == "$: more than 50000 claims; expected fewer claims a record"


def test_what_claims_share_does_not_multiply_without_end() -> None:
    """Each claim event repeats envelope and billing provider, which may make a huge number of bytes of few."""
    before, claim, after = _parts()
    shared = before.replace("HL*1*", "REF*1*A~" * 3_000 + "HL*1*", 1)
    said = _refused(shared + claim * 80 + after)
    assert said.startswith("$: its claims would take more than 1600000 bytes")
    assert "16 times CLAIMSCRUB_MAX_X12_BYTES" in said


def test_faults_without_end_are_one_letter() -> None:
    """A record with thousands of broken envelopes is none, and does not take minutes."""
    before, _, _ = _parts()
    said = _refused(before[: before.index("GS*")] + "GS*HC~" * 5_000)
    assert said == "$: more than 1000 faults of envelopes and levels; expected X12 text"


def test_headers_count_with_each_claim() -> None:
    """Headers go on with every claim, so there may be no more than a claim event has room for."""
    assert _refused(_text(1), headers_bytes=40_000) == "$: headers of 40000 bytes; expected at most 32768 bytes"
    assert len(split(_text(1, 2).encode(), SIZES, headers_bytes=30_000)) == 2
    assert "would take more" in _refused(_text(*range(60)), headers_bytes=30_000)


def test_a_pointer_of_thousands_of_digits_is_a_letter() -> None:
    """Python refuses to read such a number, which is no fault of the reader."""
    value = _text(1).replace("*UN*1***1~", f"*UN*1***{'9' * 5_000}~")
    assert value != _text(1)
    (said,) = _said(split(value.encode(), SIZES))
    assert "diagnosis_pointers[0]: not a whole number" in said
