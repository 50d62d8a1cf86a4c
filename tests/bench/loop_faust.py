"""A stock Faust agent, at least once, as Faust's documentation writes one."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import faust

from tests.bench.deciding import Deciding
from worker.settings import Settings, load_settings


def _app(settings: Settings, folder: str) -> Any:
    app = faust.App(
        settings.group_id,
        broker=[f"kafka://{server}" for server in settings.bootstrap_servers.split(",")],
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=folder,
    )
    deciding = Deciding(settings)
    topics = {name: app.topic(name) for name in deciding.output_topics}

    @app.agent(app.topic(settings.submitted_topic))  # type: ignore[untyped-decorator]
    async def scrub(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            output = deciding.decide(
                event.value, int(message.timestamp * 1000), message.headers, message.partition, message.offset
            )
            await topics[output.topic].send(
                key=event.key, value=output.value, partition=message.partition, headers=output.headers
            )

    return app


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        worker = faust.Worker(_app(load_settings(), temporary), loglevel="WARNING", quiet=True)
        worker.spinner = None  # it would draw into the log
        sys.exit(worker.execute_from_commandline())
