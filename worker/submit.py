"""Publishing claim events to the submitted topic, for `claimscrub submit` and the demo."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException, Producer

from worker.kafka import KafkaProblemError, confluent_config, partitions_by_topic
from worker.settings import Settings

_QUEUE_FULL_WAIT_SECONDS = 0.5


class Submitter:
    """Publishes claim events; leaving the context waits until the brokers have them all.

    Raises:
        KafkaProblemError: the brokers do not answer, the topic is missing, or an event was refused.
    """

    def __init__(self, settings: Settings) -> None:
        self.topic = settings.submitted_topic
        self.count = 0
        self._failure: str | None = None
        if self.topic not in partitions_by_topic(settings, settings.startup_timeout_seconds or 5.0):
            raise KafkaProblemError(f"no topic {self.topic}; make it with: claimscrub topics create")
        config: dict[str, Any] = {
            **confluent_config(settings),
            "enable.idempotence": True,
            "linger.ms": 20,
            "message.max.bytes": settings.max_message_bytes,
        }
        self._producer = Producer(config)

    def submit(self, key: str, raw: bytes) -> None:
        """Queue one claim event."""
        while True:
            try:
                self._producer.produce(self.topic, raw, key, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(_QUEUE_FULL_WAIT_SECONDS)
            except KafkaException as error:
                raise KafkaProblemError(f"claim {key}: {error.args[0].str()}") from None
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
            raise KafkaProblemError(f"published {self.count} claims, then: {self._failure}")
