"""Diagnoses that a payer's policy names as not covered (`coverage.exclusions`).

A profile holds them by the rule that reads them, and there by group or code of the diagnosis matrix. What is one
exclusion of the policy is one row, written once; it says whether it speaks only of patients without earlier surgery:

    COV008: {PHN: &named {what: named exclusions, confidence: secondary, source: …}, G546: *named}
"""

from collections.abc import Collection, Mapping
from typing import Any

from rules.coverage.generator import group_of
from rules.engine.claim import Claim, ServiceLine

Row = Mapping[str, Any]


def row_of(code: str, rows: Mapping[str, Row], matrix: Mapping[str, Mapping[str, Any]]) -> Row | None:
    """The row that holds a diagnosis, by its code without the dot or by the code's group."""
    row = rows.get(code)
    return rows.get(group_of(code, matrix)) if row is None else row


def excluding_row(
    claim: Claim, line: ServiceLine, rows: Mapping[str, Row], matrix: Mapping[str, Mapping[str, Any]]
) -> Row | None:
    """The row that holds every diagnosis the line points to; None where it points to none."""
    found = [row_of(each.undotted, rows, matrix) for each in claim.diagnoses_pointed_to(line)]
    return found[0] if found and all(row == found[0] for row in found) else None


def has_earlier_surgery(claim: Claim, surgery: Collection[str]) -> bool:
    """Whether the record, or a diagnosis anywhere on the claim, says that the spine was operated on before."""
    return bool(claim.case_facts.prior_spine_surgery) or any(each.undotted in surgery for each in claim.diagnoses)


def listed(claim: Claim, line: ServiceLine) -> str:
    """The codes the line points to."""
    return ", ".join(each.code for each in claim.diagnoses_pointed_to(line))
