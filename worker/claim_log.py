"""The log's line about each flagged or released claim and each dead letter, written once what was decided is published.

There may be thousands a second. Where the log is JSON they go past structlog, which would take as long over a line as
the rules over a claim: the fields are fixed here instead of being picked from a list of allowed ones.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from rules import Disposition
from worker.codec import MONITOR, Arrival
from worker.log import Lines, is_json, level_of
from worker.pipeline import Outcome
from worker.settings import Settings

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_NO_TRACE = b"0" * 32

log = structlog.get_logger("claimscrub.worker")


class ClaimLine(msgspec.Struct, omit_defaults=True):
    """A line.

    Attributes:
        event_id: of the output, its `ce_id`; the same for every delivery of the input.
        trace_id: of the W3C trace that the input belongs to, if it says so.
        topic, partition, offset: where the input stood.
        rule_ids: of the rules that found something, each once; findings: how many findings that were.
        charge: of the claim, in dollars.
        reason: why it is a dead letter.
        mode: `monitor`, of a flagged claim that was sent on.
    """

    event: str
    level: str
    event_id: str
    topic: str
    partition: int
    offset: int
    timestamp: str = ""
    claim_id: str | None = None
    payer: str | None = None
    rule_ids: list[str] = []
    findings: int = 0
    charge: str | None = None
    reason: str | None = None
    trace_id: str | None = None
    instance_id: str | None = None
    mode: str | None = None


class ClaimLog:
    """Writes such lines."""

    def __init__(self, settings: Settings) -> None:
        level = level_of(settings)
        self._info = level <= logging.INFO
        self._flagged = settings.log_claims and self._info
        self._deadletters = level <= logging.WARNING
        self._lines = Lines(sys.stderr) if is_json(settings) else None
        self._instance_id = settings.instance_id or None
        self._encode = msgspec.json.Encoder().encode

    def line(self, arrival: Arrival, outcome: Outcome, headers: Iterable[tuple[str, bytes | None]]) -> ClaimLine | None:
        """What is to be said of a claim event; None for nothing.

        Args:
            arrival: where it stood.
            outcome: what was decided.
            headers: the event's.
        """
        decision, (topic, partition, offset, _) = outcome.decision, arrival
        if decision is not None:
            if not self._flagged or decision.disposition is not Disposition.FLAGGED:
                return None
            line = ClaimLine("flagged", "info", arrival.event_id, topic, partition, offset)
            line.payer = decision.payer
            line.mode = MONITOR if outcome.is_monitored else None
            line.rule_ids = list(dict.fromkeys([finding.rule_id for finding in decision.findings]))
            line.findings = len(decision.findings)
            line.charge = None if outcome.charge is None else f"{outcome.charge:f}"
        elif outcome.error is not None and self._deadletters:
            line = ClaimLine("deadletter", "warning", arrival.event_id, topic, partition, offset)
            line.reason = str(outcome.error)
        elif outcome.is_release and self._info:
            line = ClaimLine("released", "info", arrival.event_id, topic, partition, offset)
        else:
            return None
        line.claim_id = outcome.claim_id
        line.trace_id = trace_id(headers)
        line.instance_id = self._instance_id
        return line

    def write(self, lines: Sequence[ClaimLine]) -> None:
        """Write lines, all with the time of now."""
        if self._lines is None:
            for line in lines:
                said = {name: value for name, value in msgspec.structs.asdict(line).items() if value or value == 0}
                level, event = said.pop("level"), said.pop("event")
                log.log(logging.getLevelNamesMapping()[level.upper()], event, **said)
        elif lines:
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            for line in lines:
                line.timestamp = now
            self._lines.write_all([self._encode(line) + b"\n" for line in lines])


def trace_id(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The trace id of the header `traceparent` (W3C Trace Context), where there is a valid one."""
    for name, value in headers:
        if name.lower() == "traceparent":
            match = _TRACEPARENT.fullmatch(value or b"")
            return None if match is None or match[1] == _NO_TRACE else match[1].decode()
    return None
