"""The workers of one group, as a supervisor keeps them: whoever ends is started again."""

from __future__ import annotations

import itertools
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.worker_process import Pipeline, Worker

STOP_SECONDS = 10.0
"""Within so many seconds of SIGTERM a worker has to be gone, with exit code 0."""
_GIVE_UP_SECONDS = 60
"""After so long nothing more is expected of a worker."""
_TICK_SECONDS = 0.05


class Crew:
    """Workers on the topics of one pipeline.

    Args:
        pipeline: their topics, group and settings.
        broker_is_down: asked while a worker is stopping, which may take its time when no broker answers.

    Attributes:
        workers: those that are meant to run.
        own_ends: how many workers ended by themselves, as one that was fenced has to.
        faults: what a worker did that it should not have done.
    """

    def __init__(self, pipeline: Pipeline, broker_is_down: Callable[[], bool]) -> None:
        self.workers: list[Worker] = []
        self.own_ends = 0
        self.faults: list[str] = []
        self._pipeline = pipeline
        self._broker_is_down = broker_is_down
        self._partitions = [TopicPartition(pipeline.topics["submitted"], each) for each in range(pipeline.partitions)]
        # It never joins. Not an AdminClient: with one, librdkafka 2.16 has crashed while the broker was away.
        self._group = Consumer(
            {
                "bootstrap.servers": pipeline.kafka.bootstrap_servers,
                "group.id": pipeline.environment["CLAIMSCRUB_GROUP_ID"],
                "isolation.level": "read_uncommitted",  # what is committed by now, not what may be in a moment
                "log_level": 0,
            }
        )
        self._positions = [0] * pipeline.partitions
        self._folders: dict[Worker, Path] = {}

    def join(self) -> Worker:
        """Start one more worker, with the first data directory that is free: what one leaves, the next one finds."""
        taken = {folder for worker, folder in self._folders.items() if worker.process.poll() is None}
        folders = (self._pipeline.folder / f"data-{number}" for number in itertools.count(1))
        folder = next(each for each in folders if each not in taken)
        worker = self._pipeline.worker(CLAIMSCRUB_DATA_DIRECTORY=str(folder))
        self.workers.append(worker)
        self._folders[worker] = folder
        return worker

    def kill(self, worker: Worker, *, with_disk: bool = False) -> None:
        """SIGKILL, and another worker in its place at once, without what this one had on disk if so asked."""
        self.workers.remove(worker)
        worker.kill()
        if with_disk:
            shutil.rmtree(self._folders[worker], ignore_errors=True)
        self.join()

    def leave(self, worker: Worker) -> None:
        """SIGTERM, and wait for its end; nobody takes its place."""
        self.workers.remove(worker)
        was_ready = bool(worker.events("ready"))  # before, it may not have come to handle signals yet
        broker_was_down = self._broker_is_down()
        worker.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        while worker.process.poll() is None and time.monotonic() - began < _GIVE_UP_SECONDS:
            self.pass_time(_TICK_SECONDS)
            broker_was_down |= self._broker_is_down()
        seconds = time.monotonic() - began
        if worker.process.poll() is None:
            worker.kill()
        failed = was_ready and worker.process.returncode != 0
        if not broker_was_down and (failed or seconds > STOP_SECONDS):
            self.faults.append(f"{worker.name} ended with {worker.process.returncode} {seconds:.1f} s after SIGTERM")

    def pass_time(self, seconds: float) -> None:
        """Wait, and see to it that whoever ends meanwhile is started again."""
        until = time.monotonic() + seconds
        while True:
            for worker in self.workers:
                if worker.process.poll() is not None:
                    self.workers.remove(worker)
                    self.own_ends += 1
                    said = (worker.log.splitlines() or ["nothing"])[-1]
                    print(f"{worker.name} ended by itself with {worker.process.returncode}: {said[:400]}", flush=True)
                    self.join()
                    break
            if time.monotonic() >= until:
                return
            time.sleep(min(_TICK_SECONDS, max(0.0, until - time.monotonic())))

    def wait_until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Pass time until something holds; False if it did not within so many seconds."""
        until = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > until:
                return False
            self.pass_time(_TICK_SECONDS)
        return True

    def positions(self) -> list[int]:
        """The offset before which all is done, for each partition; the last known ones while no broker answers."""
        committed = self._committed(self._partitions)
        if committed:
            self._positions = [max(0, each.offset) for each in committed]
        return self._positions

    def consumed(self) -> int:
        """How many events are done."""
        return sum(self.positions())

    def drain(self, total: int) -> None:
        """Wait until the group has consumed so many events, and what was sent on of them; a fault without progress."""
        if not self._drain("events", self.consumed, total):
            return
        topic = self._pipeline.topics["repartition"]
        ends = dict.fromkeys(range(self._pipeline.partitions), 0)
        for message in self._pipeline.kafka.read(topic):
            ends[message.partition()] = message.offset() + 1
        places = [TopicPartition(topic, partition) for partition in ends]

        def consumed() -> int:
            # The ends of transactions are offsets too: only the last record of each partition tells.
            return sum(min(max(0, each.offset), ends[each.partition]) for each in self._committed(places))

        self._drain("offsets of events sent on", consumed, sum(ends.values()))

    def _drain(self, what: str, count: Callable[[], int], total: int) -> bool:
        before, until = -1, 0.0
        while (consumed := count()) < total:
            if consumed > before:
                before, until = consumed, time.monotonic() + _GIVE_UP_SECONDS
            elif time.monotonic() > until:
                self.faults.append(f"{consumed} of {total} {what} consumed, then no progress for {_GIVE_UP_SECONDS} s")
                return False
            self.pass_time(_TICK_SECONDS)
        return True

    def _committed(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """Places with their committed offsets; none while no broker answers."""
        with suppress(KafkaException):
            committed: list[TopicPartition] = self._group.committed(places, timeout=2)
            return committed
        return []

    def end(self) -> None:
        """All leave, one after the other."""
        for worker in self.workers.copy():
            self.leave(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()
        self._group.close()
