"""X12 text over Kafka: every claim of a record is decided, once; what can't be read is kept with its reason."""

import json
import random
import time
from collections import Counter
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from rules.engine.examples import a_line, claim_content
from tests.kafka_broker import Cluster
from tests.worker_process import Pipeline, eventually, member_key, of_member
from tests.x12.writer_837 import write_837

pytestmark = pytest.mark.broker

Headers = list[tuple[str, str | bytes | None]]


def _interchange(number: int, claims: int, **changes: Any) -> str:
    """An interchange with the control number `number`, whose claims have the patient control numbers P<number>-<n>.

    Each is of a member of its own.
    """
    contents = [
        of_member(
            number * 3_000 + n,
            claim_content(patient_control_number=f"P{number}-{n}", lines=[a_line(units="2" if n % 5 == 0 else "1")]),
        )
        for n in range(1, claims + 1)
    ]
    return write_837(contents, interchange_control_number=f"{number:09}", **changes)


def _claim_ids(number: int, claims: int) -> list[str]:
    return [f"SENDERID-{number:09}-1-0001-{n}" for n in range(1, claims + 1)]


def _transaction_set(interchange: str) -> str:
    """Its only transaction set, without an envelope."""
    return interchange[interchange.index("ST*") : interchange.index("GE*")]


def _send(pipeline: Pipeline, *values: str | bytes | None, headers: Headers | None = None) -> None:
    producer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap_servers, "message.max.bytes": 20_000_000})
    failures: list[Any] = []
    for number, value in enumerate(values):
        text = value.encode() if isinstance(value, str) else value
        producer.produce(
            pipeline.x12_topic,
            text,
            str(number),
            headers=headers or [],
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    assert producer.flush(30) == 0
    assert failures == []


def _decided(pipeline: Pipeline) -> list[dict[str, Any]]:
    """What stands on the cleared and flagged topics."""
    outputs = pipeline.outputs()
    return [json.loads(message.value()) for name in ("cleared", "flagged") for message in outputs[name]]


def _wait(pipeline: Pipeline, decided: int, deadletters: int = 0, seconds: float = 40.0) -> None:
    eventually(lambda: len(_decided(pipeline)) >= decided, seconds)
    eventually(lambda: len(pipeline.outputs()["deadletter"]) >= deadletters, seconds)


def _deadletters(pipeline: Pipeline) -> list[tuple[bytes | None, dict[str, str]]]:
    """Value and headers of each dead letter."""
    return [
        (message.value(), {name: value.decode() for name, value in message.headers()})
        for message in pipeline.outputs()["deadletter"]
    ]


def _submitted(pipeline: Pipeline) -> list[Message]:
    """The claim events that a reader sees who sees only what is committed."""
    return pipeline.kafka.read_all(pipeline.topics["submitted"], isolation="read_committed")


def _submitted_ids(pipeline: Pipeline) -> Counter[str]:
    return Counter(_claim_id(message) for message in _submitted(pipeline))


def _claim_id(message: Message) -> str:
    claim_id: str = json.loads(message.value() or b"")["claim_id"]
    return claim_id


def test_every_claim_of_a_record_is_decided_with_its_trace(pipeline: Pipeline) -> None:
    """Two interchanges in one record give all their claims, each with its control numbers and the sender's headers."""
    record = _interchange(101, 6) + _interchange(102, 4)
    sender: Headers = [("traceparent", b"00-abc-def-01"), ("empty", None), ("content-type", b"application/edi-x12")]
    _send(pipeline, record, _transaction_set(_interchange(103, 2)), headers=sender)
    times = {record.key(): record.timestamp()[1] for record in pipeline.kafka.read_all(pipeline.x12_topic)}
    with pipeline.worker() as worker:
        _wait(pipeline, 12)
    outputs = pipeline.outputs()
    claims = {each["claim"]["claim_id"]: each["claim"] for each in _decided(pipeline)}
    whole = {*_claim_ids(101, 6), *_claim_ids(102, 4)}
    lone = set(claims) - whole

    assert {name: len(messages) for name, messages in outputs.items()} == {"cleared": 11, "flagged": 1, "deadletter": 0}
    assert whole < set(claims)
    assert len(lone) == 2
    assert claims["SENDERID-000000102-1-0001-3"]["patient_control_number"] == "P102-3"
    assert claims["SENDERID-000000102-1-0001-3"]["x12"]["interchange_control_number"] == "000000102"
    assert {claims[each]["x12"]["transaction_control_number"] for each in lone} == {"0001"}
    for message in outputs["cleared"]:
        assert ("traceparent", b"00-abc-def-01") in message.headers()
        assert ("empty", None) in message.headers()
        assert [value for name, value in message.headers() if name == "content-type"] == [b"application/json"]
    for message in _submitted(pipeline):
        assert message.key() == member_key(message.value())
        assert message.timestamp()[1] == times[b"1" if _claim_id(message) in lone else b"0"]
    assert sum(line["claims"] for line in worker.events("split")) == 12


def test_a_broken_claim_is_a_dead_letter_and_its_neighbours_are_decided(pipeline: Pipeline) -> None:
    """The claim in the middle is kept as an X12 text of its own, with where the fault is and what it is."""
    parts = _interchange(201, 3).split("DTP*472*D8*20260803")
    good, bad = "DTP*472*D8*20260803", "DTP*472*D8*2026AUG3"
    _send(pipeline, f"{parts[0]}{good}{parts[1]}{bad}{parts[2]}{good}{parts[3]}")
    with pipeline.worker() as worker:
        _wait(pipeline, 2, 1)
        (logged,) = worker.events("deadletter")
    ((value, headers),) = _deadletters(pipeline)

    assert _submitted_ids(pipeline) == Counter(_claim_ids(201, 3)[::2])
    assert value is not None
    assert b"P201-2" in value
    assert b"P201-1" not in value
    assert headers["claimscrub.x12.interchange"] == "000000201"
    assert headers["claimscrub.x12.group"] == "1"
    assert headers["claimscrub.x12.transaction"] == "0001"
    assert int(headers["claimscrub.x12.segment"]) > 20
    assert headers["claimscrub.x12.segment_id"] == "DTP"
    assert "expected" in headers["claimscrub.x12.reason"]
    assert "AUG" not in headers["claimscrub.x12.reason"]
    assert headers["__connect.errors.topic"] == pipeline.x12_topic
    assert headers["__connect.errors.offset"] == "0"
    assert headers["ce_subject"] == logged["claim_id"] == "SENDERID-000000201-1-0001-2"
    assert logged["reason"] == headers["__connect.errors.exception.message"]


def test_what_is_no_x12_is_kept_as_it_came(pipeline: Pipeline) -> None:
    """Junk, nothing, and records beyond the limit are dead letters with their own bytes; records around them go on."""
    limit = 10_485_760
    oversize = (_interchange(301, 1) * 12_000)[: limit + 1].encode()
    unreadable = [b"\xff\xfe\x00junk", b"", None, b'{"claim_id": "C1"}', oversize]
    _send(pipeline, _interchange(302, 3), *unreadable, _interchange(303, 3))
    with pipeline.worker():
        _wait(pipeline, 6, 5)
    found = _deadletters(pipeline)
    reason = {value: headers["claimscrub.x12.reason"] for value, headers in found}

    assert _submitted_ids(pipeline) == Counter(_claim_ids(302, 3) + _claim_ids(303, 3))
    assert sorted(value or b"" for value, _ in found) == sorted(value or b"" for value in unreadable)
    assert reason[oversize] == f"{limit + 1} bytes; expected at most {limit} bytes (CLAIMSCRUB_MAX_X12_BYTES)"
    assert len({headers["ce_id"] for _, headers in found}) == 5


def test_a_claim_too_large_for_an_event_is_a_dead_letter(pipeline: Pipeline) -> None:
    """A claim beyond the limit of claim events would be refused later: it is kept here, and the others go on."""
    large = claim_content(patient_control_number="LARGE", lines=[a_line() for _ in range(60)])
    _send(pipeline, _interchange(401, 2) + write_837([large], interchange_control_number="000000402"))
    with pipeline.worker(CLAIMSCRUB_MAX_CLAIM_BYTES="8000"):
        _wait(pipeline, 2, 1)
    ((value, headers),) = _deadletters(pipeline)

    assert json.loads(value or b"")["patient_control_number"] == "LARGE"
    assert "CLAIMSCRUB_MAX_CLAIM_BYTES" in headers["claimscrub.x12.reason"]
    assert headers["ce_subject"] == "SENDERID-000000402-1-0001-1"


def test_a_run_of_dead_letters_stops_the_worker(pipeline: Pipeline) -> None:
    """A larger share of unreadable records than allowed stops the worker, and none of them is passed over."""
    _send(pipeline, *[b"junk"] * 30)
    worker = pipeline.worker(CLAIMSCRUB_DEADLETTER_RUN="20")

    assert worker.wait() == 4
    assert "CLAIMSCRUB_DEADLETTER_RUN" in worker.log
    with pipeline.worker(CLAIMSCRUB_DEADLETTER_RUN="0"):
        _wait(pipeline, 0, 30)
        time.sleep(1)
    assert len(_deadletters(pipeline)) == 30


def test_what_the_brokers_refuse_stops_the_worker(kafka: Cluster, pipeline: Pipeline) -> None:
    """A dead letter that the brokers refuse is not passed over: the worker ends, says why, and nothing is lost."""
    junk = random.Random(63685).randbytes(50_000)
    worker = pipeline.worker()
    worker.wait_until_ready()
    _limit_messages(kafka, pipeline.topics["deadletter"], 10_000)
    _send(pipeline, _interchange(451, 2), junk)

    assert worker.wait() == 3
    last = worker.log.strip().splitlines()[-1]
    assert f"{pipeline.x12_topic} can't be split, nothing is lost" in last
    assert f"raise max.message.bytes of {pipeline.topics['deadletter']}" in last
    assert _deadletters(pipeline) == []

    _limit_messages(kafka, pipeline.topics["deadletter"], 20_000_000)
    with pipeline.worker():
        _wait(pipeline, 2, 1)
    assert [value for value, _ in _deadletters(pipeline)] == [junk]
    assert _submitted_ids(pipeline) == Counter(_claim_ids(451, 2))


def _limit_messages(kafka: Cluster, topic: str, size: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for altered in admin.incremental_alter_configs([resource]).values():
        altered.result()


def test_what_was_aborted_is_never_decided(pipeline: Pipeline) -> None:
    """Claim events of a transaction wait for its end, and are decided only if it is committed."""
    producer = Producer(
        {"bootstrap.servers": pipeline.kafka.bootstrap_servers, "transactional.id": f"{pipeline.prefix}other"}
    )
    producer.init_transactions(30)
    with pipeline.worker() as worker:
        worker.wait_until_ready()
        for commit in (False, True, False):
            producer.begin_transaction()
            for number in range(40):
                content = claim_content(claim_id=f"{'kept' if commit else 'aborted'}-{number}")
                producer.produce(pipeline.topics["submitted"], json.dumps(content), str(number))
            producer.flush()
            before = len(_decided(pipeline))
            time.sleep(0.7)
            assert len(_decided(pipeline)) == before
            if commit:
                producer.commit_transaction()
                _wait(pipeline, 40)
            else:
                producer.abort_transaction()
        time.sleep(0.7)
    decided = Counter(each["claim"]["claim_id"] for each in _decided(pipeline))

    assert decided == Counter(f"kept-{number}" for number in range(40))


def test_after_kill_9_every_claim_is_there_once(pipeline: Pipeline) -> None:
    """Killed in the middle of splitting again and again, the worker neither loses a claim event nor doubles one."""
    pipeline.extra["CLAIMSCRUB_DATA_DIRECTORY"] = str(pipeline.folder / "data")
    claims, in_the_middle = 3_000, 0
    wanted: Counter[str] = Counter()
    for number in range(8):
        _send(pipeline, _interchange(number, claims))
        wanted.update(_claim_ids(number, claims))
        with pipeline.worker() as worker:
            _wait_until_it_grows(pipeline)
            worker.kill()
        everything = pipeline.kafka.read_all(pipeline.topics["submitted"], isolation="read_uncommitted")
        in_the_middle += len(everything) > len(_submitted(pipeline))
        if in_the_middle == 3:
            break
    with pipeline.worker():
        eventually(lambda: len(_submitted_ids(pipeline)) == len(wanted), 60)
        eventually(lambda: len({each["claim"]["claim_id"] for each in _decided(pipeline)}) == len(wanted), 60)

    assert in_the_middle > 0
    assert _submitted_ids(pipeline) == wanted
    assert _deadletters(pipeline) == []


def _wait_until_it_grows(pipeline: Pipeline, seconds: float = 40.0) -> None:
    """Wait for the first records of the next transaction, and no longer."""
    reader = Consumer(
        {
            "bootstrap.servers": pipeline.kafka.bootstrap_servers,
            "group.id": "tests-watch",
            "isolation.level": "read_uncommitted",
        }
    )
    partitions = [TopicPartition(pipeline.topics["submitted"], number) for number in range(pipeline.partitions)]
    before = end = sum(reader.get_watermark_offsets(each, 10)[1] for each in partitions)
    deadline = time.monotonic() + seconds
    # A worker that starts ends what the last one left open with one marker in each partition: that is not it yet.
    while end <= before + pipeline.partitions:
        assert time.monotonic() < deadline
        end = sum(reader.get_watermark_offsets(each, 10)[1] for each in partitions)
    reader.close()


def test_workers_that_join_and_leave_split_every_record_once(pipeline: Pipeline) -> None:
    """Partitions of the X12 topic move between workers in the middle of the work; no claim is missing or doubled."""
    claims = 40
    wanted: Counter[str] = Counter()
    numbers = iter(range(100_000))
    with pipeline.worker() as first:
        first.wait_until_ready()
        for _ in range(2):
            with pipeline.worker() as second:
                deadline = time.monotonic() + 40
                while not second.events("split"):
                    assert time.monotonic() < deadline
                    batch = [next(numbers) for _ in range(10)]
                    _send(pipeline, *[_interchange(number, claims) for number in batch])
                    wanted.update(claim_id for number in batch for claim_id in _claim_ids(number, claims))
                    time.sleep(0.3)
                assert second.terminate() == 0
        eventually(lambda: len(_submitted_ids(pipeline)) == len(wanted))
    assert _submitted_ids(pipeline) == wanted


def test_a_topic_that_takes_too_little_is_refused(kafka: Cluster, pipeline: Pipeline) -> None:
    """A dead-letter topic that could not take every record of X12 stops the start, with the command that mends it."""
    small = f"{pipeline.prefix}small"
    kafka.create_topics({small: pipeline.partitions})
    pipeline.topics["deadletter"] = small
    ended = pipeline.run("worker")
    last = ended.stderr.strip().splitlines()[-1]

    assert ended.returncode == 3
    assert f"topic {small}: max.message.bytes is 1048588" in last
    assert f"--entity-name {small} --add-config max.message.bytes=10616832" in last


def test_without_an_x12_topic_nothing_is_split(pipeline: Pipeline) -> None:
    """With the setting empty there is no such topic, and the worker asks for none."""
    pipeline.extra["CLAIMSCRUB_X12_TOPIC"] = ""
    _send(pipeline, _interchange(501, 2))
    with pipeline.worker() as worker:
        worker.wait_until_ready()
        time.sleep(1)

    assert _submitted(pipeline) == []
