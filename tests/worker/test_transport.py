"""What the transport and the producer lean on inside of Faust and aiokafka, version by version.

Both are used beyond their documented interface, on purpose and in few places. Where a new version changes one of these
functions, the test names it: read what changed, mend `worker/transport.py` or `worker/brokers.py` where needed, run
`make chaos`, and put the new digest here.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from importlib.metadata import version

import pytest

CHECKED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}
"""The versions that the digests below were taken from."""

LEANED_ON = {
    # Overridden, or called around an override.
    "faust.transport.consumer:Consumer._drain_messages": "44a2500309e8",
    "faust.transport.consumer:Consumer._wait_next_records": "6218e1969a63",
    "faust.transport.consumer:Consumer._filter_tps_with_pending_acks": "f6f923977423",
    "faust.transport.consumer:Consumer._filter_committable_offsets": "dc5e9baf5d99",
    "faust.transport.consumer:Consumer._commit_tps": "a20e230b05ae",
    "faust.transport.consumer:Consumer._commit_offsets": "1a6979904118",
    "faust.transport.consumer:Consumer.commit_and_end_transactions": "892377824b11",
    "faust.transport.consumer:Consumer.getmany": "4b168d84882a",
    "faust.transport.consumer:Consumer.perform_seek": "0e8c130ff4b0",
    "faust.transport.consumer:Consumer.wait_empty": "e4662fe24f09",
    "faust.transport.consumer:Consumer.on_stop": "45b1d2210ce2",
    "faust.transport.consumer:Consumer.on_partitions_assigned": "29ce96596f05",
    "faust.transport.consumer:Consumer.on_partitions_revoked": "d04b7ae72c6f",
    "faust.transport.consumer:ThreadDelegateConsumer._getmany": "f9d47aa9010b",
    "faust.transport.consumer:ThreadDelegateConsumer.threadsafe_partitions_assigned": "50fac26841ad",
    "faust.transport.consumer:ThreadDelegateConsumer.threadsafe_partitions_revoked": "6c55d67e9eb0",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._create_worker_consumer": "c2701bfc3e6f",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.getmany": "26fc5fc9f3b6",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.on_thread_stop": "8dfc004e258b",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._fetch_records": "39a2c6c79fc1",
    "faust.transport.drivers.aiokafka:ConsumerRebalanceListener": "f3d04f29dfb3",
    "faust.transport.drivers.aiokafka:Producer.on_start": "219c9a7a785d",
    "faust.transport.drivers.aiokafka:Producer.on_stop": "86799c5ab7b6",
    "faust.transport.drivers.aiokafka:Producer.flush": "36d0cb3615f6",
    "mode.worker:Worker._schedule_shutdown": "1a6a5dfc88c2",
    # The order in which an app stops, and hands partitions over.
    "faust.app.base:App.on_stop": "bfe5a933defb",
    "faust.app.base:App._stop_consumer": "55854a5de12c",
    "faust.app.base:App._on_partitions_revoked": "d5c895bbe57d",
    "faust.app.base:App._on_partitions_assigned": "de932b7927db",
    # Who gets which partitions: all input topics' partitions of one number go to one worker; and where a key goes.
    "aiokafka.consumer.consumer:AIOKafkaConsumer.start": "2f1ba7044332",
    "aiokafka.coordinator.assignors.range:RangePartitionAssignor": "963e4a375767",
    "aiokafka.partitioner:murmur2": "62179ca18494",
    # What was last heard of a partition: its end, the position, and when.
    "aiokafka.consumer.subscription_state:TopicPartitionState": "2b83334afadf",
    # How records are read of what was fetched, for worker.header_names.
    "aiokafka.consumer.fetcher:PartitionRecords._unpack_records": "b803e6d46480",
    "aiokafka.record.memory_records:_MemoryRecordsPy": "795a0314fbca",
    "aiokafka.record.default_records:_DefaultRecordBatchPy": "f63fbb5a8a24",
    # How requests are sent, and connections shared.
    "aiokafka.client:AIOKafkaClient.send": "246b277687d7",
    "aiokafka.client:AIOKafkaClient._get_conn": "68ce5d839171",
    "aiokafka.client:AIOKafkaClient.coordinator_lookup": "19cc69fb75f8",
    "aiokafka.client:AIOKafkaClient.force_metadata_update": "cb7befef21c8",
    "aiokafka.conn:AIOKafkaConnection.send": "5909ea32f4ef",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.stop": "bc5da9c98595",
    "aiokafka.consumer.fetcher:Fetcher.close": "1cd24bc1c442",
    "aiokafka.protocol.api:Request.prepare": "3a65d9fdefe3",
    "aiokafka.protocol.produce:ProduceRequest_v7": "09879a10fb25",
}


def _digest(where: str) -> str:
    module, _, path = where.partition(":")
    found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return hashlib.sha256(inspect.getsource(found).encode()).hexdigest()[:12]


@pytest.mark.parametrize("where", LEANED_ON)
def test_the_libraries_are_as_they_were_when_the_transport_was_checked(where: str) -> None:
    """A function that the transport leans on has not changed since it was read."""
    installed = ", ".join(f"{name} {version(name)} (checked: {checked})" for name, checked in CHECKED.items())

    assert _digest(where) == LEANED_ON[where], f"{where} has changed with {installed}; see this file's first lines"
