"""Which procedure-to-procedure pairs stand in a group of lines, and whether a modifier opens them.

Every rule about pairs asks here, also about a line of an earlier claim, so that they agree on the table, the dates and
the modifiers. The tables hold every pair of a surgical code of spinal stimulation and the pairs among its usual
companions, and no others; of the deleted pairs they hold those of 63685.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import permutations
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from rules.coding.billers import is_surgery_center
from rules.coverage.generator import GENERATOR
from rules.coverage.replacement import REMOVAL
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Severity
from rules.engine.grouping import LineGroup
from rules.engine.history import PriorLine

CLOSED: Final = "0"
"""Indicator: never payable together."""
OPENABLE: Final = "1"
"""Indicator: payable together with a suitable modifier."""
PAIR_POLICIES: Final = ("ncci.pairs_practitioner", "ncci.pairs_outpatient")
MODIFIER_POLICIES: Final = ("ncci.bypass_modifiers", "ncci.visit_bypass_modifiers", "modifiers.visit_codes")
_EXCHANGE: Final = (GENERATOR, REMOVAL)
_MANY: Final = 50

Opening = Literal["open", "shut", "on column one only"]
PairTable = Mapping[tuple[str, str], Mapping[str, Any]]
AnyLine = ServiceLine | PriorLine
LineT = TypeVar("LineT", bound=AnyLine)


class LinePair(NamedTuple, Generic[LineT]):
    """Two lines whose codes form a pair in force; the column two line is the one that denies."""

    column_one: LineT
    column_two: LineT
    indicator: str

    @property
    def is_generator_exchange(self) -> bool:
        """Whether it is the pair of a new generator and the removal of one, as it stands since 2005 (indicator 1)."""
        return (self.column_one.procedure_code, self.column_two.procedure_code) == _EXCHANGE


def pair_table(claim: Claim, policy: Mapping[str, Any]) -> PairTable | None:
    """The table a claim is judged by; None for inpatient and other claims, which have none."""
    if not (claim.is_professional or claim.is_outpatient_hospital):
        return None
    table: PairTable = policy["ncci.pairs_practitioner" if claim.is_professional else "ncci.pairs_outpatient"]
    return table


def highest_severity(claim: Claim) -> Severity | None:
    """A warning where it is not confirmed that such claims are judged by the table, else None for the rule's own."""
    if claim.is_professional:
        return Severity.WARNING if is_surgery_center(claim) else None
    return None if claim.is_outpatient_department else Severity.WARNING


def has_pair(codes: frozenset[str], policy: Mapping[str, Any], indicator: str) -> bool:
    """Whether two of the codes may form a pair of this indicator, whatever the day; for `concerns` of a rule."""
    if len(codes) > _MANY:  # rather than ask for each of thousands of pairs, let the check find out
        return True
    tables = [policy[name] for name in PAIR_POLICIES if name in policy]
    return any(
        row is not None and row["indicator"] == indicator
        for pair in permutations(codes, 2)
        for row in (table.get(pair) for table in tables)
    )


def pairs_in(group: LineGroup, table: PairTable | None) -> list[LinePair[ServiceLine]]:
    """The pairs in force among a group's lines, in the order of the lines; a code is no pair with itself."""
    if table is None or len(group.codes) == 1:
        return []
    found: list[LinePair[ServiceLine]] | None = group.worked_out.get("pairs")
    if found is None:
        found = group.worked_out["pairs"] = _find_pairs(group, table)
    return found


def _find_pairs(group: LineGroup, table: PairTable) -> list[LinePair[ServiceLine]]:
    in_force = {
        pair: table[pair]["indicator"]
        for pair in permutations(group.codes, 2)
        if pair in table and _is_in_force(pair, table, group.service_date)
    }
    if not in_force:
        return []
    return [
        LinePair(one, two, in_force[pair])
        for one in group.lines
        for two in group.lines
        if (pair := (one.procedure_code, two.procedure_code)) in in_force
    ]


def pair_between(line: ServiceLine, other: PriorLine, table: PairTable, day: date) -> LinePair[AnyLine] | None:
    """The pair in force that a line forms with one of an earlier claim, whichever of them is column one."""
    lines: tuple[AnyLine, AnyLine]
    for lines in ((line, other), (other, line)):
        one, two = lines
        codes = (one.procedure_code, two.procedure_code)
        if codes in table and _is_in_force(codes, table, day):
            return LinePair(one, two, table[codes]["indicator"])
    return None


def _is_in_force(pair: tuple[str, str], table: PairTable, day: date) -> bool:
    row = table[pair]
    deleted_on, effective_on = row["deleted_on"], row.get("effective_on")
    if deleted_on is not None and day > deleted_on:
        return False
    if effective_on is not None:
        return bool(effective_on <= day)
    # A pair of unknown start whose reverse was deleted began after that: at most one of the two is in force.
    reverse = table.get((pair[1], pair[0]))
    return deleted_on is not None or reverse is None or reverse["deleted_on"] is None or day > reverse["deleted_on"]


def opening(claim: Claim, pair: LinePair[Any], policy: Mapping[str, Any]) -> Opening:
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


def by_column_two(pairs: Iterable[LinePair[ServiceLine]]) -> list[tuple[ServiceLine, str]]:
    """Each column two line once, with the column one codes it stands beside: `63650 and 63685`."""
    found: dict[int, tuple[ServiceLine, dict[str, None]]] = {}
    for one, two, _ in pairs:
        found.setdefault(id(two), (two, {}))[1][one.procedure_code] = None
    return [(line, " and ".join(codes)) for line, codes in found.values()]


def is_visit_pair(claim: Claim, pair: LinePair[Any], policy: Mapping[str, Any]) -> bool:
    """Whether it is the pair of a practitioner's operation with a visit, which COD005 speaks of."""
    return claim.is_professional and pair.column_two.procedure_code in policy["modifiers.visit_codes"]


def payability(claim: Claim, pair: LinePair[Any], policy: Mapping[str, Any]) -> Opening:
    """Whether both lines can be paid: of a closed pair never, of a withdrawn one (indicator 9) always."""
    if pair.indicator == OPENABLE:
        return opening(claim, pair, policy)
    return "shut" if pair.indicator == CLOSED else "open"


def denied_lines(claim: Claim, group: LineGroup, policy: Mapping[str, Any]) -> list[ServiceLine]:
    """The lines that COD001, COD002 and COD003 report."""
    return [
        line
        for line, _ in by_column_two(
            pair
            for pair in pairs_in(group, pair_table(claim, policy))
            if (pair.indicator == CLOSED or not is_visit_pair(claim, pair, policy))
            and payability(claim, pair, policy) != "open"
        )
    ]
