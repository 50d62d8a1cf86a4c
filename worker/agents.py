"""The one agent: a batch of events → decisions → published → acknowledged. It lets no exception pass."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from rules import ClaimError, Disposition, RuleSet
from worker.codec import Arrival, Headers, cloud_event_headers
from worker.deadletter import DeadLetterLimit, error_headers
from worker.history import Memory
from worker.kafka import KafkaProblemError
from worker.lanes import Batch, Lanes, Output
from worker.pipeline import Limits, Outcome, handle, take_override, take_status
from worker.settings import Settings

_BREATH_SECONDS = 0.005
"""Time for claims between two looks at the event loop, so that transactions of other partitions go on meanwhile."""
_CLOCK_EVERY = 16
_SUMMARY_SECONDS = 5.0
_DECIDED = ("cleared", "flagged", "deadletters")

log = structlog.get_logger("claimscrub.worker")


class Scrubber:
    """What the agent does with a partition's records, and the counts it keeps."""

    def __init__(self, settings: Settings, ruleset: RuleSet) -> None:
        self._settings = settings
        self._ruleset = ruleset
        self._limits = Limits(settings.max_claim_bytes, settings.max_message_bytes)
        self._deadletters = DeadLetterLimit(settings.deadletter_run, settings.deadletter_share)
        self._topics: dict[Disposition | None, str] = {
            Disposition.CLEARED: settings.cleared_topic,
            Disposition.FLAGGED: settings.flagged_topic,
            None: settings.deadletter_topic,
        }
        self._counts: Counter[str] = Counter()
        self._since = (time.monotonic(), time.process_time())

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
        until = time.monotonic() + _BREATH_SECONDS
        for number, record in enumerate(records, 1):
            outputs.append(self._decide(record, memory))
            if number % _CLOCK_EVERY == 0 and time.monotonic() >= until:
                breathe()
                await asyncio.sleep(0)
                until = time.monotonic() + _BREATH_SECONDS
        return outputs

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
            self._counts["repartitioned"] += 1
            partition = memory.partition_of(outcome.key)
            headers = [*record.headers, *arrival.headers()]
            return Output(self._settings.repartition_topic, partition, key, outcome.value, headers, record)
        if outcome.disposition is None and outcome.error is None:
            self._counts["statuses" if outcome.changes else "statuses_without_effect"] += 1
            return Output(None, None, None, None, (), record, outcome.changes)
        topic = self._topics[outcome.disposition]
        headers = self._headers(outcome, record, arrival)
        self._counts["deadletters" if outcome.disposition is None else outcome.disposition] += 1
        if outcome.is_release:
            self._counts["released"] += 1
            said = {"topic": arrival.topic, "partition": arrival.partition, "offset": arrival.offset}
            log.info("released", claim_id=outcome.claim_id, **said)
        return Output(topic, None, key, outcome.value, headers, record, outcome.changes)

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
        arrival = Arrival.of(output.record, self._settings.repartition_topic)
        headers = self._headers(Outcome(output.record.value, None, error=error), output.record, arrival)
        return output._replace(topic=self._settings.deadletter_topic, value=output.record.value, headers=headers)

    def _headers(self, outcome: Outcome, record: Any, arrival: Arrival) -> Headers:
        headers = cloud_event_headers(outcome.disposition, outcome.claim_id, arrival.event_id, record.headers)
        if outcome.error is None:
            return headers
        topic, partition, offset, _ = arrival
        log.warning(
            "deadletter",
            claim_id=outcome.claim_id,
            reason=str(outcome.error),
            topic=topic,
            partition=partition,
            offset=offset,
        )
        self._deadletters.deadletter()
        return headers + error_headers(outcome.error, topic, partition, offset, self._settings.group_id)

    async def summarize(self, touch: Callable[[], None]) -> None:
        """Every few seconds, log what was decided and call `touch`: proof that the event loop turns."""
        while True:
            touch()
            await asyncio.sleep(_SUMMARY_SECONDS)
            self.log_summary()

    def log_summary(self) -> None:
        """One line about what was decided since the last one."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        claims = sum(counts[name] for name in _DECIDED)
        (wall, cpu), self._since = self._since, (time.monotonic(), time.process_time())
        seconds = self._since[0] - wall
        log.info(
            "claims",
            claims=claims,
            **{name: counts[name] for name in (*_DECIDED, *sorted(counts.keys() - set(_DECIDED)))},
            seconds=round(seconds, 1),
            claims_per_second=round(claims / seconds) if seconds else None,
            cpu_us_per_claim=round((self._since[1] - cpu) / claims * 1e6) if claims else None,
        )


async def agent(stream: Any, app: Any, scrubber: Scrubber, lanes: Lanes) -> None:
    """Take batches as they come, and hand what was decided to the lanes, which publish it.

    Faust would acknowledge the event of a failed agent and go on with the next one: so no exception passes, and what
    can't be decided stops the worker, to be read again.
    """
    async for event in stream.noack().events():
        lanes.begun()
        try:
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
