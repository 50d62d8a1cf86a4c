"""More units of a code than its medically unlikely edit (MUE) allows one patient and provider in one day.

One pulse generator is implanted at a session, so a second unit of 63685 is nearly always a keying error, or devices
counted as procedures. The units of all lines of the code are summed; modifiers 76, 77 and 59 do not raise a limit that
holds for the day. An assistant's or another surgeon's lines are their own.

Known limit: a genuine second generator at another site also flags; with adjudication indicator 3 it can be appealed.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule
from rules.units.daily_limits import over_daily_limit


@rule(
    title="Units exceed the daily limit",
    severity=Severity.ERROR,
    reason="UNITS_MUE",
    remedy="Correct the units to the limit; where it is a benchmark (indicator 3), keep the record for an appeal.",
    citations=("cms-mue-2024q3", "ngs-mue", "fcso-mue-2020"),
    field="lines[].units",
    scope="group",
    base_layer="mue",
    concerns=lambda codes, modifiers, policy: not codes.isdisjoint(policy["units.daily_limit"]),  # noqa: ARG005
    policy=("units.daily_limit",),
    yields_to=("UNT002", "FAC009"),
    clean=(a_claim(), a_claim(lines=[a_line("63650", units="2")])),
    flagged=(a_claim(lines=[a_line(units="2")]), a_claim(lines=[a_line(), a_line(modifiers=["76"])])),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    excesses = over_daily_limit(claim, group, policy["units.daily_limit"])
    if excesses is None:
        return None
    return [
        Flag(
            f"{excess.units:f} units of {excess.code} on {group.service_date}; {excess.limit_in_words}",
            line=excess.line,
        )
        for excess in excesses
    ]
