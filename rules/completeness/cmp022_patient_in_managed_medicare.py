"""A claim to Original Medicare with a line on a date for which an eligibility answer shows a Medicare Advantage plan.

Original Medicare does not pay while the patient is enrolled in such a plan; the plan does, by its own rules on
authorization and filing.

Known limits: days without an answer are not evaluated; services that Original Medicare pays in spite of the enrollment
(hospice, a clinical trial) are not told apart; of a line over several days the first and the last are looked at.
"""

from collections.abc import Mapping
from typing import Any

from rules.completeness.eligibility import answers_about, days_of, speaks_of
from rules.engine.claim import Claim, EligibilityAnswer, ServiceLine
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim
from rules.engine.rule import rule


@rule(
    title="Patient is enrolled in managed Medicare",
    severity=Severity.ERROR,
    reason="MANAGED_CARE_ENROLLED",
    remedy="Bill the Medicare Advantage plan named in the eligibility answer.",
    citations=("x12-carc-rarc-2024-06", "product-logic"),
    field="payer.key",
    scope="claim",
    payers=("MEDICARE_FFS",),
    requires="eligibility",
    clean=(a_claim(eligibility=[{"from_date": "2026-01-01", "active": True}]),),
    flagged=(a_claim(eligibility=[{"from_date": "2026-01-01", "managed_medicare_plan": "Example Advantage"}]),),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag | NotEvaluated]:  # noqa: ARG001
    answers = [each for each in answers_about(claim) if each.active is not None or each.managed_medicare_plan]
    told = [_answer_of(line, answers) for line in claim.lines]
    return [answer for answer in told if answer is not None]


def _answer_of(line: ServiceLine, answers: list[EligibilityAnswer]) -> Flag | NotEvaluated | None:
    unknown: NotEvaluated | None = None
    for day in days_of(line):
        spoken = [answer for answer in answers if speaks_of(answer, day)]
        if any(answer.managed_medicare_plan for answer in spoken):
            return Flag(f"the eligibility answer shows enrollment in a Medicare Advantage plan on {day}", line=line)
        if not spoken:
            unknown = NotEvaluated(f"no eligibility answer on file speaks of {day}", line)
    return unknown
