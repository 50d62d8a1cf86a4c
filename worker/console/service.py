"""What all pages share: the settings, the rules, the projection and who fills it, and what the brokers say."""

from __future__ import annotations

from threading import Event, Thread

import structlog

from rules import RuleSet
from worker.console.backlog import backlog, unread
from worker.console.follow import Follower
from worker.console.metrics import ConsoleMetrics, ConsoleState
from worker.console.projection import Projection
from worker.console.views import Backlog, Filter
from worker.members import Members
from worker.settings import Settings

_BACKLOG_SECONDS = 3.0

log = structlog.get_logger("claimscrub.console")


class Service:
    """One console.

    Attributes:
        backlog: what the workers have not decided yet, as of some seconds ago; None before it was first asked.
        metrics: what the console counts.
    """

    def __init__(
        self, settings: Settings, ruleset: RuleSet, members: Members, projection: Projection, follower: Follower
    ) -> None:
        self.settings = settings
        self.ruleset = ruleset
        self.members = members
        self.projection = projection
        self.follower = follower
        self.backlog: Backlog | None = None
        self.metrics = ConsoleMetrics(self._state)
        follower.counted = self.metrics.projected
        self._lag: int | None = None
        self._stopping = Event()
        self._asking = Thread(target=self._ask_on, daemon=True, name="backlog")

    def start(self) -> None:
        """Follow the topics."""
        self.follower.start()
        self._asking.start()

    def stop(self) -> None:
        """Follow no more."""
        self._stopping.set()
        self.follower.stop()

    @property
    def missing(self) -> list[str]:
        """What keeps the console from showing what is; nothing where it does."""
        if self.follower.problem:
            return [self.follower.problem]
        return [] if self.follower.caught_up else ["the topics are still being read up to their ends"]

    def _state(self) -> ConsoleState:
        claims, cents = self.projection.flagged_total(Filter())
        latest = self.projection.latest()
        return ConsoleState(
            caught_up=not self.missing,
            lag=self._lag,
            open_claims=claims,
            open_amount=cents,
            latest=latest.timestamp() if latest is not None else None,
            backlog=self.backlog,
        )

    def _ask_on(self) -> None:
        while True:
            try:
                self.backlog = backlog(self.settings)
                self._lag = unread(self.settings, self.projection.positions())
            except Exception as error:  # noqa: BLE001  (whatever it is, the pages say so and it is asked again)
                log.warning("backlog failed", reason=type(error).__name__)
                self.backlog = Backlog(
                    0, None, problem=f"the brokers' answer was not understood: {type(error).__name__}"
                )
            if self._stopping.wait(_BACKLOG_SECONDS):
                return
