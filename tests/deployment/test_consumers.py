"""The programs in docs/examples/consumers, as somebody who copies them would run them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Message, Producer

from tests.kafka_broker import Cluster
from tests.worker_process import ROOT, Pipeline, claim_event, eventually, member_key
from worker.records import Headers

pytestmark = pytest.mark.broker

PROGRAMS = ROOT / "docs" / "examples" / "consumers"
CLAIMS = [claim_event(number, flagged=number % 5 == 0) for number in range(20)]
LATER = [claim_event(number) for number in range(20, 30)]


class Stage(Pipeline):
    """A pipeline with a topic behind it, and the programs around it."""

    @property
    def next_topic(self) -> str:
        return f"{self.prefix}next"

    def program(self, name: str) -> tuple[list[str], dict[str, str]]:
        """How one of the programs is started, and the environment that it needs."""
        own = {
            "BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "GROUP_ID": f"{self.prefix}{name}",
            "NEXT_TOPIC": self.next_topic,
            "ALERT_PER_MINUTE": "2",
            **{f"{kind.upper()}_TOPIC": topic for kind, topic in self.topics.items()},
        }
        return [sys.executable, str(PROGRAMS / f"{name}.py")], {**self.environment, **own}

    def submit(self, claims: list[bytes]) -> str:
        """Send claims with submit_claims.py, and wait until they are decided."""
        command, environment = self.program("submit_claims")
        ended = subprocess.run(
            command, env=environment, input=b"\n".join(claims), capture_output=True, timeout=30, check=False
        )
        assert ended.returncode == 0, ended.stderr.decode()
        self.sent += len(claims)
        self.wait_for_all()
        return ended.stdout.decode()

    @contextmanager
    def running(self, name: str) -> Iterator[Running]:
        """One of the programs that go on until they are interrupted."""
        command, environment = self.program(name)
        path = self.folder / f"{name}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield Running(process, path)
            process.send_signal(signal.SIGINT)
            code = process.wait(90)
            assert code in {0, -signal.SIGKILL}, path.read_text()
        finally:
            process.kill()
            process.wait()

    def forwarded(self) -> list[Message]:
        return self.kafka.read_all(self.next_topic)


class Running:
    """A program at work."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.process = process
        self._path = path

    def output(self, lines: int) -> str:
        """What it has printed, once that is so many lines."""
        return str(eventually(lambda: self._path.read_text().count("\n") >= lines and self._path.read_text()))


@pytest.fixture(scope="module")
def stage(kafka: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A worker, and claims that submit_claims.py has sent it."""
    made = Stage(kafka, f"t{uuid.uuid4().hex[:8]}-", tmp_path_factory.mktemp("consumers"))
    made.create_topics()
    kafka.create_topics({made.next_topic: 4})
    with made.worker():
        assert made.submit(CLAIMS) == f"{len(CLAIMS)} claims sent to {made.topics['submitted']}\n"
        yield made
    made.close()


def test_claims_are_sent_as_they_are_under_the_members_key(stage: Stage) -> None:
    """Each has its own bytes, the key that claimscrub would make, and a trace; none takes the way round."""
    sent = {message.value(): message for message in stage.kafka.read_all(stage.topics["submitted"])}
    assert sent.keys() >= set(CLAIMS)
    for raw in CLAIMS:
        assert sent[raw].key() == member_key(raw)
        assert len(dict(sent[raw].headers() or [])["traceparent"]) == 55
    assert stage.kafka.read_all(stage.topics["repartition"]) == []


def test_the_work_list_says_what_to_repair(stage: Stage) -> None:
    """Each flagged claim with its errors and remedies, and nothing of what only warns."""
    with stage.running("flagged_worklist") as program:
        printed = program.output(4 * 3)
    assert {line.split()[0] for line in printed.splitlines() if not line.startswith(" ")} == {"C0", "C5", "C10", "C15"}
    for message in stage.kafka.read_all(stage.topics["flagged"]):
        for finding in json.loads(message.value() or b"")["decision"]["findings"]:
            assert (f"{finding['rule_id']}  " in printed) == (finding["severity"] == "error")
            assert (finding["remedy"] in printed) == (finding["severity"] == "error")


def test_cleared_claims_are_forwarded_once_as_they_were_sent(stage: Stage) -> None:
    """Their own bytes under their key, also where the program is killed and started again, and no duplicate.

    A record that the cleared topic has twice, as after at-least-once delivery, goes on once; a bare claim as it is.
    """
    with stage.running("cleared_forwarder") as program:
        eventually(lambda: len(stage.forwarded()) == 16)
        program.process.kill()
    stage.submit(LATER)
    bare, decided = claim_event(30), ("claimscrub_decision", b"{}")
    twice = claim_event(31)
    with stage.running("cleared_forwarder"):
        eventually(lambda: len(stage.forwarded()) == 26)
        _publish(stage, bare, [("claimscrub_id", b"b-0-1"), decided])
        _publish(stage, twice, [("claimscrub_id", b"b-0-2"), decided])
        _publish(stage, twice, [("claimscrub_id", b"b-0-2"), decided])
        _publish(stage, b" " + bare, [("claimscrub_id", b"b-0-3"), decided])
        eventually(lambda: len(stage.forwarded()) >= 29)

    forwarded = stage.forwarded()
    cleared = [raw for number, raw in enumerate(CLAIMS) if number % 5]
    assert sorted(message.value() or b"" for message in forwarded) == sorted(
        [*cleared, *LATER, bare, twice, b" " + bare]
    )
    by_value = {message.value(): message for message in forwarded}
    assert all(by_value[raw].key() == member_key(raw) for raw in cleared)
    submitted = {message.value(): message for message in stage.kafka.read_all(stage.topics["submitted"])}
    for raw in cleared:
        sent, headers = submitted[raw], dict(by_value[raw].headers() or [])
        assert headers["traceparent"] == dict(sent.headers() or [])["traceparent"]
        assert headers["claimscrub_id"].decode() == f"{sent.topic()}-{sent.partition()}-{sent.offset()}"


def test_dead_letters_are_told_with_their_reason(stage: Stage) -> None:
    """Where each had stood and what is wrong with it, an alert when it is too many, and nothing of its value."""
    stage.send([(b"k", b"junk about Mabel"), (b"k", b'{"claim_id":"P1"}')])
    with stage.running("deadletter_monitor") as program:
        printed = program.output(3)
    assert f"{stage.topics['submitted']}-" in printed
    assert "P1  claim_type: " in printed
    assert "ALERT: 2 dead letters within a minute" in printed
    assert "Mabel" not in printed


def _publish(stage: Stage, value: bytes, headers: Headers) -> None:
    """A record on the cleared topic, in partition 0, as a worker in another mode would publish it."""
    producer = Producer({"bootstrap.servers": stage.kafka.bootstrap_servers})
    producer.produce(stage.topics["cleared"], value, member_key(value), headers=list(headers), partition=0)
    assert producer.flush(10) == 0
