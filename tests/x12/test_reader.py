"""Reading X12: what is tolerated, what is refused and how, in how much memory; and where a field stood."""

from __future__ import annotations

import io
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import Claim, RuleSet
from rules.engine.examples import a_line, claim_content, facility_claim_content
from tests.x12.reading import fields
from tests.x12.writer_837 import write_837
from worker.pipeline import handle
from worker.x12 import Event, X12Error, looks_like_x12, places, read_events

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.837"))


def _three(**options: Any) -> str:
    """Three claims of three people in one transaction set."""
    people = [
        {"member_number": f"W00000000{number}", "last_name": f"Example{number}", "birth_date": "1955-03-01", "sex": "F"}
        for number in (1, 2, 3)
    ]
    contents = [
        claim_content(
            "AETNA", patient_control_number=f"PCN-{number}", subscriber=person, lines=[a_line(), a_line("95972")]
        )
        for number, person in enumerate(people, 1)
    ]
    return write_837(contents, **options)


def _read(content: str | bytes) -> list[Event | X12Error]:
    return list(read_events(io.BytesIO(content.encode() if isinstance(content, str) else content)))


def _events(content: str | bytes) -> list[Event]:
    items = _read(content)
    assert [str(item) for item in items if isinstance(item, X12Error)] == []
    return [item for item in items if isinstance(item, Event)]


def _facts(events: list[Event]) -> list[dict[str, Any]]:
    return [fields(event.claim) for event in events]


# ---- what is tolerated


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: "\r\n\r\n  " + text + "\r\n\x1a",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", ""),
        lambda text: text.replace("\n", "  \n\n  "),
        lambda text: re.sub(r" {2,}", " ", text),
        lambda text: "\n".join(text.replace("\n", "")[start : start + 80] for start in range(0, len(text), 80)),
        lambda text: text.replace("~\nLX*2", "~\nZZZ*something*else~\nLX*2").replace("SE*71", "SE*74"),
        lambda text: text.replace("005010X222A1~", "~", 1),
        lambda text: text.replace("*005010X222A1~\nBHT", "~\nBHT"),
        lambda text: text.replace(":1*Y*A*Y*Y~", ":1~"),
    ],
    ids=[
        "byte order mark",
        "blank lines around",
        "carriage returns",
        "one line",
        "blanks between segments",
        "ISA without padding",
        "lines of 80 characters",
        "an unknown segment",
        "no version in GS08",
        "no version in ST03",
        "no elements after CLM05",
    ],
)
def test_harmless_deviations_change_nothing(change: Callable[[str], str]) -> None:
    """What a careless program does to a file leaves the claims what they are."""
    text = _three()
    changed = change(text)
    assert changed != text
    assert _facts(_events(changed)) == _facts(_events(text))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_claims_do_not_depend_on_how_the_bytes_come(path: Path) -> None:
    """A pipe that gives a byte, or seven, at a time gives the same claims as a file."""
    whole = [str(item) if isinstance(item, X12Error) else item.raw for item in _read(path.read_bytes())]
    assert whole
    for size in (1, 7, 1_000):
        piped = read_events(_Pipe(path.read_bytes(), size))
        assert [str(item) if isinstance(item, X12Error) else item.raw for item in piped] == whole


class _Pipe(io.BytesIO):
    """Gives at most a few bytes at a time."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(min(self._size, size) if size and size > 0 else self._size)


def test_lone_transaction_set_is_read() -> None:
    """ST to SE without envelopes is read too; its claims' ids are the same at each reading."""
    text = _three()
    lone = text[text.index("ST*") : text.index("GE*")]
    events = _events(lone)

    assert _facts(events) == _facts(_events(text))
    assert len({event.claim_id for event in events}) == 3
    assert [event.claim_id for event in events] == [event.claim_id for event in _events(lone)]
    source = events[0].claim.x12
    assert source is not None
    assert (source["sender_id"], source["interchange_control_number"], source["version"]) == ("", "", "005010X222A1")


def test_separators_of_each_interchange_are_its_own() -> None:
    """Interchanges with other separators may follow one another, whatever stands between them."""
    first, second = _three(), _three(separators="|>!\n", interchange_control_number="000000906")
    events = _events(first + "\n\n" + second + first.replace("000000905", "000000907"))

    assert [event.claim_id for event in events] == [
        f"SENDERID-{number}-1-0001-{claim}" for number in ("000000905", "000000906", "000000907") for claim in (1, 2, 3)
    ]


def test_encodings_are_told_apart() -> None:
    """A name is read right in UTF-8 and in latin-1, and the event says which it was."""
    text = _three().replace("Example2", "Exämple")
    for encoding in ("utf-8", "latin-1"):
        events = _events(text.encode(encoding))
        assert [event.claim.subscriber.last_name for event in events] == ["Example1", "Exämple", "Example3"]
        assert [event.claim.x12["encoding"] for event in events if event.claim.x12] == ["utf-8", encoding, "utf-8"]


def test_what_an_event_says_about_its_source() -> None:
    """The trace: control numbers of all envelopes, patient control number, clearinghouse trace, and the segments."""
    text = write_837([claim_content(patient_control_number="PCN-7", clearinghouse_trace_number="TRACE-1")])
    (event,) = _events(text)
    source = event.claim.x12

    assert source is not None
    assert (event.claim.patient_control_number, event.claim.clearinghouse_trace_number) == ("PCN-7", "TRACE-1")
    trace = ("interchange_control_number", "group_control_number", "transaction_control_number", "claim_number")
    assert [source[name] for name in trace] == ["000000905", "1", "0001", 1]  # type: ignore[literal-required]
    segments = text.replace("\n", "").split("~")
    for part in (source["header"], source["billing_provider"], source["subscriber"], source["claim"]):
        own = part["segments"].split("~")
        start = segments.index("ST*837*0001*005010X222A1") + part["first_segment"] - 1
        assert own == segments[start : start + len(own)]


def test_other_payers_never_overwrite_the_subscriber() -> None:
    """Loops 2320, 2330 and 2430 speak of another payer and its own insured."""
    text = (Path(__file__).parent / "samples" / "professional-secondary.837").read_text()
    assert "NM1*IL" in text[text.index("CLM*") :]
    (event,) = _events(text)
    before = text[: text.index("CLM*")]

    assert event.claim.subscriber.last_name == re.findall(r"NM1\*IL\*1\*([^*]+)", before)[-1].strip()
    assert event.claim.payer.name == re.findall(r"NM1\*PR\*2\*([^*]+)", before)[-1].strip()
    assert event.claim.other_payers[0].name
    assert event.claim.other_payers[0].name != event.claim.payer.name


# ---- what is refused


def _broken(text: str) -> list[tuple[str | None, str]]:
    return [(item.claim_id, str(item)) for item in _read(text) if isinstance(item, X12Error)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda text: text[:1_000] + text[1_000:].replace("D8*20260803", "D8*20261303", 1),
            "segment 47 (DTP): lines[0].service_date: not a date; expected a date as CCYYMMDD",
        ),
        (
            lambda text: text.replace("CLM*PCN-2*19000.00", "CLM*PCN-2*19,000.00"),
            "segment 38 (CLM): total_charge_amount: not a number; expected a number",
        ),
        (
            lambda text: text.replace("HL*3*1*22", "HL*3*2*22"),
            "segment 31 (HL): HL02 does not name the HL 20 before it; expected children behind their parent",
        ),
        (
            lambda text: text.replace("HL*3*1*22", "HL*3*1*24"),
            "segment 31 (HL): HL03 is a level that an 837 has not; expected 20, 22 or 23",
        ),
        (
            lambda text: text.replace("PCN-2*", f"PCN-2{'X' * 70_000}*"),
            "segment 38 (CLM): segment too long; expected at most 65536 characters",
        ),
    ],
    ids=["date", "amount", "parent", "level", "length"],
)
def test_broken_claim_is_named_and_its_neighbours_are_read(change: Callable[[str], str], said: str) -> None:
    """One claim is lost, with interchange, transaction, segment and reason; the claims around it are read."""
    items = _read(change(_three()))
    (error,) = [item for item in items if isinstance(item, X12Error)]

    assert str(error).startswith(f"interchange 000000905, group 1, transaction 0001, {said}")
    assert error.claim_id == "SENDERID-000000905-1-0001-2"
    assert [item.claim.patient_control_number for item in items if isinstance(item, Event)] == ["PCN-1", "PCN-3"]


def test_broken_claim_is_kept_as_an_interchange_to_mend() -> None:
    """What is kept of a broken claim reads as that claim once the fault is mended, and names no other."""
    text = _three()
    items = _read(text.replace("PCN-2*19000.00", "PCN-2*19,000.00"))
    (error,) = [item for item in items if isinstance(item, X12Error)]
    assert b"PCN-1" not in error.raw
    (event,) = _events(error.raw.replace(b"19,000.00", b"19000.00"))

    assert fields(event.claim) == fields(_events(text)[1].claim)
    assert event.claim_id == "SENDERID-000000905-1-0001C2-1"  # not that of the first claim of the set


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: text.index("LX*2", text.index("PCN-2"))],
        lambda text: text.replace("HL*3*1*22", "HL*3*2*22"),
        lambda text: text.replace("HL*3*1*22*0~\n", ""),
    ],
    ids=["cut off", "wrong parent", "no HL"],
)
def test_claim_that_nobody_can_be_sure_of_is_not_kept_apart(change: Callable[[str], str]) -> None:
    """A claim of which a part is missing, or whose patient is unsure, must not be sent again as if it were whole."""
    lost = [item for item in _read(change(_three())) if isinstance(item, X12Error) and item.claim_id]
    assert lost
    assert [item.raw for item in lost] == [b""] * len(lost)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda text: text.replace("SE*71", "SE*70"),
            "transaction 0001, segment 71 (SE): SE01 does not count the segments: there are 71",
        ),
        (lambda text: text.replace("*0001~\nGE", "*0002~\nGE"), "segment 71 (SE): SE02 is not the control number"),
        (
            lambda text: text.replace("GE*1*1", "GE*2*1"),
            "group 1: GE01 does not count the transaction sets: there are 1",
        ),
        (lambda text: text.replace("GE*1*1", "GE*1*2"), "group 1: GE02 is not the control number of the GS"),
        (lambda text: text.replace("IEA*1", "IEA*4"), "IEA01 does not count the functional groups: there are 1"),
        (lambda text: text.replace("IEA*1*000000905", "IEA*1*5"), "IEA02 is not the control number of the ISA"),
        (lambda text: text[: text.index("IEA")], "interchange 000000905: interchange without its IEA"),
        (lambda text: re.sub("GE.*~\n", "", text), "group 1: functional group without its GE before IEA"),
        (lambda text: text + "UNB*UNOC:3~", "segment UNB outside of a transaction set"),
        (lambda text: "garbage " + text, "7 characters before an ISA or ST are not X12"),
        (lambda text: text + text[:60], "the ISA segment is incomplete or damaged"),
    ],
)
def test_fault_of_an_envelope_is_named_and_loses_no_claim(change: Callable[[str], str], said: str) -> None:
    """Counts and control numbers are verified; what is wrong is said once, and every claim is read."""
    items = _read(change(_three()))
    (error,) = [item for item in items if isinstance(item, X12Error)]

    assert said in str(error)
    assert (error.claim_id, error.raw) == (None, b"")
    assert len(items) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "X12: empty; expected an X12 interchange (ISA) or transaction set (ST)"),
        ("ISA", "X12: 3 characters in the input are not X12"),
        ("ISA*00*", "X12: the ISA segment is incomplete or damaged"),
        ("\x00\xff\x07" * 400_000, "characters in the input are not X12"),
        ("\ufeff", "X12: empty"),
        (_three().replace("837*0001", "835*0001"), "segment 1 (ST): transaction set 835 is not a claim; expected 837"),
        (
            _three().replace("005010X222A1", "005010X224A2"),
            "segment 1 (ST): version 005010X224A2 is not read; expected 005010X222 (837P) or 005010X223 (837I)",
        ),
    ],
)
def test_input_without_a_readable_claim_gets_one_clear_error(text: str, said: str) -> None:
    """Junk, nothing, a beginning, another transaction: one sentence each, and no claim."""
    (error,) = _read(text.encode("latin-1") if "\ufeff" not in text else text.encode())
    assert isinstance(error, X12Error)
    assert said in str(error)


def test_utf_16_is_named() -> None:
    """Text in UTF-16 is told as such."""
    (error,) = _read(_three().encode("utf-16"))
    assert str(error) == "X12: UTF-16 text; expected ASCII or UTF-8"


def test_cut_off_claim_is_never_taken_for_whole() -> None:
    """Wherever a file is cut, the claim in which it is cut is lost, and those before it are read."""
    text = _three()
    for cut in range(text.index("CLM*PCN-2"), text.index("HL*4"), 5):
        items = _read(text[:cut])
        assert [item.claim.patient_control_number for item in items if isinstance(item, Event)] == ["PCN-1"]
        assert [item.claim_id for item in items if isinstance(item, X12Error)][:1] in (
            ["SENDERID-000000905-1-0001-2"],
            [None],  # not even its CLM is there
        )


def test_dependent_under_the_wrong_subscriber_is_not_read() -> None:
    """A claim is never read as another subscriber's."""
    text = (Path(__file__).parent / "samples" / "professional-dependent.837").read_text()
    number, parent = re.findall(r"HL\*(\d+)\*(\d+)\*23", text)[0]
    items = _read(text.replace(f"HL*{number}*{parent}*23", f"HL*{number}*1*23"))
    assert ["HL02 does not name the HL 22 before it" in str(item) for item in items if isinstance(item, X12Error)][
        :1
    ] == [True]


def test_lost_segment_never_gives_a_claim_to_another_patient() -> None:
    """Whichever segment gets lost, a claim is read as its own patient's with all its lines, or not at all."""
    for text in (_three(), (Path(__file__).parent / "samples" / "professional-dependent.837").read_text()):
        whole = {event.claim.patient_control_number: event.claim for event in _events(text)}
        segments = text.removesuffix("\n").split("\n")
        for lost, segment in enumerate(segments):
            items = _read("\n".join(segments[:lost] + segments[lost + 1 :]))
            assert any(isinstance(item, X12Error) for item in items), segment
            for claim in [item.claim for item in items if isinstance(item, Event)]:
                own = whole[claim.patient_control_number]
                if not segment.startswith("NM1"):
                    assert _patient(claim) == _patient(own), segment
                if not segment.startswith(("LX", "SV", "CLM")):
                    assert len(claim.lines) == len(own.lines), segment


def _patient(claim: Claim) -> Any:
    person = claim.patient or claim.subscriber
    return person.last_name, person.first_name, claim.subscriber.member_number, claim.billing_provider.npi


def test_second_service_of_a_line_is_a_line() -> None:
    """Where an LX got lost, both services are read, and the count that is wrong is reported."""
    text = _three()
    items = _read(text.replace("LX*2~\n", "", 1))
    first = next(item.claim for item in items if isinstance(item, Event))

    assert [line.procedure_code for line in first.lines] == ["63685", "95972"]
    assert next(str(item) for item in items if isinstance(item, X12Error)).endswith("ST and SE included")


# ---- how much memory


class _Endless(io.RawIOBase):
    """A stream made while it is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces

    def read(self, _: int = -1) -> bytes:
        return next(self._pieces, b"")


def _peak_megabytes(stream: Any) -> tuple[int, list[str], float]:
    """Claims, errors, and the most memory it took to read them."""
    tracemalloc.start()
    try:
        claims, errors = 0, []
        for item in read_events(stream):
            if isinstance(item, X12Error):
                errors.append(str(item))
            else:
                claims += 1
        return claims, errors, tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_segment_of_100_megabytes_takes_no_memory() -> None:
    """A segment without end is an error; its claim is lost, and the others are read."""
    head, tail = _three().encode().split(b"PCN-2", 1)
    pieces = [head + b"PCN-2", *[b"X" * 100_000] * 1_000, tail]
    claims, errors, megabytes = _peak_megabytes(_Endless(iter(pieces)))

    assert claims == 2
    assert [error.split(": ")[1] for error in errors] == ["segment too long; expected at most 65536 characters"]
    assert megabytes < 10


def test_junk_of_100_megabytes_takes_no_memory() -> None:
    """So does something that is not X12 at all."""
    claims, errors, megabytes = _peak_megabytes(_Endless(iter([b"\xde\xad\xbe\xef" * 25_000] * 1_000)))
    assert (claims, len(errors)) == (0, 1)
    assert megabytes < 10


def test_memory_does_not_grow_with_the_claims() -> None:
    """A transaction set may have any number of claims."""
    text = _three()
    head, rest = text.split("HL*2*1", 1)
    body = "HL*2*1" + rest.split("SE*", 1)[0]
    few = _peak_megabytes(_Endless(iter([head.encode(), *[body.encode()] * 100])))
    many = _peak_megabytes(_Endless(iter([head.encode(), *[body.encode()] * 1_000])))

    assert (few[0], many[0]) == (299, 2_999)  # the last one is cut off
    assert many[2] < few[2] + 1


def test_claim_without_end_takes_bounded_memory() -> None:
    """A claim with lines without end is lost, and what follows it is read."""
    head, tail = _three().split("LX*2", 1)
    lines = ("LX*2~SV1*HC:99999*1.00*UN*1***1~" * 4_000).encode()
    claims, errors, megabytes = _peak_megabytes(_Endless(iter([head.encode(), *[lines] * 100, b"LX*2", tail.encode()])))

    assert claims == 2
    assert "more than 1048576 characters in one loop; expected claims of at most 999 lines" in errors[0]
    assert megabytes < 60


# ---- whatever the bytes are

_TEXTS = [path.read_bytes() for path in SAMPLES]


@settings(max_examples=300)
@given(st.data())
def test_random_damage_never_raises(data: st.DataObject) -> None:
    """Bytes cut out and put in at random give claims and errors, the same however they come, and nothing else."""
    content = bytearray(data.draw(st.sampled_from(_TEXTS)))
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, len(content)))
        removed = data.draw(st.integers(0, 40))
        content[position : position + removed] = data.draw(
            st.binary(max_size=8)
            | st.sampled_from([b"~", b"*", b":", b"ISA*", b"~ISA*00*", b"~ST*837*1~", b"~HL*1**20~"])
        )
    items = _read(bytes(content))
    piped = read_events(_Pipe(bytes(content), data.draw(st.sampled_from([1, 17, 100]))))
    assert [str(item) if isinstance(item, X12Error) else item.raw for item in piped] == [
        str(item) if isinstance(item, X12Error) else item.raw for item in items
    ]
    for item in items:
        assert isinstance(item, Event | X12Error)
        if isinstance(item, X12Error):
            assert "\n" not in str(item)
            # What is kept of a broken claim is never read unless somebody mends it.
            assert not any(isinstance(again, Event) for again in _read(item.raw))


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_random_bytes_never_raise(content: bytes) -> None:
    """So do bytes of any kind, as they are or behind the beginning of an interchange."""
    for each in (content, _TEXTS[0][:500] + content):
        assert all(isinstance(item, Event | X12Error) for item in _read(each))


# ---- what it is


def test_x12_is_told_by_its_beginning() -> None:
    """Content decides, not a file's name; JSON is not X12."""
    assert all(looks_like_x12(content[:100]) for content in _TEXTS)
    assert looks_like_x12(b"\xef\xbb\xbf\r\n ISA|00|")
    assert looks_like_x12(b"ST*837*0001~BHT*")
    assert not any(map(looks_like_x12, (b"", b'{"claim_id": "ISA*1"}', b"STATUS*837", b"[]")))


# ---- where a field stood


def test_finding_names_the_segment_of_its_field() -> None:
    """A finding of a claim that came as X12 has the number of the segment in the transaction set."""
    content = claim_content("AETNA", diagnoses=[{"code": "M54.5", "kind": "principal"}], lines=[a_line(units="2")])
    text = write_837([content, facility_claim_content()])
    (event, _) = _events(text)
    outcome = handle(event.raw, RuleSet.load())

    assert outcome.decision is not None
    assert outcome.value is not None
    segments = ["", *text[text.index("ST*") :].replace("\n", "").split("~")]
    found = {
        finding.path: place.segment_id
        for finding in outcome.decision.findings
        for place in places(event.claim, [finding.path]).values()
        if segments[place.number].startswith(place.segment_id + "*")
    }
    assert found == {"diagnoses[0].code": "HI", "lines[0].units": "SV1"}
    number = places(event.claim, ["lines[0].units"])["lines[0].units"].number
    assert f'"segment":{number}'.encode() in outcome.value


def test_place_of_every_kind_of_field() -> None:
    """Fields above the claim, in lists and in lines are found; a missing one where its owner begins."""
    text = (Path(__file__).parent / "samples" / "professional-line-providers.837").read_text()
    (event,) = _events(text)
    segments = ["", *text[text.index("ST*") :].replace("\n", "").split("~")]
    expected = {
        "billing_provider.tax_number": ("2010AA", "REF*EI"),
        "billing_provider.nothing": ("2000A", "PRV*BI"),
        "subscriber.birth_date": ("2010BA", "DMG"),
        "payer.name": ("2010BB", "NM1*PR"),
        "lines[0].rendering_provider.npi": ("2420A", "NM1*82"),
        "lines[0].service_date": ("2400", "DTP*472"),
        "lines[0].nothing": ("2400", "SV1"),
        "lines[99].units": ("2400", "LX*1"),
        "$": ("2300", "CLM"),
        "prior_authorization_number_that_is_missing": ("2300", "CLM"),
    }
    found = places(event.claim, expected)

    assert {
        path: (place.loop, segments[place.number].startswith(expected[path][1])) for path, place in found.items()
    } == {path: (loop, True) for path, (loop, _) in expected.items()}


def test_event_is_a_claim_event_like_any_other() -> None:
    """Its JSON is read back as the same claim, segments and separators unchanged."""
    for separators in ("*:^~", "|>!\n", "\x1d\x1f\x1e\x1c"):
        (event,) = _events(write_837([claim_content()], separators=separators))
        again = Claim.from_json(event.raw)
        assert again == event.claim
        assert again.x12 is not None
        assert again.x12["separators"] == separators
