"""What gets into the log: only what is listed, as one line of JSON where nobody watches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
