"""What came out, record by record, beside what an undisturbed worker makes of the same events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from tests.chaos.load import Sent
from tests.kafka_broker import Cluster
from tests.worker_process import OUTPUTS

_READ_SECONDS = 600.0


class Answer(NamedTuple):
    """One record on an output topic, as a read_committed reader sees it.

    Attributes:
        event_id: the event that it says it answers: topic-partition-offset.
        claim_id: the claim of its decision; None for a dead letter.
        topic: cleared, flagged or deadletter.
        partition: of that topic.
        place: where and when it was written, for whoever has to look into it.
        digest: of topic, partition, key, value and headers. Not of the timestamp, which is the time of writing.
    """

    event_id: str
    claim_id: str | None
    topic: str
    partition: int
    digest: bytes
    place: str = ""


@dataclass
class Verdict:
    """Ids of events for which the promise is broken."""

    lost: set[str] = field(default_factory=set)
    duplicated: set[str] = field(default_factory=set)
    different: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return f"{len(self.lost)} lost, {len(self.duplicated)} duplicated, {len(self.different)} different"

    def holds(self, delivery: str) -> bool:
        """Whether a delivery keeps its promise."""
        return not (self.lost or self.different or (self.duplicated and delivery == "exactly_once"))


def read_answers(cluster: Cluster, topics: Mapping[str, str]) -> Iterator[Answer]:
    """What stands committed on the output topics, in order within each partition."""
    for topic in OUTPUTS:
        for message in cluster.read(topics[topic], _READ_SECONDS):
            headers = message.headers() or []
            event_id = (dict(headers).get("ce_id") or b"").decode()
            value = message.value()
            claim_id = None if topic == "deadletter" else json.loads(value)["decision"]["claim_id"]
            written = (topic, message.partition(), message.key(), value, headers)
            digest = sha256(repr(written).encode()).digest()
            place = f"{topic}-{message.partition()}-{message.offset()} at {message.timestamp()[1]} ms"
            yield Answer(event_id, claim_id, topic, message.partition(), digest, place)


def read_history(cluster: Cluster, topic: str) -> dict[tuple[int, bytes], bytes | None]:
    """Partition and key → the record of a member that stands at last."""
    return {(message.partition(), message.key()): message.value() for message in cluster.read(topic, _READ_SECONDS)}


def judge(sent: Mapping[str, Sent], answers: Iterable[Answer], undisturbed: Mapping[str, bytes]) -> Verdict:
    """Count each event once.

    What a zombie writes is seen here as well: the worker that took over decides the same event, so it is there twice.

    Args:
        sent: id of each event → what it is, and where its answer belongs.
        answers: what came out.
        undisturbed: id of each event → digest of the answer of an undisturbed worker.

    Returns:
        Lost is an event without an answer, duplicated one with several. Different is an answer that is not equal to the
        undisturbed one, is of another claim, of an event that was never sent, or stands in another partition than its
        member's, or out of order: each partition of a topic has the first answers to the events of an input partition
        in their order.
    """
    verdict = Verdict()
    answered: set[str] = set()
    latest: dict[tuple[str, int, int], int] = {}
    for answer in answers:
        if answer.event_id in answered:
            verdict.duplicated.add(answer.event_id)
        elif answer.event_id not in sent or not _in_order(answer, latest):
            verdict.different.add(answer.event_id)
        answered.add(answer.event_id)
        is_right = (answer.claim_id, answer.partition) == sent.get(answer.event_id)
        if not is_right or answer.digest != undisturbed.get(answer.event_id):
            verdict.different.add(answer.event_id)
    verdict.lost = sent.keys() - answered
    return verdict


def _in_order(answer: Answer, latest: dict[tuple[str, int, int], int]) -> bool:
    _, partition, offset = answer.event_id.rsplit("-", 2)
    way = (answer.topic, int(partition), answer.partition)
    before = latest.get(way, -1)
    latest[way] = max(before, int(offset))
    return int(offset) > before
