"""A real browser for the tests of the console's pages: the Chromium or Chrome of this machine, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
VARIABLE = "CLAIMSCRUB_TEST_CHROMIUM"
INSTALL = "apt-get update && apt-get install -y --no-install-recommends chromium"
_NEEDED = (
    f"the browser tests need Chromium or Chrome: install it (on Debian, as root: {INSTALL}),"
    f" or name yours in {VARIABLE}"
)
_INSTALL_SECONDS = 300
_TALLEST = 5_000
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Scheme = Literal["light", "dark"]

expect.set_options(timeout=20_000)  # instead of five seconds: a machine may have other work to do


class NoBrowserError(RuntimeError):
    """There is no browser, and none could be installed; the message names the command that does it."""


def find_chromium(installs: bool = True) -> str:
    """The path of an installed Chromium or Chrome.

    Args:
        installs: install Debian's where there is none and this user may.

    Raises:
        NoBrowserError: there is none.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if shutil.which(named) is None:
            raise NoBrowserError(f"{VARIABLE} names {named}, which is no program; name an installed Chromium or Chrome")
        return named
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and installs:
        _install()
        return find_chromium(installs=False)
    if found is None:
        raise NoBrowserError(_NEEDED)
    return found


def _install() -> None:
    """Debian's package, where root runs the tests."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(
            ["sh", "-c", INSTALL], env=environment, timeout=_INSTALL_SECONDS, capture_output=True, check=True, text=True
        )
    except subprocess.TimeoutExpired:
        raise NoBrowserError(f"{_NEEDED}; that did not end within {_INSTALL_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["nothing"])[-1]
        raise NoBrowserError(f"{_NEEDED}; that failed here, and said: {said}") from None


@dataclass
class Visit:
    """One page, and what went wrong on it.

    Attributes:
        outside: addresses beyond this machine that were asked for; none of them was answered.
        problems: what the page's own scripts complained about.
    """

    page: Page
    outside: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@contextmanager
def running_browser(chromium: str) -> Iterator[Browser]:
    """Chromium without a window."""
    # Chromium's sandbox does not work for root.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*_QUIET, *sandbox])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(
    browser: Browser, base_url: str, width: int = 1280, height: int = 900, scheme: Scheme = "light"
) -> Iterator[Visit]:
    """A page of its own, without the cookies of others, that reaches nothing but this machine.

    Args:
        browser: as `running_browser` gives it.
        base_url: what the addresses of pages are relative to.
        width: of the window.
        height: of the window.
        scheme: what the user's system prefers.
    """
    context = browser.new_context(
        base_url=base_url, viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    try:
        made = Visit(context.new_page())
        _watch(context, made)
        yield made
    finally:
        context.close()


def _watch(context: BrowserContext, visit: Visit) -> None:
    def pass_on(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.hostname not in _HERE:
            visit.outside.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    context.route("**/*", pass_on)
    visit.page.on("websocket", lambda socket: _note_outside(visit, socket.url))
    visit.page.on("pageerror", lambda error: visit.problems.append(str(error)))
    visit.page.on("console", lambda message: visit.problems.append(message.text) if message.type == "error" else None)


def _note_outside(visit: Visit, url: str) -> None:
    if urlsplit(url).hostname not in _HERE:
        visit.outside.append(url)


def screenshot(page: Page, name: str) -> Path:
    """Save what the page looks like, in full unless it is very long, for people to look at."""
    path = Path(__file__).parents[1] / "build" / "screenshots" / f"{name}.png"
    height = page.evaluate("document.documentElement.scrollHeight")
    page.screenshot(path=path, full_page=height <= _TALLEST)
    return path
