"""From the bytes of one claim event to what is published about it. No Kafka and no asyncio in here.

The worker, the command line and the benchmark all go through `handle`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import sha256
from typing import NamedTuple

from rules import NO_HISTORY, Claim, ClaimError, Decision, Disposition, History, RuleSet
from worker.codec import decision_json, envelope
from worker.x12 import looks_like_x12


class Limits(NamedTuple):
    """Sizes in bytes beyond which an event is a dead letter."""

    claim: int
    message: int


class Outcome(NamedTuple):
    """What becomes of one event.

    Attributes:
        value: the bytes to publish: an envelope, or the event's own bytes if it is a dead letter.
        claim_id: the claim's id where it could be read.
        decision: the decision; None if the event is a dead letter.
        error: why it is a dead letter.
    """

    value: bytes | None
    claim_id: str | None
    decision: Decision | None
    error: ClaimError | None

    @property
    def disposition(self) -> Disposition | None:
        """Where the claim goes; None for a dead letter."""
        return None if self.decision is None else self.decision.disposition


_TELLING_BYTES = 64
_DIGEST_STEP = 2_047
DEFAULT_LIMITS = Limits(claim=1_048_576, message=2_097_152)


def handle(
    raw: bytes | None,
    ruleset: RuleSet,
    timestamp_ms: int | None = None,
    history: History = NO_HISTORY,
    limits: Limits = DEFAULT_LIMITS,
) -> Outcome:
    """Read, judge and wrap one claim event.

    Args:
        raw: the record's value.
        ruleset: the rules that decide.
        timestamp_ms: the record's timestamp, which dates the receipt of a claim that does not do so itself.
        history: the member's earlier services.
        limits: the sizes allowed.

    Returns:
        The outcome. Never raises for anything the bytes hold.
    """
    if raw is None:
        return Outcome(None, None, None, ClaimError("$", "the record has no value", "a claim event"))
    if len(raw) > limits.claim:
        problem = ClaimError("$", f"{len(raw)} bytes", f"at most {limits.claim} bytes (CLAIMSCRUB_MAX_CLAIM_BYTES)")
        return Outcome(raw, None, None, problem)
    try:
        claim = Claim.from_json(raw)
    except ClaimError as error:
        if looks_like_x12(raw[:_TELLING_BYTES]):
            expected = "one JSON object in UTF-8; X12 goes to the topic of CLAIMSCRUB_X12_TOPIC"
            return Outcome(raw, None, None, ClaimError("$", "X12 text", expected))
        return Outcome(raw, error.claim_id, None, error)
    if claim.received_date is None:
        claim = claim.changed(received_date=utc_date(timestamp_ms))
    decision = ruleset.evaluate(claim, history)
    value = envelope(raw, decision_json(decision, claim, input_digest(raw)))
    if len(value) > limits.message:
        said = f"claim and decision have {len(value)} bytes, {len(decision.findings)} findings"
        problem = ClaimError("$", said, f"at most {limits.message} bytes (CLAIMSCRUB_MAX_MESSAGE_BYTES)")
        return Outcome(raw, claim.claim_id, None, problem)
    return Outcome(value, claim.claim_id, decision, None)


def input_digest(raw: bytes) -> str:
    """The identity of a claim event's bytes."""
    # hashlib gives up the interpreter for more than 2,047 bytes, and in a worker another thread then takes it.
    digest = sha256(raw[:_DIGEST_STEP])
    for start in range(_DIGEST_STEP, len(raw), _DIGEST_STEP):
        digest.update(raw[start : start + _DIGEST_STEP])
    return f"sha256:{digest.hexdigest()}"


def utc_date(timestamp_ms: int | None) -> date | None:
    """The UTC date of a record's timestamp; None where the record has none, or one that is no date."""
    if timestamp_ms is None or timestamp_ms < 0:
        return None
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).date()
    except (OverflowError, ValueError, OSError):
        return None
