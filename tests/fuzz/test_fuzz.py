"""Hostile input: every seed passes, and so do a few inputs made by chance; `make fuzz` makes as many as one likes."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.kinds import SEEDS, Kinds
from tests.fuzz.targets import AT_MS, RULESET, TARGETS, HangError, alarm
from worker.pipeline import handle
from worker.x12 import Event, read_events

ROOT = Path(__file__).parents[2]
_SAMPLE = ROOT / "tests" / "x12" / "samples" / "professional.837"


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_pass(target: str) -> None:
    """What was once wrong, and what is hostile by design, stays harmless."""
    for path in sorted((SEEDS / target).iterdir()):
        with alarm():
            TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_what_chance_makes_passes(target: str) -> None:
    """Whatever is wrong with an input, it has one outcome, and no error tells what stood in it."""

    @settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(random=st.randoms(use_true_random=False))
    def passes(random: Random) -> None:
        _, raw = Kinds(random).one(target)
        with alarm():
            TARGETS[target](raw)

    passes()


def test_findings_are_placed_in_the_longest_claims() -> None:
    """Thousands of findings are looked for in tens of thousands of segments, and it does not take minutes."""
    before, _, after = _SAMPLE.read_bytes().partition(b"SE*")
    line = b"LX*1~SV1*HC:63685:59*1*UN~" + b"REF*ZZ*A~" * 90
    items = read_events(io.BytesIO(before + line * 990 + b"SE*" + after))
    (event,) = [item for item in items if isinstance(item, Event)]
    with alarm():
        outcome = handle(event.raw, RULESET, AT_MS)
    assert "findings; expected at most" in str(outcome.error)


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this machine")
@pytest.mark.parametrize("target", ["x12", "override"])
def test_guided_by_coverage(target: str, tmp_path: Path) -> None:
    """A short run under atheris ends without an input that does not pass."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", target, "--runs", "100"],
        env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2_000:]
    assert "number_of_executed_units" in ran.stderr


def test_what_hangs_is_found() -> None:
    """An input that takes too long does not pass."""

    def without_end() -> None:
        for _ in itertools.count():
            pass

    with pytest.raises(HangError), alarm(0.05):
        without_end()
