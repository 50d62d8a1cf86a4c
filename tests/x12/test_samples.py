"""The 837 files of the samples are what an independent reader takes for 837s, and our own reading agrees with it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.x12 import oracle
from tests.x12.make_samples import FOLDER, samples
from tests.x12.reading import expected_fields, fields, read_all

SAMPLES = samples()
NAMES = sorted(SAMPLES)


def test_files_are_those_that_are_made() -> None:
    """The committed files are what `python -m tests.x12.make_samples` writes."""
    committed = {path.name: path.read_bytes().decode() for path in FOLDER.glob("*.837")}
    assert committed == {name: sample.text for name, sample in SAMPLES.items()}


@pytest.mark.parametrize("name", NAMES)
def test_sample_is_valid(name: str) -> None:
    """Each sample is valid to pyx12; one of a version that pyx12 has no map for, under the version that it has."""
    text = SAMPLES[name].text
    if name.startswith("version-"):
        assert oracle.problems(text)[0].startswith("Map not found")
        text = oracle.with_known_version(text)
    assert oracle.problems(text) == []


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("CLM*", "CLX*", "Segment CLX"),
        ("*UN*1*", "*XX*1*", "XX"),
        ("DTP*472*D8*20260803~", "", "Mandatory segment"),
        ("D8*20260803", "D8*20260832", "invalid date"),
        ("HL*2*1*22*0", "HL*2*7*22*0", "HL parent"),
        ("ISA*00", "ISA*07", "element of ISA"),
        ("SE*", "SE*9", "count"),
        ("IEA*1*", "IEA*2*", "count"),
    ],
)
def test_oracle_sees_damage(before: str, after: str, problem: str) -> None:
    """What is wrong in a sample is named, and the sample itself is valid again after that."""
    text = SAMPLES["professional.837"].text
    assert before in text
    assert problem in "\n".join(oracle.problems(text.replace(before, after)))
    assert oracle.problems(text) == []


@pytest.mark.parametrize("name", NAMES)
def test_readers_agree(name: str) -> None:
    """Both readers find the same claims and lines: control numbers, charges, codes, modifiers, dates and pointers."""
    text = SAMPLES[name].text
    assert _by_us(text) == _by_pyx12(text)


@pytest.mark.parametrize("name", NAMES)
def test_reading_gives_back_what_was_written(name: str) -> None:
    """Every field that an 837 can carry comes back out of it, for each claim of each sample."""
    events = read_all(SAMPLES[name].text)
    assert [fields(event.claim) for event in events] == [expected_fields(each) for each in SAMPLES[name].contents]


def _by_us(text: str) -> list[Any]:
    return [
        (
            claim.patient_control_number,
            claim.total_charge_amount,
            [
                (
                    line.procedure_code,
                    list(line.modifiers),
                    line.charge_amount,
                    [each.strftime("%Y%m%d") for each in (line.service_date, line.service_date_through) if each],
                    list(line.diagnosis_pointers),
                )
                for line in claim.lines
            ],
        )
        for claim in (event.claim for event in read_all(text))
    ]


def _by_pyx12(text: str) -> list[Any]:
    claims: list[Any] = []
    for segment in oracle.segments(text):

        def value(place: str, segment: Any = segment) -> str:
            return segment.get_value(place) or ""

        match segment.get_seg_id():
            case "CLM":
                claims.append((value("CLM01"), Decimal(value("CLM02")), []))
            case "SV1":
                pointers = [int(pointer) for n in range(1, 5) if (pointer := value(f"SV107-{n}"))]
                claims[-1][2].append((*_procedure(value, "SV101"), Decimal(value("SV102")), [], pointers))
            case "SV2":
                claims[-1][2].append((*_procedure(value, "SV202"), Decimal(value("SV203")), [], []))
            case "DTP" if value("DTP01") == "472":
                claims[-1][2][-1][3].extend(value("DTP03").split("-"))
    return claims


def _procedure(value: Callable[[str], str], place: str) -> tuple[str, list[str]]:
    return value(f"{place}-2"), [modifier for n in range(3, 7) if (modifier := value(f"{place}-{n}"))]
