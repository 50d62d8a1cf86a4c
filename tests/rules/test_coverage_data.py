"""What payers' coverage tables may hold, so that no row is silently dead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rules import RuleSet
from rules.engine.claim import CaseFacts
from rules.engine.policy import Confidence, DatedValue

_WORDS = list(Confidence)
_CRITERION = {"binding", "confidence", "source"}
_TESTS = {"at_least", "at_most", "more_than", "is"}
_SCOPES = {"unit", "areas", "other_areas_than", "groups", "or_facts", "or_diagnoses"}


def _values(ruleset: RuleSet, name: str) -> Iterator[DatedValue]:
    for profile in ruleset.profiles.values():
        if name in profile.policies:
            yield from profile.policies[name].values


def _matrix(ruleset: RuleSet) -> Mapping[str, Mapping[str, str]]:
    matrix: Mapping[str, Mapping[str, str]] = ruleset.reference.policies["diagnoses.matrix"].values[-1].value
    return matrix


def _check_sources(value: DatedValue, rows: list[Mapping[str, Any]]) -> None:
    """Every row's source is a citation of its value, which is as sure as its surest row."""
    for row in rows:
        assert set(row["source"].split()) <= set(value.citations)
    if rows:
        assert value.confidence == min((Confidence(row["confidence"]) for row in rows), key=_WORDS.index)


def test_criteria_are_about_facts_of_the_claim(ruleset: RuleSet) -> None:
    """Each criterion tests a case fact in one way, and its scope names groups and facts that exist."""
    groups = {row["group"] for row in _matrix(ruleset).values()}
    for value in _values(ruleset, "coverage.criteria"):
        assert set(value.value) <= set(CaseFacts.model_fields)
        rows = [row for rows in value.value.values() for row in rows]
        for row in rows:
            assert set(row) >= _CRITERION
            assert set(row) <= _CRITERION | _TESTS | _SCOPES
            assert len(_TESTS & set(row)) == 1
            assert row["binding"] in {"must", "should"}
            assert set(row.get("groups", ())) <= groups
            assert set(row.get("or_facts", ())) <= set(CaseFacts.model_fields)
        _check_sources(value, rows)


def test_exclusions_name_diagnoses_of_the_matrix(ruleset: RuleSet) -> None:
    """What is excluded is a group or a code of the diagnosis matrix, written without the dot."""
    matrix = _matrix(ruleset)
    known = set(matrix) | {row["group"] for row in matrix.values()}
    for value in _values(ruleset, "coverage.exclusions"):
        rows = list(value.value.get("COV012", ()))
        for row in rows:
            assert set(row.get("groups", ())) <= known
        for rule_id in ("COV008", "COV010"):
            excluded = value.value.get(rule_id, {})
            assert set(excluded) <= known
            rows += excluded.values()
        assert set(value.value) <= {"COV008", "COV010", "COV012"}
        _check_sources(value, rows)


def test_matrix_columns_exist(ruleset: RuleSet) -> None:
    """The column a payer's marks stand in is one of the diagnosis matrix, and groups listed since are groups of it."""
    matrix = _matrix(ruleset)
    for value in _values(ruleset, "coverage.matrix_column"):
        assert {row[value.value["column"]] for row in matrix.values()} <= {"C", "N", "W", "U"}
        assert set(value.value.get("listed", ())) <= {row["group"] for row in matrix.values()}


def test_codes_that_rules_read_are_in_the_matrix_or_the_list(ruleset: RuleSet) -> None:
    """The device diagnoses are those which the matrix groups as generator faults and battery management."""
    reasons = ruleset.reference.policies["coverage.replacement_diagnoses"].values[-1].value
    doubtful = ruleset.reference.policies["coverage.doubtful_generator_groups"].values[-1].value
    matrix = _matrix(ruleset)

    assert reasons == {code for code, row in matrix.items() if row["group"] in {"GEN_FAULT", "BATTERY"}}
    assert doubtful <= {row["group"] for row in matrix.values()}
    facts = ruleset.reference.policies["coverage.national_criteria"].values[-1].value
    assert set(facts) <= set(CaseFacts.model_fields)
