"""The override event: what the topic `claims.overrides` carries, the release of one flagged claim a record.

It holds who releases the claim, why and when, and the flagged record's value byte for byte, so that the worker needs
nothing else to publish the claim as cleared, and the topic alone tells the whole story.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, NamedTuple
from uuid import uuid4

import msgspec
from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import to_json

from rules import Claim, ClaimError, Disposition
from rules.engine.claim import json_path, published_schema, read_json
from worker.codec import MONITOR, OVERRIDE, UNREADABLE, Headers, envelope, event_headers, is_carried_on, parts_of
from worker.wire import DecisionContent

MOST_BYTES: Final = 16_384
"""What an override adds to the flagged record at most."""
_SCHEMA: Final = "docs/overrides.md"
_CLAIM_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_MOST_FAULTS: Final = 1_000
"""To look at many more takes long."""
_AS_PUBLISHED: Final = "the value of a record of the flagged topic, byte for byte"


class Override(NamedTuple):
    """That somebody releases a flagged claim.

    Attributes:
        user: who, 1 to 100 characters.
        reason: why, 1 to 1,000 characters.
        released_at: when, in UTC.
        flagged_event_id: `ce_id` of the flagged record.
    """

    user: str
    reason: str
    released_at: datetime
    flagged_event_id: str


class Flagged(NamedTuple):
    """A record of the flagged topic.

    Attributes:
        claim: the claim event's own bytes.
        decision: the decision's content.
    """

    claim: bytes
    decision: dict[str, Any]

    @property
    def claim_id(self) -> str:
        return str(self.decision["claim_id"])

    def released(self, override: Override) -> bytes:
        """What the cleared topic carries instead: the same claim, and the same decision with the override in it."""
        content = {**self.decision, "disposition": Disposition.CLEARED.value, "override": override._asdict()}
        return envelope(self.claim, to_json(content))


class OverrideEvent(NamedTuple):
    """An override with the flagged record that it is about."""

    override: Override
    flagged: Flagged


def override_event(flagged: bytes, override: Override) -> bytes:
    """The event that releases a flagged claim.

    Args:
        flagged: the value of the flagged record.
        override: who releases it, and why.

    Raises:
        ClaimError: the override lacks something, or the record is no flagged claim; it names the field and the fix.
    """
    content = to_json(_read_content(to_json(override._asdict()))._asdict())
    raw = b"".join((b'{"override":', content, b',"flagged":', flagged, b"}"))
    read_override(raw)
    return raw


def override_headers(override: Override, claim_id: str, flagged: Iterable[tuple[str, bytes]] = ()) -> Headers:
    """CloudEvents headers of an override event.

    Args:
        override: what it says.
        claim_id: of the claim that is released.
        flagged: headers of the flagged record, carried on unless they are of that event itself.
    """
    headers = event_headers(OVERRIDE, claim_id, f"{override.flagged_event_id}-{uuid4().hex}")
    return headers + [header for header in flagged if is_carried_on(header[0])]


def read_override(raw: bytes) -> OverrideEvent:
    """Read an override event.

    Args:
        raw: the record's value.

    Raises:
        ClaimError: it is none; the error names the JSON path, the problem and what is expected.
    """
    try:
        event = msgspec.json.decode(raw, type=_Event)
    except UNREADABLE:
        raise ClaimError("$", "not an override", 'one JSON object {"override": {…}, "flagged": {…}} in UTF-8') from None
    flagged = _read_flagged(bytes(event.flagged))
    try:
        override = _read_content(bytes(event.override))
    except ClaimError as error:
        raise ClaimError(error.path, error.problem, error.expected, flagged.claim_id) from None
    return OverrideEvent(override, flagged)


def released_claim(flagged: Flagged, digest: str) -> Claim:
    """The claim that is released.

    Args:
        flagged: the record.
        digest: of the claim's bytes, `sha256:…`.

    Raises:
        ClaimError: the claim is not the one that was decided.
    """
    decision, claim_id = flagged.decision, flagged.claim_id
    if decision.get("input_digest") != digest:
        raise ClaimError("flagged.decision.input_digest", "not that of the claim", _AS_PUBLISHED, claim_id)
    try:
        claim = Claim.from_json(flagged.claim)
    except ClaimError as error:
        raise ClaimError(_below("flagged.claim", error.path), error.problem, error.expected, claim_id) from None
    if claim.claim_id != claim_id:
        raise ClaimError("flagged.decision.claim_id", "not that of the claim", _AS_PUBLISHED, claim_id)
    return claim


# ---- what stands in it


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, str_strip_whitespace=True))
class _Content:
    """Who releases a claim, and why."""

    user: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(description="Who releases the claim.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] = Field(description="Why.")
    released_at: AwareDatetime = Field(description="When, with the offset from UTC.")
    flagged_event_id: Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[\x21-\x7e]+$")] = (
        Field(description="ce_id of the flagged record.")
    )


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True))
class _Whole:
    """The release of a flagged claim."""

    override: _Content
    flagged: dict[str, Any] = Field(description="The flagged record's value, byte for byte.")


@cache
def _reader() -> TypeAdapter[_Content]:
    return TypeAdapter(_Content)


@cache
def _decision_reader() -> TypeAdapter[DecisionContent]:
    return TypeAdapter(DecisionContent)


def override_schema() -> dict[str, Any]:
    """The JSON Schema of an override event."""
    return published_schema(TypeAdapter(_Whole))


def _read_content(raw: bytes) -> Override:
    try:
        read = read_json(_reader(), raw, _SCHEMA)
    except ClaimError as error:
        raise ClaimError(_below("override", error.path), error.problem, error.expected) from None
    try:
        released_at = read.released_at.astimezone(UTC)
    except OverflowError:  # in UTC it would be before the year 1, or after 9999
        expected = "a time with its offset from UTC, such as 2026-08-10T14:05:00Z"
        raise ClaimError("override.released_at", "not a time", expected) from None
    return Override(read.user, read.reason, released_at, read.flagged_event_id)


def _below(path: str, inner: str) -> str:
    return path if inner == "$" else f"{path}.{inner}"


class _Event(msgspec.Struct):
    override: msgspec.Raw
    flagged: msgspec.Raw


def _read_flagged(raw: bytes) -> Flagged:
    wrong = ClaimError("flagged", "not an envelope of claim and decision", _AS_PUBLISHED)
    try:
        claim, decision = parts_of(raw)
        content = msgspec.json.decode(decision)
    except UNREADABLE:
        raise wrong from None
    claim_id = content.get("claim_id") if isinstance(content, dict) else None
    if not isinstance(claim_id, str) or not _CLAIM_ID.fullmatch(claim_id):
        raise wrong
    if content.get("disposition") != Disposition.FLAGGED.value:
        raise ClaimError("flagged.decision.disposition", "not flagged", "a record of the flagged topic", claim_id)
    if content.get("mode") == MONITOR:
        expected = "a claim that was held back: in monitor mode it has gone on already"
        raise ClaimError("flagged.decision.mode", MONITOR, expected, claim_id)
    # It is published again: whoever reads the cleared topic relies on its shape.
    try:
        _decision_reader().validate_json(decision, strict=True)
    except ValidationError as error:
        few = error.error_count() <= _MOST_FAULTS
        path = json_path(error.errors(include_url=False, include_input=False)[0]["loc"]) if few else "$"
        raise ClaimError(_below("flagged.decision", path), "not as published", _AS_PUBLISHED, claim_id) from None
    return Flagged(claim, content)
