"""The row tables of the payer profiles: each row has its keys, says how sure it is, and names a source of its value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from rules import Flag, RuleSet, Severity
from rules.engine.examples import a_claim
from rules.engine.grouping import line_groups
from rules.engine.policy import Confidence, DatedValue, Policy

RULESET = RuleSet.load()
REQUIREMENTS, CORRECTIONS = "authorization.requirements", "corrected_claims.rules"
# Table → keys that each of its rows has, and keys that it may have beside them; None for any.
TABLES: dict[str, tuple[set[str], set[str] | None]] = {
    REQUIREMENTS: ({"line", "codes", "settings", "required", "through", "confidence", "source"}, {"not_products"}),
    CORRECTIONS: (
        {"participation", "accepts_frequency_7_8", "window", "binding", "confidence", "source"},
        {"claim_type", "unit", "anchor", "holidays", "frequency_required", "afterwards"},
    ),
    "multiple_procedure.percentages": ({"first", "second", "further", "confidence"}, None),
    "coverage.criteria": ({"confidence", "source"}, None),
    "coverage.exclusions": ({"confidence", "source"}, None),
}
REQUIREMENT_ROWS = {
    "AETNA": 1,
    "AETNA_MA": 1,
    "CIGNA": 2,
    "UHC_COM": 1,
    "OXFORD": 1,
    "UMR": 1,
    "UHC_MA": 1,
    "ANTHEM": 1,
    "HCSC": 1,
    "BCBSMN": 1,
    "BCBSM": 1,
    "AZBLUE": 1,
    "FEP": 1,
    "QUALCHOICE": 1,
    "HEALTHPARTNERS": 1,
    "AMBETTER": 1,
    "SCAN": 1,
    "CLOVER": 1,
    "HUMANA_MA": 1,
}
CORRECTION_ROWS = {
    "AETNA": 1,
    "AETNA_MA": 1,
    "CIGNA": 2,
    "UHC_COM": 1,
    "OXFORD": 1,
    "UMR": 1,
    "ANTHEM": 1,
    "BCBSNC": 1,
    "BCBSMA": 1,
    "BCBSM": 1,
    "BCBSNE": 1,
    "MEDICARE_FFS": 2,
}

every_table = pytest.mark.parametrize(
    ("table", "payer"),
    [(name, key) for name in TABLES for key, profile in RULESET.profiles.items() if name in profile.policies],
)


def _policy(table: str, payer: str) -> Policy:
    return RULESET.profiles[payer].policies[table]


def _rows(value: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of a value: a list of them, one alone, or lists of them by fact or rule."""
    if isinstance(value, tuple):
        yield from value
    elif isinstance(value, Mapping):
        if "confidence" in value:
            yield value
        else:
            for rows in value.values():
                yield from _rows(rows)


def _rows_of(table: str, payer: str) -> Iterator[tuple[DatedValue, Mapping[str, Any]]]:
    return ((value, row) for value in _policy(table, payer).values for row in _rows(value.value))


def _number_of_rows(table: str) -> dict[str, int]:
    """How many rows each payer has in the end."""
    policies = {key: profile.policies.get(table) for key, profile in RULESET.profiles.items()}
    return {key: len(policy.values[-1].value) for key, policy in policies.items() if policy}


@every_table
def test_every_row_has_its_keys(table: str, payer: str) -> None:
    """A slip in a key would be a row that says nothing."""
    needed, more = TABLES[table]
    for _, row in _rows_of(table, payer):
        assert set(row) >= needed
        assert more is None or set(row) <= needed | more


@every_table
def test_every_row_is_cited(table: str, payer: str) -> None:
    """A row's sources are registered, and citations of its value."""
    for value, row in _rows_of(table, payer):
        sources = set(str(row.get("source", value.citations[0])).split())
        assert sources
        assert sources <= set(value.citations)
        assert sources <= set(RULESET.reference.citations)


@every_table
def test_a_value_is_as_sure_as_its_surest_row(table: str, payer: str) -> None:
    """Each row says how sure it is; its value, which caps all findings, is not less sure than any, or only presumed."""
    words = list(Confidence)
    for value in _policy(table, payer).values:
        rows = [Confidence(row["confidence"]) for row in _rows(value.value)]
        assert not rows or value.confidence in {min(rows, key=words.index), Confidence.PRESUMED}


@every_table
def test_every_table_is_dated(table: str, payer: str) -> None:
    """Dates rise, and somebody has looked at the values."""
    policy = _policy(table, payer)
    starts = list(policy.boundaries)

    assert starts == sorted(set(starts))
    assert policy.title
    assert policy.verified_on.isoformat() >= "2026-08-20"


@pytest.mark.parametrize("payer", REQUIREMENT_ROWS)
def test_rows_of_authorization_requirements(payer: str) -> None:
    """Codes, settings and the word on whether it is required are ones that a rule understands."""
    for _, row in _rows_of(REQUIREMENTS, payer):
        assert row["codes"]
        assert all(isinstance(code, str) and len(code) == 5 for code in row["codes"])
        assert row["settings"]
        assert set(row["settings"]) <= {"inpatient", "outpatient"}
        assert row["required"] in {"yes", "plan", "unknown"}


@pytest.mark.parametrize("payer", CORRECTION_ROWS)
def test_rows_of_corrected_claims(payer: str) -> None:
    """A window has a unit and an anchor; whether replacements are accepted is true, false or not settled."""
    for _, row in _rows_of(CORRECTIONS, payer):
        assert row["accepts_frequency_7_8"] in {True, False, None}
        assert row["participation"] in {"any", "participating", "nonparticipating"}
        assert row["binding"] in {"must", "should"}
        assert (row["window"] is None) == ("unit" not in row) == ("anchor" not in row)
        assert row.get("unit", "days") in {"days", "calendar months"}


def test_payers_with_rows() -> None:
    """How many rows each payer has, those that it inherits included."""
    assert _number_of_rows(REQUIREMENTS) == REQUIREMENT_ROWS
    assert _number_of_rows(CORRECTIONS) == CORRECTION_ROWS


# ---- rows that only a biller's own contract can have


@pytest.mark.parametrize(
    ("required", "confidence", "severity"),
    [
        ("yes", "contract", Severity.ERROR),
        ("yes", "confirmed", Severity.ERROR),
        ("yes", "confirmed-dated", Severity.WARNING),
        ("plan", "contract", Severity.WARNING),
    ],
)
def test_a_sure_row_makes_a_missing_authorization_an_error(required: str, confidence: str, severity: Severity) -> None:
    """By a row of a contract the number is surely missing, but not where the plan decides."""
    claim = a_claim("CIGNA")
    row = {"codes": ("63685",), "settings": ("outpatient",), "required": required, "through": "eviCore"}
    (group,) = line_groups(claim)
    flags = RULESET.rules["AUT001"].check(claim, group, {REQUIREMENTS: ({**row, "confidence": confidence},)})

    assert isinstance(flags, list)
    assert [flag.severity for flag in flags if isinstance(flag, Flag)] == [severity]


@pytest.mark.parametrize(
    ("row", "is_flagged"),
    [
        ({"claim_type": "professional", "accepts_frequency_7_8": True}, False),
        ({"claim_type": "professional", "accepts_frequency_7_8": None}, True),
        ({"claim_type": "institutional", "accepts_frequency_7_8": True}, True),
        ({"accepts_frequency_7_8": True}, False),
    ],
)
def test_a_row_can_settle_that_replacements_are_accepted(row: Mapping[str, Any], is_flagged: bool) -> None:
    """A practice whose contractor takes frequency 7 can say so."""
    claim = a_claim(frequency_code="7", original_reference_number="ICN1")

    assert bool(RULESET.rules["HIS007"].check(claim, {CORRECTIONS: (row,)})) is is_flagged
