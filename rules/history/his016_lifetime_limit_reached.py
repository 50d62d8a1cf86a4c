"""More leads or trials in a lifetime than the local policy of Original Medicare's contractor allows.

One system with a plate lead is allowed (JF, JJ, JM), four units of percutaneous leads in trials (JJ, JM), and two
trials (JE, JF). A trial is a 63650 in an office that no generator follows within 30 days; elsewhere the same code is a
permanent lead too. The area is the one the practice states, else the one its states imply.

Known limits: the policies count by region of the spine, which is not on the claim, and one of them allows a replacement
in another sentence. Only what is on file counts. An assistant's line is not asked, as the surgeon's is.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.grouping import is_assistant
from rules.engine.history import History
from rules.engine.rule import rule
from rules.facility.contractor_area import contractor_area
from rules.history.dated import DatedService, dated_services

_PLATE_LEAD = "63655"
_LEAD = "63650"
_OFFICE = "11"
_DAYS_TO_IMPLANT = 30
_TRIALS = tuple(
    earlier(place_of_service="11", lines=[a_line("63650", units="2", service_date=f"202{year}-05-04")])
    for year in (3, 4)
)
_A_THIRD = {"place_of_service": "11", "lines": [a_line("63650", units="1")]}


@rule(
    title="Lifetime limit of leads or trials is reached",
    severity=Severity.WARNING,
    reason="FREQUENCY_LIMIT",
    remedy="Record the exception: other spinal region, technical failure or replacement.",
    citations=("lcd-l35136", "lcd-l36204", "article-a57792", "article-a56876"),
    field="lines[].procedure_code",
    scope="history",
    procedures=(_PLATE_LEAD, _LEAD),
    payers=("MEDICARE_FFS",),
    effective=date(2019, 12, 1),
    policy=("coverage.lifetime_limits", "place_of_service.contractor_areas"),
    clean=(
        a_claim(lines=[a_line("63655")]),
        with_history(
            a_claim(practice={"contractor_area": "JE"}, lines=[a_line("63655")]),
            earlier(lines=[a_line("63655", service_date="2020-05-04")]),
        ),
    ),
    flagged=(
        with_history(
            a_claim(practice={"contractor_area": "JF"}, lines=[a_line("63655")]),
            earlier(lines=[a_line("63655", service_date="2020-05-04")]),
        ),
        with_history(a_claim(practice={"contractor_area": "JM"}, **_A_THIRD), *_TRIALS),
        with_history(a_claim(practice={"contractor_area": "JE"}, **_A_THIRD), *_TRIALS),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag | NotEvaluated] | None:
    limits = policy["coverage.lifetime_limits"]
    services = dated_services(claim, history.patient_services, (_PLATE_LEAD, _LEAD, GENERATOR))
    plate_leads = [each for each in services if each.procedure_code == _PLATE_LEAD]
    trials = [each for each in services if _is_trial(each, services)]
    reached: list[tuple[ServiceLine, str, Mapping[str, Any]]] = []
    for line in claim.lines:
        code, day = line.procedure_code, line.service_date
        if day is None or is_assistant(line):
            continue
        if code == _PLATE_LEAD:
            days = _days_until(day, plate_leads)
            if len(days) > limits["plate_leads"]["most"]:
                reached.append((line, f"{code} on {len(days)} days{_in_lifetime(days)}", limits["plate_leads"]))
        elif code == _LEAD and claim.place_of_service_on(line) == _OFFICE:
            days = _days_until(day, trials)
            units = sum(each.units for each in trials if each.day <= day)
            if day in days and units > limits["trial_units"]["most"]:
                reached.append((line, f"{units:f} units of trials{_in_lifetime(days)}", limits["trial_units"]))
            if day in days and len(days) > limits["trial_dates"]["most"]:
                reached.append((line, f"{len(days)} trials{_in_lifetime(days)}", limits["trial_dates"]))
    return _answers(claim, reached, policy["place_of_service.contractor_areas"]) if reached else None


def _is_trial(lead: DatedService, services: Iterable[DatedService]) -> bool:
    """Whether a service is a lead in an office, and no generator follows within 30 days."""
    return (
        lead.procedure_code == _LEAD
        and lead.place_of_service == _OFFICE
        and not any(
            each.procedure_code == GENERATOR and 0 <= (each.day - lead.day).days <= _DAYS_TO_IMPLANT
            for each in services
        )
    )


def _days_until(day: date, services: Iterable[DatedService]) -> dict[date, str]:
    """The days of services up to one, each with the claim that the first of them stands on, in words."""
    days: dict[date, str] = {}
    for each in services:
        if each.day <= day:
            days.setdefault(each.day, each.where)
    return days


def _in_lifetime(days: Mapping[date, str]) -> str:
    return f" in the patient's lifetime: {', '.join(f'{day} {where}' for day, where in sorted(days.items()))}"


def _answers(
    claim: Claim,
    reached: Iterable[tuple[ServiceLine, str, Mapping[str, Any]]],
    areas_by_state: Mapping[str, Mapping[str, Any]],
) -> list[Flag | NotEvaluated] | None:
    area = contractor_area(claim, areas_by_state)
    if area is None:
        return [
            NotEvaluated(f"{said}; whether that is limited needs the contractor area", line)
            for line, said, _ in reached
        ]
    derived = " (derived from the state)" if area.is_derived else ""
    return [
        Flag(
            f"{said}; in area {area.key}{derived} {limit['areas'][area.key]} allows {limit['most']}",
            line=line,
        )
        for line, said, limit in reached
        if area.key in limit["areas"]
    ] or None
