"""Evidence that a generator is replaced: such a claim is not asked for trial, psychological and conservative care.

Evidence is a diagnosis of device failure or battery end on the generator line's pointer, the removal code on the same
date, the practice's own mark, or an earlier claim for a generator of the patient. Within ten days of it, a generator is
taken for part of the same implant.
"""

from collections.abc import Collection

from rules.coverage.generator import GENERATOR
from rules.engine.claim import Claim, ServiceLine
from rules.engine.history import History

REMOVAL = "63688"
_FEWEST_DAYS = 11


def is_replacement(claim: Claim, history: History, reasons: Collection[str]) -> bool:
    """Whether there is evidence for any line with the generator code.

    Args:
        claim: the claim.
        history: of its member.
        reasons: the diagnoses that say so by themselves, without dots (`coverage.replacement_diagnoses`).
    """
    return _may_be_replacement(claim, history, reasons) and any(
        is_replaced_on(claim, line, history, reasons) for line in claim.lines if line.procedure_code == GENERATOR
    )


def is_replaced_on(claim: Claim, line: ServiceLine, history: History, reasons: Collection[str]) -> bool:
    """Whether there is evidence for this line."""
    return points_to_reason(claim, line, reasons) or other_evidence(claim, line, history) is not None


def points_to_reason(claim: Claim, line: ServiceLine, reasons: Collection[str]) -> bool:
    """Whether the line points to a diagnosis that says by itself that the device is replaced."""
    return any(each.undotted in reasons for each in claim.diagnoses_pointed_to(line))


def other_evidence(claim: Claim, line: ServiceLine, history: History) -> str | None:
    """Evidence beside the diagnoses, in words."""
    if claim.case_facts.replacement:
        return "the practice has marked the case as a replacement"
    for other in claim.lines:
        if other.procedure_code == REMOVAL and other.service_date == line.service_date:
            return f"{REMOVAL} stands on the same date"
    return _earlier_generator(line, history) if GENERATOR in history.procedure_codes else None


def _earlier_generator(line: ServiceLine, history: History) -> str | None:
    for prior in history.patient_services:
        day = prior.line.service_date
        if (
            prior.line.procedure_code == GENERATOR
            and day is not None
            and line.service_date is not None
            and (line.service_date - day).days >= _FEWEST_DAYS
        ):
            return f"claim {prior.claim.claim_id} has {GENERATOR} on {day}"
    return None


def _may_be_replacement(claim: Claim, history: History, reasons: Collection[str]) -> bool:
    """Whether there is anything that could be evidence: a cheap look, as most claims have none."""
    if GENERATOR in history.procedure_codes or claim.case_facts.replacement:
        return True
    for diagnosis in claim.diagnoses:
        if diagnosis.code.replace(".", "") in reasons:
            return True
    for line in claim.lines:  # noqa: SIM110  (a generator would cost more than the rest)
        if line.procedure_code == REMOVAL:
            return True
    return False
