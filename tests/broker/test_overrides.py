"""Overrides on a real broker: a flagged claim is released once, whatever happens to the worker."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from tests.worker_process import OUTPUTS, Pipeline, claim_event, eventually
from worker.codec import parts_of
from worker.overrides import Override, override_event, override_headers

pytestmark = pytest.mark.broker

_TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def _headers(message: Message) -> dict[str, bytes]:
    return dict(message.headers() or ())


def _flagged(pipeline: Pipeline, count: int) -> list[Message]:
    """The flagged records, once there are so many, in the order of their claims."""
    found = eventually(lambda: len(messages := pipeline.outputs()["flagged"]) >= count and messages)
    return sorted(found, key=lambda message: int(_headers(message)["ce_subject"][1:]))


def _send(pipeline: Pipeline, flagged: Iterable[Message], key: bytes | None = None, user: str = "erin.example") -> None:
    """Publish an override of each flagged record, as the console does; a key of None stands for the record's."""
    producer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap_servers, "partitioner": "murmur2_random"})
    for message in flagged:
        headers = _headers(message)
        override = Override(user, "Confirmed by phone.", datetime.now(UTC), headers["ce_id"].decode())
        producer.produce(
            pipeline.topics["overrides"],
            override_event(message.value(), override),
            message.key() if key is None else key,
            headers=override_headers(override, headers["ce_subject"].decode(), message.headers()),
        )
        pipeline.sent += 1
    assert producer.flush(30) == 0


def _decision(message: Message) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(message.value())["decision"]
    return content


def test_a_flagged_claim_is_released_and_remembered(pipeline: Pipeline) -> None:
    """It comes out as it was flagged but for the override, also by way of another partition, and once.

    What is no override, or a second one, is a dead letter with its reason. Sent again, the claim is a duplicate.
    """
    claims = {f"C{number}": b" " + claim_event(number, flagged=True) for number in range(8)}
    producer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    for raw in claims.values():
        producer.produce(pipeline.topics["submitted"], raw, b"any", headers=[_TRACE])
    assert producer.flush(30) == 0
    pipeline.sent += len(claims)
    again = json.dumps({**json.loads(claims["C0"]), "claim_id": "C100"}).encode()
    with pipeline.worker() as worker:
        flagged = _flagged(pipeline, len(claims))
        _send(pipeline, flagged[:1])
        _send(pipeline, flagged[1:], key=b"of another system")
        pipeline.wait_for_all()
        _send(pipeline, flagged[:1], user="second.example")
        pipeline.send([(None, again)])
        pipeline.send([(b"k", b"SECRET")], "overrides")
        pipeline.sent += 1
        pipeline.wait_for_all()
        assert worker.terminate() == 0
    outputs = pipeline.outputs()
    cleared = {_headers(message)["ce_subject"].decode(): message for message in outputs["cleared"]}
    before = {_headers(message)["ce_subject"].decode(): message for message in flagged}

    assert len(outputs["cleared"]) == len(claims)
    for claim_id, raw in claims.items():
        released, waiting = cleared[claim_id], before[claim_id]
        claim, _ = parts_of(released.value())
        content, headers = _decision(released), _headers(released)
        override = content.pop("override")
        assert claim == raw
        assert content == {**_decision(waiting), "disposition": "cleared"}
        assert (override["user"], override["reason"]) == ("erin.example", "Confirmed by phone.")
        assert override["flagged_event_id"].encode() == _headers(waiting)["ce_id"]
        assert (released.key(), released.partition()) == (waiting.key(), waiting.partition())
        assert headers["ce_id"].decode().rsplit("-", 2)[0] == pipeline.topics["overrides"]
        assert headers["ce_type"] == b"claimscrub.claim.cleared.v1"
        assert headers["traceparent"] == _TRACE[1]
        assert _headers(waiting).keys() == headers.keys()
    assert Counter(pipeline.decided().values()) == {1: pipeline.sent}

    refused = sorted(
        _headers(letter)["__connect.errors.exception.message"].decode() for letter in outputs["deadletter"]
    )
    assert refused[0].startswith("$: not an override; expected one JSON object")
    event_id = _headers(cleared["C0"])["ce_id"].decode()
    assert refused[1] == f"flagged: released before, by override {event_id}; expected a flagged claim that waits"
    (duplicate,) = [message for message in outputs["flagged"] if _headers(message)["ce_subject"] == b"C100"]
    assert "HIS001" in {finding["rule_id"] for finding in _decision(duplicate)["findings"]}
    assert sum(line.get("released", 0) for line in worker.events("claims")) == len(claims)
    lines = worker.events("released")
    assert {line["claim_id"] for line in lines} == claims.keys()
    assert {line["topic"] for line in lines} == {pipeline.topics["overrides"]}
    assert "erin" not in worker.log
    assert "SECRET" not in worker.log


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_a_killed_worker_releases_nothing_twice(pipeline: Pipeline, delivery: str) -> None:
    """Each override has one answer; without transactions it may come again, and is the same then."""
    count = 120
    pipeline.extra |= {"CLAIMSCRUB_BATCH_RECORDS": "10", "CLAIMSCRUB_DELIVERY": delivery}
    pipeline.send([(None, claim_event(number, flagged=True)) for number in range(count)])
    with pipeline.worker():
        flagged = _flagged(pipeline, count)
    _send(pipeline, flagged)
    worker = pipeline.worker()
    eventually(lambda: pipeline.count() > count)
    worker.kill()
    with pipeline.worker():
        eventually(lambda: len(pipeline.decided()) >= pipeline.sent)
    answers: dict[str, set[bytes]] = {}
    outputs = pipeline.outputs()
    for name in OUTPUTS:
        for message in outputs[name]:
            answers.setdefault(_headers(message)["ce_id"].decode(), set()).add(message.value())

    assert outputs["deadletter"] == []
    assert Counter(map(len, answers.values())) == {1: 2 * count}
    assert {_headers(message)["ce_subject"] for message in outputs["cleared"]} == {
        _headers(message)["ce_subject"] for message in flagged
    }
    if delivery == "exactly_once":
        assert len(outputs["cleared"]) == count
