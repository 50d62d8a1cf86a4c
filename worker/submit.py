"""Publishing claim events and claim statuses: at once, or in transactions that remember how far they have come."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from worker.codec import Headers
from worker.kafka import KafkaProblemError, confluent_config, enqueue, producer_config, require_topics
from worker.settings import Settings

_QUEUE_FULL_WAIT_SECONDS = 0.5
_ONE_SECONDS = 10
_ROOM_BYTES = 65_536
"""For headers."""
_Answer = TypeVar("_Answer")


class _Publisher:
    """Publishes events to a topic; leaving the context waits until the brokers have them all.

    Args:
        settings: the brokers.
        topic: the topic.
        what: what the events are, in the plural.

    Raises:
        KafkaProblemError: the brokers do not answer, the topic is missing, or an event was refused.
    """

    def __init__(self, settings: Settings, topic: str, what: str) -> None:
        self.topic = topic
        self.count = 0
        self._what = what
        self._failure: str | None = None
        require_topics(settings, [topic])
        config: dict[str, Any] = {
            **producer_config(settings),
            "enable.idempotence": True,
            "linger.ms": 20,
            "message.max.bytes": settings.max_message_bytes,
        }
        self._producer = Producer(config)

    def _publish(self, key: bytes, raw: bytes, name: str) -> None:
        """Queue one event.

        Args:
            key: of the record.
            raw: the event.
            name: what to call it where it is refused.
        """
        try:
            enqueue(self._producer, self.topic, raw, key, on_delivery=self._delivered)
        except KafkaException as error:
            raise KafkaProblemError(f"{name}: {error.args[0].str()}") from None
        self._producer.poll(0)

    def _delivered(self, error: Any, _: Any) -> None:
        if error is None:
            self.count += 1
        else:
            self._failure = error.str()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.flush()
        if self._failure is not None and error is None:
            raise KafkaProblemError(f"published {self.count} {self._what}, then: {self._failure}")


class Submitter(_Publisher):
    """Publishes claim events to the submitted topic."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, settings.submitted_topic, "claims")

    def submit(self, claim_id: str, key: bytes, raw: bytes) -> None:
        """Queue one claim event; the key is its member's, as `Members.event_key` makes it."""
        self._publish(key, raw, f"claim {claim_id}")


class StatusPublisher(_Publisher):
    """Publishes claim status events to the status topic."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, settings.status_topic, "claim statuses")

    def publish(self, key: bytes, raw: bytes, source: str) -> None:
        """Queue one claim status event.

        Args:
            key: of the member whose claim it is about, as `Members.key_of` makes it.
            raw: the event.
            source: where it came from, for messages.
        """
        self._publish(key, raw, source)


def publish_one(settings: Settings, topic: str, key: bytes | None, value: bytes, headers: Headers) -> None:
    """Publish one record, and wait until the brokers have it.

    Raises:
        KafkaProblemError: they do not answer, or refuse it.
    """
    require_topics(settings, [topic])
    failures: list[Any] = []
    producer = Producer(
        {
            **producer_config(settings),
            "enable.idempotence": True,
            "message.max.bytes": settings.max_message_bytes + _ROOM_BYTES,
            "message.timeout.ms": _ONE_SECONDS * 1000,
        }
    )
    try:
        enqueue(producer, topic, value, key, headers=headers, on_delivery=lambda error, _: failures.append(error))
    except KafkaException as error:
        raise KafkaProblemError(f"topic {topic}: {error.args[0].str()}") from None
    producer.flush()  # ends when the record's own time has passed
    if failures and failures[0] is not None:
        raise KafkaProblemError(f"topic {topic}: {failures[0].str()}")


class Progress(NamedTuple):
    """How far a submission has come.

    Attributes:
        submission: its id.
        claims: how many claims of it are published.
        last_claim_id: id of the last of them.
        unreadable: how many parts could not be read; known when it is complete.
        complete: everything that can be read is published.
    """

    submission: str
    claims: int = 0
    last_claim_id: str = ""
    unreadable: int = 0
    complete: bool = False


class TransactionLostError(RuntimeError):
    """It is not known whether the brokers took a transaction: open anew, and ask how far it came."""


class FencedError(KafkaProblemError):
    """Another process has taken over."""


class ResumableSubmitter:
    """Publishes claim events in transactions, each of which also records in Kafka how far the submission has come.

    The record is the metadata of a committed offset, in a consumer group without members: it is written with the claims
    or not at all, and so survives whatever happens to this process.

    Args:
        settings: the brokers and the submitted topic.
        name: of the consumer group and the transactional id; one process at a time works under it.
        waiting: called every second or so while the brokers do not answer, with the reason; may raise to give up.
    """

    def __init__(self, settings: Settings, name: str, waiting: Callable[[str], None]) -> None:
        self._settings = settings
        self._name = name
        self._waiting = waiting
        self._where = settings.submitted_topic
        self._refusal: str | None = None
        self._began: float | None = None
        self._producer: Any = None
        self._consumer: Any = None

    @property
    def seconds_open(self) -> float:
        """How long the transaction in hand has been open."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def open(self) -> Progress | None:
        """Connect, end what an earlier process or transaction left behind, and say how far it had come.

        Raises:
            KafkaProblemError: the brokers refuse, or another process has taken over.
        """
        self.close()
        quiet = {**confluent_config(self._settings), "logger": _SILENT}
        self._producer = Producer(
            {
                **producer_config(self._settings),
                "logger": _SILENT,
                "transactional.id": self._name,
                "transaction.timeout.ms": _TRANSACTION_TIMEOUT_SECONDS * 1000,
                "linger.ms": 20,
                "message.max.bytes": self._settings.max_message_bytes,
            }
        )
        self._consumer = Consumer({**quiet, "group.id": self._name, "enable.auto.commit": False})
        self._patiently(lambda: self._producer.init_transactions(_PATIENCE_SECONDS))
        asked = [TopicPartition(self._where, 0)]
        (answer,) = self._patiently(lambda: self._consumer.committed(asked, _PATIENCE_SECONDS), asking=True)
        return _progress(answer.metadata)

    def submit(self, key: bytes, raw: bytes) -> None:
        """Publish one claim event in the transaction in hand, or in a new one.

        Raises:
            TransactionLostError, KafkaProblemError: as for `commit`.
        """
        if self._began is None:
            self._patiently(self._producer.begin_transaction)
            self._began = time.monotonic()
        while True:
            try:
                self._producer.produce(self._where, raw, key, on_delivery=self._delivered)
                break
            except BufferError:
                if not self._producer.poll(_QUEUE_FULL_WAIT_SECONDS):
                    self._waiting("the brokers take no more claims")
            except KafkaException as error:
                self._give_up(error.args[0])
        self._producer.poll(0)

    def commit(self, progress: Progress) -> None:
        """Commit the claims submitted since the last commit, together with the progress.

        Raises:
            TransactionLostError: the brokers have lost the transaction; `open` tells how far it came.
            FencedError: another process has taken over.
            KafkaProblemError: the brokers refuse for good.
        """
        if self._began is None:
            self._patiently(self._producer.begin_transaction)
            self._began = time.monotonic()
        metadata = json.dumps({"version": 1, **progress._asdict()}, separators=(",", ":"))
        record = [TopicPartition(self._where, 0, progress.claims, metadata)]
        group = self._consumer.consumer_group_metadata()
        self._send_offsets(record, group)
        self._patiently(lambda: self._producer.commit_transaction(_PATIENCE_SECONDS))
        self._began = None

    def close(self) -> None:
        """Let go of the connections; a transaction that is open will never be seen."""
        producer, consumer = self._producer, self._consumer
        self._producer = self._consumer = None
        self._began = None
        if producer is not None:
            producer.purge()
        if consumer is not None:
            consumer.close()

    def _send_offsets(self, record: list[Any], group: Any) -> None:
        """In a thread that can be left behind: librdkafka may not return from this call, ever (its issue 5456)."""
        send = self._producer.send_offsets_to_transaction
        outcome: list[KafkaException | None] = []

        def run() -> None:
            try:
                send(record, group, _PATIENCE_SECONDS)
                outcome.append(None)
            except KafkaException as failure:
                outcome.append(failure)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        deadline = time.monotonic() + _SEND_OFFSETS_SECONDS
        thread.join(_PATIENCE_SECONDS)
        while thread.is_alive() and time.monotonic() < deadline:
            self._waiting("no answer to the offsets of a transaction")
            thread.join(_PATIENCE_SECONDS)
        if not outcome:
            self._producer = None  # it is the thread's now
            raise TransactionLostError("no answer to the offsets of a transaction")
        if outcome[0] is not None:
            self._give_up(outcome[0].args[0])

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None and error.code() in _REFUSALS:
            self._refusal = error.str()

    def _patiently(self, call: Callable[[], _Answer], *, asking: bool = False) -> _Answer:
        """Repeat a call for as long as the brokers do not answer it; a call that only asks may always be repeated."""
        while True:
            try:
                return call()
            except KafkaException as failure:
                error = failure.args[0]
                if not (error.retriable() or (asking and error.code() not in _REFUSALS)):
                    self._give_up(error)
                self._waiting(error.str())

    def _give_up(self, error: Any) -> None:
        if error.code() in _FENCED and self.seconds_open < _TRANSACTION_TIMEOUT_SECONDS:
            raise FencedError(
                "another process submits from this folder, or from a copy of it, and has taken over; this one ends"
            )
        if self._refusal is not None or error.code() in _REFUSALS:
            raise KafkaProblemError(f"topic {self._where}: {self._refusal or error.str()}")
        # Fenced after the timeout: the brokers have ended the transaction themselves, while they or we stood still.
        raise TransactionLostError(error.str())


_PATIENCE_SECONDS = 1.0
_SEND_OFFSETS_SECONDS = 10.0
_TRANSACTION_TIMEOUT_SECONDS = 60
_FENCED = (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH)  # noqa: SLF001
_REFUSALS = (
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.OFFSET_METADATA_TOO_LARGE,
    KafkaError.INVALID_TRANSACTION_TIMEOUT,
)
# librdkafka prints that it was fenced whatever its log level; we say it in a sentence.
_SILENT = logging.getLogger("claimscrub.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def _progress(metadata: str | None) -> Progress | None:
    """The record of a commit; None where there is none."""
    if not metadata:
        return None
    try:
        content = json.loads(metadata)
        return Progress(**{name: content[name] for name in Progress._fields})
    except (ValueError, KeyError, TypeError):
        raise KafkaProblemError(
            "the progress of an earlier submission was recorded by another version of claimscrub; let that one finish"
        ) from None
