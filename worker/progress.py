"""How far something has come that takes a while: a bar in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from worker.terminal import say

_SAY_EVERY_SECONDS = 5.0

Step = Callable[[int], None]
"""Told how much more is done."""


@contextmanager
def progress(what: str, total: int, unit: str, done: int = 0) -> Iterator[Step]:
    """Show on standard error how much of something is done.

    Args:
        what: is done.
        total: how much there is to do.
        unit: of that, in the plural.
        done: how much of it was done before.
    """
    if sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(unit),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total, completed=done)
            yield lambda more: bar.advance(task, more)
    else:
        yield _Lines(what, total, unit, done).advance


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """How fast it goes."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {self._unit}/s")


class _Lines:
    def __init__(self, what: str, total: int, unit: str, done: int) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._done = self._before = done
        self._began = self._said = time.monotonic()

    def advance(self, more: int) -> None:
        self._done += more
        now = time.monotonic()
        if now - self._said < _SAY_EVERY_SECONDS:
            return
        self._said = now
        speed = (self._done - self._before) / max(now - self._began, 1e-9)
        left = f", {(self._total - self._done) / speed:,.0f} s left" if speed else ""
        say(f"{self._what}: {self._done:,} of {self._total:,} {self._unit}, {speed:,.0f} a second{left}")
