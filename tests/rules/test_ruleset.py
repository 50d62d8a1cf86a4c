"""What holds for every rule and every fact, so that no style guide has to say it."""

from __future__ import annotations

import random
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import Disposition, Severity
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.explain import explain
from rules.engine.rule import Rule
from tests.rules.any_claims import RULESET, claim_contents, claim_of

RULES = list(RULESET.rules.values())
PAYERS = sorted(RULESET.profiles)
PACKAGE = Path(__file__).parents[2] / "rules"
CASES = Path(__file__).parent / "cases"

every_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])


@every_rule
def test_a_rule_is_documented(rule: Rule) -> None:
    """The documentation opens with a sentence, says why, and the whole can be explained."""
    assert rule.summary.endswith(".")
    assert len(rule.documentation.split("\n\n")) >= 2, "first what is flagged, then why"
    assert rule.id in explain(rule, RULESET)


@every_rule
def test_a_rule_has_boundary_cases_that_flag_and_that_do_not(rule: Rule) -> None:
    """Each rule has a file of cases with both kinds in it."""
    text = (CASES / f"{rule.id.lower()}.yaml").read_text()

    assert "findings:" in text
    assert len(re.findall(r"^- name:", text, re.MULTILINE)) >= 4


@every_rule
def test_words_are_ours_and_short(rule: Rule) -> None:
    """Titles are short and state a fact; remedies are one sentence."""
    assert len(rule.title) <= 60
    assert not rule.title.endswith(".")
    assert rule.remedy.endswith(".")


def test_every_case_file_belongs_to_a_rule() -> None:
    """A file of cases is named after its rule."""
    assert {path.stem.upper() for path in CASES.glob("*.yaml")} == set(RULESET.rules)


def test_every_citation_is_used_and_every_source_named() -> None:
    """The register of sources holds what is cited, and nothing else."""
    used = {key for rule in RULES for key in rule.citations}
    policies = [*RULESET.reference.policies.values()]
    for profile in RULESET.profiles.values():
        policies += profile.policies.values()
        used |= {change.citation for change in profile.rules.values()}
    used |= {key for policy in policies for value in policy.values for key in value.citations}
    used |= set(re.findall(r"[a-z0-9.]+(?:-[a-z0-9.]+)+", _sources_in_comments()))

    assert set(RULESET.reference.citations) - used == set()


def _sources_in_comments() -> str:
    """Sources that a row or a comment of the reference files names."""
    files = [*PACKAGE.glob("reference/**/*.yaml"), *PACKAGE.glob("reference/**/*.csv"), *PACKAGE.glob("payers/*.yaml")]
    return "\n".join(path.read_text() for path in files if path.name != "citations.yaml")


def test_facts_were_verified_after_they_began_and_not_in_the_future() -> None:
    """`verified_on` is a day on which somebody looked: not one to come."""
    for policy in RULESET.reference.policies.values():
        assert policy.title
        assert date(2024, 1, 1) <= policy.verified_on <= date(2026, 12, 31), policy.name


def test_every_policy_is_used() -> None:
    """A value that no rule reads is dead."""
    used = {name for rule in RULES for name in rule.policy}

    assert set(RULESET.reference.policies) - used == set()


def test_tables_fit_the_published_totals() -> None:
    """The pair tables have the counts that the source gives for checking a rebuilt list."""
    counts = {
        "practitioner": {"63685": (282, 3), "63655": (276, 2)},
        "outpatient": {"63685": (222, 2), "63664": (224, 0)},
    }
    for name, expected in counts.items():
        value = RULESET.reference.policies[f"ncci.pairs_{name}"].on(date(2024, 7, 1))
        assert value is not None
        active = [pair for pair, row in value.value.items() if row["deleted_on"] is None]
        for code, (first, second) in expected.items():
            assert sum(pair[0] == code for pair in active) == first
            assert sum(pair[1] == code for pair in active) == second


SETTLED: dict[str, Any] = {
    "prior_authorization_number": "A1",
    "authorizations": [{"number": "A1", "places_of_service": ["22", "013"]}],
}


@pytest.mark.parametrize("payer", PAYERS)
def test_the_clean_claims_are_clean_for_every_payer(payer: str) -> None:
    """With an authorization that names the site, the builders' claims are silent for every payer, or only informed."""
    for claim in (a_claim(payer, **SETTLED), a_facility_claim(payer, **SETTLED)):
        decision = RULESET.evaluate(claim)
        assert decision.disposition is Disposition.CLEARED
        assert decision.payer == payer
        assert not [finding for finding in decision.findings if finding.severity is not Severity.INFO]


@settings(max_examples=400)
@given(claim_contents(), st.randoms(use_true_random=False))
def test_any_claim_is_judged_the_same_whatever_the_order_of_its_lines(
    content: dict[str, Any], shuffle: random.Random
) -> None:
    """No rule fails, the answer is the same twice, and line order changes no finding but its line number."""
    decision = RULESET.evaluate(claim_of(content))
    shuffled = list(content["lines"])
    shuffle.shuffle(shuffled)
    again = RULESET.evaluate(claim_of({**content, "lines": shuffled}))

    assert [finding.message for finding in decision.findings if finding.name == "rule-error"] == []
    assert decision == RULESET.evaluate(claim_of(content))
    assert decision.disposition == again.disposition
    assert sorted((each.rule_id, each.severity) for each in decision.findings) == sorted(
        (each.rule_id, each.severity) for each in again.findings
    )


@settings(max_examples=400)
@given(claim_contents())
def test_what_a_rule_says_it_can_not_find_it_does_not_find(content: dict[str, Any]) -> None:
    """Asking only the checks that a claim's codes, modifiers and diagnoses concern leaves nothing out."""
    claim = claim_of(content)

    assert RULESET.evaluate(claim, thorough=True) == RULESET.evaluate(claim)
