"""Says what arrives on claims.deadletter, why, and whether it is more than a sender's odd mistake.

    python deadletter_monitor.py

It looks at headers alone: they say where the event had stood and what is wrong with it, and never hold a value of it.
"""

import asyncio
import os
import time
from collections import Counter, deque
from contextlib import suppress

from aiokafka import AIOKafkaConsumer

SERVERS = os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092")
TOPIC = os.environ.get("DEADLETTER_TOPIC", "claims.deadletter")
GROUP = os.environ.get("GROUP_ID", "deadletter-monitor")
ALERT_PER_MINUTE = int(os.environ.get("ALERT_PER_MINUTE", "10"))
_ERRORS = "__connect.errors."  # the header names of Kafka Connect's dead-letter queue


async def main() -> None:
    """Watch until it is interrupted."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=SERVERS,
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    reasons: Counter[str] = Counter()
    last_minute: deque[float] = deque()
    alerted = False
    async with consumer:
        while True:
            fetched = await consumer.getmany(timeout_ms=1_000)
            now = time.time()
            for records in fetched.values():
                for record in records:
                    headers = {name: (value or b"").decode() for name, value in record.headers}
                    where = "-".join(headers.get(_ERRORS + name, "?") for name in ("topic", "partition", "offset"))
                    reason = headers.get(_ERRORS + "exception.message", "no reason given")
                    reasons[reason] += 1
                    last_minute.append(record.timestamp / 1_000)
                    claim_id = headers.get("ce_subject", "-")  # where it could be read
                    print(f"{where}  {claim_id}  {reason}  ({reasons[reason]})", flush=True)
            while last_minute and last_minute[0] < now - 60:
                last_minute.popleft()
            if len(last_minute) >= ALERT_PER_MINUTE and not alerted:
                print(f"ALERT: {len(last_minute)} dead letters within a minute; is a sender broken?", flush=True)
            alerted = len(last_minute) >= ALERT_PER_MINUTE
            if fetched:
                await consumer.commit()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
