"""What the console's pages ask of a full projection, and how fast it is filled: `make bench-console`.

The records are the worker's own answers to the claims of the benchmark, taken in as the console's follower does it, in
batches. Then each question of a page is put again and again, alone, and while more records are taken in.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from rich.table import Table

from rules import ClaimError, Disposition, RuleSet
from tests.bench.claims import SEED, claim_pool
from tests.bench.report import OUTPUT, console, opened
from tests.worker_process import ROOT, eventually
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
_TENTH_OF_A_SECOND: Mapping[Role, int] = {"cleared": 680, "flagged": 120}
_VISITS = 10
_PAGES = (
    *("/", "/?window=7d", "/flagged", "/flagged?text=63685&state=all", "/causes", "/causes?window=7d", "/rules"),
    *("/rules/UNT001", "/what-if", "/dead-letters", "/overrides"),
)
_REFUSAL = ClaimError("lines[0].units", "not a number", 'a number, best as a string such as "32500.00"')
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
    for role in _ROLES.values():
        seconds, count = 0.0, 0
        for batch in published.batches(role):
            began = time.perf_counter()
            _take(projection, batch)
            seconds += time.perf_counter() - began
            count += len(batch)
        rates[role] = round(count / max(seconds, 1e-9))
    questions = _questions(projection)
    alone = {name: _timed(ask, times) for name, ask in questions.items()}
    stopping = threading.Event()
    follower = threading.Thread(target=_go_on, args=(projection, published, stopping))
    follower.start()
    try:
        meanwhile = {name: _timed(ask, times) for name, ask in questions.items()}
    finally:
        stopping.set()
        follower.join()
    event_id = projection.flagged(Filter(), 1)[0].event_id
    projection.close()
    served = pages(folder, event_id, times)
    return {
        "flagged": flagged,
        "cleared": cleared,
        "megabytes": round(path.stat().st_size / 1e6),
        "records_per_second": rates,
        "milliseconds": {"alone": alone, "while records come in": meanwhile},
        "pages": served,
        "slowest_ms": max(each["p99"] for measured in (alone, meanwhile, served) for each in measured.values()),
    }


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

    def batches(self, role: Role) -> Iterator[list[Received]]:
        """A topic's records, as the follower reads them."""
        records = self.records(role)
        while batch := list(islice(records, _BATCH)):
            yield batch

    def records(self, role: Role, *, again: bool = False) -> Iterator[Received]:
        """A topic's records; `again` has others, of this moment."""
        random = Random(f"{SEED}{role}{again}")
        count = self._counts[role]
        start = self._end - (0 if again else _DAYS * 86_400_000)
        for number in range(count):
            at = start + (number * (self._end - start) // count)
            claim_id = f"{role}-{again:d}-{number}"
            event_id = f"claims.submitted-{number % 12}-{number}{again:d}"
            if role == "deadletter":
                kind, value = None, b"not a claim"
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


def _take(projection: Projection, batch: list[Received]) -> None:
    """As the follower does."""
    projection.take(
        batch, {(topic, partition): offset + 1 for topic, partition, offset in (each.place for each in batch)}
    )


def _go_on(projection: Projection, published: Published, stopping: threading.Event) -> None:
    """Take in 8,000 records a second, in batches like the follower's, until it is enough."""
    topics = [(published.records(role, again=True), count) for role, count in _TENTH_OF_A_SECOND.items()]
    while not stopping.is_set():
        began = time.monotonic()
        _take(projection, [record for records, count in topics for record in islice(records, count)])
        stopping.wait(max(0.0, began + 0.1 - time.monotonic()))


def _questions(projection: Projection) -> dict[str, Callable[[], object]]:
    """What the pages ask, by page; the filters that leave nearly everything are the hardest."""
    choices = projection.choices()
    (first,) = projection.flagged(Filter(), 1)
    hour, day, week = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
    filters = {
        "all": Filter(state=None),
        "open": Filter(),
        "sent again (none)": Filter(state="sent again"),
        "payer": Filter(payer=first.payer),
        "rule": Filter(rule_id=first.rule_ids[0]),
        "severity error": Filter(severity="error"),
        "category": Filter(category=choices.categories[0]),
        "provider": Filter(provider=first.billing_npi),
        "code": Filter(code="63685"),
        "amount": Filter(least_amount=first.amount, most_amount=first.amount),
        "text, met everywhere": Filter(text="63685"),
        "text, met once": Filter(text=first.claim_id),
        "text, met nowhere": Filter(text="nothing has this"),
        "all at once": Filter(
            text="63685", payer=first.payer, rule_id=first.rule_ids[0], severity="error", provider=first.billing_npi,
            code="63685", least_amount=1, flagged_from=first.at.date() - timedelta(days=1),
        ),
    }  # fmt: skip
    asked: dict[str, Callable[[], object]] = {
        "now, an hour": lambda: projection.now(hour),
        "now, a day": lambda: projection.now(day),
        "now, a week": lambda: projection.now(week),
        "claim": lambda: projection.claim(first.event_id),
        "causes, an hour": lambda: projection.clusters(hour),
        "causes, a day": lambda: projection.clusters(day),
        "causes, a week": lambda: projection.clusters(week),
        "alarms": projection.alarms,
        "rules": projection.rule_hits,
        "dead letters": lambda: projection.dead_letters(100),
        "overrides": lambda: projection.overrides(100),
        "choices": projection.choices,
    }
    for name, chosen in filters.items():
        asked[f"flagged: {name}"] = partial(projection.flagged, chosen, 100)
        asked[f"flagged, total: {name}"] = partial(projection.flagged_total, chosen)
    return asked


def pages(folder: Path, event_id: str, times: int) -> dict[str, dict[str, float]]:
    """Milliseconds until the console has answered with a whole page, over HTTP.

    It finds the projection in the folder, and no brokers, which takes nothing from its pages. A page that no browser
    goes on with is held for a minute, so each is asked for a few times only.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    own = {
        "CLAIMSCRUB_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "CLAIMSCRUB_CONSOLE_PORT": str(port),
        "CLAIMSCRUB_CONSOLE_DIRECTORY": str(folder),
        "PYTHONPATH": str(ROOT),
    }
    served = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "console"],
        env={**os.environ, **own},
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert served.poll() is None, "the console does not start"
        try:
            return bool(urlopen(f"{url}/healthz").status)
        except OSError:
            return False

    def page(path: str) -> Callable[[], object]:
        return lambda: urlopen(url + path).read()

    try:
        eventually(is_up, 60)
        paths = [*_PAGES, f"/flagged/{event_id}"]
        return {path.replace(event_id, "{event_id}"): _timed(page(path), min(times, _VISITS)) for path in paths}
    finally:
        served.terminate()
        served.wait()


def _timed(ask: Callable[[], object], times: int) -> dict[str, float]:
    """Milliseconds of a question: the median, and what 99 of 100 are within."""
    ask()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    return {"median": round(taken[len(taken) // 2], 1), "p99": round(taken[math.ceil(0.99 * len(taken)) - 1], 1)}


def _print(results: Mapping[str, Any]) -> None:
    rates = ", ".join(f"{role} {rate:,}" for role, rate in results["records_per_second"].items())
    console.print(f"Taken in, records/s: {rates}; the file has {results['megabytes']} MB")
    measured = results["milliseconds"]
    table = Table(
        title=f"{results['flagged']:,} flagged and {results['cleared']:,} cleared claims: ms a question",
        title_justify="left",
    )
    table.add_column("question")
    for when in measured:
        for figure in ("median", "p99"):
            table.add_column(f"{when}: {figure}", justify="right")
    for name in next(iter(measured.values())):
        table.add_row(
            name, *(f"{each[name][figure]:.1f}" for each in measured.values() for figure in ("median", "p99"))
        )
    console.print(table)
    served = Table(title="Whole pages over HTTP: ms a page", title_justify="left")
    for heading in ("page", "median", "p99"):
        served.add_column(heading, justify="left" if heading == "page" else "right")
    for path, figures in results["pages"].items():
        served.add_row(path, f"{figures['median']:.1f}", f"{figures['p99']:.1f}")
    console.print(served)
    console.print(f"The slowest at p99: {results['slowest_ms']:.0f} ms")


if __name__ == "__main__":
    main()
