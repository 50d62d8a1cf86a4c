"""A worker's memory over a long run, `make bench-memory`: claims are sent while it works, never far ahead of it."""

from __future__ import annotations

import argparse
import json
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from rich.table import Table

from tests.bench.candidates import worker
from tests.bench.claims import claim_events, claim_pool
from tests.bench.report import OUTPUT, console, opened
from tests.bench.running import Running
from tests.bench.stage import Stage, Submitter, bench_cluster, stage, topics

_CHUNK = 5_000
_AHEAD = 20_000
"""Most claims sent but not committed."""
_SAMPLES = 10
_STALLED_SECONDS = 60.0
# What has been read may go, or the disk fills; what is ahead of the worker is a tenth of what is kept of a partition.
_KEEP_LITTLE = {
    "log.segment.bytes": "16777216",
    "log.retention.bytes": "67108864",
    "log.retention.check.interval.ms": "5000",
    "log.segment.delete.delay.ms": "1000",
}


def main() -> None:
    """Measure, print, and write memory.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument("--claims", type=int, default=1_000_000, help="claims sent (default: %(default)s)")
    parser.add_argument("--delivery", choices=("exactly_once", "at_least_once"), default="exactly_once")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for memory.json and the log")
    options = parser.parse_args()
    ruleset, machine = opened(options.output)
    run = f"bench-{uuid.uuid4().hex[:8]}.memory"
    submitted = f"{run}.submitted"
    candidate = worker(options.delivery)
    with (
        bench_cluster(_KEEP_LITTLE) as cluster,
        topics(cluster, submitted),
        stage(cluster, run, submitted) as on,
        Running(candidate, on.environment, options.output / "memory") as running,
    ):
        events = claim_events(claim_pool(ruleset), options.claims)
        memory = sample_memory(on, running, events, options.claims)
        running.stop()
    early, late = options.claims // 5, options.claims
    console.print(
        f"memory: {memory[early]:.0f} MB after {early:,} claims, {memory[late]:.0f} MB after {late:,}", soft_wrap=True
    )
    written = {**machine, "delivery": options.delivery, "memory_mb": memory}
    (options.output / "memory.json").write_text(json.dumps(written, indent=2) + "\n")


def sample_memory(on: Stage, running: Running, events: Iterable[tuple[bytes, bytes]], claims: int) -> dict[int, float]:
    """Send so many claims while a worker decides them: claims committed → MB, at each tenth of them; printed too."""
    table = Table(title="Resident memory", title_justify="left")
    for heading in ("claims", "MB", "seconds"):
        table.add_column(heading, justify="right")
    submitter = Submitter(on.cluster, on.submitted)
    began = time.monotonic()
    memory: dict[int, float] = {}
    marks = [claims * number // _SAMPLES for number in range(1, _SAMPLES + 1)]
    for sent, event in enumerate(events, 1):
        submitter.send(*event)
        if sent % _CHUNK and sent != claims:
            continue
        submitter.flush()
        at_least = claims if sent == claims else sent - _AHEAD
        while marks and (committed := _committed(on, running, min(at_least, marks[0]))) >= marks[0]:
            mark = marks.pop(0)
            memory[mark] = running.memory_mb()
            table.add_row(f"{mark:,}", f"{memory[mark]:.0f}", f"{time.monotonic() - began:.0f}")
            console.print(f"{committed:,} claims committed, {memory[mark]:.0f} MB")
        _committed(on, running, at_least)
    console.print(table)
    return memory


def _committed(on: Stage, running: Running, at_least: int) -> int:
    """Wait until so many claims are committed; how many are."""
    changed, before = time.monotonic(), -1
    while (committed := on.committed()) < at_least:
        running.check()
        if committed != before:
            changed, before = time.monotonic(), committed
        if time.monotonic() - changed > _STALLED_SECONDS:
            raise RuntimeError(f"{committed:,} claims committed, and no more; {running.last_words()}")
        time.sleep(0.05)
    return committed


if __name__ == "__main__":
    main()
