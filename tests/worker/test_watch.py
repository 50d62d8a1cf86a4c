"""`claimscrub watch` without a broker: which claims are meant, and how they are shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rules import ClaimError, RuleSet
from rules.engine.examples import a_line
from tests.console.outputs import NOON, Outputs
from worker.cli import main
from worker.console.outputs import read_flagged
from worker.console.records import Received
from worker.console.words import amount
from worker.watch import Choice, JsonPrinter, TextPrinter

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

TWO_UNITS = [a_line(units="2")]


class _Message:
    """A record as a consumer hands it on."""

    def __init__(self, record: Received) -> None:
        self._record = record

    def topic(self) -> str:
        return self._record.place.topic

    def partition(self) -> int:
        return self._record.place.partition

    def offset(self) -> int:
        return self._record.place.offset

    def timestamp(self) -> tuple[int, int]:
        return 1, self._record.timestamp

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self._record.headers.items())


@pytest.fixture
def flagged(ruleset: RuleSet) -> Received:
    """A flagged claim of a member with a name."""
    subscriber = {"member_number": "1EG4TE5MK73", "last_name": "Qwertz", "first_name": "Zebulon"}
    return Outputs(ruleset).decide(
        "CLM-7", headers=[("traceparent", TRACE.encode()), ("x-note", b"Zebulon")], lines=TWO_UNITS, submitter_id="S1",
        subscriber=subscriber, total_charge_amount="9710.00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "is_meant"),
    [
        (Choice(), True),
        (Choice(payers=("AETNA", "MEDICARE_FFS")), True),
        (Choice(payers=("AETNA",)), False),
        (Choice(rules=("COD", "UNT001")), True),
        (Choice(rules=("UNT",)), True),
        (Choice(rules=("HIS",)), False),
        (Choice(category="UNITS_MUE"), True),
        (Choice(category="NCCI_PTP"), False),
        (Choice(rules=("UNT001",), severity="error"), True),
        (Choice(rules=("UNT001",), severity="warning"), False),
        (Choice(provider="1234567893"), True),
        (Choice(provider="1992345672"), True),
        (Choice(provider="1184567893"), False),
        (Choice(submitter="S1"), True),
        (Choice(submitter="S2"), False),
        (Choice(code="63685"), True),
        (Choice(code="63650"), False),
        (Choice(least_cents=971_000, most_cents=971_000), True),
        (Choice(least_cents=971_001), False),
        (Choice(most_cents=970_999), False),
        (Choice(claim="clm-7"), True),
        (Choice(claim="CLM-8"), False),
    ],
)
def test_filters(flagged: Received, choice: Choice, is_meant: bool) -> None:
    """Each narrows; several of one kind widen; what is asked of a finding must hold of one and the same."""
    decided, _ = read_flagged(flagged.value)

    assert bool(choice.findings(decided)) is is_meant


def test_people_read_what_is_wrong_where_and_what_to_do(flagged: Received, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, in whole lines without colours."""
    decided, decision = read_flagged(flagged.value)
    TextPrinter().flagged(_Message(flagged), decided, decision, Choice(rules=("UNT001",)).findings(decided))
    finding = next(each for each in json.loads(decision)["findings"] if each["rule_id"] == "UNT001")

    assert capsys.readouterr().out.splitlines() == [
        "2026-08-10T12:00:00Z  CLM-7  MEDICARE_FFS  $9,710.00  UNT001",
        f"    UNT001 {finding['message']}",
        f"    line 1, lines[0].units; {finding['location']}; CARC {finding['carc']}; RARC {finding['rarc']}",
        f"    fix {finding['remedy']}",
    ]


def test_programs_read_the_decision_and_nothing_of_the_member(
    flagged: Received, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """One object a line: the decision byte for byte, where the record stands, and who is concerned but the member."""
    decided, decision = read_flagged(flagged.value)
    JsonPrinter().flagged(_Message(flagged), decided, decision, [])
    out = capfdbinary.readouterr().out
    line = json.loads(out)

    assert out.count(b"\n") == 1
    assert b'"decision":' + decision + b"}" in out
    assert (line["topic"], line["partition"], line["offset"]) == ("claims.flagged", 0, 0)
    assert (line["claim_id"], line["time"], line["total_charge_amount"]) == ("CLM-7", "2026-08-10T12:00:00Z", "9710.00")
    assert line["headers"]["traceparent"] == TRACE
    assert b"Zebulon" not in out
    assert b"1EG4" not in out


def test_dead_letters_are_shown_with_their_reason(ruleset: RuleSet, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """For people and for programs; never what they hold."""
    letter = Outputs(ruleset).refuse(ClaimError("lines[0].units", "not a number", "a number", "CLM-9"), NOON)
    TextPrinter().deadletter(_Message(letter))
    JsonPrinter().deadletter(_Message(letter))
    *said, as_json = capfdbinary.readouterr().out.decode().splitlines()

    assert said == [
        "2026-08-10T12:00:00Z  CLM-9  dead letter",
        "    lines[0].units: not a number; expected a number",
    ]
    assert json.loads(as_json)["reason"] == "lines[0].units: not a number; expected a number"
    assert json.loads(as_json)["origin"]["topic"] == "claims.submitted"


def test_amounts() -> None:
    """In dollars and cents."""
    assert amount(971_005) == "$9,710.05"


def _run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["watch", *arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "is not a duration such as 15m, 2h or 1d, or a time such as 2026-08-10T14:05Z"),
        (["--least-amount", "much"], "'much' is no amount such as 32500 or 32500.00"),
        (["--least-amount", "NaN"], "'NaN' is no amount"),
        (["--until-now"], "--until-now goes with --since"),
        (["-n", "0"], "0 is not in the range"),
    ],
)
def test_what_is_typed_wrong_is_said(arguments: list[str], said: str) -> None:
    """With what is expected; nothing is read."""
    result = _run(*arguments)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_without_brokers_a_look_at_what_is_there_fails() -> None:
    """It names the brokers; only following waits for them."""
    result = _run(
        "--since", "1h", "--until-now",
        CLAIMSCRUB_BOOTSTRAP_SERVERS="127.0.0.1:1", CLAIMSCRUB_STARTUP_TIMEOUT_SECONDS="0",
    )  # fmt: skip

    assert result.exit_code == 3
    assert "no Kafka broker answers at 127.0.0.1:1" in result.stderr


@pytest.mark.parametrize("given", ["2026-08-10T14:05Z", "2026-08-10T14:05", "2026-08-10T16:05+02:00"])
def test_a_time_without_a_zone_is_utc(given: str) -> None:
    """As all times that are shown."""
    from worker.watch_cli import watch

    since: Any = next(each for each in watch.params if each.name == "since")
    assert since.type.convert(given, None, None) == datetime(2026, 8, 10, 14, 5, tzinfo=UTC)


def test_brokers_that_are_away_are_waited_for() -> None:
    """It says so once and goes on, until it is told to end, which is no failure."""
    environment = {**os.environ, "CLAIMSCRUB_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    command = [sys.executable, "-m", "worker.cli", "watch"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "waiting: no Kafka broker answers at 127.0.0.1:1" in process.stderr.readline()
        process.send_signal(signal.SIGINT)

        assert process.stderr.read() == ""
    assert process.returncode == 0
