"""A line that repeats the prior authorization number of the claim.

The line's number (2400 REF G1) is for an authorization that differs from the claim's; by the standard's own
interpretation the same number may not stand in both places.

Known limit: whether the authorization is needed, and the right one, is for other rules.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule


@rule(
    title="Authorization is repeated on a line",
    severity=Severity.ERROR,
    reason="LACKS_INFO_GENERIC",
    remedy="Remove the authorization number from the line; it already stands on the claim.",
    citations=("x12-rfi-2459",),
    field="lines[].prior_authorization_number",
    concerns_claim=lambda key, policy: key.is_authorized,  # noqa: ARG005
    claim_types=("professional",),
    clean=(
        a_claim(prior_authorization_number="A1"),
        a_claim(prior_authorization_number="A1", lines=[a_line(prior_authorization_number="A2")]),
    ),
    flagged=(a_claim(prior_authorization_number="A1", lines=[a_line(prior_authorization_number="A1")]),),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> str | None:  # noqa: ARG001
    number = line.prior_authorization_number
    if number and number == claim.prior_authorization_number:
        return "the line's prior authorization number is the claim's"
    return None
