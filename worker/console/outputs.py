"""What the console reads of an output: ids, codes, amounts and dates. Nothing that says who a member is gets past here.

A claim is read again as the worker has read it, but only the fields below, at a tenth of the cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from rules import Claim, ClaimError
from worker.claim_log import trace_id
from worker.codec import MONITOR, RESUBMITTED, RESUBMITTED_BY, UNREADABLE, decision_header, envelope
from worker.console.views import Place
from worker.overrides import read_override
from worker.wire import CONNECT_ERRORS, X12_FAULTS

MEANT_CODE = "63685"
MOST_CENTS = 10**12
"""Ten billion dollars: what is charged beyond is no charge, and sums have to fit."""
_MOST_DIGITS = 18
_X12_PARTS = ("interchange", "group", "transaction", "segment")
_EVENT_HEADERS = "ce_"
_NO_HEADERS: Mapping[str, bytes] = {}
_KEPT_HEADERS = frozenset({"content-type", "traceparent"})


class UnreadableError(ValueError):
    """A record is not what its topic is for; the message never holds a value of it."""


class _Provider(msgspec.Struct):
    npi: str | None = ""


class _Line(msgspec.Struct):
    procedure_code: str | None = ""
    charge_amount: str | int | float | None = None
    service_date: str | None = None
    service_date_through: str | None = None
    rendering_provider: _Provider | None = None


class _Claim(msgspec.Struct):
    claim_type: str
    submitter_id: str | None = ""
    total_charge_amount: str | int | float | None = None
    statement_from_date: str | None = None
    statement_through_date: str | None = None
    billing_provider: _Provider | None = None
    rendering_provider: _Provider | None = None
    lines: list[_Line] = []


class OutputFinding(msgspec.Struct):
    """A finding of a published decision."""

    rule_id: str
    severity: str
    name: str = ""
    category: str = ""
    line: int | None = None
    field: str = ""
    location: str = ""
    carc: str | None = ""
    rarc: str | None = ""
    message: str = ""
    remedy: str = ""


class Release(msgspec.Struct):
    """What a decision says of its release, and an override of itself."""

    flagged_event_id: str
    user: str = ""
    reason: str = ""


class OutputDecision(msgspec.Struct):
    """A published decision, as far as it is needed."""

    claim_id: str
    disposition: str
    payer: str
    findings: list[OutputFinding] = []
    override: Release | None = None
    mode: str = ""

    @property
    def is_monitored(self) -> bool:
        """The claim went on although it was flagged."""
        return self.mode == MONITOR


class _Decided(msgspec.Struct):
    claim: _Claim
    decision: OutputDecision


class _DecidedRaw(msgspec.Struct):
    claim: msgspec.Raw
    decision: msgspec.Raw


class _Override(msgspec.Struct):
    override: Release
    flagged: msgspec.Raw


_read_decided = msgspec.json.Decoder(_Decided).decode
_read_raw = msgspec.json.Decoder(_DecidedRaw).decode
_read_claim = msgspec.json.Decoder(_Claim).decode
_read_decision = msgspec.json.Decoder(OutputDecision).decode
_read_override = msgspec.json.Decoder(_Override).decode


class DecidedClaim(NamedTuple):
    """A claim and its decision.

    Attributes:
        amount: in cents.
        codes: procedure codes in the order of the lines.
        line_codes: the procedure code of each line.
        service_from, service_to: as in JSON; blank where they are not known.
    """

    decision: OutputDecision
    claim_type: str
    submitter: str
    billing_npi: str
    rendering_npis: tuple[str, ...]
    amount: int
    codes: tuple[str, ...]
    line_codes: tuple[str, ...]
    service_from: str
    service_to: str

    def code_of(self, finding: OutputFinding) -> str:
        """The procedure code that a finding is about: its line's; of the whole claim, the one that it is here for."""
        if finding.line is not None and 0 < finding.line <= len(self.line_codes):
            return self.line_codes[finding.line - 1]
        return MEANT_CODE if MEANT_CODE in self.codes or not self.codes else self.codes[0]

    @property
    def errors(self) -> list[OutputFinding]:
        return [finding for finding in self.decision.findings if finding.severity == "error"]


def read_cleared(
    value: bytes | None, headers: Mapping[str, bytes | None] = _NO_HEADERS
) -> tuple[OutputDecision, str, int]:
    """Decision, submitter and charge in cents of a record of the cleared topic, in whichever format.

    Raises:
        UnreadableError: it is none.
    """
    value, decision = value or b"", decision_header(headers)
    try:
        decided = _read_decided(value) if decision is None else _Decided(_read_claim(value), _read_decision(decision))
    except UNREADABLE:
        claim, raw = _read_slowly(value if decision is None else envelope(value, decision))
        decided = _Decided(claim, _read_decision(raw))
    return decided.decision, _code(decided.claim.submitter_id), _charge(decided.claim)


def read_flagged(value: bytes | None) -> tuple[DecidedClaim, bytes]:
    """A record of the flagged topic, and its decision as it was published.

    Raises:
        UnreadableError: it is none.
    """
    try:
        parts = _read_raw(value or b"")
        claim, raw = _read_claim(parts.claim), bytes(parts.decision)
        decision = _read_decision(raw)
    except UNREADABLE:
        claim, raw = _read_slowly(value)
        decision = _read_decision(raw)
    return _decided(claim, decision), raw


def read_override_event(value: bytes | None) -> tuple[Release, DecidedClaim]:
    """A record of the topic of overrides: who releases what, and why.

    Raises:
        UnreadableError: it is none.
    """
    try:
        event = _read_override(value or b"")
        read_override(value or b"")  # as the worker does: what it refuses may hold anything
    except UNREADABLE as error:
        raise _unreadable(error) from None
    return event.override, read_flagged(bytes(event.flagged))[0]


def _read_slowly(value: bytes | None) -> tuple[_Claim, bytes]:
    """The claim as the worker reads it, which lets blanks stand for what is missing; and its decision, which is one."""
    try:
        parts = _read_raw(value or b"")
        _read_decision(parts.decision)
        claim = Claim.from_json(bytes(parts.claim))
        return msgspec.convert(claim.content(), _Claim), bytes(parts.decision)
    except UNREADABLE as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> UnreadableError:
    # What these say of a value that does not fit names types and a path, never the value.
    said = str(error) if isinstance(error, msgspec.ValidationError | ClaimError) else "not JSON"
    return UnreadableError(f"{said}; it is not what the worker publishes")


def _decided(claim: _Claim, decision: OutputDecision) -> DecidedClaim:
    lines = claim.lines
    line_codes = tuple(_code(line.procedure_code) for line in lines)
    rendering = [claim.rendering_provider, *(line.rendering_provider for line in lines)]
    starts = [claim.statement_from_date, *(line.service_date for line in lines)]
    ends = [claim.statement_through_date, *starts, *(line.service_date_through for line in lines)]
    return DecidedClaim(
        decision=decision,
        claim_type=claim.claim_type,
        submitter=_code(claim.submitter_id),
        billing_npi=_code(claim.billing_provider.npi if claim.billing_provider is not None else ""),
        rendering_npis=distinct(_code(provider.npi) for provider in rendering if provider is not None),
        amount=_charge(claim),
        codes=distinct(line_codes),
        line_codes=line_codes,
        service_from=min(filter(None, map(_code, starts)), default=""),
        service_to=max(filter(None, map(_code, ends)), default=""),
    )


def distinct(parts: Iterable[str]) -> tuple[str, ...]:
    """Each once, in their order; without blanks."""
    return tuple(dict.fromkeys(part for part in parts if part))


def _code(text: str | None) -> str:
    return text.strip().upper() if text else ""


def _charge(claim: _Claim) -> int:
    """The claim's total charge in cents; where it has none, that of its lines."""
    total = _cents(claim.total_charge_amount)
    return sum(_cents(line.charge_amount) or 0 for line in claim.lines) if total is None else total


def _cents(amount: str | float | None) -> int | None:
    """None for what the worker takes for missing."""
    try:
        dollars = Decimal(amount if isinstance(amount, str) else str(amount))
        if not -_MOST_DIGITS < dollars.adjusted() < _MOST_DIGITS:
            return None
        return max(-MOST_CENTS, min(int(dollars.scaleb(2).to_integral_value()), MOST_CENTS))
    except (ArithmeticError, ValueError):
        return None


def text(headers: Mapping[str, bytes], name: str) -> str:
    """A header as text; blank without it."""
    return (headers.get(name) or b"").decode(errors="replace")


def kept_headers(headers: Mapping[str, bytes]) -> dict[str, str]:
    """The headers that say where a record came from; others are the sender's, and nobody knows what is in them."""
    kept = {
        name: text(headers, name)
        for name in headers
        if name.startswith(_EVENT_HEADERS) or name.lower() in _KEPT_HEADERS
    }
    if trace_id(headers.items()) is None:
        kept.pop("traceparent", None)
    if resubmission_of(headers) is not None:
        kept |= {name: text(headers, name) for name in (RESUBMITTED, RESUBMITTED_BY) if name in headers}
    return kept


def resubmission_of(headers: Mapping[str, bytes]) -> Place | None:
    """The dead letter that an output's input was, before it was sent again."""
    return _place(text(headers, RESUBMITTED).split(" ")) if RESUBMITTED in headers else None


class Fault(NamedTuple):
    """Why something is a dead letter, as its headers say."""

    origin: Place | None
    error_class: str
    reason: str


def fault_of(headers: Mapping[str, bytes]) -> Fault:
    """Why a dead letter is one."""
    topic, partition, offset = (text(headers, CONNECT_ERRORS + name) for name in ("topic", "partition", "offset"))
    reason = text(headers, CONNECT_ERRORS + "exception.message") or text(headers, X12_FAULTS + "reason")
    where = [f"{name} {said}" for name in _X12_PARTS if (said := text(headers, X12_FAULTS + name))]
    if where:
        reason = f"{reason} ({', '.join(where)})"
    error_class = text(headers, CONNECT_ERRORS + "exception.class.name").rpartition(".")[2]
    return Fault(_place([topic, partition, offset]), error_class, reason)


def _place(parts: list[str]) -> Place | None:
    try:
        topic, partition, offset = parts
        return Place(topic, int(partition), int(offset))
    except ValueError:
        return None
