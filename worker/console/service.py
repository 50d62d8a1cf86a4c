"""What all pages share: the settings, the rules, the projection and who fills it, and what the brokers say."""

from __future__ import annotations

import logging
from threading import Event, Thread

from rules import RuleSet
from worker.console.follow import Follower
from worker.console.projection import Projection
from worker.console.views import Backlog
from worker.members import Members
from worker.settings import Settings

_BACKLOG_SECONDS = 3.0


class Service:
    """One console.

    Attributes:
        backlog: what the workers have not decided yet, as of some seconds ago; None before it was first asked.
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

    def _ask_on(self) -> None:
        from worker.console.backlog import backlog

        while True:
            try:
                self.backlog = backlog(self.settings)
            except Exception as error:  # noqa: BLE001  (whatever it is, the pages say so and it is asked again)
                logging.getLogger(__name__).warning("backlog: %s", type(error).__name__)
                self.backlog = Backlog(0, None, problem=type(error).__name__)
            if self._stopping.wait(_BACKLOG_SECONDS):
                return
