"""A modifier that says something unusual happened, with neither a note nor an announced attachment to explain it.

Unusual, reduced or stopped work, a second surgeon where records are wanted, and an assistant in place of a resident are
paid by the record. Without an explanation the payer asks for it or pays as if the modifier were not there.

Known limit: whether the note explains anything is not read; records sent on request or by another way are not seen.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.grouping import TWO_SURGEONS
from rules.engine.rule import rule

_WITH_RECORDS = "1"


@rule(
    title="Modifier without an explanation",
    severity=Severity.WARNING,
    reason="ATTACHMENT_NEEDED",
    remedy="Add the explanation in the note or announce the operative report with PWK.",
    citations=("noridian-modifiers-2024-06", "regence-62"),
    field="lines[].notes",
    concerns=lambda codes, modifiers, policy: (  # noqa: ARG005
        TWO_SURGEONS in modifiers or not policy["modifiers.explained"].isdisjoint(modifiers)
    ),
    claim_types=("professional",),
    policy=("modifiers.explained", "fee_schedule.indicators"),
    clean=(
        a_claim(),
        a_claim(lines=[a_line(modifiers=["22"], notes=[{"qualifier": "ADD", "text": "Scar tissue, twice the time"}])]),
        a_claim(lines=[a_line(modifiers=["62"])], attachments=[{"report_type": "OB", "transmission": "EL"}]),
    ),
    flagged=(a_claim(lines=[a_line(modifiers=["22"])]), a_claim(lines=[a_line(modifiers=["62"])])),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:
    if not line.modifiers or line.attachments or claim.attachments:
        return None
    found = tuple(each for each in line.modifiers if each in policy["modifiers.explained"])
    if TWO_SURGEONS in line.modifiers:
        row = policy["fee_schedule.indicators"].get((line.procedure_code, None))
        if row is not None and row["cosurgeon"] == _WITH_RECORDS:
            found += (TWO_SURGEONS,)
    if not found or any(note.text for note in (*line.notes, *claim.notes)):
        return None
    return Flag(
        f"{', '.join(found)} on {line.procedure_code}, and neither a note nor an attachment explains it",
        modifiers=found,
    )
