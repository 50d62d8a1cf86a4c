"""Programming of a stimulator less than 30 days after the last one, by a local policy of Original Medicare.

Palmetto (JJ, JM) allows an analysis with programming once in 30 days, except in the month after the implant. The area
is the one the practice states, else the one its states imply.

Known limits: the article says that it holds in general. A denied service does not use up the 30 days. An implant that
is not on file does not open its month.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.history import History
from rules.engine.rule import rule
from rules.facility.contractor_area import contractor_area
from rules.history.dated import dated_services, days_between, has_one_date_only

_PROGRAMMING = ("95970", "95971", "95972")
_AREA = {"contractor_area": "JJ"}


@rule(
    title="Programming repeated within thirty days",
    severity=Severity.WARNING,
    reason="FREQUENCY_LIMIT",
    remedy="Document why analysis was needed again within 30 days.",
    citations=("article-a56876",),
    field="lines[].procedure_code",
    scope="history",
    procedures=_PROGRAMMING,
    payers=("MEDICARE_FFS",),
    effective=date(2021, 5, 13),
    policy=("coverage.programming_interval", "place_of_service.contractor_areas"),
    lookback=30,
    clean=(
        a_claim(lines=[a_line("95972")]),
        with_history(
            a_claim(practice=_AREA, lines=[a_line("95972")]),
            earlier(lines=[a_line("95972", service_date="2026-07-04")]),
        ),
    ),
    flagged=(
        with_history(
            a_claim(practice=_AREA, lines=[a_line("95972")]),
            earlier(lines=[a_line("95971", service_date="2026-07-05")]),
        ),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag | NotEvaluated] | None:
    if has_one_date_only(claim, history):
        return None
    held = policy["coverage.programming_interval"]
    programmings = dated_services(claim, history.package_services, _PROGRAMMING)
    implants = dated_services(claim, history.patient_services, (GENERATOR,))
    area = contractor_area(claim, policy["place_of_service.contractor_areas"])
    if area is not None and area.key not in held["areas"]:
        return None
    answers: list[Flag | NotEvaluated] = []
    for line in claim.lines:
        code, day = line.procedure_code, line.service_date
        if code not in _PROGRAMMING or day is None:
            continue
        before = [each for each in programmings if 0 < (day - each.day).days < held["days"]]
        if not before or any(0 <= (day - each.day).days <= held["days"] for each in implants):
            continue
        last = max(before, key=lambda each: each.day)
        said = f"{code} on {day}, {days_between(last.day, day)} after {last.procedure_code} of {last.day} {last.where}"
        if area is None:
            answers.append(NotEvaluated(f"{said}; whether that is limited needs the contractor area", line))
            continue
        derived = " (derived from the state)" if area.is_derived else ""
        allowed = f"in area {area.key}{derived} {held['areas'][area.key]} allows one in {held['days']} days"
        answers.append(Flag(f"{said}; {allowed}", line=line))
    return answers or None
