"""The broker of the demo serves what the worker uses: groups, record batches with headers, committed offsets."""

from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from confluent_kafka.admin import AdminClient

from worker.memory_broker import MemoryBroker

PARTITIONS = 6


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    with MemoryBroker() as broker:
        broker.create_topics({"claims": PARTITIONS, "cleared": 3})
        yield broker


def test_topics_get_their_partitions(broker: MemoryBroker) -> None:
    """Every topic has the number of partitions it was created with."""
    topics = AdminClient({"bootstrap.servers": broker.bootstrap_servers}).list_topics(timeout=10).topics
    assert {name: len(topic.partitions) for name, topic in topics.items()} == {"claims": PARTITIONS, "cleared": 3}


def test_bad_topics_are_refused(broker: MemoryBroker) -> None:
    """A topic that exists, or that would have no partition, is refused by name."""
    with pytest.raises(ValueError, match=r"'claims' with 6 partitions: .*already exists"):
        broker.create_topics({"claims": PARTITIONS})
    with pytest.raises(ValueError, match="'empty' needs at least one partition"):
        broker.create_topics({"empty": 0})


def test_stopped_broker_says_so(broker: MemoryBroker) -> None:
    """A stopped broker can be stopped again, and makes no topics."""
    broker.stop()
    broker.stop()
    with pytest.raises(RuntimeError, match="stopped"):
        broker.create_topics({"late": 1})


@pytest.mark.asyncio
async def test_group_reads_records_with_headers(broker: MemoryBroker) -> None:
    """A consumer group reads back keys, values and headers of every record in every partition."""
    await _produce(broker, range(10))
    records = await _consume(broker, 10 * PARTITIONS)
    assert {(record.partition, record.offset, record.key, record.value, record.headers) for record in records} == {
        (partition, number, b"member", b"%d" % number, (("ce_id", b"%d/%d" % (partition, number)), ("ce_empty", b"")))
        for partition in range(PARTITIONS)
        for number in range(10)
    }


@pytest.mark.asyncio
async def test_next_consumer_continues_from_committed_offsets(broker: MemoryBroker) -> None:
    """A new member of a group starts where the last one committed, and reads nothing twice."""
    await _produce(broker, range(5))
    await _consume(broker, 5 * PARTITIONS)
    await _produce(broker, range(5, 8))
    records = await _consume(broker, 3 * PARTITIONS)
    assert sorted(record.offset for record in records) == sorted([5, 6, 7] * PARTITIONS)


async def _produce(broker: MemoryBroker, numbers: range) -> None:
    """Write one record batch of these numbers into every partition."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, enable_idempotence=True) as producer:
        for partition in range(PARTITIONS):
            batch = producer.create_batch()
            for number in numbers:
                headers = [("ce_id", b"%d/%d" % (partition, number)), ("ce_empty", b"")]
                assert batch.append(key=b"member", value=b"%d" % number, timestamp=None, headers=headers)
            batch.close()
            await (await producer.send_batch(batch, "claims", partition=partition))


async def _consume(broker: MemoryBroker, at_least: int) -> list[ConsumerRecord[bytes, bytes]]:
    """Read records as a member of one group until there are enough, and commit them."""
    consumer = AIOKafkaConsumer(
        "claims",
        bootstrap_servers=broker.bootstrap_servers,
        group_id="scrubbers",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
        session_timeout_ms=1500,  # this broker lets a group that had members wait so long, less 1 s
        heartbeat_interval_ms=300,
    )
    records: list[ConsumerRecord[bytes, bytes]] = []
    async with consumer:
        for _ in range(100):
            for found in (await consumer.getmany(timeout_ms=100)).values():
                records.extend(found)
            if len(records) >= at_least:
                break
        assert len(records) >= at_least, f"only {len(records)} of {at_least} records came"
        await consumer.commit()
        for partition in (TopicPartition("claims", number) for number in range(PARTITIONS)):
            assert await consumer.committed(partition) == await consumer.position(partition)
    return records
