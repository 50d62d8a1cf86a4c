"""Static membership: a worker's partitions wait for it while it restarts, and no two workers share a name."""

import signal
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.kafka_broker import Cluster
from tests.worker_process import Pipeline, Worker, claim_event, eventually

pytestmark = pytest.mark.broker


@pytest.fixture
def pipeline(kafka: Cluster, topic_prefix: str, tmp_path: Path) -> Pipeline:
    """A session long enough for a restart."""
    pipeline = Pipeline(kafka, topic_prefix, tmp_path, extra={"CLAIMSCRUB_SESSION_TIMEOUT_SECONDS": "20"})
    pipeline.create_topics()
    return pipeline


def _assignment(pipeline: Pipeline, group: str = "group") -> dict[str, set[int]]:
    """Each member's partitions, by the name of the member."""
    admin = AdminClient({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    name = f"{pipeline.prefix}{group}"
    members = admin.describe_consumer_groups([name], request_timeout=10)[name].result().members
    return {
        member.group_instance_id: {each.partition for each in member.assignment.topic_partitions} for member in members
    }


def _both_ready(pipeline: Pipeline, first: Worker, second: Worker) -> dict[str, set[int]]:
    first.wait_until_ready()
    second.wait_until_ready()
    eventually(lambda: all(worker.events("ready")[-1]["partitions"] == 2 for worker in (first, second)))
    return _settled(pipeline)


def _settled(pipeline: Pipeline, group: str = "group") -> dict[str, set[int]]:
    def both() -> dict[str, set[int]] | None:
        found = _assignment(pipeline, group)
        return found if len(found) == 2 and all(len(partitions) == 2 for partitions in found.values()) else None

    return eventually(both)  # type: ignore[no-any-return]


def test_a_restart_moves_no_partition(pipeline: Pipeline) -> None:
    """The other worker notices nothing of a restart, and the restarted one has its partitions back."""
    with pipeline.worker(CLAIMSCRUB_INSTANCE_ID="a") as first:
        with pipeline.worker(CLAIMSCRUB_INSTANCE_ID="b") as second:
            before = _both_ready(pipeline, first, second)
            assignments = len(first.events("ready"))
            splitting = _settled(pipeline, "group-x12")
            assert second.terminate() == 0
        with pipeline.worker(CLAIMSCRUB_INSTANCE_ID="b") as again:
            again.wait_until_ready()
            pipeline.send([(None, claim_event(number)) for number in range(200)])
            pipeline.wait_for_all()

            assert _assignment(pipeline) == before
            eventually(lambda: _assignment(pipeline, "group-x12") == splitting)
        assert len(first.events("ready")) == assignments


def test_the_first_worker_can_restart_too(pipeline: Pipeline) -> None:
    """The group's leader is a member like the others."""
    with pipeline.worker(CLAIMSCRUB_INSTANCE_ID="a") as first:
        first.wait_until_ready()
        with pipeline.worker(CLAIMSCRUB_INSTANCE_ID="b") as second:
            before = _both_ready(pipeline, first, second)
            assignments = len(second.events("ready"))
            first.kill()
            with pipeline.worker(CLAIMSCRUB_INSTANCE_ID="a") as again:
                again.wait_until_ready()

                assert _assignment(pipeline) == before
            assert len(second.events("ready")) == assignments


def test_who_loses_its_name_ends_and_says_so(pipeline: Pipeline) -> None:
    """Of two workers with one name the older ends with a sentence; the newer goes on alone."""
    pipeline.extra |= {"CLAIMSCRUB_SESSION_TIMEOUT_SECONDS": "6", "CLAIMSCRUB_X12_TOPIC": ""}
    with pipeline.worker(CLAIMSCRUB_INSTANCE_ID="same") as older:
        older.wait_until_ready()
        with pipeline.worker(CLAIMSCRUB_INSTANCE_ID="same") as newer:
            newer.wait_until_ready()
            assert older.wait(30) == 3
            pipeline.send([(None, claim_event(number)) for number in range(100)])
            pipeline.wait_for_all()

            assert len(newer.events("ready")) == 1
    last = older.log.strip().splitlines()[-1]
    assert last.startswith("claimscrub: another worker has the name same")
    assert "CLAIMSCRUB_INSTANCE_ID" in last
    assert "Traceback" not in older.log


def test_a_worker_that_was_thought_dead_comes_back(pipeline: Pipeline) -> None:
    """A worker that slept past its session finds its name free, joins anew and goes on."""
    pipeline.extra |= {"CLAIMSCRUB_SESSION_TIMEOUT_SECONDS": "2", "CLAIMSCRUB_X12_TOPIC": ""}
    with pipeline.worker(CLAIMSCRUB_INSTANCE_ID="sleeper") as worker:
        worker.wait_until_ready()
        worker.process.send_signal(signal.SIGSTOP)
        eventually(lambda: not _assignment(pipeline))
        worker.process.send_signal(signal.SIGCONT)
        eventually(lambda: set(_assignment(pipeline)) == {"sleeper"})
        pipeline.send([(None, claim_event(number)) for number in range(100)])
        pipeline.wait_for_all()
        assert worker.terminate() == 0
