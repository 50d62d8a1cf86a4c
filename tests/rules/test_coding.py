"""What the coding rules do with data that does not come with claimscrub: imported quarters and whole code sets."""

from datetime import date
from typing import Any

import pytest

from rules import RuleSet
from rules.coding import cod024_procedure_code_not_valid_on_date as cod024
from rules.coding import cod025_diagnosis_not_billable as cod025
from rules.coding.pairs import CLOSED, OPENABLE, has_pair, pairs_in
from rules.engine.examples import a_claim, a_line
from rules.engine.grouping import line_groups

DELETED_ON, EFFECTIVE_ON = date(2025, 3, 31), date(2025, 7, 1)
LASTING: dict[str, Any] = {"indicator": OPENABLE, "deleted_on": None}


def _table(**changes: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {("63685", "95972"): {**LASTING, **changes}}


def _is_paired(table: dict[tuple[str, str], dict[str, Any]], day: str) -> bool:
    lines = [a_line(service_date=day), a_line("95972", service_date=day), a_line("99999", service_date=day)]
    (group,) = line_groups(a_claim(lines=lines))
    return bool(pairs_in(group, table))


@pytest.mark.parametrize(("day", "in_force"), [("2025-06-30", False), ("2025-07-01", True), ("2026-08-03", True)])
def test_a_pair_of_an_imported_quarter_begins_on_its_day(day: str, in_force: bool) -> None:
    """A row with a start date holds from that day on."""
    assert _is_paired(_table(effective_on=EFFECTIVE_ON), day) is in_force


@pytest.mark.parametrize(("day", "in_force"), [("2025-03-31", True), ("2025-04-01", False)])
def test_a_pair_ends_with_the_day_of_its_deletion(day: str, in_force: bool) -> None:
    """A row with an end date holds up to and including that day, whether its start is known or not."""
    assert _is_paired(_table(deleted_on=DELETED_ON), day) is in_force
    assert _is_paired(_table(deleted_on=DELETED_ON, effective_on=date(2024, 1, 1)), day) is in_force


@pytest.mark.parametrize(("day", "column_one"), [("2025-03-31", "95972"), ("2025-04-01", "63685")])
def test_a_pair_of_unknown_start_follows_its_deleted_reverse(day: str, column_one: str) -> None:
    """Of a pair and its reverse one is in force."""
    table = {**_table(), ("95972", "63685"): {"indicator": CLOSED, "deleted_on": DELETED_ON}}
    (group,) = line_groups(a_claim(lines=[a_line(service_date=day), a_line("95972", service_date=day)]))

    assert [pair.column_one.procedure_code for pair in pairs_in(group, table)] == [column_one]


def test_whether_codes_may_form_a_pair_is_asked_by_indicator_and_never_of_one_code() -> None:
    """A code is no pair with itself; with very many codes the answer is perhaps."""
    policy = {"ncci.pairs_practitioner": {**_table(), ("63685", "63685"): LASTING}}

    assert has_pair(frozenset({"63685", "95972"}), policy, OPENABLE)
    assert not has_pair(frozenset({"63685", "95972"}), policy, CLOSED)
    assert not has_pair(frozenset({"63685", "63650"}), policy, OPENABLE)
    assert has_pair(frozenset(str(number) for number in range(51)), policy, CLOSED)


def _procedures(loaded: Any) -> dict[str, Any]:
    return {"code_sets.procedures": loaded, "fee_schedule.first_dates": {"0784T": date(2024, 1, 1)}}


@pytest.mark.parametrize("loaded", [frozenset({"63685", "0784T"}), {"63685": {}, "0784T": {}}], ids=["set", "table"])
def test_a_loaded_set_of_procedure_codes_decides_alone(loaded: Any) -> None:
    """A code outside it is not valid, one inside is, whatever its first date; a line without a code has none."""
    day = "2023-12-31"
    claim = a_claim(lines=[a_line("99999", service_date=day), a_line("0784T", service_date=day), a_line("")])
    flag, *others = [cod024.check(claim, line, _procedures(loaded)) for line in claim.lines]

    assert flag is not None
    assert flag.message == "99999 is not in the code set of 2023-12-31"
    assert flag.remedy == "Replace 99999 by a code valid on 2023-12-31."
    assert others == [None, None]


def test_a_claim_without_a_date_is_held_against_the_loaded_set_too() -> None:
    """The message then names no day."""
    claim = a_claim(lines=[a_line("99999", service_date=None)], received_date=None)
    flag = cod024.check(claim, claim.lines[0], _procedures(frozenset({"63685"})))

    assert flag is not None
    assert flag.message == "99999 is not in the code set of the date of service"


def test_a_diagnosis_outside_the_loaded_set_is_not_billable(ruleset: RuleSet) -> None:
    """The table of incomplete codes speaks first, as it knows what to use instead; a blank code is missing."""
    value = ruleset.reference.policies["diagnoses.not_billable"].on(date(2026, 8, 3))
    assert value is not None
    policy = {"diagnoses.not_billable": value.value, "code_sets.diagnoses": frozenset({"M961"})}
    claim = a_claim(diagnoses=[{"code": "M96.1"}, {"code": "M54.5"}, {"code": "Q99.99"}, {"code": ""}])
    flags = cod025.check(claim, policy)

    assert isinstance(flags, list)
    assert [flag.message for flag in flags] == [
        "diagnosis 2, M54.5, is not billable on 2026-08-03",
        "diagnosis 3, Q99.99, is not in the ICD-10-CM set of 2026-08-03",
    ]
    assert flags[1].remedy == "Replace Q99.99 by a code valid on 2026-08-03."
    assert cod025.check(a_claim(diagnoses=[{"code": "M96.1"}, {"code": ""}]), policy) is None
