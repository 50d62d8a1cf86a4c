"""The one agent: a batch of events → decisions → published → acknowledged. It lets no exception pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from rules import ClaimError, Disposition, RuleSet
from worker.codec import Arrival, Headers, cloud_event_headers
from worker.deadletter import DeadLetterFloodError, DeadLetterLimit, error_headers
from worker.history import Memory
from worker.kafka import KafkaProblemError
from worker.lanes import Batch, Lanes, Output
from worker.monitor import Monitor
from worker.pipeline import Limits, Outcome, handle, take_override, take_status
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.tracing import Tracing

_BREATH_SECONDS = 0.005
"""Time for claims between two looks at the event loop, so that transactions of other partitions go on meanwhile."""
_CLOCK_EVERY = 16


class Scrubber:
    """What the agent does with a partition's records.

    Args:
        settings: topics and limits.
        ruleset: the rules that decide.
        monitor: is told how long that takes.
        tracing: makes a span for each event; None where events are not traced.
    """

    def __init__(self, settings: Settings, ruleset: RuleSet, monitor: Monitor, tracing: Tracing | None = None) -> None:
        self._settings = settings
        self._ruleset = ruleset
        self._monitor = monitor
        self._limits = Limits(settings.max_claim_bytes, settings.max_message_bytes)
        self._deadletters = DeadLetterLimit(settings.deadletter_run, settings.deadletter_share)
        self._tracing = tracing
        self._decide_one = self._decide if tracing is None else self._decide_traced
        self._topics: dict[Disposition | None, str] = {
            Disposition.CLEARED: settings.cleared_topic,
            Disposition.FLAGGED: settings.flagged_topic,
            None: settings.deadletter_topic,
        }

    async def decide(self, records: Sequence[Any], memory: Memory, breathe: Callable[[], None]) -> list[Output]:
        """Decide records of one partition.

        Args:
            records: in offset order.
            memory: what is remembered of the partition's members.
            breathe: called every few milliseconds, before others get their turn.

        Returns:
            What is to be published, in the order of the records.

        Raises:
            DeadLetterFloodError: too many events are not claims.
            HistoryError: the history can't be read.
        """
        outputs: list[Output] = []
        took: list[float] = []
        began = time.perf_counter()
        until = began + _BREATH_SECONDS
        for number, record in enumerate(records, 1):
            outputs.append(self._decide_one(record, memory))
            now = time.perf_counter()
            took.append(now - began)
            if number % _CLOCK_EVERY == 0 and now >= until:
                breathe()
                await asyncio.sleep(0)
                now = time.perf_counter()
                until = now + _BREATH_SECONDS
            began = now
        self._monitor.decision_seconds.observe_all(took)
        return outputs

    def batch(self, stream: Any, event: Any) -> AbstractContextManager[None]:
        """Around the deciding of one batch."""
        return nullcontext() if self._tracing is None else self._tracing.batch(stream, event)

    def _decide_traced(self, record: Any, memory: Memory) -> Output:
        assert self._tracing is not None
        span = self._tracing.begin(record)
        try:
            return self._tracing.continued(self._decide(record, memory), span)
        except Exception as error:
            self._tracing.failed(span, error)
            raise

    def _decide(self, record: Any, memory: Memory) -> Output:
        arrival = Arrival.of(record, self._settings.repartition_topic)
        came_on = arrival.topic != record.topic
        if arrival.topic == self._settings.status_topic:
            outcome = take_status(record.value, memory, self._limits, was_repartitioned=came_on)
        elif arrival.topic == self._settings.overrides_topic:
            outcome = take_override(record.value, arrival.event_id, memory, self._limits, was_repartitioned=came_on)
        else:
            outcome = handle(
                record.value, self._ruleset, arrival.timestamp, memory, self._limits, was_repartitioned=came_on
            )
        if outcome.error is None and not came_on:  # what is sent on counts where it came first
            self._deadletters.readable()
        key = outcome.key or record.key
        if outcome.goes_on:
            assert outcome.key is not None
            partition = memory.partition_of(outcome.key)
            headers = [*record.headers, *arrival.headers()]
            topic = self._settings.repartition_topic
            return Output(topic, partition, key, outcome.value, headers, record, arrival, outcome)
        if outcome.disposition is None and outcome.error is None:
            return Output(None, None, None, None, (), record, arrival, outcome)
        topic = self._topics[outcome.disposition]
        headers = self._headers(outcome, record, arrival)
        return Output(topic, None, key, outcome.value, headers, record, arrival, outcome)

    def refused(self, output: Output) -> Output:
        """The dead letter of an output that the brokers find too large.

        Raises:
            KafkaProblemError: it is a dead letter already.
        """
        topic = output.topic
        size = len(output.value or b"")
        if topic == self._settings.deadletter_topic:
            raise KafkaProblemError(
                f"topic {topic} takes no dead letter of {size} bytes, nothing is lost; raise it with: kafka-configs.sh"
                f" --alter --entity-type topics --entity-name {topic} --add-config max.message.bytes=BYTES"
            )
        expected = f"less than max.message.bytes of topic {topic}, which claimscrub topics create would have set"
        error = ClaimError("$", f"claim and decision have {size} bytes, which the brokers refuse", expected)
        # The claim was judged, and its history stays as it is.
        outcome = Outcome(output.record.value, None, error=error, changes=output.changes)
        headers = self._headers(outcome, output.record, output.arrival)
        deadletter = output._replace(
            topic=self._settings.deadletter_topic, value=outcome.value, headers=headers, outcome=outcome
        )
        return deadletter if self._tracing is None else self._tracing.continued(deadletter, output.span)

    def _headers(self, outcome: Outcome, record: Any, arrival: Arrival) -> Headers:
        headers = cloud_event_headers(outcome.disposition, outcome.claim_id, arrival.event_id, record.headers)
        if outcome.error is None:
            return headers
        topic, partition, offset, _ = arrival
        try:
            self._deadletters.deadletter()
        except DeadLetterFloodError:
            self._monitor.met_flood(arrival, outcome, record.headers)
            raise
        return headers + error_headers(outcome.error, topic, partition, offset, self._settings.group_id)


async def agent(stream: Any, app: Any, scrubber: Scrubber, lanes: Lanes) -> None:
    """Take batches as they come, and hand what was decided to the lanes, which publish it.

    Faust would acknowledge the event of a failed agent and go on with the next one: so no exception passes, and what
    can't be decided stops the worker, to be read again.
    """
    async for event in stream.noack().events():
        lanes.begun()
        try:
            with scrubber.batch(stream, event):
                await _decide(event.value, app, scrubber, lanes)
        except Exception as error:  # noqa: BLE001
            app.stop_because(error)
        finally:
            lanes.done()
        if app.failure is not None:
            await asyncio.Event().wait()  # until the worker has stopped


async def _decide(batch: Batch, app: Any, scrubber: Scrubber, lanes: Lanes) -> None:
    for place, records in batch.parts.items():
        lane = lanes.lane(place)
        if batch.generation != app.consumer_generation_id or lane is None:
            continue  # of an old assignment: whoever has the partition now reads it again
        lane.add(await scrubber.decide(lane.take_up(place, records), lane.memory, lanes.begin_due))
