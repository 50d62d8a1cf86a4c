"""The candidates of the benchmark: each reads the settings `CLAIMSCRUB_*` and runs until SIGTERM."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
QUIX_PYTHON = ROOT / "build" / "bench" / "quix" / "bin" / "python"
"""Made by `make bench` from quix.lock."""


@dataclass(frozen=True)
class Candidate:
    """What to run.

    Attributes:
        name: how the results call it.
        command: its command line.
        settings: environment variables beside those that all have.
        processes: how many of it run, in one consumer group.
        one_in: for a slow one, which part of the claims it gets: one in that many.
    """

    name: str
    command: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1
    one_in: int = 1


def _loop(module: str, *arguments: str, python: str = sys.executable) -> tuple[str, ...]:
    return (python, "-m", f"tests.bench.{module}", *arguments)


def worker(delivery: str, processes: int = 1) -> Candidate:
    """Our worker; `delivery` is `at_least_once` or `exactly_once`."""
    name = f"claimscrub-{delivery.replace('_', '-')}" + (f"-{processes}-workers" if processes > 1 else "")
    command = (sys.executable, "-m", "worker.cli", "worker")
    return Candidate(name, command, {"CLAIMSCRUB_DELIVERY": delivery}, processes)


REFERENCE = "confluent"
TRANSACTIONS = "confluent-transactions"
CANDIDATES = (
    Candidate(REFERENCE, _loop("loop_confluent")),
    Candidate(TRANSACTIONS, _loop("loop_confluent", "--transactions")),
    Candidate("aiokafka", _loop("loop_aiokafka")),
    Candidate("quix", _loop("loop_quix", python=str(QUIX_PYTHON))),
    Candidate("quix-exactly-once", _loop("loop_quix", "--exactly-once", python=str(QUIX_PYTHON))),
    Candidate("faust-stock", _loop("loop_faust"), one_in=6),
    worker("at_least_once"),
    worker("exactly_once"),
)
LATENCY_CANDIDATES = (
    Candidate(REFERENCE, _loop("loop_confluent", "--at-once")),
    worker("at_least_once"),
    Candidate(TRANSACTIONS, _loop("loop_confluent", "--transactions", "--at-once")),
    worker("exactly_once"),
)


def chosen(candidates: Sequence[Candidate]) -> Callable[[str], list[Candidate]]:
    """What reads an option that names some of the candidates: `NAME,NAME`."""

    def read(names: str) -> list[Candidate]:
        by_name = {candidate.name: candidate for candidate in candidates}
        try:
            return [by_name[name] for name in names.split(",")]
        except KeyError as unknown:
            raise ArgumentTypeError(f"no candidate {unknown}; there are: {', '.join(by_name)}") from None

    return read
