"""Rounds of several candidates over the same claims, and what they come to."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.candidates import Candidate
from tests.bench.measure import Figures, measure
from tests.bench.report import console
from tests.bench.stage import stage, submit, topics
from tests.kafka_broker import Cluster

_STEADY_CLAIMS = 30_000

Events = Callable[[int], Iterable[tuple[bytes, bytes]]]
"""Makes the first so many claim events: key and value."""


def run_rounds(
    cluster: Cluster, candidates: Sequence[Candidate], events: Events, *, claims: int, rounds: int, folder: Path
) -> dict[str, dict[str, Any]]:
    """Every candidate's figures; what is made on the cluster is deleted again.

    Args:
        cluster: where to.
        candidates: what to measure.
        events: makes the claims.
        claims: how many each candidate gets, or one in so many for a slow one.
        rounds: how often each runs.
        folder: for the logs.

    Returns:
        Name → the median of each figure, and the figures round by round.
    """
    if claims < _STEADY_CLAIMS:
        console.print(f"fewer than {_STEADY_CLAIMS:,} claims reach no steady state: the figures mean little")
    for candidate in candidates:
        if candidate.one_in > 1:
            console.print(f"{candidate.name} is slow, and gets only the first {claims // candidate.one_in:,} claims")
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    found: dict[str, list[Figures]] = {candidate.name: [] for candidate in candidates}
    with ExitStack() as stack:
        submitted = {one_in: f"{prefix}.submitted-{one_in}" for one_in in {each.one_in for each in candidates}}
        stack.enter_context(topics(cluster, *submitted.values()))
        for one_in, topic in submitted.items():
            submit(cluster, topic, events(claims // one_in))
        for number, candidate in turns(candidates, rounds):
            run = f"{prefix}.{candidate.name}-{number}"
            with stage(cluster, run, submitted[candidate.one_in]) as on:
                figures = measure(on, candidate, folder / f"{candidate.name}-{number}")
            if number > 0:
                found[candidate.name].append(figures)
                console.print(
                    f"round {number}  {candidate.name:26} {figures.claims_per_second:8,.0f} claims/s"
                    f" {figures.cpu_us_per_claim:7.1f} µs"
                )
    return {name: summary(figures) for name, figures in found.items()}


def turns(candidates: Sequence[Candidate], rounds: int) -> Iterator[tuple[int, Candidate]]:
    """Number of the round and candidate, for each run there is to be.

    Round 0 is not to be counted: a broker that was just started is slow until its code is compiled.
    """
    yield 0, candidates[-1]
    for number in range(1, rounds + 1):
        for candidate in in_turn(candidates, number):
            yield number, candidate


def in_turn(candidates: Sequence[Candidate], number: int) -> list[Candidate]:
    """The candidates in the order of a round: each goes first in turn, and odd and even rounds run in opposite ways.

    So none has the better place, nor always the same one before it.
    """
    first = (number - 1) % len(candidates)
    order = [*candidates[first:], *candidates[:first]]
    return order if number % 2 else [order[0], *reversed(order[1:])]


def summary(rounds: Sequence[Figures]) -> dict[str, Any]:
    """The median of each figure, and the rounds."""
    return {
        **{name: round(median(getattr(each, name) for each in rounds), 1) for name in Figures._fields},
        "rounds": [each._asdict() for each in rounds],
    }
