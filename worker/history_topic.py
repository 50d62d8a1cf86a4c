"""The history topic as a whole: what it holds of one member, and moving members when partitions are added."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from rules import MemberRecord
from worker.history import META_KEY, Change, Meta, decoded, meta_bytes, read_meta
from worker.kafka import (
    KafkaProblemError,
    confluent_config,
    enqueue,
    producer_config,
    require_topics,
    to_the_end_config,
)
from worker.members import partition_of
from worker.settings import Settings

_POLL_RECORDS = 500
_POLL_SECONDS = 0.1
_QUIET_SECONDS = 30
_TIMEOUT_SECONDS = 10.0


def record_of(settings: Settings, key: bytes) -> MemberRecord | None:
    """What the history topic holds of a member; None for nothing.

    Raises:
        KafkaProblemError: the brokers do not answer, or the topic is missing.
        HistoryError: another version has written it.
    """
    partitions = require_topics(settings, [settings.history_topic])[settings.history_topic]
    latest = None
    for found, value in records(settings, partition_of(key, partitions)):
        if found == key:
            latest = value
    return None if latest is None else decoded(latest)


def move_members(settings: Settings, say: Callable[[str], None]) -> int:
    """Move each member's record to the partition that its claims go to now; may be repeated after a failure.

    Args:
        settings: brokers and topics.
        say: called with a line about each partition that others leave.

    Returns:
        How many members were moved.

    Raises:
        KafkaProblemError: the brokers do not answer, or workers run.
    """
    partitions = require_topics(settings, [settings.history_topic])[settings.history_topic]
    _require_no_workers(settings)
    producer = Producer({**producer_config(settings), "enable.idempotence": True, "linger.ms": 20})
    metas: dict[int, Meta] = {}
    moved = 0
    for partition in range(partitions):
        leaving: dict[bytes, bytes] = {}
        for key, value in records(settings, partition):
            if key == META_KEY:
                meta = read_meta(value)
                if meta is not None:
                    metas[partition] = meta
            elif partition_of(key, partitions) != partition:
                if value is None:
                    leaving.pop(key, None)
                else:
                    leaving[key] = value
        # First where they go, then away from where they were: a record that stands twice is moved again.
        _publish(settings, producer, ((partition_of(key, partitions), (key, raw)) for key, raw in leaving.items()))
        _publish(settings, producer, ((partition, (key, None)) for key in leaving))
        if leaving:
            say(f"partition {partition} of {settings.history_topic}: {len(leaving)} members moved to others")
        moved += len(leaving)
    if metas:
        # In a partition that is new, history is held for as long as in the one that began last.
        latest = max((meta.held_since for meta in metas.values() if meta.held_since is not None), default=None)
        secret = next(iter(metas.values())).secret
        new = {each: metas.get(each, Meta(latest, secret, partitions)) for each in range(partitions)}
        changed = [(each, (META_KEY, meta_bytes(meta._replace(partitions=partitions)))) for each, meta in new.items()]
        _publish(settings, producer, iter(changed))
    return moved


def _require_no_workers(settings: Settings) -> None:
    admin = AdminClient(confluent_config(settings))
    answers = admin.describe_consumer_groups([settings.group_id], request_timeout=_TIMEOUT_SECONDS)
    try:
        members = answers[settings.group_id].result().members
    except KafkaException as error:
        raise KafkaProblemError(f"group {settings.group_id}: {error.args[0].str()}") from None
    if members:
        raise KafkaProblemError(f"{len(members)} workers of group {settings.group_id} run; stop them all first")


def records(settings: Settings, partition: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Key and value of each record of a partition that is committed, oldest first, up to its end.

    Raises:
        KafkaProblemError: the brokers do not answer or refuse.
    """
    consumer = Consumer(to_the_end_config(settings, "history"))
    consumer.assign([TopicPartition(settings.history_topic, partition, OFFSET_BEGINNING)])
    heard = time.monotonic()
    try:
        while True:
            messages: list[Any] = consumer.consume(_POLL_RECORDS, _POLL_SECONDS)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _QUIET_SECONDS:
                raise KafkaProblemError(f"no answer from partition {partition} of {settings.history_topic}")
            for message in messages:
                error = message.error()
                if error is None:
                    yield message.key(), message.value()
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    return
                else:
                    raise KafkaProblemError(f"topic {settings.history_topic}: {error.str()}")
    finally:
        consumer.close()


def _publish(settings: Settings, producer: Any, records: Iterator[tuple[int, Change | tuple[bytes, None]]]) -> None:
    failures: list[str] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            failures.append(error.str())

    for partition, (key, value) in records:
        enqueue(producer, settings.history_topic, value, key, partition, on_delivery=delivered)
    producer.flush()
    if failures:
        raise KafkaProblemError(f"topic {settings.history_topic}: {failures[0]}")
