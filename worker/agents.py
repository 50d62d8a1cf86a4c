"""The one agent: a batch of events → decisions → published → acknowledged. It lets no exception pass."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import structlog
from faust.types import TP

from rules import Disposition, RuleSet
from worker.codec import Headers, cloud_event_headers
from worker.deadletter import DeadLetterLimit, error_headers
from worker.pipeline import Limits, Outcome, handle
from worker.publisher import Outputs, Publisher
from worker.settings import Settings
from worker.transport import Batch

_BREATH = 200
"""Claims decided between two looks at the event loop, so that heartbeats and acknowledgements are not held up."""
_SUMMARY_SECONDS = 5.0

log = structlog.get_logger("claimscrub.worker")


class Scrubber:
    """What the agent does with a batch, and the counts it keeps."""

    def __init__(self, settings: Settings, ruleset: RuleSet) -> None:
        self._settings = settings
        self._ruleset = ruleset
        self._limits = Limits(settings.max_claim_bytes, settings.max_message_bytes)
        self._deadletters = DeadLetterLimit(settings.deadletter_run)
        self._topics: dict[Disposition | None, str] = {
            Disposition.CLEARED: settings.cleared_topic,
            Disposition.FLAGGED: settings.flagged_topic,
            None: settings.deadletter_topic,
        }
        self._counts: dict[Disposition | None, int] = dict.fromkeys(self._topics, 0)
        self._since = (time.monotonic(), time.process_time())

    async def decide(self, batch: Batch) -> Outputs:
        """Decide every event of a batch.

        Returns:
            What is to be published, in the order of the events.

        Raises:
            DeadLetterFloodError: too many events in a row are not claims.
        """
        outputs: Outputs = {}
        for tp, events in batch.parts.items():
            for number, event in enumerate(events, 1):
                outcome = handle(event.value, self._ruleset, event.timestamp, limits=self._limits)
                headers = self._headers(outcome, event, tp)
                topic = self._topics[outcome.disposition]
                outputs.setdefault((topic, tp.partition), []).append((event.key, outcome.value, headers))
                self._counts[outcome.disposition] += 1
                if number % _BREATH == 0:
                    await asyncio.sleep(0)
        return outputs

    def _headers(self, outcome: Outcome, event: Any, tp: TP) -> Headers:
        event_id = f"{tp.topic}-{tp.partition}-{event.offset}"
        headers = cloud_event_headers(outcome.disposition, outcome.claim_id, event_id, event.headers)
        if outcome.error is None:
            self._deadletters.readable()
            return headers
        log.warning(
            "deadletter",
            claim_id=outcome.claim_id,
            reason=str(outcome.error),
            topic=tp.topic,
            partition=tp.partition,
            offset=event.offset,
        )
        self._deadletters.deadletter()
        return headers + error_headers(outcome.error, tp.topic, tp.partition, event.offset, self._settings.group_id)

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


async def agent(stream: Any, app: Any, scrubber: Scrubber, publisher: Publisher) -> None:
    """Take batches as they come; each is acknowledged when the broker has all its outputs.

    While one batch is on its way to the broker the next one is decided.
    """
    publishing: set[asyncio.Task[None]] = set()
    batch: Batch | None = None
    try:
        async for event in stream.noack().events():
            batch = event.value
            batch.begun = True
            outputs = await scrubber.decide(batch)
            task = asyncio.create_task(_publish(event, outputs, app, publisher))
            publishing.add(task)
            task.add_done_callback(publishing.discard)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001
        # Faust would acknowledge the event and go on with the next one: stop instead, so that it is read again.
        await stop_worker(app, batch, error)


async def _publish(event: Any, outputs: Outputs, app: Any, publisher: Publisher) -> None:
    try:
        await publisher.publish(outputs)
    except Exception as error:  # noqa: BLE001  (whatever the broker answered: the batch is not published)
        await stop_worker(app, event.value, error)
    else:
        event.ack()


async def stop_worker(app: Any, batch: Batch | None, error: Exception) -> None:
    """Stop the process: what is published is committed, the batch that failed is not; a supervisor starts it again."""
    if app.failure is None:
        log.error("worker stops", reason=f"{type(error).__name__}: {error}")
        app.failure = error
    if batch is not None:
        batch.begun = False  # nobody need wait for it
    await app.crash(error)
    # A second failure while stopping must not leave a worker that neither works nor ends.
    asyncio.get_running_loop().call_later(30, os._exit, 1)
