"""An in-memory Kafka broker for `claimscrub demo`, so that a first look needs neither Java nor a cluster.

It is the mock cluster inside librdkafka, which confluent-kafka brings along: a TCP server on loopback that serves any
Kafka client, in C threads of its own. No Python code runs for it, so it takes no turn of the interpreter lock and needs
no process of its own. Linux and macOS only: Windows does not look into the libraries that an extension module uses.

What it is not: it keeps about 5 MB per partition and forgets the oldest records beyond that, and it forgets everything
when it stops. It answers the transaction calls, but shows aborted records to every reader and does not keep the offsets
sent within a transaction. Good for a demo, never a proof.

What its clients need:

- a short `fetch_max_wait_ms`: a fetch that found nothing waits that long, whatever is produced meanwhile;
- large producer batches: a fetch returns one batch per partition;
- a short `session_timeout_ms`: a group that had members before takes that long, less 1 s, to form again;
- `check_crcs=False` if anything writes transactions: their markers carry no checksum.

Why ctypes: the public API starts the same broker (`Producer({"test.mock.num.brokers": 1})`), but every topic in it has
four partitions. It does not serve CreateTopics, and no setting changes the number: only librdkafka's C function does.
"""

import ctypes
from collections.abc import Mapping
from typing import Self

from confluent_kafka import cimpl

_PRODUCER = 0  # the value of RD_KAFKA_PRODUCER
_FIRST_REBALANCE_MS = 100  # how long a new group waits for more members; the default of 3 s only makes a demo seem slow


def _librdkafka() -> ctypes.CDLL:
    """The very librdkafka that confluent-kafka runs on, bundled or the system's, found through its extension module."""
    lib = ctypes.CDLL(cimpl.__file__)
    pointer, text, integer = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (integer, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [integer, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_err2str": (text, [integer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, integer]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (integer, [pointer, text, integer, integer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(lib, name)
        except AttributeError:
            raise RuntimeError(f"no in-memory broker: this build of confluent-kafka lacks {name}") from None
        function.restype, function.argtypes = result, arguments
    return lib


class MemoryBroker:
    """One in-memory broker on a free port of loopback, running from construction until `stop`; a context manager."""

    def __init__(self) -> None:
        self._lib = _librdkafka()
        error = ctypes.create_string_buffer(512)
        settings = self._lib.rd_kafka_conf_new()
        # Errors only: this client exists to own the broker, and would warn that it has no bootstrap.servers of its own.
        self._lib.rd_kafka_conf_set(settings, b"log_level", b"3", error, len(error))
        self._client = self._lib.rd_kafka_new(_PRODUCER, settings, error, len(error))
        if not self._client:
            raise RuntimeError(f"cannot start the in-memory broker: {error.value.decode()}")
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            self._lib.rd_kafka_destroy(self._client)
            raise RuntimeError("cannot start the in-memory broker: no free port on 127.0.0.1")
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, _FIRST_REBALANCE_MS)
        self.bootstrap_servers: str = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create_topics(self, partitions: Mapping[str, int]) -> None:
        """Make each topic with its number of partitions."""
        if not self._cluster:
            raise RuntimeError("the in-memory broker is stopped")
        for topic, count in partitions.items():
            if count < 1:
                raise ValueError(f"topic {topic!r} needs at least one partition, not {count}")
            code = self._lib.rd_kafka_mock_topic_create(self._cluster, topic.encode(), count, 1)
            if code:
                reason = self._lib.rd_kafka_err2str(code).decode()
                raise ValueError(f"cannot create topic {topic!r} with {count} partitions: {reason}")

    def stop(self) -> None:
        """Close the broker and forget its records; stopping again does nothing."""
        if self._cluster:
            cluster, self._cluster = self._cluster, None
            self._lib.rd_kafka_mock_cluster_destroy(cluster)
            self._lib.rd_kafka_destroy(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
