"""An implant in the package of an earlier operation by the same group and specialty, without 58, 78 or 79.

A trial lead and, a few days later, the permanent system is the usual case. The days after an operation are paid with
it, so another operation in them is denied unless a modifier says that it was planned (58), an unplanned return to the
operating room (78) or unrelated (79).

Known limits: practitioners whose specialties are two taxonomies count as two specialties, also where a payer takes them
for one. Where another practitioner's taxonomy is missing, nobody can tell.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.billers import is_surgery_center
from rules.engine.claim import Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.grouping import is_assistant
from rules.engine.history import History
from rules.engine.rule import rule
from rules.history.dated import days_between, has_one_date_only
from rules.history.packages import IMPLANTS, LOOKBACK, STAGES, family_packages, shared_package


@rule(
    title="Staged implant without 58, 78 or 79",
    severity=Severity.ERROR,
    reason="BUNDLED_GLOBAL",
    remedy="Add 58 for the planned permanent system, 78 for an unplanned return, 79 if unrelated.",
    citations=("cms-mpfs-2024-07", "cms-global-surgery-mln", "noridian-modifiers-2024-06"),
    field="lines[].modifiers",
    scope="history",
    procedures=IMPLANTS,
    claim_types=("professional",),
    base_layer="global",
    policy=("fee_schedule.indicators", "modifiers.family_surgical"),
    lookback=LOOKBACK,
    clean=(
        a_claim(),
        with_history(
            a_claim(lines=[a_line(modifiers=["58"])]), earlier(lines=[a_line("63650", service_date="2026-07-27")])
        ),
        with_history(a_claim(), earlier(lines=[a_line("63650", service_date="2026-07-23")])),
    ),
    flagged=(
        with_history(a_claim(), earlier(lines=[a_line("63650", service_date="2026-07-27")])),
        a_claim(lines=[a_line("63650", service_date="2026-07-27"), a_line()]),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag | NotEvaluated] | None:
    if has_one_date_only(claim, history) or is_surgery_center(claim):
        return None
    packages = family_packages(claim, history, policy)
    answers: list[Flag | NotEvaluated] = []
    for line in claim.lines:
        day = line.service_date
        if (
            line.procedure_code not in IMPLANTS
            or day is None
            or not STAGES.isdisjoint(line.modifiers)
            or is_assistant(line)
        ):
            continue
        package = shared_package(claim, line, (each for each in packages if each.is_open_on(day)))
        if isinstance(package, NotEvaluated):
            answers.append(package)
        elif package is not None:
            days = days_between(package.day, day)
            answers.append(
                Flag(f"{line.procedure_code} on {day} without 58, 78 or 79, {days} after {package}", line=line)
            )
    return answers or None
