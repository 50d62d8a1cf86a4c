"""A claim frequency code that the kind of claim does not know.

A professional claim is a first one (1), replaces an earlier one (7) or voids it (8). An institutional bill has more
frequencies; without the list of them, one beyond those three (and Q, with Original Medicare) is a warning. The code is
CLM05-3, or the fourth character of the type of bill where that field is blank.

Known limits: whether the payer takes this frequency for this claim is for other rules; a blank type of bill is CMP001's
finding.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.rule import rule


@rule(
    title="Frequency code is invalid",
    severity=Severity.ERROR,
    reason="FREQ_WRONG",
    remedy="Use 1 for an original, 7 to replace or 8 to void.",
    citations=("stedi-claim-edits-2026",),
    field="frequency_code",
    scope="claim",
    concerns_claim=lambda key, policy: (
        key.frequency not in policy["frequency.professional"] or key.frequency not in policy["frequency.institutional"]
    ),
    on_void=True,
    policy=("frequency.professional", "frequency.institutional", "code_sets.bill_frequencies"),
    clean=(a_claim(), a_facility_claim(frequency_code="Q", original_reference_number="123")),
    flagged=(a_claim(frequency_code="6"), a_facility_claim(frequency_code="", type_of_bill="013G")),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> str | Flag | None:
    frequency = claim.frequency
    if claim.is_professional:
        if frequency in policy["frequency.professional"]:
            return None
        return f"the frequency code is {frequency or 'blank'}; a professional claim has 1, 7 or 8"
    known = policy["code_sets.bill_frequencies"]
    if (
        frequency in policy["frequency.institutional"]
        or (known is not None and frequency in known)
        or not (frequency or claim.type_of_bill)
    ):
        return None
    return Flag(
        f"the frequency code is {frequency or 'blank'}, which is not known to be one of an institutional claim",
        field="frequency_code" if claim.frequency_code else "type_of_bill",
        severity=Severity.WARNING if known is None else None,
    )
