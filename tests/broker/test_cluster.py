"""A worker on two brokers: one of them dies and comes back, and leaders move."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import ElectionType
from confluent_kafka.admin import AdminClient

from tests.kafka_broker import Cluster, KafkaBroker
from tests.worker_process import Pipeline, claim_event, eventually, kill_at_work

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        bool(os.environ.get("CLAIMSCRUB_TEST_BOOTSTRAP_SERVERS")),
        reason="brokers that the user provides are not ours to kill",
    ),
]

REPLICATED = {
    "default.replication.factor": "2",
    "offsets.topic.replication.factor": "2",
    "transaction.state.log.replication.factor": "2",
}
"""With the usual single in-sync replica as the least, either broker can go on alone."""
_KILLS = 6


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[tuple[KafkaBroker, KafkaBroker]]:
    """Two brokers; the second one may fail."""
    with (
        KafkaBroker(tmp_path / "first", REPLICATED) as first,
        KafkaBroker(tmp_path / "second", REPLICATED, joins=first) as second,
    ):
        yield first, second


def test_every_event_is_decided_once_while_leaders_move(
    brokers: tuple[KafkaBroker, KafkaBroker], tmp_path: Path
) -> None:
    """A broker that dies takes leaders and coordinators with it and gets them back; each event gets one decision."""
    first, second = brokers
    cluster = Cluster(f"{first.bootstrap_servers},{second.bootstrap_servers}")
    pipeline = Pipeline(cluster, "moved-", tmp_path)
    pipeline.create_topics()
    admin = AdminClient({"bootstrap.servers": first.bootstrap_servers, "log_level": 0})

    def claims_come_in_until(leaders: set[int], in_sync: int) -> None:
        deadline = time.monotonic() + 60
        while True:
            claims = range(pipeline.sent, pipeline.sent + 500)
            pipeline.send(
                [(None, claim_event(number)) for number in claims], **{"enable.idempotence": True, "log_level": 0}
            )
            if _placement(admin, pipeline.topics["submitted"]) == (leaders, in_sync * pipeline.partitions):
                return
            assert time.monotonic() < deadline, f"brokers {leaders} do not lead with {in_sync} replicas in sync"

    with pipeline.worker() as worker:
        worker.wait_until_ready()
        claims_come_in_until({1, 2}, in_sync=2)
        second.kill()
        claims_come_in_until({1}, in_sync=1)
        second.start()
        claims_come_in_until({1}, in_sync=2)
        admin.elect_leaders(ElectionType.PREFERRED).result()
        claims_come_in_until({1, 2}, in_sync=2)
        eventually(lambda: len(pipeline.decided()) >= pipeline.sent, 60)
        assert worker.terminate() == 0
    decided = pipeline.decided()

    assert len(decided) == pipeline.sent
    assert set(decided.values()) == {1}


def test_nothing_is_missing_or_comes_twice_on_brokers_with_the_older_transactions(tmp_path: Path) -> None:
    """Brokers before Kafka 4.0, and clusters not finalized since: partitions are added to a transaction by request."""
    with KafkaBroker(tmp_path / "broker", features={"transaction.version": 1}) as broker:
        pipeline = Pipeline(broker, "older-", tmp_path)
        pipeline.create_topics()
        answered = _decided_between_kills(pipeline)

    assert len(answered) == pipeline.sent
    assert set(answered.values()) == {1}


def _decided_between_kills(pipeline: Pipeline) -> Counter[str]:
    """How often each of a thousand events before each kill was answered, by workers killed at random moments."""
    moments = random.Random(63685)
    pipeline.extra["CLAIMSCRUB_BATCH_RECORDS"] = "200"
    for round_number in range(_KILLS):
        pipeline.send([(None, claim_event(round_number * 1_000 + number)) for number in range(1_000)])
        kill_at_work(pipeline, moments.uniform(0, 0.15))
    with pipeline.worker():
        eventually(lambda: len(pipeline.decided()) >= pipeline.sent, 60)
    return pipeline.decided()


def _placement(admin: AdminClient, topic: str) -> tuple[set[int], int]:
    """Which brokers lead partitions of a topic, and how many replicas are in sync over all of them."""
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions.values()
    return {each.leader for each in partitions}, sum(len(each.isrs) for each in partitions)
