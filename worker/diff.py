"""`claimscrub diff`: decisions before and after, event by event.

Before is what was published, or another replay; after is a replay. Two decisions are the same if the claim goes to the
same place with the same findings, or is a dead letter for the same reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, NamedTuple

from worker.decisions import CLEARED, DEADLETTER, FLAGGED, Decided, Decisions, Said
from worker.folder import FolderError, Stop
from worker.published import read_published
from worker.replay import FILE, open_replay, require_same_topic
from worker.settings import Settings

Kind = Literal["newly flagged", "newly cleared", "newly dead letter", "no longer dead letter", "reasons changed"]
KINDS: Final[tuple[Kind, ...]] = (
    "newly flagged",
    "newly cleared",
    "newly dead letter",
    "no longer dead letter",
    "reasons changed",
)
_ERROR = "error"


class FindingChange(NamedTuple):
    """What became of a finding.

    Attributes:
        before, after: the severities; blank where there is no such finding.
        message: after, or before where it is gone.
    """

    rule_id: str
    name: str
    line: int | None
    field: str
    before: str
    after: str
    message: str

    @property
    def kind(self) -> str:
        """In a word."""
        if not self.before:
            return "added"
        if not self.after:
            return "removed"
        return "reworded" if self.before == self.after else "severity"


class Difference(NamedTuple):
    """A claim event that is decided otherwise.

    Attributes:
        charge: in cents; None where it is not known.
        reason: why it is, or was, a dead letter.
    """

    kind: Kind
    event_id: str
    claim_id: str
    payer: str
    charge: int | None
    before: str
    after: str
    changes: tuple[FindingChange, ...]
    reason: str = ""


@dataclass
class Sum:
    """A number of claims, and their charges in cents."""

    claims: int = 0
    cents: int = 0

    def add(self, charge: int | None) -> None:
        self.claims += 1
        self.cents += charge or 0


def _sums() -> dict[Kind, Sum]:
    return {kind: Sum() for kind in KINDS}


@dataclass
class RuleSum:
    """What changes by one rule; a claim may count for several.

    Attributes:
        changes: kind of a finding's change → how many.
        newly_flagged: with an error of this rule that was none before.
        newly_cleared: without an error of this rule that was one before.
    """

    name: str = ""
    changes: Counter[str] = field(default_factory=Counter)
    newly_flagged: Sum = field(default_factory=Sum)
    newly_cleared: Sum = field(default_factory=Sum)


@dataclass
class Diff:
    """What is different.

    Attributes:
        before, after: what is compared, as its file says.
        compared: events decided on both sides.
        only_before, only_after: events decided on one side.
        kinds, payers, rules: what changes, in all, by payer, and by rule.
        would_flag: preview → claims that are cleared after, and that it would flag.
        would_flag_any: those claims, each once.
        differences: in the order of the events.
    """

    before: dict[str, Any]
    after: dict[str, Any]
    compared: Sum = field(default_factory=Sum)
    only_before: Sum = field(default_factory=Sum)
    only_after: Sum = field(default_factory=Sum)
    kinds: dict[Kind, Sum] = field(default_factory=_sums)
    payers: dict[str, dict[Kind, Sum]] = field(default_factory=dict)
    rules: dict[str, RuleSum] = field(default_factory=dict)
    would_flag: dict[str, Sum] = field(default_factory=dict)
    would_flag_any: Sum = field(default_factory=Sum)
    differences: list[Difference] = field(default_factory=list)

    @property
    def unchanged(self) -> int:
        """How many events are decided the same."""
        return self.compared.claims - len(self.differences)

    def largest(self, most: int) -> list[Difference]:
        """The differences that matter most: by kind, then by charge."""
        order = {kind: number for number, kind in enumerate(KINDS)}
        return sorted(self.differences, key=lambda each: (order[each.kind], -(each.charge or 0), each.event_id))[:most]


def compare(load_settings: Callable[[], Settings], folder: Path, other: Path | None = None) -> Diff | None:
    """Compare a replay with what was published about the same events, or with a later replay.

    Args:
        load_settings: gives brokers and topics, where they are asked.
        folder: of a replay.
        other: of the later one; None for what was published, which then is before.

    Returns:
        What is different; None if a signal has ended it.

    Raises:
        FolderError: a folder holds no replay that is complete.
        KafkaProblemError: the brokers do not answer or refuse, or it is not their topic that was replayed.
    """
    with ExitStack() as stack:
        replayed = stack.enter_context(closing(open_replay(folder)))
        if other is not None:
            after = stack.enter_context(closing(open_replay(other)))
            _require_same_topic(replayed, after)
            return diff(replayed, after)
        settings = load_settings()
        require_same_topic(replayed, settings)
        stop = stack.enter_context(Stop().on_signals())
        path = Path(stack.enter_context(TemporaryDirectory(prefix=".published-", dir=folder)))
        found = stack.enter_context(closing(Decisions(path / FILE)))
        if not read_published(settings, replayed, found, stop):
            return None
        return diff(found, replayed, {"published": list(settings.output_topics)})


def _require_same_topic(before: Decisions, after: Decisions) -> None:
    topics = [(each.meta()["topic"], each.meta()["topic_id"]) for each in (before, after)]
    if topics[0] != topics[1]:
        raise FolderError(
            f"{before.path.parent} and {after.path.parent} are replays of two topics, so no event is in both"
        )


def diff(before: Decisions, after: Decisions, about_before: dict[str, Any] | None = None) -> Diff:
    """Compare decisions.

    Args:
        before: decisions.
        after: decisions about events of the same topic.
        about_before: what to say of those before, where their file says nothing.
    """
    found = Diff(about_before or before.meta(), after.meta())
    topic = found.after["topic"]
    for old, new in _pairs(before, after):
        known = new or old
        assert known is not None
        if new is not None and new.would_flag:
            found.would_flag_any.add(new.charge)
            for rule_id in new.would_flag:
                found.would_flag.setdefault(rule_id, Sum()).add(new.charge)
        if old is None or new is None:
            (found.only_after if old is None else found.only_before).add(known.charge)
            continue
        charge = old.charge if new.charge is None else new.charge
        found.compared.add(charge)
        changed = _difference(topic, old, new, charge)
        if changed is not None:
            found.differences.append(changed)
            _count(found, changed)
    return found


def _pairs(before: Decisions, after: Decisions) -> Iterator[tuple[Decided | None, Decided | None]]:
    """The decisions of both sides about each event, in the order of the events."""
    olds, news = before.all(), after.all()
    old, new = next(olds, None), next(news, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[:2] < new[:2]):
            yield old, None
            old = next(olds, None)
        elif old is None or new[:2] < old[:2]:
            yield None, new
            new = next(news, None)
        else:
            yield old, new
            old, new = next(olds, None), next(news, None)


def _difference(topic: str, old: Decided, new: Decided, charge: int | None) -> Difference | None:
    changes = () if old.findings == new.findings else tuple(_changes(old.findings, new.findings))
    if not changes and (old.disposition, old.reason) == (new.disposition, new.reason):
        return None
    kind: Kind = "reasons changed"
    if old.disposition != new.disposition:
        if new.disposition == DEADLETTER:
            kind = "newly dead letter"
        elif old.disposition == DEADLETTER:
            kind = "no longer dead letter"
        else:
            kind = "newly flagged" if new.disposition == FLAGGED else "newly cleared"
    return Difference(
        kind,
        f"{topic}-{new.partition}-{new.offset}",
        new.claim_id or old.claim_id,
        new.payer or old.payer,
        charge,
        old.disposition,
        new.disposition,
        changes,
        new.reason or old.reason,
    )


def _changes(old: tuple[Said, ...], new: tuple[Said, ...]) -> Iterator[FindingChange]:
    """What became of the findings, matched by rule, line and field; those that are alike are matched first."""
    gone, come = list((Counter(old) - Counter(new)).elements()), list((Counter(new) - Counter(old)).elements())
    for before in gone:
        after = next((each for each in come if _place(each) == _place(before)), None)
        if after is not None:
            come.remove(after)
        said = after or before
        severity = "" if after is None else after.severity
        yield FindingChange(*_place(before), before.severity, severity, said.message)
    for after in come:
        yield FindingChange(*_place(after), "", after.severity, after.message)


def _place(said: Said) -> tuple[str, str, int | None, str]:
    return said.rule_id, said.name, said.line, said.field


def _count(found: Diff, changed: Difference) -> None:
    found.kinds[changed.kind].add(changed.charge)
    found.payers.setdefault(changed.payer, _sums())[changed.kind].add(changed.charge)
    for each in changed.changes:
        of_rule = found.rules.setdefault(each.rule_id, RuleSum(each.name))
        of_rule.changes[each.kind] += 1
    come = {each.rule_id for each in changed.changes if each.after == _ERROR != each.before}
    gone = {each.rule_id for each in changed.changes if each.before == _ERROR != each.after}
    if changed.after == FLAGGED != changed.before:
        for rule_id in come:
            found.rules[rule_id].newly_flagged.add(changed.charge)
    elif changed.after == CLEARED != changed.before:
        for rule_id in gone:
            found.rules[rule_id].newly_cleared.add(changed.charge)
