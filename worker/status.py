"""Stub."""

from __future__ import annotations

from rules import Answer, ClaimError
from rules.engine.claim import Payer


class ClaimStatus:
    payer: Payer
    member_number: str
    claim_id: str

    @classmethod
    def from_json(cls, raw: bytes) -> ClaimStatus:
        raise ClaimError("$", "stub", "stub")

    def answer(self) -> Answer:
        raise NotImplementedError
