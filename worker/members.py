"""Keys of members: whose history a claim or a claim status belongs to."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from rules.engine.claim import Payer


class Members:
    """Makes the key of a member: a keyed hash of payer and member number.

    Args:
        secret: of the hash.
        recognise: gives the payer profile key of a payer.
    """

    def __init__(self, secret: str, recognise: Callable[[Payer], str]) -> None:
        self._secret = secret.encode()
        self._recognise = recognise

    def key_of(self, payer: Payer, member_number: str) -> bytes | None:
        """The record key; None without a member number."""
        if not member_number:
            return None
        text = f"{self._recognise(payer)}\n{member_number}"
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()[:32].encode()
