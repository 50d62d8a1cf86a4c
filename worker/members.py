"""Who a claim is about, as marks that tell two members apart and say nothing about either.

Keys of claim events and of history are keyed hashes, so neither a topic nor a disk holds a member number, a name or a
birth date. Whoever publishes claim events can make the key without claimscrub:

    base64url(HMAC-SHA256(secret, payer key + "|" + member number in capitals, without blanks around it)[:12])

and Kafka's own default partitioner (murmur2 of the key) then finds the partition.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache

from aiokafka.partitioner import murmur2

from rules import Claim, Patient
from rules.engine.claim import Payer
from rules.engine.payer import ROOT

_KEY_BYTES = 12
_MARK_BYTES = 6
_REMEMBERED = 65_536


class Members:
    """Keys and marks under one secret.

    Args:
        secret: the same for everything that publishes to, or reads from, one set of topics.
        recognise: gives the payer key of a claim's payer, `RuleSet.recognised`.
    """

    def __init__(self, secret: str, recognise: Callable[[Payer], str]) -> None:
        self._secret = secret.encode()
        self._recognise = recognise
        self._mark = lru_cache(_REMEMBERED)(self._find_mark)

    @property
    def fingerprint(self) -> str:
        """Tells two secrets apart without giving either away."""
        return self._find_mark("fingerprint|")

    def key_of(self, payer: Payer, member_number: str) -> bytes | None:
        """The key of a member's claim events and history; None without a member number.

        Args:
            payer: the claim's. One that is not recognised is told apart by its identifier, else its name, else its key.
            member_number: in any case, with or without blanks around it.
        """
        member_number = member_number.strip().upper()
        if not member_number:
            return None
        payer_key = self._recognise(payer)
        if payer_key == ROOT:
            payer_key = f"{ROOT}:{payer.payer_id or payer.name.upper() or payer.key}"
        return urlsafe_b64encode(self._hash(f"{payer_key}|{member_number}")[:_KEY_BYTES])

    def key_of_claim(self, claim: Claim) -> bytes | None:
        """The key of a claim's member."""
        return self.key_of(claim.payer, claim.subscriber.member_number)

    def event_key(self, claim: Claim) -> bytes:
        """What a claim event is published under: the key of its member, else its claim id."""
        return self.key_of_claim(claim) or claim.claim_id.encode()

    def patient_of(self, claim: Claim) -> Patient:
        """Marks of who is the patient: of those with one member number, birth date and first name tell."""
        birth_date = claim.patient_birth_date
        first_names = claim.patient_first_name.casefold().split()
        return Patient(
            "" if birth_date is None else self._mark(f"birth|{birth_date}"),
            self._mark(f"name|{first_names[0]}") if first_names else "",
        )

    def _find_mark(self, text: str) -> str:
        return urlsafe_b64encode(self._hash(text)[:_MARK_BYTES]).decode()

    def _hash(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode(), "sha256")


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's own default partitioner finds for a key."""
    number: int = murmur2(key) & 0x7FFFFFFF
    return number % partitions
