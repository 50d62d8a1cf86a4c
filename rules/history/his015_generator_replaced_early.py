"""A generator within two years of an earlier one of the patient, without a fault or infection that explains it.

Generators last for years. One that is replaced so early was faulty, in warranty or recalled, and payers ask for records
and the device credit. 58, 78 or 79 say that the operation belongs to the earlier one, or to another problem.

Known limits: a second generator for another region looks like a replacement. An assistant's line is not asked, as the
surgeon's is.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.generator import GENERATOR, group_of
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.grouping import is_assistant
from rules.engine.history import History
from rules.engine.rule import rule
from rules.history.dated import dated_services, days_between, has_one_date_only
from rules.history.packages import STAGES


@rule(
    title="Generator replaced early",
    severity=Severity.WARNING,
    reason="FREQUENCY_LIMIT",
    remedy="Document battery end or failure, warranty and any device credit.",
    citations=("coding-knowledge", "aetna-cpb-0194-digest"),
    field="lines[].procedure_code",
    scope="history",
    procedures=(GENERATOR,),
    policy=("coverage.early_replacement", "diagnoses.matrix"),
    lookback=730,
    clean=(
        a_claim(),
        with_history(a_claim(), earlier(lines=[a_line(service_date="2024-08-02")])),
        with_history(a_claim(diagnoses=[{"code": "T85.113A"}]), earlier(lines=[a_line(service_date="2026-01-05")])),
    ),
    flagged=(
        with_history(a_claim(), earlier(lines=[a_line(service_date="2024-08-03")])),
        with_history(a_claim(diagnoses=[{"code": "Z45.42"}]), earlier(lines=[a_line(service_date="2026-07-23")])),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag] | None:
    if has_one_date_only(claim, history):
        return None
    held, matrix = policy["coverage.early_replacement"], policy["diagnoses.matrix"]
    generators = dated_services(claim, history.patient_services, (GENERATOR,))
    flags = []
    for line in claim.lines:
        day = line.service_date
        if (
            line.procedure_code != GENERATOR
            or day is None
            or not STAGES.isdisjoint(line.modifiers)
            or is_assistant(line)
            or any(group_of(each.undotted, matrix) in held["explained_by"] for each in claim.diagnoses_pointed_to(line))
        ):
            continue
        before = max(
            (each for each in generators if held["from_day"] <= (day - each.day).days <= held["through_day"]),
            key=lambda each: each.day,
            default=None,
        )
        if before is not None:
            days = days_between(before.day, day)
            flags.append(Flag(f"{GENERATOR} on {day}, {days} after that of {before.day} {before.where}", line=line))
    return flags or None
