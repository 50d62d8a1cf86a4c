"""Lanes: one for each input partition, from the fetch to the commit.

A lane takes up the partition's records in order, each once, holds what was decided about them, and publishes it, one
batch after the other, while later records are being decided. Batches adapt: as soon as nothing more waits to be decided
what there is goes out; while more waits, a batch grows up to a number of claims, of bytes, or an age.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from worker.brokers import Brokers
from worker.codec import Arrival
from worker.history import Change, HistoryError, Memory, Shelf, Shelves
from worker.kafka import RECORD_BATCH_BYTES
from worker.pipeline import Outcome
from worker.producer import LostPartitionError, PartitionProducer, TooLargeError
from worker.protocol import Place
from worker.records import Headers, Record
from worker.restoration import restore
from worker.settings import PREFIX, Settings

_PACE_SECONDS = {"exactly_once": 0.03, "at_least_once": 0.0}
"""Between the beginnings of two batches of a lane, unless the batch is full: a transaction costs the brokers some
milliseconds of CPU, however small it is. The first claim after a pause does not wait."""
_RESTORING_SECONDS = 2.0
"""How long a rebalance waits for the history. What takes longer does not hold up the partitions that are ready."""
_LOST_SESSIONS = 2
"""Sessions to wait for the rebalance that takes away a partition which another worker has."""

log = structlog.get_logger("claimscrub.worker")


class Output(NamedTuple):
    """What was decided about one record.

    Attributes:
        topic: where it goes; None for nowhere.
        partition: of that topic; None for that of its input.
        key, value, headers: of what is published.
        record: the input.
        arrival: where and when the input came first.
        outcome: what was decided.
        span: of the event, where events are traced.
    """

    topic: str | None
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    record: Any
    arrival: Arrival
    outcome: Outcome
    span: Any = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """What it changes in the history."""
        return self.outcome.changes

    @property
    def size(self) -> int:
        """Bytes to publish."""
        return len(self.value or b"") + sum(len(raw) for _, raw in self.changes)


class Batch:
    """What one fetch returned: input partition → its records in offset order."""

    __slots__ = ("generation", "parts")

    def __init__(self, parts: Mapping[Place, Sequence[Any]], generation: int) -> None:
        self.parts = parts
        self.generation = generation

    def __len__(self) -> int:
        return sum(map(len, self.parts.values()))


class _Fetch(NamedTuple):
    """Records of one input partition that came together: the first and last offset, and the first one's timestamp."""

    place: Place
    first: int
    last: int
    timestamp: int


class Lane:
    """One input partition, of all input topics.

    Attributes:
        memory: what is remembered of its members.
        shelf: what of that is on disk.
        ready: the history is there; before, nothing is fetched.
        committed: input partition → offset before which everything is published.
        fetched: records fetched and not yet published.
        lost: it is another worker's, or publishing failed; nothing more is published.
        publishing_since: when the batch that is being published was begun, in monotonic seconds; None without one.
    """

    def __init__(
        self,
        partition: int,
        producer: PartitionProducer,
        memory: Memory,
        shelf: Shelf,
        lanes: Lanes,
    ) -> None:
        self._partition = partition
        self._producer = producer
        self._began_at = producer.committed
        self._positions = dict(producer.committed)
        self.memory = memory
        self.shelf = shelf
        self.ready = False
        self._lanes = lanes
        self._settings = lanes.settings
        self._outputs: list[Output] = []
        self._bytes = 0
        self._since = 0.0
        self._next_begin = 0.0
        self._task: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self.committed: dict[Place, int] = {}
        self.fetched = 0
        self.lost = False
        self.publishing_since: float | None = None
        self._fetches: deque[_Fetch] = deque()

    @property
    def busy(self) -> bool:
        """Something was decided that is not published yet."""
        return not self.lost and (self._task is not None or bool(self._outputs))

    def came(self, place: Place, records: Sequence[Any]) -> None:
        """Records were fetched."""
        self.fetched += len(records)
        self._fetches.append(_Fetch(place, records[0].offset, records[-1].offset, records[0].timestamp))

    def unpublished(self) -> list[_Fetch]:
        """The fetches of which something is not published yet; for any thread."""
        return [] if self.lost else [each for each in list(self._fetches) if not self._is_published(each)]

    def _is_published(self, fetch: _Fetch) -> bool:
        return self.committed.get(fetch.place, self._began_at.get(fetch.place, 0)) > fetch.last

    def take_up(self, place: Place, records: Sequence[Any]) -> Sequence[Any]:
        """Those of the records that were not taken up before; a fetch may bring some again after a rebalance."""
        position = self._positions.get(place)
        fresh = records if position is None else [record for record in records if record.offset >= position]
        self.fetched -= len(records) - len(fresh)
        if fresh:
            self._positions[place] = fresh[-1].offset + 1
        return fresh

    def add(self, outputs: list[Output]) -> None:
        """What was decided about the next records."""
        if not outputs or self.lost:
            return
        if not self._outputs:
            self._since = time.monotonic()
        self._outputs += outputs
        self._bytes += sum(output.size for output in outputs)
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
            self.publishing_since = now
            self._task = asyncio.create_task(self._publish(self._take()))

    def _alarmed(self) -> None:
        self._alarm = None
        self.begin_if_due()

    def _take(self) -> list[Output]:
        """The next batch: everything, as far as the limits allow."""
        count, size = 0, 0
        for output in self._outputs[: self._settings.batch_records]:
            size += output.size
            if count and size > self._settings.batch_bytes:
                size -= output.size
                break
            count += 1
        taken, self._outputs = self._outputs[:count], self._outputs[count:]
        self._bytes -= size
        return taken

    async def _publish(self, outputs: list[Output]) -> None:
        try:
            await self._published(outputs)
        except LostPartitionError:
            self.lose()
        except Exception as error:  # noqa: BLE001  (whatever it is: nothing may go on past these outputs)
            self._drop()
            self._lanes.failed(error)
        else:
            self.fetched -= len(outputs)
            self.committed |= _offsets(outputs)
            while self._fetches and self._is_published(self._fetches[0]):
                self._fetches.popleft()
        finally:
            self._task = None
            self.publishing_since = None
            self._lanes.moved()
            self.begin_if_due()

    async def _published(self, outputs: list[Output]) -> None:
        began = time.monotonic()
        history = (self._settings.history_topic, self._partition)
        changes = {key: raw for output in outputs for key, raw in output.changes}
        limits = self._lanes.most_bytes.copy()
        single = False
        while True:
            by_place = self._by_place(outputs)
            records: dict[Place, list[Record]] = {
                place: [(each.key, each.value, each.headers) for each in found] for place, found in by_place.items()
            }
            if changes:
                records[history] = [(key, raw, ()) for key, raw in changes.items()]
            try:
                ends = await self._producer.publish(records, _offsets(outputs), limits)
            except TooLargeError as error:
                if error.record is None:
                    limits[error.place[0]] //= 2
                    continue
                if error.place == history:
                    raise HistoryError(_history_refused(self._settings.history_topic)) from None
                refused = by_place[error.place][error.record]
                deadletter = self._lanes.refused(refused)
                outputs = [deadletter if each is refused else each for each in outputs]
                single = True
            else:
                break
        if changes:
            self.shelf.write(changes.items(), self._position(ends.get(history), len(changes)))
            self.memory.stands(changes)
        if not single:  # where it was one large message, others may come in batches as before
            self._lanes.most_bytes = limits
        self._lanes.published(outputs, len(changes), time.monotonic() - began)

    def _position(self, end: int | None, count: int) -> int | None:
        """How far the history is known after so many records of one's own; None if others may have written between."""
        if self._settings.delivery == "exactly_once" or end is None or self.shelf.position == end - count:
            return end
        return None

    def _by_place(self, outputs: Iterable[Output]) -> dict[Place, list[Output]]:
        by_place: dict[Place, list[Output]] = {}
        for output in outputs:
            if output.topic is not None:
                partition = self._partition if output.partition is None else output.partition
                by_place.setdefault((output.topic, partition), []).append(output)
        return by_place

    def lose(self) -> None:
        """Another worker has the partition; a rebalance will say so."""
        self._drop()
        self._lanes.lost += 1
        log.warning("partition lost", topic=self._settings.submitted_topic, partition=self._partition)
        patience = _LOST_SESSIONS * self._settings.session_timeout_seconds
        self._alarm = asyncio.get_running_loop().call_later(patience, self._still_lost)

    def _still_lost(self) -> None:
        where = f"partition {self._partition} of {self._settings.submitted_topic}"
        self._lanes.failed(LostPartitionError(f"another worker publishes for {where}"))

    def _drop(self) -> None:
        self.lost = True
        self.fetched = 0
        self._outputs.clear()
        self._fetches.clear()
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


def _offsets(outputs: Iterable[Output]) -> dict[Place, int]:
    """Input partition → offset after the last record that the outputs are about."""
    return {(output.record.topic, output.record.partition): output.record.offset + 1 for output in outputs}


def _history_refused(topic: str) -> str:
    return (
        f"topic {topic} does not take the record of a member, nothing is lost; raise it with: kafka-configs.sh --alter"
        f" --entity-type topics --entity-name {topic} --add-config max.message.bytes=BYTES, or lower"
        f" {PREFIX}HISTORY_LINES"
    )


class Lanes:
    """All lanes of a worker.

    Args:
        settings: limits and names.
        folder: for the history on disk.
        remember: (store, partition, partitions) → what is remembered of the partition's members.
        refused: makes the dead letter of an output that the brokers find too large.
        failed: called with why the worker must stop.
        published: called with the outputs of a batch that stands now, how many records of the history it has changed,
            and the seconds that publishing took.
        restored: called with the number of partitions as soon as the history of all of them is there.

    Attributes:
        most_bytes: topic → most bytes of a record batch; less where brokers have refused more.
        queued: batches fetched that the agent has not taken up.
        deciding: the agent is at a batch.
        hurried: nothing is to wait for company: partitions are given away, or the worker stops.
        lost: partitions that another worker took over before this one was told.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        remember: Callable[[Shelf, int, int], Memory],
        refused: Callable[[Output], Output],
        failed: Callable[[Exception], None],
        published: Callable[[Sequence[Output], int, float], None],
        restored: Callable[[int], None],
    ) -> None:
        self.settings = settings
        self.refused = refused
        self.failed = failed
        self.published = published
        self._remember = remember
        self._restored = restored
        self._shelves = Shelves(folder)
        self._restoring: asyncio.Task[None] | None = None
        self.most_bytes = dict.fromkeys(settings.topics, RECORD_BATCH_BYTES)
        self.queued = 0
        self.deciding = False
        self.hurried = False
        self.lost = 0
        self._brokers = Brokers(settings)
        self._started = False
        self._lanes: dict[int, Lane] = {}
        self._moved = asyncio.Event()

    # ---- partitions come and go

    async def open(self, places: Iterable[Place], member: Callable[[], tuple[int, str]]) -> None:
        """Take over partitions, all at once, and shut their predecessors out; before committed offsets are read.

        Args:
            places: all input partitions that are assigned.
            member: generation and member id in the consumer group.
        """
        settings = self.settings
        if not self._started:
            self._started = True
            await self._brokers.start(settings.topics)
        await self._give_up_restoring()
        await self.close(list(self._lanes))
        self.hurried = False
        partitions = sorted({partition for topic, partition in places if topic == settings.submitted_topic})
        count = self._brokers.partitions(settings.submitted_topic)
        producers = [PartitionProducer(self._brokers, settings, each, count, member) for each in partitions]
        opened = await asyncio.gather(*(producer.open() for producer in producers), return_exceptions=True)
        for failure in opened:
            if isinstance(failure, BaseException) and not isinstance(failure, LostPartitionError):
                raise failure
        self._shelves.keep(partitions)
        for partition, producer in zip(partitions, producers, strict=True):
            shelf = self._shelves.shelf(partition)
            memory = self._remember(shelf, partition, count)
            self._lanes[partition] = Lane(partition, producer, memory, shelf, self)
        for partition, failure in zip(partitions, opened, strict=True):
            if failure is not None:
                self._lanes[partition].lose()
        restoring = {partition: lane for partition, lane in self._lanes.items() if not lane.lost}
        # What takes long goes on while other partitions are decided already.
        self._restoring = asyncio.create_task(self._restore(restoring))
        await asyncio.wait({self._restoring}, timeout=_RESTORING_SECONDS)

    async def _restore(self, lanes: Mapping[int, Lane]) -> None:
        def done(partition: int) -> None:
            lanes[partition].memory.begin()
            lanes[partition].ready = True
            self.moved()

        try:
            await restore(self.settings, {partition: lane.shelf for partition, lane in lanes.items()}, done)
            self._restored(len(lanes))
        except Exception as error:  # noqa: BLE001  (whatever it is: no claim may be decided without its history)
            self.failed(error)

    async def _give_up_restoring(self) -> None:
        if self._restoring is not None:
            self._restoring.cancel()
            with suppress(asyncio.CancelledError):
                await self._restoring

    async def close(self, partitions: Iterable[int]) -> None:
        """Give partitions away."""
        closing = [lane for lane in (self._lanes.pop(each, None) for each in partitions) if lane is not None]
        await asyncio.gather(*(lane.close() for lane in closing))
        if not self._lanes:
            self.queued = 0
        self.moved()

    async def stop(self) -> None:
        """Close everything; what is not published is left to whoever comes next."""
        await self._give_up_restoring()
        await self.close(list(self._lanes))
        self._shelves.keep(())
        if self._started:
            await self._brokers.stop()

    # ---- the way of a batch

    def fetched(self, batch: Batch) -> bool:
        """A batch is handed to the agent; False if none of its partitions is this worker's."""
        known = False
        for place, records in batch.parts.items():
            lane = self._lanes.get(place[1])
            if lane is not None and not lane.lost:
                lane.came(place, records)
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
        lane = self._lanes.get(place[1])
        return None if lane is None or lane.lost else lane

    def is_ready(self, place: Place) -> bool:
        """Whether a partition's events can be decided: it is this worker's, and its history is there."""
        lane = self._lanes.get(place[1])
        return lane is not None and lane.ready

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

    def all(self) -> dict[int, Lane]:
        """Partition → its lane; for any thread."""
        return self._lanes.copy()

    @property
    def recoveries(self) -> int:
        """How often it had to be found out what has become of a batch."""
        return self._brokers.recoveries

    @property
    def history_reads(self) -> int:
        """How often members' records were looked up on disk."""
        return self._shelves.reads

    def committed(self) -> dict[Place, int]:
        """Partition → offset before which everything is published."""
        return {place: offset for lane in self._lanes.values() for place, offset in lane.committed.items()}

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
