"""What a page shows, in its address: so that a link can be sent on, and the browser's way back works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import quote, urlencode

from worker.console.views import Filter, State

WINDOWS: Final[Mapping[str, timedelta]] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}
_STATES: Final[Mapping[str, State | None]] = {
    "open": "open",
    "released": "released",
    "sent-again": "sent again",
    "monitored": "monitored",
    "all": None,
}
_LONGEST = 200
_MOST_DOLLARS = Decimal(10**12)


def filter_of(query: Mapping[str, str]) -> Filter:
    """The filter in an address; what can't be read in it does not narrow."""
    found: dict[str, Any] = {}
    for each in fields(Filter):
        text = query.get(each.name, "").strip()[:_LONGEST]
        if not text:
            continue
        value: Any = text
        if each.name in ("flagged_from", "flagged_to"):
            value = read_day(text)
        elif each.name in ("least_amount", "most_amount"):
            value = read_amount(text)
        elif each.name == "state":
            value = _STATES.get(text, "open")
        found[each.name] = value
    return Filter(**found)


def query_of(chosen: Filter) -> str:
    """`?payer=AETNA`, or nothing where nothing is narrowed."""
    said: dict[str, str] = {}
    for each in fields(Filter):
        value = getattr(chosen, each.name)
        if value == each.default:
            continue
        if each.name == "state":
            said[each.name] = next(name for name, state in _STATES.items() if state == value)
        elif each.name in ("least_amount", "most_amount"):
            said[each.name] = f"{Decimal(value) / 100}"
        else:
            said[each.name] = str(value)
    return f"?{urlencode(said)}" if said else ""


def flagged(**narrowed: Any) -> str:
    """The address of the flagged claims, narrowed."""
    return "/flagged" + query_of(Filter(**narrowed))


def claim(event_id: str) -> str:
    """The address of a flagged claim's page."""
    return f"/flagged/{quote(event_id, safe='')}"


def rule(rule_id: str) -> str:
    """The address of a rule's page."""
    return f"/rules/{quote(rule_id, safe='')}"


def read_day(text: str) -> date | None:
    """A day as YYYY-MM-DD; None if it is none."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def read_amount(text: str) -> int | None:
    """Dollars as people write them, in cents; None if it is no amount."""
    try:
        dollars = Decimal(text.strip().removeprefix("$").replace(",", ""))
    except InvalidOperation:
        return None
    return int(dollars * 100) if dollars.is_finite() and 0 <= dollars <= _MOST_DOLLARS else None


def window_of(query: Mapping[str, str], default: str) -> str:
    """The name of the window in an address."""
    named = query.get("window", default)
    return named if named in WINDOWS else default
