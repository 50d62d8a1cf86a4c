"""What fails where nobody foresaw it is named by its kind and place: its words might repeat a claim."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.errors import KafkaTimeoutError

from rules import ClaimError
from tests.privacy.marks import PERSON_STEM, nowhere
from worker.failures import kind_and_place, said_of
from worker.kafka import KafkaProblemError

ROOT = Path(__file__).parents[2]
MARK = f"{PERSON_STEM}00001"
_LOGGED = f"""
import asyncio, logging, sys, threading, warnings
from worker.log import configure_logging, log
from worker.settings import Settings
configure_logging(Settings(log_format={{log_format!r}}, log_level="debug"))

def fail():
    raise KeyError("{MARK}")

def caught():
    try:
        fail()
    except KeyError as error:
        return error

error = caught()
logging.getLogger("mode.services").error("Crashed reason=%r", error, exc_info=error)
logging.getLogger("faust").exception("Error: %s", error, exc_info=error)
logging.getLogger("faust").error(error)
logging.getLogger("faust").error("%(what)r", {{{{"what": error}}}})
log.exception("ours", reason="no word of it", last_name="{MARK}", exc_info=error)
logging.getLogger("aiokafka.producer.producer").debug("Sending (key=%s value=%s)", b"{MARK}", b"{MARK}")
logging.getLogger("aiokafka.conn").debug("Request %s", b"{MARK}")
thread = threading.Thread(target=fail)
thread.start()
thread.join()

class Unraisable:
    def __del__(self):
        fail()

Unraisable()

async def forgotten():
    asyncio.ensure_future(asyncio.to_thread(fail))
    await asyncio.sleep(0.1)

asyncio.run(forgotten())
"""
_UNFORESEEN = f"""
from worker.terminal import clear_errors
with clear_errors():
    try:
        int("{MARK}")
    except ValueError as error:
        raise RuntimeError("{MARK}") from error
"""


def _run(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_log_names_kind_and_place(log_format: str) -> None:
    """Whoever logs it: a library, a thread, a task that nobody waited for, a finalizer, we; at level debug too."""
    ended = _run(_LOGGED.format(log_format=log_format))
    assert ended.returncode == 0
    assert ended.stderr.count("KeyError at") >= 6, ended.stderr
    nowhere([("log", ended.stderr), ("output", ended.stdout)])


def test_a_command_names_kind_place_and_way() -> None:
    """Python's own traceback would end with the words of the failure, and with those of what caused it."""
    ended = _run(_UNFORESEEN)
    assert ended.returncode == 3
    assert "RuntimeError at <string>:7" in ended.stderr
    assert 'File "<string>", line 7' in ended.stderr
    nowhere([("standard error", ended.stderr.replace(f'raise RuntimeError("{MARK}")', ""))])


def test_known_failures_say_what_they_say() -> None:
    """Ours and Kafka's own name topics, settings and fields, and stay whole; others lose their words."""
    assert said_of(KafkaProblemError("topic claims.flagged is missing")).endswith("topic claims.flagged is missing")
    assert said_of(ClaimError("lines[0].units", "not a number", "a number")).startswith("ClaimError: lines[0].units")
    assert said_of(KafkaTimeoutError("no answer")) == "KafkaTimeoutError: KafkaTimeoutError: no answer"
    assert said_of(FileNotFoundError(2, "No such file", "/a")) == "FileNotFoundError: [Errno 2] No such file: '/a'"
    assert said_of(KeyError(MARK)) == kind_and_place(KeyError(MARK)) == "KeyError at a place not known"
