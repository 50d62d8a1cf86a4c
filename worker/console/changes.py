"""When something has changed: the moment at which a cause began, and alarms about what is above its own baseline.

Pure functions of counts. Both compare shares of the claims decided, not claims per minute: a file of a thousand claims,
or the morning after a quiet night, changes the one and not the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import exp, lgamma, log
from typing import NamedTuple

_LEAST_LOG_RATIO = 10.0
"""Of a change point: the best split of a steady series is as good by chance less than once in a thousand times."""
_LEAST_RISE = 2.0
_LEAST_CLAIMS = 5

RECENT_STEPS = 3
"""Of an alarm: what is compared with the baseline."""
BASELINE_STEPS = 288
QUIET_STEPS = 12
_LEAST_RECENT, _LEAST_BASELINE = 20, 100
_MOST_PROBABLE, _CALM_PROBABLE = 1e-6, 0.01
_LEAST_ODDS, _CALM_ODDS = 2.0, 1.5


def change_point(counts: Sequence[int], exposures: Sequence[int]) -> int | None:
    """The step from which on a cause is met more often, if it is; else None.

    Counts are taken as Poisson with a rate for each claim decided. Of all splits into before and after, the likeliest
    is taken; it counts if the logarithm of its likelihood ratio against no change is 10 or more, and the rate has at
    least doubled, with 5 claims since. So a cause of three claims a minute that triples is mostly found after three to
    five minutes, one of one claim a minute after ten to fifteen, and one that is new after a dozen claims or two.

    Limits: one change is found, so that of two rises the greater one is named, and a rise that is long over is not
    always; claims that come in lumps (a file of one provider) look like a change, which they are; a fall is not named.

    Args:
        counts: flagged claims of each step, oldest first.
        exposures: claims decided in each step.
    """
    claims, exposure = sum(counts), sum(exposures)
    if claims < _LEAST_CLAIMS or not exposure:
        return None
    best, found = _LEAST_LOG_RATIO, None
    before = exposed = 0
    for step, (count, decided) in enumerate(zip(counts, exposures, strict=True)):
        after, left = claims - before, exposure - exposed
        # The likeliest split stands before a step with claims of the cause.
        if count and exposed and left and after >= _LEAST_CLAIMS and after * exposed >= _LEAST_RISE * before * left:
            ratio = after * log(after / left) - claims * log(claims / exposure)
            ratio += before * log(before / exposed) if before else 0.0
            if ratio >= best:
                best, found = ratio, step
        before += count
        exposed += decided
    return found


class Tally(NamedTuple):
    """Of one step: claims decided, those flagged of them, and their charges."""

    claims: int
    flagged: int
    amount: int


class Series(NamedTuple):
    """What a tally has for each step, oldest first."""

    claims: list[int]
    flagged: list[int]
    amounts: list[int]


class Raised(NamedTuple):
    """A time in which a share of flagged claims was above its baseline.

    Attributes:
        since, over: steps; over is None while it lasts.
        before, after: the baseline, and what came since.
    """

    since: int
    over: int | None
    before: Tally
    after: Tally


def raised(series: Series, first: int) -> list[Raised]:
    """The times, begun at or after a step, in which the share of flagged claims was above its own baseline.

    At each step the last three are compared with the 288 before them (15 minutes and a day, at steps of five minutes):
    it is raised if the odds of being flagged have at least doubled, with 5 flagged claims of at least 20 decided ones,
    and if so many would come by chance less than once in a million times (the exact binomial test of two rates, given
    their sum). So it is heard of within a few minutes at some claims a minute. It is over when the odds over the last
    three steps are less than one and a half times those of the baseline before it, or when as many would come by chance
    once in a hundred times, or when for an hour too little has come to tell.

    Limits: what was raised at the first step already is not told: a rise of a day ago has become the baseline, and its
    alarm ends without a word. Without 100 decided claims before there is nothing to compare with, so a submitter's
    first file raises none. Claims that come in lumps depend on one another, and a lump of flagged ones raises an alarm.
    A slow rise over days becomes its own baseline.

    Args:
        series: of one rule, submitter or payer.
        first: the first step that is looked at.
    """
    claims, flagged, amounts = ([0, *accumulate(each)] for each in series)

    def between(start: int, end: int) -> Tally:
        """From a step to before another."""
        start = max(start, 0)
        return Tally(claims[end] - claims[start], flagged[end] - flagged[start], amounts[end] - amounts[start])

    found: list[Raised] = []
    lasting: tuple[int, Tally] | None = None
    is_old = False
    quiet = 0
    steps = len(series.claims)
    for step in range(first, steps):
        start = max(step + 1 - RECENT_STEPS, 0)
        if lasting is None and flagged[step + 1] - flagged[start] < _LEAST_CLAIMS:
            continue
        recent = between(start, step + 1)
        if lasting is None:
            if recent.claims >= _LEAST_RECENT:
                baseline = between(start - BASELINE_STEPS, start)
                if _is_raised(recent, baseline):
                    since = max(range(start, step + 1), key=lambda each: _surprise(between(each, step + 1), baseline))
                    lasting, quiet, is_old = (since, baseline), 0, step == first
            continue
        since, baseline = lasting
        is_telling = recent.claims >= _LEAST_CLAIMS
        quiet = 0 if is_telling else quiet + 1
        if quiet >= QUIET_STEPS or (is_telling and _is_calm(recent, baseline)):
            if not is_old:
                found.append(Raised(since, step, baseline, between(since, step)))
            lasting = None
    if lasting is not None and not is_old:
        since, baseline = lasting
        found.append(Raised(since, None, baseline, between(since, steps)))
    return found


def _is_raised(recent: Tally, baseline: Tally) -> bool:
    return (
        baseline.claims >= _LEAST_BASELINE
        and _odds(recent, baseline) >= _LEAST_ODDS
        and _chance(recent, baseline) < _MOST_PROBABLE
    )


def _is_calm(recent: Tally, baseline: Tally) -> bool:
    return _odds(recent, baseline) < _CALM_ODDS or _chance(recent, baseline) > _CALM_PROBABLE


def _odds(recent: Tally, baseline: Tally) -> float:
    """How much likelier it is to be flagged, as a ratio of odds; the halves keep it finite."""
    rise = (recent.flagged + 0.5) * (baseline.claims - baseline.flagged + 0.5)
    return rise / ((recent.claims - recent.flagged + 0.5) * (baseline.flagged + 0.5))


def _surprise(recent: Tally, baseline: Tally) -> float:
    """How much better the recent share explains what came than the baseline's does."""
    usual = (baseline.flagged + 0.5) / (baseline.claims + 1)
    rest = recent.claims - recent.flagged
    ratio = recent.flagged * log(recent.flagged / (recent.claims * usual)) if recent.flagged else 0.0
    return ratio + (rest * log(rest / (recent.claims * (1 - usual))) if rest > 0 else 0.0)


def _chance(recent: Tally, baseline: Tally) -> float:
    """The probability of so many flagged claims among the recent ones, or more, if nothing has changed."""
    flagged = recent.flagged + baseline.flagged
    share = recent.claims / (recent.claims + baseline.claims)
    term = exp(
        lgamma(flagged + 1) - lgamma(recent.flagged + 1) - lgamma(baseline.flagged + 1)
        + recent.flagged * log(share) + baseline.flagged * log(1 - share)
    )  # fmt: skip
    total = 0.0
    for number in range(recent.flagged, flagged + 1):
        total += term
        if term < total * 1e-9:
            break
        term *= (flagged - number) / (number + 1) * share / (1 - share)
    return total
