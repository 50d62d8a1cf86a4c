"""A generator in a hospital outpatient department for a payer that reviews the site, without an approval of the site.

These payers want an ambulatory surgery center unless the hospital is justified, and deny the facility where only the
procedure was approved. A stored authorization with the claim's number that names the site settles it.

Known limits: the list of plans and states with such a review is not held, so this is a warning. An authorization that
names a hospital bill, or on a hospital claim one of its two places of service, counts as naming the site.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule


@rule(
    title="Site of service review is to be expected",
    severity=Severity.WARNING,
    reason="SITE_NOT_APPROVED",
    remedy="Check that the authorization covers the hospital setting.",
    citations=("x12-carc-rarc-2024-06",),
    field="lines[].place_of_service",
    procedures=(GENERATOR,),
    payers=("OXFORD", "ANTHEM", "UHC_COM"),
    policy=("authorization.site_review",),
    clean=(
        a_claim("AETNA"),
        a_claim("OXFORD", place_of_service="24"),
        a_claim(
            "OXFORD",
            prior_authorization_number="PA1",
            authorizations=[{"number": "PA1", "places_of_service": ["22"]}],
        ),
    ),
    flagged=(a_claim("OXFORD"), a_facility_claim("ANTHEM"), a_claim("UHC_COM", prior_authorization_number="PA1")),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:
    review = policy["authorization.site_review"]
    if review is None:
        return None
    if claim.practice.has_product_named(review.get("not_products", ())):
        return None
    bill = review["type_of_bill"]
    place = claim.place_of_service_on(line)
    if claim.is_professional:
        if place not in review["places_of_service"]:
            return None
        sites: tuple[str, ...] = (place,)
    else:
        if not claim.type_of_bill.startswith(bill):
            return None
        sites = review["places_of_service"]
    number = line.prior_authorization_number or claim.prior_authorization_number
    for record in claim.authorizations:
        if (
            number
            and record.number == number
            and any(named in sites or named.startswith(bill) for named in record.places_of_service)
        ):
            return None
    site = f"place of service {place}" if claim.is_professional else f"type of bill {claim.type_of_bill}"
    where = f", {review['where']}" if "where" in review else ""
    field = "place_of_service" if claim.is_professional else "type_of_bill"
    return Flag(
        f"{line.procedure_code} in {site}, which the payer reviews{where}, without an approval of the site on file",
        field=None if claim.is_professional and line.place_of_service else field,
    )
