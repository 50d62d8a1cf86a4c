"""Reading claim events: what is a claim, and what the error says about what is not."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import AfterValidator, TypeAdapter

from rules import Claim, ClaimError, claim_schema
from rules.engine.claim import read_json
from rules.engine.examples import a_claim, a_facility_claim, as_json, claim_content, facility_claim_content


def _error(raw: bytes | str) -> ClaimError:
    with pytest.raises(ClaimError) as caught:
        Claim.from_json(raw)
    return caught.value


def test_amounts_are_exact() -> None:
    """Amounts are decimal numbers to the cent, whether they come as a string or as a number."""
    claim = a_claim(total_charge_amount="9500.10")
    other = a_claim(total_charge_amount=9500.1)

    assert claim.total_charge_amount == other.total_charge_amount == Decimal("9500.10")


def test_zeros_behind_an_amount_are_no_fault() -> None:
    """However many there are: the number is the same."""
    assert a_claim(total_charge_amount="9500.1" + "0" * 100_000).total_charge_amount == Decimal("9500.1")


@pytest.mark.parametrize("raw", ['""', '" "', "null", "[]", "0"])
def test_what_is_no_object_is_no_claim(raw: str) -> None:
    """A blank text in the place of the whole claim is not a blank field."""
    assert (_error(raw).path, _error(raw).problem) == ("$", "not an object")


def test_codes_are_normal() -> None:
    """Codes are upper-cased and stripped, so that no rule is missed for a blank or a small letter."""
    claim = a_claim(lines=[{"procedure_code": " l8680 ", "modifiers": ["xs"]}], diagnoses=[{"code": "m96.1"}])

    assert claim.lines[0].procedure_code == "L8680"
    assert claim.lines[0].modifiers == ("XS",)
    assert claim.diagnoses[0].undotted == "M961"


def test_unknown_fields_are_no_error() -> None:
    """A field that is not known here changes nothing; it travels on in the event's own bytes."""
    assert a_claim(their_own={"batch": 7}) == a_claim()


def test_a_changed_claim_is_another_one() -> None:
    """Other values in some fields leave the claim itself as it was."""
    claim = a_claim()

    assert claim.changed(claim_id="other").claim_id == "other"
    assert claim.claim_id == "EXAMPLE-1"
    assert claim.changed(claim_id="EXAMPLE-1") == claim


def test_a_claim_cannot_be_changed() -> None:
    """Claims are frozen."""
    with pytest.raises(FrozenInstanceError):
        a_claim().claim_id = "other"


@pytest.mark.parametrize("blank", ["", "   ", None])
def test_a_blank_date_or_amount_is_missing_not_unreadable(blank: str | None) -> None:
    """A sender that writes blanks for what it lacks gets a finding, not a dead letter."""
    raw = as_json(claim_content(total_charge_amount=blank, received_date=blank))
    claim = Claim.from_json(raw)

    assert claim.total_charge_amount is None
    assert claim.received_date is None


@pytest.mark.parametrize(
    ("changes", "path", "problem"),
    [
        ({"received_date": "20260810"}, "received_date", "not a date"),
        ({"received_date": "1754784000"}, "received_date", "not a date"),
        ({"received_date": 1754784000}, "received_date", "not a date"),
        ({"received_date": "2026-02-30"}, "received_date", "not a date"),
        ({"received_date": "2026-08-10T00:00:00"}, "received_date", "not a date"),
        ({"total_charge_amount": "a lot"}, "total_charge_amount", "not a number"),
        ({"total_charge_amount": True}, "total_charge_amount", "not a number"),
        ({"total_charge_amount": "1E+999999999"}, "total_charge_amount", "number too long"),
        ({"total_charge_amount": "1E-999999999"}, "total_charge_amount", "number too long"),
        ({"total_charge_amount": "0." + "3" * 100_000}, "total_charge_amount", "number too long"),
        ({"case_facts": {"drug_classes": 10**18}}, "case_facts.drug_classes", "number too large"),
        ({"lines": [{"diagnosis_pointers": [-(10**18)]}]}, "lines[0].diagnosis_pointers[0]", "number too small"),
        ({"notes": [{}] * 1_000}, "notes", "array too long"),
        ({"lines": [{"notes": [5] * 999}] * 11}, "$", "10989 faults"),
        ({"total_charge_amount": "NaN"}, "total_charge_amount", "not a finite number"),
        ({"total_charge_amount": "Infinity"}, "total_charge_amount", "not a finite number"),
        ({"claim_type": "dental"}, "claim_type", "value not known"),
        ({"claim_id": ""}, "claim_id", "empty string"),
        ({"claim_id": "two words"}, "claim_id", "not printable ASCII without blanks"),
        ({"claim_id": 7}, "claim_id", "not a string"),
        ({"claim_id": "x" * 129}, "claim_id", "string too long"),
        ({"lines": {}}, "lines", "not an array"),
        ({"lines": [{"units": "one"}]}, "lines[0].units", "not a number"),
        ({"lines": [{}, {"diagnosis_pointers": ["A"]}]}, "lines[1].diagnosis_pointers[0]", "not a whole number"),
        ({"subscriber": None}, "subscriber", "not an object"),
        ({"type_of_bill": 131}, "type_of_bill", "not a string"),
        ({"case_facts": {"trial_done": "yes"}}, "case_facts.trial_done", "not true or false"),
    ],
)
def test_an_error_names_the_path_the_problem_and_what_is_expected(
    changes: dict[str, Any], path: str, problem: str
) -> None:
    """The error says where in the JSON, what is wrong and what should be there, and repeats no value."""
    error = _error(as_json(claim_content(**changes)))

    assert error.path == path
    assert error.problem == problem
    assert error.expected
    assert str(error) == f"{path}: {problem}; expected {error.expected}"
    if "claim_id" not in changes:
        assert error.claim_id == "EXAMPLE-1"


@pytest.mark.parametrize("field", ["claim_id", "claim_type"])
def test_id_and_type_are_needed(field: str) -> None:
    """A claim without an id or a type is not a claim."""
    content = claim_content()
    del content[field]
    error = _error(as_json(content))

    assert (error.path, error.problem) == (field, "missing")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"junk",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"claim_id":"\xff"}',
        b"[" * 100_000,
        b'{"claim_id":"C","claim_type":"professional","x":NaN}',
        b'{"claim_id":"C","claim_type":"professional","x":-Infinity}',
        b'{"claim_id":"C","claim_type":"professional","total_charge_amount":"","x":NaN}',
        b'{"claim_id":"C","claim_type":"professional","x":"NaN","y":' + b"9" * 5_000 + b"}",
        b'{"claim_id":"C","claim_type":"professional","total_charge_amount":1e400,"y":' + b"9" * 5_000 + b"}",
    ],
)
def test_what_is_not_json_is_an_error(raw: bytes) -> None:
    """Bytes that no strict JSON reader would take are refused as such, whatever field they are in."""
    error = _error(raw)

    assert "not JSON" in error.problem or error.path == "total_charge_amount"


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"text"', b"7"])
def test_json_that_is_no_object_is_an_error(raw: bytes) -> None:
    """A claim event is one JSON object."""
    assert _error(raw).problem == "not an object"


def test_a_word_that_looks_like_nan_is_just_text() -> None:
    """Names such as NaNcy do not make a claim unreadable."""
    claim = a_claim(notes=[{"text": "seen by NaNcy at Infinity clinic"}])

    assert claim.notes[0].text.endswith("clinic")


def test_blanks_are_missing_wherever_they_stand() -> None:
    """Blank amounts of lines, blank facts and several blank pointers of a line are all just missing."""
    lines = [{"units": "", "diagnosis_pointers": ["", 1, " "], "service_date": ""}, {"charge_amount": ""}]
    claim = a_claim(lines=lines, case_facts={"trial_done": "", "device_mode": ""})

    assert claim.lines[0].units is None
    assert claim.lines[0].diagnosis_pointers == (1,)
    assert claim.lines[1].charge_amount is None
    assert claim.case_facts.trial_done is None


def test_a_blank_type_is_a_missing_type() -> None:
    """A blank where something is needed is an error that says so."""
    error = _error(as_json(claim_content(claim_type="")))

    assert (error.path, error.problem) == ("claim_type", "missing")


@pytest.mark.parametrize("raw", ['""', '" "', "null"])
def test_a_blank_instead_of_a_claim_is_no_claim(raw: str) -> None:
    """JSON that is nothing but a blank is told apart from a claim with a blank in it."""
    assert _error(raw).path == "$"


def test_the_id_of_an_unreadable_claim_is_given_where_it_can_be_read() -> None:
    """The id helps to find the claim; where the rest is no JSON it is not looked for."""
    assert _error('{"claim_id":"C1","claim_type":"dental"}').claim_id == "C1"
    assert _error('{"claim_id":"C1","claim_type":"dental","x":NaN}').claim_id is None
    assert _error('{"claim_id":["C1"],"claim_type":"dental"}').claim_id is None


def test_blanks_beside_another_error_do_not_hide_it() -> None:
    """A blank date does not keep the error of another field from being named."""
    error = _error(as_json(claim_content(received_date="", total_charge_amount="x")))

    assert error.path in {"received_date", "total_charge_amount"}


def test_the_line_overrides_the_claim() -> None:
    """Place of service and rendering provider of a line win over the claim's."""
    claim = a_claim(lines=[{"place_of_service": "24", "rendering_provider": {"npi": "1"}}, {}])
    first, second = claim.lines

    assert (claim.place_of_service_on(first), claim.place_of_service_on(second)) == ("24", "22")
    assert claim.rendering_provider_on(first) != claim.rendering_provider_on(second) == claim.rendering_provider


def test_pointers_name_diagnoses() -> None:
    """A professional line points to diagnoses; an institutional line stands for the whole list."""
    diagnoses = [{"code": "M96.1"}, {"code": "G89.4"}]
    professional = a_claim(diagnoses=diagnoses, lines=[{"diagnosis_pointers": [2, 9, 0]}])
    institutional = a_facility_claim(diagnoses=diagnoses)

    assert [each.code for each in professional.diagnoses_pointed_to(professional.lines[0])] == ["G89.4"]
    assert len(institutional.diagnoses_pointed_to(institutional.lines[0])) == 2


def test_dates_that_stand_for_the_claim() -> None:
    """The claim's own date is the earliest line's, else the statement's start, else the receipt's."""
    lines = [{"service_date": "2026-08-05"}, {"service_date": "2026-08-04"}]

    assert a_claim(lines=lines).first_service_date == date(2026, 8, 4)
    assert a_facility_claim(lines=[{}]).first_service_date == date(2026, 8, 3)
    assert a_claim(lines=[{}]).first_service_date == date(2026, 8, 10)


def test_the_patient_is_the_dependent_if_there_is_one() -> None:
    """The birth date is the dependent's where the patient is not the subscriber."""
    assert a_claim().patient_birth_date == date(1955, 3, 1)
    assert a_claim(patient={"birth_date": "1980-01-02"}).patient_birth_date == date(1980, 1, 2)


def test_frequency_of_an_institutional_claim_may_stand_in_the_bill_type() -> None:
    """The fourth character of the type of bill is the frequency where no frequency code is given."""
    assert a_facility_claim(frequency_code="", type_of_bill="0138").is_void
    assert not a_facility_claim().is_void


def test_published_schema_accepts_the_examples_and_refuses_what_is_refused() -> None:
    """The JSON Schema that integrators generate code from agrees with the reader."""
    validator = Draft202012Validator(claim_schema())

    for content in (claim_content(), facility_claim_content()):
        assert list(validator.iter_errors(json.loads(as_json(content)))) == []
    wrong: list[dict[str, Any]] = [{"claim_type": "dental"}, {"claim_id": ""}, {"lines": {}}, {"type_of_bill": 131}]
    for changes in wrong:
        assert list(validator.iter_errors(json.loads(as_json(claim_content(**changes)))))


def test_a_reader_that_fails_names_itself_and_nothing_of_the_claim() -> None:
    """A fault of the reader makes a dead letter of one event, and does not stop those behind it."""

    def fails(text: str) -> str:
        raise RuntimeError(text)

    reader = TypeAdapter(Annotated[str, AfterValidator(fails)])
    with pytest.raises(ClaimError) as raised:
        read_json(reader, '"of a member"', "claimscrub schema")

    assert (
        str(raised.value) == "$: the reader failed with RuntimeError; expected what the schema says (claimscrub schema)"
    )
