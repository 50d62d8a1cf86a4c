"""The installed rule set, loaded once."""

import pytest

from rules import RuleSet


@pytest.fixture(scope="session")
def ruleset() -> RuleSet:
    return RuleSet.load()
