"""A visit in the package of an earlier operation by the same group and specialty, without 24.

The visits of the 10 or 90 days after an operation are paid with it, and before major surgery (90 days) those of the day
before, unless 57 says that it was decided on there. Only a visit for something else is paid, and says so by 24. Visits
with a new patient are outside the package. A visit on the day itself is COD005's matter.

Known limits: practitioners whose specialties are two taxonomies count as two specialties, also where a payer takes them
for one, as with nurse practitioners. Where another practitioner's taxonomy is missing, nobody can tell.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.coding.billers import is_surgery_center
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.history import History
from rules.engine.rule import rule
from rules.history.dated import days_between, has_one_date_only
from rules.history.packages import LOOKBACK, Package, family_packages, shared_package

_UNRELATED = "24"
_DECISION = "57"


@rule(
    title="Visit in the package of an operation",
    severity=Severity.ERROR,
    reason="BUNDLED_GLOBAL",
    remedy="Remove the visit, or add 24 if it was unrelated to the surgery.",
    citations=("cms-mpfs-2024-07", "cms-global-surgery-mln", "noridian-modifiers-2024-06"),
    field="lines[].modifiers",
    scope="history",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        not codes.isdisjoint(policy["modifiers.visit_codes"] - policy["modifiers.new_patient_visits"])
    ),
    claim_types=("professional",),
    base_layer="global",
    policy=(
        "fee_schedule.indicators",
        "modifiers.family_surgical",
        "modifiers.new_patient_visits",
        "modifiers.visit_codes",
    ),
    lookback=LOOKBACK,
    clean=(
        a_claim(lines=[a_line("99213")]),
        with_history(a_claim(lines=[a_line("99213", modifiers=["24"])]), earlier(lines=[a_line("63655")])),
        with_history(a_claim(lines=[a_line("99213")]), earlier(lines=[a_line(service_date="2026-07-23")])),
    ),
    flagged=(
        with_history(a_claim(lines=[a_line("99213")]), earlier(lines=[a_line(service_date="2026-07-24")])),
        a_claim(lines=[a_line("63655", service_date="2026-08-04"), a_line("99284")]),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag | NotEvaluated] | None:
    if has_one_date_only(claim, history) or is_surgery_center(claim):
        return None
    visits, new_patient_visits = policy["modifiers.visit_codes"], policy["modifiers.new_patient_visits"]
    packages = family_packages(claim, history, policy)
    answers: list[Flag | NotEvaluated] = []
    for line in claim.lines:
        code, day = line.procedure_code, line.service_date
        if code not in visits or code in new_patient_visits or day is None or _UNRELATED in line.modifiers:
            continue
        package = shared_package(claim, line, (each for each in packages if _is_covered(line, day, each)))
        if isinstance(package, NotEvaluated):
            answers.append(package)
        elif package is not None:
            answers.append(_flag(line, day, package))
    return answers or None


def _is_covered(line: ServiceLine, day: date, package: Package) -> bool:
    return package.is_open_on(day) or (package.begins_after(day) and _DECISION not in line.modifiers)


def _flag(line: ServiceLine, day: date, package: Package) -> Flag:
    visit = f"{line.procedure_code} on {day}"
    if package.begins_after(day):
        return Flag(
            f"{visit} without 24 or 57, the day before {package}",
            line=line,
            remedy="Remove the visit, or add 57 if the surgery was decided on at it, or 24 if it was unrelated.",
        )
    return Flag(f"{visit} without 24, {days_between(package.day, day)} after {package}", line=line)
