"""Units that are within the daily limit (MUE) on this claim, but not together with earlier claims of the day.

The payer sums the units of a code for one patient, provider and day over all claims. What one rendering provider billed
counts on professional claims, what the hospital billed, on the same type of bill, on institutional ones; an assistant's
units are its own. Where this claim alone is over the limit, UNT001 speaks; where it repeats an earlier line, HIS001.

Known limits: a genuine second service also flags; with adjudication indicator 3 it can be appealed. While a replacement
is pending, it and the claim it replaces both count.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line, earlier, with_history
from rules.engine.grouping import LineGroup, is_assistant, line_groups
from rules.engine.history import History, PriorService
from rules.engine.rule import rule
from rules.history.matching import exact_duplicate_of, is_same_service
from rules.units.daily_limits import Excess, UnitsKey, over_daily_limit, units_in_words, units_key

_NONE = Decimal(0)


@rule(
    title="Units exceed the daily limit with an earlier claim",
    severity=Severity.ERROR,
    reason="UNITS_MUE",
    remedy="Correct the units; an earlier claim bills some on this date.",
    citations=("cms-mue-2024q3", "ngs-mue"),
    field="lines[].units",
    scope="history",
    concerns_claim=lambda key, policy: key.has_same_day,  # noqa: ARG005
    lookback=0,
    base_layer="mue",
    concerns=lambda codes, modifiers, policy: not codes.isdisjoint(policy["units.daily_limit"]),  # noqa: ARG005
    policy=("units.daily_limit",),
    yields_to=("HIS001", "UNT001"),
    clean=(
        a_claim(),
        with_history(a_claim(lines=[a_line("63650")]), earlier(lines=[a_line("63650", charge_amount="1.00")])),
        with_history(a_claim(), earlier()),
    ),
    flagged=(
        with_history(a_claim(lines=[a_line(modifiers=["76"])]), earlier()),
        with_history(
            a_facility_claim(lines=[a_facility_line("63650", units="2")]),
            earlier(facility=True, lines=[a_facility_line("63650")]),
        ),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag] | None:
    if not history.claims:
        return None
    limits = policy["units.daily_limit"]
    flags = []
    for group in line_groups(claim):
        others = _earlier_lines(claim, group, history, limits)
        if not others:
            continue
        billed = {key: sum((each.line.units or _NONE for each in found), _NONE) for key, found in others.items()}
        for excess in over_daily_limit(claim, group, limits, billed) or ():
            key = units_key(claim, excess.line)
            own = excess.units - billed.get(key, _NONE)
            lines = [line for line in group.lines if units_key(claim, line) == key]
            if own <= excess.limit and not any(exact_duplicate_of(claim, line, history) for line in lines):
                flags.append(_flag(group, excess, own, others[key]))
    return flags or None


def _earlier_lines(
    claim: Claim, group: LineGroup, history: History, limits: Mapping[str, Any]
) -> dict[UnitsKey, list[PriorService]]:
    """What other claims bill of the group's codes for the same provider and day."""
    found: dict[UnitsKey, list[PriorService]] = {}
    for line in group.lines:
        key = units_key(claim, line)
        if line.procedure_code in limits and key not in found:
            same = [
                prior
                for prior in history.package_services
                if is_same_service(claim, line, prior) and is_assistant(line) == is_assistant(prior.line)
            ]
            if same:
                found[key] = same
    return found


def _flag(group: LineGroup, excess: Excess, own: Decimal, others: Sequence[PriorService]) -> Flag:
    ids = list(dict.fromkeys(each.claim.claim_id for each in others))
    claims, bill = (f"claim {ids[0]}", "bills") if len(ids) == 1 else (f"claims {' and '.join(ids)}", "bill")
    billed, said = f"{excess.units - own:f}", f"{units_in_words(own)} of {excess.code} on {group.service_date}"
    return Flag(
        f"{said}, and {billed} on {claims}; {excess.limit_in_words}",
        line=excess.line,
        remedy=f"Correct the units; {claims} already {bill} {billed} on this date.",
    )
