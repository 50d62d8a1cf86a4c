"""An assistant's line with the rendering provider who also bills the procedure as the surgeon.

Nobody assists himself: one of the two lines has the wrong rendering provider, mostly the assistant's. Lines of this
claim and of earlier ones are compared, of one patient, code and date.

Known limit: where the assistant's line came first, on another claim, the surgeon's line is not told; the later claim is
right then.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.grouping import ASSISTANT_MODIFIERS, is_assistant
from rules.engine.history import History
from rules.engine.rule import rule


@rule(
    title="Assistant is the surgeon",
    severity=Severity.WARNING,
    reason="ASSISTANT_NOT_PAYABLE",
    remedy="Correct the rendering provider of the assistant line.",
    citations=("product-logic",),
    field="lines[].rendering_provider.npi",
    scope="history",
    concerns=lambda codes, modifiers, policy: not ASSISTANT_MODIFIERS.isdisjoint(modifiers),  # noqa: ARG005
    claim_types=("professional",),
    lookback=0,
    clean=(
        a_claim(lines=[a_line(modifiers=["AS"])]),
        a_claim(lines=[a_line(), a_line(modifiers=["80"], rendering_provider={"npi": "1003004502"})]),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line(modifiers=["80"])]),
        with_history(a_claim(lines=[a_line(modifiers=["AS"])]), earlier()),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag] | None:  # noqa: ARG001
    flags = []
    for line in claim.lines:
        if is_assistant(line) and claim.rendering_npi_on(line) and line.service_date is not None:
            where = _surgery_by_the_same(claim, line, history)
            if where is not None:
                flags.append(
                    Flag(
                        f"the assistant's rendering provider of {line.procedure_code} on {line.service_date} bills it "
                        f"as the surgeon too, {where}",
                        line=line,
                        field="lines[].rendering_provider.npi" if line.rendering_provider else "rendering_provider.npi",
                    )
                )
    return flags or None


def _surgery_by_the_same(claim: Claim, line: ServiceLine, history: History) -> str | None:
    """Where the procedure stands without an assistant's modifier by the same rendering provider; None for nowhere."""
    key = (line.procedure_code, line.service_date, claim.rendering_npi_on(line))
    for other in claim.lines:
        if (other.procedure_code, other.service_date, claim.rendering_npi_on(other)) == key and not is_assistant(other):
            return "on this claim"
    for prior, its_line in history.patient_services:
        its_key = (its_line.procedure_code, its_line.service_date, its_line.rendering_npi)
        if its_key == key and not is_assistant(its_line):
            return f"on claim {prior.claim_id}"
    return None
