"""One target under atheris, which looks for inputs that reach code no input has reached: `python -m tests.fuzz.guided`.

It runs until it is stopped, or as long as said; an input that does not pass ends it, and is in a file that it names.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from random import Random

try:
    import atheris
except ImportError:
    sys.exit("atheris has no wheel for this machine: here inputs are made by chance alone")

# What is imported here counts which of its branches are reached.
with atheris.instrument_imports(include=["worker.x12", "worker.codec", "worker.pipeline", "worker.overrides"]):
    import worker.codec
    import worker.overrides
    import worker.pipeline
    import worker.x12.events
    import worker.x12.statuses  # noqa: F401

from tests.fuzz.kinds import SEEDS, Kinds
from tests.fuzz.targets import TARGETS, alarm

_FOUND = Path("build/fuzz/guided")
_MOST_BYTES = 20_000


def main() -> None:
    """Run; atheris ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=0, help="how long; until it is stopped if 0")
    parser.add_argument("--runs", type=int, default=-1, help="how many inputs at most")
    parser.add_argument("--seed", type=int, default=63685, help="of what is made by chance")
    options = parser.parse_args()
    target = TARGETS[options.target]

    def one(raw: bytes) -> None:
        with alarm():
            target(raw)

    found = _FOUND / options.target
    found.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        f"-max_total_time={options.seconds}",
        f"-runs={options.runs}",
        f"-seed={options.seed}",
        f"-max_len={_MOST_BYTES}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        "-verbosity=0",
        str(found),  # what is worth keeping is written to the first folder
        str(SEEDS / options.target),
    ]
    atheris.Setup(arguments, one, custom_mutator=_mutated)
    atheris.Fuzz()


def _mutated(raw: bytes, most: int, seed: int) -> bytes:
    """Mostly what atheris makes of it; else with the eyes of somebody who knows JSON and X12."""
    random = Random(seed)
    if random.random() < 0.6:
        return bytes(atheris.Mutate(raw, len(raw)))
    return Kinds(random).changed(raw)[:most]


if __name__ == "__main__":
    main()
