"""Secrets come from the environment or from files, and are never shown."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import traceback
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import click
import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from rules.engine.examples import a_line, as_json, claim_content
from tests.kafka_broker import Cluster
from tests.worker_process import Pipeline, eventually
from worker.cli import main
from worker.settings import PREFIX, Settings, SettingsError, load_settings, secret_files

SECRETS = [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]


def _run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, list(arguments), input=stdin)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_every_secret_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, end: str) -> None:
    """The variable with _FILE names it; the end of the line is no part of the secret, blanks are."""
    path = tmp_path / "secret"
    path.write_bytes(f" käse und brot {end}".encode())
    monkeypatch.setenv(f"{PREFIX}{name.upper()}_FILE", str(path))
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", "")  # as compose files pass on what is not set

    assert getattr(load_settings(), name).get_secret_value() == " käse und brot "
    assert secret_files() == {name: path}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        (b"", "empty; write the secret into it"),
        (b"\n", "empty; write the secret into it"),
        (b"MARKED-1\nMARKED-2\n", "expected one line with the secret alone"),
        (b"M" * 100_000, "expected one line with the secret alone"),
        (b"MARKED\xff", "not text in UTF-8"),
    ],
)
def test_a_file_without_a_secret_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, said: str
) -> None:
    """One sentence with the variable and the file, and nothing of what is in it."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("CLAIMSCRUB_SASL_PASSWORD_FILE", str(path))
    refused = _run("settings")

    assert refused.exit_code == 3
    assert refused.stderr == f"claimscrub: CLAIMSCRUB_SASL_PASSWORD_FILE: {path}: {said}\n"


def test_a_secret_that_is_set_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to know which of the two would count."""
    monkeypatch.setenv("CLAIMSCRUB_CONSOLE_TOKEN_FILE", str(tmp_path))
    monkeypatch.setenv("CLAIMSCRUB_CONSOLE_TOKEN", "MARKED")
    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert str(refused.value) == (
        "CLAIMSCRUB_CONSOLE_TOKEN and CLAIMSCRUB_CONSOLE_TOKEN_FILE are both set; keep one of them"
    )


def test_the_settings_show_where_a_secret_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is named, and that there is something in it; the secret is not shown."""
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("MARKED")
    monkeypatch.setenv("CLAIMSCRUB_MEMBER_KEY_SECRET_FILE", "secret")
    monkeypatch.setenv("CLAIMSCRUB_CONSOLE_TOKEN", "MARKED")
    shown = _run("settings").stdout

    assert {"CLAIMSCRUB_MEMBER_KEY_SECRET  ******** from secret"} <= {
        re.sub(" {2,}", "  ", line)[:50] for line in shown.splitlines()
    }
    assert "MARKED" not in shown


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which every secret is marked, half of them in files, and nobody is at the brokers' address."""
    environment = {
        "CLAIMSCRUB_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "CLAIMSCRUB_STARTUP_TIMEOUT_SECONDS": "0.1",
        "CLAIMSCRUB_SECURITY_PROTOCOL": "SASL_SSL",
        "CLAIMSCRUB_SASL_USERNAME": "scrubber",
        "CLAIMSCRUB_LOG_LEVEL": "debug",
    }
    for number, name in enumerate(SECRETS):
        variable, secret = PREFIX + name.upper(), f"MARKED-{name}"
        if number % 2:
            (tmp_path / name).write_text(secret)
            environment[f"{variable}_FILE"] = str(tmp_path / name)
        else:
            environment[variable] = secret
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    return environment


IN = "claim.json"
COMMANDS = [
    ("acknowledge", IN), ("acknowledge", "--topics", "--out", "out"), ("check", IN), ("export", IN),
    ("export", "--topics", "--out", "out"), ("history", "key", IN), ("history", "show", "key"),
    ("reference", "import", IN, "--into", "out", "--quarter", "2026q4"), ("rules", "docs", "out"),
    ("replay", "--out", "again"), ("diff", "again"),
    ("rules", "explain", "UNT001"), ("rules", "keys", "out"), ("rules", "list"), ("rules", "new", "no", "name"),
    ("rules", "sign", "--key", IN, "--out", "signature"), ("rules", "test", "UNT001"), ("rules", "verify"),
    ("schema",), ("settings",), ("status", "import", "--dry-run", IN), ("submit", "absent"), ("topics", "create"),
    ("watch", "--since", "1h", "--until-now"), ("worker",), ("worker", "--workers", "2"),
]  # fmt: skip
RUN_ON = {"console", "demo"}
"""They have tests of their own, below and on the demo."""


def _every_command(group: click.Group = main, before: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found = set()
    for name, command in group.commands.items():
        found |= _every_command(command, (*before, name)) if isinstance(command, click.Group) else {(*before, name)}
    return found


def test_no_command_shows_a_secret(
    marked: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a command says, writes or fails with, of a secret there is nothing in it."""
    tried = {command[:length] for command in COMMANDS for length in (1, 2)}
    assert {each for each in _every_command() if each not in tried} <= {(each,) for each in RUN_ON}
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / IN).write_text(as_json(claim_content(lines=[a_line()])))
    said = []
    for command in COMMANDS:
        result = _run(*command)
        trace = "" if result.exc_info is None else "".join(traceback.format_exception(*result.exc_info))
        said.append(f"{command}: {result.output}{trace}")
    written = [path.read_text(errors="replace") for path in work.rglob("*") if path.is_file()]
    logged = capfd.readouterr()

    assert sum(map(len, said)) > 20_000
    assert [each for each in (*said, *written, *logged) if "MARKED" in each] == []
    assert "MARKED" not in repr(load_settings())


def test_the_console_shows_no_secret(marked: dict[str, str], tmp_path: Path) -> None:
    """Neither in its pages, its log and its answers to those it refuses, nor in what the system shows of it."""
    pipeline = Pipeline(Cluster("127.0.0.1:1"), "x-", tmp_path, extra=marked | {"CLAIMSCRUB_CONSOLE_PORT": "0"})
    pipeline.extra.pop("CLAIMSCRUB_MEMBER_KEY_SECRET", None)
    environment = {name: value for name, value in pipeline.environment.items() if name + "_FILE" not in marked}
    log = tmp_path / "console.log"
    with log.open("wb") as file:
        process = subprocess.Popen(pipeline.command("console"), env=environment, cwd=tmp_path, stdout=file, stderr=file)
    try:

        def address() -> str:
            assert process.poll() is None, log.read_text()
            lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
            return next((str(line["reason"]) for line in lines if line["event"] == "console"), "")

        url = eventually(address)
        told = [Path(f"/proc/{process.pid}/cmdline").read_text()]
        for path in ("/", "/flagged", "/dead-letters", "/rules", "/metrics", "/healthz", "/login", "/absent"):
            for headers in ({}, {"Authorization": "Bearer MARKED-console_token"}, {"Authorization": "Bearer wrong"}):
                try:
                    with urlopen(Request(url + path, headers=headers)) as page:
                        told.append(page.read().decode() + str(page.headers))
                except HTTPError as refused:
                    with refused:
                        told.append(refused.read().decode() + str(refused.headers))
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
    told.append(log.read_text())

    assert any("What is shown may be old" in each for each in told)  # the token was the right one
    assert [each for each in told if "MARKED" in each] == []
