"""What was published about a replay's claim events, read from the output topics into a file of decisions.

An output names the event that it answers, so it is found wherever it stands. Releases and answers to other topics are
not decisions about these events; nor is the marked copy of a claim that went on although it was flagged.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from worker.codec import UNREADABLE, event_id_of, published
from worker.console.outputs import fault_of, text
from worker.decisions import DEADLETTER, Decided, Decisions, Range, Said
from worker.folder import Stop
from worker.header_names import headers_of
from worker.history import DIGEST
from worker.kafka import (
    KafkaProblemError,
    KafkaSilentError,
    confluent_config,
    offsets,
    require_topics,
    to_the_end_config,
)
from worker.progress import progress
from worker.settings import Settings

_BATCH_RECORDS = 500
_BATCH_SECONDS = 0.1
_TIMEOUT_SECONDS = 10.0
_PATIENCE_SECONDS = 30.0
_MARGIN_MS = 86_400_000
"""Outputs are dated by the worker's clock and events by their sender's: a day between the two is allowed for."""

_Partition = tuple[str, int]


class _Decision(msgspec.Struct):
    claim_id: str
    disposition: str
    payer: str
    findings: list[Said] = []
    input_digest: str = ""


_read_decision = msgspec.json.Decoder(_Decision).decode


def read_published(settings: Settings, replayed: Decisions, found: Decisions, stop: Stop) -> bool:
    """Find what was published about the events of a replay.

    Args:
        settings: brokers and topics.
        replayed: the replay.
        found: what is found goes here.
        stop: ends it.

    Returns:
        Whether it came to an end; a signal ends it before.

    Raises:
        KafkaProblemError: the brokers do not answer or refuse, or a topic is missing.
    """
    first_at = replayed.first_at()
    if first_at is None:
        return True
    reading = _Reading(settings, replayed, found)
    starts, ends = _places(settings, max(0, first_at - _MARGIN_MS))
    left = {place for place, start in starts.items() if start < ends[place]}
    consumer = Consumer(to_the_end_config(settings, "diff"))
    heard = time.monotonic()
    try:
        consumer.assign([TopicPartition(*place, starts[place]) for place in left])
        total = sum(ends[place] - starts[place] for place in left)
        with progress("reading what was published", total, "records") as step:
            while left and not reading.is_complete:
                if stop.requested():
                    return False
                messages = consumer.consume(_BATCH_RECORDS, _BATCH_SECONDS)
                for message in messages:
                    place, error = (message.topic(), message.partition()), message.error()
                    if error is None and message.offset() < ends[place]:
                        reading.take(message)
                    elif error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                        raise KafkaProblemError(f"topic {place[0]}: {error.str()}")
                    if error is not None or message.offset() + 1 >= ends[place]:
                        left.discard(place)
                reading.save()
                step(len(messages))
                heard = time.monotonic() if messages else heard
                if time.monotonic() - heard > _PATIENCE_SECONDS:
                    raise KafkaSilentError(f"no answer from the brokers at {settings.bootstrap_servers}")
    finally:
        consumer.close()
    return True


def _places(settings: Settings, at: int) -> tuple[dict[_Partition, int], dict[_Partition, int]]:
    """Where to begin and end in each partition of the output topics."""
    topics = require_topics(settings, settings.output_topics)
    places = [(name, number) for name in settings.output_topics for number in range(topics[name])]
    try:
        admin = AdminClient(confluent_config(settings))
        ends = offsets(admin, places, OffsetSpec.latest(), _TIMEOUT_SECONDS)
        starts = offsets(admin, places, OffsetSpec.for_timestamp(at), _TIMEOUT_SECONDS)
    except KafkaException as error:
        raise KafkaSilentError(f"topics {', '.join(settings.output_topics)}: {error.args[0].str()}") from None
    return {place: ends[place] if start < 0 else start for place, start in starts.items()}, ends


class _Reading:
    """Takes those records that are about the events of a replay."""

    def __init__(self, settings: Settings, replayed: Decisions, found: Decisions) -> None:
        self._settings = settings
        self._found = found
        self._ranges: Mapping[int, Range] = {each.partition: each for each in replayed.ranges()}
        self._wanted = replayed.count()
        self._count = 0
        self._batch: list[Decided] = []
        self._event_id = re.compile(rf"{re.escape(replayed.meta()['topic'])}-(\d+)-(\d+)")

    @property
    def is_complete(self) -> bool:
        """Whether nothing more can be found."""
        return self._count >= self._wanted

    def take(self, message: Any) -> None:
        headers = headers_of(message)
        named = dict(headers)
        is_deadletter = message.topic() == self._settings.deadletter_topic
        match = self._event_id.fullmatch(text(named, "ce_id") if is_deadletter else event_id_of(named))
        if match is None:
            return
        partition, offset = int(match[1]), int(match[2])
        range_ = self._ranges.get(partition)
        if range_ is None or not range_.first <= offset < range_.end:
            return
        at = message.timestamp()[1]
        if is_deadletter:
            claim_id, reason = text(named, "ce_subject"), fault_of(named).reason
            self._batch.append(Decided(partition, offset, at, claim_id, "", "", None, DEADLETTER, reason=reason))
            return
        try:
            decision = _read_decision(published(message.value() or b"", headers).decision)
        except UNREADABLE:
            return  # nothing that a worker has published
        place = (partition, offset, at, decision.claim_id, decision.input_digest[DIGEST], decision.payer, None)
        self._batch.append(Decided(*place, decision.disposition, tuple(decision.findings)))

    def save(self) -> None:
        """Add what was taken; what was published twice counts once."""
        if self._batch:
            self._found.add(self._batch)
            self._batch = []
            self._count = self._found.count()
