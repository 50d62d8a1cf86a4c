"""Look-ups in whole code sets, which are made only where a deployment has imported one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules import RuleSet, Severity
from rules.engine.decision import Finding
from rules.engine.examples import a_claim, a_facility_claim, a_line
from rules.engine.policy import read_yaml
from rules.engine.reference import PACKAGE, Reference

IMPORTED = """\
modifiers:
  title: Modifiers
  verified_on: 2026-08-20
  values:
    2026-08-04: {words: 59 RT, citation: x12-carc-rarc-2024-06}
bill_frequencies:
  title: Frequency codes
  verified_on: 2026-08-20
  values:
    2026-08-01: {table: frequencies.csv, key: [code], citation: stedi-claim-edits-2026}
"""


@pytest.fixture
def imported(tmp_path: Path, ruleset: RuleSet) -> RuleSet:
    """The rules with a list of modifiers from 2026-08-04 on, and one of bill frequencies."""
    folder = tmp_path / "claim"
    folder.mkdir()
    (folder / "code_sets.yaml").write_text(IMPORTED)
    (folder / "frequencies.csv").write_text("code\n1\n5\n7\n8\n")
    return RuleSet(ruleset.rules, Reference.load(over=tmp_path), ruleset.profiles, "0", "0")


def _of(rule_id: str, findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.rule_id == rule_id]


def test_a_modifier_is_looked_up_from_the_first_day_of_the_list(imported: RuleSet) -> None:
    """On the day before, no list is held, and any two letters pass."""
    lines = [a_line(modifiers=["", "59", "ZZ"], service_date=f"2026-08-0{day}") for day in (3, 4)]

    (found,) = _of("CMP018", imported.evaluate(a_claim(lines=lines)).findings)

    assert found.line == 2
    assert found.severity is Severity.ERROR
    assert found.message == "modifier ZZ is not in the code set of the date of service"


def test_a_modifier_of_the_list_is_valid(imported: RuleSet) -> None:
    """Blank ones are none."""
    claim = a_claim(lines=[a_line(modifiers=["59", "", "RT"], service_date="2026-08-04")])

    assert _of("CMP018", imported.evaluate(claim).findings) == []


def test_the_form_of_a_modifier_goes_before_its_validity(imported: RuleSet) -> None:
    """One modifier is one finding."""
    claim = a_claim(lines=[a_line(modifiers=["ZZZ"], service_date="2026-08-04")])

    (found,) = _of("CMP018", imported.evaluate(claim).findings)

    assert "is not two letters or digits" in found.message


@pytest.mark.parametrize(("frequency", "severity"), [("5", None), ("6", Severity.ERROR), ("Q", None)])
def test_a_bill_frequency_outside_the_list_is_an_error(
    imported: RuleSet, frequency: str, severity: Severity | None
) -> None:
    """What is sure without the list, Q with Original Medicare among it, needs no look-up."""
    claim = a_facility_claim(frequency_code=frequency, type_of_bill=f"013{frequency}")

    assert [each.severity for each in _of("CMP013", imported.evaluate(claim).findings)] == [severity] * bool(severity)


def test_a_payer_id_belongs_to_the_same_payers_wherever_it_stands(ruleset: RuleSet) -> None:
    """What makes a payer known and what contradicts one agree; beside those stands only what extends one of them."""
    recognised = {
        payer_id: set(entry["profiles"])
        for entry in read_yaml(PACKAGE / "payers" / "recognition.yaml")["payer_ids"]
        for payer_id in entry["words"].split()
    }
    policy = ruleset.reference.policies["payer_routing.payer_ids"]

    for payer_id, owners in policy.values[0].value.items():
        assert set(owners) <= set(ruleset.profiles)
        assert recognised[payer_id] <= set(owners)
        for extra in set(owners) - recognised[payer_id]:
            assert recognised[payer_id] & set(ruleset.profiles[extra].ancestors)
