"""What a record of X12 text becomes: claim events and dead letters."""

from __future__ import annotations

import pytest

from rules.engine.examples import a_line, claim_content
from tests.x12.writer_837 import write_837
from worker.splitter import Letter, Sizes, split
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
