"""Keys and marks of members: the published formula, Kafka's own partition, and nothing that says who it is."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import Claim, Patient, RuleSet
from rules.engine.claim import Payer
from rules.engine.examples import as_json, claim_content
from worker.members import Members, partition_of

RULESET = RuleSet.load()
MEMBERS = Members("secret", RULESET.recognised)


def _payer(**named: str) -> Payer:
    return Claim.from_json(as_json(claim_content(payer=named))).payer


MEDICARE = _payer(key="MEDICARE_FFS")


def _patient(first_name: str = "Avery", birth_date: str = "1955-03-01", **changes: Any) -> Patient:
    content = claim_content(**changes)
    content["subscriber"] |= {"first_name": first_name, "birth_date": birth_date}
    return MEMBERS.patient_of(Claim.from_json(as_json(content)))


@given(st.text("ABCDEFGHJKMNPQRTUVWXY0123456789-", min_size=1, max_size=20))
def test_the_key_is_what_the_published_formula_gives(number: str) -> None:
    """Whoever publishes claims can make it with HMAC-SHA256 alone."""
    digest = hmac.new(b"secret", f"MEDICARE_FFS|{number}".encode(), hashlib.sha256).digest()
    key = MEMBERS.key_of(MEDICARE, number)

    assert key == base64.urlsafe_b64encode(digest[:12])
    assert len(key) == 16


def test_a_key_stays_what_it_is() -> None:
    """Another key for the same member would lose its history."""
    assert MEMBERS.key_of(MEDICARE, "1EG4TE5MK73") == b"fA1f3iE4TKdDzM4o"
    assert MEMBERS.key_of_claim(Claim.from_json(as_json(claim_content()))) == b"fA1f3iE4TKdDzM4o"


@pytest.mark.parametrize("number", ["1eg4te5mk73", " 1EG4TE5MK73 ", "\t1eg4TE5mk73\n"])
def test_case_and_blanks_around_a_member_number_do_not_count(number: str) -> None:
    """One member is not two because a sender types differently."""
    assert MEMBERS.key_of(MEDICARE, number) == MEMBERS.key_of(MEDICARE, "1EG4TE5MK73")


@pytest.mark.parametrize("number", ["", "  ", "\t"])
def test_without_a_number_there_is_no_member(number: str) -> None:
    """A blank number would make one member of all who have none."""
    assert MEMBERS.key_of(MEDICARE, number) is None


@pytest.mark.parametrize(
    "other",
    [
        Members("another secret", RULESET.recognised).key_of(MEDICARE, "W1"),
        MEMBERS.key_of(_payer(key="AETNA"), "W1"),
        MEMBERS.key_of(MEDICARE, "W2"),
        MEMBERS.key_of(_payer(name="Lone Star Mutual"), "W1"),
    ],
)
def test_another_secret_payer_or_number_gives_another_key(other: bytes) -> None:
    """Each of the three makes the key."""
    assert other != MEMBERS.key_of(MEDICARE, "W1")


def test_a_payer_is_one_however_it_is_named() -> None:
    """By its own key or by what an 837 says of it, its members are the same."""
    named = _payer(name="AETNA", payer_id="60054", filing_indicator="CI")

    assert MEMBERS.key_of(named, "W1") == MEMBERS.key_of(_payer(key="AETNA"), "W1")


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (_payer(name="A", payer_id="X1"), _payer(name="B", payer_id="X1"), _payer(name="A", payer_id="X2")),
        (_payer(name="Lone Star"), _payer(name="LONE STAR"), _payer(name="Star Lone")),
        (_payer(key="LONE_STAR"), _payer(key="LONE_STAR"), _payer(key="STAR_LONE")),
    ],
)
def test_payers_without_a_profile_are_told_apart(one: Payer, same: Payer, other: Payer) -> None:
    """By the identifier, else the name in any case, else the key: two small payers may give the same member number."""
    assert MEMBERS.key_of(one, "W1") == MEMBERS.key_of(same, "W1")
    assert MEMBERS.key_of(one, "W1") != MEMBERS.key_of(other, "W1")


def test_fingerprints_tell_secrets_apart() -> None:
    """The same secret has the same one, and it is not the secret."""
    assert MEMBERS.fingerprint == Members("secret", RULESET.recognised).fingerprint
    assert MEMBERS.fingerprint != Members("Secret", RULESET.recognised).fingerprint
    assert "secret" not in MEMBERS.fingerprint


def test_twins_are_two_patients() -> None:
    """Marks are of birth date and first name; they say neither."""
    avery, blake = _patient("Avery"), _patient("Blake")

    assert avery.birth_date == blake.birth_date
    assert avery.first_name != blake.first_name
    assert not avery.may_be(blake)
    assert not {"1955-03-01", "Avery", "avery"} & set(avery)


@pytest.mark.parametrize("first_name", ["AVERY", "avery", "Avery J.", " avery  jordan"])
def test_the_first_of_the_first_names_tells_in_any_case(first_name: str) -> None:
    """Senders add initials, or not."""
    assert _patient(first_name) == _patient("Avery")


def test_what_is_not_known_of_a_patient_has_no_mark() -> None:
    """And tells nobody apart."""
    nobody = _patient("", "")

    assert nobody == Patient()
    assert nobody.may_be(_patient())


def test_the_patient_is_who_was_treated() -> None:
    """A dependent under the subscriber's number is another patient than the subscriber."""
    child = {"last_name": "Example", "first_name": "Robin", "birth_date": "2001-11-20", "sex": "M"}

    assert _patient(patient=child) == _patient("Robin", "2001-11-20")
    assert not _patient(patient=child).may_be(_patient())


@pytest.mark.parametrize(
    ("key", "murmur2"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_a_key_goes_to_the_partition_of_kafkas_own_partitioner(key: bytes, murmur2: int) -> None:
    """The hashes are those of Kafka's own tests."""
    for partitions in (1, 7, 12):
        assert partition_of(key, partitions) == (murmur2 & 0x7FFFFFFF) % partitions
