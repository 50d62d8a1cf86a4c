"""One worker and two in one group, `make bench-scale`: over the same claims, on the same cores."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.bench.candidates import worker
from tests.bench.claims import claim_events, claim_pool
from tests.bench.report import OUTPUT, SHARED_CORES, console, opened
from tests.bench.rounds import run_rounds
from tests.bench.stage import bench_cluster

# Kafka's own default: both are there when the partitions are first given out, so that no rebalance is measured.
_JOIN_TOGETHER = {"group.initial.rebalance.delay.ms": "3000"}


def main() -> None:
    """Measure, print, and write scale.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--claims", type=int, default=60_000, help="claims in the topic (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (default: %(default)s)")
    parser.add_argument("--delivery", choices=("exactly_once", "at_least_once"), default="exactly_once")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for scale.json and logs")
    options = parser.parse_args()
    ruleset, machine = opened(options.output)
    pool = claim_pool(ruleset)
    candidates = [worker(options.delivery, processes) for processes in (1, 2)]
    with bench_cluster(_JOIN_TOGETHER) as cluster:
        found = run_rounds(
            cluster,
            candidates,
            lambda count: claim_events(pool, count),
            claims=options.claims,
            rounds=options.rounds,
            folder=options.output,
        )
    one, two = (found[candidate.name] for candidate in candidates)
    ratio = {name: two[name] / one[name] for name in ("claims_per_second", "cpu_us_per_claim")}
    _print_table(one, two, ratio)
    scale = {**machine, "claims": options.claims, "delivery": options.delivery, "workers": {"1": one, "2": two}}
    path = options.output / "scale.json"
    path.write_text(json.dumps({**scale, "ratio": ratio}, indent=2) + "\n")
    console.print(f"written to {path}", soft_wrap=True)


def _print_table(one: dict[str, Any], two: dict[str, Any], ratio: dict[str, float]) -> None:
    table = Table(title="One worker and two; CPU summed over the workers", title_justify="left")
    for heading in ("workers", "claims/s", "CPU µs a claim"):
        table.add_column(heading, justify="right")
    for workers, figures in (("1", one), ("2", two)):
        table.add_row(workers, f"{figures['claims_per_second']:,.0f}", f"{figures['cpu_us_per_claim']:.1f}")
    table.add_row("two to one", f"{ratio['claims_per_second']:.2f}", f"{ratio['cpu_us_per_claim']:.2f}")
    console.print(table)
    console.print(SHARED_CORES)


if __name__ == "__main__":
    main()
