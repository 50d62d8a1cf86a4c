"""Where a candidate runs: the cluster, the topics and consumer group of one run, and the claims submitted to it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.kafka_broker import Cluster, KafkaBroker
from tests.worker_process import SECRET

PARTITIONS = 8
SERVERS = "CLAIMSCRUB_TEST_BOOTSTRAP_SERVERS"
_COORDINATOR_SECONDS = 30.0
_OUTPUTS = ("cleared", "flagged", "deadletter")
_OWN = ("repartition", "status", "overrides", "history")


@contextmanager
def bench_cluster(settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """The user's cluster, or a broker that is started for this with these settings."""
    servers = os.environ.get(SERVERS)
    if servers:
        yield Cluster(servers)
    else:
        with KafkaBroker(settings=settings) as broker:
            yield broker


@contextmanager
def topics(cluster: Cluster, *names: str, **config: str) -> Iterator[None]:
    """Topics that are deleted in the end."""
    cluster.create_topics(dict.fromkeys(names, PARTITIONS), **config)
    try:
        yield
    finally:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
        for deleted in admin.delete_topics(list(names)).values():
            deleted.result()


class Stage:
    """One run's topics and group.

    Attributes:
        submitted: the topic of the claims.
        outputs: the three topics of what becomes of them.
        history: the topic of what is remembered of members.
        others: topics that only the worker reads.
        environment: the settings that say all this.
    """

    def __init__(self, cluster: Cluster, run: str, submitted: str, history: str | None = None) -> None:
        self.cluster = cluster
        self.submitted = submitted
        by_kind = {kind: f"{run}.{kind}" for kind in (*_OUTPUTS, *_OWN)}
        if history is not None:
            by_kind["history"] = history
        self.outputs = tuple(by_kind[kind] for kind in _OUTPUTS)
        self.history = by_kind["history"]
        self.others = tuple(by_kind[kind] for kind in _OWN if kind != "history")
        self.environment = {
            "CLAIMSCRUB_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
            "CLAIMSCRUB_GROUP_ID": run,
            "CLAIMSCRUB_LOG_FORMAT": "json",
            "CLAIMSCRUB_MEMBER_KEY_SECRET": SECRET,
            "CLAIMSCRUB_SUBMITTED_TOPIC": submitted,
            "CLAIMSCRUB_X12_TOPIC": "",
            **{f"CLAIMSCRUB_{kind.upper()}_TOPIC": topic for kind, topic in by_kind.items()},
        }
        servers = {"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0}
        self._admin = AdminClient(servers)
        # Never joins the group: it only asks what is committed, without waiting for transactions that are open.
        self._group = Consumer({**servers, "group.id": run, "isolation.level": "read_uncommitted"})
        self._latest = {
            TopicPartition(topic, partition): OffsetSpec.latest()
            for topic in self.outputs
            for partition in range(PARTITIONS)
        }

    def committed(self) -> int:
        """How many claims the group has committed."""
        positions = [TopicPartition(self.submitted, partition) for partition in range(PARTITIONS)]
        deadline = time.monotonic() + _COORDINATOR_SECONDS
        while True:
            try:
                return sum(max(0, position.offset) for position in self._group.committed(positions, timeout=10))
            except KafkaException as error:
                # A group's first question to a broker that was just started may come before its coordinator is there.
                if error.args[0].code() != KafkaError.NOT_COORDINATOR or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def ends(self) -> dict[tuple[str, int], int] | None:
        """End offsets of the outputs by topic and partition; None if a broker can't say just now."""
        answers = self._admin.list_offsets(self._latest, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        try:
            return {(asked.topic, asked.partition): answer.result().offset for asked, answer in answers.items()}
        except KafkaException:  # a broker may be a moment late to know that it leads a partition just made
            return None

    def close(self) -> None:
        """Let go of the clients."""
        self._group.close()


@contextmanager
def stage(cluster: Cluster, run: str, submitted: str, history: str | None = None) -> Iterator[Stage]:
    """A run on claims that stand in a topic.

    Args:
        cluster: where.
        run: name of the group, and how the names of its topics begin.
        submitted: topic of the claims.
        history: topic that holds a history already; else it has one of its own, and holds nothing.
    """
    made = Stage(cluster, run, submitted, history)
    with ExitStack() as stack:
        stack.enter_context(topics(cluster, *made.outputs, *made.others))
        if history is None:
            stack.enter_context(history_topic(cluster, made.history))
        stack.callback(made.close)
        yield made


@contextmanager
def history_topic(cluster: Cluster, name: str) -> Iterator[None]:
    """A topic for history, as `claimscrub topics create` makes it."""
    with topics(cluster, name, **{"cleanup.policy": "compact"}):
        yield


class Submitter:
    """Sends claim events as a busy sender does, not as a bulk load.

    Args:
        cluster: where to.
        topic: the topic of the claims.
        config: what to do otherwise.
    """

    def __init__(self, cluster: Cluster, topic: str, **config: Any) -> None:
        self._topic = topic
        self._failures: list[Any] = []
        self._producer = Producer(
            {
                "bootstrap.servers": cluster.bootstrap_servers,
                "enable.idempotence": True,
                "log_level": 0,
                "linger.ms": 20,
                "batch.size": 65_536,  # a few dozen claims
                "partitioner": "murmur2_random",  # that of Java and Quix, who so keep a claim's partition
                "delivery.report.only.error": True,
                "on_delivery": lambda error, _: self._failures.append(error),
                **config,
            }
        )

    def send(self, key: bytes, value: bytes, **more: Any) -> None:
        """Send one event; waits while the producer's queue is full."""
        while True:
            try:
                self._producer.produce(self._topic, value, key, **more)
                break
            except BufferError:
                self._producer.poll(0.1)

    def poll(self) -> None:
        """Let the producer say what failed."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has them all.

        Raises:
            RuntimeError: it has not.
        """
        if self._producer.flush(60) or self._failures:
            raise RuntimeError(f"the claims can't be submitted: {self._failures[:1] or 'no answer in 60 s'}")


def submit(cluster: Cluster, topic: str, events: Iterable[tuple[bytes, bytes]]) -> None:
    """Send claim events and wait until the broker has them."""
    submitter = Submitter(cluster, topic)
    for key, value in events:
        submitter.send(key, value)
    submitter.flush()
