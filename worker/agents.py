"""The one agent: a batch of events → decisions → published → acknowledged. It lets no exception pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from rules import ClaimError, Disposition, RuleSet
from worker.codec import Headers, cloud_event_headers
from worker.deadletter import DeadLetterLimit, error_headers
from worker.kafka import KafkaProblemError
from worker.lanes import Batch, Lanes, Output
from worker.pipeline import Limits, Outcome, handle
from worker.settings import Settings

_BREATH_SECONDS = 0.005
"""Time for claims between two looks at the event loop, so that transactions of other partitions go on meanwhile."""
_CLOCK_EVERY = 16
_SUMMARY_SECONDS = 5.0

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
        self._counts: dict[Disposition | None, int] = dict.fromkeys(self._topics, 0)
        self._since = (time.monotonic(), time.process_time())

    async def decide(self, records: Sequence[Any], breathe: Callable[[], None]) -> list[Output]:
        """Decide records of one partition.

        Args:
            records: in offset order.
            breathe: called every few milliseconds, before others get their turn.

        Returns:
            What is to be published, in the order of the records.

        Raises:
            DeadLetterFloodError: too many events are not claims.
        """
        outputs: list[Output] = []
        until = time.monotonic() + _BREATH_SECONDS
        for number, record in enumerate(records, 1):
            outcome = handle(record.value, self._ruleset, record.timestamp, limits=self._limits)
            headers = self._headers(outcome, record)
            outputs.append(Output(self._topics[outcome.disposition], record.key, outcome.value, headers, record))
            self._counts[outcome.disposition] += 1
            if number % _CLOCK_EVERY == 0 and time.monotonic() >= until:
                breathe()
                await asyncio.sleep(0)
                until = time.monotonic() + _BREATH_SECONDS
        return outputs

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
        headers = self._headers(Outcome(output.record.value, None, None, error), output.record)
        return output._replace(topic=self._settings.deadletter_topic, value=output.record.value, headers=headers)

    def _headers(self, outcome: Outcome, record: Any) -> Headers:
        event_id = f"{record.topic}-{record.partition}-{record.offset}"
        headers = cloud_event_headers(outcome.disposition, outcome.claim_id, event_id, record.headers)
        if outcome.error is None:
            self._deadletters.readable()
            return headers
        log.warning(
            "deadletter",
            claim_id=outcome.claim_id,
            reason=str(outcome.error),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
        self._deadletters.deadletter()
        group_id = self._settings.group_id
        return headers + error_headers(outcome.error, record.topic, record.partition, record.offset, group_id)

    async def summarize(self, touch: Callable[[], None]) -> None:
        """Every few seconds, log what was decided and call `touch`: proof that the event loop turns."""
        while True:
            touch()
            await asyncio.sleep(_SUMMARY_SECONDS)
            self.log_summary()

    def log_summary(self) -> None:
        """One line about what was decided since the last one."""
        claims = sum(self._counts.values())
        if not claims:
            return
        (wall, cpu), self._since = self._since, (time.monotonic(), time.process_time())
        seconds = self._since[0] - wall
        log.info(
            "claims",
            claims=claims,
            cleared=self._counts[Disposition.CLEARED],
            flagged=self._counts[Disposition.FLAGGED],
            deadletters=self._counts[None],
            seconds=round(seconds, 1),
            claims_per_second=round(claims / seconds) if seconds else None,
            cpu_us_per_claim=round((self._since[1] - cpu) / claims * 1e6),
        )
        self._counts = dict.fromkeys(self._counts, 0)


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
        lane.add(await scrubber.decide(lane.take_up(records), lanes.begin_due))
