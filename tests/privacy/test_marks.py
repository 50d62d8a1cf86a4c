"""The search for marks finds them, whatever they are written in; otherwise the other tests would prove nothing."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
from datetime import date

import pytest
from pydantic import BaseModel

from rules.engine import claim as models
from rules.engine.examples import as_json, claim_content
from tests.privacy.marks import (
    ACCOUNT_STEM,
    BIRTH_DATES,
    MEMBER_NUMBERS,
    PERSON_STEM,
    Marked,
    marks_in,
    nowhere,
    url_encoded,
    written,
)
from tests.privacy.register import IDENTIFYING, NOT_IDENTIFYING
from worker.overrides import Override
from worker.status import ClaimStatus

LEAK = f"{PERSON_STEM}00042"
WRITINGS = {
    "as it stands": LEAK,
    "in small letters": LEAK.lower(),
    "JSON escapes": "".join(f"\\u{ord(each):04x}" for each in LEAK),
    "Python's bytes": "".join(f"\\x{ord(each):02x}" for each in LEAK),
    "an address": url_encoded(LEAK),
    "HTML": "".join(f"&#{ord(each)};" for each in LEAK),
    "hexadecimal": LEAK.encode().hex(),
    "capital hexadecimal": LEAK.encode().hex().upper(),
    "UTF-16": LEAK.encode("utf-16").decode("latin-1"),
    **{f"base64 after {n}": base64.b64encode(b"x" * n + LEAK.encode() + b"yz").decode() for n in range(4)},
    **{f"base64url after {n}": base64.urlsafe_b64encode(b"\xff" * n + LEAK.encode()).decode() for n in range(4)},
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_planted_leak_is_found(writing: str) -> None:
    """A log line that gives a name away fails, however the name is written in it."""
    line = json.dumps({"event": "planted", "reason": WRITINGS[writing]})
    assert marks_in(line) or marks_in(WRITINGS[writing])
    with pytest.raises(AssertionError, match="worker log"):
        nowhere([("worker log", f"before\n{WRITINGS[writing]}\nafter")])


@pytest.mark.parametrize("member_number", MEMBER_NUMBERS)
@pytest.mark.parametrize("n", range(3))
def test_member_numbers_are_found(member_number: str, n: int) -> None:
    """Also those in Medicare's form, which have no stem."""
    assert marks_in(f"of {member_number.lower()}.")
    assert marks_in(base64.b64encode(b"-" * n + member_number.encode()))


def test_birth_dates_are_found_in_any_writing() -> None:
    """As X12, ISO and people of several countries write them, and as Python shows a date."""
    for day in BIRTH_DATES:
        assert all(marks_in(f"born {each}.") for each in written(day))
        assert marks_in(repr(day))
        assert marks_in(html.escape(f"<b>{day:%d.%m.%Y}</b>"))
    assert {"19310719", "1931-07-19", "19.07.1931", "July 19, 1931"} <= written(date(1931, 7, 19))


def test_what_is_no_mark_is_not_found() -> None:
    """Claims without marks, and numbers of accounts where those may stand, are left alone."""
    assert marks_in(as_json(claim_content())) == set()
    assert marks_in(f"{ACCOUNT_STEM}00001", accounts=False) == set()
    assert marks_in(f"{ACCOUNT_STEM}00001") != set()


def test_every_field_is_registered() -> None:
    """A new field of a claim, a status or an override is entered as identifying or not, or this fails."""
    parts = {
        each
        for each in vars(models).values()
        if isinstance(each, type)
        and each.__module__ == models.__name__
        and (dataclasses.is_dataclass(each) or issubclass(each, BaseModel))
        and not each.__name__.startswith("_")
    }
    for model in parts | {ClaimStatus, Override}:
        known = [*IDENTIFYING.get(model, {}), *" ".join(NOT_IDENTIFYING.get(model, {}).values()).split()]
        inherited = {name for base in model.__mro__[1:] for name in getattr(base, "__annotations__", {})}
        fields = [name for name in model.__annotations__ if name not in inherited and not name.startswith("model_")]
        assert sorted(known) == sorted(fields), model.__name__


def test_every_identifying_field_is_marked() -> None:
    """What the tests send has its marks where the register says, in fields that were blank too."""
    content = Marked().content(claim_content(notes=[{"text": "x"}], attachments=[{}], authorizations=[{}], patient={}))
    assert set(content["subscriber"]) >= {"last_name", "first_name", "birth_date", "member_number"}
    for part, names in (
        (content, IDENTIFYING[models.Claim].keys() - {"x12"}),
        (content["lines"][0], IDENTIFYING[models.ServiceLine].keys()),
        (content["patient"], IDENTIFYING[models.Person].keys()),
        (content["authorizations"][0], IDENTIFYING[models.StoredAuthorization].keys()),
        (content["notes"][0], IDENTIFYING[models.Note].keys()),
    ):
        assert [name for name in names if not marks_in(json.dumps(part[name]))] == []
    assert models.Claim.from_json(as_json(content)).claim_id == "EXAMPLE-1"
