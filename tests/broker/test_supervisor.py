"""Several workers under one supervisor: started, watched, restarted in turn, and never left behind."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.kafka_broker import Cluster, free_ports
from tests.scraping import get, missing, scraped, total
from tests.worker_process import Pipeline, Worker, claim_event, eventually

pytestmark = pytest.mark.broker


def _pids(supervisor: Worker) -> dict[int, int]:
    """The process that each worker has now, by the worker's number."""
    return {line["worker"]: line["pid"] for line in supervisor.events("worker started")}


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_until_ready(supervisor: Worker, folder: Path, workers: int) -> None:
    eventually(
        lambda: (
            supervisor.process.poll() is not None
            or all((folder / f"worker-{number}" / "ready").exists() for number in range(1, workers + 1))
        )
    )
    assert supervisor.process.poll() is None, supervisor.log


@pytest.fixture
def folder(pipeline: Pipeline) -> Path:
    """The data directory of the supervisor."""
    folder = pipeline.folder / "data"
    pipeline.extra |= {"CLAIMSCRUB_DATA_DIRECTORY": str(folder), "CLAIMSCRUB_INSTANCE_ID": "here"}
    return folder


def test_workers_share_the_work_and_stop_in_good_order(pipeline: Pipeline, folder: Path) -> None:
    """Each worker has partitions, a folder and a name of its own; SIGTERM ends them all with exit code 0.

    Each says at a port of its own how it is, and the supervisor says so of all.
    """
    (port,) = free_ports(1)
    with pipeline.worker("--workers", "2", CLAIMSCRUB_METRICS_PORT=str(port)) as supervisor:
        _wait_until_ready(supervisor, folder, 2)
        eventually(lambda: sorted(_assigned(supervisor).items()) == [("here-1", 2), ("here-2", 2)])
        pipeline.send([(None, claim_event(number)) for number in range(400)])
        pipeline.wait_for_all()
        pids = _pids(supervisor)
        eventually(lambda: missing(port) == missing(port + 1) == missing(port + 2) == [])
        assert get(port, "/healthz") == (200, "ok\n")
        told, workers = scraped(port), [scraped(port + 1), scraped(port + 2)]
        os.kill(pids[2], signal.SIGSTOP)
        assert missing(port) == ["worker 2: does not answer"]
        os.kill(pids[2], signal.SIGCONT)
        assert supervisor.terminate() == 0

    states = {
        state: total(told, "claimscrub_supervised_workers", state=state) for state in ("wanted", "running", "ready")
    }
    assert states == {"wanted": 2, "running": 2, "ready": 2}
    assert [total(told, "claimscrub_worker_starts_total", worker=number) for number in ("1", "2")] == [1, 1]
    assert sum(total(worker, "claimscrub_claims_total") for worker in workers) == 400
    assert len(pipeline.outputs()["cleared"]) == 400
    assert not any(_runs(pid) for pid in pids.values())
    assert {line["instance_id"] for line in supervisor.events("claims")} == {"here-1", "here-2"}
    assert [line["exit_code"] for line in supervisor.events("worker ended")] == [0, 0]


def _assigned(supervisor: Worker) -> dict[str, int]:
    """How many partitions each worker was given last."""
    return {line["instance_id"]: line["partitions"] for line in supervisor.events("ready")}


def test_a_killed_worker_comes_back(pipeline: Pipeline, folder: Path) -> None:
    """A worker that is killed is started again; its end is in the log, and all claims are decided."""
    with pipeline.worker("--workers", "2") as supervisor:
        _wait_until_ready(supervisor, folder, 2)
        os.kill(_pids(supervisor)[2], signal.SIGKILL)
        eventually(lambda: len(supervisor.events("worker started")) == 3)
        _wait_until_ready(supervisor, folder, 2)
        pipeline.send([(None, claim_event(number)) for number in range(100)])
        pipeline.wait_for_all()
        assert supervisor.terminate() == 0
    (ended, *_) = supervisor.events("worker ended")

    assert (ended["worker"], ended["exit_code"]) == (2, -signal.SIGKILL)
    assert [line["seconds"] for line in supervisor.events("worker restarts")] == [1]


def test_workers_end_with_a_supervisor_that_is_killed(pipeline: Pipeline, folder: Path) -> None:
    """Workers whose supervisor is killed stop in good order by themselves."""
    with pipeline.worker("--workers", "2") as supervisor:
        _wait_until_ready(supervisor, folder, 2)
        pids = _pids(supervisor)
        supervisor.kill()
        eventually(lambda: not any(_runs(pid) for pid in pids.values()))

    assert len(supervisor.events("stopped")) == 2


def test_a_worker_that_does_not_end_is_killed(pipeline: Pipeline, folder: Path) -> None:
    """A worker that does not end in time is killed, and the exit code says that not all was in order."""
    with pipeline.worker("--workers", "2", CLAIMSCRUB_STOP_TIMEOUT_SECONDS="2") as supervisor:
        _wait_until_ready(supervisor, folder, 2)
        pids = _pids(supervisor)
        os.kill(pids[1], signal.SIGSTOP)
        assert supervisor.terminate() == 3

    assert not any(_runs(pid) for pid in pids.values())
    assert [line["worker"] for line in supervisor.events("worker killed")] == [1]


def test_a_rolling_restart_moves_no_partition(pipeline: Pipeline, folder: Path) -> None:
    """On SIGHUP the workers restart one after another, each gets its partitions back, and no claim is decided twice."""
    pipeline.extra["CLAIMSCRUB_SESSION_TIMEOUT_SECONDS"] = "20"  # a worker must be back before it counts as gone
    with pipeline.worker("--workers", "2") as supervisor:
        _wait_until_ready(supervisor, folder, 2)
        eventually(lambda: sorted(_assigned(supervisor).items()) == [("here-1", 2), ("here-2", 2)])
        before = len(supervisor.events("ready"))
        supervisor.process.send_signal(signal.SIGHUP)
        for part in range(20):
            pipeline.send([(None, claim_event(part * 100 + number)) for number in range(100)])
            time.sleep(0.2)
        eventually(lambda: supervisor.events("rolling restart done"), 60)
        pipeline.wait_for_all()
        assert supervisor.terminate() == 0
    steps = [
        (line["event"], line["instance_id"])
        for line in supervisor.lines()
        if line["event"] in {"worker ended", "worker started", "ready"}
    ]

    assert steps[2 + before : -2] == [
        (step, worker) for worker in ("here-1", "here-2") for step in ("worker ended", "worker started", "ready")
    ]
    assert sorted(_assigned(supervisor).items()) == [("here-1", 2), ("here-2", 2)]
    assert len(pipeline.outputs()["cleared"]) == 2_000


def test_a_run_of_dead_letters_stops_all_workers(pipeline: Pipeline, folder: Path) -> None:
    """A fault that a restart would only repeat ends the supervisor, with the exit code of its own and a sentence."""
    pipeline.send([(None, b"junk") for _ in range(200)])
    supervisor = pipeline.worker("--workers", "2", CLAIMSCRUB_DEADLETTER_RUN="20")

    assert supervisor.wait() == 4
    assert supervisor.log.strip().splitlines()[-1].startswith("claimscrub: worker ")
    assert "CLAIMSCRUB_DEADLETTER_SHARE" in supervisor.log.strip().splitlines()[-1]
    assert not any(_runs(pid) for pid in _pids(supervisor).values())


def test_more_workers_than_partitions_are_a_warning(kafka: Cluster, topic_prefix: str, tmp_path: Path) -> None:
    """A worker without a partition stands by, which is said at the start, and is not ready."""
    pipeline = Pipeline(kafka, topic_prefix, tmp_path, partitions=1)
    pipeline.create_topics()
    (port,) = free_ports(1)
    pipeline.extra |= {"CLAIMSCRUB_INSTANCE_ID": "here", "CLAIMSCRUB_METRICS_PORT": str(port)}
    with pipeline.worker("--workers", "2") as supervisor:
        eventually(lambda: sorted(_assigned(supervisor).values()) == [0, 1])
        (idle,) = [number for number in (1, 2) if not _assigned(supervisor)[f"here-{number}"]]
        eventually(lambda: missing(port) == [f"worker {idle}: partitions: none is assigned"])
    (warning,) = supervisor.events("more workers than partitions")

    assert (warning["workers"], warning["partitions"]) == (2, 1)


def test_what_is_wrong_for_all_is_said_once(kafka: Cluster, topic_prefix: str, tmp_path: Path) -> None:
    """A missing topic is one sentence and exit code 3, before any worker is started."""
    ended = Pipeline(kafka, topic_prefix, tmp_path).run("worker", "--workers", "3")

    assert ended.returncode == 3
    assert ended.stderr.count("claimscrub topics create") == 1
    assert "worker started" not in ended.stderr
