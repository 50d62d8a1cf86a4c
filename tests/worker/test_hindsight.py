"""What a claim saw when it came is found again from what the history holds long after."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

import pytest

from rules import Answer, Claim, ClaimError, Decision, Disposition, RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from rules.engine.history import Status
from tests.worker_process import MEMBERS, of_member
from worker.hindsight import Event, Hindsight
from worker.history import DIGEST, Memory, decoded
from worker.pipeline import input_digest, judge

_TODAY = date(2026, 8, 10)
_ANSWERS: tuple[Status, ...] = ("accepted", "paid", "denied", "rejected")


class _Came(NamedTuple):
    raw: bytes
    received: date
    decision: Decision


class _Production:
    """A worker's memory of one partition, and what was decided with it."""

    def __init__(self, ruleset: RuleSet) -> None:
        self._ruleset = ruleset
        self.store: dict[bytes, bytes] = {}
        self.came: list[_Came] = []
        self._memory = Memory(MEMBERS, ruleset, self.store)
        self._memory.begin()

    def decide(self, raw: bytes, received: date = _TODAY) -> Decision:
        claim = Claim.from_json(raw)
        key = self._memory.key_of_claim(claim)
        judged = judge(claim, self._ruleset, self._memory, key, digest=input_digest(raw), received=received)
        assert judged.remember is not None
        self._stands(judged.remember())
        self.came.append(_Came(raw, received, judged.decision))
        return judged.decision

    def answer(self, raw: bytes, status: Status) -> None:
        claim = Claim.from_json(raw)
        key = self._memory.key_of_claim(claim)
        assert key is not None
        self._stands(self._memory.answered(key, Answer(status, _TODAY, claim_id=claim.claim_id)))

    def release(self, came: _Came) -> None:
        claim = Claim.from_json(came.raw)
        key = self._memory.key_of_claim(claim)
        assert key is not None
        digest = input_digest(came.raw)
        self._stands(self._memory.release(key, claim.claim_id, digest, f"override-{len(self.came)}"))

    def _stands(self, changes: Collection[tuple[bytes, bytes]]) -> None:
        self.store.update(changes)
        self._memory.stands(dict(changes))


def _again(
    ruleset: RuleSet, production: _Production, start: int = 0, undecided: dict[bytes, bytes] | None = None
) -> list[Decision]:
    """The decisions of a replay from some event on; of one that no worker has decided if it is given what is held."""
    store, passed = dict(production.store if undecided is None else undecided), set[Event]()
    memory = Hindsight(MEMBERS, ruleset, store, passed=lambda events, _: passed.intersection(events))
    memory.begin()
    found = []
    memory.is_decided = undecided is None
    for raw, received, _ in production.came[start:]:
        claim, digest = Claim.from_json(raw), input_digest(raw)
        key = memory.key_of_claim(claim)
        judged = judge(claim, ruleset, memory, key, digest=digest, received=received)
        assert judged.remember is not None
        changes = judged.remember()
        store.update(changes)
        memory.stands(dict(changes))
        passed.add((claim.claim_id, digest[DIGEST]))
        found.append(judged.decision)
    return found


def _claim(number: int, member: int, lines: list[dict[str, Any]], **changes: Any) -> bytes:
    content = {"claim_id": f"C{number}", "patient_control_number": f"PCN-{number}", "lines": lines, **changes}
    return as_json(of_member(member, claim_content(**content))).encode()


def _some_traffic(ruleset: RuleSet, random: Random) -> _Production:
    """Claims of three members: new ones, the same again, others under the same id, answers and releases."""
    production, day = _Production(ruleset), _TODAY
    latest: dict[int, _Came] = {}
    members: dict[int, int] = {}
    answered: set[int] = set()
    for number in range(90):
        day += timedelta(days=random.choice((0, 0, 0, 1)))
        way = random.random()
        id_ = random.choice(list(latest) or [number])
        if id_ in latest and way < 0.1:
            production.decide(latest[id_].raw, day)
        elif id_ in latest and way < 0.25:
            answered.add(id_)
            production.answer(latest[id_].raw, random.choice(_ANSWERS))
        elif id_ in latest and way < 0.3:
            with suppress(ClaimError):
                production.release(latest[id_])
                answered.add(id_)
        else:
            # Answers to a delivery are gone with it when another takes its place, and with them what others saw of it.
            id_ = id_ if id_ not in answered and way < 0.5 else number
            member = members.setdefault(id_, random.randrange(3))
            lines = [
                a_line(random.choice(("63685", "63650", "95972")), units=random.choice("12"), charge_amount=number)
            ]
            frequency = random.choice(("1", "1", "1", "7"))
            production.decide(_claim(id_, member, lines, frequency_code=frequency), day)
            latest[id_] = production.came[-1]
    return production


@pytest.mark.parametrize("seed", range(20))
def test_every_claim_sees_again_what_it_saw(ruleset: RuleSet, seed: int) -> None:
    """Whatever came after a claim, the same again, others under its id, answers, releases, it is decided as before."""
    production = _some_traffic(ruleset, Random(seed))

    assert _again(ruleset, production) == [each.decision for each in production.came]
    assert any(each.decision.disposition is Disposition.FLAGGED for each in production.came)


def test_claims_that_no_worker_has_decided_see_each_other(ruleset: RuleSet) -> None:
    """What is still to be decided is remembered as a worker would, so the next claim sees it."""
    production = _some_traffic(ruleset, Random(1))
    held, start = dict(production.store), len(production.came)
    for number in range(200, 212):
        lines = [a_line("63685", units="2" if number % 3 else "1")]
        production.decide(_claim(number // 2 * 2, number % 2, lines, total_charge_amount=number), date(2026, 12, 1))

    assert _again(ruleset, production, start, held) == [each.decision for each in production.came[start:]]
    assert any(each.rule_id == "HIS001" for each in production.came[-1].decision.findings)


def test_what_is_left_out_does_not_change_what_others_see(ruleset: RuleSet) -> None:
    """A claim that would be cleared without a rule still counts as flagged for the claims after it, as it was."""
    production = _Production(ruleset)
    production.decide(_claim(1, 1, [a_line(units="2")]))
    production.decide(_claim(1, 1, [a_line(units="3")]))
    production.decide(_claim(2, 1, [a_line(units="1")], patient_control_number="PCN-1"))
    store = dict(production.store)
    memory = Hindsight(MEMBERS, ruleset, store, passed=lambda *_: set())
    memory.begin()
    first = production.came[0]
    claim, digest = Claim.from_json(first.raw), input_digest(first.raw)
    key = memory.key_of_claim(claim)
    judged = judge(claim, ruleset.without(["UNT001"]), memory, key, digest=digest, received=_TODAY)
    assert judged.remember is not None
    ((_, raw),) = judged.remember()

    assert judged.decision.disposition is Disposition.CLEARED
    assert [each.claim.status for each in decoded(raw).claims] == ["flagged", "flagged", "received"]
