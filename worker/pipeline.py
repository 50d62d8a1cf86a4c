"""From the bytes of one claim event to what is published about it. No Kafka and no asyncio in here.

The worker, the command line and the benchmark all go through `handle`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from hashlib import sha256
from typing import NamedTuple, Protocol

from rules import NO_HISTORY, Claim, ClaimError, Decision, Disposition, History
from worker.codec import decision_json, envelope, monitored, shortened
from worker.history import Change, Memory
from worker.overrides import MOST_BYTES, read_override, released_claim
from worker.status import ClaimStatus
from worker.x12 import looks_like_x12


class Limits(NamedTuple):
    """Sizes in bytes beyond which an event is a dead letter."""

    claim: int
    message: int


class Outcome(NamedTuple):
    """What becomes of one event.

    Attributes:
        value: the bytes to publish: an envelope, or the event's own bytes if it is a dead letter or goes on to another
            partition; None if nothing is published.
        claim_id: the claim's id where it could be read.
        decision: the decision about a claim.
        is_release: a flagged claim goes to the cleared ones, as somebody has released it.
        is_monitored: a flagged claim goes to the cleared ones, as none is held back.
        error: why it is a dead letter.
        key: of the member, where it is known.
        changes: what it changes in the history of this partition.
        goes_on: another partition has the member, and decides.
        charge: of the claim that was decided, in dollars; None where it names none.
    """

    value: bytes | None
    claim_id: str | None
    decision: Decision | None = None
    error: ClaimError | None = None
    key: bytes | None = None
    changes: tuple[Change, ...] = ()
    goes_on: bool = False
    is_release: bool = False
    charge: Decimal | None = None
    is_monitored: bool = False

    @property
    def disposition(self) -> Disposition | None:
        """Where the claim goes, if it was decided or released."""
        if self.is_release or self.is_monitored:
            return Disposition.CLEARED
        return None if self.decision is None else self.decision.disposition


class Judge(Protocol):
    """What decides: a `RuleSet`."""

    def evaluate(self, claim: Claim, history: History = ..., /) -> Decision: ...


_TELLING_BYTES = 64
_DIGEST_STEP = 2_047
_WITHOUT_MEMBER = History(not_known="the claim has no member number, so no earlier claim can be found")
_ELSEWHERE = History(
    not_known="another worker has sent the claim to this partition, where this one would not look for its member; all"
    " workers need the same CLAIMSCRUB_MEMBER_KEY_SECRET and the same rules"
)
_MOST_CLAIM = "CLAIMSCRUB_MAX_CLAIM_BYTES"
_MOST_MESSAGE = "CLAIMSCRUB_MAX_MESSAGE_BYTES"
_SENT_ELSEWHERE = "sent to a partition that has not this member"
_SAME_EVERYWHERE = "the same CLAIMSCRUB_MEMBER_KEY_SECRET and the same rules in all workers"
DEFAULT_LIMITS = Limits(claim=1_048_576, message=2_097_152)


def handle(
    raw: bytes | None,
    ruleset: Judge,
    timestamp_ms: int | None = None,
    memory: Memory | None = None,
    limits: Limits = DEFAULT_LIMITS,
    *,
    was_repartitioned: bool = False,
    monitors: bool = False,
) -> Outcome:
    """Read, judge and wrap one claim event.

    Args:
        raw: the record's value.
        ruleset: the rules that decide.
        timestamp_ms: the record's timestamp, which dates the receipt of a claim that does not do so itself.
        memory: what is remembered of members; None to judge each claim for itself.
        limits: the sizes allowed.
        was_repartitioned: by another partition, to this one; then it is decided here in any case.
        monitors: no claim is held back.

    Returns:
        The outcome. Never raises for anything the bytes hold.

    Raises:
        HistoryError: the history can't be read.
    """
    problem = _unreadable(raw, "a claim event", limits.claim, _MOST_CLAIM)
    if raw is None or problem is not None:
        return Outcome(raw, None, error=problem)
    try:
        claim = Claim.from_json(raw)
    except ClaimError as error:
        if looks_like_x12(raw[:_TELLING_BYTES]):
            expected = "one JSON object in UTF-8; X12 goes to the topic of CLAIMSCRUB_X12_TOPIC"
            return Outcome(raw, None, error=ClaimError("$", "X12 text", expected))
        return Outcome(raw, error.claim_id, error=error)
    digest, received = input_digest(raw), utc_date(timestamp_ms)
    key = None if memory is None else memory.key_of_claim(claim)
    if memory is None or key is None or memory.has(key):
        judged = judge(claim, ruleset, memory, key, digest=digest, received=received)
    elif was_repartitioned:
        judged = _without_history(claim, received, ruleset, _ELSEWHERE)
    else:
        return Outcome(raw, claim.claim_id, key=key, goes_on=True)
    decision = decision_json(judged.decision, judged.claim, digest)
    is_monitored = monitors and judged.decision.disposition is Disposition.FLAGGED
    if is_monitored:
        decision = monitored(decision)
    value = envelope(raw, decision)
    if monitors and len(value) > limits.message:
        value = envelope(raw, shortened(decision))
    if len(value) > limits.message:
        said = f"claim and decision have {len(value)} bytes, {len(judged.decision.findings)} findings"
        problem = ClaimError("$", said, f"at most {limits.message} bytes ({_MOST_MESSAGE})")
        return Outcome(raw, claim.claim_id, error=problem, key=key)
    changes = judged.remember(goes_on=monitors) if judged.remember is not None else ()
    charge = claim.total_charge_amount
    return Outcome(
        value, claim.claim_id, judged.decision, key=key, changes=changes, charge=charge, is_monitored=is_monitored
    )


def take_status(
    raw: bytes | None, memory: Memory, limits: Limits = DEFAULT_LIMITS, *, was_repartitioned: bool = False
) -> Outcome:
    """Read one claim status event, and remember what it says.

    Args:
        raw: the record's value.
        memory: what is remembered of members.
        limits: the sizes allowed.
        was_repartitioned: by another partition, to this one.

    Returns:
        The outcome; a status that is no dead letter publishes nothing.

    Raises:
        HistoryError: the history can't be read.
    """
    problem = _unreadable(raw, "a claim status event", limits.claim, _MOST_CLAIM)
    if raw is None or problem is not None:
        return Outcome(raw, None, error=problem)
    try:
        status = ClaimStatus.from_json(raw)
    except ClaimError as error:
        return Outcome(raw, error.claim_id, error=error)
    claim_id = status.claim_id or None
    key = memory.key_of(status.payer, status.member_number)
    if key is None:
        return Outcome(raw, claim_id, error=ClaimError("member_number", "blank", "the member's number"))
    if memory.has(key):
        return Outcome(None, claim_id, key=key, changes=memory.answered(key, status.answer()))
    if was_repartitioned:
        return Outcome(raw, claim_id, error=ClaimError("member_number", _SENT_ELSEWHERE, _SAME_EVERYWHERE))
    return Outcome(raw, claim_id, key=key, goes_on=True)


def take_override(
    raw: bytes | None,
    event_id: str,
    memory: Memory,
    limits: Limits = DEFAULT_LIMITS,
    *,
    was_repartitioned: bool = False,
) -> Outcome:
    """Read one override event, and release the flagged claim that it holds.

    Args:
        raw: the record's value.
        event_id: of the event, the same for every delivery of it.
        memory: what is remembered of members.
        limits: the sizes allowed.
        was_repartitioned: by another partition, to this one.

    Returns:
        The outcome: the claim as it was flagged, with a decision that clears it and says by whom; or a dead letter.

    Raises:
        HistoryError: the history can't be read.
    """
    setting = f"{MOST_BYTES} more than {_MOST_MESSAGE}"
    problem = _unreadable(raw, "an override event", limits.message + MOST_BYTES, setting)
    if raw is None or problem is not None:
        return Outcome(raw, None, error=problem)
    try:
        override, flagged = read_override(raw)
        digest = input_digest(flagged.claim)
        key = memory.key_of_claim(released_claim(flagged, digest))
    except ClaimError as error:
        return Outcome(raw, error.claim_id, error=error)
    claim_id = flagged.claim_id
    if key is not None and not memory.has(key):
        if was_repartitioned:
            return Outcome(raw, claim_id, error=ClaimError("flagged.claim", _SENT_ELSEWHERE, _SAME_EVERYWHERE))
        return Outcome(raw, claim_id, key=key, goes_on=True)
    try:
        changes = () if key is None else memory.release(key, claim_id, digest, event_id)
    except ClaimError as error:
        return Outcome(raw, claim_id, error=error, key=key)
    return Outcome(flagged.released(override), claim_id, key=key, changes=changes, is_release=True)


def _unreadable(raw: bytes | None, expected: str, most: int, setting: str) -> ClaimError | None:
    if raw is None:
        return ClaimError("$", "the record has no value", expected)
    if len(raw) > most:
        return ClaimError("$", f"{len(raw)} bytes", f"at most {most} bytes ({setting})")
    return None


class Judged(NamedTuple):
    """A claim that was judged.

    Attributes:
        claim: with its receipt date.
        remember: adds it to its member's history, and gives the records that have changed; None where nobody is to
            remember it.
    """

    claim: Claim
    decision: Decision
    remember: Callable[..., tuple[Change, ...]] | None = None


def judge(
    claim: Claim, ruleset: Judge, memory: Memory | None, key: bytes | None, *, digest: str, received: date | None
) -> Judged:
    """Judge a claim with its member's history.

    Args:
        claim: the claim.
        ruleset: the rules that decide.
        memory: what is remembered of members; None to judge the claim for itself.
        key: the claim's member, who is one of those.
        digest: of its bytes, `sha256:…`.
        received: its receipt date, if it names none itself.

    Raises:
        HistoryError: the history can't be read.
    """
    if memory is None or key is None:
        return _without_history(claim, received, ruleset, NO_HISTORY if memory is None else _WITHOUT_MEMBER)
    looked = memory.look_up(key, claim, digest, received)
    decision = ruleset.evaluate(looked.claim, looked.history)
    return Judged(looked.claim, decision, partial(memory.remember, looked, decision))


def _without_history(claim: Claim, received: date | None, ruleset: Judge, history: History) -> Judged:
    if claim.received_date is None:
        claim = claim.changed(received_date=received)
    return Judged(claim, ruleset.evaluate(claim, history))


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
