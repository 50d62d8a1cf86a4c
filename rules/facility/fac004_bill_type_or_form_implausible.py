"""Spinal stimulation surgery on an unlikely type of bill, or an institutional claim of a Medicare surgery center.

Surgical codes belong on hospital outpatient bills (013x), bills of a critical access hospital (085x) and rarely 012x;
on 083x only where a commercial payer takes it. Medicare surgery centers bill on the professional form.

63685 on an inpatient bill (011x) is the matter of FAC014.

Known limits: a coder's knowledge, so a warning. Whether the fourth character fits is the matter of the rules about
corrected claims; a blank type of bill is that of CMP001.
"""

from collections.abc import Mapping
from typing import Any

from rules.coding.billers import is_surgery_center
from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line
from rules.engine.rule import rule

_PREFIX = 3


@rule(
    title="Type of bill or form implausible for the surgery",
    severity=Severity.WARNING,
    reason="TOB_MISMATCH",
    remedy="Use 013x for hospital outpatient; Medicare ASCs bill on the professional form.",
    citations=("coding-knowledge",),
    field="type_of_bill",
    scope="claim",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        not policy["modifiers.family_surgical"].isdisjoint(codes)
        or "institutional" not in policy["bill_types.surgery_center_forms"]
    ),
    claim_types=("institutional",),
    policy=(
        "bill_types.codes",
        "bill_types.expected_for",
        "bill_types.surgery_center_forms",
        "modifiers.family_surgical",
    ),
    clean=(a_facility_claim(), a_facility_claim("AETNA", type_of_bill="0831"), a_claim()),
    flagged=(
        a_facility_claim("AETNA", type_of_bill="0111", lines=[a_facility_line("63688")]),
        a_facility_claim(type_of_bill="0831"),
        a_facility_claim(practice={"ambulatory_surgery_center": True}),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> Flag | None:
    if claim.claim_type not in policy["bill_types.surgery_center_forms"] and is_surgery_center(claim):
        return Flag("an ambulatory surgery center's claim on the institutional form")
    type_of_bill = claim.type_of_bill
    row = policy["bill_types.codes"].get(type_of_bill[:_PREFIX])
    if not type_of_bill or (row is not None and row["surgery"] in policy["bill_types.expected_for"]):
        return None
    codes = sorted(policy["modifiers.family_surgical"].intersection(line.procedure_code for line in claim.lines))
    if not codes or (GENERATOR in codes and claim.is_inpatient):
        return None
    named = f" ({row['label']})" if row is not None else ""
    return Flag(f"{' and '.join(codes)} on type of bill {type_of_bill}{named}")
