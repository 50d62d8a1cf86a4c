"""The lines and diagnoses of a claim for a pulse generator."""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim, Diagnosis

GENERATOR = "63685"


def diagnoses_for_generator(claim: Claim) -> list[Diagnosis]:
    """What the lines with the generator code point to."""
    return [
        diagnosis
        for line in claim.lines
        if line.procedure_code == GENERATOR
        for diagnosis in claim.diagnoses_pointed_to(line)
    ]


def diagnoses_field(claim: Claim) -> str:
    """Where it stands what a line points to; an institutional line stands for the claim's whole list."""
    return "lines[].diagnosis_pointers" if claim.is_professional else "diagnoses"


def group_of(code: str, matrix: Mapping[str, Mapping[str, Any]]) -> str:
    """The group of the diagnosis matrix, for a code without its dot; blank for one that is not in it."""
    row = matrix.get(code)
    return row["group"] if row is not None else ""
