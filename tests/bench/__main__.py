"""The benchmark, `make bench`: the worker beside bare loops and rivals on a real Kafka, in one run.

Rates are claims per second between the 15 % and the 90 % mark of the claims, the median of interleaved rounds. Worker,
broker and this share the machine's cores, so CPU per claim stands beside them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tests.bench.candidates import CANDIDATES, QUIX_PYTHON, chosen
from tests.bench.chart import chart
from tests.bench.claims import claim_events, claim_pool
from tests.bench.parts import measure_catalogue, measure_parts
from tests.bench.report import (
    OUTPUT,
    SHARED_CORES,
    console,
    opened,
    print_catalogue,
    print_end_to_end,
    print_parts,
    print_x12,
)
from tests.bench.rounds import run_rounds
from tests.bench.stage import bench_cluster
from tests.bench.x12 import measure_x12


def main() -> None:
    """Measure, print, and write results.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--claims", type=int, default=60_000, help="claims in the topic (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every candidate (default: %(default)s)")
    parser.add_argument(
        "--only", type=chosen(CANDIDATES), default=CANDIDATES, metavar="NAME,NAME", help="these candidates alone"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for results.json and logs")
    parser.add_argument("--chart", type=Path, help="file for the chart (SVG)")
    options = parser.parse_args()
    if any(candidate.command[0] == str(QUIX_PYTHON) for candidate in options.only) and not QUIX_PYTHON.exists():
        parser.error(f"the environment of Quix Streams is missing: make {QUIX_PYTHON.parents[1] / '.ready'}")
    ruleset, machine = opened(options.output)
    pool = claim_pool(ruleset)
    with bench_cluster() as cluster:
        end_to_end = run_rounds(
            cluster,
            options.only,
            lambda count: claim_events(pool, count),
            claims=options.claims,
            rounds=options.rounds,
            folder=options.output,
        )
    parts = measure_parts(ruleset, pool)
    catalogue = measure_catalogue(ruleset)
    x12 = measure_x12()
    print_end_to_end(end_to_end, options.claims)
    console.print(SHARED_CORES)
    print_parts(parts)
    print_catalogue(catalogue)
    print_x12(x12)
    results = {
        **machine,
        "rule_set": {"version": ruleset.version, "digest": ruleset.digest, "rules": len(ruleset.rules)},
        "claims": options.claims,
        "end_to_end": end_to_end,
        "parts": parts,
        "catalogue": catalogue,
        "x12": x12,
    }
    path = options.output / "results.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"written to {path}", soft_wrap=True)
    if options.chart:
        foot = (
            f"Median of {options.rounds} rounds, {options.claims:,} claims of 2 KB, {len(ruleset.rules)} rules;"
            f" Kafka {machine['versions']['kafka']} and load share the {machine['machine']['cores']} cores"
        )
        options.chart.write_text(chart(end_to_end, foot))


if __name__ == "__main__":
    main()
