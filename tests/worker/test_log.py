"""What gets into the log: only what is listed, as one line of JSON where nobody watches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import structlog

from worker.log import Lines

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, structlog
from worker.log import configure_logging
from worker.settings import Settings
configure_logging(Settings(log_format={log_format!r}, log_level={log_level!r}))
log = structlog.get_logger("claimscrub.worker")
log.info("claims", claims=3, last_name="MARKED", member_number="MARKED")
log.debug("noise")
logging.getLogger("aiokafka").warning("a library speaks")
logging.getLogger("aiokafka").info("a library whispers")
"""


def _run(log_format: str, log_level: str = "info") -> list[str]:
    code = PROGRAM.format(log_format=log_format, log_level=log_level)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert shown.stdout == ""
    return shown.stderr.splitlines()


def test_json_lines_hold_listed_keys_only() -> None:
    """A key that is not on the list does not get through, whoever passes it; libraries are heard from warnings on."""
    lines = [json.loads(line) for line in _run("json")]

    assert [line["event"] for line in lines] == ["claims", "a library speaks"]
    assert lines[0]["claims"] == 3
    assert "MARKED" not in json.dumps(lines)
    assert all({"level", "timestamp"} <= set(line) for line in lines)


def test_without_a_terminal_auto_is_json() -> None:
    """In a container the log is JSON unless told otherwise."""
    assert json.loads(_run("auto")[0])["event"] == "claims"
    assert not _run("console")[0].startswith("{")


def test_debug_shows_everything() -> None:
    """With level debug, ours and the libraries' whispers are shown."""
    events = [json.loads(line)["event"] for line in _run("json", "debug")]

    assert {"noise", "a library whispers"} <= set(events)


def test_a_log_that_can_t_be_written_stops_nothing() -> None:
    """On a full disk, in a closed pipe and in one that nobody empties lines are dropped, and the program goes on."""
    code = PROGRAM.format(log_format="json", log_level="info") + "for _ in range(2_000): log.info('claims' * 100)\n"
    code += "print('done')\n"
    closed, unread = os.pipe(), os.pipe()
    os.close(closed[0])
    with Path("/dev/full").open("wb") as full:
        for target in (full.fileno(), closed[1], unread[1]):
            ended = subprocess.run(
                [sys.executable, "-c", code],
                stdout=subprocess.PIPE, stderr=target, env={**os.environ, "PYTHONPATH": str(ROOT)},
                timeout=60, check=False,
            )  # fmt: skip
            assert ended.returncode == 0
            assert ended.stdout == b"done\n"
    for each in (closed[1], *unread):
        os.close(each)


def test_dropped_lines_are_counted() -> None:
    """When a pipe is emptied again, the log says how many lines are missing, and each line that is there is whole."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        lines = Lines(stream)
        line = "x" * 1_000 + "\n"
        for _ in range(200):
            lines.write(line)
        read = os.read(reading, 1_000_000).decode()
        with structlog.testing.capture_logs() as said:
            lines.write(line)
    os.close(reading)

    assert set(read.splitlines(keepends=True)) == {line}
    assert said == [{"event": "log lines dropped", "records": 200 - read.count("\n"), "log_level": "warning"}]


def test_each_line_names_the_worker() -> None:
    """With a name of its own, a worker's lines and those of its libraries carry it."""
    code = PROGRAM.format(log_format="json", log_level="info").replace("Settings(", "Settings(instance_id='host-2', ")
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    assert [json.loads(line)["instance_id"] for line in shown.stderr.splitlines()] == ["host-2", "host-2"]
