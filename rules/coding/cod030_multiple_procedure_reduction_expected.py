"""Several operations of one provider on one day, of which the payer pays the lower-ranked ones at a reduced rate.

It is an expected payment and no denial: the first is paid in full and the others in part, in the order of their
relative values, whatever their order on the claim.

Known limits: the relative values are of 2024; a further unit of the same line, an assistant's share and a payer's own
ranking are not reckoned with.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.grouping import LineGroup
from rules.engine.rule import rule

_REDUCED = "2"
_OFFICE = "11"


@rule(
    title="Reduction for multiple procedures expected",
    severity=Severity.INFO,
    reason="MULTI_PROC_REDUCTION",
    remedy="No action; expect the lower-ranked lines at the payer's reduced rate.",
    citations=("cms-mpfs-2024-07", "cigna-multiple-surgery", "ibx-mspr"),
    field="lines[].charge_amount",
    scope="group",
    concerns=lambda codes, modifiers, policy: any(  # noqa: ARG005
        (row := policy["fee_schedule.indicators"].get((code, None))) is not None and row["multiple"] == _REDUCED
        for code in codes
    ),
    claim_types=("professional",),
    policy=("fee_schedule.indicators", "fee_schedule.relative_values", "multiple_procedure.percentages"),
    clean=(a_claim(), a_claim(lines=[a_line(), a_line("95972", modifiers=["XU"])])),
    flagged=(a_claim(lines=[a_line(), a_line("63650", units="2")]),),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> Flag | None:
    lines = group.lines
    if len(lines) <= 1:
        return None
    indicators = policy["fee_schedule.indicators"]
    reduced = []
    for number, line in enumerate(lines):
        row = indicators.get((line.procedure_code, None))
        if row is not None and row["multiple"] == _REDUCED:
            reduced.append(number)
    if len(reduced) <= 1:
        return None
    values = policy["fee_schedule.relative_values"]
    ranked: list[tuple[float, str, int, str]] = []
    unranked: dict[int, str] = {}
    for number in reduced:
        line = lines[number]
        code = line.procedure_code
        row = values.get(code)
        if row is None:
            unranked[number] = code
            continue
        value = row["facility_total"]
        if claim.place_of_service_on(line) == _OFFICE:
            value = row["nonfacility_total"] or value
        ranked.append((-float(value), code, number, value))
    ranked.sort()
    message = "reduced together"
    if ranked:
        message += ", in this order: " + ", ".join([f"{code} ({value})" for _, code, _, value in ranked])
    if unranked:
        message += f"; no relative value is held for {', '.join(dict.fromkeys(unranked.values()))}"
    second = [*[number for _, _, number, _ in ranked], *unranked][1]
    return Flag(f"{message}; {_percentages(claim, policy)}", line=lines[second])


def _percentages(claim: Claim, policy: Mapping[str, Any]) -> str:
    held = policy["multiple_procedure.percentages"]
    if held is None or held.get("claim_type", claim.claim_type) != claim.claim_type:
        return "the payer's percentages are not held"
    return f"the payer pays {held['first']}, {held['second']} and then {held['further']} percent"
