"""How records reach the agent: Faust's aiokafka transport with one stream event per fetch.

Faust's stock delivery makes four asyncio tasks per record, which costs ten times what a claim's rules do. Its extension
point is the transport. Each override here says why it is there; they were checked against faust-streaming 0.15.3, and
`tests/worker/test_transport.py` fails where another version changes what they lean on.

What holds here, and stock Faust does not promise:

- what is committed of a partition is what its lane has published (`worker.lanes`), in order, and nothing beyond it;
- fetching pauses while too much is fetched and not yet published;
- before partitions are given away, and before the worker stops, what was begun is published and committed, and what was
  not is dropped, so that nothing is decided twice in an orderly hand-over;
- other topics that an app may have (changelogs, repartitioning, replies) go the stock way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import structlog
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from worker.header_names import read_any_header_names
from worker.lanes import Batch, Lanes
from worker.membership import watch_membership
from worker.protocol import Place
from worker.settings import Settings

_POLL_SECONDS = 1.0
_PAUSE_SECONDS = 0.002
"""After a small fetch: each costs about a millisecond of CPU, however little it brings."""
_SMALL_FETCH = 50
_FINISH_SHARE = 0.6
"""Of the time for stopping, for publishing what was begun."""
_COMMIT_SECONDS = 2.0
"""For the last commit of a worker that stops."""

log = structlog.get_logger("claimscrub.worker")


class Heard(NamedTuple):
    """What the brokers said of a partition.

    Attributes:
        end: offset after the last record that may be read.
        position: offset of what is fetched next, past the ends of transactions too; None where it is not known.
        at: when they said so, in seconds since 1970.
    """

    end: int
    position: int | None
    at: float


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, with what Faust has fixed: how long a fetch may wait, and what a reader may see."""

    consumer: BatchConsumer

    def _create_worker_consumer(self, transport: Any) -> Any:
        read_any_header_names()
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = int(self.consumer.settings.fetch_wait_seconds * 1000)  # noqa: SLF001
        # A record of X12 becomes claim events in one transaction: those of an aborted one must not be decided.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        # A partition of all input topics goes to one worker: they are about the same members.
        consumer._partition_assignment_strategy = (RangePartitionAssignor,)  # noqa: SLF001
        return consumer

    async def on_start(self) -> None:
        """Stock Faust gives up at once where no broker answers."""
        deadline = time.monotonic() + self.consumer.settings.startup_timeout_seconds
        while True:
            try:
                await super().on_start()
                break
            except KafkaConnectionError as error:
                if time.monotonic() >= deadline:
                    self.app.stop_because(error)
                    raise
                log.warning("waiting", reason=str(error))
                await self._consumer.stop()
                await asyncio.sleep(_POLL_SECONDS)
        watch_membership(self._consumer, self.app.stop_because)

    async def crash(self, exc: BaseException) -> None:
        if isinstance(exc, KafkaError):
            self.app.stop_because(exc)
            if self._thread_running is None:  # it has started
                # The worker stops, and has a last question to this thread: ended now, it would never answer.
                return
        await super().crash(exc)

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._fetch_records(*args, **kwargs)
        except KafkaError as error:
            self.app.stop_because(error)
            raise

    async def on_thread_stop(self) -> None:
        """Stock Faust's thread dies where aiokafka lets through that it cancelled a fetch which had just failed."""
        try:
            await super().on_thread_stop()
        except asyncio.CancelledError:
            await self._ensure_consumer()._client.close()  # noqa: SLF001  (all that was left to do)

    async def seek_back(self, offsets: Mapping[TP, int]) -> None:
        """Read partitions again from these offsets, as far as they are still assigned."""
        await self.call_thread(self._seek_back, offsets)

    async def _seek_back(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp in consumer.assignment() & offsets.keys():
            consumer.seek(tp, offsets[tp])

    def heard(self) -> dict[Place, Heard]:
        """What the brokers said last of each assigned partition; for any thread."""
        consumer = self._consumer
        subscription = None if consumer is None else consumer._subscription.subscription  # noqa: SLF001
        assignment = None if subscription is None else subscription.assignment
        if assignment is None:
            return {}
        heard = {}
        for tp in assignment.tps:
            state = assignment.state_value(tp)
            if state is None or state.highwater is None:  # nothing yet
                continue
            end = state.highwater if state.lso is None or state.lso < 0 else state.lso
            heard[tp.topic, tp.partition] = Heard(end, state._position, state.timestamp / 1000)  # noqa: SLF001
        return heard

    def member(self) -> tuple[int, str]:
        """Generation and member id in the consumer group."""
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001
        return coordinator.generation, coordinator.member_id


class BatchConsumer(driver.Consumer):
    """Faust's consumer with batch delivery for the submitted claims."""

    settings: ClassVar[Settings]
    lanes: ClassVar[Lanes]
    _thread: ConsumerThread

    def heard(self) -> dict[Place, Heard]:
        """What the brokers said last of each assigned partition; for any thread."""
        return self._thread.heard()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # ---- what may be committed

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        """Stock Faust asks its list of single acknowledged offsets; with exactly once the lanes commit themselves."""
        yield from super()._filter_tps_with_pending_acks(topics)
        if self.settings.delivery == "at_least_once":
            for place in self.lanes.committed():
                tp = TP(*place)
                if topics is None or tp in topics or tp.topic in topics:
                    yield tp

    def _new_offset(self, tp: TP) -> int | None:
        offset: int | None
        if self._is_batched(tp):
            offset = self.lanes.committed().get((tp.topic, tp.partition))
        else:
            offset = super()._new_offset(tp)
        return offset

    def _is_batched(self, tp: TP) -> bool:
        return tp.topic in self.settings.input_topics

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        # Stock Faust records offsets as committed even where the broker refused them, and so would not try again.
        before = {tp: self._committed_offset.get(tp) for tp in offsets}
        committed: bool = await super()._commit_offsets(offsets, start_new_transaction)
        if not committed:
            self._committed_offset.update({tp: offset for tp, offset in before.items() if tp in self._committed_offset})
        return committed

    # ---- partitions come and go

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Shut predecessors out before Faust reads the committed offsets: their transactions could still move them."""
        places = [(tp.topic, tp.partition) for tp in assigned if self._is_batched(tp)]
        try:
            await self.lanes.open(places, self._thread.member)
        except Exception as error:  # noqa: BLE001  (in this callback Faust would only log it, and decide all the same)
            self.lanes.failed(error)
            return
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust's own part waits until what was begun is published (below); then the rest is dropped."""
        await super().on_partitions_revoked(revoked)
        await self.lanes.close({tp.partition for tp in revoked if self._is_batched(tp)})

    async def wait_empty(self) -> None:
        """Stock Faust waits for every event it has delivered, also those that nobody has begun, and without an end."""
        if not await self.lanes.finish(_FINISH_SHARE * self.settings.stop_timeout_seconds):
            self.log.warning("batches were not published in time; their claims will be decided again")
        try:
            async with asyncio.timeout(_COMMIT_SECONDS):
                await self.commit_and_end_transactions()
        except (TimeoutError, RuntimeError) as error:
            # After a crash the consumer's thread ends at once: it does not answer, or its event loop is closed.
            self.log.warning("the last batches are not committed, their claims will be decided again: %r", error)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's watchdog expects an event per partition and would cry wolf over batches; lag says the same better."""

    # ---- delivery

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch and deliver. Stock Faust delivers each record by itself, and swallows a cancellation on the way."""
        stopped = (self._stopped.is_set, fetcher._stopped.is_set)  # noqa: SLF001
        most = self.settings.batches_in_flight * self.settings.batch_records
        try:
            while not any(is_set() for is_set in stopped):
                if self.flow_active and self.lanes.in_flight >= most:
                    await self.lanes.wait_until_moved(_POLL_SECONDS)
                else:
                    began = time.monotonic()
                    count = await self._deliver_next(stopped)
                    pause = began + _PAUSE_SECONDS - time.monotonic()
                    if 0 < count < _SMALL_FETCH and pause > 0:
                        await asyncio.sleep(pause)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109  (Faust's)
        """Leave out partitions whose history is not there yet: their claims wait."""
        ready = {tp for tp in active_partitions or () if not self._is_batched(tp) or self.lanes.is_ready(tp)}
        if not ready:
            await self.lanes.wait_until_moved(timeout)
            return {}
        return await super()._getmany(ready, timeout)

    async def _deliver_next(self, stopped: tuple[Any, ...]) -> int:
        """Deliver what the next fetch brings; the number of records."""
        app = self.app
        records, active = await self._wait_next_records(_POLL_SECONDS)
        if not records or any(is_set() for is_set in stopped):
            await asyncio.sleep(0)
            return 0
        if not self.flow_active:
            # A rebalance has begun since: the read positions must go back to what is committed.
            await self.perform_seek()
            # Where nothing is committed yet, there is nothing that this goes back to.
            passed = {tp: fetched[0].offset for tp, fetched in records.items() if not self._read_offset.get(tp)}
            await self._thread.seek_back(passed)
            return 0
        generation = app.consumer_generation_id
        parts = {}
        for tp, fetched in records.items():
            if active is None or tp in active or tp in self._buffered_partitions:
                app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                if self._is_batched(tp):
                    parts[tp.topic, tp.partition] = fetched
                    self._read_offset[tp] = fetched[-1].offset + 1
                else:
                    await self._deliver_singly(tp, fetched)
        if not parts:
            return 0
        batch = Batch(parts, generation)
        if self.lanes.fetched(batch):
            await self.wait_first(self.callback(_message(batch)), self.suspend_flow.wait())
        return len(batch)

    async def _deliver_singly(self, tp: TP, records: Sequence[Any]) -> None:
        """As stock Faust does, for topics that are not of claim events."""
        for record in records:
            position = self._read_offset[tp]
            if position is None or record.offset >= position:
                if position and record.offset > position + 1 and self.app.topics.acks_enabled_for(tp.topic):
                    await self._add_gap(tp, position + 1, record.offset)
                await self.wait_first(self.callback(self._to_message(tp, record)), self.suspend_flow.wait())
                self._read_offset[tp] = record.offset


def _message(batch: Batch) -> ConsumerMessage:
    """The event that Faust's streams carry; it names the first partition, but stands for all of the fetch."""
    place, records = next(iter(batch.parts.items()))
    tp = TP(*place)
    last = records[-1]
    return ConsumerMessage(
        topic=tp.topic,
        partition=tp.partition,
        offset=last.offset,
        timestamp=last.timestamp / 1000.0,
        timestamp_type=last.timestamp_type,
        headers=(),
        key=None,
        value=batch,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        tp=tp,
        generation_id=batch.generation,
    )


class IdleProducer(driver.Producer):
    """Faust's own producer: nothing is published through it, so it does not connect, and can't fail to."""

    async def on_start(self) -> None:
        """Stock Faust connects here, and gives up at once where no broker answers."""


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport with `BatchConsumer`."""

    Consumer: ClassVar[type[BatchConsumer]] = BatchConsumer
    Producer: ClassVar[type[IdleProducer]] = IdleProducer


def batch_transport(app: Any, settings: Settings, lanes: Lanes) -> BatchTransport:
    """A transport for `app.transport`."""
    consumer = type("Consumer", (BatchConsumer,), {"settings": settings, "lanes": lanes})
    made: BatchTransport = type("Transport", (BatchTransport,), {"Consumer": consumer})(app.conf.broker_consumer, app)
    return made
