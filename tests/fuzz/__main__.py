"""Fuzzed inputs of every kind, one after another in this process: `python -m tests.fuzz`.

Each is what a seeded mutator makes of valid claims, answers, releases and X12 text, and must pass its target. What does
not is written to a file, with the command that runs it again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.fuzz.kinds import Kinds
from tests.fuzz.targets import TARGETS, alarm

CRASHES = Path("build/fuzz")
_TELL_SECONDS = 30.0


def main() -> None:
    """Run, and end with 1 if an input did not pass."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=0, help="how many inputs; as many as there is time for if 0")
    parser.add_argument("--seconds", type=float, default=60, help="how long at most; 0 for no end (default: 60)")
    parser.add_argument("--seed", type=int, default=63685, help="the same seed makes the same inputs")
    parser.add_argument("--first", type=int, default=0, help="number of the first input, to go on where a run ended")
    parser.add_argument("--target", choices=TARGETS, help="one kind only")
    parser.add_argument("files", nargs="*", type=Path, help="run these inputs, of the one kind, and nothing else")
    options = parser.parse_args()
    if options.files:
        for path in options.files:
            with alarm():
                TARGETS[options.target or path.resolve().parent.name](path.read_bytes())
            print(f"{path}: passes")
        return
    sys.exit(_run(options))


def _run(options: argparse.Namespace) -> int:
    counts: Counter[str] = Counter()
    slowest = (0.0, "")
    failed = 0
    began = told = time.monotonic()
    number = options.first
    while (not options.runs or number < options.first + options.runs) and (
        not options.seconds or time.monotonic() < began + options.seconds
    ):
        # Each input follows from seed and number alone, so that any one can be made again.
        name, raw = Kinds(Random(f"{options.seed}-{number}")).one(options.target)
        started = time.process_time()
        try:
            with alarm():
                TARGETS[name](raw)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is what is looked for)
            failed += 1
            path = CRASHES / name / f"{options.seed}-{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
            print(f"{type(error).__name__}: {str(error)[:300]}\n  python -m tests.fuzz {path}", flush=True)
        took = time.process_time() - started
        slowest = max(slowest, (took, f"{name} {number}"))
        counts[name] += 1
        number += 1
        if time.monotonic() >= told + _TELL_SECONDS:
            told = time.monotonic()
            print(f"seed {options.seed}: {number - options.first:,} inputs, {failed} failed", flush=True)
    kinds = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
    seconds = time.monotonic() - began
    print(
        f"seed {options.seed}, inputs {options.first:,} to {number - 1:,}: {sum(counts.values()):,} ({kinds}), {failed}"
        f" failed, {seconds:.0f} s; the slowest took {slowest[0]:.2f} s of the processor ({slowest[1]})"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    main()
