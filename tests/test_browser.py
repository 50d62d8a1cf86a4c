"""The browser of the tests: it is found, or the run says how to get one; and it reaches nothing but this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import INSTALL, VARIABLE, NoBrowserError, find_chromium, visit


def test_a_browser_is_found_by_its_usual_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chrome will do where Chromium is not installed."""
    chrome = tmp_path / "google-chrome"
    chrome.write_text("#!/bin/sh\n")
    chrome.chmod(0o755)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_chromium() == str(chrome)


def test_a_browser_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable goes before what is installed, and a wrong one is named."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))

    with pytest.raises(NoBrowserError, match=f"{VARIABLE} names .*none, which is no program"):
        find_chromium()
    monkeypatch.setenv(VARIABLE, "/bin/sh")

    assert find_chromium() == "/bin/sh"


def test_without_a_browser_the_command_that_installs_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none is installed and there is no apt-get, the run fails with what to do."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NoBrowserError) as refused:
        find_chromium()

    assert INSTALL in str(refused.value)
    assert VARIABLE in str(refused.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs packages, and this user is not root")
@pytest.mark.parametrize(("code", "end"), [(0, "installed"), (1, "said: no such package")])
def test_root_installs_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, end: str) -> None:
    """Debian's package is installed, and its program used; where that fails, what apt-get said is passed on."""
    tool = tmp_path / "apt-get"
    put = f"printf '#!/bin/sh\\n' > {tmp_path}/chromium; chmod +x {tmp_path}/chromium" if code == 0 else "true"
    tool.write_text(f"#!/bin/sh\n[ $1 = install ] || exit 0\n{put}\necho no such package >&2\nexit {code}\n")
    tool.chmod(0o755)
    (tmp_path / "sh").symlink_to("/bin/sh")
    (tmp_path / "chmod").symlink_to("/bin/chmod")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    if end == "installed":
        assert find_chromium() == str(tmp_path / "chromium")
    else:
        with pytest.raises(NoBrowserError, match=end):
            find_chromium()


def test_a_run_without_a_browser_fails(tmp_path: Path) -> None:
    """A test that asks for the browser fails, and is not skipped."""
    (tmp_path / "test_page.py").write_text("def test_page(chromium):\n    pass\n")
    root = Path(__file__).parents[1]
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-q", str(tmp_path)]
    environment = {**os.environ, VARIABLE: str(tmp_path / "none"), "PYTHONPATH": str(root)}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options], env=environment, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    assert f"{VARIABLE} names" in ran.stdout


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>Here</title><img src='http://example.invalid/pixel.png'>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """A page that asks for something of another machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_a_page_asks_of_other_machines_is_refused_and_noted(browser: Browser, site: str) -> None:
    """Nothing leaves the machine, and a test can tell that something wanted to."""
    with visit(browser, site, width=390, scheme="dark") as made:
        made.page.goto("/", wait_until="networkidle")

        assert made.page.title() == "Here"
        assert made.page.viewport_size == {"width": 390, "height": 900}
        assert made.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        assert made.outside == ["http://example.invalid/pixel.png"]
