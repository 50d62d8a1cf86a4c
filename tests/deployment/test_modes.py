"""Between two stages on a real broker: claims go on as they came, and in monitor mode all of them do."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from rules.engine.examples import a_line, claim_content
from tests.kafka_broker import free_ports
from tests.scraping import missing, scraped, total
from tests.worker_process import Pipeline, claim_event, claim_events_of, eventually, kill_at_work, member_key, of_member
from tests.x12.writer_837 import write_837
from worker.codec import published
from worker.overrides import Override, override_headers

pytestmark = pytest.mark.broker

Headers = list[tuple[str, str | bytes | None]]

_BARE = {"CLAIMSCRUB_CLEARED_FORMAT": "claim"}
_MONITOR = {"CLAIMSCRUB_MODE": "monitor"}
_OURS = ["claimscrub_id", "claimscrub_type", "claimscrub_subject", "claimscrub_decision"]
_HEADERS: list[Headers] = [
    [],
    [("ce_id", b"theirs"), ("ce_type", b"claim.ready"), ("content-type", b"application/vnd.claim+json")],
    [("twice", b"1"), ("between", b"\x00\xff"), ("twice", b"2"), ("null", None), ("empty", b"")],
    [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("Ce_Id", b"")],
    # As another such stage before this one leaves them, and what workers write between them.
    [("claimscrub_id", b"up-0-1"), ("claimscrub_decision", b"{}"), ("claimscrub_key", None), ("claimscrub_mode", b"x")],
    [("claimscrub_origin", b"claims.submitted 3 42 1786000000000"), ("claimscrub_key", b"k")],
]
_DISPOSITIONS = ("cleared", "flagged", "monitored")
_KEYS: list[bytes | None] = [None, b"", b"of another system", b"member"]


class Sent(NamedTuple):
    """A record as a downstream stage sees it."""

    partition: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes | None], ...]


def _seen(message: Message, ours: int = 0) -> Sent:
    """A record, without so many headers at its end."""
    headers = message.headers() or []
    return Sent(message.partition(), message.key(), message.value(), tuple(headers[: len(headers) - ours]))


def _header(message: Message, name: str) -> bytes:
    """The last one of this name."""
    value: bytes = dict(message.headers() or ())[name]
    return value


def _send(pipeline: Pipeline, claims: list[bytes]) -> None:
    """From a stage that knows nothing of members: any key or none, anywhere, with headers of its own."""
    producer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    for number, raw in enumerate(claims):
        key = _KEYS[number % len(_KEYS)]
        producer.produce(
            pipeline.topics["submitted"],
            raw,
            member_key(raw) if key == b"member" else key,
            number % pipeline.partitions,
            headers=_HEADERS[number % len(_HEADERS)],
        )
    assert producer.flush(30) == 0
    pipeline.sent += len(claims)


def _release(pipeline: Pipeline, flagged: Message) -> None:
    event_id, claim_id = (_header(flagged, name).decode() for name in ("ce_id", "ce_subject"))
    override = Override("erin.example", "Confirmed by phone.", datetime.now(UTC), event_id)
    # Not by way of `override_event`, which refuses what must not be released.
    content = json.dumps({**override._asdict(), "released_at": override.released_at.isoformat()}).encode()
    raw = b'{"override":%s,"flagged":%s}' % (content, flagged.value())
    headers = override_headers(override, claim_id, flagged.headers() or ())
    producer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    producer.produce(pipeline.topics["overrides"], raw, flagged.key(), headers=headers)
    assert producer.flush(30) == 0
    pipeline.sent += 1


def _by_claim(messages: list[Message]) -> dict[str, Message]:
    return {json.loads(published(each.value(), each.headers() or ()).decision)["claim_id"]: each for each in messages}


def _decision(message: Message) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(published(message.value(), message.headers() or ()).decision)
    return content


def test_a_cleared_claim_goes_on_as_it_came(pipeline: Pipeline) -> None:
    """Key, bytes, headers and partition are those that the stage before gave it, whichever way it took to its member.

    Behind its headers stand ours with the decision. Flagged claims are in envelopes; released, they too.
    Claims of X12 text go on as the events that they were split into, and files are written of them.
    """
    count = 48
    claims = [b" %s\n" % claim_event(number, flagged=number % 12 == 11) for number in range(count)]
    _send(pipeline, claims)
    x12 = write_837([of_member(number, claim_content(patient_control_number=f"P{number}")) for number in (1000, 1001)])
    producer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    producer.produce(pipeline.x12_topic, x12, headers=[("mine", b"1")])
    assert producer.flush(30) == 0
    pipeline.sent += 2
    pipeline.extra |= _BARE
    with pipeline.worker() as worker:
        pipeline.wait_for_all()
        flagged = pipeline.kafka.read_all(pipeline.topics["flagged"])
        _release(pipeline, flagged[0])
        pipeline.wait_for_all()
        assert worker.terminate() == 0
    outputs = pipeline.outputs()
    sent = {
        json.loads(each.value())["claim_id"]: each for each in pipeline.kafka.read_all(pipeline.topics["submitted"])
    }
    cleared = _by_claim(outputs["cleared"])
    released = cleared.pop(_header(flagged[0], "ce_subject").decode())

    assert len(flagged) == 4
    assert len(outputs["deadletter"]) == 0
    assert len(outputs["cleared"]) == len(cleared) + 1 == count + 2 - 4 + 1
    assert len(pipeline.kafka.read_all(pipeline.topics["repartition"])) > count / 2
    for claim_id, message in cleared.items():
        assert _seen(message, len(_OURS)) == _seen(sent[claim_id])
        assert [name for name, _ in (message.headers() or ())[-len(_OURS) :]] == _OURS
        came = (sent[claim_id].topic(), sent[claim_id].partition(), sent[claim_id].offset())
        assert _header(message, "claimscrub_id").decode() == "-".join(map(str, came))
        assert _header(message, "claimscrub_type") == b"claimscrub.claim.cleared.v1"
        assert _header(message, "claimscrub_subject").decode() == claim_id
        assert _decision(message)["disposition"] == "cleared"
    assert {_header(each, "ce_type") for each in flagged} == {b"claimscrub.claim.flagged.v1"}
    assert _seen(released, len(_OURS)) == _seen(sent[_header(flagged[0], "ce_subject").decode()])
    assert _decision(released)["override"]["user"] == "erin.example"

    exported = pipeline.run("export", "--topics", "--out", str(pipeline.folder / "837"))
    answered = pipeline.run("acknowledge", "--topics", "--out", str(pipeline.folder / "277ca"))
    assert "2 claims" in exported.stdout + exported.stderr
    assert "2 claims" in answered.stdout + answered.stderr


def json_claim(message: Message) -> bytes:
    """The claim's own bytes."""
    return published(message.value(), message.headers() or ()).claim


@pytest.mark.parametrize("cleared_format", ["envelope", "claim"])
def test_in_monitor_mode_every_readable_claim_goes_on(pipeline: Pipeline, cleared_format: str) -> None:
    """In number and order; what would have been flagged stands beside them, marked, and can't be released.

    A dead letter stays one. The member's history holds such a claim as sent: its repetition is a duplicate, as of any.
    """
    (port,) = free_ports(1)
    claims = [claim_event(number, flagged=number % 3 == 0) for number in range(30)]
    again = json.dumps({**json.loads(claims[0]), "claim_id": "C100"}).encode()
    pipeline.send([(None, raw) for raw in claims[:15]])
    pipeline.send([(b"other", raw) for raw in claims[15:]])
    pipeline.send([(b"k", b"junk")])
    expected = len(claims) + 10 + 1
    pipeline.extra |= {**_MONITOR, "CLAIMSCRUB_CLEARED_FORMAT": cleared_format, "CLAIMSCRUB_METRICS_PORT": str(port)}
    with pipeline.worker() as worker:
        eventually(lambda: missing(port) == [])
        eventually(lambda: pipeline.count() >= expected)
        copies = pipeline.kafka.read_all(pipeline.topics["flagged"])
        _release(pipeline, copies[0])
        pipeline.send([(None, again)])
        eventually(lambda: pipeline.count() >= expected + 3)
        samples = scraped(port)
        lines = eventually(lambda: len(worker.events("flagged")) == 11 and worker.events("flagged"))
        started = worker.events("starting")[0]
        assert worker.terminate() == 0
        summed = sum(line.get("monitored", 0) for line in worker.events("claims"))
    outputs = pipeline.outputs()
    cleared, flagged = outputs["cleared"], outputs["flagged"]

    assert Counter(json_claim(each) for each in cleared) == Counter([*claims, again])
    for partition in range(pipeline.partitions):
        here = [int(_decision(each)["claim_id"][1:]) for each in cleared if each.partition() == partition]
        with_their_key = [number for number in here if number < 15]
        assert with_their_key == sorted(with_their_key)
    assert len(flagged) == 11
    id_header = "claimscrub_id" if cleared_format == "claim" else "ce_id"
    sent_on = {_header(each, id_header): each for each in cleared}
    for copy in flagged:
        message = sent_on.pop(_header(copy, "ce_id").removesuffix(b"-monitor"))
        assert _header(copy, "ce_id").endswith(b"-monitor")
        assert _header(copy, "ce_type") == b"claimscrub.claim.flagged.v1"
        assert _header(copy, "claimscrub_mode") == _header(message, "claimscrub_mode") == b"monitor"
        assert (
            published(copy.value(), copy.headers() or ())[:2] == published(message.value(), message.headers() or ())[:2]
        )
        assert (_decision(copy)["disposition"], _decision(copy)["mode"]) == ("flagged", "monitor")
    for message in sent_on.values():
        assert "mode" not in _decision(message)
        assert "claimscrub_mode" not in dict(message.headers() or ())
    findings = {each["rule_id"] for each in _decision(_by_claim(flagged)["C100"])["findings"]}
    assert "HIS001" in findings
    refused = {_header(each, "__connect.errors.exception.message").decode() for each in outputs["deadletter"]}
    assert [each for each in refused if each.startswith("flagged.decision.mode: monitor")] != []
    assert len(outputs["deadletter"]) == 2

    counted = {each: total(samples, "claimscrub_claims_total", disposition=each) for each in _DISPOSITIONS}
    assert counted == {"cleared": 20, "flagged": 0, "monitored": 11}
    assert total(samples, "claimscrub_mode_info", mode="monitor", cleared_format=cleared_format) == 1
    assert {line["mode"] for line in lines} == {"monitor"}
    assert (started["mode"], started["cleared_format"]) == ("monitor", cleared_format)
    assert summed == 11


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_kill_9_leaves_a_claim_and_its_copy_or_neither(pipeline: Pipeline, delivery: str) -> None:
    """Exactly once, each claim stands on cleared once, and what would have been flagged once beside it."""
    moments = random.Random(63685)
    pipeline.extra |= _MONITOR | _BARE | {"CLAIMSCRUB_BATCH_RECORDS": "50", "CLAIMSCRUB_DELIVERY": delivery}
    numbers = range(400)
    for part in range(2):
        pipeline.send(
            [
                (b"other" if number % 2 else None, claim_event(number, flagged=number % 4 < 2))
                for number in numbers[part * 200 : part * 200 + 200]
            ]
        )
        kill_at_work(pipeline, moments.uniform(0, 0.05))
    with pipeline.worker():
        eventually(lambda: len(_by_claim(pipeline.kafka.read_all(pipeline.topics["cleared"]))) == len(numbers), 60)
        eventually(lambda: len(_by_claim(pipeline.kafka.read_all(pipeline.topics["flagged"]))) == len(numbers) / 2, 60)
    outputs = pipeline.outputs()
    cleared = Counter(_decision(each)["claim_id"] for each in outputs["cleared"])
    flagged = Counter(_decision(each)["claim_id"] for each in outputs["flagged"])

    assert cleared.keys() == {f"C{number}" for number in numbers}
    assert flagged.keys() == {f"C{number}" for number in numbers if number % 4 < 2}
    if delivery == "exactly_once":
        assert {*cleared.values(), *flagged.values()} == {1}
    assert outputs["deadletter"] == []


def test_in_monitor_mode_a_decision_that_is_too_large_holds_nothing_back(pipeline: Pipeline) -> None:
    """The claim goes on with a decision that says how much was left out of it, whoever finds it too large."""
    small, raw = claim_events_of(0, pipeline.partitions, 2)
    content = json.loads(raw)
    large = json.dumps({**content, "lines": [a_line(units="2")] * 40}, default=str).encode()
    limit = ConfigEntry("max.message.bytes", str(len(large) + 1_500), incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    resource = ConfigResource(ConfigResource.Type.TOPIC, pipeline.topics["cleared"], incremental_configs=[limit])
    for changed in admin.incremental_alter_configs([resource]).values():
        changed.result()
    pipeline.send([(None, small), (None, large)])
    pipeline.extra |= _MONITOR
    with pipeline.worker():
        eventually(lambda: pipeline.count() >= 3)
    outputs = pipeline.outputs()
    (flagged,) = outputs["flagged"]
    cleared = _by_claim(outputs["cleared"])

    assert outputs["deadletter"] == []
    assert json_claim(cleared[content["claim_id"]]) == large
    decision = _decision(cleared[content["claim_id"]])
    assert decision == _decision(flagged)
    assert (decision["findings"], decision["mode"]) == ([], "monitor")
    assert decision["left_out"]["findings"] > 1
