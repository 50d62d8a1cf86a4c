"""Repair of dead letters, and what is asked of a release, without a broker."""

from __future__ import annotations

import json

import pytest

from rules import Claim, ClaimError
from rules.engine.examples import a_line, as_json, claim_content
from tests.x12.make_samples import samples
from worker.console.repair import advice, checked, release, resubmit, suggestion, with_field
from worker.console.views import Place
from worker.members import Members
from worker.settings import Settings

SETTINGS = Settings()
MEMBERS = Members("", lambda payer: payer.key)
BROKEN = as_json(claim_content(claim_id="C1", lines=[a_line(units="two"), a_line()])).encode()


def _reason(raw: bytes) -> str:
    with pytest.raises(ClaimError) as refused:
        Claim.from_json(raw)
    return str(refused.value)


def test_the_field_that_a_reason_names_is_put_right() -> None:
    """From the reason alone comes the field, and with another value in it the event is a claim; the rest stays."""
    path = suggestion(_reason(BROKEN))
    assert path == "lines[0].units"
    repaired = with_field(BROKEN, path, '"1"')

    assert checked(repaired, SETTINGS) == "C1"
    content = json.loads(BROKEN)
    content["lines"][0]["units"] = "1"
    assert json.loads(repaired) == content


def test_a_missing_field_is_put_in() -> None:
    """A claim without its id, for one."""
    raw = json.dumps({"claim_type": "professional"}).encode()
    path = suggestion(_reason(raw))
    assert path == "claim_id"

    assert checked(with_field(raw, path, '"C7"'), SETTINGS) == "C7"


@pytest.mark.parametrize(
    "reason",
    [
        "$: not JSON: EOF at line 1; expected one JSON object in UTF-8",
        "X12: no segment; expected an 837",
        "interchange 000000001, transaction 0001, segment 5 (DTP): lines[0].service_date: not a date; expected a date",
        "member_number: blank; expected the member's number",
        "",
    ],
)
def test_a_reason_that_names_no_field_of_a_claim_suggests_none(reason: str) -> None:
    """The whole, a place in X12, a field of another kind of event."""
    assert suggestion(reason) is None


@pytest.mark.parametrize(
    ("raw", "path", "value", "said"),
    [
        (b"{", "claim_id", "1", "not JSON; expected an event that is one JSON object"),
        (b"[]", "claim_id", "1", "not a JSON object"),
        (b"{}", "claim_id", "C1 Qwertz", "claim_id: not JSON; expected a JSON value"),
        (b"{}", "claim_id", "NaN", "claim_id: not JSON"),
        (b"{}", "claim_id", "1e999", "claim_id: not JSON"),
        (b'{"lines": []}', "lines[0].units", "1", r"lines\[0\]\.units: no such place"),
        (b'{"lines": []}', "lines[0]", "1", r"lines\[0\]: no such place"),
        (b'{"lines": "Qwertz"}', "lines.units", "1", r"lines\.units: no such place"),
        (b"{}", "$", "1", "no such place"),
    ],
)
def test_what_cannot_be_put_right_so_is_said(raw: bytes, path: str, value: str, said: str) -> None:
    """The field and the way out are named, and no value."""
    with pytest.raises(ClaimError, match=said) as refused:
        with_field(raw, path, value)
    assert "Qwertz" not in str(refused.value)


def test_an_837_of_one_claim_is_a_claim() -> None:
    """A claim lost in X12 may be sent again as mended X12; what holds several is sent another way."""
    one, several = samples()["professional.837"].text, samples()["professional-many.837"].text

    assert checked(one.encode(), SETTINGS)
    with pytest.raises(ClaimError, match=r"more than one claim; .*claimscrub submit FILE"):
        checked(several.encode(), SETTINGS)


def test_what_workers_would_refuse_again_is_not_sent() -> None:
    """An event that is no claim yet, or larger than they take."""
    with pytest.raises(ClaimError, match=r"lines\[0\]\.units"):
        checked(BROKEN, SETTINGS)
    large = as_json(claim_content(more="x" * 2_000)).encode()
    with pytest.raises(ClaimError, match=r"at most 1024 bytes \(CLAIMSCRUB_MAX_CLAIM_BYTES\)"):
        checked(large, Settings(max_claim_bytes=1_024))


def test_dead_letters_that_were_no_claims_come_with_advice() -> None:
    """A payer's answer and a release are not sent again as claims."""
    assert "claimscrub status import" in advice(Place("claims.status", 0, 1), SETTINGS)
    assert "Release the claim anew" in advice(Place("claims.overrides", 0, 1), SETTINGS)
    assert advice(Place("claims.submitted", 0, 1), SETTINGS) == ""
    assert advice(None, SETTINGS) == ""


def test_only_the_topic_that_is_meant_is_read() -> None:
    """Neither a dead letter nor a flagged claim is taken from anywhere else, and whoever acts has a name."""
    place = Place("claims.cleared", 0, 0)
    with pytest.raises(ClaimError, match=r"of topic claims\.cleared; expected a record of claims\.deadletter"):
        resubmit(SETTINGS, MEMBERS, place, b"{}", "kim")
    with pytest.raises(ClaimError, match=r"of topic claims\.cleared; expected a record of claims\.flagged"):
        release(SETTINGS, place, "kim", "a good reason")
    for user in ("  ", "k" * 101, "k\x00im"):
        with pytest.raises(ClaimError, match="user: blank, too long or not printable"):
            release(SETTINGS, place, user, "a good reason")
