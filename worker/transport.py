"""How records reach the agent: one stream event per fetch, committed in order.

Faust's stock delivery makes four asyncio tasks per record, which costs ten times what a claim's rules do. Its extension
point is the transport: this one delivers whole fetches (`Batch`) and keeps the rest of Faust.

What holds here, and stock Faust does not promise:

- an offset is committed only when everything before it in its partition has been acknowledged, and the acknowledgement
  of a batch means that the broker has its outputs;
- at most `batches_in_flight` fetches are unacknowledged; then fetching pauses;
- when partitions are revoked or the worker stops, batches that were begun are finished and committed first, and those
  that were not are dropped, so nothing is decided twice in an orderly hand-over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from worker.membership import watch_membership
from worker.settings import Settings

_COMMIT_SECONDS = 5.0
"""For the last commit of a worker that stops."""


class Batch:
    """What one fetch returned.

    Attributes:
        parts: partition → its records in offset order.
        begun: the agent has taken it up.
    """

    __slots__ = ("begun", "parts")

    def __init__(self, parts: Mapping[TP, Sequence[Any]]) -> None:
        self.parts = parts
        self.begun = False


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, with what Faust has fixed: how long a fetch may wait, and what a reader may see."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = int(self.consumer.fetch_wait_seconds * 1000)  # noqa: SLF001
        # A record of X12 becomes claim events in one transaction: those of an aborted one must not be decided.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        watch_membership(self._consumer, self.app.refused)

    async def crash(self, exc: BaseException) -> None:
        if isinstance(exc, KafkaError):
            self.app.refused(exc)
            if self._thread_running is None:  # it has started
                # The worker stops, and has a last question to this thread: ended now, it would never answer.
                return
        await super().crash(exc)

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._fetch_records(*args, **kwargs)
        except KafkaError as error:
            self.app.refused(error)
            raise


class BatchConsumer(driver.Consumer):
    """Faust's consumer with batch delivery for every topic of the app: it has none but the submitted claims."""

    batches_in_flight: ClassVar[int]
    drain_seconds: ClassVar[float]
    fetch_wait_seconds: ClassVar[float]
    _waiting_for_ack: asyncio.Future[None] | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_flight: dict[TP, deque[tuple[ConsumerMessage, int]]] = {}
        self._acknowledged: dict[TP, int] = {}

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # ---- what may be committed

    def _advance(self) -> int:
        """Let go of acknowledged batches, oldest first, and count those still in flight."""
        live: set[int] = set()
        for tp, queue in self._in_flight.items():
            while queue and queue[0][0].acked:
                self._acknowledged[tp] = queue.popleft()[1]
            live.update(id(message) for message, _ in queue if not message.acked)
        return len(live)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        self._advance()
        return (tp for tp in list(self._acknowledged) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._acknowledged.get(tp)

    def ack(self, message: ConsumerMessage) -> bool:
        """A batch's outputs are with the broker."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        self._wake()
        return True

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        # Stock Faust records offsets as committed even where the broker refused them, and so would not try again.
        before = {tp: self._committed_offset.get(tp) for tp in offsets}
        committed: bool = await super()._commit_offsets(offsets, start_new_transaction)
        if not committed:
            self._committed_offset.update({tp: offset for tp, offset in before.items() if tp in self._committed_offset})
        return committed

    # ---- handing over

    async def wait_empty(self) -> None:
        """Finish what was begun and commit it: before partitions are given away, and when the worker stops."""
        deadline = asyncio.get_running_loop().time() + self.drain_seconds
        while self._has_begun():
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                self.log.warning("batches were not acknowledged in time; their claims will be decided again")
                break
            await self._sleep_until_woken(remaining)
        try:
            async with asyncio.timeout(_COMMIT_SECONDS):
                await self.commit_and_end_transactions()
        except (TimeoutError, RuntimeError) as error:
            # After a crash the consumer's thread ends at once: it does not answer, or its event loop is closed.
            self.log.warning("the last batches are not committed, their claims will be decided again: %r", error)

    def _has_begun(self) -> bool:
        messages = (message for queue in self._in_flight.values() for message, _ in queue)
        return any(message.value.begun and not message.acked for message in messages)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Drop what belongs to the old assignment, once the commit above is done."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._in_flight.pop(tp, None)
            self._acknowledged.pop(tp, None)

    def _wake(self) -> None:
        waiting = self._waiting_for_ack
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def _sleep_until_woken(self, seconds: float) -> None:
        # Not Faust's _wait_for_ack, nor asyncio.wait_for: they swallow a cancellation that comes with the wake-up, and
        # a fetcher that misses it never stops.
        self._waiting_for_ack = waiting = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait({waiting}, timeout=min(seconds, 1.0))
        finally:
            if self._waiting_for_ack is waiting:
                self._waiting_for_ack = None

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's watchdog expects an event per partition and would cry wolf over batches; lag says the same better."""

    # ---- delivery

    async def _drain_messages(self, fetcher: Any) -> None:
        stopped = (self._stopped.is_set, fetcher._stopped.is_set)  # noqa: SLF001
        try:
            while not any(is_set() for is_set in stopped):
                if self.flow_active and self._advance() >= self.batches_in_flight:
                    await self._sleep_until_woken(1.0)
                else:
                    await self._deliver_next(stopped)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    async def _deliver_next(self, stopped: tuple[Any, ...]) -> None:
        app = self.app
        records, active = await self._wait_next_records(1.0)
        if not records or any(is_set() for is_set in stopped):
            await asyncio.sleep(0)
            return
        if not self.flow_active:
            # A rebalance has begun since: the read positions must go back to what is committed.
            await self.perform_seek()
            return
        generation = app.consumer_generation_id
        parts = {}
        for tp, fetched in records.items():
            if active is None or tp in active or tp in self._buffered_partitions:
                position = self._read_offset[tp]
                fresh = fetched if position is None else [record for record in fetched if record.offset >= position]
                app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                if fresh:
                    parts[TP(tp.topic, tp.partition)] = fresh
        if not parts:
            return
        first_tp, first = next(iter(parts.items()))
        message = ConsumerMessage(
            topic=first_tp.topic,
            partition=first_tp.partition,
            offset=first[-1].offset,
            timestamp=first[-1].timestamp / 1000.0,
            timestamp_type=first[-1].timestamp_type,
            headers=(),
            key=None,
            value=Batch(parts),
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=first_tp,
            generation_id=generation,
        )
        for tp, fresh in parts.items():
            following = fresh[-1].offset + 1
            self._in_flight.setdefault(tp, deque()).append((message, following))
            self._read_offset[tp] = following
        await self.wait_first(self.callback(message), self.suspend_flow.wait())


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport with `BatchConsumer`."""

    Consumer: ClassVar[type[BatchConsumer]] = BatchConsumer


def batch_transport(app: Any, settings: Settings) -> BatchTransport:
    """A transport for `app.transport`, with the settings that bear on it."""
    limits = {
        "batches_in_flight": settings.batches_in_flight,
        "drain_seconds": settings.stop_timeout_seconds,
        "fetch_wait_seconds": settings.fetch_wait_seconds,
    }
    consumer = type("Consumer", (BatchConsumer,), limits)
    made: BatchTransport = type("Transport", (BatchTransport,), {"Consumer": consumer})(app.conf.broker_consumer, app)
    return made
