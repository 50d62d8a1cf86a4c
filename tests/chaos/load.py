"""The stream of claims: those of a few members again and again, of many others, and what is no claim in between."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from rules.engine.examples import a_line, as_json, claim_content
from tests.kafka_broker import Cluster
from tests.worker_process import member_key, of_member
from worker.members import partition_of

CLAIMS_PER_SECOND = 300
_BURST_SECONDS = 0.05
_FEW = 80
"""Members to whom half of the claims belong, so that most of them have a history of some length."""
_MANY = 100_000
_ELSEWHERE_EVERY = 8
"""Members whose claims come under another key, always the same, to a partition that is seldom theirs."""
_FLAGGED_EVERY = 5
_UNDATED_EVERY = 3
"""Claims that don't say when they were received: the record's timestamp does, and must do so at each delivery. All are
received on the day of the run, so that it does not matter which of them comes first to a partition's history."""
_AGAIN_EVERY = 25
"""Events that are sent once more, byte for byte."""
_REMEMBERED = 500
_CORRECTED_EVERY = 10
_CODES = ("63685", "63685", "63650", "99213", "95972")
_DAYS = 28
_POISON_EVERY = 40
_NUMBER = "chaos-number"
_READ_SECONDS = 300.0
_OUTAGE_SECONDS = 600
"""Longer than any outage here, so that each record is acknowledged in the end and none has an unknown outcome."""


class Sent(NamedTuple):
    """An event that was sent.

    Attributes:
        claim_id: of its claim; None for poison.
        partition: where its answer belongs: its member's; that of the event for poison.
    """

    claim_id: str | None
    partition: int


class Load:
    """Sends claims in bursts of random size from a thread of its own, whatever becomes of the broker.

    Attributes:
        acknowledged: number of each event that the broker acknowledged → id of its claim, None for poison.
        sent: id of each of those events (topic-partition-offset) → what it is; empty before `stop`.
    """

    def __init__(self, cluster: Cluster, topic: str, partitions: int, random: Random) -> None:
        self.acknowledged: dict[int, str | None] = {}
        self.sent: dict[str, Sent] = {}
        self._cluster = cluster
        self._topic = topic
        self._partitions = partitions
        self._random = random
        self._today = datetime.now(UTC).date().isoformat()
        self._latest: deque[tuple[str, bytes, bytes]] = deque(maxlen=_REMEMBERED)
        self._number = 0
        self._failures: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": cluster.bootstrap_servers,
                "enable.idempotence": True,  # with acknowledgements from all replicas; a retry doubles nothing
                "delivery.timeout.ms": _OUTAGE_SECONDS * 1000,
                "reconnect.backoff.max.ms": 500,
                "partitioner": "murmur2_random",  # Kafka's own, which finds the partition of a member
                "linger.ms": 5,
                "log_level": 0,
            }
        )
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._sending = self._thread.submit(self._send)

    def stop(self) -> None:
        """Send no more, and wait until every record is acknowledged; nothing if it was stopped before.

        Raises:
            RuntimeError: the outcome of a record is not known, so that nothing could be counted.
        """
        self._stopping.set()
        self._thread.shutdown()
        self._sending.result()
        left = self._producer.flush(60)
        if left or self._failures:
            raise RuntimeError(f"the load itself failed: {left} records not acknowledged, {self._failures[:3]}")
        self._find_sent()

    def _find_sent(self) -> None:
        # The topic says where an event is: a repeated one that the broker has already is acknowledged without offset.
        for message in self._cluster.read(self._topic, _READ_SECONDS):
            number = int(dict(message.headers())[_NUMBER])
            event_id = f"{message.topic()}-{message.partition()}-{message.offset()}"
            claim_id = self.acknowledged[number]
            partition = message.partition()
            if claim_id is not None:
                key = member_key(message.value())
                assert key is not None
                partition = partition_of(key, self._partitions)
            self.sent[event_id] = Sent(claim_id, partition)

    def _send(self) -> None:
        most = round(2 * CLAIMS_PER_SECOND * _BURST_SECONDS)
        while not self._stopping.wait(_BURST_SECONDS):
            for _ in range(self._random.randint(0, most)):
                self._send_next()
            self._producer.poll(0)

    def _send_next(self) -> None:
        self._number += 1
        number = self._number
        claim_id: str | None
        value: bytes | None
        claim_id, key, value = self._next()
        if number % _POISON_EVERY == 0:
            claim_id, value = None, self._random.choice([None, b"", b"not json", b"[]", b"\xff\xfe", value[:-1]])

        def acknowledged(error: KafkaError | None, _: Message) -> None:
            if error is None:
                self.acknowledged[number] = claim_id
            else:
                self._failures.append(str(error))

        self._producer.produce(self._topic, value, key, headers=[(_NUMBER, b"%d" % number)], on_delivery=acknowledged)

    def _next(self) -> tuple[str, bytes, bytes]:
        """Claim id, key and bytes of an event; a member's come all under one key, so that they keep their order."""
        if self._latest and self._number % _AGAIN_EVERY == 0:
            return self._random.choice(self._latest)
        of_few = self._random.random() < 0.5
        member = self._random.randrange(_FEW) if of_few else _FEW + self._random.randrange(_MANY)
        claim_id = f"C{self._number}"
        value = as_json(self._claim(claim_id, member)).encode()
        key = b"elsewhere-%d" % member if member % _ELSEWHERE_EVERY == 0 else member_key(value)
        assert key is not None
        made = (claim_id, key, value)
        self._latest.append(made)
        return made

    def _claim(self, claim_id: str, member: int) -> dict[str, Any]:
        units = "2" if self._number % _FLAGGED_EVERY == 0 else "1"
        day = f"2026-08-{self._random.randint(1, _DAYS):02}"
        content = claim_content(
            claim_id=claim_id,
            received_date=self._today,
            patient_control_number=f"PCN-{member}-{self._random.randrange(5)}",
            lines=[a_line(self._random.choice(_CODES), units=units, service_date=day)],
        )
        if self._number % _CORRECTED_EVERY == 0:
            content |= {"frequency_code": self._random.choice("78"), "original_reference_number": "ICN1"}
        if self._number % _UNDATED_EVERY == 0:
            del content["received_date"]
        return of_member(member, content)
