"""The reference: a bare confluent-kafka loop, as fast as one would reasonably write it.

At least once: every output is with all in-sync replicas before the offset of its input is committed. Or in transactions
(KIP-447): outputs and offsets are committed together. It runs alone in its group, so it has nothing to say to
rebalances, which a loop for production would have to.
"""

from __future__ import annotations

import argparse
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.bench.deciding import Deciding, stopping_on_sigterm
from worker.kafka import confluent_config
from worker.settings import Settings, load_settings

_IDLE_SECONDS = 0.1


class _Pace(NamedTuple):
    """How often what is done.

    Attributes:
        records: most records of one fetch.
        at_once: take what there is as soon as there is something, instead of waiting for more.
        commit_seconds: the time between two commits.
        producer: what the producer does otherwise than by default.
    """

    records: int
    at_once: bool
    commit_seconds: float
    producer: Mapping[str, int]


_THROUGHPUT = {"linger.ms": 5}
# A transaction's first produce is refused while the last one is being completed: for some milliseconds, not the default
# back-off of a hundred.
_LATENCY = {"linger.ms": 0, "retry.backoff.ms": 1, "retry.backoff.max.ms": 1}
_AT_LEAST_ONCE = _Pace(500, at_once=False, commit_seconds=1.0, producer=_THROUGHPUT)
_TRANSACTIONS = _Pace(500, at_once=False, commit_seconds=0.25, producer=_THROUGHPUT)
_AT_LEAST_ONCE_AT_ONCE = _Pace(500, at_once=True, commit_seconds=1.0, producer=_LATENCY)
_TRANSACTIONS_AT_ONCE = _Pace(500, at_once=True, commit_seconds=0.0, producer=_LATENCY)


class _Delivery(ABC):
    """A guarantee: what surrounds producing."""

    def __init__(self, settings: Settings, consumer: Any, config: Mapping[str, Any]) -> None:
        self._consumer = consumer
        self.producer = Producer(
            {
                **confluent_config(settings),
                "compression.type": settings.compression,
                "message.max.bytes": settings.max_message_bytes,
                "queue.buffering.max.messages": 1_000_000,
                **config,
            }
        )

    @abstractmethod
    def begin(self) -> None:
        """Called before the first output after a commit."""

    @abstractmethod
    def commit(self, positions: Sequence[TopicPartition], *, last: bool) -> None:
        """Called when these positions are to be committed; `last` if nothing follows."""


class _AtLeastOnce(_Delivery):
    def __init__(self, settings: Settings, consumer: Any, pace: _Pace) -> None:
        self._failures: list[Any] = []
        super().__init__(
            settings,
            consumer,
            {
                **pace.producer,
                "enable.idempotence": True,
                "delivery.report.only.error": True,
                "on_delivery": lambda error, _: self._failures.append(error),
            },
        )

    def begin(self) -> None:
        pass

    def commit(self, positions: Sequence[TopicPartition], *, last: bool) -> None:
        self.producer.flush()
        if self._failures:
            raise KafkaException(self._failures[0])
        self._consumer.commit(offsets=positions, asynchronous=not last)


class _Transactions(_Delivery):
    def __init__(self, settings: Settings, consumer: Any, pace: _Pace) -> None:
        super().__init__(settings, consumer, {**pace.producer, "transactional.id": settings.group_id})
        self.producer.init_transactions()

    def begin(self) -> None:
        self.producer.begin_transaction()

    def commit(self, positions: Sequence[TopicPartition], *, last: bool) -> None:
        self.producer.send_offsets_to_transaction(positions, self._consumer.consumer_group_metadata())
        self.producer.commit_transaction()


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.loop_confluent")
    parser.add_argument("--transactions", action="store_true", help="commit outputs and offsets together")
    parser.add_argument("--at-once", action="store_true", help="tuned for latency instead of throughput")
    options = parser.parse_args()
    settings = load_settings()
    stopping = stopping_on_sigterm()
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
        if options.transactions:
            pace = _TRANSACTIONS_AT_ONCE if options.at_once else _TRANSACTIONS
            delivery: _Delivery = _Transactions(settings, consumer, pace)
        else:
            pace = _AT_LEAST_ONCE_AT_ONCE if options.at_once else _AT_LEAST_ONCE
            delivery = _AtLeastOnce(settings, consumer, pace)
        _loop(settings, pace, consumer, delivery, stopping)
    finally:
        consumer.close()


def _loop(settings: Settings, pace: _Pace, consumer: Any, delivery: _Delivery, stopping: list[int]) -> None:
    decide = Deciding(settings).decide
    producer = delivery.producer
    offsets: dict[int, int] = {}
    committed = time.monotonic()
    while True:
        for message in _fetch(consumer, pace):
            if message.error():
                raise KafkaException(message.error())
            if not offsets:
                delivery.begin()
            partition, offset = message.partition(), message.offset()
            output = decide(message.value(), message.timestamp()[1], message.headers(), partition, offset)
            producer.produce(output.topic, output.value, message.key(), partition, headers=output.headers)
            offsets[partition] = offset + 1
        producer.poll(0)
        if offsets and (stopping or time.monotonic() - committed >= pace.commit_seconds):
            delivery.commit(
                [TopicPartition(settings.submitted_topic, *each) for each in offsets.items()], last=bool(stopping)
            )
            offsets.clear()
            committed = time.monotonic()
        if stopping:
            return


def _fetch(consumer: Any, pace: _Pace) -> list[Any]:
    if not pace.at_once:
        fetched: list[Any] = consumer.consume(pace.records, _IDLE_SECONDS)
        return fetched
    first = consumer.poll(_IDLE_SECONDS)
    return [] if first is None else [first, *consumer.consume(pace.records - 1, 0)]


if __name__ == "__main__":
    main()
