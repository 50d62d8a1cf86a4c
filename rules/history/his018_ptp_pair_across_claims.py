"""Two codes of one provider and day that the NCCI tables do not pay together, billed on two claims.

The payer compares a claim with what it holds of the same day, so a pair is denied across claims as on one: a closed
pair always, one that can be opened for want of a modifier, a visit on the day of an operation for want of 24, 25 or 57.
On a hospital claim a modifier on the column one line alone gets a warning. Provider and day are those of a group of
lines on one claim; hospital claims must be of the same type of bill.

Known limits: only pairs that involve spinal stimulation are held. For an ambulatory surgery center's own claim and for
types of bill 012x and 085x the choice of the table is not confirmed, so a finding there is a warning. While a
replacement is pending, it and the claim it replaces both count.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.pairs import (
    CLOSED,
    MODIFIER_POLICIES,
    PAIR_POLICIES,
    AnyLine,
    LinePair,
    highest_severity,
    pair_between,
    pair_table,
    payability,
)
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line, earlier, with_history
from rules.engine.history import History, PriorClaim
from rules.engine.rule import rule
from rules.history.matching import is_in_one_group


@rule(
    title="Codes not payable together stand on two claims",
    severity=Severity.ERROR,
    reason="NCCI_PTP",
    remedy="Bill both on one claim and remove or modify the column two code.",
    citations=("cms-ncci-ptp-practitioner-2024q3", "cms-ncci-ptp-outpatient-2024q3", "ncci-modifier-list"),
    field="lines[].procedure_code",
    scope="history",
    concerns_claim=lambda key, policy: key.has_same_day,  # noqa: ARG005
    lookback=0,
    base_layer="ptp",
    policy=(*PAIR_POLICIES, *MODIFIER_POLICIES),
    clean=(
        with_history(a_claim(), earlier(lines=[a_line("63650")])),
        with_history(a_claim(), earlier(lines=[a_line("99213", modifiers=["25"])])),
        with_history(a_claim(), earlier(lines=[a_line("63688")], status="denied")),
    ),
    flagged=(
        with_history(a_claim(lines=[a_line("95938", modifiers=["XU"])]), earlier()),
        with_history(a_claim(), earlier(lines=[a_line("99213")])),
        with_history(
            a_facility_claim(lines=[a_facility_line("63688")]), earlier(facility=True, lines=[a_facility_line()])
        ),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag] | None:
    table = pair_table(claim, policy)
    if not history.claims or table is None:
        return None
    days = {line.service_date for line in claim.lines}
    flags: dict[tuple[Any, ...], Flag] = {}
    for prior in history.package_services:
        other, its_line = prior
        day = its_line.service_date
        if day is None or day not in days:
            continue
        for line in claim.lines:
            pair = pair_between(line, its_line, table, day)
            if pair is not None and is_in_one_group(claim, line, prior):
                state = payability(claim, pair, policy)
                if state != "open":
                    key = (id(line), other.claim_id, its_line.procedure_code, state)
                    flags.setdefault(key, _flag(claim, line, pair, other, is_shut=state == "shut"))
    return list(flags.values()) or None


def _flag(claim: Claim, line: ServiceLine, pair: LinePair[AnyLine], other: PriorClaim, *, is_shut: bool) -> Flag:
    two = pair.column_two.procedure_code
    one_and_two = " and ".join(
        each.procedure_code if each is line else f"{each.procedure_code} on claim {other.claim_id}"
        for each in (pair.column_one, pair.column_two)
    )
    message = f"{one_and_two}, both of {line.service_date}, are a pair "
    if pair.indicator == CLOSED:
        message += "that is never payable together (NCCI indicator 0)"
    else:
        message += f"whose modifier stands {'on neither line' if is_shut else 'on column one only'}"
    action = "remove" if pair.indicator == CLOSED else "remove or modify"
    return Flag(
        message,
        line=line,
        remedy=f"Bill both on one claim and {action} {two}.",
        severity=highest_severity(claim) if is_shut else Severity.WARNING,
    )
