"""A spinal cord stimulator for a patient below 18 years on the date of service.

Stimulators are approved and covered for adults; a birth date that makes the patient a child is mostly a wrong one. A
birth date after the service is another rule's error.

Known limit: only one plan's statement is held, so this warns for every payer.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim
from rules.engine.rule import rule


@rule(
    title="Patient below eighteen years",
    severity=Severity.WARNING,
    reason="AGE_PROC",
    remedy="Confirm the birth date and the payer's age rule.",
    citations=("humana-cohere", "coding-knowledge"),
    field="subscriber.birth_date",
    scope="claim",
    procedures=(GENERATOR,),
    policy=("coverage.minimum_age",),
    clean=(a_claim(), a_claim(subscriber={"birth_date": "2008-08-03"})),
    flagged=(
        a_claim(subscriber={"birth_date": "2008-08-04"}),
        a_claim("AETNA", patient={"last_name": "Example", "birth_date": "2015-05-05"}),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> Flag | None:
    born = claim.patient_birth_date
    if born is None:
        return None
    age = policy["coverage.minimum_age"]
    for line in claim.lines:
        if line.procedure_code != GENERATOR:
            continue
        day = line.service_date or claim.first_service_date
        if day is None or born > day:
            continue
        if (day.year - age, day.month, day.day) < (born.year, born.month, born.day):
            return Flag(
                f"the patient was below {age} years on {day}, the date of {GENERATOR}",
                field="subscriber.birth_date" if claim.patient is None else "patient.birth_date",
            )
    return None
