"""The worker on a real broker: what goes in comes out, once, whatever happens to the process."""

import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from tests.kafka_broker import Cluster
from tests.worker_process import (
    OUTPUTS,
    Pipeline,
    claim_event,
    claim_events_of,
    eventually,
    member_key,
)
from worker.members import partition_of

pytestmark = pytest.mark.broker

POISON: list[bytes | None] = [
    b"",
    b"not json",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"claim_id":"P1"}',
    b'{"claim_id":"P2","claim_type":"professional","x":NaN}',
    b'{"claim_id":"P3","claim_type":"professional","lines":[{"units":"one"}]}',
    b'{"claim_id":"P4","claim_type":"professional","total_charge_amount":1E999999}',
    b"[" * 100_000,
    b'{"claim_id":"P5","claim_type":"professional","x":"' + b"9" * 1_048_576 + b'"}',
    None,
]


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_every_event_comes_out_once_on_one_topic(pipeline: Pipeline, delivery: str) -> None:
    """Claims are cleared or flagged under their member's key, whatever key they came under; junk is a dead letter.

    Each comes out once, with its own bytes and headers; a claim that came to another partition than its member's is
    decided there all the same, and its id names where it had come.
    """
    events: list[tuple[bytes | None, bytes | None]] = [
        (b"other-%d" % (number % 50) if number % 3 else None, claim_event(number, flagged=number % 5 == 0))
        for number in range(1_000)
    ]
    pipeline.send([*events, (b"junk", b"junk")])
    with pipeline.worker(CLAIMSCRUB_DELIVERY=delivery):
        pipeline.wait_for_all()
        time.sleep(1)
    outputs = pipeline.outputs()

    assert {name: len(outputs[name]) for name in OUTPUTS} == {"cleared": 800, "flagged": 200, "deadletter": 1}
    assert [message.key() for message in outputs["deadletter"]] == [b"junk"]
    sent = {json.loads(value or b"")["claim_id"]: value for _, value in events}
    came = {
        record.value(): f"{record.topic()}-{record.partition()}-{record.offset()}"
        for record in pipeline.kafka.read_all(pipeline.topics["submitted"])
    }
    for name in ("cleared", "flagged"):
        for message in outputs[name]:
            decision = json.loads(message.value())["decision"]
            headers = dict(message.headers())
            raw = sent.pop(decision["claim_id"])
            assert message.value().startswith(b'{"claim":' + (raw or b"") + b',"decision":{')
            assert message.key() == member_key(raw)
            assert headers["ce_id"].decode() == came[raw]
            assert not {name for name in headers if name.startswith("claimscrub")}
            assert decision["disposition"] == name
            assert headers["ce_type"].decode() == f"claimscrub.claim.{name}.v1"
            assert headers["ce_subject"].decode() == decision["claim_id"]
            assert headers["ce_specversion"] == b"1.0"
            assert headers["content-type"] == b"application/json"
    assert sent == {}


@pytest.mark.parametrize("key", [None, b"another"])
def test_a_member_keeps_the_order_of_its_claims(pipeline: Pipeline, key: bytes | None) -> None:
    """Claims of one member leave each output topic in the order in which they came, sent on or not.

    Each is decided with those before it: the first is clean, and the others are the same surgery billed again.
    """
    pipeline.send([(key, claim_event(number, member=1)) for number in range(300)])
    with pipeline.worker():
        pipeline.wait_for_all()
    outputs = pipeline.outputs()
    (first,), others = (
        [json.loads(message.value())["decision"] for message in outputs[name]] for name in ("cleared", "flagged")
    )

    assert first["claim_id"] == "C0"
    assert [each["claim_id"] for each in others] == [f"C{number}" for number in range(1, 300)]
    assert all("HIS001" in {finding["rule_id"] for finding in each["findings"]} for each in others)


def test_poison_is_kept_with_its_reason_and_harms_no_neighbour(pipeline: Pipeline) -> None:
    """What is no claim goes to the dead-letter topic as it came, with a reason; claims around it are decided."""
    events: list[tuple[bytes | None, bytes | None]] = []
    for number, value in enumerate(POISON):
        events += [(b"k", claim_event(number)), (None if number % 2 else b"k", value)]
    pipeline.send(events, **{"message.max.bytes": 2_000_000})
    with pipeline.worker():
        pipeline.wait_for_all()
        time.sleep(1)
    outputs = pipeline.outputs()

    assert len(outputs["cleared"]) == len(POISON)
    assert sorted(message.value() or b"" for message in outputs["deadletter"]) == sorted(
        value or b"" for value in POISON
    )
    for message in outputs["deadletter"]:
        headers = dict(message.headers())
        said = headers["__connect.errors.exception.message"].decode()
        assert "expected" in said
        assert headers["__connect.errors.topic"].decode() == pipeline.topics["submitted"]
        assert int(headers["__connect.errors.offset"]) >= 0
        assert len(said) < 300


def test_restart_in_the_middle_replays_nothing(pipeline: Pipeline) -> None:
    """A worker that is told to stop finishes what it began and ends soon; the next one goes on where it left off."""
    moments = random.Random(63685)
    pipeline.extra["CLAIMSCRUB_BATCH_RECORDS"] = "20"  # many small batches: a stop always comes in the middle
    for round_number in range(4):
        pipeline.send([(None, claim_event(round_number * 1_500 + number)) for number in range(1_500)])
        before = pipeline.count()
        with pipeline.worker() as worker:
            eventually(lambda before=before: pipeline.count() > before)  # type: ignore[misc]
            time.sleep(moments.uniform(0, 0.2))
            assert worker.terminate(10) == 0
    with pipeline.worker():
        pipeline.wait_for_all()
        time.sleep(2)
    answered = pipeline.decided()

    assert len(answered) == 6_000
    assert set(answered.values()) == {1}


def test_workers_that_join_and_leave_lose_nothing(pipeline: Pipeline) -> None:
    """Partitions move between workers in the middle of the work; nothing is lost, and nothing is decided twice."""
    pipeline.extra["CLAIMSCRUB_BATCH_RECORDS"] = "100"
    with pipeline.worker() as first:
        first.wait_until_ready()
        for round_number in range(2):
            with pipeline.worker() as second:
                for part in range(10):
                    start = (round_number * 10 + part) * 300
                    pipeline.send([(None, claim_event(start + number)) for number in range(300)])
                    time.sleep(0.3)
                assert second.process.poll() is None
        pipeline.wait_for_all()
        time.sleep(2)
    answered = pipeline.decided()

    assert len(answered) == 6_000
    assert set(answered.values()) == {1}


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_compressed_events_are_read(pipeline: Pipeline, codec: str) -> None:
    """A sender may compress as it likes."""
    pipeline.send([(None, claim_event(number)) for number in range(50)], **{"compression.type": codec})
    with pipeline.worker(CLAIMSCRUB_COMPRESSION=codec):
        pipeline.wait_for_all()

    assert len(pipeline.outputs()["cleared"]) == 50


def test_headers_of_the_sender_travel_on(pipeline: Pipeline) -> None:
    """What the sender put into headers is there for whoever reads the decision."""
    producer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    headers: list[tuple[str, str | bytes | None]] = [
        ("traceparent", b"00-abc-def-01"),
        ("empty", None),
        ("ce_id", b"theirs"),
    ]
    producer.produce(pipeline.topics["submitted"], claim_event(1), b"k", headers=headers)
    producer.flush()
    pipeline.sent = 1
    with pipeline.worker():
        pipeline.wait_for_all()
    (message,) = pipeline.outputs()["cleared"]

    assert ("traceparent", b"00-abc-def-01") in message.headers()
    assert ("empty", None) in message.headers()
    assert [value for name, value in message.headers() if name == "ce_id"] != [b"theirs"]


def test_a_flood_of_dead_letters_stops_the_worker(pipeline: Pipeline) -> None:
    """Half of the last events being no claims stops the worker, and nothing of that batch is passed over.

    Claims that are sent on to their member's partition count as what they are.
    """
    pipeline.send([(b"k", claim_event(number) if number % 2 else b"junk") for number in range(60)])
    pipeline.extra["CLAIMSCRUB_DEADLETTER_RUN"] = "20"
    worker = pipeline.worker()

    assert worker.wait() == 4
    assert "CLAIMSCRUB_DEADLETTER_SHARE" in worker.log
    assert pipeline.count() == 0

    with pipeline.worker(CLAIMSCRUB_DEADLETTER_SHARE="0.6"):
        pipeline.wait_for_all()
    assert len(pipeline.outputs()["deadletter"]) == 30


def test_batches_grow_while_more_claims_wait_and_not_otherwise(pipeline: Pipeline) -> None:
    """A backlog is published in few transactions of the size allowed; a claim that comes alone gets one of its own."""
    topic = pipeline.topics["cleared"]
    pipeline.extra["CLAIMSCRUB_BATCH_RECORDS"] = "500"
    events = claim_events_of(0, pipeline.partitions, 4_005)
    pipeline.send([(None, event) for event in events[:4_000]])

    def transactions() -> int:
        """Each leaves a marker behind its records."""
        return sum(pipeline.kafka.end_offsets(topic).values()) - len(pipeline.kafka.read_all(topic))

    with pipeline.worker():
        pipeline.wait_for_all()
        many = transactions()
        for event in events[4_000:]:
            pipeline.send([(None, event)])
            pipeline.wait_for_all()
        single = transactions() - many

    assert 4_000 / 500 <= many <= 4_000 / 100
    assert single == 5


def test_a_message_that_the_brokers_find_too_large_is_a_dead_letter(pipeline: Pipeline) -> None:
    """A topic that takes less than the settings say costs a claim its decision, not the worker, and says why."""
    limit = ConfigEntry("max.message.bytes", "20000", incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    resource = ConfigResource(ConfigResource.Type.TOPIC, pipeline.topics["cleared"], incremental_configs=[limit])
    for changed in admin.incremental_alter_configs([resource]).values():
        changed.result()
    *events, last = claim_events_of(0, pipeline.partitions, 201)
    large = last[:-1] + b',"note":"' + b"x" * 30_000 + b'"}'
    pipeline.send([(None, event) for event in [*events[:100], large, *events[100:]]])
    with pipeline.worker():
        pipeline.wait_for_all()
    outputs = pipeline.outputs()
    (letter,) = outputs["deadletter"]

    assert [json.loads(each.value())["decision"]["claim_id"] for each in outputs["cleared"]] == [
        json.loads(event)["claim_id"] for event in events
    ]
    assert letter.value() == large
    assert "max.message.bytes" in dict(letter.headers())["__connect.errors.exception.message"].decode()


def test_other_topics_of_an_app_are_delivered_record_by_record(pipeline: Pipeline) -> None:
    """What is no claim event goes the stock way of Faust: single events, acknowledged one by one, and committed."""
    topic = f"{pipeline.prefix}internal"
    pipeline.kafka.create_topics({topic: pipeline.partitions})
    producer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    for number in range(20):
        producer.produce(topic, b"internal-%d" % number, b"k")
    producer.flush()
    pipeline.send([(b"k", claim_event(number)) for number in range(20)])
    for expected in (20, 0):  # the second worker finds everything committed
        ended = subprocess.run(
            [sys.executable, "-c", _APP_WITH_ANOTHER_TOPIC, topic, str(pipeline.folder / f"data-{expected}")],
            env=pipeline.environment, timeout=60, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert len(re.findall(r"^internal-\d+$", ended.stdout, re.MULTILINE)) == expected
    assert len(pipeline.outputs()["cleared"]) == 20


_APP_WITH_ANOTHER_TOPIC = """
import os, signal, sys, threading
from pathlib import Path
import worker.app
from rules import RuleSet
from worker.monitor import Monitor
from worker.settings import load_settings

build = worker.app.build_app

def build_with_another(settings, ruleset, folder, monitor):
    app = build(settings, ruleset, folder, monitor)

    @app.agent(app.topic(sys.argv[1]))
    async def other(stream):
        async for value in stream:
            print(value.decode(), flush=True)

    return app

worker.app.build_app = build_with_another
Path(sys.argv[2]).mkdir()
threading.Timer(8, os.kill, [os.getpid(), signal.SIGTERM]).start()
settings, ruleset = load_settings(), RuleSet.load()
monitor = Monitor(settings)
monitor.judges_by(ruleset)
worker.app.run_worker(settings, ruleset, monitor)
"""


def test_one_worker_serves_billers_with_and_without_a_contract(pipeline: Pipeline, tmp_path: Path) -> None:
    """Each claim is decided by the contract of its own biller, and the decision on the topic says by which."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    rules = "payers: {ANY: {rules: {UNT001: {silent: true, why: Two generators are agreed}}}}"
    (folder / "agreed.yaml").write_text(f"name: Agreed\nsubmitter_ids: [AGREED]\n{rules}\n")
    pipeline.extra["CLAIMSCRUB_CONTRACTS_FOLDER"] = str(folder)
    agreed, other = json.loads(claim_event(1, flagged=True)), json.loads(claim_event(2, flagged=True))
    agreed["submitter_id"] = "AGREED"
    pipeline.send([(b"k", json.dumps(each).encode()) for each in (agreed, other)])
    with pipeline.worker():
        pipeline.wait_for_all()
    outputs = pipeline.outputs()
    (cleared,), (flagged,) = (
        [json.loads(message.value())["decision"] for message in outputs[name]] for name in ("cleared", "flagged")
    )

    assert (cleared["claim_id"], cleared["contract"]) == ("C1", "agreed")
    assert [each["rule_id"] for each in cleared["silenced"]] == ["UNT001"]
    assert (flagged["claim_id"], flagged["contract"], flagged["silenced"]) == ("C2", "", [])


def test_a_missing_topic_is_named_with_the_remedy(kafka: Cluster, topic_prefix: str, tmp_path: Path) -> None:
    """Without its topics the worker does not start, and says which command makes them."""
    pipeline = Pipeline(kafka, topic_prefix, tmp_path)
    ended = pipeline.run("worker")

    assert ended.returncode == 3
    assert f"{topic_prefix}claims.submitted" in ended.stderr
    assert "claimscrub topics create" in ended.stderr


@pytest.mark.parametrize("smaller", ["deadletter", "history"])
def test_unequal_partitions_are_refused(kafka: Cluster, topic_prefix: str, tmp_path: Path, smaller: str) -> None:
    """Topics with different numbers of partitions would break a member's order: the worker says so and ends."""
    pipeline = Pipeline(kafka, topic_prefix, tmp_path)
    partitions = dict.fromkeys(pipeline.topics.values(), 4)
    kafka.create_topics({**partitions, pipeline.topics[smaller]: 2, pipeline.x12_topic: 1})
    ended = pipeline.run("worker")

    assert ended.returncode == 3
    assert "same number of partitions" in ended.stderr


def test_an_unreachable_broker_ends_in_one_sentence(tmp_path: Path) -> None:
    """Where no broker answers within the start-up time, the worker ends with a sentence that names the setting."""
    pipeline = Pipeline(Cluster("127.0.0.1:1"), "x-", tmp_path, extra={"CLAIMSCRUB_STARTUP_TIMEOUT_SECONDS": "3"})
    ended = pipeline.run("worker")
    last = ended.stderr.strip().splitlines()[-1]

    assert ended.returncode == 3
    assert "no Kafka broker answers at 127.0.0.1:1" in last
    assert "CLAIMSCRUB_BOOTSTRAP_SERVERS" in last
    assert "Traceback" not in ended.stderr


def test_submit_publishes_files(pipeline: Pipeline) -> None:
    """`claimscrub submit` publishes each claim of a file, byte for byte, and names what is not a claim."""
    path = pipeline.folder / "claims.ndjson"
    path.write_bytes(claim_event(1) + b"\nbroken\n" + claim_event(2) + b"\n")
    ended = pipeline.run("submit", str(path))
    records = pipeline.kafka.read_all(pipeline.topics["submitted"])

    assert ended.returncode == 2
    assert f"{path}:2:" in ended.stderr
    assert "2 claims published" in ended.stderr
    assert sorted(record.value() for record in records) == [claim_event(1), claim_event(2)]
    for record in records:
        assert record.key() == member_key(record.value())
        assert record.partition() == partition_of(record.key(), pipeline.partitions)


def test_topics_create_can_be_repeated(pipeline: Pipeline) -> None:
    """Topics that exist stay as they are."""
    again = pipeline.run("topics", "create")

    assert again.returncode == 0
    assert again.stdout.count("exists") == 9


def test_the_topic_of_the_history_is_compacted(pipeline: Pipeline) -> None:
    """It keeps the latest record of each member for good; the others keep what the broker's retention says."""
    admin = AdminClient({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in pipeline.topics.values()]
    policies = {
        resource.name: described.result()["cleanup.policy"].value
        for resource, described in admin.describe_configs(asked).items()
    }
    history = pipeline.topics["history"]

    assert policies == {name: "compact" if name == history else "delete" for name in pipeline.topics.values()}
