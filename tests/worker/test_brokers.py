"""Requests that several lanes share, by brokers that only write down what they are sent."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from worker.brokers import Brokers, Node
from worker.protocol import Place
from worker.records import Record, record_batches, seal
from worker.settings import Settings

Sealed = tuple[bytes, bytes]


class _Recorded(Brokers):
    """Brokers that take everything, and answer each request with its number."""

    def __init__(self) -> None:
        super().__init__(Settings())
        self.requests: list[list[tuple[Place, Any]]] = []

    async def send(self, node: Node, request: Any, connection: str) -> Any:
        self.requests.append(list(request._fields[-1]))
        return len(self.requests)


def _sealed(text: bytes) -> Sealed:
    records: list[Record] = [(b"key", text, ())]
    (batch,) = record_batches(records, 1_000_000)
    return seal(batch, 1_780_000_000_000, producer_id=1, epoch=0, sequence=0, transactional=False)


async def _produce(*batches: list[tuple[Place, Sealed]]) -> tuple[list[list[tuple[Place, Any]]], list[int]]:
    """What goes out, and the answers, where lanes produce at the same moment."""
    brokers = _Recorded()
    answers = await asyncio.gather(*(brokers.produce(1, each, 1_000, time.monotonic()) for each in batches))
    return brokers.requests, answers


def test_lanes_share_a_request() -> None:
    """What is ready at the same moment costs one request."""
    a, b = (("cleared", 0), _sealed(b"a")), (("cleared", 1), _sealed(b"b"))

    assert asyncio.run(_produce([a], [b])) == ([[a, b]], [1, 1])


def test_a_request_never_holds_two_batches_for_a_partition() -> None:
    """Of those a broker keeps one and acknowledges both: lanes that send to one partition get requests of their own."""
    a, b, c = ((("repartition", 3), _sealed(text)) for text in (b"a", b"b", b"c"))
    other = (("cleared", 1), _sealed(b"other"))

    assert asyncio.run(_produce([a], [b, other], [c])) == ([[a], [b, other], [c]], [1, 2, 3])


def test_a_request_is_not_too_large() -> None:
    """Lanes with much to send don't wait for one another's."""
    large = [((f"cleared-{number}", 0), _sealed(bytes(3_000_000))) for number in range(4)]
    requests, _ = asyncio.run(_produce(*([each] for each in large)))

    assert len(requests) > 1
    assert [each for request in requests for each in request] == large


def test_who_slept_past_half_a_session_sends_nothing() -> None:
    """By now another worker may have the partition, and have written what this would undo."""
    brokers = _Recorded()
    long_ago = time.monotonic() - Settings().session_timeout_seconds
    with pytest.raises(TimeoutError):
        asyncio.run(brokers.produce(1, [(("cleared", 0), _sealed(b"a"))], 1_000, long_ago))

    assert brokers.requests == []
