"""What a finding says about a payer's clinical criterion (`coverage.criteria`) that a supplied fact does not meet.

A profile holds its criteria by the fact they are about, a list each, because some hold for an area or for some
diagnoses only:

    conservative_months: [{at_least: 6, unit: months, binding: must, confidence: confirmed, source: …}]
    psych_eval: [{is: true, areas: {JE: L35136, JF: L36204}, binding: must, confidence: confirmed, source: …}]

Only a confirmed criterion that must be met makes an error. In `areas`, contractor areas with the local policy that
says so, it does only where the practice has stated the area; where the area is not known, nobody can tell. What holds
in all areas but some (`other_areas_than`) is taken to hold where the area is not known.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.policy import Confidence
from rules.facility.contractor_area import ContractorArea, contractor_area

Criterion = Mapping[str, Any]
Answers = list[Flag | NotEvaluated]


class Breach(NamedTuple):
    """A criterion with the fact that does not meet it.

    Attributes:
        said: the fact, in words.
        asks: what the policy does about it, in words that go on after "the policy".
        field: path of the fact.
        remedy: what to do, when it depends on the criterion.
        line: the service line concerned, if it is about one.
    """

    criterion: Criterion
    said: str
    asks: str
    field: str
    remedy: str | None = None
    line: ServiceLine | None = None


def severity_of(row: Mapping[str, Any]) -> Severity | None:
    """A warning where a row is not confirmed or need not be met; else None, the rule's own severity."""
    sure = Confidence(row["confidence"]).allows_error and row.get("binding", "must") == "must"
    return None if sure else Severity.WARNING


def answers(claim: Claim, breaches: Iterable[Breach], areas_by_state: Mapping[str, Mapping[str, Any]]) -> Answers:
    """The findings about criteria that hold for the claim; where none does, what could not be told."""
    area = contractor_area(claim, areas_by_state)
    flags: Answers = []
    undecided: Answers = []
    for breach in breaches:
        local_policies = breach.criterion.get("areas")
        if local_policies is None:
            if area is None or area.key not in breach.criterion.get("other_areas_than", ()):
                flags.append(_flag(breach, "the policy", "N661", severity_of(breach.criterion)))
        elif area is None:
            named = " and ".join(local_policies.values())
            undecided.append(NotEvaluated(f"{breach.said}; whether {named} holds needs the contractor area"))
        elif area.key in local_policies:
            severity = Severity.WARNING if area.is_derived else severity_of(breach.criterion)
            flags.append(_flag(breach, _local_policy(local_policies, area), "N115", severity))
    return flags or undecided


def amount(value: Decimal | int, unit: str) -> str:
    """A number with its unit: 40 percent."""
    return f"{Decimal(value):f} {unit}"


def _local_policy(local_policies: Mapping[str, str], area: ContractorArea) -> str:
    derived = ", derived from the state" if area.is_derived else ""
    return f"{local_policies[area.key]} (area {area.key}{derived})"


def _flag(breach: Breach, policy: str, rarc: str, severity: Severity | None) -> Flag:
    return Flag(
        f"{breach.said}; {policy} {breach.asks}",
        line=breach.line,
        field=breach.field,
        remedy=breach.remedy,
        severity=severity,
        rarc=rarc,
    )
