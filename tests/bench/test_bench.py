"""The benchmark runs and gives figures; what they are is nobody's business here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.kafka_broker import Cluster
from tests.worker_process import ROOT


def _run(kafka: Cluster, module: str, *options: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", module, *options],
        cwd=ROOT,
        env={**os.environ, "CLAIMSCRUB_TEST_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.broker
def test_a_short_run_gives_figures_of_every_candidate(kafka: Cluster, tmp_path: Path) -> None:
    """A run with few claims finds one output for each, and writes a chart and figures in the promised shape."""
    names = ["confluent-transactions", "claimscrub-at-least-once"]
    chart = tmp_path / "bench.svg"
    options = ["--claims", "400", "--rounds", "1", "--only", ",".join(names), "--output", str(tmp_path)]
    _run(kafka, "tests.bench", *options, "--chart", str(chart))

    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["end_to_end"]) == names
    for name, figures in results["end_to_end"].items():
        assert figures["claims_per_second"] > 0, name
        assert figures["cpu_us_per_claim"] > 0, name
        assert len(figures["rounds"]) == 1, name
    assert set(results["parts"]) == {"decode", "evaluate", "handle"}
    assert all(us > 0 for by_kind in results["parts"].values() for us in by_kind.values())
    assert len(results["catalogue"]) >= 2
    assert all(figures["ratio"] > 0 for figures in results["catalogue"].values())
    assert set(results["x12"]) >= {"pyx12: segments", "segments and loops", "claim events"}
    assert all(step["claims_per_second"] > 0 and step["ratio"] > 0 for step in results["x12"].values())
    assert ET.parse(chart).getroot().tag.endswith("svg")


@pytest.mark.broker
def test_a_short_run_with_a_history_gives_its_figures(kafka: Cluster, tmp_path: Path) -> None:
    """With a few members, a worker's cost, its start with a disk and without, and its memory are told."""
    options = ["--members", "100", "--claims", "100", "--rounds", "1", "--steady", "200", "--output", str(tmp_path)]
    _run(kafka, "tests.bench.history", *options)

    results = json.loads((tmp_path / "history.json").read_text())
    assert list(results["members"]) == ["100"]
    figures = results["members"]["100"]
    start = figures["first_decision_seconds"]
    assert figures["cpu_us_per_claim"] > 0
    assert start["directory lost"]["records_read"] >= 100 > start["directory kept"]["records_read"]
    assert all(each["seconds"] > 0 for each in start.values())
    assert results["cpu_ratio"] == 1
    assert len(results["memory_mb"]) == 10
