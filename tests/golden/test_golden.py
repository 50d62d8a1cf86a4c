"""Every golden claim gets the decision that is on file for it, and the findings that the catalogue gives it."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from rules import Claim, Decision, RuleSet
from rules.engine.examples import as_json
from tests.golden.corpus import (
    BASES,
    THEMES,
    Golden,
    content_of,
    decide,
    decisions_file,
    earlier_contents,
    examples_of,
    goldens,
    pretty,
    read_theme,
    text_837,
)
from tests.x12 import oracle

GOLDENS = goldens()
HINT = "If that is what the rules should say: `make golden`, and a line in CHANGELOG.md under Rules that says why."
FEWEST, FEWEST_KNOWN_CLEAN = 160, 64


def _parameters(*, known_clean: bool | None = None) -> list[Any]:
    return [
        pytest.param(golden, id=f"{golden.theme.stem}-{golden.name}")
        for golden in GOLDENS
        if known_clean in (None, golden.is_known_clean)
    ]


@pytest.fixture(scope="module")
def decided(ruleset: RuleSet) -> Mapping[str, tuple[Decision, Any]]:
    """Every decision by the name of its claim."""
    return {name: each for path in THEMES for name, each in decide(path, ruleset).items()}


@cache
def _on_file(path: Path) -> Mapping[str, Any]:
    decisions: Mapping[str, Any] = json.loads(decisions_file(path).read_text(encoding="utf-8"))
    return decisions


@pytest.mark.parametrize("golden", _parameters())
def test_decision_is_the_one_on_file(golden: Golden, decided: Mapping[str, tuple[Decision, Any]]) -> None:
    """A decision changes only together with its snapshot; what changed is shown as a diff."""
    before, after = _on_file(golden.theme).get(golden.name), decided[golden.name][1]
    if before != after:
        diff = difflib.unified_diff(
            pretty(before).splitlines(), pretty(after).splitlines(), "on file", "now", lineterm="", n=6
        )
        pytest.fail(f"the decision of {golden.name} ({golden.theme.name}) changed\n\n" + "\n".join([*diff, "", HINT]))


@pytest.mark.parametrize("golden", _parameters())
def test_findings_are_those_expected(golden: Golden, decided: Mapping[str, tuple[Decision, Any]]) -> None:
    """Each claim has findings of exactly the rules that its theme names, and of the severity where one is named."""
    decision = decided[golden.name][0]
    found = {finding.rule_id: finding.severity.value for finding in decision.findings}
    severities = {rule_id: severity for rule_id, severity in golden.expected.items() if severity}
    messages = "\n".join(f"{each.rule_id} {each.line} {each.message}" for each in decision.findings)

    assert sorted(found) == sorted(golden.expected), f"{golden.entry['why']}\n{messages}"
    assert {rule_id: found[rule_id] for rule_id in severities} == severities
    assert set(golden.entry.get("not_evaluated", ())) <= {each.rule_id for each in decision.not_evaluated}


@pytest.mark.parametrize("golden", _parameters(known_clean=True))
def test_known_clean_is_silent(golden: Golden, decided: Mapping[str, tuple[Decision, Any]]) -> None:
    """A claim that is known to be clean has no finding at all, not even an information."""
    assert golden.expected == {}
    assert decided[golden.name][0].findings == ()


def test_every_rule_is_flagged(ruleset: RuleSet, decided: Mapping[str, tuple[Decision, Any]]) -> None:
    """Every rule has a finding on some golden claim that expects it."""
    flagged = {
        finding.rule_id
        for golden in GOLDENS
        for finding in decided[golden.name][0].findings
        if finding.rule_id in golden.expected
    }
    unflagged = sorted(set(ruleset.rules) - flagged)
    assert unflagged == [], "a claim in tests/golden/claims/ that expects it is missing"


def test_every_expected_rule_exists(ruleset: RuleSet) -> None:
    """No theme expects what no rule can say."""
    named = {rule_id for golden in GOLDENS for rule_id in (*golden.expected, *golden.entry.get("not_evaluated", ()))}
    assert named <= {*ruleset.rules, "PAYER"}


def test_every_payer_and_base_is_there(ruleset: RuleSet, decided: Mapping[str, tuple[Decision, Any]]) -> None:
    """Each payer profile decides some claim with and some claim without a finding, and each base is used."""
    by_finding = {True: set[str](), False: set[str]()}
    for decision, _ in decided.values():
        by_finding[bool(decision.findings)].add(decision.payer)
    assert by_finding == {True: set(ruleset.profiles), False: set(ruleset.profiles)}
    assert {golden.entry.get("claim", "professional") for golden in GOLDENS} == set(BASES)


def test_every_setting_is_there() -> None:
    """Surgeons in every place, hospitals and surgery centers on every form, some of it in each known-clean too."""
    for known_clean in (False, True):
        claims = [claim for path in THEMES if (path.parent.name == "known_clean") is known_clean for claim in _of(path)]
        assert {claim.place_of_service for claim in claims} >= {"11", "19", "21", "22", "24"}
        assert {claim.type_of_bill for claim in claims} >= {"0111", "0121", "0131", "0137", "0138", "0831", "0851"}


def test_corpus_is_large_enough() -> None:
    """There are as many claims as promised, each name once, both as 837 and as JSON."""
    known_clean = sum(golden.is_known_clean for golden in GOLDENS)
    as_837 = Counter("as_837" in read_theme(golden.theme) for golden in GOLDENS)
    assert (len(GOLDENS) - known_clean >= FEWEST, known_clean >= FEWEST_KNOWN_CLEAN) == (True, True)
    assert min(as_837[True], as_837[False]) >= 40
    assert [name for name, count in Counter(golden.name for golden in GOLDENS).items() if count > 1] == []


def test_no_key_stands_twice() -> None:
    """YAML would take the second one and say nothing."""
    for path in THEMES:
        nodes: list[Any] = [yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)]
        while nodes:
            node = nodes.pop()
            if isinstance(node, yaml.MappingNode):
                keys = Counter(key.value for key, _ in node.value)
                assert max(keys.values(), default=1) == 1, f"{path.name}, line {node.start_mark.line + 1}: {keys}"
                nodes += [value for _, value in node.value]
            elif isinstance(node, yaml.SequenceNode):
                nodes += node.value


def test_nothing_is_left_over() -> None:
    """Each decision on file is of a claim that exists, and each 837 file is what its theme gives."""
    for path in THEMES:
        assert set(_on_file(path)) == {golden.name for golden in GOLDENS if golden.theme == path}
    files_837 = {path for theme in THEMES for path in theme.parent.glob("*.837")}
    assert files_837 == {path.with_suffix(".837") for path in THEMES if "as_837" in read_theme(path)}
    for path in files_837:
        assert path.read_bytes().decode() == text_837(path.with_suffix(".yaml")), f"`make golden` writes {path.name}"


@pytest.mark.parametrize("path", [path for path in THEMES if "as_837" in read_theme(path)])
def test_837_files_are_valid(path: Path) -> None:
    """What is wrong with the claims is for the rules to find; an independent reader takes the files for 837s."""
    assert oracle.problems(text_837(path)) == []


def test_everybody_is_invented() -> None:
    """The people of the corpus are those of the builders: nobody has another last name, on earlier claims neither."""
    contents = [content for golden in GOLDENS for content in earlier_contents(golden)]
    on_file = [Claim.from_json(as_json({**content, "claim_id": "EARLIER"})) for content in contents]
    claims = [*on_file, *(claim for path in THEMES for claim in _of(path))]
    assert {name for claim in claims for name in _last_names(claim)} <= {"Example", ""}


def test_what_is_on_file_is_the_members() -> None:
    """Each earlier claim has the payer and the member number of the claim under review, by which history is kept."""
    for golden in GOLDENS:
        member = _member(content_of(golden))
        assert {_member(content) for content in earlier_contents(golden)} <= {member}, golden.name


def test_themes_as_837_have_no_history() -> None:
    """What stands as an 837 is read from there, where no earlier claim has a place."""
    assert [golden.name for golden in GOLDENS if golden.has_history and "as_837" in read_theme(golden.theme)] == []


def _of(path: Path) -> Iterator[Claim]:
    return (example.claim for _, example in examples_of(path))


def _member(content: Mapping[str, Any]) -> tuple[str, str]:
    return content["payer"]["key"], content["subscriber"]["member_number"]


def _last_names(claim: Claim) -> set[str]:
    return {claim.subscriber.last_name, *([claim.patient.last_name] if claim.patient else [])}
