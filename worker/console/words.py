"""Figures, times and rates as the pages write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

NOTHING: Final = "\N{EN DASH}"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def now() -> datetime:
    """The time, in UTC as all times here are."""
    return datetime.now(UTC)


def amount(cents: int) -> str:
    """`$32,500.00`."""
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02}"


def short_amount(cents: int) -> str:
    """`$1.24 M`, `$32.5 k`: where there is little room."""
    dollars = cents / 100
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if abs(dollars) >= size * 0.9995:
            return f"${dollars / size:.3g}{unit}" if abs(dollars) < size * 1000 else f"${dollars / size:,.0f}{unit}"
    return f"${dollars:,.0f}"


def count(number: int) -> str:
    """`12,400`."""
    return f"{number:,}"


def rate(share: float | None) -> str:
    """`4.2 %`."""
    return NOTHING if share is None else f"{share * 100:.1f} %"


def per_second(number: float) -> str:
    """`0.4`, `120`, `8,400`."""
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"  # noqa: PLR2004


def moment(at: datetime | None, today: date | None = None) -> str:
    """`14:05:09` of today, `27 Nov 14:05:09` of another day, with the year of another year."""
    if at is None:
        return NOTHING
    today = today or now().date()
    if at.date() == today:
        return f"{at:%H:%M:%S}"
    return f"{at:%d %b %H:%M:%S}" if at.year == today.year else f"{at:%d %b %Y %H:%M}"


def minute(at: datetime, today: date | None = None) -> str:
    """`14:05`, with the day where it is another one."""
    return f"{at:%H:%M}" if at.date() == (today or now().date()) else f"{at:%d %b %H:%M}"


def in_full(at: datetime | None) -> str:
    """`2026-11-27 14:05:09 UTC`."""
    return NOTHING if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def day(of: date | str | None) -> str:
    return NOTHING if not of else str(of)


def days(first: date | None, last: date | None) -> str:
    """One day, or the first and the last of several."""
    if first is None or last is None or first == last:
        return day(first or last)
    return f"{first} to {last}"


def age(length: timedelta) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 days`."""
    seconds = max(0, int(length.total_seconds()))
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        hours, rest = divmod(seconds // _MINUTE, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return "1 day" if seconds < 2 * _DAY else f"{seconds // _DAY} days"


def counted(number: int, one: str, several: str = "") -> str:
    """`1 claim`, `12 claims`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def size(octets: int) -> str:
    """`840 B`, `2.1 kB`."""
    return f"{octets} B" if octets < 1_000 else f"{octets / 1_000:,.1f} kB"  # noqa: PLR2004
