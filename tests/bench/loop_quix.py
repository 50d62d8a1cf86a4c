"""A Quix Streams application, in either guarantee; it runs in an environment of its own (quix.lock).

Quix chooses the output partition by the key, with the partitioner that the claims were submitted with, so it is the one
that the claim came from.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

from quixstreams import Application, message_context
from quixstreams.models.serializers import Serializer

from tests.bench.deciding import Deciding, Output
from worker.settings import Settings, load_settings

_COMMIT_SECONDS = 1.0
_LINGER_MS = 5


class _ValueSerializer(Serializer):  # type: ignore[misc]
    def __call__(self, output: Output, *_: Any, **__: Any) -> bytes | None:
        return output.value


def _run(settings: Settings, guarantee: str, folder: str) -> None:
    app = Application(
        settings.bootstrap_servers,
        consumer_group=settings.group_id,
        auto_offset_reset="earliest",
        processing_guarantee=guarantee,
        commit_interval=_COMMIT_SECONDS,
        auto_create_topics=False,
        use_changelog_topics=False,
        state_dir=folder,
        loglevel="WARNING",
        producer_extra_config={
            "linger.ms": _LINGER_MS,
            "compression.type": settings.compression,
            "message.max.bytes": settings.max_message_bytes,
            "queue.buffering.max.messages": 1_000_000,
        },
    )
    deciding = Deciding(settings)
    topics = {
        name: app.topic(name, key_serializer="bytes", value_serializer=_ValueSerializer())
        for name in deciding.output_topics
    }

    def decide(value: bytes, _key: Any, timestamp: int, headers: Any) -> Output:
        context = message_context()
        return deciding.decide(value, timestamp, headers, context.partition, context.offset)

    submitted = app.topic(settings.submitted_topic, key_deserializer="bytes", value_deserializer="bytes")
    frame = app.dataframe(submitted).apply(decide, metadata=True)
    frame = frame.set_headers(lambda output, *_: output.headers)
    frame.to_topic(lambda output, *_: topics[output.topic])
    app.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.loop_quix")
    parser.add_argument("--exactly-once", action="store_true")
    exactly_once = parser.parse_args().exactly_once
    with tempfile.TemporaryDirectory() as temporary:
        _run(load_settings(), "exactly-once" if exactly_once else "at-least-once", temporary)
