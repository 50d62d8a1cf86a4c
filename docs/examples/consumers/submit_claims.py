"""Sends claim events to claims.submitted: one JSON object a line, from standard input.

    python submit_claims.py < claims.ndjson

The key is the member's, so that a member's claims stay in order. Whoever does not know the secret sends under any key,
such as the claim id: the worker then sends the claim on to its member's partition itself.
"""

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from typing import Any

from aiokafka import AIOKafkaProducer

SERVERS = os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092")
TOPIC = os.environ.get("SUBMITTED_TOPIC", "claims.submitted")
SECRET = os.environ.get("CLAIMSCRUB_MEMBER_KEY_SECRET", "")


def key_of(claim: dict[str, Any]) -> bytes:
    """The member's key, as docs/history.md has it; the claim id where payer or member are not known."""
    payer = claim.get("payer", {}).get("key", "")  # as in decision.payer
    member = claim.get("subscriber", {}).get("member_number", "").strip().upper()
    if not (SECRET and payer and member):
        return str(claim["claim_id"]).encode()
    digest = hmac.new(SECRET.encode(), f"{payer}|{member}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest[:12])


def traceparent() -> bytes:
    """A trace that begins here. With OpenTelemetry, inject the context of your span instead."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01".encode()


async def main() -> None:
    """Send everything, and wait until the brokers have it."""
    # Idempotent: what the client sends again after a time-out is not there twice, and stays in order.
    async with AIOKafkaProducer(bootstrap_servers=SERVERS, enable_idempotence=True, linger_ms=5) as producer:
        sent = []
        for line in sys.stdin.buffer:
            if line.strip():
                # The bytes go as they are: what was sent is what the decision's input_digest is of.
                headers = [("content-type", b"application/json"), ("traceparent", traceparent())]
                sent.append(await producer.send(TOPIC, line.strip(), key=key_of(json.loads(line)), headers=headers))
        await asyncio.gather(*sent)  # raises where a broker refused one
        print(f"{len(sent)} claims sent to {TOPIC}")


if __name__ == "__main__":
    asyncio.run(main())
