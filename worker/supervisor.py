"""Several workers on one machine: started, watched, restarted and stopped by one process.

Each worker is a process with a data directory and a name in the consumer group of its own. Its standard input is a pipe
whose other end only the supervisor holds: should that be killed, the workers come to the end of the pipe and stop.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import structlog
from prometheus_client.core import Metric as Family

from rules.engine.policy import ReferenceDataError
from worker import metrics
from worker.data_directory import Sign, data_directory
from worker.deadletter import DeadLetterFloodError
from worker.metrics import counter, exposition, gauge, process_families
from worker.rulebook import require_signature
from worker.settings import PREFIX, Settings
from worker.signing import RulesMismatchError, SignatureProblemError
from worker.terminal import CLEARED, FAILED, FLOOD

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
_GOOD_RUN_SECONDS = 60.0
"""Who ran this long is restarted as after a first failure."""
GRACE_SECONDS = 5.0
"""For a stopping worker, beyond what it waits for its last batches."""
_REBALANCE_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_ALIVE_SECONDS = 5.0
_HUNG_SECONDS = 30.0
_ANSWER_SECONDS = 2.0
"""For a worker's own answer to whether it is ready."""

_ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104
_without_proxy = build_opener(ProxyHandler({}))

log = structlog.get_logger("claimscrub.supervisor")


def stop_with_supervisor(settings: Settings) -> None:
    """In a worker: stop as on SIGTERM when the supervisor is gone."""

    def watch() -> None:
        os.read(0, 1)  # sys.stdin has a lock that this thread must not hold when the interpreter ends
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_patience(settings))
        os._exit(FAILED)

    threading.Thread(target=watch, name="supervised", daemon=True).start()


def _reached_at(host: str) -> str:
    """Where what listens on an address is asked from this machine."""
    return _ALL_ADDRESSES.get(host, f"[{host}]" if ":" in host else host)


def _patience(settings: Settings) -> float:
    return settings.stop_timeout_seconds + GRACE_SECONDS


class _Worker:
    """One of the workers, over all its restarts."""

    def __init__(self, settings: Settings, number: int, folder: Path) -> None:
        self.number = number
        self.starts = 0
        port = settings.metrics_port and settings.metrics_port + number
        self._metrics_port = port
        self._address = f"http://{_reached_at(settings.metrics_host)}:{port}" if port else ""
        self.instance_id = f"{settings.instance_id or socket.gethostname()}-{number}"
        self._patience = _patience(settings)
        self._folder = folder / f"worker-{number}"
        self._ready = self._folder / "ready"
        self._log = log.bind(worker=number, instance_id=self.instance_id)
        self._process: asyncio.subprocess.Process | None = None
        self._no_pause = asyncio.Event()
        self._stopping = asyncio.Event()
        self.exit_code = CLEARED
        """Of its last end, if that was ordered."""

    async def keep(self) -> None:
        """Run it, again and again, until it is stopped.

        Raises:
            DeadLetterFloodError: it met a flood of dead letters, and so would the next one.
        """
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            self._no_pause.clear()
            began = time.monotonic()
            code = await self._run()
            ran = time.monotonic() - began
            tell = self._log.info if code == CLEARED else self._log.warning
            tell("worker ended", exit_code=code, seconds=round(ran, 1))
            if code == FLOOD:
                said = f"worker {self.number} met a flood of dead letters, and all workers are stopped."
                raise DeadLetterFloodError(
                    f"{said} Repair the sender, or raise {PREFIX}DEADLETTER_SHARE to let them pass"
                )
            if self._stopping.is_set():
                self.exit_code = code
                return
            if ran >= _GOOD_RUN_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            if not self._no_pause.is_set():
                self._log.info("worker restarts", seconds=pause)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._no_pause.wait(), pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _run(self) -> int:
        Sign(self._ready).hide()  # of a worker that was killed
        environment = {
            **os.environ,
            f"{PREFIX}DATA_DIRECTORY": str(self._folder),
            f"{PREFIX}INSTANCE_ID": self.instance_id,
            f"{PREFIX}METRICS_PORT": str(self._metrics_port),
        }
        self.starts += 1
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker.cli", "worker", "--supervised"),
            stdin=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,  # a terminal's Ctrl-C is for the supervisor, which passes it on
        )
        self._log.info("worker started", pid=self._process.pid)
        if self._stopping.is_set():
            self._signal(signal.SIGTERM)
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop it for good; kill it if it does not end."""
        self._stopping.set()
        await self._end()

    async def restart(self) -> None:
        """Stop it; it comes again without a pause."""
        await self._end()

    async def _end(self) -> None:
        self._no_pause.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self._patience)
        except TimeoutError:
            self._log.warning("worker killed", reason=f"it did not end within {self._patience:g} s")
            self._signal(signal.SIGKILL)
            await process.wait()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.returncode is None

    def is_ready(self) -> bool:
        """Whether it has joined the group."""
        return self.is_running() and self._ready.exists()

    def missing(self) -> list[str]:
        """Why it is not ready, as it says itself."""
        if not self.is_running():
            return ["not running"]
        try:
            with _without_proxy.open(f"{self._address}/readyz", timeout=_ANSWER_SECONDS):
                return []
        except HTTPError as answer:
            with answer:
                return [str(each) for each in json.loads(answer.read())["missing"]]
        except (OSError, ValueError, LookupError):
            return ["does not answer"]

    def hangs(self) -> bool:
        """Whether its event loop has not turned for long."""
        try:
            return self.is_ready() and time.time() - (self._folder / "alive").stat().st_mtime > _HUNG_SECONDS
        except OSError:
            return False


class Supervisor:
    """Runs workers, and says how they are.

    Args:
        settings: as checked; the workers read them anew from the environment.
        workers: how many.
    """

    def __init__(self, settings: Settings, workers: int) -> None:
        self._settings = settings
        self._wanted = workers
        self._workers: list[_Worker] = []
        self._ready_seconds = settings.startup_timeout_seconds + settings.session_timeout_seconds + _REBALANCE_SECONDS
        self._told_to_stop = asyncio.Event()
        self._told_to_restart = asyncio.Event()

    def supervise(self, partitions: int) -> int:
        """Run the workers until SIGTERM or SIGINT; SIGHUP restarts them one after another.

        Args:
            partitions: of the submitted topic.

        Returns:
            The exit code: 0 if each worker ended in good order.

        Raises:
            DeadLetterFloodError: a worker met a flood of dead letters.
            SettingsError: the data directory can't be written to.
        """
        if self._wanted > partitions:
            reason = f"a partition is read by one worker: {self._wanted - partitions} will only stand by"
            log.warning("more workers than partitions", workers=self._wanted, partitions=partitions, reason=reason)
        with data_directory(self._settings) as folder:
            self._alive = Sign(folder / "alive")
            self._workers = [_Worker(self._settings, number, folder) for number in range(1, self._wanted + 1)]
            return asyncio.run(self._run())

    # ---- the endpoint's questions

    def hung(self) -> list[str]:
        """Why it does not count as alive: workers whose event loop has not turned for long."""
        return [f"worker {each.number}: event loop has not turned for {_HUNG_SECONDS:g} s" for each in self._hung()]

    def missing(self) -> list[str]:
        """Why not all workers are ready."""
        workers = self._workers
        if not workers:
            return ["workers: not started yet"]
        with ThreadPoolExecutor(len(workers)) as threads:
            answers = list(threads.map(_Worker.missing, workers))
        return [
            f"worker {worker.number}: {problem}"
            for worker, problems in zip(workers, answers, strict=True)
            for problem in problems
        ]

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The text for Prometheus, and its content type."""
        return exposition(self._families(), accept)

    def _families(self) -> Iterator[Family]:
        missing = self.missing()
        not_ready = {problem.partition(":")[0] for problem in missing} if self._workers else set()
        states: dict[metrics.Labels, float] = {
            ("wanted",): self._wanted,
            ("running",): sum(worker.is_running() for worker in self._workers),
            ("ready",): len(self._workers) - len(not_ready),
        }
        yield gauge(metrics.READY, not missing)
        yield gauge(metrics.SUPERVISED_WORKERS, states)
        yield counter(metrics.WORKER_STARTS, {(str(worker.number),): worker.starts for worker in self._workers})
        yield from process_families()

    def _hung(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.hangs()]

    # ---- running

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._told_to_restart.set)
        kept = [asyncio.create_task(worker.keep()) for worker in self._workers]
        background = [asyncio.create_task(each) for each in (self._restart_in_turn(), self._show_life())]
        told = asyncio.create_task(self._told_to_stop.wait())
        await asyncio.wait([told, *kept], return_when=asyncio.FIRST_COMPLETED)
        for task in [told, *background]:
            task.cancel()
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        await asyncio.gather(*kept)
        # One that was told to stop before it could listen ends by the signal itself.
        in_order = all(worker.exit_code in {CLEARED, -signal.SIGTERM} for worker in self._workers)
        return CLEARED if in_order else FAILED

    async def _restart_in_turn(self) -> None:
        while True:
            await self._told_to_restart.wait()
            self._told_to_restart.clear()
            try:
                await asyncio.to_thread(require_signature, self._settings)
            except (ReferenceDataError, RulesMismatchError, SignatureProblemError) as error:
                # A worker that is stopped now would not start again.
                log.error("rolling restart refused", reason=str(error))  # noqa: TRY400  (the reason says it all)
                continue
            log.info("rolling restart", workers=len(self._workers))
            for worker in self._workers:
                await worker.restart()
                if not await self._is_ready_in_time(worker):
                    reason = f"worker {worker.number} is not ready after {self._ready_seconds:g} s; the others stay as"
                    log.error("rolling restart given up", worker=worker.number, reason=f"{reason} they are")
                    break
            else:
                log.info("rolling restart done", workers=len(self._workers))

    async def _is_ready_in_time(self, worker: _Worker) -> bool:
        deadline = time.monotonic() + self._ready_seconds
        while not worker.is_ready():
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def _show_life(self) -> None:
        while True:
            if not self._hung():
                self._alive.show()
            await asyncio.sleep(_ALIVE_SECONDS)
