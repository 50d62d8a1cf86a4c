"""A short run of `python -m tests.fuzz.stream`."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules import RuleSet
from tests.fuzz.stream import run
from tests.kafka_broker import Cluster

pytestmark = pytest.mark.broker


def test_each_fuzzed_message_is_accounted_for(kafka: Cluster, ruleset: RuleSet, tmp_path: Path) -> None:
    """Claims, answers, releases and X12 text with odd keys and headers: each gives what it must, and nothing twice."""
    counts, faults = run(kafka, tmp_path / "round", ruleset, inputs=2_000, seed=63685)

    assert faults == []
    assert counts["inputs"] == 2_000
    assert all(counts[name] > 100 for name in ("cleared", "flagged", "deadletter"))
