"""Which procedure-to-procedure pairs stand in a group of lines, and whether a modifier opens them.

Every rule about pairs asks here, so that they agree on the table, the dates and the modifiers. The tables hold every
pair of a surgical code of spinal stimulation and the pairs among its usual companions, and no others; of the deleted
pairs they hold those of 63685.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final, Literal, NamedTuple

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Severity
from rules.engine.grouping import LineGroup

CLOSED: Final = "0"
"""Indicator: never payable together."""
OPENABLE: Final = "1"
"""Indicator: payable together with a suitable modifier."""
PAIR_POLICIES: Final = ("ncci.pairs_practitioner", "ncci.pairs_outpatient")
MODIFIER_POLICIES: Final = ("ncci.bypass_modifiers", "ncci.visit_bypass_modifiers", "modifiers.visit_codes")
_EXCHANGE: Final = ("63685", "63688")
_ASC_TAXONOMY: Final = "261QA1903X"

Opening = Literal["open", "shut", "on column one only"]
PairTable = Mapping[tuple[str, str], Mapping[str, Any]]


class LinePair(NamedTuple):
    """Two lines whose codes form a pair in force; the column two line is the one that denies."""

    column_one: ServiceLine
    column_two: ServiceLine
    indicator: str

    @property
    def is_generator_exchange(self) -> bool:
        """Whether it is the pair of a new generator and the removal of one, as it stands since 2005 (indicator 1)."""
        return (self.column_one.procedure_code, self.column_two.procedure_code) == _EXCHANGE


class _Row(NamedTuple):
    indicator: str
    after: date
    until: date


_Index = dict[str, dict[str, _Row]]
# A table lives as long as the rule set; held here beside its index, its id cannot pass to another.
_indexes: dict[int, tuple[PairTable, _Index]] = {}


def pair_table(claim: Claim, policy: Mapping[str, Any]) -> PairTable | None:
    """The table a claim is judged by; None for inpatient and other claims, which have none."""
    if not (claim.is_professional or claim.is_outpatient_hospital):
        return None
    table: PairTable = policy["ncci.pairs_practitioner" if claim.is_professional else "ncci.pairs_outpatient"]
    return table


def highest_severity(claim: Claim) -> Severity | None:
    """A warning where it is not confirmed that such claims are judged by the table, else None for the rule's own."""
    if claim.is_professional:
        is_asc = claim.practice.ambulatory_surgery_center
        if is_asc is None:
            is_asc = claim.billing_provider.taxonomy == _ASC_TAXONOMY
        return Severity.WARNING if is_asc else None
    return None if claim.type_of_bill.startswith("013") else Severity.WARNING


def pairs_in(group: LineGroup, table: PairTable | None) -> list[LinePair]:
    """The pairs in force among a group's lines, in the order of the lines; a code is no pair with itself."""
    if table is None or len(group.codes) == 1:
        return []
    found: list[LinePair] | None = group.worked_out.get("pairs")
    if found is None:
        found = group.worked_out["pairs"] = _find_pairs(group, _index(table))
    return found


def _find_pairs(group: LineGroup, index: _Index) -> list[LinePair]:
    found: list[LinePair] = []
    for one in group.lines:
        seconds = index.get(one.procedure_code)
        if seconds is None or seconds.keys().isdisjoint(group.codes):
            continue
        for two in group.lines:
            row = seconds.get(two.procedure_code)
            if row is not None and row.after < group.service_date <= row.until:
                found.append(LinePair(one, two, row.indicator))
    return found


def opening(claim: Claim, pair: LinePair, policy: Mapping[str, Any]) -> Opening:
    """Whether a modifier opens an indicator 1 pair; for a hospital one on the column one line may not count."""
    one, two, _ = pair
    if two.procedure_code in policy["modifiers.visit_codes"]:
        return "shut" if policy["ncci.visit_bypass_modifiers"].isdisjoint(two.modifiers) else "open"
    bypass = policy["ncci.bypass_modifiers"]
    if not bypass.isdisjoint(two.modifiers):
        return "open"
    if bypass.isdisjoint(one.modifiers):
        return "shut"
    return "open" if claim.is_professional else "on column one only"


def by_column_two(pairs: Iterable[LinePair]) -> list[tuple[ServiceLine, str]]:
    """Each column two line once, with the column one codes it stands beside: `63650 and 63685`."""
    found: dict[int, tuple[ServiceLine, dict[str, None]]] = {}
    for one, two, _ in pairs:
        found.setdefault(id(two), (two, {}))[1][one.procedure_code] = None
    return [(line, " and ".join(codes)) for line, codes in found.values()]


def _index(table: PairTable) -> _Index:
    held = _indexes.get(id(table))
    if held is None:
        index: _Index = {}
        for (one, two), row in table.items():
            reverse = table.get((two, one))
            # Of a pair and its reverse at most one is in force: the later begins when the earlier is deleted.
            after = None if reverse is None or row["deleted_on"] else reverse["deleted_on"]
            index.setdefault(one, {})[two] = _Row(row["indicator"], after or date.min, row["deleted_on"] or date.max)
        held = _indexes[id(table)] = (table, index)
    return held[1]
