"""Prints a work list of what is on claims.flagged: each claim, and what is to be repaired in it.

    python flagged_worklist.py

At least once: the position is committed after printing, so that a crash repeats lines rather than losing one.
"""

import asyncio
import json
import os
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer

SERVERS = os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092")
TOPIC = os.environ.get("FLAGGED_TOPIC", "claims.flagged")
GROUP = os.environ.get("GROUP_ID", "flagged-worklist")


def show(claim: dict[str, Any], decision: dict[str, Any]) -> None:
    """One claim; warnings and remarks travel with the decision too, but only errors flag a claim."""
    # In monitor mode the claim has gone on all the same.
    note = "  (monitor: sent on)" if decision.get("mode") == "monitor" else ""
    print(f"{decision['claim_id']}  {decision['payer']}  ${claim.get('total_charge_amount') or '?'}{note}")
    for finding in decision["findings"]:
        if finding["severity"] == "error":
            where = "claim" if finding["line"] is None else f"line {finding['line']}"
            print(f"  {finding['rule_id']}  {where}  {finding['field']}  CARC {finding['carc']}: {finding['message']}")
            print(f"      {finding['remedy']}", flush=True)


async def main() -> None:
    """Print until it is interrupted."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=SERVERS,
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",  # else decisions of aborted transactions would show, too
    )
    async with consumer:
        while True:
            fetched = await consumer.getmany(timeout_ms=1_000)
            for records in fetched.values():
                for record in records:
                    envelope = json.loads(record.value)
                    show(envelope["claim"], envelope["decision"])
            if fetched:
                await consumer.commit()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
