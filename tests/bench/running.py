"""A candidate's processes while they run: start, cost, memory, stop. Linux only, as it reads /proc."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.candidates import ROOT, Candidate

_STOP_SECONDS = 30.0


class Running:
    """A candidate's processes, each with a folder and a log of its own; a context manager that leaves none behind.

    Args:
        candidate: what to run.
        environment: its settings.
        log: start of the path of what it prints.
        folder: for what it keeps on disk; else that goes with the context.
    """

    def __init__(
        self, candidate: Candidate, environment: Mapping[str, str], log: Path, folder: Path | None = None
    ) -> None:
        self._name = candidate.name
        self._folder = tempfile.TemporaryDirectory(prefix="claimscrub-bench-")
        self._logs = [log.with_name(f"{log.name}-{number}.log") for number in range(1, candidate.processes + 1)]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLAIMSCRUB_")}
        self._processes: list[subprocess.Popen[bytes]] = []
        for number, path in enumerate(self._logs, 1):
            data = (folder or Path(self._folder.name)) / f"data-{number}"
            own = {"CLAIMSCRUB_DATA_DIRECTORY": str(data), "PYTHONPATH": str(ROOT)}
            with path.open("wb") as file:
                process = subprocess.Popen(
                    candidate.command,
                    env={**inherited, **environment, **candidate.settings, **own},
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                )
            self._processes.append(process)

    def check(self) -> None:
        """Make sure that all of them run.

        Raises:
            RuntimeError: one has ended; with the end of its log.
        """
        if any(process.poll() is not None for process in self._processes):
            raise RuntimeError(f"{self._name}: {self.last_words()}")

    def last_words(self) -> str:
        """How each of them is doing, and the end of its log."""
        said = []
        for process, path in zip(self._processes, self._logs, strict=True):
            state = "it runs" if process.poll() is None else f"it ended with status {process.returncode}"
            said.append("\n".join([f"{state}:", *path.read_text(errors="replace").splitlines()[-20:]]))
        return "\n".join(said)

    def cpu_seconds(self) -> float:
        """User and system time of all of them and their children, all their threads."""
        seconds = 0.0
        for pid in self._pids():
            with suppress(OSError):  # a child that has just ended
                # Linux's clock id of another process's CPU time, as clock_getcpuclockid(3) makes it: /proc has ticks.
                seconds += time.clock_gettime((~pid << 3) | 2)
        return seconds

    def memory_mb(self) -> float:
        """What they have in memory now."""
        return self._status_mb("VmRSS")

    def peak_memory_mb(self) -> float:
        """The most that each has had in memory so far, summed."""
        return self._status_mb("VmHWM")

    def stop(self) -> None:
        """End them in good order.

        Raises:
            RuntimeError: one ended badly.
            subprocess.TimeoutExpired: one did not end.
        """
        for process in self._processes:
            process.terminate()
        statuses = [process.wait(_STOP_SECONDS) for process in self._processes]
        if any(statuses):
            raise RuntimeError(f"{self._name}: {self.last_words()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._folder.cleanup()

    def _pids(self) -> list[int]:
        found = [process.pid for process in self._processes]
        for each in found:  # it grows while we go through it
            for task in Path(f"/proc/{each}/task").glob("*/children"):
                found += map(int, task.read_text().split())
        return found

    def _status_mb(self, field: str) -> float:
        """The sum of a field of /proc/<pid>/status, which counts in KiB."""
        statuses = (Path(f"/proc/{pid}/status").read_text() for pid in self._pids())
        found = (re.search(rf"^{field}:\s*(\d+)", status, re.MULTILINE) for status in statuses)
        return sum(int(match[1]) for match in found if match) / 1024
