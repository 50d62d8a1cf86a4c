"""A line on a date for which the payer's eligibility answer on file says that cover is not active.

The payer denies such a line whatever was done; mostly the member has changed plans, and another payer covers the date.
An answer of another payer, or about another member, says nothing about the claim. Where an answer to Original Medicare
names the Medicare Advantage plan that covers the date, CMP022 speaks.

Known limits: days without an answer, and days of which answers on file contradict each other, are not evaluated; of a
line over several days the first and the last are looked at.
"""

from collections.abc import Mapping
from typing import Any

from rules.completeness.eligibility import answers_about, days_of, speaks_of
from rules.engine.claim import Claim, EligibilityAnswer, ServiceLine
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim
from rules.engine.rule import rule


@rule(
    title="Coverage is not active on the service date",
    severity=Severity.ERROR,
    reason="COVERAGE_TERMED",
    remedy="Find the payer that covers the service date and bill it.",
    citations=("x12-carc-rarc-2024-06", "product-logic"),
    field="lines[].service_date",
    scope="claim",
    requires="eligibility",
    yields_to=("CMP022",),
    clean=(a_claim(eligibility=[{"from_date": "2026-01-01", "active": True}]),),
    flagged=(a_claim(eligibility=[{"from_date": "2026-08-01", "active": False}]),),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag | NotEvaluated]:  # noqa: ARG001
    answers = [answer for answer in answers_about(claim) if answer.active is not None]
    told = [_answer_of(line, answers) for line in claim.lines]
    return [answer for answer in told if answer is not None]


def _answer_of(line: ServiceLine, answers: list[EligibilityAnswer]) -> Flag | NotEvaluated | None:
    unknown: NotEvaluated | None = None
    for day in days_of(line):
        states = {answer.active for answer in answers if speaks_of(answer, day)}
        if states == {False}:
            return Flag(
                f"the payer's eligibility answer says that cover is not active on {day}",
                line=line,
                remedy=f"Find the payer that covers {day} and bill it.",
            )
        if not states:
            unknown = NotEvaluated(f"no eligibility answer on file speaks of {day}", line)
        elif len(states) > 1:
            unknown = NotEvaluated(f"eligibility answers on file contradict each other about {day}", line)
    return unknown
