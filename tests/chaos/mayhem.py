"""What goes wrong, in a random order that a seed fixes. The moments are fixed only as far as the machine allows."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import Self

from tests.chaos.crew import Crew
from tests.kafka_broker import KafkaBroker
from tests.worker_process import Pipeline, Worker

SESSION_SECONDS = 2.0
"""Without a heartbeat for so long a worker is out of the group, and its partitions are given to others."""
_WORKERS = 2
_REPORT_SECONDS = 10.0


class Mayhem:
    """Two workers and at times a third, to which everything happens that can happen.

    `counts` has what was done: `kills` of workers by kill -9; `rebalances`, which are the joins and leaves of the third
    worker (each kill, stop and zombie makes one as well, but is counted under its own name); `zombies`, which were
    stopped until others had gone on with all of their partitions, and then woke; `broker kills` and `broker stops`.
    """

    def __init__(self, broker: KafkaBroker, pipeline: Pipeline, random: Random) -> None:
        self.counts: Counter[str] = Counter()
        self.crew = Crew(pipeline, self._broker_is_down)
        self._broker = broker
        self._random = random
        self._thread = ThreadPoolExecutor(1)
        self._restart: Future[None] | None = None
        # A round holds everything, so that the shares don't depend on luck.
        self._round: list[Callable[[], None]] = [
            *[self._kill_one] * 6,
            *[self._kill_one_and_its_disk] * 2,
            *[self._kill_all] * 2,
            *[self._join_or_leave] * 3,
            self._stop,
            self._make_zombie,
            self._hold_up,
            self._kill_broker,
            self._stop_broker,
        ]

    def run(self, seconds: float, report: Callable[[float], None]) -> None:
        """Round after round until the time is over; `report` is called every now and then with the seconds passed."""
        for _ in range(_WORKERS):
            self.crew.join()
        began = reported = time.monotonic()
        while True:
            for action in self._random.sample(self._round, len(self._round)):
                now = time.monotonic()
                if now - began >= seconds:
                    self._broker_is_back()
                    return
                if now - reported >= _REPORT_SECONDS:
                    report(now - began)
                    reported = now
                action()

    # ---- moments

    def _some_moment(self) -> None:
        """Mostly while claims are being decided and committed, else whenever: while joining, handing over, starting."""
        if self._random.random() < 0.6:
            self._wait_for_work()
            self.crew.pass_time(self._random.uniform(0, 0.6))
        else:
            self.crew.pass_time(self._random.uniform(0, 3))

    def _wait_for_work(self) -> None:
        before = self.crew.consumed()
        self.crew.wait_until(lambda: self._broker_is_down() or self.crew.consumed() > before, 6)

    def _someone(self) -> Worker:
        return self._random.choice(self.crew.workers)

    @contextmanager
    def _someone_frozen(self) -> Iterator[None]:
        """SIGSTOP to a worker that had its part of the work, and SIGCONT at the end of the block."""
        self._broker_is_back()
        self._wait_for_work()
        working = [worker for worker in self.crew.workers if worker.events("ready")]
        worker = self._random.choice(working or self.crew.workers)
        worker.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            worker.process.send_signal(signal.SIGCONT)

    # ---- workers

    def _kill_one(self) -> None:
        self._some_moment()
        self._kill(self._someone())

    def _kill_one_and_its_disk(self) -> None:
        """The history is read from its topic again."""
        self._some_moment()
        self._kill(self._someone(), with_disk=True)

    def _kill_all(self) -> None:
        self._some_moment()
        for worker in self.crew.workers.copy():
            self._kill(worker)

    def _kill(self, worker: Worker, *, with_disk: bool = False) -> None:
        self.crew.kill(worker, with_disk=with_disk)
        self.counts["kills"] += 1

    def _join_or_leave(self) -> None:
        self._some_moment()
        if len(self.crew.workers) > _WORKERS:
            self.crew.leave(self._someone())
        else:
            self.crew.join()
        self.counts["rebalances"] += 1

    def _stop(self) -> None:
        self._some_moment()
        worker = self._someone()
        self.crew.join()
        self.crew.leave(worker)

    def _make_zombie(self) -> None:
        with self._someone_frozen():
            self.crew.pass_time(SESSION_SECONDS)
            before = self.crew.positions()
            taken_over = self.crew.wait_until(lambda: _all_are_past(before, self.crew.positions()), 15)
            self.crew.pass_time(self._random.uniform(0, 1))
        self.counts["zombies"] += taken_over

    def _hold_up(self) -> None:
        with self._someone_frozen():
            self.crew.pass_time(SESSION_SECONDS * self._random.uniform(0.2, 0.6))

    # ---- the broker, which comes back while the workers' troubles go on

    def _kill_broker(self) -> None:
        self._some_moment()
        self._start_again(self._broker.kill)
        self.counts["broker kills"] += 1

    def _stop_broker(self) -> None:
        self._some_moment()
        self._start_again(self._broker.stop)
        self.counts["broker stops"] += 1

    def _start_again(self, end: Callable[[], None]) -> None:
        self._broker_is_back()

        def restart(pause: float) -> None:
            end()
            time.sleep(pause)
            self._broker.start()

        self._restart = self._thread.submit(restart, self._random.uniform(0, 3))

    def _broker_is_back(self) -> None:
        if self._restart is not None:
            self.crew.wait_until(self._restart.done, 120)
            self._restart.result()

    def _broker_is_down(self) -> bool:
        return self._restart is not None and not self._restart.done()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self.crew.__exit__()


def _all_are_past(before: Sequence[int], now: Sequence[int]) -> bool:
    return all(later > earlier for earlier, later in zip(before, now, strict=True))
