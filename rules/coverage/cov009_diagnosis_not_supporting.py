"""A first generator line that points to no diagnosis which the payer's policy lists.

Codes of the general kind, such as those for chronic pain, say that there is pain but not why a stimulator is indicated.
Where the policy names the diagnosis as not covered, or it is a lead fault or an infection, a more special rule says so
instead.

Known limits: no payer's complete list of codes is held, so a diagnosis may be covered although it is not found here:
this only warns. The marks are not dated.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.generator import GENERATOR, diagnoses_field
from rules.coverage.replacement import is_replaced_on
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim
from rules.engine.history import History
from rules.engine.rule import rule

_LISTED = "C"
_MARKS = {"N": "named as not covered", "W": "unspecific or advisory", "U": "not found"}


@rule(
    title="No diagnosis the policy lists is pointed to",
    severity=Severity.WARNING,
    reason="DX_PROC_MISMATCH",
    remedy="Point to the underlying indication, for example M96.1 or a regional pain syndrome code, if recorded.",
    citations=(
        "verity-aetna-0194",
        "d3rx-aetna-0194",
        "evicore-cmm-211",
        "uhc-t0567",
        "hcsc-sur712",
        "mp-328",
    ),
    field="lines[].diagnosis_pointers",
    procedures=(GENERATOR,),
    concerns_diagnosis=lambda code, policy: (
        _mark(policy["diagnoses.matrix"], policy["coverage.matrix_column"], code) != _LISTED
    ),
    policy=("coverage.matrix_column", "coverage.replacement_diagnoses", "diagnoses.matrix"),
    yields_to=("COV008", "COV010", "COV015"),
    clean=(a_claim("AETNA"), a_claim("HCSC", diagnoses=[{"code": "M54.16"}])),
    flagged=(
        a_claim("AETNA", diagnoses=[{"code": "G89.4"}]),
        a_claim("MP328", diagnoses=[{"code": "R52"}, {"code": "M96.1"}]),
    ),
)
def check(claim: Claim, line: ServiceLine, history: History, policy: Mapping[str, Any]) -> Flag | None:
    matrix, marked = policy["diagnoses.matrix"], policy["coverage.matrix_column"]
    pointed_to = claim.diagnoses_pointed_to(line)
    marks = {each.code: _mark(matrix, marked, each.undotted) for each in pointed_to if each.code}
    if (
        not marks
        or _LISTED in marks.values()
        or is_replaced_on(claim, line, history, policy["coverage.replacement_diagnoses"])
    ):
        return None
    named = ", ".join(f"{code} ({_MARKS[mark]})" for code, mark in marks.items())
    return Flag(
        f"{GENERATOR} points to no diagnosis that the policy lists: {named}",
        field=diagnoses_field(claim),
    )


def _mark(matrix: Mapping[str, Mapping[str, str]], marked: Mapping[str, Any], code: str) -> str:
    row = matrix.get(code)
    if row is None:
        return "U"
    return _LISTED if row["group"] in marked.get("listed", ()) else row[marked["column"]]
