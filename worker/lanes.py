"""Lanes: one for each input partition, from the fetch to the commit.

A lane takes up the partition's records in order, each once, holds what was decided about them, and publishes it, one
batch after the other, while later records are being decided. Batches adapt: as soon as nothing more waits to be decided
what there is goes out; while more waits, a batch grows up to a number of claims, of bytes, or an age.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import structlog

from worker.brokers import Brokers
from worker.kafka import RECORD_BATCH_BYTES
from worker.producer import LostPartitionError, PartitionProducer, TooLargeError
from worker.protocol import Place
from worker.records import Headers, Record
from worker.settings import Settings

_PACE_SECONDS = {"exactly_once": 0.03, "at_least_once": 0.0}
"""Between the beginnings of two batches of a lane, unless the batch is full: a transaction costs the brokers some
milliseconds of CPU, however small it is. The first claim after a pause does not wait."""
_LOST_SESSIONS = 2
"""Sessions to wait for the rebalance that takes away a partition which another worker has."""

log = structlog.get_logger("claimscrub.worker")


class Output(NamedTuple):
    """What was decided about one record.

    Attributes:
        topic: where it goes, into the partition of its input.
        key, value, headers: of what is published.
        record: the input.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    record: Any


class Batch:
    """What one fetch returned: input partition → its records in offset order."""

    __slots__ = ("generation", "parts")

    def __init__(self, parts: Mapping[Place, Sequence[Any]], generation: int) -> None:
        self.parts = parts
        self.generation = generation

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))


class Lane:
    """One input partition.

    Attributes:
        committed: offset before which everything is published; None before the first batch.
        fetched: records fetched and not yet published.
        lost: it is another worker's, or publishing failed; nothing more is published.
    """

    def __init__(self, place: Place, producer: PartitionProducer, position: int | None, lanes: Lanes) -> None:
        self._place = place
        self._producer = producer
        self._position = position
        self._lanes = lanes
        self._settings = lanes.settings
        self._outputs: list[Output] = []
        self._bytes = 0
        self._since = 0.0
        self._next_begin = 0.0
        self._task: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self.committed: int | None = None
        self.fetched = 0
        self.lost = False

    @property
    def busy(self) -> bool:
        """Something was decided that is not published yet."""
        return not self.lost and (self._task is not None or bool(self._outputs))

    def take_up(self, records: Sequence[Any]) -> Sequence[Any]:
        """Those of the records that were not taken up before; a fetch may bring some again after a rebalance."""
        position = self._position
        fresh = records if position is None else [record for record in records if record.offset >= position]
        self.fetched -= len(records) - len(fresh)
        if fresh:
            self._position = fresh[-1].offset + 1
        return fresh

    def add(self, outputs: list[Output]) -> None:
        """What was decided about the next records."""
        if not outputs or self.lost:
            return
        if not self._outputs:
            self._since = time.monotonic()
        self._outputs += outputs
        self._bytes += sum(len(output.value or b"") for output in outputs)
        self.begin_if_due()

    def begin_if_due(self) -> None:
        """Publish the next batch, if there is one and it should not grow any more."""
        if self._task is not None or not self._outputs or self.lost:
            return
        settings, now = self._settings, time.monotonic()
        full = len(self._outputs) >= settings.batch_records or self._bytes >= settings.batch_bytes
        if not full and now < self._next_begin and not self._lanes.hurried:
            if self._alarm is None:
                delay = self._next_begin - now
                self._alarm = asyncio.get_running_loop().call_later(delay, self._alarmed)
            return
        if full or self._lanes.idle or now - self._since >= settings.batch_seconds:
            self._next_begin = now + _PACE_SECONDS[settings.delivery]
            self._task = asyncio.create_task(self._publish(self._take()))

    def _alarmed(self) -> None:
        self._alarm = None
        self.begin_if_due()

    def _take(self) -> list[Output]:
        """The next batch: everything, as far as the limits allow."""
        count, size = 0, 0
        for output in self._outputs[: self._settings.batch_records]:
            size += len(output.value or b"")
            if count and size > self._settings.batch_bytes:
                size -= len(output.value or b"")
                break
            count += 1
        taken, self._outputs = self._outputs[:count], self._outputs[count:]
        self._bytes -= size
        return taken

    async def _publish(self, outputs: list[Output]) -> None:
        try:
            await self._published(outputs)
        except LostPartitionError:
            self._lose()
        except Exception as error:  # noqa: BLE001  (whatever it is: nothing may go on past these outputs)
            self._drop()
            self._lanes.failed(error)
        else:
            self.fetched -= len(outputs)
            self.committed = outputs[-1].record.offset + 1
        finally:
            self._task = None
            self._lanes.moved()
            self.begin_if_due()

    async def _published(self, outputs: list[Output]) -> None:
        partition = self._place[1]
        limits = self._lanes.most_bytes.copy()
        single = False
        while True:
            by_place: dict[Place, list[Output]] = {}
            for output in outputs:
                by_place.setdefault((output.topic, partition), []).append(output)
            records: dict[Place, list[Record]] = {
                place: [(each.key, each.value, each.headers) for each in found] for place, found in by_place.items()
            }
            try:
                await self._producer.publish(records, outputs[-1].record.offset + 1, limits)
            except TooLargeError as error:
                if error.record is None:
                    limits[error.topic] //= 2
                    continue
                refused = by_place[error.topic, partition][error.record]
                deadletter = self._lanes.refused(refused)
                outputs = [deadletter if each is refused else each for each in outputs]
                single = True
            else:
                break
        if not single:  # where it was one large message, others may come in batches as before
            self._lanes.most_bytes = limits

    def _lose(self) -> None:
        self._drop()
        log.warning("partition lost", topic=self._place[0], partition=self._place[1])
        patience = _LOST_SESSIONS * self._settings.session_timeout_seconds
        self._alarm = asyncio.get_running_loop().call_later(patience, self._still_lost)

    def _still_lost(self) -> None:
        topic, partition = self._place
        self._lanes.failed(LostPartitionError(f"another worker publishes for partition {partition} of {topic}"))

    def _drop(self) -> None:
        self.lost = True
        self.fetched = 0
        self._outputs.clear()
        self._bytes = 0

    async def close(self) -> None:
        """Drop what is not published; whoever has the partition next decides it again."""
        self._drop()
        if self._alarm is not None:
            self._alarm.cancel()
        task = self._task
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Lanes:
    """All lanes of a worker.

    Args:
        settings: limits and names.
        refused: makes the dead letter of an output that the brokers find too large.
        failed: called with why the worker must stop.

    Attributes:
        most_bytes: topic → most bytes of a record batch; less where brokers have refused more.
        queued: batches fetched that the agent has not taken up.
        deciding: the agent is at a batch.
        hurried: nothing is to wait for company: partitions are given away, or the worker stops.
    """

    def __init__(
        self, settings: Settings, refused: Callable[[Output], Output], failed: Callable[[Exception], None]
    ) -> None:
        self.settings = settings
        self.refused = refused
        self.failed = failed
        self.most_bytes = dict.fromkeys(settings.topics, RECORD_BATCH_BYTES)
        self.queued = 0
        self.deciding = False
        self.hurried = False
        self._brokers = Brokers(settings)
        self._started = False
        self._lanes: dict[Place, Lane] = {}
        self._moved = asyncio.Event()

    # ---- partitions come and go

    async def open(self, places: Iterable[Place], member: Callable[[], tuple[int, str]]) -> None:
        """Take over partitions, all at once, and shut their predecessors out; before committed offsets are read.

        Args:
            places: all input partitions that are assigned.
            member: generation and member id in the consumer group.
        """
        if not self._started:
            self._started = True
            await self._brokers.start(self.settings.topics)
        await self.close(list(self._lanes))
        self.hurried = False
        producers = {place: PartitionProducer(self._brokers, self.settings, place, member) for place in places}
        positions = await asyncio.gather(*(producer.open() for producer in producers.values()))
        for (place, producer), position in zip(producers.items(), positions, strict=True):
            self._lanes[place] = Lane(place, producer, position, self)

    async def close(self, places: Iterable[Place]) -> None:
        """Give partitions away."""
        closing = [lane for lane in (self._lanes.pop(place, None) for place in places) if lane is not None]
        await asyncio.gather(*(lane.close() for lane in closing))
        if not self._lanes:
            self.queued = 0
        self.moved()

    async def stop(self) -> None:
        """Close everything; what is not published is left to whoever comes next."""
        await self.close(list(self._lanes))
        if self._started:
            await self._brokers.stop()

    # ---- the way of a batch

    def fetched(self, batch: Batch) -> bool:
        """A batch is handed to the agent; False if none of its partitions is this worker's."""
        known = False
        for place, records in batch.parts.items():
            lane = self._lanes.get(place)
            if lane is not None and not lane.lost:
                lane.fetched += len(records)
                known = True
        if known:
            self.queued += 1
        return known

    def begun(self) -> None:
        """The agent has taken up a batch."""
        self.queued = max(0, self.queued - 1)
        self.deciding = True

    def done(self) -> None:
        """The agent has decided a batch."""
        self.deciding = False
        self.begin_due()
        self.moved()

    def lane(self, place: Place) -> Lane | None:
        """The lane of a partition, if it is this worker's."""
        lane = self._lanes.get(place)
        return None if lane is None or lane.lost else lane

    def begin_due(self) -> None:
        """Publish every batch that should not grow any more."""
        for lane in self._lanes.values():
            lane.begin_if_due()

    # ---- what is where

    @property
    def idle(self) -> bool:
        """Nothing waits to be decided: a batch would wait for company in vain."""
        return self.hurried or not self.queued

    @property
    def in_flight(self) -> int:
        """Records fetched and not yet published."""
        return sum(lane.fetched for lane in self._lanes.values())

    def committed(self) -> dict[Place, int]:
        """Partition → offset before which everything is published."""
        return {place: lane.committed for place, lane in self._lanes.items() if lane.committed is not None}

    def moved(self) -> None:
        """Something was published, or given up."""
        self._moved.set()

    async def wait_until_moved(self, seconds: float) -> None:
        """Wait until something is published, or for so long."""
        self._moved.clear()
        # Not asyncio.wait_for: it swallows a cancellation that comes with the wake-up (Python 3.11).
        waiting = asyncio.ensure_future(self._moved.wait())
        try:
            await asyncio.wait({waiting}, timeout=seconds)
        finally:
            waiting.cancel()

    async def finish(self, seconds: float) -> bool:
        """Publish what was begun, without waiting for more; whether that was done in time."""
        deadline = time.monotonic() + seconds
        self.hurried = True
        self.begin_due()
        while self.deciding or any(lane.busy for lane in self._lanes.values()):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            await self.wait_until_moved(min(remaining, 1.0))
        return True
