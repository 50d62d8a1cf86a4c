"""The log's line about a claim: what it has, in JSON and for a terminal, and what it is that is left out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import pytest
import structlog

from rules import RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from worker.claim_log import ClaimLine, ClaimLog, trace_id
from worker.codec import Arrival
from worker.log import ALLOWED_KEYS, Lines
from worker.pipeline import Outcome, handle
from worker.settings import Settings

ARRIVAL = Arrival("claims.submitted", 3, 41, 1_700_000_000_000)
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = [("traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())]


def _lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def _outcome(ruleset: RuleSet, units: str) -> Outcome:
    content = claim_content(claim_id="C1", lines=[a_line(units=units)])
    return handle(as_json(content).encode(), ruleset)


def _write(log: ClaimLog, outcomes: list[Outcome], headers: Sequence[tuple[str, bytes | None]] = TRACED) -> None:
    lines = [log.line(ARRIVAL, outcome, headers) for outcome in outcomes]
    log.write([line for line in lines if line is not None])


def test_a_flagged_claim_is_a_line(ruleset: RuleSet, capfd: pytest.CaptureFixture[str]) -> None:
    """It says which claim, what was found, and by what it is found again; a cleared claim is none."""
    flagged = _outcome(ruleset, "2")
    _write(ClaimLog(Settings(log_format="json", instance_id="host-1")), [flagged, _outcome(ruleset, "1")])
    (line,) = _lines(capfd)
    decision = flagged.decision

    assert decision is not None
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "flagged", "level": "info", "claim_id": "C1", "payer": decision.payer,
        "rule_ids": sorted({finding.rule_id for finding in decision.findings}), "findings": len(decision.findings),
        "charge": str(flagged.charge), "event_id": "claims.submitted-3-41", "trace_id": TRACE,
        "topic": "claims.submitted", "partition": 3, "offset": 41, "instance_id": "host-1",
    }  # fmt: skip


def test_a_dead_letter_and_a_release_are_lines(ruleset: RuleSet, capfd: pytest.CaptureFixture[str]) -> None:
    """A dead letter says why it is one; neither has what only flagged claims have."""
    _write(ClaimLog(Settings(log_format="json")), [handle(b"junk", ruleset), Outcome(b"", "C2", is_release=True)], [])
    deadletter, release = _lines(capfd)

    assert (deadletter["event"], deadletter["level"]) == ("deadletter", "warning")
    assert "expected" in deadletter["reason"]
    assert not {"claim_id", "rule_ids", "trace_id", "payer", "instance_id"} & deadletter.keys()
    assert (release["event"], release["claim_id"]) == ("released", "C2")


@pytest.mark.parametrize(
    ("settings", "events"),
    [
        ({"log_claims": False}, ["deadletter", "released"]),
        ({"log_level": "warning"}, ["deadletter"]),
        ({"log_level": "error"}, []),
    ],
)
def test_lines_can_be_left_out(
    ruleset: RuleSet, capfd: pytest.CaptureFixture[str], settings: dict[str, Any], events: list[str]
) -> None:
    """The setting leaves out flagged claims, and the level what is below it."""
    outcomes = [_outcome(ruleset, "2"), handle(b"junk", ruleset), Outcome(b"", "C2", is_release=True)]
    _write(ClaimLog(Settings(log_format="json", **settings)), outcomes)

    assert [line["event"] for line in _lines(capfd)] == events


def test_for_a_terminal_it_goes_the_way_of_all_lines(ruleset: RuleSet) -> None:
    """Where the log is no JSON the same keys are said through structlog."""
    with structlog.testing.capture_logs() as lines:
        _write(ClaimLog(Settings(log_format="console")), [_outcome(ruleset, "2")])

    assert [(line["event"], line["log_level"], line["partition"], line["trace_id"]) for line in lines] == [
        ("flagged", "info", 3, TRACE)
    ]


def test_its_fields_are_on_the_list() -> None:
    """The fast way writes no key that the list of the log does not allow."""
    assert set(ClaimLine.__struct_fields__) <= ALLOWED_KEYS


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (f"00-{TRACE}-b7ad6b7169203331-01", TRACE),
        (f"cc-{TRACE}-b7ad6b7169203331-01-later", TRACE),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-{TRACE.upper()}-b7ad6b7169203331-01", None),
        ("00-JANE DOE-1-1", None),
        ("", None),
    ],
)
def test_only_a_valid_trace_is_said(value: str, found: str | None) -> None:
    """What is no trace id does not get into the log, whatever the sender wrote there."""
    assert trace_id([("other", None), ("Traceparent", value.encode())]) == found
    assert trace_id([("traceparent", None)]) is None


def test_lines_written_together_stay_whole() -> None:
    """As many lines at a time as a pipe takes for sure; those that find it full are counted."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        lines = Lines(stream)
        line = b"x" * 700 + b"\n"
        lines.write_all([line] * 300)
        read = os.read(reading, 1_000_000)
        with structlog.testing.capture_logs() as said:
            lines.write_all([line])
    os.close(reading)

    assert set(read.splitlines(keepends=True)) == {line}
    assert said == [{"event": "log lines dropped", "records": 300 - read.count(b"\n"), "log_level": "warning"}]
