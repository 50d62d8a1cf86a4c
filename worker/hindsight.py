"""What a claim saw of its member's history when it came, worked out from what the history holds by now.

A member's record keeps claims, answers and releases with their places in the order in which they came, so a claim that
it holds sees again what it saw. Two kinds of claims that were decided are not held: those that came again since with
another content, and those without a line that is remembered. Their places are found from what is held around them; the
former are put back there, as claims that came between have seen them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import date
from typing import NamedTuple

from rules import Claim, Decision, MemberRecord, RuleSet
from rules.engine.record import MOST_LINES, NO_RECORD, StoredClaim, delivered_before, history_of
from worker.history import DIGEST, Change, Looked, Memory, Store, dated
from worker.members import Members

Event = tuple[str, str]
"""Claim id and digest of a claim event, as a record holds them."""


class _Place(NamedTuple):
    """Where in a member's order a claim event came.

    Attributes:
        ordinal: of all that comes before it, each has a lower one.
        is_superseded: the record holds a later delivery of the claim instead.
    """

    ordinal: int
    is_superseded: bool = False


class Hindsight(Memory):
    """The memory of all partitions, in which claims are judged again.

    Args:
        members, ruleset, store, most_lines, place: those of a `Memory`.
        passed: which of some claim events came before; or, if asked for what is certain, those of them that a worker
            must have judged before, too, as they did not come through another partition.

    Attributes:
        is_decided: whether a worker has decided the event that is looked up next; one that none has decided is
            remembered, in the copy, as the worker would.
    """

    def __init__(
        self,
        members: Members,
        ruleset: RuleSet,
        store: Store,
        most_lines: int = MOST_LINES,
        place: tuple[int, int] = (0, 1),
        *,
        passed: Callable[[Collection[Event], bool], set[Event]],
    ) -> None:
        super().__init__(members, ruleset, store, most_lines, place)
        self._ruleset = ruleset
        self.is_decided = True
        self._passed = passed

    def look_up(self, key: bytes, claim: Claim, digest: str, received: date | None) -> Looked:
        """A member's history as it was when the claim came."""
        record = self.record(key)
        digest = digest[DIGEST]
        claim = dated(record, claim, digest, received)
        ordinal = self._place_of(record, claim, digest).ordinal
        then = as_it_was(record, ordinal, self._passed_again(record, (claim.claim_id, digest)))
        history = history_of(then, claim, digest, self._members.patient_of(claim), self._held_since(claim))
        return Looked(key, record, claim, digest, received, history)

    def remember(self, looked: Looked, decision: Decision, *, goes_on: bool = False) -> tuple[Change, ...]:
        """Add a claim that no worker has decided, or that came again since; the records that have changed.

        It is remembered as workers would decide it, with all rules, so that what is left out changes no history.
        """
        key, record, claim, digest, _, history = looked
        place = self._place_of(record, claim, digest)
        if self.is_decided and not place.is_superseded:
            return ()
        decision = self._ruleset.evaluate(claim, history)
        if not self.is_decided:
            return super().remember(looked, decision, goes_on=goes_on)
        made = self._added(NO_RECORD, looked, decision, goes_on=goes_on).claims
        if not made:
            return ()
        claims = (*record.claims, made[0]._replace(ordinal=place.ordinal))
        return (self._stage(key, record._replace(claims=tuple(sorted(claims, key=_ordinal)))),)

    def _passed_again(self, record: MemberRecord, event: Event) -> Collection[Event]:
        """The events of a record that came before one that is delivered again, where it matters; else none."""
        if len({each.claim.claim_id for each in record.claims}) == len(record.claims):
            return ()
        passed = self._passed(_events(record), False)
        return passed if event in passed else ()

    def _place_of(self, record: MemberRecord, claim: Claim, digest: str) -> _Place:
        held = delivered_before(record, claim.claim_id, digest)
        if held is not None:
            return _Place(held.ordinal)
        if not self.is_decided or not record.claims:
            return _Place(record.next_ordinal)
        events = _events(record)
        return place_of(record, claim, self._passed(events, False), self._passed(events, True))


def _events(record: MemberRecord) -> set[Event]:
    return set(map(_event, record.claims))


def _event(stored: StoredClaim) -> Event:
    return stored.claim.claim_id, stored.digest


def as_it_was(record: MemberRecord, ordinal: int, passed: Collection[Event] = ()) -> MemberRecord:
    """A record before something came.

    Of each claim it has the latest delivery that was held then. What is delivered again later sees less than it saw the
    first time, in a worker too: no delivery that another has taken the place of by then.

    Args:
        record: the member's.
        ordinal: of what came.
        passed: the events of the record that came before it, if it is delivered again.
    """
    latest: dict[str, StoredClaim] = {}
    for each in record.claims:
        if each.ordinal < ordinal:
            latest[each.claim.claim_id] = each
        elif _event(each) in passed:
            latest.pop(each.claim.claim_id, None)
    claims = tuple(sorted(latest.values(), key=_ordinal))
    return MemberRecord(claims, ordinal, record.dropped_through, record.releases)


def place_of(record: MemberRecord, claim: Claim, passed: set[Event], certain: set[Event]) -> _Place:
    """Where a claim event came that a worker has decided and the record does not hold.

    Args:
        record: the member's.
        claim: the claim, with its receipt date.
        passed: the events of the record that came before.
        certain: those of them that a worker must have judged before, too.
    """
    before = [
        each.ordinal for each in record.claims if _event(each) in certain or _is_earlier(each, claim.received_date)
    ]
    last = max(before, default=-1)
    after = [each for each in record.claims if each.ordinal > last]
    successor = next((each.ordinal for each in after if each.claim.claim_id == claim.claim_id), None)
    # What came on the same day and was not passed came later, or came before all that is judged again.
    later = [each.ordinal for each in after if _event(each) not in passed and _is_since(each, claim.received_date)]
    upper = min([*later, *([] if successor is None else [successor])], default=record.next_ordinal)
    if successor is None:
        return _Place(upper)
    # The place it had is one that is missing now.
    taken = set(_ordinals(record))
    missing = (number for number in range(last + 1, upper) if number not in taken)
    return _Place(next(missing, upper), is_superseded=True)


def _is_earlier(stored: StoredClaim, day: date | None) -> bool:
    received = stored.claim.received_date
    return day is not None and received is not None and received < day


def _is_since(stored: StoredClaim, day: date | None) -> bool:
    received = stored.claim.received_date
    return day is None or received is None or received >= day


def _ordinals(record: MemberRecord) -> Iterable[int]:
    for stored in record.claims:
        yield stored.ordinal
        for change in stored.claim.changes:
            yield change.ordinal
    for release in record.releases:
        yield release.ordinal


def _ordinal(stored: StoredClaim) -> int:
    return stored.ordinal
