"""`claimscrub watch` beside a real worker."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from typing import Any, Self

import pytest
from click.testing import CliRunner, Result

from tests.worker_process import Pipeline, claim_event, eventually
from worker.cli import main

pytestmark = pytest.mark.broker


class _Watch:
    """A running `claimscrub watch`, whose standard output is a pipe."""

    def __init__(self, pipeline: Pipeline, *options: str) -> None:
        self.process = subprocess.Popen(
            pipeline.command("watch", *options),
            env=pipeline.environment, cwd=pipeline.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self.said: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, lines))
            for pipe, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.said))
        ]
        for reader in self._readers:
            reader.start()

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)

    @staticmethod
    def _read(pipe: Any, lines: list[str]) -> None:
        lines.extend(iter(pipe.readline, ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


def _look(pipeline: Pipeline, *options: str) -> Result:
    """The command, in this process."""
    return CliRunner(env=pipeline.environment).invoke(main, ["watch", *options])


def _claims(output: str) -> list[str]:
    return [json.loads(line)["claim_id"] for line in output.splitlines()]


def test_flagged_claims_are_shown_as_they_come(pipeline: Pipeline) -> None:
    """What is there, in the order of time over all partitions; what comes; until told to end, or nobody reads."""
    with pipeline.worker() as worker:
        for batch in range(3):
            numbers = range(batch * 8, batch * 8 + 8)
            pipeline.send([(None, claim_event(each, flagged=each % 4 != 3)) for each in numbers])
            pipeline.wait_for_all()
        looked = _look(pipeline, "--since", "1h", "--until-now", "--json")
        assert (looked.exit_code, looked.stderr) == (0, "")
        claims = _claims(looked.stdout)
        assert sorted(claims) == sorted(f"C{number}" for number in range(24) if number % 4 != 3)
        assert [int(each[1:]) // 8 for each in claims] == [0] * 6 + [1] * 6 + [2] * 6
        one = _look(pipeline, "--since", "1h", "--claim", "c17", "--rule", "UNT", "-n", "1")
        assert one.exit_code == 0
        assert one.stdout.splitlines()[0].split("  ")[1] == "C17"
        with _Watch(pipeline, "--json", "--deadletters", "--since", "1h") as following:
            eventually(lambda: len(following.lines) == len(claims))  # from here on it follows
            pipeline.send([(b"k", b"not a claim")])
            eventually(lambda: "reason" in json.loads(following.lines[-1]))  # the dead letter
            pipeline.send([(None, claim_event(100, flagged=True))])
            eventually(lambda: _claims("".join(following.lines))[-1] == "C100")
            assert following.stop(signal.SIGTERM) == 0
        assert following.said == []
        worker.terminate()
    headed = subprocess.Popen(
        pipeline.command("watch", "--since", "1h"),
        env=pipeline.environment, cwd=pipeline.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with headed:
        assert headed.stdout is not None
        assert headed.stderr is not None
        assert headed.stdout.readline()
        headed.stdout.close()
        assert (headed.wait(20), headed.stderr.read()) == (0, "")
    pipeline.extra["CLAIMSCRUB_FLAGGED_TOPIC"] = "none"
    missing = _look(pipeline)
    assert missing.exit_code == 3
    assert "no topic none; make it with: claimscrub topics create" in missing.stderr
