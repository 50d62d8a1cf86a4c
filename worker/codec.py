"""Bytes ↔ claims and decisions: the only place that knows what stands on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

import msgspec
from pydantic_core import to_json

from rules import Claim, Decision, Disposition, Finding, Unevaluated
from rules.engine.decision import Change, Considered, Silenced
from worker.wire import (
    CONNECT_ERRORS,
    X12_FAULTS,
    ChangeContent,
    DecisionContent,
    FindingContent,
    HistoryContent,
    SilencedContent,
    UnevaluatedContent,
)
from worker.x12 import Place, places

Headers = list[tuple[str, bytes]]
SentHeaders = list[tuple[str, bytes | None]]
"""A sender's among them, which may have no value."""

VERSION = "v1"
JSON_TYPE = b"application/json"
UNKNOWN_TYPE = b"application/octet-stream"
_SPEC_VERSION = ("ce_specversion", b"1.0")
_SOURCE = ("ce_source", b"claimscrub")
_CLEARED = ("ce_type", f"claimscrub.claim.cleared.{VERSION}".encode())
_FLAGGED = ("ce_type", f"claimscrub.claim.flagged.{VERSION}".encode())
_DEADLETTER = ("ce_type", f"claimscrub.claim.deadletter.{VERSION}".encode())
OVERRIDE = ("ce_type", f"claimscrub.claim.override.{VERSION}".encode())
_CONTENT_JSON = ("content-type", JSON_TYPE)
_ORIGIN = "claimscrub_origin"
"""Header of an event on its way to its member's partition: where and when it had come."""
_KEY = "claimscrub_key"
"""Header beside it: the key with which it had come; without a value if it had none."""
_CONTENT_UNKNOWN = ("content-type", UNKNOWN_TYPE)
_ORIGIN_PATTERN = re.compile(rb"([\w.-]{1,249}) (\d{1,10}) (\d{1,19}) (-?\d{1,19})")
RESUBMITTED = "claimscrub_resubmitted"
"""Header of a dead letter that was sent again: its topic, partition and offset. It is carried on, so that what has
become of it can be told."""
RESUBMITTED_BY = "claimscrub_resubmitted_by"
"""Header beside it: who sent it again."""
_ID, _TYPE, _SUBJECT, _DECISION = "claimscrub_id", "claimscrub_type", "claimscrub_subject", "claimscrub_decision"
"""Headers behind those of a claim that goes on as it came: what `ce_id`, `ce_type` and `ce_subject` say elsewhere, and
the decision."""
_INPUT = "claimscrub_input"
"""Header of a flagged record where cleared claims go on as they came: so that a release can, too. It travels on with an
override."""
_MODE = "claimscrub_mode"
MONITOR = "monitor"
MONITORED = (_MODE, MONITOR.encode())
"""Header of a claim that would have been flagged, and went on."""
_AFTER_ID = b"-monitor"
_IN_DECISION = b',"mode":"monitor"}'
_LISTS = ("findings", "not_evaluated", "silenced")
_OF_ANOTHER = ("ce_", CONNECT_ERRORS, X12_FAULTS)
"""What headers of an event, or of a dead letter, begin with: they say nothing of what is made of it."""
_NOT_CARRIED_ON = frozenset({"content-type", _ORIGIN, _KEY, _ID, _TYPE, _SUBJECT, _DECISION, _MODE})
_BEFORE_CLAIM = b'{"claim":'
_BEFORE_DECISION = b',"decision":'
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading JSON with msgspec raises."""


def decision_content(decision: Decision, claim: Claim, input_digest: str) -> DecisionContent:
    """A decision as it is published.

    Args:
        decision: what the rules said.
        claim: the claim that it is about.
        input_digest: `sha256:` and the digest of the claim event's bytes.
    """
    findings = decision.findings
    where = places(claim, {finding.path for finding in findings}) if findings and claim.x12 is not None else {}
    return {
        "claim_id": decision.claim_id,
        "disposition": decision.disposition.value,
        "payer": decision.payer,
        "received_date": decision.received_date,
        "findings": [_finding_content(finding, where.get(finding.path)) for finding in findings],
        "not_evaluated": [_unevaluated_content(each) for each in decision.not_evaluated],
        "contract": decision.contract,
        "silenced": [_silenced_content(each) for each in decision.silenced],
        "history": _history_content(decision.history),
        "rule_set": {"version": decision.rule_set_version, "digest": decision.rule_set_digest},
        "input_digest": input_digest,
    }


def decision_json(decision: Decision, claim: Claim, input_digest: str) -> bytes:
    """`decision_content` as JSON; the same decision gives the same bytes."""
    return to_json(decision_content(decision, claim, input_digest))


def envelope(claim: bytes, decision: bytes) -> bytes:
    """What the cleared and flagged topics carry: the claim event's own bytes, unchanged, and the decision."""
    return b"".join((_BEFORE_CLAIM, claim, _BEFORE_DECISION, decision, b"}"))


class _Envelope(msgspec.Struct):
    decision: msgspec.Raw


def parts_of(raw: bytes) -> tuple[bytes, bytes]:
    """The claim event's own bytes and the decision's, out of what `envelope` has made of them.

    Raises:
        MsgspecError, ValueError, RecursionError: it has not made this.
    """
    decision = bytes(msgspec.json.decode(raw, type=_Envelope).decision)
    # A claim keeps even the blanks around it, so it is cut out, not parsed.
    claim = raw.removeprefix(_BEFORE_CLAIM).removesuffix(b"".join((_BEFORE_DECISION, decision, b"}")))
    if envelope(claim, decision) != raw:
        raise ValueError("no envelope")
    return claim, decision


class Published(NamedTuple):
    """What a record of the cleared or flagged topic says, in whichever format.

    Attributes:
        claim: the claim event's own bytes.
        decision: in JSON.
        event_id: of the record; blank where it names none.
    """

    claim: bytes
    decision: bytes
    event_id: str


def published(value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> Published:
    """Read a record of the cleared or flagged topic.

    Args:
        value: of the record.
        headers: of the record, in their order: where a name is repeated, the last one is ours.

    Raises:
        MsgspecError, ValueError, RecursionError: it is none.
    """
    named = dict(headers)
    decision = decision_header(named)
    if decision is None:
        return Published(*parts_of(value), _text(named.get("ce_id")))
    return Published(value, decision, _text(named.get(_ID)))


def decision_header(headers: Mapping[str, bytes | None]) -> bytes | None:
    """The decision about a claim that goes on as it came; None where it is in an envelope."""
    return headers.get(_DECISION)


def is_monitored(headers: Mapping[str, bytes | None]) -> bool:
    """Whether a record of the cleared or flagged topic is about a claim that went on although it was flagged."""
    return headers.get(_MODE) == MONITORED[1]


def event_id_of(headers: Mapping[str, bytes | None]) -> str:
    """Of a record of the cleared or flagged topic; blank where it names none."""
    return _text(headers.get("ce_id" if decision_header(headers) is None else _ID))


class Input(msgspec.Struct):
    """How a claim came: what stands in the header in JSON, bytes in base64."""

    partition: int
    key: bytes | None
    headers: list[tuple[str, bytes | None]]

    def header(self) -> tuple[str, bytes]:
        return _INPUT, msgspec.json.encode(self)

    @classmethod
    def of(cls, headers: Iterable[tuple[str, bytes | None]]) -> Self | None:
        """From the headers of a flagged record or its override; None where they do not tell."""
        try:
            return msgspec.json.decode(dict(headers).get(_INPUT) or b"", type=cls)
        except UNREADABLE:
            return None


def _text(header: bytes | None) -> str:
    return (header or b"").decode(errors="replace")


def monitored(decision: bytes) -> bytes:
    """A decision that flags the claim, marked as one that does not hold it back."""
    return decision[:-1] + _IN_DECISION


def shortened(decision: bytes) -> bytes:
    """A decision without its lists, which says how long they were; itself where it is that already."""
    content = msgspec.json.decode(decision)
    if "left_out" in content:
        return decision
    content["left_out"] = {name: len(content[name]) for name in _LISTS}
    content.update((name, []) for name in _LISTS)
    return to_json(content)


def claim_headers(claim_id: str | None, event_id: str, decision: bytes) -> Headers:
    """What stands behind the headers of a claim that goes on as it came.

    Args:
        claim_id: of the claim.
        event_id: the same for every delivery of one input.
        decision: in JSON.
    """
    return [
        (_ID, event_id.encode()), (_TYPE, _CLEARED[1]), (_SUBJECT, (claim_id or "").encode()), (_DECISION, decision),
    ]  # fmt: skip


def with_decision(headers: Iterable[tuple[str, bytes | None]], decision: bytes) -> SentHeaders:
    """Such headers with another decision."""
    changed = list(headers)
    place = max(number for number, (name, _) in enumerate(changed) if name == _DECISION)
    changed[place] = (_DECISION, decision)
    return changed


def monitored_headers(cleared: Iterable[tuple[str, bytes | None]]) -> SentHeaders:
    """Headers of the record that says what would have been flagged, from those of the envelope that goes on."""
    changed: SentHeaders = []
    for name, value in cleared:
        if name == "ce_id":
            value = (value or b"") + _AFTER_ID  # noqa: PLW2901
        changed.append(_FLAGGED if (name, value) == _CLEARED else (name, value))
    return [*changed, MONITORED]


def cloud_event_headers(
    kind: Disposition | None, claim_id: str | None, event_id: str, received: Iterable[tuple[str, bytes]] = ()
) -> Headers:
    """CloudEvents 1.0 headers (Kafka binary mode) of one output.

    Args:
        kind: where the claim goes; None for a dead letter.
        claim_id: becomes the subject, if known.
        event_id: the same for every delivery of one input, so that a consumer can drop duplicates.
        received: headers of the input, carried on unless they are of an event themselves.
    """
    type_header = _DEADLETTER if kind is None else _FLAGGED if kind is Disposition.FLAGGED else _CLEARED
    headers = event_headers(type_header, claim_id, event_id)
    headers += [header for header in received if is_carried_on(header[0])]
    return headers


def event_headers(type_header: tuple[str, bytes], claim_id: str | None, event_id: str) -> Headers:
    """The CloudEvents headers alone."""
    headers = [_SPEC_VERSION, ("ce_id", event_id.encode()), _SOURCE, type_header]
    if claim_id:
        headers.append(("ce_subject", claim_id.encode()))
    headers.append(_CONTENT_UNKNOWN if type_header is _DEADLETTER else _CONTENT_JSON)
    return headers


def is_carried_on(header: str) -> bool:
    """Whether an input's header goes on to what is made of it; those that describe the input itself do not."""
    name = header.lower()
    return not name.startswith(_OF_ANOTHER) and name not in _NOT_CARRIED_ON


class Arrival(NamedTuple):
    """Where and when an event came first, before it was sent on to its member's partition.

    Attributes:
        timestamp: of the record, in milliseconds.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int

    @classmethod
    def of(cls, record: Any, repartition_topic: str) -> Self:
        """From a record; what one of another topic says in its headers does not count."""
        if record.topic == repartition_topic and record.headers:
            name, said = record.headers[-1]  # a worker writes it behind the sender's headers
            match = _ORIGIN_PATTERN.fullmatch(said or b"") if name == _ORIGIN else None
            if match is not None:
                topic, *numbers = match.groups()
                return cls(topic.decode(), *map(int, numbers))
        return cls(record.topic, record.partition, record.offset, record.timestamp)

    def headers(self, key: bytes | None) -> SentHeaders:
        """What tells it where the event is sent on to, and the key with which it came."""
        return [(_KEY, key), (_ORIGIN, " ".join(map(str, self)).encode())]

    @property
    def event_id(self) -> str:
        """The same for every delivery of one input."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    def key_and_headers(self, record: Any) -> tuple[bytes | None, SentHeaders]:
        """Those with which the event came first.

        Args:
            record: in which it stands now; from an earlier version of claimscrub that sent it on, the key is lost.
        """
        headers, key = list(record.headers), record.key
        if record.topic != self.topic:
            headers.pop()
            if headers and headers[-1][0] == _KEY:
                key = headers.pop()[1]
        return key, headers


def _history_content(history: Considered | None) -> HistoryContent | None:
    if history is None:
        return None
    claims, held_since, not_known = history
    return {"claims": claims, "held_since": held_since, "not_known": not_known}


def _finding_content(finding: Finding, place: Place | None) -> FindingContent:
    return {
        "rule_id": finding.rule_id,
        "name": finding.name,
        "title": finding.title,
        "severity": finding.severity,
        "category": finding.category,
        "carc": finding.carc,
        "alternative_carc": finding.alternative_carc,
        "rarc": finding.rarc,
        "alternative_rarc": finding.alternative_rarc,
        "group": finding.group,
        "status": finding.status,
        "line": finding.line,
        "field": finding.path,
        "location": finding.location,
        "segment": None if place is None else place.number,
        "message": finding.message,
        "remedy": finding.remedy,
        "citations": [
            {
                "key": citation.key,
                "publisher": citation.publisher,
                "title": citation.title,
                "edition": citation.edition,
                "url": citation.url,
            }
            for citation in finding.citations
        ],
        "effective_from": finding.effective_from,
        "effective_to": finding.effective_to,
        "change": None if finding.change is None else _change_content(finding.change),
    }


def _change_content(change: Change) -> ChangeContent:
    return {"severity": change.severity, "by": change.by, "why": change.why}


def _silenced_content(each: Silenced) -> SilencedContent:
    return {
        "rule_id": each.rule_id,
        "name": each.name,
        "line": each.line,
        "severity": each.severity,
        "message": each.message,
        "by": each.by,
        "why": each.why,
    }


def _unevaluated_content(each: Unevaluated) -> UnevaluatedContent:
    return {"rule_id": each.rule_id, "name": each.name, "line": each.line, "reason": each.reason}
