"""The thread that reads the output topics into the projection.

It joins no group and commits no offsets: how far it has come stands in the projection's file, in one transaction with
what it has read. So there may be any number of consoles, and one that is killed goes on where it was.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from worker.console.projection import Projection
from worker.console.records import CONSOLE, Received, Role
from worker.console.views import Place
from worker.failures import kind_and_place
from worker.header_names import headers_of
from worker.kafka import KafkaProblemError, partitions_by_topic, reader_config, topic_ids
from worker.settings import Settings

_BATCH_RECORDS = 4_000
_BATCH_SECONDS = 0.1
_LOOK_SECONDS = 20.0
"""Between two looks at which topics and partitions there are."""
_RETRY_SECONDS = 2.0
_TIMEOUT_SECONDS = 10.0
_STOP_SECONDS = 2.0

log = structlog.get_logger("claimscrub.console")

_Partition = tuple[str, int]


class _BegunAnewError(Exception):
    """What the projection holds is of other topics than those that are there; it was emptied."""


class Follower(threading.Thread):
    """Reads the output topics and the overrides into a projection until it is stopped.

    Attributes:
        caught_up: whether all that was on the topics when it started has been read.
        unreadable: what records could not be read, in a sentence; the rest is shown all the same.
        counted: told how many records of a topic were taken in.
    """

    def __init__(self, settings: Settings, projection: Projection) -> None:
        super().__init__(name="follower", daemon=True)
        self.caught_up = False
        self.counted: Callable[[str, int], None] = lambda _topic, _records: None
        self._settings = settings
        self._projection = projection
        self._roles = roles(settings)
        self._stopping = threading.Event()
        self._fault = ""
        self._missing = ""
        self.unreadable = projection.unreadable()

    @property
    def problem(self) -> str:
        """What keeps it from reading, in a sentence; blank where nothing does."""
        return "; ".join(filter(None, (self._fault, self._missing)))

    def stop(self) -> None:
        """End it, and wait a moment for its end; brokers that do not answer may hold it up, but nothing it was at."""
        self._stopping.set()
        if self.is_alive():
            self.join(_STOP_SECONDS)

    def run(self) -> None:
        """Until it is stopped, whatever the brokers do."""
        while not self._stopping.is_set():
            try:
                self._follow()
            except _BegunAnewError:
                continue
            except (KafkaProblemError, KafkaException) as error:
                self._fail(str(error.args[0].str() if isinstance(error, KafkaException) else error))
            except (sqlite3.Error, OSError) as error:
                self._fail(f"the projection can't be written: {error}; see that there is room on its disk")
            except Exception as error:  # the pages stay, and say so
                log.exception("follower failed", reason=kind_and_place(error))
                self._fail(f"the topics can't be followed: {type(error).__name__}; see the console's log")
            self._stopping.wait(_RETRY_SECONDS)

    def _fail(self, reason: str) -> None:
        if reason != self._fault:
            log.warning("follower waits", reason=reason)
        self._fault = reason

    def _follow(self) -> None:
        """Read until it is stopped, or the partitions are other ones than before."""
        partitions = self._partitions()
        self._check_ids({topic for topic, _ in partitions})
        consumer = Consumer(
            {**reader_config(self._settings, CONSOLE), "queued.max.messages.kbytes": 32_768, "fetch.wait.max.ms": 100}
        )
        try:
            positions = self._starts(consumer, partitions)
            consumer.assign([TopicPartition(*place, offset) for place, offset in positions.items()])
            self._read(consumer, positions)
        finally:
            consumer.close()

    def _partitions(self) -> list[_Partition]:
        found = partitions_by_topic(self._settings, _TIMEOUT_SECONDS)
        missing = [topic for topic in self._roles if topic not in found]
        self._missing = f"no topic {', '.join(missing)}; make it with: claimscrub topics create" if missing else ""
        self._fault = ""
        return [(topic, number) for topic in self._roles if topic in found for number in range(found[topic])]

    def _check_ids(self, topics: set[str]) -> None:
        """Make sure that the projection is of these topics, and not of ones that have gone.

        Raises:
            _BegunAnewError: it was not.
        """
        ids = topic_ids(self._settings, topics)
        known = self._projection.topic_ids()
        for name, known_id in known.items():
            if name not in self._roles:
                self._begin_anew(f"it was made of a topic {name}, which is not followed any more")
            if name in ids and ids[name] != known_id:
                self._begin_anew(f"topic {name} was made anew")
        if ids != known:
            self._projection.know_topics(ids)

    def _begin_anew(self, reason: str) -> None:
        self.caught_up = False
        self._projection.begin_anew(reason)
        raise _BegunAnewError

    def _starts(self, consumer: Any, partitions: list[_Partition]) -> dict[_Partition, int]:
        """Where to read on; in a partition that is new, at what is not too old to keep."""
        known = self._projection.positions()
        since = datetime.now(UTC) - timedelta(days=self._projection.keep_days)
        asked = [
            TopicPartition(*place, int(since.timestamp() * 1000))
            for place in partitions
            if place not in known and self._roles[place[0]] != "overrides"  # the audit trail is shown from its start
        ]
        found = consumer.offsets_for_times(asked, _TIMEOUT_SECONDS) if asked else []
        starts = {}
        for each in found:
            if each.error is not None:
                raise KafkaException(each.error)
            starts[each.topic, each.partition] = each.offset
        for place in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(*place), _TIMEOUT_SECONDS)
            start = known.get(place, starts.get(place, low))
            if start < 0:  # nothing is as young as that
                start = high
            if start > high:
                self._begin_anew(f"topic {place[0]} has lost records that were read")
            if start < low and place in known:
                self._begin_anew(f"records of topic {place[0]} were deleted before they were read")
            starts[place] = max(start, low)
        return starts

    def _read(self, consumer: Any, positions: Mapping[_Partition, int]) -> None:
        behind = set() if self.caught_up else set(positions)
        looked = time.monotonic()
        while not self._stopping.is_set():
            records, moved, ended = self._consume(consumer)
            if moved:
                self._projection.take(records, moved)
                if records:
                    self.unreadable = self._projection.unreadable()
                for topic, count in Counter(record.place.topic for record in records).items():
                    self.counted(topic, count)
            behind -= ended
            self.caught_up = self.caught_up or not behind
            pause = _RETRY_SECONDS if self._fault else _LOOK_SECONDS
            if time.monotonic() - looked >= pause:
                looked = time.monotonic()
                if self._has_changed(set(positions)):
                    return

    def _has_changed(self, partitions: set[_Partition]) -> bool:
        try:
            return set(self._partitions()) != partitions
        except KafkaProblemError as error:
            self._fail(str(error))
            return False

    def _consume(self, consumer: Any) -> tuple[list[Received], dict[_Partition, int], set[_Partition]]:
        """A batch of records, how far it goes in each partition, and the partitions that are read to their end."""
        records: list[Received] = []
        moved: dict[_Partition, int] = {}
        ended: set[_Partition] = set()
        for message in consumer.consume(_BATCH_RECORDS, _BATCH_SECONDS):
            error = message.error()
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if error is None:
                headers = {name: value or b"" for name, value in headers_of(message)}
                place = Place(topic, partition, offset)
                records.append(Received(self._roles[topic], place, message.timestamp()[1], headers, message.value()))
                moved[topic, partition] = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                ended.add((topic, partition))
                moved[topic, partition] = offset
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
                self._begin_anew(f"records of topic {topic} were deleted before they were read, or it was made anew")
            else:
                raise KafkaException(error)
        return records, moved, ended


def roles(settings: Settings) -> dict[str, Role]:
    """Topic → what it is for, of all that is followed."""
    return {
        settings.cleared_topic: "cleared",
        settings.flagged_topic: "flagged",
        settings.deadletter_topic: "deadletter",
        settings.overrides_topic: "overrides",
    }
