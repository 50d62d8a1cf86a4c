"""59 together with an X modifier, or two X modifiers, on one line.

The X modifiers are narrower forms of 59: each says for itself that a procedure was separate, and why. CMS made them to
be used one at a time and instead of 59.

Known limit: on a visit, where none of them is right, COD009 speaks.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.rule import rule

_WIDEST = "59"


@rule(
    title="Two modifiers for a separate procedure on one line",
    severity=Severity.ERROR,
    reason="CODE_MODIFIER_INVALID",
    remedy="Keep the X modifier that fits and remove the other.",
    citations=("cms-cr8863", "hmsa-59x", "openpayer-anthem-59"),
    field="lines[].modifiers",
    concerns=lambda codes, modifiers, policy: len(policy["modifiers.distinct"] & modifiers) > 1,  # noqa: ARG005
    base_layer="ptp",
    effective=date(2015, 1, 1),
    policy=("modifiers.distinct",),
    yields_to=("COD009",),
    clean=(a_claim(), a_claim(lines=[a_line(), a_line("63688", modifiers=["XS"])])),
    flagged=(
        a_claim(lines=[a_line(), a_line("63688", modifiers=["59", "XS"])]),
        a_facility_claim(lines=[a_facility_line(), a_facility_line("95972", modifiers=["XE", "XU"])]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:  # noqa: ARG001
    found = tuple(dict.fromkeys(each for each in line.modifiers if each in policy["modifiers.distinct"]))
    if len(found) <= 1:
        return None
    narrow = [each for each in found if each != _WIDEST]
    return Flag(
        f"{' and '.join(found)} on {line.procedure_code}",
        remedy=f"Keep {narrow[0]} and remove 59." if len(narrow) == 1 else None,
        modifiers=found,
    )
