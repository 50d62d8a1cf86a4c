"""A replaced generator whose line points to no diagnosis that says why the device is replaced.

Removal on the same date, an earlier generator of the patient or the practice's own mark show that it is a replacement,
but the payer goes by the claim: without the device reason on the pointer it takes the implant for a first one and asks
for a trial. Where the line points only to a lead fault or an infection, COV015 says so instead.

Known limits: an earlier generator is known only from the claims that are on file; a second one beside it looks like a
replacement.
"""

from collections.abc import Mapping
from typing import Any

from rules.coverage.generator import GENERATOR, diagnoses_field
from rules.coverage.replacement import REMOVAL, other_evidence, points_to_reason
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.history import History
from rules.engine.rule import rule


@rule(
    title="Replacement without a device diagnosis",
    severity=Severity.WARNING,
    reason="DX_PROC_MISMATCH",
    remedy="Add the device reason (Z45.42 or the T85 code) so that the payer does not ask for a trial.",
    citations=("coding-knowledge", "lcd-l35136"),
    field="lines[].diagnosis_pointers",
    procedures=(GENERATOR,),
    concerns_claim=lambda key, policy: (  # noqa: ARG005
        "replacement" in key.facts or REMOVAL in key.codes or key.has_history
    ),
    policy=("coverage.replacement_diagnoses",),
    yields_to=("COV015",),
    clean=(a_claim(), a_claim(diagnoses=[{"code": "Z45.42"}], lines=[a_line(), a_line("63688")])),
    flagged=(
        a_claim(lines=[a_line(), a_line("63688")]),
        a_claim("AETNA", case_facts={"replacement": True}),
        with_history(a_claim(), earlier(lines=[a_line(service_date="2019-05-06")])),
    ),
)
def check(claim: Claim, line: ServiceLine, history: History, policy: Mapping[str, Any]) -> Flag | None:
    evidence = other_evidence(claim, line, history)
    reasons = policy["coverage.replacement_diagnoses"]
    if evidence is None or not claim.diagnoses_pointed_to(line) or points_to_reason(claim, line, reasons):
        return None
    named = ", ".join(f"{code[:3]}.{code[3:]}" for code in sorted(reasons))
    return Flag(f"{evidence}, but {GENERATOR} points to none of {named}", field=diagnoses_field(claim))
