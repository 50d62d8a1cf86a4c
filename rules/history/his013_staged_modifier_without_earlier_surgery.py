"""58, 78 or 79 on a stimulator code, and no operation on file in whose package the day falls.

These modifiers say why there is another operation in the days that belong to an earlier one by the same group and
specialty. Without such an operation they are wrong, or its date is. The day of the operation counts where it stands on
another claim, as a return on the same day does; an operation whose package is not known counts as one of 90 days.

Known limits: an operation that went to another payer is not on file, and neither is one by a code that no rule or
value names. Where another practitioner's taxonomy is missing, nobody can tell.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.grouping import is_assistant
from rules.engine.history import History
from rules.engine.rule import rule
from rules.history.packages import LONGEST, LOOKBACK, STAGES, Package, days_after, packages, shared_package


@rule(
    title="58, 78 or 79 without an earlier operation",
    severity=Severity.WARNING,
    reason="CODE_MODIFIER_INVALID",
    remedy="Remove the modifier, or check the earlier surgery date.",
    citations=("noridian-modifiers-2024-06", "product-logic"),
    field="lines[].modifiers",
    scope="history",
    concerns=lambda codes, modifiers, policy: (
        not STAGES.isdisjoint(modifiers) and not policy["modifiers.family"].isdisjoint(codes)
    ),
    claim_types=("professional",),
    policy=("fee_schedule.indicators", "fee_schedule.surgery_codes", "modifiers.family"),
    lookback=LOOKBACK,
    clean=(
        a_claim(),
        with_history(
            a_claim(lines=[a_line(modifiers=["58"])]), earlier(lines=[a_line("63650", service_date="2026-07-24")])
        ),
    ),
    flagged=(
        with_history(
            a_claim(lines=[a_line(modifiers=["58"])]), earlier(lines=[a_line("63650", service_date="2026-07-23")])
        ),
        with_history(a_claim(lines=[a_line("63688", modifiers=["78"])])),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag | NotEvaluated] | None:
    opened = packages(claim, history, lambda code: _days_after(code, policy))
    answers: list[Flag | NotEvaluated] = []
    for line in claim.lines:
        code, day = line.procedure_code, line.service_date
        found = tuple(each for each in line.modifiers if each in STAGES)
        if not found or code not in policy["modifiers.family"] or day is None or is_assistant(line):
            continue
        package = shared_package(claim, line, (each for each in opened if _is_covered(day, each)))
        named = ", ".join(found)
        if isinstance(package, NotEvaluated):
            answers.append(package)
        elif package is None and not history.is_held(day, LONGEST):
            answers.append(NotEvaluated(f"{named} on {code}: history is held for less than {LONGEST} days", line))
        elif package is None:
            answers.append(
                Flag(
                    f"{named} on {code}, and no earlier operation on file has a package with {day}",
                    line=line,
                    remedy=f"Remove {named}, or check the earlier surgery date.",
                    modifiers=found,
                )
            )
    return answers or None


def _days_after(code: str, policy: Mapping[str, Any]) -> int | None:
    indicators = policy["fee_schedule.indicators"]
    if (code, None) in indicators:
        return days_after(code, indicators)
    return LONGEST if re.fullmatch(policy["fee_schedule.surgery_codes"], code) else None


def _is_covered(day: date, package: Package) -> bool:
    return package.is_open_on(day) or (day == package.day and not package.is_of_this_claim)
