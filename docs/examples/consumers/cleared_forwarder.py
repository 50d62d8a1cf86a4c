"""Forwards each cleared claim, the bytes that were sent and nothing else, to a topic of the next stage; exactly once.

    NEXT_TOPIC=clearinghouse.claims python cleared_forwarder.py

Position and claims are written in one transaction. The name of the transactions is fixed: a second copy of this
program shuts the first one out, which then ends with an error, instead of forwarding beside it. So it takes all
partitions, and needs no consumer group but for the position.

Without such a program in between: CLAIMSCRUB_CLEARED_FORMAT=claim has the worker publish the claim's own bytes itself.
"""

import asyncio
import hashlib
import json
import os
from collections import deque
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

SERVERS = os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092")
TOPIC = os.environ.get("CLEARED_TOPIC", "claims.cleared")
NEXT_TOPIC = os.environ.get("NEXT_TOPIC", "clearinghouse.claims")
GROUP = os.environ.get("GROUP_ID", "cleared-forwarder")
BEFORE_CLAIM, BEFORE_DECISION = b'{"claim":', b',"decision":'
REMEMBERED = 100_000


def claim_in(value: bytes) -> bytes:
    """The claim event's own bytes; parsed and written anew they would be others."""
    # Latin-1 gives each byte one character, so that positions in the text are positions in the bytes.
    text = value.decode("latin-1")
    begin = len(BEFORE_CLAIM)
    while text[begin].isspace():
        begin += 1
    _, end = json.JSONDecoder().raw_decode(text, begin)
    end = value.index(BEFORE_DECISION, end)
    claim = value[len(BEFORE_CLAIM) : end]
    digest = json.loads(value)["decision"]["input_digest"]
    if f"sha256:{hashlib.sha256(claim).hexdigest()}" != digest:
        raise ValueError("these are not the bytes that the decision is about")
    return claim


def read(record: ConsumerRecord) -> tuple[bytes, bytes]:
    """The id of the event, and the claim, in either format of the cleared topic (CLAIMSCRUB_CLEARED_FORMAT)."""
    headers = dict(record.headers)
    if "claimscrub_decision" in headers:
        return headers["claimscrub_id"], record.value
    return headers["ce_id"], claim_in(record.value)


async def main() -> None:
    """Forward until it is interrupted."""
    producer = AIOKafkaProducer(bootstrap_servers=SERVERS, transactional_id=GROUP)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=SERVERS,
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,  # the transaction commits
        isolation_level="read_committed",
    )
    # Needed only where the workers run with CLAIMSCRUB_DELIVERY=at_least_once: a killed worker's claims come twice,
    # soon after each other, under the same id. The id goes on as a header, for whoever reads further back.
    recent: deque[bytes] = deque()
    seen: set[bytes] = set()
    # The producer first: its start ends the transaction of a copy that was killed, and only then the position holds.
    async with producer, consumer:
        consumer.assign([TopicPartition(TOPIC, each) for each in await producer.partitions_for(TOPIC)])
        while True:
            fetched = await consumer.getmany(timeout_ms=1_000, max_records=500)
            if not fetched:
                continue
            async with producer.transaction():
                for records in fetched.values():
                    for record in records:
                        event_id, claim = read(record)
                        if event_id in seen:
                            continue
                        seen.add(event_id)
                        recent.append(event_id)
                        if len(recent) > REMEMBERED:
                            seen.discard(recent.popleft())
                        headers = [each for each in record.headers if each[0] in ("traceparent", "tracestate")]
                        headers += [("content-type", b"application/json"), ("claimscrub_id", event_id)]
                        await producer.send(NEXT_TOPIC, claim, key=record.key, headers=headers)
                positions = {place: records[-1].offset + 1 for place, records in fetched.items()}
                await producer.send_offsets_to_transaction(positions, GROUP)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
