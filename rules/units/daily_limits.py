"""Which codes of a group of lines go over their daily limit, for every rule that has to know."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from rules.engine.claim import Claim, ServiceLine
from rules.engine.grouping import LineGroup

_NONE = Decimal(0)
_LEAST = Decimal(1)
"""No limit above 0 is lower."""
Table = Mapping[str, Mapping[str, Any]]


class Excess(NamedTuple):
    """A code with more units by one provider in one day than its limit.

    Attributes:
        units: of all lines of the code.
        line: the first line with which the limit is passed.
        row: the row of the limit.
        setting: the column of the row that holds the limit: practitioner or outpatient.
    """

    code: str
    units: Decimal
    line: ServiceLine
    row: Mapping[str, Any]
    setting: str


class _Limits(NamedTuple):
    """The limits of a table by code; one of 0 means never payable in this setting, which is another rule's matter."""

    table: Table
    practitioner: Mapping[str, Decimal]
    outpatient: Mapping[str, Decimal]


# A table lives as long as the rule set; held here beside its limits, its id cannot pass to another.
_limits: dict[int, _Limits] = {}


def over_daily_limit(claim: Claim, group: LineGroup, limits: Table) -> list[Excess] | None:
    """The codes over their limit, in the order of the lines; None where there is none."""
    lines = group.lines
    if len(group.codes) == len(lines):
        for line in lines:
            units = line.units
            if units is not None and units > _LEAST:
                break
        else:
            return None
    held = _limits.get(id(limits)) or _hold(limits)
    is_professional = claim.claim_type == "professional"
    by_code = held.practitioner if is_professional else held.outpatient
    if _is_surely_within(lines, by_code) or not (is_professional or claim.is_outpatient_hospital):
        return None
    totals: dict[tuple[str, str], Decimal] = {}
    over: dict[tuple[str, str], ServiceLine] = {}
    for line in lines:
        limit = by_code.get(line.procedure_code)
        if limit is None or line.units is None:
            continue
        provider = claim.rendering_provider_on(line) if is_professional else claim.billing_provider
        key = (line.procedure_code, provider.npi if provider is not None else "")
        totals[key] = total = totals.get(key, _NONE) + line.units
        if total > limit:
            over.setdefault(key, line)
    if not over:
        return None
    setting = "practitioner" if is_professional else "outpatient"
    return [Excess(key[0], totals[key], line, limits[key[0]], setting) for key, line in over.items()]


def _is_surely_within(lines: Sequence[ServiceLine], by_code: Mapping[str, Decimal]) -> bool:
    """Whether no code is over its limit, all providers taken together: the cheap answer for nearly every claim."""
    totals: dict[str, Decimal] = {}
    for line in lines:
        code = line.procedure_code
        if code in by_code:
            units = line.units
            if units is None:
                continue
            if units < _NONE:
                return False  # what one provider takes back must not hide what another has too much
            if code in totals:
                units += totals[code]
            if units > by_code[code]:
                return False
            totals[code] = units
    return True


def _hold(table: Table) -> _Limits:
    practitioner, outpatient = (
        {code: Decimal(row[setting]) for code, row in table.items() if row[setting]}
        for setting in ("practitioner", "outpatient")
    )
    held = _limits[id(table)] = _Limits(table, practitioner, outpatient)
    return held
