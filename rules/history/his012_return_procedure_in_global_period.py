"""Another procedure in the package of an earlier stimulator operation by the same group and specialty, unexplained.

What the surgeon does in the 10 or 90 days after an operation is paid with it, unless 78, 58 or 79 says that it was a
return to the operating room, planned or unrelated. Implants of generator and leads are the matter of HIS010, visits
that of HIS011. A procedure of the surgery section that is not in the fee schedule rows held here may have no package
of its own, so it only warns.

Known limits: procedures outside the surgery section are left out unless the rows have them. Practitioners whose
specialties are two taxonomies count as two specialties. Where another practitioner's taxonomy is missing, nobody can
tell.
"""

import re
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
from rules.history.packages import IMPLANTS, LOOKBACK, STAGES, days_after, family_packages, shared_package


def _is_held(code: str, policy: Mapping[str, Any]) -> bool:
    return (code, None) in policy["fee_schedule.indicators"]


def _may_be_packaged(code: str, policy: Mapping[str, Any]) -> bool:
    """Whether a code has a package, or nobody knows; implants have, but are another rule's."""
    if _is_held(code, policy):
        return code not in IMPLANTS and days_after(code, policy["fee_schedule.indicators"]) is not None
    return re.fullmatch(policy["fee_schedule.surgery_codes"], code) is not None


@rule(
    title="Procedure in the package of an operation",
    severity=Severity.ERROR,
    reason="BUNDLED_GLOBAL",
    remedy="Add 78, 58 or 79, whichever the record supports.",
    citations=("cms-mpfs-2024-07", "cms-global-surgery-mln", "noridian-modifiers-2024-06"),
    field="lines[].modifiers",
    scope="history",
    concerns=lambda codes, modifiers, policy: any(_may_be_packaged(code, policy) for code in codes),  # noqa: ARG005
    claim_types=("professional",),
    base_layer="global",
    policy=("fee_schedule.indicators", "fee_schedule.surgery_codes", "modifiers.family_surgical"),
    lookback=LOOKBACK,
    clean=(
        a_claim(lines=[a_line("63688")]),
        with_history(a_claim(lines=[a_line("63688", modifiers=["78"])]), earlier(lines=[a_line("63655")])),
        with_history(a_claim(lines=[a_line("63688")]), earlier(lines=[a_line(service_date="2026-07-23")])),
    ),
    flagged=(
        with_history(a_claim(lines=[a_line("63688")]), earlier(lines=[a_line(service_date="2026-07-24")])),
        a_claim(lines=[a_line("63655", service_date="2026-06-01"), a_line("62270")]),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag | NotEvaluated] | None:
    if has_one_date_only(claim, history) or is_surgery_center(claim):
        return None
    packages = family_packages(claim, history, policy)
    answers: list[Flag | NotEvaluated] = []
    for line in claim.lines:
        code, day = line.procedure_code, line.service_date
        if day is None or not STAGES.isdisjoint(line.modifiers) or is_assistant(line):
            continue
        if not _may_be_packaged(code, policy):
            continue
        package = shared_package(claim, line, (each for each in packages if each.is_open_on(day)))
        if isinstance(package, NotEvaluated):
            answers.append(package)
        elif package is not None:
            is_held = _is_held(code, policy)
            message = f"{code} on {day} without 58, 78 or 79, {days_between(package.day, day)} after {package}" + (
                "" if is_held else "; whether it has a package is not held"
            )
            answers.append(Flag(message, line=line, severity=None if is_held else Severity.WARNING))
    return answers or None
