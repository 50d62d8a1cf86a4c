"""A stored authorization with the claim's number that is for another payer, member, provider, facility or procedure.

The payer compares the claim with the authorization it gave: a lead's authorization does not cover the generator, and
one for another surgeon or hospital does not pay this one. What the record leaves blank contradicts nothing. Of several
records with one number the ones that fit best are judged, and their lists of codes are taken together. Looked for in
the list are the surgical codes of spinal cord stimulation (for Original Medicare only 63650, as its number covers no
generator); devices and imaging are not authorized one by one.

Known limits: payers are compared by their keys, so not on a claim that names no key. The provider of a record may be
anybody in a role on the claim, and an assistant works under the surgeon's authorization. Without a record of the number
the rule cannot tell.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rules.authorization.stored import NO_RECORD, NumberUse, number_uses, without_records
from rules.engine.claim import Claim
from rules.engine.decision import Flag, NotEvaluated, Severity
from rules.engine.examples import HOSPITAL_NPI, SURGEON_NPI, a_claim, a_line
from rules.engine.rule import rule

# The likeliest reason where the number is valid but was given to somebody else.
_OTHER_PROVIDER = {"provider": "296", "facility": "296"}


@rule(
    title="Authorization is for another service",
    severity=Severity.ERROR,
    reason="PA_MISMATCH",
    remedy="Correct the number, or have the authorization amended.",
    citations=("x12-carc-rarc-2024-06", "product-logic"),
    field="prior_authorization_number",
    scope="claim",
    concerns_claim=lambda key, policy: key.is_authorized,  # noqa: ARG005
    policy=("authorization.covered_codes",),
    clean=(
        a_claim(),
        a_claim(
            "AETNA",
            prior_authorization_number="PA1",
            authorizations=[
                {"number": "PA1", "payer_key": "AETNA", "member_number": "W123456789", "provider_npi": SURGEON_NPI}
            ],
        ),
        a_claim(prior_authorization_number="PA1"),
    ),
    flagged=(
        a_claim(
            "AETNA",
            prior_authorization_number="PA1",
            authorizations=[{"number": "PA1", "procedure_codes": ["63650"]}],
        ),
        a_claim(
            lines=[a_line(prior_authorization_number="PA1")],
            authorizations=[{"number": "PA1", "provider_npi": HOSPITAL_NPI}],
        ),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> NotEvaluated | Sequence[Flag | NotEvaluated] | None:
    if not claim.authorizations:
        return without_records(claim)
    covered = policy["authorization.covered_codes"]
    answers: list[Flag | NotEvaluated] = []
    for use in number_uses(claim):
        if not use.records:
            answers.append(NotEvaluated(NO_RECORD.reason, use.line))
            continue
        answers += [_of_another(use, part) for part in use.contradictions]
        answers += [
            Flag(
                f"the stored authorization with this number does not list {line.procedure_code}",
                line=line,
                field="lines[].procedure_code",
                remedy=f"Correct the number or have the authorization amended to include {line.procedure_code}.",
            )
            for line in use.lines
            if line.procedure_code in covered and not use.records_for(line)
        ]
    return answers or None


def _of_another(use: NumberUse, part: str) -> Flag:
    return Flag(
        f"the stored authorization with this number is for another {part}",
        line=use.line,
        field=use.field,
        remedy=f"Correct the number or have the authorization amended to this {part}.",
        carc=_OTHER_PROVIDER.get(part),
    )
