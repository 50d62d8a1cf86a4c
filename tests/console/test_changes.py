"""Change points and alarms on invented series: what is steady stays silent, what jumps is found soon."""

from __future__ import annotations

from random import Random

import pytest

from worker.console.changes import BASELINE_STEPS, RECENT_STEPS, Raised, Series, Tally, change_point, raised

SEEDS = range(300)


def poisson(random: Random, rate: float) -> int:
    """A Poisson number, by the times between events."""
    count, left = 0, random.expovariate(1.0)
    while left < rate:
        count += 1
        left += random.expovariate(1.0)
    return count


def binomial(random: Random, claims: int, share: float) -> int:
    return sum(random.random() < share for _ in range(claims))


@pytest.mark.parametrize("rate", [0.05, 0.5, 3.0])
def test_steady_cause(rate: float) -> None:
    """A cause that is met as often as ever has not begun at any time."""
    for seed in SEEDS:
        random = Random(seed)
        assert change_point([poisson(random, rate) for _ in range(240)], [100] * 240) is None


@pytest.mark.parametrize(("rate", "minutes"), [(1.0, 20), (3.0, 6), (10.0, 3)])
def test_tripled_cause(rate: float, minutes: int) -> None:
    """A cause that is met three times as often is found within some minutes, and when it began nearly to the minute."""
    found = []
    for seed in SEEDS:
        random = Random(seed)
        counts = [poisson(random, rate) for _ in range(180)] + [poisson(random, 3 * rate) for _ in range(minutes)]
        found.append(change_point(counts, [100] * len(counts)))
    assert sum(each is not None for each in found) >= 0.9 * len(found)
    assert sum(each is not None and abs(each - 180) <= 3 for each in found) >= 0.85 * len(found)


def test_new_cause() -> None:
    """A cause that has never been met before began with its first claim."""
    assert change_point([0] * 60 + [4, 3, 5], [100] * 63) == 60


def test_busier_hour() -> None:
    """Three times as many claims, and so of the flagged ones, are no change of the cause."""
    random = Random(1)
    exposures = [100] * 120 + [300] * 60
    assert change_point([poisson(random, each / 50) for each in exposures], exposures) is None


def test_fallen_cause() -> None:
    """A cause that is met less often has not begun."""
    assert change_point([9] * 60 + [1] * 60, [100] * 120) is None


def test_steady_share() -> None:
    """A share that wavers by chance raises nothing."""
    for seed in range(40):
        for share in (0.002, 0.15, 0.6):
            random = Random(seed)
            assert raised_in([tally(random, 60, share) for _ in range(2 * BASELINE_STEPS)]) == []


@pytest.mark.parametrize(("share", "jumped"), [(0.01, 0.2), (0.15, 0.45), (0.5, 0.9)])
def test_jumped_share(share: float, jumped: float) -> None:
    """A share that has jumped is raised within a quarter of an hour, and over when it has come back."""
    for seed in range(20):
        random = Random(seed)
        before = [tally(random, 60, share) for _ in range(BASELINE_STEPS + 100)]
        after = [tally(random, 60, jumped) for _ in range(RECENT_STEPS)]
        (found,) = raised_in(before + after)
        assert abs(found.since - len(before)) <= 1
        assert found.over is None
        assert found.after.amount == 100 * found.after.flagged
        again = [tally(random, 60, share) for _ in range(20)]
        (ended,) = raised_in(before + after + again)
        assert ended.over is not None
        assert ended.since == found.since < ended.over <= len(before + after) + 2 * RECENT_STEPS


def test_lasting_rise() -> None:
    """A rise is compared with what was before it, however long it lasts; after a day it is the baseline."""
    random = Random(1)
    before = [tally(random, 60, 0.05) for _ in range(BASELINE_STEPS)]
    after = [tally(random, 60, 0.3) for _ in range(BASELINE_STEPS)]
    (found,) = raised_in(before + after)
    assert found.over is None
    assert found.before.flagged / found.before.claims < 0.06
    assert raised_in([*before, *after, *after[:10]]) == []


def test_nothing_to_compare_with() -> None:
    """The first claims of a submitter raise nothing, nor do a few."""
    silence = [Tally(0, 0, 0)] * BASELINE_STEPS
    assert raised_in([*silence, Tally(500, 400, 0)]) == []
    assert raised_in([Tally(60, 0, 0)] * BASELINE_STEPS + [Tally(4, 4, 0)]) == []


def test_silence_ends_an_alarm() -> None:
    """When nothing comes any more for an hour, an alarm is over."""
    before = [Tally(60, 3, 0)] * BASELINE_STEPS
    (found,) = raised_in(before + [Tally(60, 40, 0)] * 3 + [Tally(0, 0, 0)] * 20)
    assert found.over is not None


def tally(random: Random, claims: int, share: float) -> Tally:
    flagged = binomial(random, claims, share)
    return Tally(claims, flagged, 100 * flagged)


def raised_in(series: list[Tally]) -> list[Raised]:
    """What was raised in the last day of a series."""
    claims, flagged, amounts = map(list, zip(*series, strict=True))
    return raised(Series(claims, flagged, amounts), max(1, len(series) - BASELINE_STEPS))
