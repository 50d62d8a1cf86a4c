"""What the console's pages ask of a projection with many flagged claims, and how fast it is filled: `make bench-console`.

The records are the worker's own answers to the claims of the benchmark, taken in as the console's follower does it, in
batches. Then each question of a page is put again and again, alone, and while more records are taken in.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rich.table import Table

from rules import Disposition, RuleSet
from tests.bench.claims import SEED, Drawn, claim_pool
from tests.bench.report import OUTPUT, console, opened
from worker.codec import cloud_event_headers
from worker.console.projection import Projection
from worker.console.records import Received, Role
from worker.console.views import Filter, Place
from worker.deadletter import error_headers
from worker.pipeline import handle

_BATCH = 4_000
_DAYS = 3
_PROVIDERS = 400
_SUBMITTERS = 40
_LIMIT_MS = 200.0
_ROLES: Mapping[Disposition | None, Role] = {
    Disposition.CLEARED: "cleared", Disposition.FLAGGED: "flagged", None: "deadletter",
}  # fmt: skip


def main() -> None:
    """Measure, print, and write console.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.console", description=__doc__.splitlines()[0])
    parser.add_argument("--flagged", type=int, default=100_000, help="flagged claims (default: %(default)s)")
    parser.add_argument("--cleared", type=int, default=1_000_000, help="cleared claims (default: %(default)s)")
    parser.add_argument("--times", type=int, default=30, help="how often each question is put (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for console.json")
    options = parser.parse_args()
    ruleset, machine = opened(options.output)
    with TemporaryDirectory(prefix="claimscrub-bench-") as folder:
        results = measure(ruleset, Path(folder), options.flagged, options.cleared, options.times)
    _print(results)
    path: Path = options.output / "console.json"
    path.write_text(json.dumps({**machine, **results}, indent=1))


def measure(ruleset: RuleSet, folder: Path, flagged: int, cleared: int, times: int) -> dict[str, Any]:
    """Fill a projection, and ask it."""
    path = folder / "console.sqlite"
    projection = Projection(path, ruleset, 31)
    published = Published(ruleset, flagged, cleared)
    rates = {}
    for role in ("cleared", "flagged", "deadletter"):
        began, count = time.perf_counter(), 0
        for batch in published.batches(role):
            _take(projection, batch)
            count += len(batch)
        rates[role] = round(count / (time.perf_counter() - began))
    questions = _questions(projection)
    alone = {name: _timed(ask, times) for name, ask in questions.items()}
    stopping = threading.Event()
    more = published.batches("flagged", again=True)
    follower = threading.Thread(target=_go_on, args=(projection, more, stopping))
    follower.start()
    try:
        meanwhile = {name: _timed(ask, times) for name, ask in questions.items()}
    finally:
        stopping.set()
        follower.join()
    projection.close()
    return {
        "flagged": flagged,
        "cleared": cleared,
        "megabytes": round(path.stat().st_size / 1e6),
        "records_per_second": rates,
        "milliseconds": {"alone": alone, "while records come in": meanwhile},
        "slowest_ms": max(each["p99"] for measured in (alone, meanwhile) for each in measured.values()),
    }


class _Template(NamedTuple):
    drawn: Drawn
    value: bytes


class Published:
    """Records of the output topics over the last days, in the order of their time."""

    def __init__(self, ruleset: RuleSet, flagged: int, cleared: int) -> None:
        pool = claim_pool(ruleset)
        self._templates: dict[Disposition, list[bytes]] = {}
        for kind, drawn in pool.drawn.items():
            outcomes = [handle(each.raw, ruleset) for each in drawn]
            self._templates[kind] = [each.value for each in outcomes if each.value is not None]
        self._counts: dict[Role, int] = {"cleared": cleared, "flagged": flagged, "deadletter": flagged // 100}
        self._end = round(datetime.now(UTC).timestamp() * 1000)

    def batches(self, role: Role, *, again: bool = False) -> Iterator[list[Received]]:
        """A topic's records; `again` has others, of this moment."""
        records = self._records(role, again)
        while batch := list(islice(records, _BATCH)):
            yield batch

    def _records(self, role: Role, again: bool) -> Iterator[Received]:
        random = Random(f"{SEED}{role}{again}")
        count = self._counts[role]
        start = self._end - (0 if again else _DAYS * 86_400_000)
        for number in range(count):
            at = start + (number * (self._end - start) // count)
            claim_id = f"{role}-{again:d}-{number}"
            event_id = f"claims.submitted-{number % 12}-{number}{again:d}"
            if role == "deadletter":
                value: bytes = b"not a claim"
                kind = None
            else:
                kind = Disposition(role)
                value = random.choice(self._templates[kind])
                value = value.replace(b"BENCH-0000000", claim_id.encode())
                value = value.replace(b"1234567893", b"12%08d" % random.randrange(_PROVIDERS), 1)
                value = value.replace(
                    b'{"claim":{', b'{"claim":{"submitter_id":"S%d",' % random.randrange(_SUBMITTERS), 1
                )
            headers = cloud_event_headers(kind, claim_id, event_id)
            if kind is None:
                headers += error_headers(_REFUSAL, "claims.submitted", 0, number, "claimscrub")
            yield Received(role, Place(f"claims.{role}", number % 12, number), at, dict(headers), value)
