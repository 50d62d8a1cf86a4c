"""Records of the topics, as the console reads them."""

from __future__ import annotations

import time
from typing import Literal, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from worker.codec import Headers
from worker.console.views import Place
from worker.header_names import headers_of
from worker.kafka import KafkaProblemError, reader_config
from worker.settings import Settings

Role = Literal["cleared", "flagged", "deadletter", "overrides"]
"""What a topic is for."""

CONSOLE = "console"
"""Name of the console's consumers."""
_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 0.5


class Received(NamedTuple):
    """A record on its way into the projection, without its key, which stands for a member.

    Attributes:
        timestamp: in milliseconds.
    """

    role: Role
    place: Place
    timestamp: int
    headers: dict[str, bytes]
    value: bytes | None


class Record(NamedTuple):
    """A record as it stands on its topic.

    Attributes:
        timestamp: in milliseconds.
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int


def read_record(settings: Settings, place: Place) -> Record:
    """One record by its place.

    Raises:
        KafkaProblemError: the brokers do not answer, or it is not there any more.
    """
    gone = KafkaProblemError(
        f"no record at offset {place.offset} of partition {place.partition} of {place.topic}: the topic's retention has"
        " passed, or it was made anew"
    )
    consumer = Consumer(reader_config(settings, CONSOLE))
    try:
        consumer.assign([TopicPartition(*place)])
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            message = consumer.poll(_POLL_SECONDS)
            if message is None:
                continue
            error = message.error()
            if error is None:
                if message.offset() != place.offset:
                    raise gone
                return Record(message.key(), message.value(), headers_of(message), message.timestamp()[1])
            if error.code() in (KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET):  # noqa: SLF001
                raise gone
            if not error.retriable():
                raise KafkaProblemError(f"topic {place.topic}: {error.str()}")
    except KafkaException as error:
        raise KafkaProblemError(f"topic {place.topic}: {error.args[0].str()}") from None
    finally:
        consumer.close()
    raise KafkaProblemError(
        f"no answer from the brokers at {settings.bootstrap_servers} within {_TIMEOUT_SECONDS:.0f} s"
    )
