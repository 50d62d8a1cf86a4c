"""The surgeon's generator in another kind of place than the facility bills for the patient and day.

A hospital outpatient claim (013x) says hospital, so 24 is wrong on the surgeon's; a surgery center's own claim says
that 19 and 22 are. The place decides what the surgeon is paid, and payers compare the two.

Known limits: only facility claims with a surgical stimulator code of the date are compared. A surgery center is known
by its taxonomy, by type of bill 083x, or by place of service 24 without a rendering provider and taxonomy.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.billers import was_surgery_center
from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, earlier, with_history
from rules.engine.history import History, PriorService
from rules.engine.rule import rule

_SURGERY_CENTER = "24"
_HOSPITAL = ("19", "22")
_HOSPITAL_BILL = "013"
_SURGERY_CENTER_BILL = "083"


@rule(
    title="Places of surgeon and facility differ",
    severity=Severity.WARNING,
    reason="POS_INVALID",
    remedy="Make the place of service agree with where the facility bill says it was done.",
    citations=("product-logic",),
    field="lines[].place_of_service",
    scope="history",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: key.has_same_day,  # noqa: ARG005
    claim_types=("professional",),
    policy=("modifiers.family_surgical",),
    lookback=0,
    clean=(a_claim(), with_history(a_claim(), earlier(facility=True))),
    flagged=(
        with_history(a_claim(place_of_service="24"), earlier(facility=True)),
        with_history(
            a_claim(),
            earlier(
                place_of_service="24",
                rendering_provider=None,
                billing_provider={"npi": "1003004502", "taxonomy": "261QA1903X"},
            ),
        ),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag] | None:
    if not history.claims:
        return None
    flags = []
    for line in claim.lines:
        place = claim.place_of_service_on(line)
        if line.procedure_code != GENERATOR or line.service_date is None or place not in (_SURGERY_CENTER, *_HOSPITAL):
            continue
        for prior in history.patient_services:
            if (
                prior.line.service_date == line.service_date
                and prior.line.procedure_code in policy["modifiers.family_surgical"]
                and (_is_hospitals(prior) if place == _SURGERY_CENTER else _is_surgery_centers(prior))
            ):
                facility = "a hospital" if place == _SURGERY_CENTER else "a surgery center"
                flags.append(
                    Flag(
                        f"place of service {place} on {line.service_date}, but claim {prior.claim.claim_id} of that "
                        f"date is {facility}'s",
                        line=line,
                        field="lines[].place_of_service" if line.place_of_service else "place_of_service",
                    )
                )
                break
    return flags or None


def _is_hospitals(prior: PriorService) -> bool:
    return not prior.claim.is_professional and prior.claim.type_of_bill.startswith(_HOSPITAL_BILL)


def _is_surgery_centers(prior: PriorService) -> bool:
    claim, line = prior
    if not claim.is_professional:
        return claim.type_of_bill.startswith(_SURGERY_CENTER_BILL)
    return was_surgery_center(claim) or (
        line.place_of_service == _SURGERY_CENTER and not line.rendering_npi and not claim.billing_taxonomy
    )
