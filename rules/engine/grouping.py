"""Groups of service lines: one patient, one service date, one provider.

NCCI pairs, add-on codes and unit limits are judged within such a group. The provider is, on a professional claim, the
same rendering NPI, or the same billing tax number and the same specialty (the first four characters of the taxonomy);
on an institutional claim the billing provider. An assistant's lines are a group of their own, and two rendering
providers who both bill modifier 62 are two groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from rules.engine.claim import Claim, ServiceLine

ASSISTANT_MODIFIERS = frozenset({"80", "81", "82", "AS"})
_TWO_SURGEONS = "62"
_SPECIALTY_LENGTH = 4


@dataclass(frozen=True, slots=True)
class LineGroup:
    """The lines of one provider on one service date, in the claim's order."""

    service_date: date
    lines: tuple[ServiceLine, ...]
    codes: frozenset[str]


def line_groups(claim: Claim) -> list[LineGroup]:
    """The groups of a claim's lines; a line without a date is in none."""
    by_date: dict[date, list[ServiceLine]] = {}
    for line in claim.lines:
        if line.service_date is not None:
            by_date.setdefault(line.service_date, []).append(line)
    groups = []
    for day, lines in by_date.items():
        for members in _by_provider(claim, lines) if claim.is_professional else [lines]:
            groups.append(LineGroup(day, tuple(members), frozenset([line.procedure_code for line in members])))
    return groups


def _by_provider(claim: Claim, lines: list[ServiceLine]) -> list[list[ServiceLine]]:
    plain = True
    for line in lines:
        if line.rendering_provider is not None or (line.modifiers and not ASSISTANT_MODIFIERS.isdisjoint(line.modifiers)):
            plain = False
            break
    if plain:
        return [lines]
    groups: list[tuple[bool, str, str, bool, list[ServiceLine]]] = []
    for line in lines:
        provider = claim.rendering_provider_on(line)
        npi = provider.npi if provider else ""
        specialty = provider.taxonomy[:_SPECIALTY_LENGTH] if provider else ""
        assistant = not ASSISTANT_MODIFIERS.isdisjoint(line.modifiers)
        two_surgeons = _TWO_SURGEONS in line.modifiers
        for other_assistant, other_npi, other_specialty, other_two_surgeons, members in groups:
            if assistant != other_assistant:
                continue
            same_specialty = specialty and specialty == other_specialty and not (two_surgeons and other_two_surgeons)
            if npi == other_npi or same_specialty:
                members.append(line)
                break
        else:
            groups.append((assistant, npi, specialty, two_surgeons, [line]))
    return [members for *_, members in groups]
