"""The stream of claims: claims of many members, and what is no claim in between, sent all the time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random

from confluent_kafka import KafkaError, Message, Producer

from rules.engine.examples import a_line, as_json, claim_content
from tests.kafka_broker import Cluster

CLAIMS_PER_SECOND = 300
_BURST_SECONDS = 0.05
_MEMBERS = 500
_FLAGGED_EVERY = 5
_UNDATED_EVERY = 3
"""Claims that don't say when they were received: the record's timestamp does, and must do so at each delivery."""
_POISON_EVERY = 40
_NUMBER = "chaos-number"
_READ_SECONDS = 300.0
_OUTAGE_SECONDS = 600
"""Longer than any outage here, so that each record is acknowledged in the end and none has an unknown outcome."""


class Load:
    """Sends claims in bursts of random size from a thread of its own, whatever becomes of the broker.

    Attributes:
        acknowledged: number of each event that the broker acknowledged → id of its claim, None for poison.
        sent: id of each of those events (topic-partition-offset) → the same; empty before `stop`.
    """

    def __init__(self, cluster: Cluster, topic: str, random: Random) -> None:
        self.acknowledged: dict[int, str | None] = {}
        self.sent: dict[str, str | None] = {}
        self._cluster = cluster
        self._topic = topic
        self._random = random
        self._number = 0
        self._failures: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": cluster.bootstrap_servers,
                "enable.idempotence": True,  # with acknowledgements from all replicas; a retry doubles nothing
                "delivery.timeout.ms": _OUTAGE_SECONDS * 1000,
                "reconnect.backoff.max.ms": 500,
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
            self.sent[event_id] = self.acknowledged[number]

    def _send(self) -> None:
        most = round(2 * CLAIMS_PER_SECOND * _BURST_SECONDS)
        while not self._stopping.wait(_BURST_SECONDS):
            for _ in range(self._random.randint(0, most)):
                self._send_next()
            self._producer.poll(0)

    def _send_next(self) -> None:
        self._number += 1
        number = self._number
        claim_id: str | None = f"C{self._number}"
        value: bytes | None = self._claim(f"C{self._number}")
        if self._number % _POISON_EVERY == 0:
            cut_off = (value or b"")[:-1]
            claim_id, value = None, self._random.choice([None, b"", b"not json", b"[]", b"\xff\xfe", cut_off])

        def acknowledged(error: KafkaError | None, _: Message) -> None:
            if error is None:
                self.acknowledged[number] = claim_id
            else:
                self._failures.append(str(error))

        key = b"member-%d" % self._random.randrange(_MEMBERS)
        self._producer.produce(self._topic, value, key, headers=[(_NUMBER, b"%d" % number)], on_delivery=acknowledged)

    def _claim(self, claim_id: str) -> bytes:
        units = "2" if self._number % _FLAGGED_EVERY == 0 else "1"
        content = claim_content(claim_id=claim_id, lines=[a_line(units=units)])
        if self._number % _UNDATED_EVERY == 0:
            del content["received_date"]
        return as_json(content).encode()
