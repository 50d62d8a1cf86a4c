"""`claimscrub acknowledge --topics` and `export --topics` on a real broker: each decision in exactly one file."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from rules import RuleSet
from rules.engine.examples import a_line, claim_content
from tests.kafka_broker import Cluster
from tests.worker_process import Pipeline, claim_event, eventually
from tests.x12.writer_837 import write_837
from worker.pipeline import handle
from worker.x12 import Event, read_events

pytestmark = pytest.mark.broker

_RULES = RuleSet.load()


def _answers(numbers: Iterable[int], *, flagged: bool = False) -> list[bytes]:
    """What a worker publishes for claims that came as X12, with the numbers in their patient control numbers."""
    lines = [a_line(units="2" if flagged else "1")]
    contents = [claim_content(patient_control_number=f"P{number}", lines=lines) for number in numbers]
    events = read_events(BytesIO(write_837(contents, per_transaction=50).encode()))
    return [handle(event.raw, _RULES).value or b"" for event in events if isinstance(event, Event)]


def _publish(pipeline: Pipeline, topic: str, values: Iterable[bytes], transactional_id: str = "") -> Producer:
    config = {"bootstrap.servers": pipeline.kafka.bootstrap_servers, "linger.ms": 5}
    producer = Producer(config | ({"transactional.id": transactional_id} if transactional_id else {}))
    if transactional_id:
        producer.init_transactions()
        producer.begin_transaction()
    for number, value in enumerate(values):
        producer.produce(pipeline.topics[topic], value, str(number))
    assert producer.flush(30) == 0
    return producer


def _exported(folder: Path) -> Counter[str]:
    """How often each claim stands in the files of a folder."""
    found: Counter[str] = Counter()
    for path in folder.glob("837*"):
        for item in read_events(BytesIO(path.read_bytes())):
            assert isinstance(item, Event), str(item)
            found[item.claim.patient_control_number] += 1
    return found


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for the files, which is not there yet."""
    return tmp_path / "out"


def _state(out: Path, step: str) -> object:
    """What a step of a round changes in a folder."""
    if step == "position":
        position = out / ".claimscrub-position.json"
        return position.stat().st_ino if position.exists() else 0
    paths = out.iterdir() if out.exists() else ()
    return {path.name for path in paths if path.name.startswith("." if step == "temporary" else "837")}


def test_each_cleared_claim_is_exported_once_over_kill_9(pipeline: Pipeline, out: Path) -> None:
    """Killed between any two steps of a round, while claims come, the export puts each claim into exactly one file."""
    moments = random.Random(63685)
    command = [sys.executable, "-m", "worker.cli", "export", "--topics", "--out", str(out), "--follow", "0.01"]
    sent = 0
    log = pipeline.folder / "export.log"
    ended = threading.Event()

    def claims_come() -> None:
        nonlocal sent
        while not ended.is_set():
            _publish(pipeline, "cleared", _answers(range(sent, sent + 20)))
            sent += 20
            time.sleep(0.02)

    sender = threading.Thread(target=claims_come)
    sender.start()
    try:
        for number in range(9):
            seen = len(log.read_text()) if log.exists() else 0
            with log.open("ab") as file:
                process = subprocess.Popen(command, env=pipeline.environment, stdout=file, stderr=file)
            step = ("temporary", "position", "files")[number % 3]
            try:
                eventually(lambda seen=seen: " claims" in log.read_text()[seen:])  # type: ignore[misc]
                before = _state(out, step)
                deadline = time.monotonic() + 20
                while _state(out, step) == before and time.monotonic() < deadline:
                    pass
                if number % 2:
                    time.sleep(moments.uniform(0, 0.002))
                assert process.poll() is None, log.read_text()
            finally:
                process.kill()
                process.wait(10)
    finally:
        ended.set()
        sender.join()
    last = pipeline.run("export", "--topics", "--out", str(out))
    files = _names(out)

    assert last.returncode == 0, last.stderr
    assert len(files) >= 9
    assert _exported(out) == Counter({f"P{number}": 1 for number in range(sent)})
    assert list(out.glob(".claimscrub-new-*")) == []
    assert pipeline.run("export", "--topics", "--out", str(out)).returncode == 0
    assert _names(out) == files


def test_acknowledge_answers_cleared_and_flagged_claims(pipeline: Pipeline, out: Path) -> None:
    """Both topics are answered; what did not come as X12 is named and passed over; the next run has what is new."""
    _publish(pipeline, "cleared", [*_answers(range(5)), handle(claim_event(1), _RULES).value or b"", b"junk"])
    _publish(pipeline, "flagged", _answers(range(5, 8), flagged=True))
    first = pipeline.run("acknowledge", "--topics", "--out", str(out))
    (name,) = _names(out)
    content = (out / name).read_text()

    assert first.returncode == 2
    assert "claim C1:" in first.stderr
    assert f"{name}: 8 claims" in first.stderr
    assert content.count("STC*A1:") >= 5
    assert content.count("*P7~") == 1

    _publish(pipeline, "flagged", _answers(range(8, 9), flagged=True))
    second = pipeline.run("acknowledge", "--topics", "--out", str(out))
    (newer,) = set(_names(out)) - {name}

    assert second.returncode == 0
    assert f"{newer}: 1 claims" in second.stderr
    assert json.loads((out / ".claimscrub-position.json").read_text())["control_number"] == 3
    assert pipeline.run("export", "--topics", "--out", str(out)).returncode == 3


def test_only_what_is_committed_is_exported(pipeline: Pipeline, out: Path) -> None:
    """What a transaction has not committed is waited for, and what it aborted is never seen."""
    aborted = _publish(pipeline, "cleared", _answers(range(100, 110)), f"{pipeline.prefix}aborted")
    aborted.abort_transaction()
    opened = _publish(pipeline, "cleared", _answers(range(200, 210)), f"{pipeline.prefix}open")
    _publish(pipeline, "cleared", _answers(range(5)))
    assert pipeline.run("export", "--topics", "--out", str(out)).returncode == 0
    assert set(_exported(out)) <= {f"P{number}" for number in range(5)}
    opened.commit_transaction()
    assert pipeline.run("export", "--topics", "--out", str(out)).returncode == 0

    assert _exported(out) == Counter({f"P{number}": 1 for number in (*range(5), *range(200, 210))})


def test_a_topic_that_is_not_the_same_any_more_is_refused(pipeline: Pipeline, out: Path) -> None:
    """A topic that was made anew stops the export; records that were deleted before they were read are counted."""
    admin = AdminClient({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    topic = pipeline.topics["cleared"]
    _publish(pipeline, "cleared", _answers(range(20)))
    assert pipeline.run("export", "--topics", "--out", str(out)).returncode == 0
    _publish(pipeline, "cleared", _answers(range(20, 40)))
    for deleted in admin.delete_records([TopicPartition(topic, number, -1) for number in range(4)]).values():
        deleted.result()
    _publish(pipeline, "cleared", _answers(range(40, 45)))
    late = pipeline.run("export", "--topics", "--out", str(out))

    assert late.returncode == 2
    assert "were deleted before they were read" in late.stderr
    assert set(_exported(out)) == {f"P{number}" for number in (*range(20), *range(40, 45))}

    for removed in admin.delete_topics([topic]).values():
        removed.result()
    eventually(lambda: topic not in admin.list_topics(timeout=10).topics)
    pipeline.kafka.create_topics({topic: 4})
    _publish(pipeline, "cleared", _answers(range(100)))
    refused = pipeline.run("export", "--topics", "--out", str(out))

    assert refused.returncode == 3
    assert "made anew" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_follow_ends_in_order_and_keeps_others_out(pipeline: Pipeline, out: Path) -> None:
    """--follow goes on until SIGTERM, and a second one on the same folder is refused."""
    command = [sys.executable, "-m", "worker.cli", "export", "--topics", "--out", str(out), "--follow", "0.2"]
    process = subprocess.Popen(command, env=pipeline.environment, stderr=subprocess.DEVNULL)
    try:
        for count in (1, 2):
            _publish(pipeline, "cleared", _answers([count]))
            eventually(lambda count=count: len(_names(out)) == count)  # type: ignore[misc]
        second = pipeline.run("export", "--topics", "--out", str(out))
        assert second.returncode == 3
        assert "another claimscrub export --topics is at work" in second.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_silent_brokers_end_in_one_sentence(tmp_path: Path, out: Path) -> None:
    """Without --follow a broker that does not answer is exit code 3, and nothing is written."""
    pipeline = Pipeline(Cluster("127.0.0.1:1"), "x-", tmp_path, extra={"CLAIMSCRUB_STARTUP_TIMEOUT_SECONDS": "2"})
    ended = pipeline.run("acknowledge", "--topics", "--out", str(out))

    assert ended.returncode == 3
    assert "no Kafka broker answers" in ended.stderr
    assert _names(out) == []
