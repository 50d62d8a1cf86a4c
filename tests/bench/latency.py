"""How long a decision takes, `make bench-latency`: from produce to a read_committed reader, at several rates.

A claim's time begins when it is due. Beside our worker runs a bare loop tuned for latency, with the same guarantee.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.bench.candidates import LATENCY_CANDIDATES, Candidate, chosen
from tests.bench.claims import claim_events, claim_pool
from tests.bench.exchange import Events, Exchange, Window
from tests.bench.report import OUTPUT, SHARED_CORES, console, opened
from tests.bench.rounds import turns
from tests.bench.running import Running
from tests.bench.stage import bench_cluster, stage, topics
from tests.kafka_broker import Cluster

RATES = (100, 1_000, 5_000)
REACHED = 0.98
"""A rate counts as reached when this share of its decisions came while it lasted: else the queue only grows."""

_WARM_UP_RATE, _WARM_UP_SECONDS = 500, 4.0
_LEAD_SECONDS = 3.0
_START_SECONDS = 60.0
_SHARES = {"p50_ms": 0.5, "p99_ms": 0.99, "p99.9_ms": 0.999}


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the ordered values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def told(rate: int, windows: Sequence[Window]) -> dict[str, Any]:
    """What several windows at one rate come to; without percentiles if the rate was not reached in each of them."""
    reached = [window.decided / window.seconds for window in windows]
    late = sorted(each for window in windows for each in window.late)
    figures: dict[str, Any] = {
        "rate": rate,
        "reached": all(each >= REACHED * rate for each in reached),
        "decided_per_second": round(min(reached), 1),
        "sender_late_p99_ms": round(percentile(late, 0.99) * 1e3, 2),
    }
    if figures["reached"]:
        latencies = sorted(each for window in windows for each in window.latencies)
        figures |= {name: round(percentile(latencies, share) * 1e3, 2) for name, share in _SHARES.items()}
        figures["rounds"] = [
            {name: round(percentile(sorted(window.latencies), share) * 1e3, 2) for name, share in _SHARES.items()}
            for window in windows
        ]
    return figures


def main() -> None:
    """Measure, print, and write latency.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.latency", description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=_rates, default=RATES, metavar="N,N", help="claims per second")
    parser.add_argument("--seconds", type=float, default=15, help="how long each is measured (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of every candidate (default: %(default)s)")
    parser.add_argument("--only", type=chosen(LATENCY_CANDIDATES), default=LATENCY_CANDIDATES, metavar="NAME,NAME")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for latency.json and logs")
    options = parser.parse_args()
    ruleset, machine = opened(options.output)
    events = claim_events(claim_pool(ruleset), sys.maxsize)
    # What this process does besides must not make the claims late, or be taken for latency.
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(0.0005)
    windows: dict[str, dict[int, list[Window]]] = {
        each.name: {rate: [] for rate in options.rates} for each in options.only
    }
    with bench_cluster() as cluster:
        for number, candidate in turns(options.only, options.rounds):
            log = options.output / f"latency-{candidate.name}-{number}"
            found = _run(cluster, candidate, options.rates, options.seconds, events, log=log)
            for rate, window in found.items() if number > 0 else ():
                windows[candidate.name][rate].append(window)
                _print_window(number, candidate.name, told(rate, [window]))
    latency = {
        name: {str(rate): told(rate, each) for rate, each in by_rate.items()} for name, by_rate in windows.items()
    }
    _print_table(latency, options.rates)
    path = options.output / "latency.json"
    path.write_text(json.dumps({**machine, "seconds": options.seconds, "latency": latency}, indent=2) + "\n")
    console.print(f"written to {path}", soft_wrap=True)


def _run(
    cluster: Cluster, candidate: Candidate, rates: Sequence[int], seconds: float, events: Events, *, log: Path
) -> dict[int, Window]:
    run = f"bench-{uuid.uuid4().hex[:8]}.{candidate.name}"
    submitted = f"{run}.submitted"
    found = {}
    with (
        topics(cluster, submitted),
        stage(cluster, run, submitted) as on,
        Running(candidate, on.environment, log) as running,
        Exchange(on) as exchange,
    ):
        exchange.hold(_WARM_UP_RATE, _WARM_UP_SECONDS, events)
        if not exchange.wait(_START_SECONDS):
            raise RuntimeError(f"{candidate.name}: no decisions; {running.last_words()}")
        for rate in rates:
            found[rate] = exchange.hold(rate, seconds, events, _LEAD_SECONDS)
            running.check()
        running.stop()
    return found


def _print_window(number: int, name: str, figures: Mapping[str, Any]) -> None:
    console.print(f"round {number}  {name:26} {figures['rate']:6,} claims/s  {'  '.join(_cells(figures))}")


def _print_table(latency: Mapping[str, Mapping[str, Mapping[str, Any]]], rates: Sequence[int]) -> None:
    table = Table(title="From produce to decision, ms; all rounds together", title_justify="left")
    for heading in ("claims/s", "worker", *_SHARES, "decided/s", "sender late, p99 ms"):
        table.add_column(heading.removesuffix("_ms"), justify="left" if heading == "worker" else "right")
    for rate in rates:
        for name, by_rate in latency.items():
            table.add_row(f"{rate:,}", name, *_cells(by_rate[str(rate)]))
        table.add_section()
    console.print(table)
    console.print(SHARED_CORES)


def _cells(figures: Mapping[str, Any]) -> list[str]:
    shares = [f"{figures[name]:.1f}" for name in _SHARES] if figures["reached"] else ["not reached", "-", "-"]
    return [*shares, f"{figures['decided_per_second']:,.0f}", f"{figures['sender_late_p99_ms']:.1f}"]


def _rates(listed: str) -> tuple[int, ...]:
    return tuple(int(rate) for rate in listed.split(","))


if __name__ == "__main__":
    main()
