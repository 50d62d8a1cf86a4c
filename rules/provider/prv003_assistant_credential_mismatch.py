"""An assistant modifier that does not fit who assists: AS by a physician, or 80, 81 or 82 by a PA, NP or CNS.

AS is for a physician assistant, nurse practitioner or clinical nurse specialist, who is paid less; 80, 81 and 82 are
for a physician. The taxonomy of the rendering provider tells which of them it is.

Known limit: other taxonomies say nothing here, and neither does a blank one.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.grouping import ASSISTANT_MODIFIERS
from rules.engine.rule import rule

_BY_OTHERS = "AS"


@rule(
    title="Assistant modifier does not fit the credential",
    severity=Severity.ERROR,
    reason="CODE_MODIFIER_INVALID",
    remedy="Use AS for a PA, NP or CNS and 80, 81 or 82 for a physician.",
    citations=("noridian-modifiers-2024-06",),
    field="lines[].modifiers",
    claim_types=("professional",),
    base_layer="mpfs",
    policy=("taxonomy.physicians", "taxonomy.assistants"),
    concerns=lambda codes, modifiers, policy: not modifiers.isdisjoint(ASSISTANT_MODIFIERS),  # noqa: ARG005
    clean=(
        a_claim(),
        a_claim(lines=[a_line(modifiers=["80"])]),
        a_claim(lines=[a_line(modifiers=["AS"])], rendering_provider={"npi": "1003004502", "taxonomy": "363A00000X"}),
    ),
    flagged=(
        a_claim(lines=[a_line(modifiers=["AS"])]),
        a_claim(lines=[a_line(modifiers=["82"])], rendering_provider={"npi": "1003004502", "taxonomy": "363LF0000X"}),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:
    if not line.modifiers or ASSISTANT_MODIFIERS.isdisjoint(line.modifiers):
        return None
    provider = claim.rendering_provider_on(line)
    if provider is None:
        return None
    physicians, others = policy["taxonomy.physicians"], policy["taxonomy.assistants"]
    wrong = tuple(
        modifier
        for modifier in line.modifiers
        if modifier in ASSISTANT_MODIFIERS
        and provider.taxonomy.startswith(physicians if modifier == _BY_OTHERS else others)
    )
    if not wrong:
        return None
    return Flag(f"{', '.join(wrong)} with the rendering taxonomy {provider.taxonomy}", modifiers=wrong)
