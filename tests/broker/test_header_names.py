"""Records with a header whose name is not UTF-8, which brokers take and clients fail on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator
from aiokafka.producer import producer as sender
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from tests.worker_process import Pipeline, claim_event, eventually

pytestmark = pytest.mark.broker
SAMPLE = Path(__file__).parents[1] / "x12" / "samples" / "professional.837"


class _NoText(str):
    """A name that goes out as bytes that are no text."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"\xff\xfe" + super().encode()

    def __len__(self) -> int:
        return 2 + super().__len__()


@pytest.fixture
def _any_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The producer in C takes such names no more than the consumers do."""
    for module in (message_accumulator, sender):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)


async def _send(servers: str, topic: str, *events: tuple[bytes, str]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers, linger_ms=200, compression_type="gzip") as producer:
        sent = [await producer.send(topic, raw, partition=0, headers=[(name, b"mine")]) for raw, name in events]
        await asyncio.gather(*sent)


@pytest.mark.usefixtures("_any_names")
def test_a_header_name_that_is_no_text_stops_no_worker(pipeline: Pipeline) -> None:
    """The claims before, with and behind it are decided, and so is X12 text; what can't be read of a name is U+FFFD."""
    servers = pipeline.kafka.bootstrap_servers
    bad = _NoText("name")
    events = ((claim_event(1), "good"), (claim_event(2), bad), (claim_event(3), "good"))
    asyncio.run(_send(servers, pipeline.topics["submitted"], *events))
    asyncio.run(_send(servers, pipeline.x12_topic, (SAMPLE.read_bytes(), bad)))

    with pipeline.worker():
        eventually(lambda: pipeline.count() == 4)

    names = sorted(
        name
        for records in pipeline.outputs().values()
        for record in records
        for name, value in record.headers() or ()
        if value == b"mine"
    )
    assert names == ["good", "good", "\ufffd\ufffdname"]
