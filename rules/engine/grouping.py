"""Groups of service lines: one patient, one service date, one provider.

NCCI pairs, add-on codes and unit limits are judged within such a group. The provider is, on a professional claim, the
same rendering NPI, or the same billing tax number and the same specialty (the first four characters of the taxonomy);
on an institutional claim the billing provider. An assistant's lines are a group of their own, and two rendering
providers who both bill modifier 62 are two groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

from rules.engine.claim import Claim, ServiceLine
from rules.engine.history import PriorLine

ASSISTANT_MODIFIERS = frozenset({"80", "81", "82", "AS"})
TWO_SURGEONS = "62"
SPECIALTY_LENGTH = 4


class LineGroup(NamedTuple):
    """The lines of one provider on one service date, in the claim's order.

    Attributes:
        codes: their procedure codes.
        worked_out: what rules that look at the same group share, so that each need not work it out again.
    """

    service_date: date
    lines: Sequence[ServiceLine]
    codes: frozenset[str]
    worked_out: dict[Any, Any]


def is_assistant(line: ServiceLine | PriorLine) -> bool:
    """Whether an assistant at surgery bills the line."""
    return not ASSISTANT_MODIFIERS.isdisjoint(line.modifiers)


def line_groups(claim: Claim) -> list[LineGroup]:
    """The groups of a claim's lines; a line without a date is in none."""
    by_date: dict[date, list[ServiceLine]] = {}
    are_alike = True  # nothing tells the lines' providers apart, as on most claims
    previous, members = None, []
    for line in claim.lines:
        service_date = line.service_date
        if service_date is None:
            continue
        if service_date != previous:
            previous = service_date
            members = by_date.setdefault(service_date, [])
        members.append(line)
        if line.rendering_provider is not None or (
            line.modifiers and not ASSISTANT_MODIFIERS.isdisjoint(line.modifiers)
        ):
            are_alike = False
    if are_alike or claim.claim_type != "professional":
        return [_group(members, day) for day, members in by_date.items()]
    return [_group(members, day) for day, same_day in by_date.items() for members in _by_provider(claim, same_day)]


def _group(lines: Sequence[ServiceLine], service_date: date) -> LineGroup:
    return LineGroup(service_date, lines, frozenset([line.procedure_code for line in lines]), {})


def _by_provider(claim: Claim, lines: Sequence[ServiceLine]) -> list[list[ServiceLine]]:
    groups: list[tuple[bool, str, str, bool, list[ServiceLine]]] = []
    for line in lines:
        provider = claim.rendering_provider_on(line)
        npi = provider.npi if provider else ""
        specialty = provider.taxonomy[:SPECIALTY_LENGTH] if provider else ""
        assistant = is_assistant(line)
        two_surgeons = TWO_SURGEONS in line.modifiers
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
