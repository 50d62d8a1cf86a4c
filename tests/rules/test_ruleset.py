"""What holds for every rule and every fact, so that no style guide has to say it."""

from __future__ import annotations

import random
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import Disposition, Severity
from rules.engine.cases import FEWEST_CASES, case_claim, read_cases
from rules.engine.examples import a_claim, a_facility_claim, a_line
from rules.engine.explain import explain
from rules.engine.reference import CATEGORIES, LOCATIONS
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
    cases = read_cases((CASES / f"{rule.id.lower()}.yaml").read_text())

    assert any(case.get("findings") for case in cases)
    assert any(not case.get("findings") for case in cases)
    assert len(cases) >= FEWEST_CASES


@every_rule
def test_a_rule_yields_to_rules_that_exist(rule: Rule) -> None:
    """A slip in an id would let two rules speak of one defect, and nobody would know."""
    assert rule.yields_to <= set(RULESET.rules) - {rule.id}


def _boundaries(rule: Rule) -> set[date]:
    """The dates on which the rule or one of its values changes, for any payer."""
    owners = [RULESET.reference.policies, *(profile.policies for profile in RULESET.profiles.values())]
    policies = [policies[name] for name in rule.policy for policies in owners if name in policies]
    changes = {boundary for policy in policies for boundary in policy.boundaries}
    return {day for day in {rule.effective, rule.terminated, *changes} - {None} if day and day.year > 1}


@every_rule
def test_where_dates_matter_the_day_before_and_the_day_are_tested(rule: Rule) -> None:
    """A rule with dates has boundary cases on both sides of one of them at least."""
    boundaries = _boundaries(rule)
    tested: set[date | None] = set()
    for case in read_cases((CASES / f"{rule.id.lower()}.yaml").read_text()):
        claim = case_claim(case)
        tested |= {claim.statement_through_date, *(line.service_date for line in claim.lines)}

    assert not boundaries or any({day, day - timedelta(days=1)} <= tested for day in boundaries), boundaries


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
    """A value that neither a rule nor the engine reads is dead."""
    used = {CATEGORIES, LOCATIONS, *(name for rule in RULES for name in rule.policy)}

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
def test_no_decision_says_who_the_patient_is(content: dict[str, Any]) -> None:
    """Names, member numbers, birth dates and notes stay on the claim: no message, remedy or reason repeats them."""
    known = {"first_name": "Quentin", "last_name": "Zephyrine", "member_number": "9PHI-MEMBER"}
    note = "Generator implanted, the old one wholly extinguished."
    person = {**content["subscriber"], **known}
    claim = claim_of({**content, "subscriber": person, "patient": person, "notes": [{"text": note}]})
    decision = RULESET.evaluate(claim)
    said = " ".join(
        [
            *(f"{each.message} {each.remedy}" for each in decision.findings),
            *(each.reason for each in decision.not_evaluated),
        ]
    )

    for private in (*known.values(), str(person["birth_date"]), "extinguished"):
        assert private not in said


# The more special rule, and the ones that are silent on a line where it has spoken (rule catalogue, section 4).
PRECEDENCE = {
    "COD011": {"COD012"},
    "COV001": {"COV003", "COV006"},
    "COV008": {"COV009"},
    "COV010": {"COV009"},
    "FAC001": {"FAC002"},
    "FAC003": {"FAC002"},
    "FAC009": {"UNT001", "FAC010"},
    "UNT002": {"UNT001", "FAC010"},
}


@settings(max_examples=400)
@given(claim_contents())
def test_one_defect_is_one_finding(content: dict[str, Any]) -> None:
    """Where a special rule has spoken, the general one is silent on that line."""
    spoken: dict[int | None, set[str]] = {}
    for finding in RULESET.evaluate(claim_of(content)).findings:
        spoken.setdefault(finding.line, set()).add(finding.rule_id)

    for rule_ids in spoken.values():
        for special, general in PRECEDENCE.items():
            assert special not in rule_ids or rule_ids.isdisjoint(general), rule_ids


@pytest.mark.parametrize(
    ("special", "general", "lines"),
    [
        ("COD003", "COD002", [a_line(), a_line("63688")]),
        ("COD005", "COD002", [a_line(), a_line("99213")]),
        ("COD011", "COD012", [a_line(modifiers=["LT"]), a_line(modifiers=["RT"])]),
        ("COD020", "COD021", [a_line(), a_line("63688", modifiers=["59", "XS"])]),
        ("FAC001", "FAC002", [a_line(place_of_service="11")]),
        ("FAC009", "FAC010", [a_line(), a_line("L8688"), a_line("C1767")]),
    ],
)
def test_the_special_rule_speaks_alone(special: str, general: str, lines: list[dict[str, Any]]) -> None:
    """The defect that both could name is named by the special rule."""
    rule_ids = {finding.rule_id for finding in RULESET.evaluate(a_claim(lines=lines)).findings}

    assert special in rule_ids
    assert general not in rule_ids


@settings(max_examples=400)
@given(claim_contents())
def test_what_a_rule_says_it_can_not_find_it_does_not_find(content: dict[str, Any]) -> None:
    """Asking only the checks that a claim's codes, modifiers and diagnoses concern leaves nothing out."""
    claim = claim_of(content)

    assert RULESET.evaluate(claim, thorough=True) == RULESET.evaluate(claim)
