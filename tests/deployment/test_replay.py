"""`claimscrub replay` and `claimscrub diff` on a real broker: the same decisions again, and no trace in the cluster."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rules import RuleSet
from rules.engine.examples import claim_content
from tests.bench.replay import answers, differences, expected_without, replay_events, traces
from tests.kafka_broker import Cluster
from tests.worker_process import Pipeline, claim_event, eventually
from worker.diff import Diff, compare
from worker.folder import FolderError
from worker.kafka import KafkaProblemError
from worker.replay import Bound, Wanted, replay

pytestmark = pytest.mark.broker

_COUNT = 400
_RULES = RuleSet.load()


_SIGNALLED = """
import os, sys
from worker.cli import main
from worker.decisions import Decisions

number, add, calls = int(sys.argv.pop(1)), Decisions.add, []

def signalled(self, *decided):
    calls.append(decided)
    if len(calls) == 2:
        os.kill(os.getpid(), number)
    add(self, *decided)

Decisions.add = signalled
main()
"""
"""The command, with a signal to itself when the second batch is decided and not yet saved."""


@pytest.fixture(scope="module")
def decided(kafka: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Claims that a worker has decided: half of them in envelopes, half as bare claims that go on whatever is found."""
    pipeline = Pipeline(kafka, f"t{uuid.uuid4().hex[:8]}-", tmp_path_factory.mktemp("replay"))
    pipeline.create_topics()
    events = list(replay_events(_RULES, _COUNT))
    for part, form, mode in (
        (events[: _COUNT // 2], "envelope", "enforce"),
        (events[_COUNT // 2 :], "claim", "monitor"),
    ):
        pipeline.send([*part])
        with pipeline.worker(CLAIMSCRUB_CLEARED_FORMAT=form, CLAIMSCRUB_MODE=mode):
            eventually(lambda: len(answers(pipeline)) >= pipeline.sent, 60)
    yield pipeline
    pipeline.close()


def _replay(
    pipeline: Pipeline, folder: Path, since: Bound = None, until: Bound = None, ruleset: RuleSet = _RULES
) -> Diff:
    """What differs from what was published, of a replay in this process."""
    assert replay(folder, pipeline.settings, ruleset, Wanted(since, until))
    found = compare(lambda: pipeline.settings, folder)
    assert found is not None
    return found


def _rows(folder: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "replay.sqlite") as file:
        return file.execute("SELECT * FROM decisions ORDER BY partition, offset").fetchall()


def test_nothing_differs_without_a_change(
    decided: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every claim is decided as it was published, in whichever form; topics and groups stay as they were."""
    monkeypatch.setattr("worker.progress._SAY_EVERY_SECONDS", 0)
    before = traces(decided)
    found = _replay(decided, tmp_path / "same")

    assert found.differences == []
    assert found.compared.claims == _COUNT
    assert traces(decided) == before
    assert f"deciding again: {_COUNT} of {_COUNT} claims, " in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "same").glob("[!.]*")] == ["replay.sqlite"]


def test_without_a_rule_exactly_its_claims_differ(decided: Pipeline, tmp_path: Path) -> None:
    """The published decisions say which: cleared now if only this rule flagged them, else with other reasons."""
    wanted = expected_without("HIS001", answers(decided))
    ended = decided.run("replay", "--out", str(tmp_path / "without"), "--without", "his001")
    found, said = differences(decided, str(tmp_path / "without"), "--html", str(tmp_path / "report.html"))

    assert ended.returncode == 0, ended.stderr
    assert len(wanted["newly cleared"]) > 10
    assert found == {kind: events for kind, events in wanted.items() if events}
    assert said["after"]["without"] == ["HIS001"]
    assert said["rules"]["HIS001"]["newly_cleared"]["claims"] == len(wanted["newly cleared"])
    assert f"{_COUNT} events of {decided.topics['submitted']} decided again" in ended.stdout
    assert "are decided differently" in (tmp_path / "report.html").read_text()


def test_a_preview_would_flag_what_it_flags_when_it_is_active(decided: Pipeline, tmp_path: Path) -> None:
    """As a preview the rule clears the claims that it alone had flagged, and each of them would be flagged by it."""
    rules = {**_RULES.rules, "HIS001": replace(_RULES.rules["HIS001"], status="preview")}
    found = _replay(decided, tmp_path / "preview", ruleset=_RULES._with_rules(rules))
    cleared = {each.event_id for each in found.differences if each.kind == "newly cleared"}

    assert cleared == expected_without("HIS001", answers(decided))["newly cleared"]
    assert found.would_flag["HIS001"] == found.would_flag_any == found.kinds["newly cleared"]


def test_a_replay_that_was_killed_goes_on(decided: Pipeline, tmp_path: Path) -> None:
    """Killed and stopped at any moment, the same command comes to the same in the end, and another is refused."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    _replay(decided, whole)
    ends = []
    for number in signal.SIGKILL, signal.SIGKILL, signal.SIGTERM:
        command = [sys.executable, "-c", _SIGNALLED, str(number.value), "replay", "--out", str(broken)]
        ended = subprocess.run(command, env=decided.environment, stderr=subprocess.PIPE, check=False, text=True)
        ends.append((ended.returncode, len(_rows(broken))))

    assert ends == [(-signal.SIGKILL, 100), (-signal.SIGKILL, 200), (1, 400)]
    assert "stopped; the same command goes on" in ended.stderr
    with pytest.raises(FolderError, match="another --without: none there, UNT001 now"):
        replay(broken, decided.settings, _RULES, Wanted(without=("UNT001",)))
    assert _replay(decided, broken).differences == []
    assert _rows(broken) == _rows(whole)
    same = compare(lambda: decided.settings, whole, broken)
    assert same is not None
    assert (same.compared.claims, same.differences) == (_COUNT, [])


def test_a_range_by_offsets_and_by_time(decided: Pipeline, tmp_path: Path) -> None:
    """Offsets name the partitions that are read; times are those of the records, and the end is not in the range."""
    ends = decided.kafka.end_offsets(decided.topics["submitted"])
    some = _replay(decided, tmp_path / "some", {1: 10, 2: 0}, {1: 20})
    middle = max(each.timestamp()[1] for each in decided.kafka.read_all(decided.topics["submitted"])) - 1
    first = _replay(decided, tmp_path / "first", None, datetime.fromtimestamp(middle / 1000, UTC))
    last = _replay(decided, tmp_path / "last", datetime.fromtimestamp(middle / 1000, UTC))

    assert {row[:2] for row in _rows(tmp_path / "some")} == {
        *((1, offset) for offset in range(10, 20)),
        *((2, offset) for offset in range(ends[2])),
    }
    assert some.only_before.claims == some.only_after.claims == 0
    assert first.compared.claims + last.compared.claims == _COUNT
    assert last.compared.claims > 0
    assert first.differences == []


def test_what_is_not_there_is_refused(decided: Pipeline, tmp_path: Path) -> None:
    """A partition, a rule or a replay that does not exist, and a replay of other topics, are named in a sentence."""
    with pytest.raises(KafkaProblemError, match="has no partition 9: it has 4"):
        _replay(decided, tmp_path / "wrong", {9: 0})
    with pytest.raises(FolderError, match="holds no replay"):
        compare(lambda: decided.settings, tmp_path / "none")
    unknown = decided.run("replay", "--out", str(tmp_path / "x"), "--without", "UNT999", "--from", "1:0")
    assert unknown.returncode == 2
    assert "no rule UNT999" in unknown.stderr
    assert not (tmp_path / "x").exists()


def test_a_change_of_a_contract_shows(decided: Pipeline, tmp_path: Path) -> None:
    """A contract overlay that silences a rule clears the biller's claims; a replay of other rules can't go on."""
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    (contracts / "a.yaml").write_text(
        f'{{name: Example, billing_npis: ["{claim_content()["billing_provider"]["npi"]}"],'
        " payers: {ANY: {rules: {HIS001: {silent: true, why: Counted elsewhere}}}}}\n"
    )
    found = _replay(decided, tmp_path / "contract", ruleset=RuleSet.load(contracts=contracts))

    assert found.kinds["newly cleared"].claims > 10
    assert found.rules["HIS001"].newly_cleared.claims == found.kinds["newly cleared"].claims
    with pytest.raises(FolderError, match="another rule set"):
        _replay(decided, tmp_path / "contract")


def test_claims_that_no_worker_has_decided(pipeline: Pipeline, tmp_path: Path) -> None:
    """Before any worker has run, each claim sees those before it all the same; there is nothing to compare with yet."""
    pipeline.send([(None, claim_event(number // 2, member=number // 2)) for number in range(20)])
    pipeline.send([(None, claim_event(100 + number, member=number)) for number in range(10)])
    folder = tmp_path / "undecided"
    found = _replay(pipeline, folder)

    assert [row[7] for row in _rows(folder)].count("flagged") == 10
    assert (found.compared.claims, found.only_after.claims, found.differences) == (0, 30, [])
    with pipeline.worker():
        pipeline.wait_for_all()
    later = compare(lambda: pipeline.settings, folder)
    assert later is not None
    assert (later.compared.claims, later.differences) == (30, [])
