"""What a history rule sees of the member's earlier claims."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from rules.engine.history import NO_HISTORY, History

DAY = date(2026, 8, 3)
HELD = replace(NO_HISTORY, held_since=date(2026, 5, 5))


@pytest.mark.parametrize(
    ("history", "days", "is_held"),
    [
        (NO_HISTORY, 0, False),
        (HELD, 90, True),
        (HELD, 91, False),
        (replace(HELD, dropped_through=date(2026, 5, 5)), 90, False),
        (replace(HELD, dropped_through=date(2026, 5, 4)), 90, True),
    ],
)
def test_history_is_held_where_all_of_it_is(history: History, days: int, is_held: bool) -> None:
    """From the first day of which claims are on file, and only after what had to be dropped for room."""
    assert history.is_held(DAY, days) is is_held
