"""The reference: a bare confluent-kafka loop, at least once, as fast as one would reasonably write it.

It does what the worker does, with the same function, topics, headers and guarantees: every output is with all in-sync
replicas before the offset of its input is committed.
"""

from __future__ import annotations

import signal
import time
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from rules import Disposition, RuleSet
from worker.codec import cloud_event_headers
from worker.deadletter import error_headers
from worker.kafka import confluent_config
from worker.pipeline import Limits, handle
from worker.settings import Settings, load_settings

_RECORDS = 500
_POLL_SECONDS = 0.1


def main() -> None:
    """Run until SIGTERM."""
    settings = load_settings()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    consumer = Consumer(
        {
            **confluent_config(settings),
            "group.id": settings.group_id,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([settings.submitted_topic])
    try:
        _loop(settings, consumer, stopping)
    finally:
        consumer.close()


def _loop(settings: Settings, consumer: Any, stopping: list[int]) -> None:
    ruleset = RuleSet.load()
    failures: list[Any] = []
    producer = Producer(
        {
            **confluent_config(settings),
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": settings.compression,
            "message.max.bytes": settings.max_message_bytes,
            "queue.buffering.max.messages": 1_000_000,
            "delivery.report.only.error": True,
            "on_delivery": lambda error, _: failures.append(error),
        }
    )
    limits = Limits(settings.max_claim_bytes, settings.max_message_bytes)
    topics: dict[Disposition | None, str] = {
        Disposition.CLEARED: settings.cleared_topic,
        Disposition.FLAGGED: settings.flagged_topic,
        None: settings.deadletter_topic,
    }
    offsets: dict[int, int] = {}
    committed = time.monotonic()
    while True:
        for message in consumer.consume(_RECORDS, _POLL_SECONDS):
            if message.error():
                raise KafkaException(message.error())
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            outcome = handle(message.value(), ruleset, message.timestamp()[1], limits=limits)
            headers = cloud_event_headers(
                outcome.disposition, outcome.claim_id, f"{topic}-{partition}-{offset}", message.headers() or ()
            )
            if outcome.error is not None:
                headers += error_headers(outcome.error, topic, partition, offset, settings.group_id)
            producer.produce(topics[outcome.disposition], outcome.value, message.key(), partition, headers=headers)
            offsets[partition] = offset + 1
        producer.poll(0)
        if offsets and (stopping or time.monotonic() - committed >= settings.commit_interval_seconds):
            producer.flush()
            if failures:
                raise KafkaException(failures[0])
            positions = [TopicPartition(settings.submitted_topic, *each) for each in offsets.items()]
            consumer.commit(offsets=positions, asynchronous=not stopping)
            offsets.clear()
            committed = time.monotonic()
        if stopping:
            return


if __name__ == "__main__":
    main()
