"""A plate lead without an authorization number in a state where Original Medicare reviews it before payment.

Under the WISeR model the contractor reviews claims of listed procedures before it pays, unless an authorization was
asked for; asking is voluntary. Of the lists only that of Texas is held, which names 63655 and no generator.

Known limits: the lists of the other states are presumed to name 63655 too. One source calls the model mandatory and
speaks of denials; the contractor's own page is followed. The state is the service facility's, else the biller's.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule


@rule(
    title="Review before payment is to be expected",
    severity=Severity.WARNING,
    reason="PA_MISSING",
    remedy="Request voluntary prior authorization or expect review before payment.",
    citations=("cohere-wiser-tx-2026", "noridian-wiser", "apexflow-wiser"),
    field="prior_authorization_number",
    procedures=("63655",),
    payers=("MEDICARE_FFS",),
    effective=date(2026, 1, 5),
    policy=("authorization.wiser_states",),
    clean=(
        a_claim(service_facility={"npi": "1184567893", "state": "TX"}),
        a_claim(service_facility={"npi": "1184567893", "state": "FL"}, lines=[a_line("63655")]),
    ),
    flagged=(
        a_claim(service_facility={"npi": "1184567893", "state": "TX"}, lines=[a_line("63655")]),
        a_claim(service_facility={"npi": "1184567893", "state": "AZ"}, lines=[a_line("63655")]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | NotEvaluated | None:
    if claim.prior_authorization_number or line.prior_authorization_number:
        return None
    facility = line.service_facility or claim.service_facility
    state = (facility.state if facility is not None else "") or claim.billing_provider.state
    if not state:
        return NotEvaluated("63655 without an authorization number needs the state of the service")
    is_listed = policy["authorization.wiser_states"].get(state)
    if is_listed is None:
        return None
    return Flag(
        f"{line.procedure_code} in {state} without an authorization number"
        + ("" if is_listed else "; whether the list of this state names it is not held")
    )
