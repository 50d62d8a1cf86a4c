"""The last day on which a claim can be filed: days, calendar months or year ends after an anchor, and workdays."""

from calendar import monthrange
from collections.abc import Iterable, Mapping
from datetime import MAXYEAR, date, timedelta
from typing import Any

from rules.engine.claim import Claim

_DAY = timedelta(days=1)
_MONDAY, _FRIDAY = 0, 4
_SHORTEST_MONTH = 28


def service_day(claim: Claim) -> date | None:
    """The day from which a limit counts that counts from the service: of the earliest line, or the period's last."""
    if not claim.is_professional:
        return claim.statement_through_date
    return min((each.service_date for each in claim.lines if each.service_date), default=None)


def last_filing_day(anchor: date, number: int, unit: str) -> date:
    """The last day of a filing limit, before it is moved to a workday.

    Args:
        anchor: the day the limit counts from; itself day 0.
        number: how many of the unit.
        unit: days, calendar months, year ends.

    Returns:
        The day; no later than the calendar can hold. Months go to the same day of the month, or to its last one.
    """
    if unit == "days":
        return date.fromordinal(min(anchor.toordinal() + number, date.max.toordinal()))
    if unit == "calendar months":
        years, month = divmod(anchor.month - 1 + number, 12)
        year, month, day = min(anchor.year + years, MAXYEAR), month + 1, anchor.day
        return date(year, month, day if day <= _SHORTEST_MONTH else min(day, monthrange(year, month)[1]))
    return date(min(anchor.year + number, MAXYEAR), 12, 31)


def workday_from(day: date, holidays: Iterable[Mapping[str, Any]]) -> date:
    """The day itself, or the first workday after it."""
    while day < date.max and not is_workday(day, holidays):
        day += _DAY
    return day


def is_workday(day: date, holidays: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a day is neither of a weekend nor kept as a holiday."""
    weekday = day.weekday()
    # A fixed holiday on a Saturday is kept on the Friday before, one on a Sunday on the Monday after.
    kept = [day, *([day - _DAY] if weekday == _MONDAY else [day + _DAY] if weekday == _FRIDAY else [])]
    weeks = ((day.day + 6) // 7, -1 if day.day + 7 > monthrange(day.year, day.month)[1] else 0)
    for holiday in holidays:
        if day.year < holiday.get("since", day.year):
            continue
        if any((each.month, each.day) == (holiday["month"], holiday.get("day")) for each in kept):
            return False
        if (day.month, weekday) == (holiday["month"], holiday.get("weekday")) and holiday["week"] in weeks:
            return False
    return weekday <= _FRIDAY
