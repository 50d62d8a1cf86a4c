"""A bare aiokafka loop, at least once: `getmany`, and whole record batches out.

While a fetch's outputs are on their way the next fetch is decided. Once a second all are waited for and committed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.bench.deciding import Deciding, stopping_on_sigterm
from worker.codec import Headers
from worker.kafka import RECORD_BATCH_BYTES, aiokafka_config
from worker.settings import Settings, load_settings

_RECORDS = 2_000
_COMMIT_SECONDS = 1.0

_Record = tuple[bytes | None, bytes | None, Headers]


async def _run(settings: Settings, stopping: list[int]) -> None:
    config = aiokafka_config(settings)
    consumer = AIOKafkaConsumer(
        settings.submitted_topic,
        group_id=settings.group_id,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **config,
    )
    producer = AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        max_batch_size=RECORD_BATCH_BYTES,
        max_request_size=settings.max_message_bytes + RECORD_BATCH_BYTES,
        compression_type=None if settings.compression == "none" else settings.compression,
        **config,
    )
    async with consumer, producer:
        await _loop(Deciding(settings), consumer, producer, stopping)


async def _loop(deciding: Deciding, consumer: Any, producer: Any, stopping: list[int]) -> None:
    underway: list[Any] = []
    uncommitted = False
    committed = time.monotonic()
    while True:
        sent = []
        for tp, messages in (await consumer.getmany(timeout_ms=100, max_records=_RECORDS)).items():
            outputs: dict[str, list[_Record]] = {}
            for message in messages:
                output = deciding.decide(
                    message.value, message.timestamp, message.headers, tp.partition, message.offset
                )
                outputs.setdefault(output.topic, []).append((message.key, output.value, output.headers))
            for topic, records in outputs.items():
                sent += await _send(producer, topic, tp.partition, records)
            uncommitted = True
        await asyncio.gather(*underway)
        underway = sent
        if uncommitted and (stopping or time.monotonic() - committed >= _COMMIT_SECONDS):
            await asyncio.gather(*underway)
            await consumer.commit()
            underway, uncommitted, committed = [], False, time.monotonic()
        if stopping:
            return


async def _send(producer: Any, topic: str, partition: int, records: Sequence[_Record]) -> list[Any]:
    """Queue records as batches; a future for each batch."""
    futures = []
    now = int(time.time() * 1000)
    builder = producer.create_batch()
    for key, value, headers in records:
        if builder.append(key=key, value=value, headers=headers, timestamp=now) is None:  # it is full
            futures.append(await producer.send_batch(builder, topic, partition=partition))
            builder = producer.create_batch()
            builder.append(key=key, value=value, headers=headers, timestamp=now)
    futures.append(await producer.send_batch(builder, topic, partition=partition))
    return futures


if __name__ == "__main__":
    asyncio.run(_run(load_settings(), stopping_on_sigterm()))
