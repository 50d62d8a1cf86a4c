"""An inpatient generator implant that is not coded in ICD-10-PCS, or at a body part where there is no generator.

On type of bill 011x procedures are ICD-10-PCS codes, not line codes. Table 0JH offers a stimulator generator for chest,
back and abdomen, and none for buttock and pelvic region. Where neither is found, a note may still tell of an implant
without its code. A note tells of one where a sentence of it has both `generator`, `generators` or `IPG`, and `implant`,
`implanted`, `implanting`, `implantation`, `inserted`, `insertion`, `placed`, `placement`, `replaced` or `replacement`,
and no word by which it may mean something else: a negation (no, not, without, never), another time (prior, previous,
history, existing, old, future, planned, scheduled, later), another outcome (cancelled, aborted, deferred, declined,
removed, removal, explanted, explant) or another device (pacemaker, cardiac, heart, defibrillator, ICD, vagus, vagal,
radiofrequency, RF). The note's text is never repeated.

Known limits: free text is read word by word, so a note may be missed or misread. That abdomen has a generator is not
verified. Body part chest also serves other stimulators.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim, Note
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_facility_claim, a_facility_line
from rules.engine.rule import rule

_OTHER_PROCEDURE: Final = "M67"  # the category's own remark is about the first procedure
_DEVICE: Final = re.compile(r"\b(generators?|ipg)\b")
_IMPLANT: Final = re.compile(r"\b(implant(ed|ing|ation)?|insert(ed|ion)|place(d|ment)|replace(d|ment))\b")
_OTHER_MEANING: Final = re.compile(
    r"\b(no|not|without|never|prior|previous|previously|history|existing|old|future|planned|scheduled|later"
    r"|cancell?ed|aborted|deferred|declined|removed|removal|explant(ed)?"
    r"|pacemaker|cardiac|heart|defibrillator|icd|vagus|vagal|radiofrequency|rf)\b"
)


@rule(
    title="Inpatient generator implant coded wrongly",
    severity=Severity.WARNING,
    reason="PCS_INVALID",
    remedy="Report the inpatient implant by ICD-10-PCS, body part chest, back or abdomen.",
    citations=("icd10pcs-0jh", "coding-knowledge"),
    field="inpatient_procedures",
    scope="claim",
    claim_types=("institutional",),
    policy=("procedures.generator_insertion", "procedures.no_generator_there"),
    clean=(
        a_facility_claim(),
        a_facility_claim(
            type_of_bill="0111",
            lines=[a_facility_line("", revenue_code="0278")],
            inpatient_procedures=[{"code": "0JH80DZ"}],
            notes=[{"text": "Generator implanted in the abdomen."}],
        ),
    ),
    flagged=(
        a_facility_claim(type_of_bill="0111", inpatient_procedures=[{"code": "0JH80DZ"}]),
        a_facility_claim(type_of_bill="0111", lines=[], inpatient_procedures=[{"code": "0JH90DZ"}]),
        a_facility_claim(type_of_bill="0111", lines=[], notes=[{"text": "Generator implanted in the abdomen."}]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    if not claim.is_inpatient:
        return None
    flags = [
        Flag(
            f"63685 as a line code on type of bill {claim.type_of_bill}",
            line=line,
            field="lines[].procedure_code",
            remedy="Report the inpatient implant by ICD-10-PCS, or use 013x if the patient was an outpatient.",
        )
        for line in claim.lines
        if line.procedure_code == GENERATOR
    ]
    codes = [procedure.code for procedure in claim.inpatient_procedures]
    flags += [
        Flag(
            f"{code} puts a generator at a body part for which ICD-10-PCS offers none",
            field=f"inpatient_procedures[{position}].code",
            rarc=_OTHER_PROCEDURE if position else None,
        )
        for position, code in enumerate(codes)
        if re.match(policy["procedures.no_generator_there"], code)
    ]
    if not flags and not any(re.match(policy["procedures.generator_insertion"], code) for code in codes):
        notes = [*claim.notes, *(note for line in claim.lines for note in line.notes)]
        if _tell_of_implant(notes):
            flags.append(Flag("the notes tell of a generator implant, and no ICD-10-PCS code of one is on the claim"))
    return flags or None


def _tell_of_implant(notes: Iterable[Note]) -> bool:
    return any(
        _DEVICE.search(sentence) and _IMPLANT.search(sentence) and not _OTHER_MEANING.search(sentence)
        for note in notes
        for sentence in re.split(r"[.;!?\n]", note.text.lower())
    )
