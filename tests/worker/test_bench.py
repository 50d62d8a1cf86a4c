"""The benchmark runs and gives figures; what they are is nobody's business here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kafka_broker import Cluster

ROOT = Path(__file__).parents[2]


@pytest.mark.broker
def test_a_short_run_gives_figures_of_every_candidate(kafka: Cluster, tmp_path: Path) -> None:
    """A run with few claims ends well and writes positive figures."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--claims", "400", "--rounds", "1", "--output", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "CLAIMSCRUB_TEST_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results["end_to_end"]) == {"confluent", "claimscrub-at-least-once"}
    for name, figures in results["end_to_end"].items():
        assert figures["claims_per_second"] > 0, name
        assert figures["cpu_us_per_claim"] > 0, name
    assert set(results["parts"]) == {"decode", "evaluate", "handle"}
    assert all(us > 0 for by_kind in results["parts"].values() for us in by_kind.values())
    assert len(results["catalogue"]) >= 2
    assert all(figures["ratio"] > 0 for figures in results["catalogue"].values())
    assert set(results["x12"]) >= {"pyx12: segments", "segments and loops", "claim events"}
    assert all(step["claims_per_second"] > 0 and step["ratio"] > 0 for step in results["x12"].values())
