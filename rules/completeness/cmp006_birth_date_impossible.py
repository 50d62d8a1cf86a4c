"""A birth date that cannot be the patient's: after the claim's receipt or the first service, or 150 years before it.

The patient is the dependent where the claim has one, else the subscriber. Usually two digits of the year were swapped,
or another date of the record was taken for it.

Known limit: a wrong but possible birth date is seen only by the payer.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim
from rules.engine.rule import rule


@rule(
    title="Birth date is impossible",
    severity=Severity.ERROR,
    reason="DOB_INVALID",
    remedy="Correct the birth date.",
    citations=("stedi-claim-edits-2026", "x12-carc-rarc-2024-06"),
    field="subscriber.birth_date",
    scope="claim",
    policy=("claim_edits.age_limit",),
    clean=(a_claim(), a_claim(patient={"last_name": "Example", "birth_date": "2026-08-03"})),
    flagged=(
        a_claim(subscriber={"birth_date": "2055-03-01"}),
        a_claim(patient={"last_name": "Example", "birth_date": "1855-03-01"}),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> Flag | None:
    born, service, received = claim.patient_birth_date, claim.first_service_date, claim.received_date
    if born is None or service is None:
        return None
    limit = policy["claim_edits.age_limit"]
    # The patient's age itself is no matter for a message: above 89 it can identify a person.
    if received is not None and born > received:
        problem = f"the birth date is after the receipt date {received}"
    elif born > service:
        problem = f"the birth date is after the first service date {service}"
    elif (service.year - limit, service.month, service.day) >= (born.year, born.month, born.day):
        problem = f"by the birth date the patient was {limit} years old or older on {service}"
    else:
        return None
    return Flag(problem, field="subscriber.birth_date" if claim.patient is None else "patient.birth_date")
