"""More units of a code than its medically unlikely edit (MUE) allows one patient and provider in one day.

One pulse generator is implanted at a session, so a second unit of 63685 is nearly always a keying error, or devices
counted as procedures. The units of all lines of the code are summed; modifiers 76, 77 and 59 do not raise a limit that
holds for the day. An assistant's or another surgeon's lines are their own.

Known limit: a genuine second generator at another site also flags; with adjudication indicator 3 it can be appealed.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule

_ABSOLUTE = "2"
_NONE = Decimal(0)


@rule(
    title="Units exceed the daily limit",
    severity=Severity.ERROR,
    reason="UNITS_MUE",
    remedy="Correct the units to the limit; where it is a benchmark (indicator 3), keep the record for an appeal.",
    citations=("cms-mue-2024q3", "ngs-mue", "fcso-mue-2020"),
    field="lines[].units",
    scope="group",
    base_layer="mue",
    policy=("units.daily_limit",),
    clean=(a_claim(), a_claim(lines=[a_line("63650", units="2")])),
    flagged=(a_claim(lines=[a_line(units="2")]), a_claim(lines=[a_line(), a_line(modifiers=["76"])])),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    limits = policy["units.daily_limit"]
    setting = "practitioner" if claim.is_professional else "outpatient" if claim.is_outpatient_hospital else None
    if setting is None:
        return None
    totals: dict[tuple[str, str], Decimal] = {}
    over: dict[tuple[str, str], ServiceLine] = {}
    each_code_once = len(group.codes) == len(group.lines)
    for line in group.lines:
        row = limits.get(line.procedure_code)
        # A limit of 0 means never payable in this setting, which is another rule's matter.
        if row is None or not row[setting] or line.units is None:
            continue
        if each_code_once and line.units <= row[setting]:
            continue
        provider = claim.rendering_provider_on(line) if claim.is_professional else claim.billing_provider
        key = (line.procedure_code, provider.npi if provider is not None else "")
        totals[key] = total = totals.get(key, _NONE) + line.units
        if total > row[setting]:
            over.setdefault(key, line)
    if not over:
        return None
    return [
        Flag(
            f"{totals[key]:f} units of {key[0]} on {group.service_date}; the limit is {limits[key[0]][setting]} a day"
            + (" and cannot be appealed" if limits[key[0]][f"{setting}_adjudication"] == _ABSOLUTE else ""),
            line=line,
        )
        for key, line in over.items()
    ]
