"""The claim events of the benchmark: about 2 KB each, varied, the same for the same seed and rule set.

Claims are drawn at random from the builders of the examples and judged once, so that the share of flagged ones stays
what it is however many rules there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from rules import Claim, Disposition, RuleSet
from rules.engine.examples import a_facility_line, a_line, as_json, claim_content, facility_claim_content

SEED = 63685
BYTES = (1_600, 2_400)
FLAGGED_SHARE = 0.15
UNREADABLE_EVERY = 1_000

_POOL = {Disposition.CLEARED: 800, Disposition.FLAGGED: 200}
_MOST_DRAWS = 20_000
_MEMBERS = 5_000
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


def claim_pool(ruleset: RuleSet) -> dict[Disposition, list[bytes]]:
    """Claims that clear and claims that are flagged, all with one id.

    Raises:
        RuntimeError: the draw gives too few of one kind; the builders above no longer fit the rules.
    """
    random = Random(SEED)
    pool: dict[Disposition, list[bytes]] = {kind: [] for kind in _POOL}
    for _ in range(_MOST_DRAWS):
        raw = _draw(random)
        kind = ruleset.evaluate(Claim.from_json(raw)).disposition
        if len(pool[kind]) < _POOL[kind]:
            pool[kind].append(raw)
        elif all(len(pool[each]) == _POOL[each] for each in pool):
            return pool
    raise RuntimeError(f"of {_MOST_DRAWS} claims drawn, { ({kind.value: len(raws) for kind, raws in pool.items()}) }")


def claim_events(pool: dict[Disposition, list[bytes]], count: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each claim event; one in a thousand is cut off and so unreadable."""
    random = Random(SEED)
    template = _ID.encode()
    for number in range(count):
        kind = Disposition.FLAGGED if random.random() < FLAGGED_SHARE else Disposition.CLEARED
        raw = random.choice(pool[kind]).replace(template, b"BENCH-%07d" % number)
        yield b"member-%d" % random.randrange(_MEMBERS), raw[:-1] if number % UNREADABLE_EVERY == 0 else raw


def _draw(random: Random) -> bytes:
    payer = random.choice(_PAYERS)
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
