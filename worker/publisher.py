"""The producer of what the worker publishes: whole record batches, each for one topic and partition.

One future per batch instead of one per record. All in-sync replicas must acknowledge, and the producer is idempotent:
a retry neither doubles nor reorders.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer

from worker.codec import Headers
from worker.kafka import RECORD_BATCH_BYTES, aiokafka_config
from worker.settings import Settings

Record = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of one record to publish."""
Outputs = dict[tuple[str, int], list[Record]]
"""Topic and partition → records, in order."""


class Publisher:
    """Publishes records in order, partition by partition."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._in_turn = asyncio.Lock()

    async def start(self) -> None:
        settings = self._settings
        self._producer = AIOKafkaProducer(
            client_id=f"{settings.group_id}-publisher",
            acks="all",
            enable_idempotence=True,
            max_batch_size=RECORD_BATCH_BYTES,
            max_request_size=settings.max_message_bytes + RECORD_BATCH_BYTES,
            compression_type=None if settings.compression == "none" else settings.compression,
            **aiokafka_config(settings),
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Close; what is still queued is waited for only as long as a stopping worker may take."""
        if self._producer is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._producer.stop(), self._settings.stop_timeout_seconds)

    async def publish(self, outputs: Outputs) -> None:
        """Publish, and wait until the brokers have acknowledged everything.

        Calls may overlap: what an earlier call publishes to a partition stands before what a later one does.

        Raises:
            aiokafka.errors.KafkaError: as the brokers, or their silence, say.
        """
        async with self._in_turn:
            queued = await asyncio.gather(*(self._queue(*where, records) for where, records in outputs.items()))
        await asyncio.gather(*(future for futures in queued for future in futures))

    async def _queue(self, topic: str, partition: int, records: Sequence[Record]) -> list[asyncio.Future[Any]]:
        """Hand over record batches for one partition, each as soon as the last one is on its way."""
        futures = []
        now = int(time.time() * 1000)
        builder = self._producer.create_batch()
        for key, value, headers in records:
            if builder.append(key=key, value=value, headers=headers, timestamp=now) is None:
                futures.append(await self._producer.send_batch(builder, topic, partition=partition))
                builder = self._producer.create_batch()
                # An empty batch takes any record; its size was limited before.
                builder.append(key=key, value=value, headers=headers, timestamp=now)
        builder.close()
        futures.append(await self._producer.send_batch(builder, topic, partition=partition))
        return futures
