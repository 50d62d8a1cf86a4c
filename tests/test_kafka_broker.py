"""The broker of the tests is itself worth a test: crash tests rest on what is shown here."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.kafka_broker import Cluster, KafkaBroker

pytestmark = pytest.mark.broker

needs_a_broker_of_our_own = pytest.mark.skipif(
    bool(os.environ.get("CLAIMSCRUB_TEST_BOOTSTRAP_SERVERS")),
    reason="a broker that the user provides is not ours to kill",
)


@needs_a_broker_of_our_own
def test_acknowledged_records_survive_a_killed_broker(tmp_path: Path) -> None:
    """What the broker acknowledged is still there after kill -9 and a new start on the same port."""
    with KafkaBroker(tmp_path) as broker:
        broker.create_topics({"claims": 2})
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
        for number in range(100):
            producer.produce("claims", value=str(number).encode(), partition=number % 2)
        assert producer.flush(30) == 0, "the broker did not acknowledge every record"

        broker.kill()
        assert not _answers(broker), "something still listens on the killed broker's port"
        broker.start()

        assert broker.end_offsets("claims") == {0: 50, 1: 50}
        read = broker.read_all("claims")
        assert [(record.partition(), record.value()) for record in read] == [
            (partition, str(number).encode()) for partition in (0, 1) for number in range(partition, 100, 2)
        ]
    assert not _answers(broker), "the stopped broker still listens"


@needs_a_broker_of_our_own
def test_broker_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """A test run that is killed with kill -9 leaves no Java process behind."""
    code = "import sys, time; from pathlib import Path; from tests.kafka_broker import KafkaBroker; "
    code += "b = KafkaBroker(Path(sys.argv[1])); b.start(); print(b.bootstrap_servers, flush=True); time.sleep(600)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        broker = Cluster(run.stdout.readline().strip())
        assert broker.bootstrap_servers, "the broker did not start"
        assert _answers(broker), "the started broker does not listen"
        run.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _answers(broker):
        assert time.monotonic() < deadline, f"the broker still listens on {broker.bootstrap_servers}"
        time.sleep(0.05)


@needs_a_broker_of_our_own
def test_failing_start_shows_the_log(tmp_path: Path) -> None:
    """A broker that cannot start says why, in the words of its own log."""
    broker = KafkaBroker(tmp_path)
    with socket.socket() as taken:
        taken.bind(_address(broker))
        taken.listen()
        with pytest.raises(RuntimeError, match=r"broker ended with status 1:(.|\n)*Address already in use"):
            broker.start()


def test_missing_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Java the error names what to install."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(RuntimeError, match="install a JRE 17 or newer"):
        KafkaBroker()


def test_committed_readers_see_whole_transactions_only(kafka: Cluster, topic_prefix: str) -> None:
    """`read_all` leaves out aborted and open transactions unless it is asked for everything."""
    topic = f"{topic_prefix}decisions"
    kafka.create_topics({topic: 1})
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic, "log_level": 0})
    producer.init_transactions(30)
    for value in (b"committed", b"aborted", b"open"):
        producer.begin_transaction()
        producer.produce(topic, value=value, partition=0)
        assert producer.flush(30) == 0, "the broker did not acknowledge the record"
        if value == b"committed":
            producer.commit_transaction(30)
        elif value == b"aborted":
            producer.abort_transaction(30)

    everything = kafka.read_all(topic, isolation="read_uncommitted")
    assert [record.value() for record in everything] == [b"committed", b"aborted", b"open"]
    assert [record.value() for record in kafka.read_all(topic)] == [b"committed"]


def _address(broker: Cluster) -> tuple[str, int]:
    host, port = broker.bootstrap_servers.split(":")
    return host, int(port)


def _answers(broker: Cluster) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(_address(broker)) == 0
