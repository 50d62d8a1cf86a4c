"""Figures and addresses as the pages write and read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest

from rules import RuleSet
from worker.console import addresses, words
from worker.console.pages.rules import last_change
from worker.console.views import Filter

NOW = datetime(2026, 11, 27, 14, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cents", "long", "short"),
    [
        (0, "$0.00", "$0"),
        (950, "$9.50", "$10"),
        (99_999, "$999.99", "$1 k"),
        (3_250_000, "$32,500.00", "$32.5 k"),
        (123_456_789, "$1,234,567.89", "$1.23 M"),
        (99_990_000_000_00, "$99,990,000,000.00", "$100 B"),
    ],
)
def test_amounts(cents: int, long: str, short: str) -> None:
    """In full to the cent, or short to three figures."""
    assert words.amount(cents) == long
    assert words.short_amount(cents) == short


def test_times() -> None:
    """Today's have no day, others do, and those of another year the year."""
    today = NOW.date()
    assert words.moment(NOW, today) == "14:05:09"
    assert words.moment(NOW, today + timedelta(1)) == "27 Nov 14:05:09"
    assert words.moment(NOW, date(2027, 1, 1)) == "27 Nov 2026 14:05"
    assert words.minute(NOW, today) == "14:05"
    assert words.in_full(NOW) == "2026-11-27 14:05:09 UTC"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (45, "45 s"), (720, "12 min"), (12_000, "3 h 20 min"), (7_200, "2 h"),
     (90_000, "1 day"), (259_200, "3 days")]
)  # fmt: skip
def test_ages(seconds: int, said: str) -> None:
    """In the largest units that say it."""
    assert words.age(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    "narrowed",
    [
        {},
        {"text": "a b&c=d", "payer": "AETNA", "rule_id": "UNT001"},
        {"flagged_from": date(2026, 1, 31), "flagged_to": date(2026, 2, 1)},
        {"least_amount": 100_050, "most_amount": 3_250_000},
        {"state": None},
        {"state": "released"},
        {"state": "sent again", "severity": "error", "category": "UNITS_MUE", "code": "63685", "submitter": "S 1"},
    ],
)
def test_a_filter_survives_its_address(narrowed: dict[str, Any]) -> None:
    """What is narrowed stands in the address, and is read back from it."""
    chosen = Filter(**narrowed)
    query = addresses.query_of(chosen)
    assert addresses.filter_of(dict(parse_qsl(query.removeprefix("?")))) == chosen
    assert (query == "") is (not narrowed)


def test_what_can_not_be_read_does_not_narrow() -> None:
    """A wrong day, amount or state in an address is as if it were not there."""
    wrong = {"flagged_from": "yesterday", "least_amount": "1e99", "most_amount": "NaN", "state": "lost", "other": "x"}
    assert addresses.filter_of(wrong) == Filter()


def test_event_ids_are_one_part_of_an_address() -> None:
    """Whatever an id holds, it does not lead to another page."""
    assert addresses.claim("a/../b?c#d") == "/flagged/a%2F..%2Fb%3Fc%23d"


def test_the_last_change_is_that_of_the_rule_or_its_values(ruleset: RuleSet) -> None:
    """A rule's own dates and those of the values it uses count, days to come do not."""
    assert last_change(ruleset.rules["UNT001"], ruleset) == date(2024, 7, 1)
    assert last_change(ruleset.rules["CMP009"], ruleset) is None
    today = words.now().date()
    assert all((last_change(rule, ruleset) or today) <= today for rule in ruleset.rules.values())
