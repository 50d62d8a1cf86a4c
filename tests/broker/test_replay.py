"""`claimscrub replay` and `claimscrub diff` on a real broker: the same decisions again, and no trace in the cluster."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rules import RuleSet
from rules.engine.examples import claim_content
from tests.bench.replay import answers, differences, expected_without, replay_events, traces
from tests.kafka_broker import Cluster
from tests.worker_process import Pipeline, claim_event, eventually

pytestmark = pytest.mark.broker

_COUNT = 600


@pytest.fixture(scope="module")
def decided(kafka: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Claims that a worker has decided: half of them in envelopes, half as bare claims that go on whatever is found."""
    pipeline = Pipeline(kafka, f"t{uuid.uuid4().hex[:8]}-", tmp_path_factory.mktemp("replay"))
    pipeline.create_topics()
    events = list(replay_events(RuleSet.load(), _COUNT))
    for part, form, mode in (
        (events[: _COUNT // 2], "envelope", "enforce"),
        (events[_COUNT // 2 :], "claim", "monitor"),
    ):
        pipeline.send([*part])
        with pipeline.worker(CLAIMSCRUB_CLEARED_FORMAT=form, CLAIMSCRUB_MODE=mode):
            eventually(lambda: len(answers(pipeline)) >= pipeline.sent, 60)
    yield pipeline
    pipeline.close()


def _rows(folder: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "replay.sqlite") as file:
        return file.execute("SELECT * FROM decisions ORDER BY partition, offset").fetchall()


def test_nothing_differs_without_a_change(decided: Pipeline, tmp_path: Path) -> None:
    """Every claim is decided as it was published, in whichever form; topics and groups stay as they were."""
    before = traces(decided)
    ended = decided.run("replay", "--out", str(tmp_path / "same"))
    found, said = differences(decided, str(tmp_path / "same"))

    assert ended.returncode == 0, ended.stderr
    assert f"{_COUNT} events of {decided.topics['submitted']} decided again" in ended.stdout
    assert found == {}
    assert said["compared"]["claims"] == _COUNT
    assert traces(decided) == before
    assert [path.name for path in (tmp_path / "same").glob("[!.]*")] == ["replay.sqlite"]


def test_without_a_rule_exactly_its_claims_differ(decided: Pipeline, tmp_path: Path) -> None:
    """The published decisions say which: cleared now if only this rule flagged them, else with other reasons."""
    wanted = expected_without("HIS001", answers(decided))
    ended = decided.run("replay", "--out", str(tmp_path / "without"), "--without", "his001")
    found, said = differences(decided, str(tmp_path / "without"), "--html", str(tmp_path / "report.html"))

    assert ended.returncode == 0, ended.stderr
    assert len(wanted["newly cleared"]) > 20
    assert found == {kind: events for kind, events in wanted.items() if events}
    assert said["after"]["without"] == ["HIS001"]
    assert set(said["rules"]) == {"HIS001"}
    assert "are decided differently" in (tmp_path / "report.html").read_text()


def test_a_replay_that_was_killed_goes_on(decided: Pipeline, tmp_path: Path) -> None:
    """Killed and stopped at any moment, the same command comes to the same in the end, and another is refused."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert decided.run("replay", "--out", str(whole)).returncode == 0
    file = broken / "replay.sqlite"

    def progress() -> int:
        if not file.exists():
            return 0
        with sqlite3.connect(file) as read:
            try:
                return int(read.execute("SELECT count(*) FROM decisions").fetchone()[0])
            except sqlite3.OperationalError:
                return 0

    ends = []
    for number in signal.SIGKILL, signal.SIGTERM:
        reached = progress()
        process = subprocess.Popen(
            decided.command("replay", "--out", str(broken)), env=decided.environment, stderr=subprocess.DEVNULL
        )
        eventually(lambda reached=reached: progress() > reached)  # type: ignore[misc]
        process.send_signal(number)
        ends.append(process.wait(20))
    other = decided.run("replay", "--out", str(broken), "--without", "UNT001")
    assert ends[0] == -signal.SIGKILL
    assert ends[1] in (0, 1)
    assert other.returncode == 3
    assert "holds a replay with another --without: none there, UNT001 now" in other.stderr
    assert decided.run("replay", "--out", str(broken)).returncode == 0
    assert _rows(broken) == _rows(whole)
    assert decided.run("diff", str(whole), str(broken)).returncode == 0


def test_a_range_by_offsets_and_by_time(decided: Pipeline, tmp_path: Path) -> None:
    """Offsets name the partitions that are read; a time that is to come leaves nothing, one that is past all."""
    ends = decided.kafka.end_offsets(decided.topics["submitted"])
    some, none = tmp_path / "some", tmp_path / "none"
    assert decided.run("replay", "--out", str(some), "--from", "1:10,2:5", "--to", "1:20").returncode == 0
    assert decided.run("replay", "--out", str(none), "--from", "1m", "--to", "2026-01-01T00:00Z").returncode == 0
    found, said = differences(decided, str(some))

    assert {row[:2] for row in _rows(some)} == {
        *((1, offset) for offset in range(10, 20)),
        *((2, offset) for offset in range(5, ends[2])),
    }
    assert found == {}
    assert said["only_before"]["claims"] == said["only_after"]["claims"] == 0
    assert _rows(none) == []
    wrong = decided.run("replay", "--out", str(tmp_path / "wrong"), "--from", "9:0")
    assert wrong.returncode == 3
    assert "has no partition 9" in wrong.stderr
    assert decided.run("replay", "--out", str(tmp_path / "x"), "--without", "UNT999").returncode == 2


def test_a_change_of_a_contract_shows(decided: Pipeline, tmp_path: Path) -> None:
    """A contract overlay that silences a rule clears the biller's claims; a replay of other rules can't go on."""
    folder = tmp_path / "replay"
    assert decided.run("replay", "--out", str(folder), "--to", "0:0").returncode == 0
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    (contracts / "a.yaml").write_text(
        f'{{name: Example, billing_npis: ["{claim_content()["billing_provider"]["npi"]}"],'
        " payers: {ANY: {rules: {HIS001: {silent: true, why: Counted elsewhere}}}}}\n"
    )
    decided.extra["CLAIMSCRUB_CONTRACTS_FOLDER"] = str(contracts)
    try:
        other = decided.run("replay", "--out", str(folder), "--to", "0:0")
        ended = decided.run("replay", "--out", str(tmp_path / "contract"))
        found, said = differences(decided, str(tmp_path / "contract"))
    finally:
        del decided.extra["CLAIMSCRUB_CONTRACTS_FOLDER"]

    assert other.returncode == 3
    assert "another rule set" in other.stderr
    assert ended.returncode == 0, ended.stderr
    assert len(found["newly cleared"]) > 20
    assert set(said["rules"]) == {"HIS001"}


def test_claims_that_no_worker_has_decided(pipeline: Pipeline, tmp_path: Path) -> None:
    """Before any worker has run, each claim sees those before it all the same; there is nothing to compare with yet."""
    pipeline.send([(None, claim_event(number // 2, member=number // 2)) for number in range(20)])
    pipeline.send([(None, claim_event(100 + number, member=number)) for number in range(10)])
    folder = tmp_path / "undecided"
    ended = pipeline.run("replay", "--out", str(folder))
    found, said = differences(pipeline, str(folder))

    assert ended.returncode == 0, ended.stderr
    assert [row[7] for row in _rows(folder)].count("flagged") == 10
    assert found == {}
    assert (said["compared"]["claims"], said["only_after"]["claims"]) == (0, 30)
    with pipeline.worker():
        pipeline.wait_for_all()
    assert differences(pipeline, str(folder))[1]["compared"]["claims"] == 30
    assert differences(pipeline, str(folder))[0] == {}
