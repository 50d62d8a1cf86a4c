"""A provider whose taxonomy is not one that implants spinal stimulators, or a facility that is none.

Payers that look at the taxonomy expect neurosurgery, orthopedic spine surgery or pain medicine of the surgeon, and a
hospital or surgery center where the biller is the facility. Anybody's may be out of date or the wrong one of several.
Judged is who renders a surgical line; an assistant may be any physician, or a PA, NP or CNS.

Known limits: which taxonomies a payer accepts is not published, so this is a warning. A blank taxonomy says nothing.
A surgery center's professional claim is known as one only if the practice has said so.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_line
from rules.engine.grouping import is_assistant
from rules.engine.rule import rule


@rule(
    title="Specialty implausible for a spinal stimulator",
    severity=Severity.WARNING,
    reason="PROVIDER_TAXONOMY",
    remedy="Check the taxonomy; payers expect neurosurgery, orthopedic spine or pain medicine.",
    citations=("nucc-taxonomy", "coding-knowledge"),
    field="rendering_provider.taxonomy",
    scope="claim",
    policy=("taxonomy.plausible", "taxonomy.physicians", "taxonomy.assistants", "modifiers.family_surgical"),
    clean=(
        a_claim(),
        a_facility_claim(),
        a_claim(rendering_provider={"npi": "1992345672"}),
        a_claim(
            lines=[
                a_line(),
                a_line(modifiers=["AS"], rendering_provider={"npi": "1003004502", "taxonomy": "363AS0400X"}),
            ]
        ),
    ),
    flagged=(
        a_claim(rendering_provider={"npi": "1992345672", "taxonomy": "207Q00000X"}),
        a_facility_claim(billing_provider={"npi": "1184567893", "taxonomy": "207T00000X"}),
        a_claim(lines=[a_line(rendering_provider={"npi": "1992345672", "taxonomy": "363A00000X"})]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    if not claim.is_professional:
        return _facility_flags(claim, policy) or None
    flags = _facility_flags(claim, policy) if claim.practice.ambulatory_surgery_center else []
    surgical = policy["modifiers.family_surgical"]
    plausible = policy["taxonomy.plausible"]
    seen: list[tuple[str, bool]] = []
    for line in claim.lines:
        if line.procedure_code not in surgical:
            continue
        provider = claim.rendering_provider_on(line)
        taxonomy = provider.taxonomy if provider is not None else ""
        if not taxonomy:
            continue
        as_assistant = is_assistant(line)
        if as_assistant:
            is_plausible = taxonomy.startswith((*policy["taxonomy.physicians"], *policy["taxonomy.assistants"]))
        else:
            is_plausible = _role(plausible, taxonomy) == "surgeon"
        if is_plausible or (taxonomy, as_assistant) in seen:
            continue
        seen.append((taxonomy, as_assistant))
        role = "an assistant" if as_assistant else "a surgeon"
        flags.append(
            Flag(
                f"taxonomy {taxonomy} of the rendering provider is not one expected of {role} at a spinal stimulator",
                line=line if line.rendering_provider else None,
                field="lines[].rendering_provider.taxonomy" if line.rendering_provider else None,
            )
        )
    return flags or None


def _role(plausible: Mapping[str, Mapping[str, Any]], taxonomy: str) -> str:
    row = plausible.get(taxonomy)
    return row["role"] if row is not None else ""


def _facility_flags(claim: Claim, policy: Mapping[str, Any]) -> list[Flag]:
    taxonomy = claim.billing_provider.taxonomy
    if not taxonomy or _role(policy["taxonomy.plausible"], taxonomy) == "facility":
        return []
    return [
        Flag(
            f"taxonomy {taxonomy} of the billing provider is not one expected of a hospital or surgery center",
            field="billing_provider.taxonomy",
            remedy="Check the billing taxonomy; payers expect that of a hospital or surgery center.",
            rarc="N94",
            entity="85",
        )
    ]
