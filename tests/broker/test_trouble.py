"""What goes wrong around a worker: brokers that are not up, disks that take nothing, topics that do not fit."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.kafka_broker import Cluster, KafkaBroker, free_ports
from tests.scraping import get, missing
from tests.worker_process import Pipeline, claim_event, eventually

pytestmark = pytest.mark.broker


def test_a_worker_waits_for_its_brokers(topic_prefix: str, tmp_path: Path) -> None:
    """While no broker answers the worker says so now and then and is not ready; when one comes up it goes on.

    All the while it is alive, and it notices brokers that fall silent later, too.
    """
    folder = tmp_path / "data"
    broker = KafkaBroker(tmp_path / "kafka")
    (port,) = free_ports(1)
    extra = {"CLAIMSCRUB_DATA_DIRECTORY": str(folder), "CLAIMSCRUB_METRICS_PORT": str(port)}
    pipeline = Pipeline(broker, topic_prefix, tmp_path, extra=extra | {"CLAIMSCRUB_SESSION_TIMEOUT_SECONDS": "6"})
    try:
        broker.start()
        pipeline.create_topics()
        pipeline.send([(None, claim_event(number)) for number in range(10)])
        broker.stop()
        with pipeline.worker() as worker:
            eventually(lambda: len(worker.events("waiting")) == 2)
            assert not (folder / "ready").exists()
            assert missing(port) == ["worker: waiting for the brokers"]
            assert get(port, "/healthz") == (200, "ok\n")
            broker.start()
            worker.wait_until_ready()
            assert (folder / "ready").exists()
            assert missing(port) == []
            pipeline.wait_for_all()
            broker.freeze()
            silent = eventually(lambda: missing(port))
            assert re.fullmatch(r"brokers: no answer to a fetch for \d s", silent[0]), silent
            assert get(port, "/healthz") == (200, "ok\n")
            broker.thaw()
            eventually(lambda: missing(port) == [])
            assert worker.terminate() == 0
        assert not (folder / "ready").exists()
    finally:
        broker.stop()
    waits = [line["timestamp"] for line in worker.events("waiting")]
    assert len({stamp[:19] for stamp in waits}) == len(waits)  # never twice in a second
    assert "CLAIMSCRUB_BOOTSTRAP_SERVERS" in worker.events("waiting")[0]["reason"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_a_waiting_worker_can_be_stopped(tmp_path: Path, number: int, options: tuple[str, ...]) -> None:
    """A stop while no broker answers ends the worker at once and in good order."""
    with Pipeline(Cluster("127.0.0.1:1"), "x-", tmp_path).worker(*options) as worker:
        eventually(lambda: worker.events("waiting"))
        worker.process.send_signal(number)
        assert worker.wait(4) == 0  # a call to a broker that does not answer takes five seconds

    assert "Traceback" not in worker.log


def test_a_worker_whose_brokers_are_gone_stops_in_time(topic_prefix: str, tmp_path: Path) -> None:
    """Brokers that died in the middle of the work can't hold up a stop, and nothing is lost or decided twice by it."""
    broker = KafkaBroker(tmp_path / "kafka")
    pipeline = Pipeline(broker, topic_prefix, tmp_path, extra={"CLAIMSCRUB_BATCH_RECORDS": "50"})
    try:
        broker.start()
        pipeline.create_topics()
        pipeline.send([(None, claim_event(number)) for number in range(4_000)])
        with pipeline.worker() as worker:
            eventually(lambda: pipeline.count() > 0)
            broker.kill()
            code = worker.terminate(10)
        broker.start()
        with pipeline.worker():
            pipeline.wait_for_all()
            time.sleep(1)
        outputs = pipeline.outputs()["cleared"]
    finally:
        pipeline.close()
        broker.stop()

    assert code in {0, 3}  # 0 if it happened to be between two batches
    assert sorted(json.loads(each.value())["decision"]["claim_id"] for each in outputs) == sorted(
        f"C{number}" for number in range(4_000)
    )


def test_a_log_that_can_t_be_written_costs_no_claim(pipeline: Pipeline) -> None:
    """With its log on a full disk a worker decides what comes, dead letters with their warnings too, and stops well."""
    pipeline.send([(None, claim_event(number) if number % 2 else b"junk") for number in range(400)])
    with Path("/dev/full").open("wb") as full, pipeline.worker(log=full) as worker:
        pipeline.wait_for_all()
        assert worker.terminate() == 0

    outputs = pipeline.outputs()
    assert (len(outputs["cleared"]), len(outputs["deadletter"])) == (200, 200)


def test_a_log_that_nobody_reads_costs_no_claim(pipeline: Pipeline) -> None:
    """A pipe that is full, as of a log collector that hangs, holds up no decision."""
    reading, writing = os.pipe()
    pipeline.send([(None, claim_event(number) if number % 3 else b"junk") for number in range(1_000)])
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as pipe, pipeline.worker(log=pipe) as worker:
        pipeline.wait_for_all()
        assert worker.terminate() == 0

    assert len(pipeline.outputs()["deadletter"]) == 334


def test_a_data_directory_that_vanishes_costs_a_warning(pipeline: Pipeline, tmp_path: Path) -> None:
    """Signs of life that can't be written any more are a warning; claims are decided as before."""
    folder = tmp_path / "data"
    with pipeline.worker(CLAIMSCRUB_DATA_DIRECTORY=str(folder)) as worker:
        worker.wait_until_ready()
        shutil.rmtree(folder)
        eventually(lambda: worker.events("sign not written"))
        pipeline.send([(None, claim_event(number)) for number in range(50)])
        pipeline.wait_for_all()
        assert worker.terminate() == 0

    assert len(pipeline.outputs()["cleared"]) == 50


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_a_data_directory_that_can_t_be_is_named(pipeline: Pipeline, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Where the folder can't be made the worker does not start, and one sentence names the setting."""
    (tmp_path / "file").touch()
    pipeline.extra["CLAIMSCRUB_DATA_DIRECTORY"] = str(tmp_path / "file" / "data")
    ended = pipeline.run("worker", *options)

    assert ended.returncode == 3
    assert ended.stderr.strip().splitlines()[-1].startswith("claimscrub: CLAIMSCRUB_DATA_DIRECTORY: ")
    assert "Traceback" not in ended.stderr


def test_a_data_directory_on_a_full_disk_is_named(pipeline: Pipeline, tmp_path: Path) -> None:
    """Where nothing can be written to the folder the worker does not start."""
    limited = 'ulimit -f 0 && exec "$@"'
    command = ["sh", "-c", limited, "sh", *pipeline.command("worker")]
    ended = subprocess.run(
        command, env={**pipeline.environment, "CLAIMSCRUB_DATA_DIRECTORY": str(tmp_path / "data")},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ended.returncode == 3
    assert "CLAIMSCRUB_DATA_DIRECTORY" in ended.stderr.strip().splitlines()[-1]


def test_partitions_are_brought_up_to_the_largest_number(kafka: Cluster, topic_prefix: str, tmp_path: Path) -> None:
    """The refusal of unequal counts names a command, and after that the worker starts."""
    pipeline = Pipeline(kafka, topic_prefix, tmp_path, extra={"CLAIMSCRUB_X12_TOPIC": ""})
    topics = pipeline.topics
    kafka.create_topics({topics["submitted"]: 2, topics["cleared"]: 3, topics["flagged"]: 2})
    assert pipeline.run("topics", "create").returncode == 0
    refused = pipeline.run("worker")
    assert refused.returncode == 3
    assert "claimscrub topics create --add-partitions" in refused.stderr.strip().splitlines()[-1]

    grown = pipeline.run("topics", "create", "--add-partitions")

    assert grown.returncode == 0
    assert grown.stdout.splitlines() == [
        f"{topics['submitted']}: 3 partitions instead of 2",
        f"{topics['repartition']}: exists",
        f"{topics['status']}: exists",
        f"{topics['overrides']}: exists",
        f"{topics['cleared']}: exists",
        f"{topics['flagged']}: 3 partitions instead of 2",
        f"{topics['deadletter']}: exists",
        f"{topics['history']}: exists",
    ]
    assert f"claimscrub: {topics['submitted']} has more partitions now" in grown.stderr
    with pipeline.worker() as worker:
        worker.wait_until_ready()
    assert worker.events("ready")[-1]["partitions"] == 3
    again = pipeline.run("topics", "create", "--add-partitions")
    assert again.stdout.count("exists") == 8
    assert again.stderr == ""
