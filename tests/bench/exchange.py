"""Sends claims at a rate and reads their decisions, on one clock: sender and reader are threads of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.bench.stage import PARTITIONS, Stage, Submitter

_LAST_SECONDS = 5.0
"""How long the last decisions are waited for."""
_NUMBER = "bench-number"
"""The header that says which claim it is; whoever decides carries it on to the decision."""

Events = Iterator[tuple[bytes, bytes]]


class Window(NamedTuple):
    """What was seen while a rate was held.

    Attributes:
        seconds: how long.
        decided: decisions read in that time.
        latencies: seconds from due to read of each claim that was due in that time and was decided.
        late: seconds from due to sent of each claim that was due in that time.
    """

    seconds: float
    decided: int
    latencies: list[float]
    late: list[float]


class Exchange:
    """A sender and a read_committed reader; a context manager."""

    def __init__(self, on: Stage) -> None:
        self._submitter = Submitter(on.cluster, on.submitted, **{"linger.ms": 0})
        self._reader = Consumer(
            {
                "bootstrap.servers": on.cluster.bootstrap_servers,
                "group.id": "bench-reader",  # required, but nothing joins or commits
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 5,
                "log_level": 0,
            }
        )
        self._reader.assign(
            [TopicPartition(topic, partition, 0) for topic in on.outputs for partition in range(PARTITIONS)]
        )
        self._sent = 0
        self._read_at: dict[int, float] = {}
        self._failure: KafkaException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def hold(self, rate: int, seconds: float, events: Events, lead_seconds: float = 0.0) -> Window:
        """Send at a rate, open-loop: a claim's time begins when it is due, however late the sender or anything else is.

        Args:
            rate: claims per second.
            seconds: how long it is held.
            events: the claims.
            lead_seconds: how long it is held before that.
        """
        first, leading = self._sent, round(rate * lead_seconds)
        end = first + leading + round(rate * seconds)
        start = time.perf_counter() + 0.05
        due = {number: start + (number - first) / rate for number in range(first, end)}
        late = []
        for (number, moment), (key, value) in zip(due.items(), events, strict=False):
            ahead = moment - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            self._submitter.send(key, value, headers=[(_NUMBER, b"%d" % number)])
            late.append(time.perf_counter() - moment)
        self._sent = end
        self.wait(_LAST_SECONDS)
        opened = start + lead_seconds
        read_at = self._read_at.copy()
        return Window(
            seconds,
            sum(opened <= moment < opened + seconds for moment in read_at.values()),
            [read_at[number] - due[number] for number in range(first + leading, end) if number in read_at],
            late[leading:],
        )

    def wait(self, seconds: float) -> bool:
        """Whether every claim sent has been decided within so many seconds."""
        deadline = time.perf_counter() + seconds
        while len(self._read_at) < self._sent and time.perf_counter() < deadline:
            if self._failure is not None:
                raise self._failure
            time.sleep(0.05)
        return len(self._read_at) >= self._sent

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._reader.close()
        self._submitter.flush()

    def _read(self) -> None:
        while not self._stopping.is_set():
            first = self._reader.poll(0.1)
            # `consume` with a time-out would wait for as many as were asked for.
            messages = [] if first is None else [first, *self._reader.consume(1_000, 0)]
            now = time.perf_counter()
            for message in messages:
                if message.error():
                    self._failure = KafkaException(message.error())
                    return
                self._read_at.setdefault(int(dict(message.headers())[_NUMBER]), now)
