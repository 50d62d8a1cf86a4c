"""The examples that stand in every rule's own file."""

from typing import Any

import pytest

from rules import Claim, RuleSet


def _examples(kind: str) -> list[Any]:
    return [
        pytest.param(rule_id, claim, id=f"{rule_id}-{kind}-{number}")
        for rule_id, rule in RuleSet.load().rules.items()
        for number, claim in enumerate(getattr(rule, kind), 1)
    ]


def _found(ruleset: RuleSet, claim: Claim) -> set[str]:
    decision = ruleset.evaluate(claim)
    assert not any(finding.name == "rule-error" for finding in decision.findings), decision.findings
    return {finding.rule_id for finding in decision.findings}


@pytest.mark.parametrize(("rule_id", "claim"), _examples("flagged"))
def test_flagged_example(ruleset: RuleSet, rule_id: str, claim: Claim) -> None:
    """A flagged example has a finding of its rule."""
    assert rule_id in _found(ruleset, claim)


@pytest.mark.parametrize(("rule_id", "claim"), _examples("clean"))
def test_clean_example(ruleset: RuleSet, rule_id: str, claim: Claim) -> None:
    """A clean example has no finding of its rule."""
    assert rule_id not in _found(ruleset, claim)
