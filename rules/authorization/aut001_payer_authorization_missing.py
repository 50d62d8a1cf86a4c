"""Procedures of one date for which the payer wants an authorization, without a number on the claim or their lines.

A payer that asks for an authorization before the service denies the line without it. Which procedures need one, in
which setting and from when, is in each payer's profile. Where the answer depends on the plan or the member's card, the
finding is a warning that says so; where it is not known whether the payer asks, there is none. One number answers for
all procedures of a date, so they share a finding; a trial and an implant of different dates may be authorized apart.

Known limits: what is held of the payers is not confirmed, so a finding is an error only by a row of the biller's own
contract. Inpatient is place of service 21 or type of bill 011x, and everything else outpatient. A product that a row
leaves out is known only if the practice has entered it. A line without a service date is left out. Original Medicare's
own programme is AUT002's matter.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_line
from rules.engine.grouping import LineGroup
from rules.engine.policy import Confidence
from rules.engine.rule import rule

_INPATIENT_PLACE = "21"
_ASKED_FOR = ("yes", "plan")


@rule(
    title="Payer's authorization missing",
    severity=Severity.ERROR,
    reason="PA_MISSING",
    remedy="Enter the authorization number in REF G1, or obtain it.",
    citations=("x12-carc-rarc-2024-06",),
    field="prior_authorization_number",
    scope="group",
    policy=("authorization.requirements",),
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        "authorization.requirements" not in policy
        or any(
            row["required"] in _ASKED_FOR and not codes.isdisjoint(row["codes"])
            for row in policy["authorization.requirements"]
        )
    ),
    clean=(
        a_claim(),
        a_claim("AETNA", prior_authorization_number="PA1"),
        a_claim("HCSC"),
        a_claim("UHC_COM", lines=[a_line("63688")]),
    ),
    flagged=(a_claim("AETNA"), a_claim("CIGNA", place_of_service="21"), a_facility_claim("HUMANA_MA")),
)
def check(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[Flag] | None:
    if claim.prior_authorization_number:
        return None
    rows = policy["authorization.requirements"]
    day = group.service_date
    without: dict[tuple[int, str], list[ServiceLine]] = {}
    for line in claim.lines:
        if line.service_date == day and not line.prior_authorization_number:
            setting = _setting(claim, line)
            position = _row_for(claim, line, setting, rows)
            if position is not None:
                without.setdefault((position, setting), []).append(line)
    if not without:
        return None
    first = next(iter(without.values()))[0]
    if all(line is not first for line in group.lines):
        return None  # another provider's lines of the date: they share the finding with the first one's
    return [
        _flag(sorted({line.procedure_code for line in lines}), day, setting, rows[position])
        for (position, setting), lines in without.items()
    ]


def _row_for(claim: Claim, line: ServiceLine, setting: str, rows: Sequence[Mapping[str, Any]]) -> int | None:
    """Position of the first row by which the line needs an authorization."""
    for position, row in enumerate(rows):
        if (
            line.procedure_code in row["codes"]
            and setting in row["settings"]
            and row["required"] in _ASKED_FOR
            and not ("not_products" in row and claim.practice.has_product_named(row["not_products"]))
        ):
            return position
    return None


def _flag(codes: Sequence[str], day: date, setting: str, row: Mapping[str, Any]) -> Flag:
    is_asked_for = row["required"] == "yes"
    is_sure = is_asked_for and Confidence(row["confidence"]).allows_error
    return Flag(
        f"{' and '.join(codes)} on {day} ({setting}) without an authorization number of {row['through']}"
        + ("" if is_asked_for else ", if the member's plan asks for one"),
        severity=Severity.ERROR if is_sure else Severity.WARNING,
    )


def _setting(claim: Claim, line: ServiceLine) -> str:
    if claim.is_professional:
        return "inpatient" if claim.place_of_service_on(line) == _INPATIENT_PLACE else "outpatient"
    return "inpatient" if claim.is_inpatient else "outpatient"
