"""The examples that stand in every rule's own file."""

from typing import Any

import pytest

from rules import RuleSet
from rules.engine.examples import Example


def _examples(kind: str) -> list[Any]:
    return [
        pytest.param(rule_id, example, id=f"{rule_id}-{kind}-{number}")
        for rule_id, rule in RuleSet.load().rules.items()
        for number, example in enumerate(getattr(rule, kind), 1)
    ]


def _found(ruleset: RuleSet, example: Example) -> set[str]:
    decision = ruleset.evaluate(*example)
    assert not any(finding.name == "rule-error" for finding in decision.findings), decision.findings
    return {finding.rule_id for finding in decision.findings}


@pytest.mark.parametrize(("rule_id", "example"), _examples("flagged"))
def test_flagged_example(ruleset: RuleSet, rule_id: str, example: Example) -> None:
    """A flagged example has a finding of its rule."""
    assert rule_id in _found(ruleset, example)


@pytest.mark.parametrize(("rule_id", "example"), _examples("clean"))
def test_clean_example(ruleset: RuleSet, rule_id: str, example: Example) -> None:
    """A clean example has no finding of its rule."""
    assert rule_id not in _found(ruleset, example)
