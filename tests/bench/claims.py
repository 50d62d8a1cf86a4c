"""The claim events of the benchmark: about 2 KB each, varied, the same for the same seed and rule set.

Claims are drawn at random from the builders of the examples and judged once, so that the share of flagged ones stays
what it is however many rules there are. Each claim sent is of a member of its own, and comes under the member's key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from rules import Claim, Disposition, RuleSet
from rules.engine.claim import Payer
from rules.engine.examples import (
    MEMBER_NUMBERS,
    a_facility_line,
    a_line,
    as_json,
    claim_content,
    facility_claim_content,
)
from tests.worker_process import SECRET, member_number
from worker.members import Members

SEED = 63685
BYTES = (1_600, 2_400)
FLAGGED_SHARE = 0.15
UNREADABLE_EVERY = 1_000

_POOL = {Disposition.CLEARED: 800, Disposition.FLAGGED: 200}
_MOST_DRAWS = 20_000
_ID = "BENCH-0000000"
_NOTE = "Trial stimulation gave more than half relief; leads and pulse generator placed in one session. "
_PAYERS = ("MEDICARE_FFS", "MEDICARE_FFS", "AETNA", "UHC_COM", "CIGNA", "ANTHEM", "HUMANA_MA")

_PROFESSIONAL_EXTRAS: tuple[dict[str, Any], ...] = (
    a_line("63650", charge_amount="4200.00"),
    a_line("63650", charge_amount="4200.00", modifiers=["59"]),
    a_line("99213", charge_amount="160.00", service_date="2026-06-02"),
    a_line("99214", charge_amount="235.00", service_date="2026-06-23"),
    a_line("99213", charge_amount="160.00", service_date="2026-07-14"),
    a_line("20553", charge_amount="210.00", service_date="2026-05-12"),
)
_FACILITY_EXTRAS: tuple[dict[str, Any], ...] = (
    a_facility_line("C1778", revenue_code="0278", charge_amount="8600.00", units="2"),
    a_facility_line("63650", charge_amount="12500.00"),
    a_facility_line("", revenue_code="0710", charge_amount="950.00"),
    a_facility_line("", revenue_code="0250", charge_amount="310.40", units="6"),
    a_facility_line("", revenue_code="0270", charge_amount="1280.15", units="4"),
)
_DEFECTS: tuple[Callable[[dict[str, Any]], Any], ...] = (
    lambda claim: claim["lines"][0].update(units="2"),
    lambda claim: claim["lines"].append(claim["lines"][0]),
    lambda claim: claim["billing_provider"].pop("npi"),
    lambda claim: claim.update(frequency_code="7"),
    lambda claim: claim.update(diagnoses=[{"code": "M54.5", "kind": "principal"}]),
)


_ESTABLISHED = {
    "case_facts": dict.fromkeys(
        ("ncd_late_resort", "ncd_other_therapies", "ncd_screening", "ncd_facilities", "ncd_trial_relief"), True
    )
}
_VISITS = (
    a_line("99203", charge_amount="310.00"),
    a_line("99213", charge_amount="160.00", service_date="2026-06-02"),
    a_line("99214", charge_amount="235.00", service_date="2026-06-23"),
)
# Nothing at all is to be said of these: what evaluating the whole catalogue costs, and nothing else.
CLEAN_CLAIMS: dict[str, bytes] = {
    "Medicare, surgeon": as_json(claim_content(**_ESTABLISHED, lines=[a_line(), *_VISITS])).encode(),
    "Medicare, hospital": as_json(
        facility_claim_content(**_ESTABLISHED, lines=[*facility_claim_content()["lines"], *_FACILITY_EXTRAS[2:4]])
    ).encode(),
    "BCBSMA, surgeon": as_json(claim_content("BCBSMA", **_ESTABLISHED, lines=[a_line(), *_VISITS])).encode(),
}


class Drawn(NamedTuple):
    """A claim that was drawn; it lacks an id and a member of its own."""

    raw: bytes
    payer: Payer

    def event(self, number: int, member: int, members: Members) -> tuple[bytes, bytes]:
        """Key and value of a claim event with this number, of a member with this number."""
        template, own = _member_numbers(self.payer, member)
        raw = self.raw.replace(_ID.encode(), b"BENCH-%07d" % number).replace(template.encode(), own.encode())
        return self.key(member, members), raw

    def key(self, member: int, members: Members) -> bytes:
        """The key of the member with a number."""
        key = members.key_of(self.payer, _member_numbers(self.payer, member)[1])
        assert key is not None
        return key


class Pool(NamedTuple):
    """Claims that clear and claims that are flagged, and whose the members are."""

    drawn: dict[Disposition, list[Drawn]]
    members: Members

    def some(self, random: Random) -> Drawn:
        """One of them, flagged as often as it should be."""
        kind = Disposition.FLAGGED if random.random() < FLAGGED_SHARE else Disposition.CLEARED
        return random.choice(self.drawn[kind])


def claim_pool(ruleset: RuleSet, payers: Sequence[str] = _PAYERS) -> Pool:
    """Draw claims to payers.

    Raises:
        RuntimeError: the draw gives too few of one kind; the builders above no longer fit the rules.
    """
    random = Random(SEED)
    pool: dict[Disposition, list[Drawn]] = {kind: [] for kind in _POOL}
    for _ in range(_MOST_DRAWS):
        raw = _draw(random, payers)
        claim = Claim.from_json(raw)
        kind = ruleset.evaluate(claim).disposition
        if len(pool[kind]) < _POOL[kind]:
            pool[kind].append(Drawn(raw, claim.payer))
        elif all(len(pool[each]) == _POOL[each] for each in pool):
            return Pool(pool, Members(SECRET, ruleset.recognised))
    raise RuntimeError(f"of {_MOST_DRAWS} claims drawn, { ({kind.value: len(each) for kind, each in pool.items()}) }")


def claim_events(pool: Pool, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each claim event; one in a thousand is cut off and so unreadable."""
    random = Random(SEED)
    for number in range(count):
        key, raw = pool.some(random).event(number, number, pool.members)
        yield key, raw[:-1] if number % UNREADABLE_EVERY == 0 else raw


def _member_numbers(payer: Payer, member: int) -> tuple[str, str]:
    """The member number of the builders' claims, and that of a member."""
    if payer.key in MEMBER_NUMBERS:
        return MEMBER_NUMBERS[payer.key], member_number(member)
    return "W123456789", f"W{member:09}"


def _draw(random: Random, payers: Sequence[str]) -> bytes:
    payer = random.choice(payers)
    changes: dict[str, Any] = {"claim_id": _ID, "patient_control_number": f"PCN-{random.randrange(10**8)}"}
    if payer != "MEDICARE_FFS":
        changes["prior_authorization_number"] = f"PA{random.randrange(10**8)}"
    if random.random() < 0.5:
        extras = random.sample(_PROFESSIONAL_EXTRAS, random.randrange(len(_PROFESSIONAL_EXTRAS)))
        content = claim_content(payer, **changes, lines=[a_line(), *extras])
    else:
        lines = facility_claim_content()["lines"]
        extras = random.sample(_FACILITY_EXTRAS, random.randrange(len(_FACILITY_EXTRAS)))
        content = facility_claim_content(payer, **changes, lines=[*lines, *extras])
    if random.random() < FLAGGED_SHARE:
        random.choice(_DEFECTS)(content)
    note = {"qualifier": "ADD", "text": ""}
    content["notes"] = [note]
    missing = max(0, random.randint(*BYTES) - len(as_json(content)))
    note["text"] = (_NOTE * (missing // len(_NOTE) + 1))[:missing]
    return as_json(content).encode()
