"""Chaos, `make chaos`: workers and broker are killed, stopped and started under load, and each claim is counted."""

from __future__ import annotations

import argparse
import sys
import time

from tests.chaos.run import run
from tests.worker_process import ROOT


def main() -> int:
    """Run, and print the closing line; 0 only if the delivery kept its promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long things go wrong (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=63685, help="what fixes their order (default: %(default)s)")
    parser.add_argument(
        "--delivery",
        choices=("exactly_once", "at_least_once"),
        default="exactly_once",
        help="what the workers promise; at least once may duplicate (default: %(default)s)",
    )
    options = parser.parse_args()
    folder = ROOT / "build" / "chaos" / f"{time.strftime('%Y%m%d-%H%M%S')}-{options.seed}"
    outcome = run(folder, options.seconds, options.seed, options.delivery)
    print(outcome)
    return 0 if outcome.holds else 1


if __name__ == "__main__":
    sys.exit(main())
