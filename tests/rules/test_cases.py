"""The boundary cases of the rules, `tests/rules/cases/<id>.yaml`; `rules/engine/cases.py` tells how one is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rules import RuleSet
from rules.engine.cases import Case, CaseError, case_differences, example_differences, read_cases
from rules.engine.examples import Example, a_claim, a_line

CASES = Path(__file__).parent / "cases"


def _cases() -> list[Any]:
    return [
        pytest.param(path.stem.upper(), case, id=f"{path.stem}: {case['name']}")
        for path in sorted(CASES.glob("*.yaml"))
        for case in read_cases(path.read_text())
    ]


@pytest.mark.parametrize(("rule_id", "case"), _cases())
def test_case(ruleset: RuleSet, rule_id: str, case: Case) -> None:
    """Each case gets exactly the findings it names from the rule it is about."""
    assert case_differences(case, rule_id, ruleset) == []


TWO_UNITS: dict[str, Any] = {"name": "two units", "lines": [{"units": 2}]}


@pytest.mark.parametrize(
    ("case", "difference"),
    [
        ({}, "0 findings expected, 1 found; found: error: line 1: 2 units of 63685"),
        ({"findings": [{}, {}]}, "2 findings expected, 1 found"),
        ({"findings": [{"line": 2}]}, "finding 1, line: 2 expected, '1' found"),
        ({"findings": [{"severity": "warning"}]}, "finding 1, severity: 'warning' expected, 'error' found"),
        ({"findings": [{"message": "3 units"}]}, "finding 1, message: '3 units' expected, '2 units"),
        ({"findings": [{"remedy": "Pray"}]}, "finding 1, remedy: 'Pray' expected"),
        ({"findings": [{}], "not_evaluated": "area"}, "not evaluated because of 'area' is expected"),
        ({"with": {"received_date": "soon"}}, "not a claim: received_date: not a date"),
        ({"earlier": [{"when": "before"}]}, "an earlier claim has the keys answers, claim, "),
        ({"earlier": [{"answers": [{"said": "paid"}]}]}, "an answer has the keys status, "),
        ({"earlier": [{"with": {"received_date": "soon"}}]}, "an earlier claim is not a claim: received_date"),
    ],
)
def test_a_case_that_does_not_hold_is_told(ruleset: RuleSet, case: dict[str, Any], difference: str) -> None:
    """What differs is named, expected and found."""
    (told,) = case_differences(TWO_UNITS | case, "UNT001", ruleset)

    assert told.startswith(difference)


def test_a_reason_that_differs_is_told(ruleset: RuleSet) -> None:
    """Where a rule could not tell, its reason is compared; unexpected ones are named."""
    case = {"name": "unknown area", "with": {"place_of_service": "11"}, "lines": [{"procedure_code": "63661"}]}
    (told,) = case_differences(case, "FAC003", ruleset)
    (other,) = case_differences(case | {"not_evaluated": "the moon"}, "FAC003", ruleset)

    assert told.startswith("not evaluated: ")
    assert "it says: " in other


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not YAML"),
        ("just words", "expected a list of cases"),
        ("- just words", "case 1: expected a name"),
        ("- lines: []", "case 1: expected a name"),
        ("- {name: one}\n- {name: two, payor: AETNA}", "case 2: expected a name, and of the keys claim, "),
        ("- {name: one, findings: [{code: 3}]}", "case 1: a finding has the keys "),
        ("- {name: one, findings: [error]}", "case 1: a finding has the keys "),
    ],
)
def test_a_file_that_is_not_one_of_cases_is_refused(text: str, said: str) -> None:
    """A slip in a key is an error, not a case that tests nothing."""
    with pytest.raises(CaseError, match=said):
        read_cases(text)


def test_examples_that_do_not_hold_are_told(ruleset: RuleSet) -> None:
    """A clean example with a finding, and a flagged one without, are named with what was found."""
    two_units, clean = Example(a_claim(lines=[a_line(units="2")])), Example(a_claim())
    unknown_area = Example(a_claim(place_of_service="11", lines=[a_line("63661")]))

    assert example_differences("UNT001", "flagged", two_units, ruleset) == []
    assert example_differences("UNT001", "clean", clean, ruleset) == []
    assert example_differences("UNT001", "flagged", clean, ruleset) == ["no finding"]
    assert example_differences("UNT001", "clean", two_units, ruleset)[0].startswith("a finding: error: line 1: 2 units")
    assert example_differences("FAC003", "flagged", unknown_area, ruleset)[0].startswith("no finding; not evaluated: ")
