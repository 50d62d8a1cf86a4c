"""`claimscrub replay`: a range of claim events is decided again, and nobody notices.

Kafka is only read: without a group, and up to where the topics end at the start. A claim is judged with the history
that it saw when it came (`hindsight.py`), out of a copy of the history topic that is made first. Decisions and the
offset that comes next are one transaction of the file, so that a replay that was killed goes on where it was; what it
has changed in the copy by then is found there again, as by a claim event that is delivered twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, OffsetSpec

from rules import NO_HISTORY, Claim, Decision, Disposition, History, RuleSet
from rules.engine.decision import Severity
from worker.codec import Arrival
from worker.decisions import DEADLETTER, NOT_KNOWN, Decided, Decisions, Range, Said
from worker.folder import FolderError, Stop, only_one
from worker.hindsight import Event, Hindsight
from worker.history import DIGEST, META_KEY, Shelf, Shelves
from worker.history_topic import records
from worker.kafka import (
    KafkaProblemError,
    KafkaSilentError,
    committed_offsets,
    confluent_config,
    offsets,
    require_topics,
    topic_ids,
)
from worker.merging import merged
from worker.pipeline import Limits, Outcome, handle, input_digest
from worker.progress import progress
from worker.rulebook import members_of
from worker.settings import Settings

FILE = "replay.sqlite"
_HISTORY = "history"
_LOCK_FILE = ".claimscrub-replay"
_COPY_RECORDS = 5_000
_COMPLETE = 0
"""The position of a shelf that is a whole copy; a replay does not follow the topic."""
_TIMEOUT_SECONDS = 10.0

Bound = datetime | Mapping[int, int] | None
"""Where a range begins or ends: at a time, at offsets by partition, or at what is there."""


class Wanted(NamedTuple):
    """What is to be decided again.

    Attributes:
        since, until: the range; the end does not belong to it. As soon as offsets are named, only their partitions.
        said: the two as the user has written them.
        without: ids of rules to leave out.
    """

    since: Bound = None
    until: Bound = None
    said: tuple[str, str] = ("", "")
    without: tuple[str, ...] = ()


def replay(folder: Path, settings: Settings, ruleset: RuleSet, wanted: Wanted) -> bool:
    """Decide a range of claim events again, or what is left of it.

    Args:
        folder: where the decisions go; it keeps the position.
        settings: brokers, topics and limits.
        ruleset: the rules that decide, all of them.
        wanted: what is decided.

    Returns:
        Whether it is complete; a signal ends it before.

    Raises:
        FolderError: the folder can't be used, or holds another replay.
        HistoryError: the history was kept by another version, under another secret, or for other partitions.
        KafkaProblemError: the brokers do not answer or refuse, or records are gone.
    """
    with Stop().on_signals() as stop, only_one(folder / _LOCK_FILE, "claimscrub replay"):
        folder.chmod(0o700)
        decisions = Decisions(folder / FILE)
        try:
            _begin(decisions, settings, ruleset, wanted)
            if "completed" not in decisions.meta():
                copy = Shelves(folder / _HISTORY, are_lasting=True)
                try:
                    shelves = _copy_history(settings, copy, stop)
                    if shelves is not None:
                        _Replay(decisions, settings, ruleset, wanted.without, shelves).run(stop)
                finally:
                    copy.keep(())
                if stop.requested():
                    return False
                decisions.note("completed", _now())
            shutil.rmtree(folder / _HISTORY, ignore_errors=True)
            return True
        finally:
            decisions.close()


def open_replay(folder: Path) -> Decisions:
    """The decisions of a replay that is complete.

    Raises:
        FolderError: the folder holds none.
    """
    if not (folder / FILE).exists():
        raise FolderError(f"{folder} holds no replay; make one with: claimscrub replay --out {folder}")
    decisions = Decisions(folder / FILE)
    if "completed" not in decisions.meta():
        decisions.close()
        raise FolderError(f"the replay in {folder} is not complete; go on with it with the command that began it")
    return decisions


def require_same_topic(decisions: Decisions, settings: Settings) -> None:
    """See that the brokers have the topic that was replayed.

    Raises:
        KafkaProblemError: they have another, or do not answer.
    """
    about = decisions.meta()
    topic = settings.submitted_topic
    require_topics(settings, [topic])
    if (about["topic"], about["topic_id"]) != (topic, topic_ids(settings, [topic])[topic]):
        raise KafkaProblemError(
            f"{decisions.path.parent} is the replay of another topic than {topic} at {settings.bootstrap_servers}; set"
            " the brokers and topics that it was made with"
        )


# ---- what is decided


def _begin(decisions: Decisions, settings: Settings, ruleset: RuleSet, wanted: Wanted) -> None:
    """Fix what is decided; or see that it is the same as was fixed before."""
    topic = settings.submitted_topic
    found = require_topics(settings, [topic, settings.history_topic])
    about = {
        "topic": topic,
        "topic_id": topic_ids(settings, [topic])[topic],
        "from": wanted.said[0],
        "to": wanted.said[1],
        "without": sorted(wanted.without),
        "rule_set": {"version": ruleset.version, "digest": ruleset.digest},
        "settings": {
            "max_claim_bytes": settings.max_claim_bytes,
            "max_message_bytes": settings.max_message_bytes,
            "history_lines": settings.history_lines,
            "mode": settings.mode,
        },
    }
    before = decisions.meta()
    if not before:
        decisions.begin({**about, "began": _now()}, _ranges(settings, found[topic], wanted))
        return
    for name, value in about.items():
        if before[name] != value:
            raise FolderError(
                f"{decisions.path.parent} holds a replay with another {_NAMES[name]}: {_shown(before[name])} there,"
                f" {_shown(value)} now; name another folder with --out"
            )


_NAMES = {
    "topic": "topic",
    "topic_id": "topic of this name, which was made anew since",
    "from": "--from",
    "to": "--to",
    "without": "--without",
    "rule_set": "rule set",
    "settings": "value of a setting",
}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(value) or "none" if isinstance(value, list) else value or "none"


def _ranges(settings: Settings, partitions: int, wanted: Wanted) -> list[Range]:
    topic = settings.submitted_topic
    named = [set(bound) for bound in (wanted.since, wanted.until) if isinstance(bound, Mapping)]
    numbers = sorted(set().union(*named)) if named else list(range(partitions))
    missing = [number for number in numbers if number >= partitions]
    if missing:
        raise KafkaProblemError(f"topic {topic} has no partition {missing[0]}: it has {partitions}, from 0 on")
    places = [(topic, number) for number in numbers]
    try:
        admin = AdminClient(confluent_config(settings))
        low = offsets(admin, places, OffsetSpec.earliest(), _TIMEOUT_SECONDS)
        high = offsets(admin, places, OffsetSpec.latest(), _TIMEOUT_SECONDS)
        committed = committed_offsets(admin, settings.group_id, places, _TIMEOUT_SECONDS)
        firsts = _at(admin, wanted.since, low, high)
        ends = _at(admin, wanted.until, high, high)
    except KafkaException as error:
        raise KafkaSilentError(f"topic {topic}: {error.args[0].str()}") from None
    ranges = []
    for place in places:
        first = min(max(firsts[place], low[place]), high[place])
        end = max(first, min(ends[place], high[place]))
        ranges.append(Range(place[1], first, first, end, committed.get(place, 0 if committed else NOT_KNOWN)))
    return ranges


def _at(
    admin: AdminClient, bound: Bound, default: Mapping[tuple[str, int], int], high: Mapping[tuple[str, int], int]
) -> dict[tuple[str, int], int]:
    if bound is None:
        return dict(default)
    if isinstance(bound, datetime):
        asked = OffsetSpec.for_timestamp(max(0, round(bound.timestamp() * 1000)))
        found = offsets(admin, high, asked, _TIMEOUT_SECONDS)
        return {place: high[place] if offset < 0 else offset for place, offset in found.items()}
    return {place: bound.get(place[1], offset) for place, offset in default.items()}


# ---- history


def _copy_history(settings: Settings, copy: Shelves, stop: Stop) -> list[Shelf] | None:
    """Copy what the history holds by now, of all partitions, as a claim may stand in another than its member's.

    Returns:
        The shelves by partition; None if it was stopped before they were complete.
    """
    partitions = require_topics(settings, [settings.history_topic])[settings.history_topic]
    shelves = [copy.shelf(number) for number in range(partitions)]
    left = [number for number in range(partitions) if shelves[number].position is None]
    if not left:
        return shelves
    with progress("copying the history", len(left), "partitions") as step:
        for number in left:
            changes = records(settings, number)
            while some := list(islice(changes, _COPY_RECORDS)):
                if stop.requested():
                    return None
                shelves[number].write(some, None)
            shelves[number].write((), _COMPLETE)
            step(1)
    return shelves


# ---- deciding


class _Judge:
    """Judges claims by a rule set, and says which previews would have flagged the last one."""

    def __init__(self, ruleset: RuleSet) -> None:
        self._ruleset = ruleset
        self._previews = {each.id for each in ruleset.rules.values() if each.status == "preview"}
        self._as_active = ruleset.as_active()
        self.would_flag: tuple[str, ...] = ()

    def evaluate(self, claim: Claim, history: History = NO_HISTORY, /) -> Decision:
        """The decision; previews do not flag."""
        decision = self._ruleset.evaluate(claim, history)
        self.would_flag = ()
        if self._previews and any(each.rule_id in self._previews for each in decision.findings):
            findings = self._as_active.evaluate(claim, history).findings
            errors = {each.rule_id for each in findings if each.severity is Severity.ERROR}
            self.would_flag = tuple(sorted(errors & self._previews))
        return decision


class _Replay:
    """Decides what is left, in the order in which it came, so that it ends the same however often it was stopped."""

    def __init__(
        self,
        decisions: Decisions,
        settings: Settings,
        ruleset: RuleSet,
        without: Collection[str],
        shelves: Sequence[Shelf],
    ) -> None:
        self._decisions = decisions
        self._settings = settings
        self._judge = _Judge(ruleset.without(without) if without else ruleset)
        self._limits = Limits(settings.max_claim_bytes, settings.max_message_bytes)
        self._monitors = settings.mode == "monitor"
        self._shelves = shelves
        self._sources: tuple[int, ...] = ()
        """Partitions of which an event that came before the one that is decided was decided before it, too."""
        self._events: dict[int, set[Event]] = {}
        """Those of the batch, by partition."""
        members = members_of(settings, ruleset)
        self._memories = [
            Hindsight(members, ruleset, shelf, settings.history_lines, (number, len(shelves)), passed=self._passed)
            for number, shelf in enumerate(shelves)
        ]

    def run(self, stop: Stop) -> None:
        """Until it is complete, or stopped.

        Raises:
            HistoryError, KafkaProblemError: see `replay`.
        """
        for memory in self._memories:
            memory.begin()
        # Where the group has committed nothing at all, whether there is a history tells whether another one has worked.
        has_history = any(shelf.get(META_KEY) for shelf in self._shelves)
        ranges = self._decisions.ranges()
        decided_to = {
            each.partition: (each.end if has_history else 0) if each.decided_to == NOT_KNOWN else each.decided_to
            for each in ranges
        }
        firsts = sum(each.first for each in ranges)
        total, done = sum(each.end for each in ranges) - firsts, sum(each.next for each in ranges) - firsts
        with progress("deciding again", total, "claims", done) as step:
            for batch, following in merged(self._settings, ranges, stop):
                self._decide(batch, following, decided_to)
                reached = sum(following.values()) - firsts
                step(reached - done)
                done = reached

    def _decide(self, batch: Iterable[Any], following: Mapping[int, int], decided_to: Mapping[int, int]) -> None:
        self._events = {}
        decided: list[Decided] = []
        changed: dict[int, dict[bytes, bytes]] = {}
        for message in batch:
            raw, offset, (_, at) = message.value(), message.offset(), message.timestamp()
            partition = message.partition()
            self._judge.would_flag = ()
            where, outcome = self._outcome(partition, raw, at, is_decided=offset < decided_to[partition])
            if outcome.changes:
                changed.setdefault(where, {}).update(outcome.changes)
            digest = "" if outcome.decision is None else input_digest(raw)[DIGEST]
            if digest and outcome.claim_id is not None:
                self._events.setdefault(partition, set()).add((outcome.claim_id, digest))
            decided.append(_decided(outcome, Arrival(message.topic(), partition, offset, at), digest, self._judge))
        # First the copy: what it has too early changes no decision; what it had too late would.
        for number, changes in changed.items():
            self._shelves[number].write(changes.items(), None)
            self._memories[number].stands(changes)
        self._decisions.add(decided, following)

    def _outcome(self, partition: int, raw: bytes | None, at: int, *, is_decided: bool) -> tuple[int, Outcome]:
        """Which partition has decided an event, and how."""
        memory = self._memories[partition]
        self._sources = (partition,)
        outcome = self._handle(raw, at, memory, is_decided=is_decided)
        if not outcome.goes_on:
            return partition, outcome
        assert outcome.key is not None
        there = memory.partition_of(outcome.key)
        self._sources = (partition, there)
        return there, self._handle(raw, at, self._memories[there], is_decided=is_decided, was_repartitioned=True)

    def _handle(
        self, raw: bytes | None, at: int, memory: Hindsight, *, is_decided: bool, was_repartitioned: bool = False
    ) -> Outcome:
        memory.is_decided = is_decided
        return handle(
            raw,
            self._judge,
            at,
            memory,
            self._limits,
            was_repartitioned=was_repartitioned,
            monitors=self._monitors,
        )

    def _passed(self, events: Collection[Event], is_certain: bool) -> set[Event]:
        found = self._decisions.has_events(events, self._sources if is_certain else None)
        for partition, those in self._events.items():
            if not is_certain or partition in self._sources:
                found |= those.intersection(events)
        return found


def _decided(outcome: Outcome, arrival: Arrival, digest: str, judge: _Judge) -> Decided:
    decision, error = outcome.decision, outcome.error
    place = (arrival.partition, arrival.offset, arrival.timestamp, outcome.claim_id or "")
    if decision is None:
        return Decided(*place, "", "", None, DEADLETTER, reason=str(error or ""))
    findings = tuple(
        Said(each.rule_id, each.severity.value, each.name, each.line, each.path, each.message)
        for each in decision.findings
    )
    charge = None if outcome.charge is None else int(outcome.charge.scaleb(2).to_integral_value())
    would_flag = judge.would_flag if decision.disposition is Disposition.CLEARED else ()
    return Decided(*place, digest, decision.payer, charge, decision.disposition.value, findings, would_flag)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
