"""Decisions on the topics become X12 files: `claimscrub acknowledge --topics` and `claimscrub export --topics`.

Each decision goes into exactly one file, whatever happens to the process. A round writes its files under temporary
names; then replaces the position file, which names the next offsets and the files; then gives the files their names. A
process that finds a position file first does what is left of that. So the position file alone decides whether a round
has happened.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from worker.answers import MOST_BYTES, MOST_CLAIMS, Envelope, Writer, described, notes, require_free
from worker.codec import decision_header, envelope, is_monitored
from worker.folder import FolderError, Stop, flush_folder, only_one, rename_durably, write_durably, write_to_disk
from worker.header_names import headers_of
from worker.kafka import KafkaProblemError, KafkaSilentError, reader_config, require_topics, topic_ids
from worker.settings import Settings

POSITION_FILE = ".claimscrub-position.json"
_LOCK_FILE = ".claimscrub-collect"
_TEMPORARY = ".claimscrub-new-"
_CONSUME_RECORDS = 500
_CONSUME_SECONDS = 0.5

Say = Callable[[str], None]


@dataclass
class Position:
    """How far an output folder has come.

    Attributes:
        command: which command writes into the folder.
        control_number: of the next interchange.
        topics: topic → its id in the cluster, and partition → next offset.
        pending: temporary name → name of the files of the last round.
    """

    command: str
    control_number: int = 1
    topics: dict[str, dict[str, Any]] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)

    def next_offset(self, topic: str, partition: int) -> int | None:
        offset: int | None = self.topics.get(topic, {}).get("next", {}).get(str(partition))
        return offset

    def saved(self) -> bytes:
        content = {"version": 1, **self.__dict__}
        return json.dumps(content, indent=1).encode()

    @classmethod
    def load(cls, path: Path, command: str, control_number: int | None) -> Position:
        """What an earlier round left, or the beginning.

        Raises:
            FolderError: it can't be read, or is another command's.
        """
        if not path.exists():
            return cls(command, control_number or 1)
        try:
            content = json.loads(path.read_bytes())
            position = cls(**{name: content[name] for name in cls.__dataclass_fields__})
        except (OSError, ValueError, KeyError, TypeError):
            raise FolderError(f"{path} can't be read; it must be as claimscrub wrote it") from None
        if position.command != command:
            raise FolderError(
                f"{path.parent} is the folder of claimscrub {position.command}; name another for {command}"
            )
        if control_number is not None:
            position.control_number = control_number
        return position


def collect(
    folder: Path,
    settings: Settings,
    *,
    command: str,
    topics: tuple[str, ...],
    write: Writer,
    follow_seconds: float | None,
    control_number: int | None,
    say: Say,
) -> bool:
    """Write everything since the last run from the topics into a folder.

    Args:
        folder: where the files go, and where the position is kept.
        settings: the brokers.
        command: the name of the command, which the folder belongs to from then on.
        topics: what is read.
        write: the writer.
        follow_seconds: go on every so many seconds, until SIGTERM or SIGINT; None to end.
        control_number: of the next interchange; None to count on.
        say: called with each line about what was written and what could not be.

    Returns:
        Whether everything could be written.

    Raises:
        FolderError: the folder can't be used.
        KafkaProblemError: the brokers do not answer or refuse, or a topic is not the one that was read before.
    """
    with Stop().on_signals() as stop, only_one(folder / _LOCK_FILE, f"claimscrub {command} --topics"):
        position = Position.load(folder / POSITION_FILE, command, control_number)
        try:
            collection = _Collection(folder, settings, position, write, say)
            collection.finish_last_round()
            while True:
                try:
                    collection.catch_up(topics, stop)
                except KafkaSilentError as error:
                    if follow_seconds is None:
                        raise
                    say(f"waiting: {error}")
                if follow_seconds is None or stop.wait(follow_seconds):
                    return collection.complete
        except OSError as error:
            raise FolderError(f"{folder}: {error.strerror}; the folder must be one that can be written to") from None


class _Collection:
    """Rounds from the topics into a folder."""

    def __init__(self, folder: Path, settings: Settings, position: Position, write: Writer, say: Say) -> None:
        self.complete = True
        self._folder = folder
        self._settings = settings
        self._position = position
        self._write = write
        self._say = say

    def finish_last_round(self) -> None:
        """Give the files of a round that counts their names, and remove those of one that does not."""
        for temporary, name in self._position.pending.items():
            if (self._folder / temporary).exists():
                rename_durably(self._folder / temporary, self._folder / name)
        for orphan in self._folder.glob(f"{_TEMPORARY}*"):
            orphan.unlink()

    def catch_up(self, topics: tuple[str, ...], stop: Stop) -> None:
        """Rounds up to where the topics end now."""
        found = require_topics(self._settings, topics)
        ids = topic_ids(self._settings, topics)
        for name in topics:
            known = self._position.topics.setdefault(name, {"id": ids[name], "next": {}})
            if known["id"] != ids[name]:
                raise self._made_anew(name)
        consumer = Consumer(
            {
                **reader_config(self._settings, self._position.command),
                "queued.max.messages.kbytes": 16_384,
            }
        )
        try:
            self._rounds(consumer, [(name, number) for name in topics for number in range(found[name])], stop)
        except KafkaException as error:
            raise KafkaSilentError(f"topics {', '.join(topics)}: {error.args[0].str()}") from None
        finally:
            consumer.close()

    def _rounds(self, consumer: Any, partitions: list[tuple[str, int]], stop: Stop) -> None:
        ends: dict[tuple[str, int], int] = {}
        starts = []
        for topic, number in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), 10.0)
            start = self._position.next_offset(topic, number)
            if start is None:
                start = low
            elif start > high:
                raise self._made_anew(topic)
            elif start < low:
                self.complete = False
                self._say(
                    f"topic {topic}, partition {number}: {low - start} records, from offset {start}, were deleted"
                    " before they were read; the topic's retention must be longer than the time between two runs"
                )
                start = low
            if start < high:
                ends[topic, number] = high
                starts.append(TopicPartition(topic, number, start))
        consumer.assign(starts)
        while ends and not stop.requested():
            values, following = self._consume(consumer, ends, stop)
            if following:
                self._finish(values, following)

    def _consume(
        self, consumer: Any, ends: dict[tuple[str, int], int], stop: Stop
    ) -> tuple[list[bytes], dict[tuple[str, int], int]]:
        """The records of a round, and the next offset of each partition that they stood in.

        Takes partitions that are read to their end out of `ends`.
        """
        values: list[bytes] = []
        following: dict[tuple[str, int], int] = {}
        size = 0
        heard = time.monotonic()
        patience = max(self._settings.startup_timeout_seconds, 10.0)
        while ends and not stop.requested() and len(values) < MOST_CLAIMS and size < MOST_BYTES:
            messages = consumer.consume(min(_CONSUME_RECORDS, MOST_CLAIMS - len(values)), _CONSUME_SECONDS)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > patience:
                where = self._settings.bootstrap_servers
                raise KafkaSilentError(f"no answer from the brokers at {where} for {patience:.0f} s")
            for message in messages:
                place = (message.topic(), message.partition())
                error = message.error()
                if place not in ends:
                    continue  # came after the end of this run
                if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                    if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
                        raise self._made_anew(place[0])
                    raise KafkaException(error)
                end = ends[place]
                offset = message.offset()
                if error is None and offset < end:
                    found = self._envelopes_of(message)
                    values += found
                    size += sum(map(len, found))
                    offset += 1
                following[place] = min(offset, end)
                if offset >= end:
                    del ends[place]
        return values, following

    def _envelopes_of(self, message: Any) -> tuple[bytes, ...]:
        """A record's envelope; none for a flagged claim that went on, as the cleared topic has it too."""
        headers = dict(headers_of(message))
        if message.topic() == self._settings.flagged_topic and is_monitored(headers):
            return ()
        value, decision = message.value() or b"", decision_header(headers)
        return (value if decision is None else envelope(value, decision),)

    def _finish(self, values: list[bytes], following: dict[tuple[str, int], int]) -> None:
        """Make a round happen: its files and its position."""
        position = self._position
        written = self._write(
            map(_envelope, values), at=datetime.now().astimezone(), control_number=position.control_number
        )
        pending = {f"{_TEMPORARY}{file.name}": file.name for file in written.files}
        for name in pending.values():
            require_free(self._folder / name)
        for file in written.files:
            write_to_disk(self._folder / f"{_TEMPORARY}{file.name}", file.content)
        flush_folder(self._folder)
        position.control_number = written.next_control_number
        position.pending = pending
        for (topic, number), offset in following.items():
            position.topics[topic]["next"][str(number)] = offset
        write_durably(self._folder / POSITION_FILE, position.saved())
        for temporary, name in pending.items():
            (self._folder / temporary).rename(self._folder / name)
        flush_folder(self._folder)
        for file in written.files:
            self._say(f"{self._folder / file.name}: {file.claims} claims")
        for note in notes(written):
            self._say(note)
        for error in written.errors:
            self.complete = False
            self._say(f"claimscrub: {described(error)}")

    def _made_anew(self, topic: str) -> KafkaProblemError:
        path = self._folder / POSITION_FILE
        return KafkaProblemError(
            f"topic {topic} is not the one that was read before: it was made anew, or has lost records; to begin at its"
            f" start, remove its entry from {path}"
        )


def _envelope(value: bytes) -> Envelope:
    """What a record holds; a writer says what is wrong with one that is no envelope."""
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
