"""X12 text in, claim events out: each record of the X12 topic is split in one go, or not at all.

A thread of the worker reads the records, splits them, and publishes claim events, dead letters and the read position in
one transaction. A reader that sees only what is committed, as the worker is, sees all claims of a record or none, and
each once, whatever happens to the process: what a transaction did not bring to its end is split again.

Two workers can't both split a record: the position is published under the consumer group's generation, so a worker that
has lost the partition without knowing fails with its whole transaction.
"""

from __future__ import annotations

import io
import threading
import time
import uuid
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from rules import ClaimError
from worker.codec import Headers, cloud_event_headers, is_carried_on
from worker.deadletter import DeadLetterFloodError, DeadLetterLimit, error_headers, x12_headers
from worker.header_names import headers_of
from worker.kafka import (
    RECORD_BATCH_BYTES,
    KafkaProblemError,
    confluent_config,
    denied,
    enqueue,
    name_taken,
    producer_config,
)
from worker.members import Members
from worker.settings import PREFIX, Settings
from worker.x12 import Event, read_events

_TRANSACTION_BYTES = 1_048_576
_TRANSACTION_SECONDS = 0.5
"""A transaction takes in further records only while its outputs are smaller, and its first record is younger."""
_TRANSACTION_TIMEOUT_SECONDS = 15.0
"""Everything is split before a transaction begins, so it lasts as long as the brokers take to store a record's claims.
It is also how long the claims behind it wait when a worker dies in the middle and does not come back: the brokers then
end it."""
_CALL_SECONDS = 2.0
"""A call that waits longer is made again, as one without a limit may miss that the brokers are back."""
_STALLED_SECONDS = 45.0
"""Sending offsets may never return, whatever its timeout, where the group's coordinator has gone since the producer
last spoke to it (librdkafka issues 5456 and 5511, open in 2.16). So a producer that has lost a broker is replaced for
the next transaction, and where that comes too late the worker stops after this time."""
_ATTEMPTS = 5
_LARGEST_FETCH_BYTES = 100_000_000
MOST_CLAIMS = 50_000
"""Of one record; 10 MB of the shortest claims that anybody sends hold fewer. X12 has 5,000 in mind for a transaction
set."""
_MOST_TIMES = 16
"""How many times as large as the largest record all that is made of one may be: what claims of X12 share, such as their
billing provider and the record's headers, stands in every claim event."""
_MOST_FAULTS = 1_000
"""Of envelopes and levels in one record: beyond that it is no X12."""
_MOST_HEADERS_BYTES = 32_768
_BREATH = 10
"""Claims read between two pauses, in which the threads that decide claims get the interpreter."""
_PAUSE_SECONDS = 0.000_05
_POLL_SECONDS = 0.25
_SUMMARY_SECONDS = 5.0

log = structlog.get_logger("claimscrub.splitter")


class Letter(NamedTuple):
    """What becomes a dead letter.

    Attributes:
        value: the claim that was lost, or all of the record.
        errors: what is wrong, at least one; several if they are faults of envelopes.
    """

    value: bytes | None
    errors: tuple[ClaimError, ...]


class Sizes(NamedTuple):
    """Sizes in bytes beyond which a record, or a claim event, is a dead letter."""

    x12: int
    claim: int


def split(
    value: bytes | None,
    sizes: Sizes,
    breathe: Callable[[], None] = lambda: None,
    *,
    headers_bytes: int = 0,
    key_bytes: int = 0,
) -> list[Event | Letter]:
    """Split the X12 text of one record.

    Args:
        value: the record's value.
        sizes: what is allowed.
        breathe: called every few claims.
        headers_bytes: of the record, which go on with each claim.
        key_bytes: of the record, which go on with each dead letter.

    Returns:
        Claim events and dead letters in the order of the text; at least one. Never raises for anything the bytes hold.
    """
    if not value:
        return [Letter(value, (ClaimError("$", "the record has no value", "X12 text"),))]
    if len(value) > sizes.x12:
        problem = ClaimError("$", f"{len(value)} bytes", f"at most {sizes.x12} bytes ({PREFIX}MAX_X12_BYTES)")
        return [Letter(value, (problem,))]
    if headers_bytes > _MOST_HEADERS_BYTES:
        problem = ClaimError("$", f"headers of {headers_bytes} bytes", f"at most {_MOST_HEADERS_BYTES} bytes")
        return [Letter(value, (problem,))]
    try:
        return _read_all(value, sizes, breathe, headers_bytes + key_bytes)
    except _StoppedError:
        raise
    except Exception as error:  # noqa: BLE001  (a fault of the reader must not stop the records behind this one)
        problem = ClaimError("$", f"the reader failed with {type(error).__name__}", "X12 text that can be read")
        return [Letter(value, (problem,))]


def _read_all(value: bytes, sizes: Sizes, breathe: Callable[[], None], bytes_with_each: int) -> list[Event | Letter]:
    items: list[Event | Letter] = []
    lost_no_claim: list[ClaimError] = []
    made_bytes = 0
    for number, item in enumerate(read_events(io.BytesIO(value)), 1):
        made_bytes += len(item.raw) + bytes_with_each
        if len(items) >= MOST_CLAIMS or made_bytes > _MOST_TIMES * sizes.x12 or len(lost_no_claim) >= _MOST_FAULTS:
            return [Letter(value, (_too_many(len(items), made_bytes, sizes),))]
        if isinstance(item, Event):
            items.append(item if len(item.raw) <= sizes.claim else _too_large(item, value, sizes))
        elif item.raw:
            items.append(Letter(item.raw, (item,)))
        else:
            lost_no_claim.append(item)
        if number % _BREATH == 0:
            breathe()
    if not items and not lost_no_claim:
        lost_no_claim.append(ClaimError("$", "no claim", "an 837 with at least one claim"))
    if lost_no_claim:
        # An envelope's fault belongs to no claim: the whole record says best what it is about.
        items.append(Letter(value, tuple(lost_no_claim)))
    return items


def _too_many(claims: int, made_bytes: int, sizes: Sizes) -> ClaimError:
    """Why a record is refused as a whole: nothing of it is published, so that it can be sent again in parts."""
    if claims >= MOST_CLAIMS:
        return ClaimError("$", f"more than {MOST_CLAIMS} claims", "fewer claims a record")
    most = _MOST_TIMES * sizes.x12
    if made_bytes > most:
        said = f"its claims would take more than {most} bytes, as each repeats what they share"
        return ClaimError("$", said, f"fewer claims a record, {_MOST_TIMES} times {PREFIX}MAX_X12_BYTES at most")
    return ClaimError("$", f"more than {_MOST_FAULTS} faults of envelopes and levels", "X12 text")


def _too_large(event: Event, value: bytes, sizes: Sizes) -> Letter:
    said = f"the claim event has {len(event.raw)} bytes"
    error = ClaimError("$", said, f"at most {sizes.claim} bytes ({PREFIX}MAX_CLAIM_BYTES)", event.claim_id)
    # JSON can be several times the text, and the dead-letter topic is made for what X12 records hold.
    return Letter(event.raw if len(event.raw) <= sizes.x12 else value, (error,))


class _StoppedError(Exception):
    """The worker stops, and what was being split will be split again."""


class _Pending(NamedTuple):
    """A record that was split, but not yet published."""

    message: Any
    headers: Headers
    items: list[Event | Letter]


class Splitter:
    """The thread that splits.

    Args:
        settings: where and how.
        folder: the worker's own; one that outlives the process lets the next one end at once what this one left open.
        stopping: whether the worker has been told to stop.
        failed: called, in the thread, with why it ended; the worker has to stop, and nothing is lost.

    Attributes:
        totals: records split, and claims and dead letters made of them, since the start.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        members: Members,
        stopping: Callable[[], bool],
        failed: Callable[[Exception], None],
    ) -> None:
        self._settings = settings
        self._members = members
        self._sizes = Sizes(settings.max_x12_bytes, settings.max_claim_bytes)
        self._folder = folder
        self._group_id = settings.x12_group_id
        self._worker_stops = stopping
        self._failed = failed
        self._told_to_stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="splitter", daemon=True)
        self._pending: list[_Pending] = []
        self._pending_bytes = 0
        self._limit = DeadLetterLimit(settings.deadletter_run, settings.deadletter_share)
        self._failures = 0
        self._counts = {"records": 0, "claims": 0, "deadletters": 0}
        self.totals = self._counts.copy()
        self._since = time.monotonic()
        self._complained = -_SUMMARY_SECONDS
        self._refusal: KafkaError | None = None
        self._lost: KafkaError | None = None
        self._consumer: Any = None
        self._producer: Any = None

    def start(self) -> None:
        """Begin to split."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Finish the transaction in hand, and wait for it no longer than `seconds`."""
        self._told_to_stop.set()
        self._thread.join(seconds)

    # ---- the thread

    def _stops(self) -> bool:
        return self._told_to_stop.is_set() or self._worker_stops()

    def _run(self) -> None:
        try:
            self._connect()
            while not self._stops():
                self._read()
                if self._pending:
                    self._publish()
                self._summarize()
        except _StoppedError:
            pass
        except KafkaException as error:
            self._failed(self._problem(error.args[0]))
        except Exception as error:  # noqa: BLE001  (whatever it is, a worker that does not split must not go on)
            self._failed(error)
        finally:
            self._log_summary()
            if self._consumer is not None:
                self._consumer.close()

    def _connect(self) -> None:
        self._begin_producing()
        settings = self._settings
        session_ms = int(settings.session_timeout_seconds * 1000)
        self._consumer = Consumer(
            {
                **confluent_config(settings),
                "error_cb": self._complain,
                "group.id": self._group_id,
                **({"group.instance.id": settings.instance_id} if settings.instance_id else {}),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "session.timeout.ms": session_ms,
                "heartbeat.interval.ms": session_ms // 10,
                "fetch.wait.max.ms": int(settings.fetch_wait_seconds * 1000),
                "fetch.max.bytes": max(4_194_304, settings.max_x12_bytes),
                "receive.message.max.bytes": max(_LARGEST_FETCH_BYTES, 2 * settings.max_x12_bytes),
                "queued.max.messages.kbytes": max(4_096, settings.max_x12_bytes // 1024),
            }
        )
        self._consumer.subscribe([settings.x12_topic], on_revoke=self._forget, on_lost=self._forget)

    def _begin_producing(self) -> None:
        """A producer anew; the brokers abort what the last one of this name has left open."""
        settings = self._settings
        self._lost = None
        self._producer = Producer(
            {
                **producer_config(settings),
                "error_cb": self._lose,
                "transactional.id": f"{self._group_id}-{_own_name(self._folder)}",
                "transaction.timeout.ms": int(_TRANSACTION_TIMEOUT_SECONDS * 1000),
                "batch.size": RECORD_BATCH_BYTES,
                "message.max.bytes": 1_000_000_000,  # the topics' own limits hold, see worker.kafka
                # A record that came compressed may exceed the dead-letter topic's limit where it is not.
                "compression.type": "zstd" if settings.compression == "none" else settings.compression,
                "delivery.report.only.error": True,
                "on_delivery": self._refused,
            }
        )
        deadline = time.monotonic() + settings.startup_timeout_seconds
        self._until(deadline, lambda: self._producer.init_transactions(_CALL_SECONDS))

    # ---- reading

    def _read(self) -> None:
        """Split what has come, as much as one transaction should hold."""
        deadline = None
        self._producer.poll(0)  # has it lost a broker meanwhile?
        while (message := self._consumer.poll(0 if self._pending else _POLL_SECONDS)) is not None:
            if message.error() is not None:
                self._check(message.error())
                return
            headers = headers_of(message)
            items = split(
                message.value(),
                self._sizes,
                self._breathe,
                headers_bytes=sum(len(name) + len(said or b"") for name, said in headers),
                key_bytes=len(message.key() or b""),
            )
            self._pending.append(_Pending(message, headers, items))
            self._pending_bytes += sum(
                len(each.raw if isinstance(each, Event) else each.value or b"") for each in items
            )
            deadline = deadline or time.monotonic() + _TRANSACTION_SECONDS
            if self._pending_bytes >= _TRANSACTION_BYTES or time.monotonic() >= deadline:
                break

    def _breathe(self) -> None:
        if self._stops():
            raise _StoppedError
        time.sleep(_PAUSE_SECONDS)

    def _check(self, error: KafkaError) -> None:
        if error.code() != KafkaError._MAX_POLL_EXCEEDED:  # noqa: SLF001
            raise KafkaException(error)
        # The machine slept for minutes: the consumer joins its group anew by itself.
        self._complain(error)

    def _forget(self, *_: Any) -> None:
        """Partitions are given away: whoever gets them splits again what is not published."""
        self._pending.clear()
        self._pending_bytes = 0

    # ---- publishing

    def _publish(self) -> None:
        """Publish what is pending in one transaction, or nothing of it.

        Raises:
            DeadLetterFloodError: too many dead letters.
            KafkaException: the brokers refused for good, or again and again.
        """
        if self._lost is not None:
            self._begin_producing()
        limit = self._limited()
        self._refusal = None
        watchdog = threading.Timer(_STALLED_SECONDS, self._failed, [KafkaProblemError(self._said("no answer"))])
        watchdog.daemon = True
        watchdog.start()
        try:
            self._transact()
        except KafkaException as error:
            self._undo(error.args[0])
            return
        finally:
            watchdog.cancel()
        self._failures = 0
        self._limit = limit
        for message, _, items in self._pending:
            letters = [item for item in items if isinstance(item, Letter)]
            made = {"records": 1, "claims": len(items) - len(letters), "deadletters": len(letters)}
            for name, count in made.items():
                self._counts[name] += count
                self.totals[name] += count
            for letter in letters:
                _log_letter(message, letter)
        self._forget()

    def _limited(self) -> DeadLetterLimit:
        """The limit, as it is when this transaction is done."""
        limit = deepcopy(self._limit)
        for message, _, items in self._pending:
            for item in items:
                if isinstance(item, Event):
                    limit.readable()
                    continue
                try:
                    limit.deadletter()
                except DeadLetterFloodError:
                    _log_letter(message, item)
                    raise
        return limit

    def _transact(self) -> None:
        positions: dict[tuple[str, int], int] = {}
        self._producer.begin_transaction()
        for message, headers, items in self._pending:
            carried = [each for each in headers if is_carried_on(each[0])]
            for number, item in enumerate(items, 1):
                if isinstance(item, Event):
                    self._produce_event(message, item, carried)
                else:
                    self._produce_letter(message, headers, item, number)
            positions[message.topic(), message.partition()] = message.offset() + 1
        offsets = [TopicPartition(*where, offset) for where, offset in positions.items()]
        group = self._consumer.consumer_group_metadata()
        self._producer.flush(_TRANSACTION_TIMEOUT_SECONDS)
        if self._lost is not None:
            raise KafkaException(self._lost)
        self._producer.send_offsets_to_transaction(offsets, group, _TRANSACTION_TIMEOUT_SECONDS)
        deadline = time.monotonic() + _TRANSACTION_TIMEOUT_SECONDS
        self._until(deadline, lambda: self._producer.commit_transaction(_CALL_SECONDS))

    def _produce_event(self, message: Any, event: Event, headers: Headers) -> None:
        # The record's own time, which dates the receipt of a claim.
        key = self._members.event_key(event.claim)
        self._produce(self._settings.submitted_topic, event.raw, key, headers, message.timestamp()[1])

    def _produce_letter(self, message: Any, headers: Headers, letter: Letter, number: int) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        error = letter.errors[0]
        event_id = f"{topic}-{partition}-{offset}-{number}"
        headers = [
            *cloud_event_headers(None, error.claim_id, event_id, headers),
            *error_headers(error, topic, partition, offset, self._group_id, reader="worker.x12"),
            *x12_headers(error),
        ]
        self._produce(self._settings.deadletter_topic, letter.value, message.key(), headers, 0)

    def _produce(self, topic: str, value: bytes | None, key: bytes | None, headers: Headers, timestamp: int) -> None:
        enqueue(self._producer, topic, value, key, headers=headers, timestamp=max(timestamp, 0))

    def _undo(self, error: KafkaError) -> None:
        """Drop the transaction, and go back to the position that stands.

        Raises:
            KafkaException: it was one time too many, or the position can't be had.
        """
        self._failures += 1
        if error.fatal():
            raise KafkaException(error)
        error = self._refusal or error  # what a broker said of a record, rather than that the transaction failed
        if self._failures >= _ATTEMPTS or error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise KafkaException(error)
        log.warning("split again", reason=error.str())
        first: dict[tuple[str, int], int] = {}
        for message, _, _ in self._pending:
            first.setdefault((message.topic(), message.partition()), message.offset())
        self._forget()
        self._told_to_stop.wait(0.1 * 2**self._failures)
        # The brokers end what was open. Only then is it known whether a commit without an answer was one.
        self._begin_producing()
        wanted = [TopicPartition(*where) for where in first]
        for found in self._consumer.committed(wanted, _TRANSACTION_TIMEOUT_SECONDS):
            if found.error is not None:
                raise KafkaException(found.error)
            offset = found.offset if found.offset >= 0 else first[found.topic, found.partition]
            try:
                self._consumer.seek(TopicPartition(found.topic, found.partition, offset))
            except KafkaException:
                # The partition is not ours any more: whoever has it begins where the group's position stands.
                continue

    def _until(self, deadline: float, call: Callable[[], Any]) -> None:
        """Call again while the brokers ask for it."""
        while True:
            try:
                call()
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() >= deadline:
                    raise
                if self._stops():
                    raise _StoppedError from None
                time.sleep(0.1)
            else:
                return

    # ---- telling

    def _refused(self, error: KafkaError, _: Any) -> None:
        self._refusal = self._refusal or error

    def _lose(self, error: KafkaError) -> None:
        self._lost = error
        self._complain(error)

    def _complain(self, error: KafkaError) -> None:
        # A client repeats itself while no broker answers.
        if time.monotonic() >= self._complained + _SUMMARY_SECONDS:
            self._complained = time.monotonic()
            log.warning("kafka", reason=error.str())

    def _problem(self, error: KafkaError) -> KafkaProblemError:
        return KafkaProblemError(self._said(f"{error.str()} ({error.name()}){self._mend(error)}"))

    def _mend(self, error: KafkaError) -> str:
        settings = self._settings
        mends = {
            KafkaError._FENCED: f"it slept too long, or another worker has the same {PREFIX}DATA_DIRECTORY",  # noqa: SLF001
            KafkaError.FENCED_INSTANCE_ID: name_taken(settings),
            KafkaError.MSG_SIZE_TOO_LARGE: (
                f"raise max.message.bytes of {settings.deadletter_topic} and {settings.submitted_topic}"
            ),
            KafkaError.TOPIC_AUTHORIZATION_FAILED: (
                f"the user needs the permission Read on topic {settings.x12_topic}, and Write on"
                f" {settings.submitted_topic} and {settings.deadletter_topic}"
            ),
            KafkaError.GROUP_AUTHORIZATION_FAILED: denied(settings, "Read", "group", self._group_id),
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: denied(
                settings, "Write", "transactional-id", settings.group_id, prefix=True
            ),
        }
        if error.code() in mends:
            return f"; {mends[error.code()]}"
        if self._producer is None or self._consumer is None:
            return f"; the brokers must allow transactions, or set {PREFIX}X12_TOPIC to nothing"
        return ""

    def _said(self, problem: str) -> str:
        return f"{self._settings.x12_topic} can't be split, nothing is lost: {problem}"

    def _summarize(self) -> None:
        if time.monotonic() - self._since >= _SUMMARY_SECONDS:
            self._log_summary()

    def _log_summary(self) -> None:
        """One line about what was split since the last one."""
        since, self._since = self._since, time.monotonic()
        if self._counts["records"]:
            log.info("split", **self._counts, seconds=round(self._since - since, 1))
            self._counts = dict.fromkeys(self._counts, 0)


def _own_name(folder: Path) -> str:
    """A name that no other worker has, and that this one has again after a restart, if its folder is still there."""
    path = folder / "splitter-name"
    if not path.exists():
        path.write_text(str(uuid.uuid4()))
    return path.read_text()


def _log_letter(message: Any, letter: Letter) -> None:
    for error in letter.errors:
        log.warning(
            "deadletter",
            claim_id=error.claim_id,
            reason=str(error),
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
        )
