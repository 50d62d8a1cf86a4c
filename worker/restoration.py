"""Bringing the history on disk up to its topic, before a partition's claims are decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import AuthenticationFailedError, KafkaError, TopicAuthorizationFailedError

from worker.history import HistoryError, Shelf
from worker.kafka import aiokafka_config
from worker.settings import Settings

_FETCH_RECORDS = 5_000
_FETCH_BYTES = 4_194_304
_FETCH_WAIT_MS = 50
_PAUSE_SECONDS = 0.5
_SAY_EVERY_SECONDS = 5.0
_FINAL = (AuthenticationFailedError, TopicAuthorizationFailedError)

log = structlog.get_logger("claimscrub.worker")


async def restore(settings: Settings, shelves: Mapping[int, Shelf], done: Callable[[int], None]) -> None:
    """Bring shelves up to the topic, however long brokers are away. Nobody else may write to the partitions by now.

    Args:
        settings: brokers and topic.
        shelves: partition → its shelf.
        done: called with each partition as soon as its shelf is complete.

    Raises:
        HistoryError: a shelf is of another topic.
        KafkaError: the brokers refuse.
    """
    waiting = dict(shelves)
    while waiting:
        try:
            await _restore(settings, waiting, done)
        except _FINAL:
            raise
        except (KafkaError, OSError) as error:
            log.warning("waiting", reason=f"restoring the history: {type(error).__name__} {error}".strip())
            await asyncio.sleep(_PAUSE_SECONDS)


async def _restore(settings: Settings, waiting: dict[int, Shelf], done: Callable[[int], None]) -> None:
    consumer = AIOKafkaConsumer(
        **aiokafka_config(settings),
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    await consumer.start()
    try:
        places = [TopicPartition(settings.history_topic, partition) for partition in waiting]
        ends, beginnings = await consumer.end_offsets(places), await consumer.beginning_offsets(places)
        starts = {}
        for place in places:
            position = waiting[place.partition].position or 0
            if position > ends[place]:
                raise HistoryError(
                    f"{waiting[place.partition].path} is ahead of partition {place.partition} of {place.topic}"
                    f" ({position}, the topic ends at {ends[place]}), so it is the copy of another; remove the folder"
                )
            starts[place] = max(position, beginnings[place])
        consumer.assign(places)
        for place, start in starts.items():
            consumer.seek(place, start)
        await _read(consumer, starts, ends, waiting, done)
    finally:
        await consumer.stop()


async def _read(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    waiting: dict[int, Shelf],
    done: Callable[[int], None],
) -> None:
    positions, count, began = dict(starts), 0, time.monotonic()
    said = began
    while True:
        for place in [each for each in positions if positions[each] >= ends[each]]:
            waiting.pop(place.partition).write((), positions.pop(place))
            consumer.pause(place)
            done(place.partition)
        if not positions:
            break
        fetched = await consumer.getmany(*positions, timeout_ms=_FETCH_WAIT_MS, max_records=_FETCH_RECORDS)
        for place, records in fetched.items():
            waiting[place.partition].write(((each.key, each.value) for each in records), records[-1].offset + 1)
            count += len(records)
        for place in positions:
            positions[place] = await consumer.position(place)  # passes the ends of transactions, which are no records
        if time.monotonic() - said >= _SAY_EVERY_SECONDS:
            said = time.monotonic()
            left = sum(ends[place] - position for place, position in positions.items())
            log.info("restoring", records=count, left=left, partitions=len(positions))
    if count:
        log.info("restored", records=count, seconds=round(time.monotonic() - began, 1))
