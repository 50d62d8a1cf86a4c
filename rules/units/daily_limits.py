"""Which codes of a group of lines go over their daily limit, for every rule that has to know."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from rules.engine.claim import Claim, ServiceLine
from rules.engine.grouping import LineGroup

_NONE = Decimal(0)
_LEAST = Decimal(1)
"""No limit above 0 is lower."""
_ABSOLUTE = "2"
Table = Mapping[str, Mapping[str, Any]]
UnitsKey = tuple[str, str]
"""What units are summed by within a group: procedure code, and NPI of who rendered or, for a hospital, billed it."""


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

    @property
    def limit(self) -> int:
        limit: int = self.row[self.setting]
        return limit

    @property
    def limit_in_words(self) -> str:
        absolute = self.row[f"{self.setting}_adjudication"] == _ABSOLUTE
        return f"the limit is {self.limit} a day{' and cannot be appealed' if absolute else ''}"


def units_in_words(units: Decimal) -> str:
    """A number of units, in words."""
    return "1 unit" if units == 1 else f"{units:f} units"


def units_key(claim: Claim, line: ServiceLine) -> UnitsKey:
    """What the units of a line are summed by."""
    npi = claim.rendering_npi_on(line) if claim.is_professional else claim.billing_provider.npi
    return (line.procedure_code, npi)


def over_daily_limit(
    claim: Claim, group: LineGroup, limits: Table, billed: Mapping[UnitsKey, Decimal] | None = None
) -> list[Excess] | None:
    """The codes over their limit, in the order of the lines; None where there is none.

    Args:
        claim: the claim.
        group: lines of it.
        limits: code → row of the limit.
        billed: units of the same day on other claims, if they are to be added.
    """
    lines = group.lines
    # Then a line's units are its code's, and the provider is no matter.
    each_once = billed is None and len(group.codes) == len(lines)
    if each_once:
        for line in lines:
            units = line.units
            if units is not None and units > _LEAST:
                break
        else:
            return None
    is_professional = claim.is_professional
    if not (is_professional or claim.is_outpatient_hospital):
        return None
    setting = "practitioner" if is_professional else "outpatient"
    totals: dict[UnitsKey, Decimal] = dict(billed or {})
    over: dict[UnitsKey, ServiceLine] = {}
    for line in lines:
        row = limits.get(line.procedure_code)
        # A limit of 0 means never payable in this setting, which is another rule's matter.
        if row is None or not row[setting] or line.units is None or (each_once and line.units <= row[setting]):
            continue
        key = units_key(claim, line)
        totals[key] = total = totals.get(key, _NONE) + line.units
        if total > row[setting]:
            over.setdefault(key, line)
    return [Excess(key[0], totals[key], line, limits[key[0]], setting) for key, line in over.items()] or None
