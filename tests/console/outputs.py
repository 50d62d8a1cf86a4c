"""What the worker publishes about claims, made by the worker's own code, for a projection to take in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Literal

from rules import ClaimError, Disposition, RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from worker.codec import Arrival, cloud_event_headers
from worker.console.records import Received, Role
from worker.console.views import Place
from worker.deadletter import error_headers
from worker.lanes import Output
from worker.modes import Modes
from worker.overrides import Override, override_event, override_headers, read_override
from worker.pipeline import handle
from worker.settings import Settings

NOON = datetime(2026, 8, 10, 12, tzinfo=UTC)
TOPICS: Mapping[str, str] = {
    "cleared": "claims.cleared", "flagged": "claims.flagged", "deadletter": "claims.deadletter",
    "overrides": "claims.overrides",
}  # fmt: skip


def at_minute(minute: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minute)


class Outputs:
    """Publishes to topics of one partition, and remembers what it has published."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.records: list[Received] = []
        self._ruleset = ruleset
        self._inputs = 0
        self._offsets = dict.fromkeys(TOPICS, 0)

    def decide(
        self,
        claim_id: str,
        at: datetime = NOON,
        payer: str = "MEDICARE_FFS",
        headers: Sequence[tuple[str, bytes]] = (),
        *,
        flagged: bool = False,
        **changes: Any,
    ) -> Received:
        """The worker's answer to a claim."""
        if flagged:
            changes.setdefault("lines", [a_line(units="2")])
        raw = as_json(claim_content(payer, claim_id=claim_id, **changes)).encode()
        outcome = handle(raw, self._ruleset)
        assert outcome.disposition is not None
        sent_on = cloud_event_headers(outcome.disposition, claim_id, self._event_id(), headers)
        return self._add(
            "flagged" if outcome.disposition is Disposition.FLAGGED else "cleared", at, sent_on, outcome.value
        )

    def monitor(
        self, claim_id: str, at: datetime = NOON, cleared_format: Literal["envelope", "claim"] = "envelope"
    ) -> Received:
        """The worker's answer in monitor mode to a claim that would be flagged: the record that says so."""
        raw = as_json(claim_content("MEDICARE_FFS", claim_id=claim_id, lines=[a_line(units="2")])).encode()
        outcome = handle(raw, self._ruleset, monitors=True)
        event_id = self._event_id()
        headers = cloud_event_headers(outcome.disposition, claim_id, event_id)
        modes = Modes(Settings(mode="monitor", cleared_format=cleared_format))
        arrival = Arrival("claims.submitted", 0, self._inputs, 0)
        record = SimpleNamespace(topic=arrival.topic, key=None, headers=())
        sent = modes.applied(Output(TOPICS["cleared"], None, b"", outcome.value, headers, record, arrival, outcome), 1)
        assert sent.copy is not None
        roles: tuple[tuple[Role, Output], ...] = (("cleared", sent), ("flagged", sent.copy))
        for role, each in roles:
            told = self._add(role, at, [(name, value or b"") for name, value in each.headers], each.value)
        return told

    def refuse(
        self,
        error: ClaimError,
        at: datetime = NOON,
        event_id: str | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        more: Sequence[tuple[str, bytes]] = (),
    ) -> Received:
        """A dead letter."""
        sent_on = cloud_event_headers(None, error.claim_id, event_id or self._event_id(), headers)
        sent_on += [*error_headers(error, "claims.submitted", 0, self._inputs, "claimscrub"), *more]
        return self._add("deadletter", at, sent_on, b"not a claim")

    def override(
        self, flagged: Received, at: datetime, user: str = "kim", reason: str = "called the payer"
    ) -> Received:
        """Somebody's release of a flagged claim."""
        assert flagged.value is not None
        override = Override(user, reason, at, event_id_of(flagged))
        headers = override_headers(override, flagged.headers["ce_subject"].decode(), list(flagged.headers.items()))
        return self._add("overrides", at, headers, override_event(flagged.value, override))

    def release(self, override: Received, at: datetime) -> Received:
        """The worker's answer to it."""
        event = read_override(override.value or b"")
        event_id = "-".join(map(str, override.place))
        headers = cloud_event_headers(Disposition.CLEARED, event.flagged.claim_id, event_id)
        return self._add("cleared", at, headers, event.flagged.released(event.override))

    def add(self, role: Role, value: bytes | None, at: datetime = NOON) -> Received:
        """Anything at all."""
        return self._add(role, at, [], value)

    def _event_id(self) -> str:
        self._inputs += 1
        return f"claims.submitted-0-{self._inputs}"

    def _add(self, role: Role, at: datetime, headers: Sequence[tuple[str, bytes]], value: bytes | None) -> Received:
        place = Place(TOPICS[role], 0, self._offsets[role])
        self._offsets[role] += 1
        record = Received(role, place, round(at.timestamp() * 1000), dict(headers), value)
        self.records.append(record)
        return record


def event_id_of(record: Received) -> str:
    """The id of an output."""
    return record.headers["ce_id"].decode()
