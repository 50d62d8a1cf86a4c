"""`claimscrub console`: how it starts, waits and ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.worker_process import ROOT, eventually
from worker.folder import only_one


def environment(**settings: str) -> dict[str, str]:
    """That of a console whose brokers nobody is."""
    own = {"CLAIMSCRUB_BOOTSTRAP_SERVERS": "127.0.0.1:9", "CLAIMSCRUB_CONSOLE_PORT": "0", "PYTHONPATH": str(ROOT)}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CLAIMSCRUB_")},
        **own,
        **settings,
    }


def refused(**settings: str) -> str:
    """What a console says that does not start."""
    ended = subprocess.run(
        [sys.executable, "-m", "worker.cli", "console"],
        env=environment(**settings), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 3
    (said,) = [line for line in ended.stderr.splitlines() if line.startswith("claimscrub: ")]
    assert "Traceback" not in ended.stderr
    return said


def test_an_open_door_to_others_is_refused() -> None:
    """On all addresses it does not start with nothing asked, and says what to set."""
    assert "CLAIMSCRUB_CONSOLE_TOKEN" in refused(CLAIMSCRUB_CONSOLE_HOST="0.0.0.0")


def test_a_port_that_is_taken_is_told() -> None:
    """One sentence, and exit code 3."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        assert f"CLAIMSCRUB_CONSOLE_PORT={port}: Address already in use" in refused(CLAIMSCRUB_CONSOLE_PORT=port)


def test_a_folder_of_another_console_is_told(tmp_path: Path) -> None:
    """Two consoles don't write into one projection: the second says who is there, and exit code 3."""
    with only_one(tmp_path / ".claimscrub-console", "claimscrub console"):
        said = refused(CLAIMSCRUB_CONSOLE_DIRECTORY=str(tmp_path))
    assert said == f"claimscrub: another claimscrub console is at work in {tmp_path}; stop it first"


def test_without_its_packages_it_says_how_to_install_them(tmp_path: Path) -> None:
    """Where the extra is not installed, one sentence names it."""
    # A finder that knows no NiceGUI stands for an environment that has none.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'nicegui' else find(name, *more)\n"
    )
    assert "pip install claimscrub[console]" in refused(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A console without brokers, and its address."""
    log = tmp_path / "console.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli", "console"],
            env=environment(CLAIMSCRUB_LOG_FORMAT="json"), cwd=tmp_path, stdout=file, stderr=file,
        )  # fmt: skip
    try:

        def address() -> str:
            assert process.poll() is None, log.read_text()
            lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
            return next((str(line["reason"]) for line in lines if line["event"] == "console"), "")

        yield process, eventually(address)
        assert [path.name for path in tmp_path.iterdir()] == ["console.log"]
    finally:
        process.kill()
        process.wait()


def test_without_brokers_the_pages_are_up_and_say_so(alone: tuple[subprocess.Popen[bytes], str]) -> None:
    """It lives, is not ready, tells so on every page, and ends soon when told to, whatever it waits for."""
    process, url = alone
    with urlopen(f"{url}/healthz") as healthy:
        assert healthy.status == 200
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    with closing(connection):
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        assert answer.status == 503
        assert json.loads(answer.read())["missing"] != []
    for path in ("/", "/flagged", "/causes", "/dead-letters", "/overrides", "/rules"):
        with urlopen(url + path) as page:
            assert "What is shown may be old" in page.read().decode()
    process.send_signal(signal.SIGTERM)
    assert process.wait(8) == 0
