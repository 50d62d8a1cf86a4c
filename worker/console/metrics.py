"""What the console counts, and what it tells Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import NamedTuple

from prometheus_client.core import Metric as Family

from worker import metrics
from worker.console.views import Backlog
from worker.metrics import Histogram, Tally, exposition, gauge, process_families


class ConsoleState(NamedTuple):
    """How the console stands.

    Attributes:
        caught_up: the projection has what its topics hold.
        lag: records that it lacks; None where that is not known.
        open_claims, open_amount: flagged claims that wait, and their charges in cents.
        latest: when the newest output was decided, in seconds since 1970.
        backlog: what the workers have not decided; None where it was not asked yet.
    """

    caught_up: bool
    lag: int | None
    open_claims: int
    open_amount: int
    latest: float | None
    backlog: Backlog | None = None


class ConsoleMetrics:
    """The console's counters; any thread may count.

    Args:
        state: asked at each scrape.
    """

    def __init__(self, state: Callable[[], ConsoleState]) -> None:
        self._state = state
        self._lock = Lock()
        self._records = Tally(metrics.CONSOLE_RECORDS)
        self._requests = Histogram(metrics.CONSOLE_REQUEST_SECONDS)
        self._releases = Tally(metrics.CONSOLE_RELEASES)
        self._resubmissions = Tally(metrics.CONSOLE_RESUBMISSIONS)

    def projected(self, topic: str, records: int) -> None:
        """Records were taken into the projection."""
        with self._lock:
            self._records.add(records, topic)

    def answered(self, route: str, seconds: float) -> None:
        """A request was answered; `route` is the pattern, such as `/flagged/{event_id}`, never the path itself."""
        with self._lock:
            self._requests.observe(seconds, route)

    def released(self) -> None:
        """A release was published."""
        with self._lock:
            self._releases.add()

    def resubmitted(self) -> None:
        """A dead letter was submitted again."""
        with self._lock:
            self._resubmissions.add()

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The text for Prometheus, and its content type; `accept` is the request's header."""
        return exposition(self._families(), accept)

    def _families(self) -> Iterator[Family]:
        state = self._state()
        for counted in (self._records, self._requests, self._releases, self._resubmissions):
            yield counted.family()
        yield gauge(metrics.READY, state.caught_up)
        yield gauge(metrics.CONSOLE_LAG, {} if state.lag is None else {(): state.lag})
        yield gauge(metrics.CONSOLE_LATEST, {} if state.latest is None else {(): state.latest})
        yield gauge(metrics.CONSOLE_OPEN_CLAIMS, state.open_claims)
        yield gauge(metrics.CONSOLE_OPEN_CHARGES, state.open_amount / 100)
        backlog = state.backlog
        known = backlog is not None and not backlog.problem
        yield gauge(metrics.CONSOLE_BACKLOG, {(): backlog.lag} if backlog is not None and known else {})
        oldest = None if backlog is None else backlog.oldest
        age = 0.0 if oldest is None else max(time.time() - oldest.timestamp(), 0.0)
        yield gauge(metrics.CONSOLE_OLDEST_AGE, {(): age} if known else {})
        yield from process_families()
