"""The records of several partitions in the order of their timestamps: always in the same, wherever it is begun."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from worker.decisions import Range
from worker.folder import Stop
from worker.kafka import KafkaProblemError, KafkaSilentError, to_the_end_config
from worker.settings import Settings

_BATCH_RECORDS = 100
_CONSUME_RECORDS = 500
_CONSUME_SECONDS = 0.1
_MOST_HELD = 4_000
"""Records of a partition that are held while those of others are waited for."""
_PATIENCE_SECONDS = 30.0
_QUEUE_KILOBYTES = 65_536


def merged(settings: Settings, ranges: Sequence[Range], stop: Stop) -> Iterator[tuple[list[Any], dict[int, int]]]:
    """What is left of ranges of the claim events.

    Args:
        settings: brokers and topic.
        ranges: of its partitions.
        stop: ends it.

    Yields:
        Records, those of a partition in their order; and partition → the offset that comes next in it.

    Raises:
        KafkaProblemError: the brokers do not answer or refuse, or records are gone.
    """
    left = [each for each in ranges if each.next < each.end]
    following = {each.partition: each.next for each in ranges}
    if not left:
        return
    consumer = Consumer(
        {
            **to_the_end_config(settings, "replay"),
            "queued.max.messages.kbytes": max(1_024, _QUEUE_KILOBYTES // len(left)),
        }
    )
    try:
        reading = _Reading(consumer, settings, left)
        while not stop.requested():
            batch: list[Any] = []
            while len(batch) < _BATCH_RECORDS and (message := reading.next(stop)) is not None:
                batch.append(message)
                following[message.partition()] = message.offset() + 1
            if stop.requested():
                return
            if len(batch) < _BATCH_RECORDS:  # behind the last records there may be ends of transactions
                following.update({each.partition: each.end for each in left})
            yield batch, dict(following)
            if len(batch) < _BATCH_RECORDS:
                return
    finally:
        consumer.close()


class _Reading:
    """Reads ahead in each partition, and hands out the record that came first."""

    def __init__(self, consumer: Any, settings: Settings, ranges: Sequence[Range]) -> None:
        self._consumer = consumer
        self._topic = settings.submitted_topic
        self._ends = {each.partition: each.end for each in ranges}
        self._unread = set(self._ends)
        """Partitions that are not yet read to their end."""
        self._held: dict[int, deque[Any]] = {each: deque() for each in self._ends}
        self._paused: set[int] = set()
        consumer.assign([TopicPartition(self._topic, each.partition, each.next) for each in ranges])

    def next(self, stop: Stop) -> Any | None:
        """The next record; None at the end, or if it is stopped."""
        heard = time.monotonic()
        while any(not self._held[each] for each in self._unread):
            if stop.requested():
                return None
            if self._read():
                heard = time.monotonic()
            elif time.monotonic() - heard > _PATIENCE_SECONDS:
                raise KafkaSilentError(f"no answer from the brokers about {self._topic}; run the command again")
        first = min((each for each in self._held.values() if each), key=_time_of_first, default=None)
        if first is None:
            return None
        message = first.popleft()
        number = message.partition()
        if number in self._paused and len(first) < _MOST_HELD // 2:
            self._paused.discard(number)
            self._consumer.resume([TopicPartition(self._topic, number)])
        return message

    def _read(self) -> bool:
        messages = self._consumer.consume(_CONSUME_RECORDS, _CONSUME_SECONDS)
        for message in messages:
            number, error = message.partition(), message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                raise self._refused(error, number)
            if number not in self._unread:
                continue
            if error is None and message.offset() < self._ends[number]:
                self._held[number].append(message)
            if message.offset() + (error is None) >= self._ends[number]:
                self._unread.discard(number)
            elif len(self._held[number]) >= _MOST_HELD and number not in self._paused:
                self._paused.add(number)
                self._consumer.pause([TopicPartition(self._topic, number)])
        return bool(messages)

    def _refused(self, error: Any, number: int) -> KafkaProblemError:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            return KafkaProblemError(
                f"records of partition {number} of {self._topic} are gone: its retention has overtaken the replay, or"
                " it was made anew; begin a new replay in another folder"
            )
        return KafkaProblemError(f"topic {self._topic}: {error.str()}")


def _time_of_first(held: deque[Any]) -> tuple[int, int]:
    message = held[0]
    return message.timestamp()[1], message.partition()
