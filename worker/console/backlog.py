"""What the workers have still to decide, asked of the brokers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from worker.codec import Arrival, Headers
from worker.console.records import CONSOLE
from worker.console.views import Backlog
from worker.header_names import headers_of
from worker.kafka import (
    KafkaProblemError,
    committed_offsets,
    confluent_config,
    offsets,
    reader_config,
    require_topics,
)
from worker.settings import Settings

_TIMEOUT_SECONDS = 10.0
_PEEK_SECONDS = 5.0
_MOST_MS = 10**14

_Partition = tuple[str, int]


def backlog(settings: Settings) -> Backlog:
    """Records of the workers' input topics after the offsets that they have committed, and when the oldest one came.

    Offsets of transaction markers count as records where there are records after the committed offset.
    """
    try:
        return _backlog(settings)
    except KafkaProblemError as error:
        return Backlog(0, None, problem=str(error))
    except KafkaException as error:
        return Backlog(0, None, problem=f"the backlog is not known: {error.args[0].str()}")


def unread(settings: Settings, positions: Mapping[_Partition, int]) -> int | None:
    """Records after the offsets that a projection goes on from; None where the brokers do not tell."""
    try:
        admin = AdminClient(confluent_config(settings))
        ends = offsets(admin, positions, OffsetSpec.latest(), _TIMEOUT_SECONDS) if positions else {}
    except KafkaException:
        return None
    return sum(max(end - positions[place], 0) for place, end in ends.items())


def _backlog(settings: Settings) -> Backlog:
    topics = dict.fromkeys(settings.input_topics, settings.group_id)
    if settings.x12_topic:
        topics[settings.x12_topic] = settings.x12_group_id
    counts = require_topics(settings, topics)
    partitions = [(topic, number) for topic in topics for number in range(counts[topic])]
    admin = AdminClient(confluent_config(settings))
    ends = offsets(admin, partitions, OffsetSpec.latest(), _TIMEOUT_SECONDS)
    starts = offsets(admin, partitions, OffsetSpec.earliest(), _TIMEOUT_SECONDS)
    committed = {}
    for group in sorted(set(topics.values())):
        of_group = [each for each in partitions if topics[each[0]] == group]
        committed.update(committed_offsets(admin, group, of_group, _TIMEOUT_SECONDS))
    waiting = {}
    for place in partitions:
        start = max(committed.get(place, 0), starts[place])  # a group that has committed nothing begins at the start
        if start < ends[place]:
            waiting[place] = start
    oldest = _oldest(settings, waiting) if waiting else {}
    # Where no record is left, what stands after the committed offset are markers of transactions.
    lag = {place: ends[place] - waiting[place] for place in oldest}
    times = [at for at in oldest.values() if at is not None]
    return Backlog(sum(lag.values()), min(times, default=None), lag)


def _oldest(settings: Settings, starts: dict[_Partition, int]) -> dict[_Partition, datetime | None]:
    """When the first record at or after each offset came; without those partitions where none is left.

    None where it is not known.
    """
    found: dict[_Partition, datetime | None] = dict.fromkeys(starts)
    consumer = Consumer(
        {**reader_config(settings, CONSOLE), "queued.max.messages.kbytes": 1_024, "fetch.wait.max.ms": 50}
    )
    try:
        asked = set(starts)
        consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        deadline = time.monotonic() + _PEEK_SECONDS
        while asked and time.monotonic() < deadline:
            for message in consumer.consume(len(asked), 0.1):
                place = (message.topic(), message.partition())
                error = message.error()
                if place not in asked:
                    continue
                if error is None:
                    found[place] = _arrived(settings, message)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    del found[place]
                asked.discard(place)
                consumer.pause([TopicPartition(*place)])
    finally:
        consumer.close()
    return found


class _Met(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    headers: Headers


def _arrived(settings: Settings, message: Any) -> datetime | None:
    """When a record came, before another partition sent it on."""
    headers = headers_of(message)
    met = _Met(message.topic(), message.partition(), message.offset(), message.timestamp()[1], headers)
    at = Arrival.of(met, settings.repartition_topic).timestamp
    return datetime.fromtimestamp(at / 1000, UTC) if 0 < at < _MOST_MS else None
