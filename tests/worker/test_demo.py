"""`claimscrub demo` does what it promises to somebody who sees it for the first time, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rules import Decision, RuleSet
from tests.x12 import oracle
from tests.x12.make_demo_claims import FOLDER, demo_claims
from worker import demo
from worker.history import Memory
from worker.kafka import KafkaProblemError
from worker.members import Members
from worker.pipeline import Outcome, handle

ROOT = Path(__file__).parents[2]

# Which rules find an error (with ! before the id, a warning; with ?, information) in which claim. None: not a claim.
EXPECTED: dict[str, list[str] | None] = {
    "DEMO-01": [],
    "DEMO-02": [],
    "DEMO-03": ["COD003", "?COD030"],
    "DEMO-04": ["?COD030"],
    "DEMO-05": ["COD001"],
    "DEMO-06": [],
    "DEMO-07": ["UNT001"],
    "DEMO-08": ["COD005"],
    "DEMO-09": [],
    "DEMO-10": ["FAC001"],
    "DEMO-11": ["COV010"],
    "DEMO-12": ["AUT002"],
    "DEMO-13": ["COD002"],
    "DEMO-14": [],
    "DEMO-15": ["COD011"],
    "DEMO-16": ["COD025"],
    "DEMO-17": ["FAC005"],
    "DEMO-18": ["CMP001", "CMP002"],
    "DEMO-19": ["!COD004", "?COD030"],
    "DEMO-20": ["CMP009", "CMP010"],
    "DEMO-21": None,
    "DEMO-22": ["CMP005"],
    "DEMO-23": ["HIS008"],
    "DEMO-24": ["COD007"],
    "DEMO-25": [],
    "DEMO-26": ["HIS010"],
    "DEMO-27": ["HIS001"],
}


_MARKS = {"error": "", "warning": "!", "info": "?"}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """What the worker will make of each event."""
    ruleset = RuleSet.load()
    memory = Memory(Members("", ruleset.recognised), ruleset, {})
    memory.begin()
    return {event.name: handle(event.value, ruleset, memory=memory) for event in demo.demo_events()}


def test_files_are_those_that_are_made() -> None:
    """The files in the package are what `python -m tests.x12.make_demo_claims` writes."""
    assert {path.name: path.read_bytes().decode() for path in FOLDER.iterdir()} == demo_claims()


def test_837_files_are_valid() -> None:
    """Their claims are wrong, but they are 837s to an independent reader; only the missing birth date leaves a gap."""
    found = {name: oracle.problems(text) for name, text in demo_claims().items() if name.endswith(".837")}
    assert found["institutional.837"] == []
    assert all("DMG02" in problem for problem in found["professional.837"])


@pytest.mark.parametrize("name", EXPECTED)
def test_claim_shows_what_its_story_says(outcomes: dict[str, Outcome], name: str) -> None:
    """Each claim is found to have the faults it was made with, and no others."""
    decision = outcomes[name].decision
    found = decision and [_MARKS[each.severity] + each.rule_id for each in decision.findings]
    assert found == EXPECTED[name]


def test_claims_are_varied(outcomes: dict[str, Outcome]) -> None:
    """Events of both claim types and several payers, of which only a Blue plan is not recognised."""
    assert list(outcomes) == list(EXPECTED)
    decisions = [outcome.decision for outcome in outcomes.values() if outcome.decision is not None]
    payers = {decision.payer for decision in decisions}
    assert payers == {"MEDICARE_FFS", "HUMANA_MA", "AETNA", "AETNA_MA", "FEP", "CIGNA", "UHC_COM", "OTHER"}
    unsaid = {name: outcome.decision.not_evaluated for name, outcome in outcomes.items() if outcome.decision}
    assert [name for name, rules in unsaid.items() if "PAYER" in {each.rule_id for each in rules}] == ["DEMO-18"]
    values = b"".join(event.value for event in demo.demo_events())
    assert values.count(b'"institutional"') > 3
    assert values.count(b'"professional"') > 10


def test_demo_as_a_user_sees_it(tmp_path: Path, outcomes: dict[str, Outcome]) -> None:
    """Every event is decided and explained in full, within a minute, and no file or process is left.

    Settings of a deployment that stand in the environment are none of its business.
    """
    started = time.monotonic()
    process = _start(tmp_path, CLAIMSCRUB_BOOTSTRAP_SERVERS="127.0.0.1:9", CLAIMSCRUB_LOG_FORMAT="wrong")
    output, errors = process.communicate(timeout=90)

    assert (process.returncode, errors) == (0, "")
    assert time.monotonic() - started < 60
    _assert_nothing_left(process, tmp_path)
    assert re.search(r"in-memory Kafka broker at 127\.0\.0\.1:\d+\.$", output, re.MULTILINE)
    assert max(map(len, output.splitlines())) <= 120
    rows = _rows(output)
    assert rows.keys() == outcomes.keys()
    for name, outcome in outcomes.items():
        _assert_row_says(rows[name], outcome)
    assert re.search(r"27 claims: 8 cleared, 18 flagged, 1 dead letter; median \d+ ms from submit to decision", output)
    for following in ("claimscrub check FILE", "claimscrub rules explain", "README", "make test"):
        assert following in output


def test_demo_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    """Told to end while claims are decided, it ends its worker too; and it runs where there is nothing but ASCII."""
    process = _start(tmp_path, PYTHONIOENCODING="ascii")
    assert process.stdout is not None
    while "DEMO-03" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    _assert_nothing_left(process, tmp_path)


def test_worker_that_dies_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker that ends fails the demo with the end of its log."""
    _replace_worker(monkeypatch, tmp_path, "echo out of luck; exit 7")
    with pytest.raises(KafkaProblemError, match=r"worker ended \(exit code 7\); its log ends so:\n  out of luck$"):
        demo.run_demo()


def test_worker_that_does_nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker that never gets ready fails the demo, and is ended."""
    _replace_worker(monkeypatch, tmp_path, "echo $$ >pid; exec sleep 60")
    monkeypatch.setattr(demo, "_PATIENCE_SECONDS", 1.0)
    with pytest.raises(KafkaProblemError, match=r"nothing came from the demo's worker for 1 s; .*\n  \(empty\)$"):
        demo.run_demo()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def _start(folder: Path, **environment: str) -> subprocess.Popen[str]:
    """The demo in a process group of its own, with empty folders to work in and for temporary files."""
    for name in ("work", "temporary"):
        (folder / name).mkdir()
    temporary = str(folder / "temporary")
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "demo"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "TMPDIR": temporary, **environment},
        cwd=folder / "work",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


def _assert_nothing_left(process: subprocess.Popen[str], folder: Path) -> None:
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert [*(folder / "work").iterdir(), *(folder / "temporary").iterdir()] == []


def _rows(output: str) -> dict[str, str]:
    """Patient control number → its row of the table."""
    return {row[:7]: row for row in re.split(r"^(?=DEMO-)|^─+$", output, flags=re.MULTILINE) if row.startswith("DEMO-")}


def _assert_row_says(row: str, outcome: Outcome) -> None:
    """The row has the disposition, and of each finding every word of message and remedy, and the codes."""
    if outcome.decision is None:
        assert "dead letter" in row
        assert "lines[0].service_date: not a date" in row
        return
    decision: Decision = outcome.decision
    assert f"{decision.payer} " in row
    assert f" {decision.disposition.value} " in row
    words = row.split()
    for finding in decision.findings:
        wanted = [finding.rule_id, *finding.message.split(), *finding.remedy.split(), "CARC", finding.carc]
        assert set(wanted) <= set(words)
        assert finding.rarc in row
    for unevaluated in decision.not_evaluated:
        assert unevaluated.rule_id in row or "could not tell" in row


def _replace_worker(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    stand_in = folder / "python"
    stand_in.write_text(f"#!/bin/sh\ncd {folder}\n{script}\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
