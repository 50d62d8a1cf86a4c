"""`claimscrub submit --watch` on a real broker: each claim once, whatever happens to the process or the brokers."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from rules.engine.examples import claim_content
from tests.kafka_broker import KafkaBroker
from tests.worker_process import Pipeline, claim_event, eventually
from tests.x12.writer_837 import write_837

pytestmark = pytest.mark.broker


def _an_837(control_number: int, claims: int) -> str:
    contents = [claim_content(patient_control_number=f"P{number}") for number in range(claims)]
    return write_837(contents, interchange_control_number=f"{control_number:09}")


class _Watch:
    """A running `claimscrub submit --watch`; leaving the context stops it."""

    def __init__(self, pipeline: Pipeline, folder: Path, settle: float = 0.2) -> None:
        self._log_path = pipeline.folder / f"watch-{time.monotonic_ns()}.log"
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", "submit", "--watch", str(folder), "--settle", str(settle)],
                env=pipeline.environment, cwd=pipeline.folder, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        """At once, as a crash would."""
        self.process.kill()
        self.process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None and error is None:
            self.stop()
        self.kill()
        if error is not None:
            print(self.log[-4000:], file=sys.stderr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to watch."""
    made = tmp_path / "in"
    made.mkdir()
    return made


def _names(folder: Path) -> list[str]:
    """The files in a folder that are not hidden; none if there is no such folder."""
    return sorted(path.name for path in folder.glob("[!.]*") if path.is_file())


def _submitted(pipeline: Pipeline) -> Counter[str]:
    """How often each claim stands on the submitted topic, for readers of what is committed."""
    records = pipeline.kafka.read_all(pipeline.topics["submitted"])
    return Counter(json.loads(record.value() or b"")["claim_id"] for record in records)


def _committed(pipeline: Pipeline) -> int:
    """How far the submitted topic goes for readers of what is committed, over all partitions."""
    return sum(pipeline.kafka.end_offsets(pipeline.topics["submitted"], "read_committed").values())


def _wait_for_a_commit(pipeline: Pipeline, seconds: float) -> None:
    """Wait until one more transaction is committed, or for so long."""
    before, deadline = _committed(pipeline), time.monotonic() + seconds
    while _committed(pipeline) <= before and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_file_goes_on_after_what_was_submitted(pipeline: Pipeline, folder: Path) -> None:
    """Killed in the middle of a file, the watcher goes on after the last transaction that was committed."""
    claims = 25_000  # five transactions or more
    (folder / "large.ndjson").write_bytes(b"\n".join(claim_event(number) for number in range(claims)))
    with _Watch(pipeline, folder, settle=0) as watch:
        eventually(lambda: _committed(pipeline))
        watch.kill()
    with _Watch(pipeline, folder) as watch:
        eventually(lambda: _names(folder / "done") == ["large.ndjson"], 60)
        assert watch.stop() == 0

    submitted_before = re.search(r"large\.ndjson: going on after (\d+) claims", watch.log)
    assert submitted_before
    assert 0 < int(submitted_before[1]) < claims
    assert _submitted(pipeline) == Counter(f"C{number}" for number in range(claims))


def test_each_claim_is_submitted_once_over_kill_9(pipeline: Pipeline, folder: Path) -> None:
    """Killed at random moments again and again while files arrive, the watcher loses no claim and doubles none."""
    moments = random.Random(63685)
    sizes = [1, 6_000, 20, 200, 700, 4_000, *(moments.randint(1, 2_000) for _ in range(4))]
    expected: Counter[str] = Counter()
    for number, size in enumerate(sizes):
        if number % 3 == 2:
            expected.update(f"C{number * 100_000 + claim}" for claim in range(size))
            events = [claim_event(number * 100_000 + claim) for claim in range(size)]
            (folder / f"{number}.ndjson.tmp").write_bytes(b"\n".join(events))
            (folder / f"{number}.ndjson.tmp").rename(folder / f"{number}.ndjson")
        else:
            expected.update(f"SENDERID-{number:09}-1-0001-{claim}" for claim in range(1, size + 1))
            (folder / f"{number}.837").write_text(_an_837(number, size))
    kills = 0
    while kills < 5 or len(_names(folder / "done")) < len(sizes):
        with _Watch(pipeline, folder, settle=0) as watch:
            eventually(lambda watch=watch: "watching" in watch.log)  # type: ignore[misc]
            if kills % 3 == 2:
                _wait_for_a_commit(pipeline, seconds=5)  # else a slow machine would come no further
            else:
                time.sleep(moments.uniform(0.2, 1.6) if kills % 3 else moments.uniform(0, 0.6))
            kills += watch.process.poll() is None
            watch.kill()
        assert kills < 60, watch.log
    with _Watch(pipeline, folder) as watch:
        eventually(lambda: "watching" in watch.log)
        assert watch.stop() == 0

    assert _submitted(pipeline) == expected
    assert _names(folder) == _names(folder / "failed") == []
    assert list((folder / "submitting").iterdir()) == []


def test_only_complete_files_are_taken(pipeline: Pipeline, folder: Path) -> None:
    """A file that is still being written is left alone, as are hidden and unfinished ones; a renamed one is taken."""
    content = _an_837(1, 60)
    (folder / ".hidden.837").write_text(content)
    (folder / "unfinished.part").write_text(content)
    (folder / "unfinished.TMP").write_text(content)
    with _Watch(pipeline, folder, settle=2) as watch:
        eventually(lambda: "watching" in watch.log)
        with (folder / "slow.837").open("w") as slow:
            for start in range(0, len(content), len(content) // 20 + 1):
                slow.write(content[start : start + len(content) // 20 + 1])
                slow.flush()
                time.sleep(0.2)
                assert sum(pipeline.kafka.end_offsets(pipeline.topics["submitted"]).values()) == 0
        eventually(lambda: _names(folder / "done") == ["slow.837"])
        (folder / "unfinished.part").rename(folder / "renamed.837")
        eventually(lambda: _names(folder / "done") == ["renamed.837", "slow.837"])
        assert watch.stop() == 0

    assert set(_submitted(pipeline).values()) == {2}
    assert _names(folder) == ["unfinished.TMP"]


def test_what_is_unreadable_goes_to_failed_with_its_reasons(pipeline: Pipeline, folder: Path) -> None:
    """Readable claims are submitted; a file with unreadable parts is kept, its reasons and broken claims beside it."""
    (folder / "good.837").write_text(_an_837(1, 2))
    (folder / "half.ndjson").write_bytes(claim_event(1) + b"\nbroken\n" + claim_event(2))
    (folder / "half.837").write_text(_an_837(2, 2).replace("CLM*", "CLM*P*broken*", 1))
    (folder / "junk").write_bytes(b"\x7fELF" + bytes(range(256)) * 100)
    with _Watch(pipeline, folder) as watch:
        eventually(lambda: len(_names(folder / "failed")) == 7)
        (folder / "half.ndjson").write_bytes(b"broken again")
        eventually(lambda: len(_names(folder / "failed")) == 9)
        mended = (folder / "failed" / "half.837.broken.837").read_text().replace("CLM*P*broken*", "CLM*")
        (folder / "mended.837").write_text(mended)
        eventually(lambda: "mended.837" in _names(folder / "done"))
        assert watch.stop() == 0
        log = watch.log

    assert _names(folder / "done") == ["good.837", "mended.837"]
    failed = ("half.837", "half.ndjson", "half-2.ndjson", "junk")
    assert _names(folder / "failed") == sorted(
        [*failed, *(f"{name}.errors.txt" for name in failed), "half.837.broken.837"]
    )
    reasons = (folder / "failed" / "half.ndjson.errors.txt").read_text()
    assert "submitted: 2" in reasons
    assert "half.ndjson:2: $: not JSON" in reasons
    assert "interchange 000000002" in (folder / "failed" / "half.837.errors.txt").read_text()
    assert set(_submitted(pipeline)) == {
        "C1",
        "C2",
        "SENDERID-000000001-1-0001-1",
        "SENDERID-000000001-1-0001-2",
        "SENDERID-000000002-1-0001-2",
        "SENDERID-000000002-1-0001C1-1",
    }
    assert "half.ndjson: claims submitted: 2, unreadable parts: 1" in log


def test_a_file_that_comes_again_is_a_new_submission(pipeline: Pipeline, folder: Path) -> None:
    """The same content dropped again is submitted again, and nothing under `done` is overwritten."""
    with _Watch(pipeline, folder) as watch:
        for count in (1, 2):
            (folder / "same.837").write_text(_an_837(1, 3))
            eventually(lambda count=count: len(_names(folder / "done")) == count)  # type: ignore[misc]
        assert watch.stop() == 0
    (folder / "same.837").write_text(_an_837(1, 3))
    with _Watch(pipeline, folder):
        eventually(lambda: len(_names(folder / "done")) == 3)

    assert _names(folder / "done") == ["same-2.837", "same-3.837", "same.837"]
    assert set(_submitted(pipeline).values()) == {3}


def test_an_old_submission_that_kafka_has_forgotten_is_not_guessed_at(pipeline: Pipeline, folder: Path) -> None:
    """A file begun long ago of which Kafka remembers nothing stops the watcher, as its claims may be on the topic."""
    begun = folder / "submitting" / "0123456789abcdef"
    begun.mkdir(parents=True)
    (begun / "a.837").write_text(_an_837(1, 3))
    two_days_ago = time.time() - 2 * 86_400
    os.utime(begun, (two_days_ago, two_days_ago))
    ended = pipeline.run("submit", "--watch", str(folder))

    assert ended.returncode == 3
    assert "Kafka holds no record" in ended.stderr
    assert (begun / "a.837").exists()

    os.utime(begun)
    with _Watch(pipeline, folder):
        eventually(lambda: _names(folder / "done") == ["a.837"])
    assert set(_submitted(pipeline).values()) == {1}


def test_a_second_watcher_is_refused(pipeline: Pipeline, folder: Path, tmp_path: Path) -> None:
    """On one machine the second ends at once; where no lock reaches, the first ends when the second takes over."""
    with _Watch(pipeline, folder) as first:
        eventually((folder / "submitting").is_dir)
        (folder / "a.837").write_text(_an_837(1, 3))
        eventually(lambda: _names(folder / "done") == ["a.837"])
        second = pipeline.run("submit", "--watch", str(folder))
        assert second.returncode == 3
        assert "another claimscrub submit --watch is at work" in second.stderr

        elsewhere = tmp_path / "same folder as another machine sees it"
        elsewhere.mkdir()
        (elsewhere / ".claimscrub-watch").write_bytes((folder / ".claimscrub-watch").read_bytes())
        (elsewhere / "b.837").write_text(_an_837(2, 3))
        with _Watch(pipeline, elsewhere):
            eventually(lambda: _names(elsewhere / "done") == ["b.837"])
            (folder / "c.837").write_text(_an_837(3, 3))
            assert first.process.wait(20) == 3
        assert "has taken over" in first.log
        assert "Traceback" not in first.log
    with _Watch(pipeline, folder):
        eventually(lambda: _names(folder / "done") == ["a.837", "c.837"])

    assert set(_submitted(pipeline).values()) == {1}
    assert len(_submitted(pipeline)) == 9


def test_silent_brokers_are_waited_for(tmp_path: Path, topic_prefix: str) -> None:
    """While the broker is down the watcher says so and waits; back again, every claim is there once."""
    folder = tmp_path / "in"
    folder.mkdir()
    with KafkaBroker(tmp_path / "broker") as broker:
        pipeline = Pipeline(broker, topic_prefix, tmp_path)
        pipeline.create_topics()
        with _Watch(pipeline, folder, settle=0) as watch:
            eventually(lambda: "watching" in watch.log)
            for number in range(4):
                (folder / f"{number}.837").write_text(_an_837(number, 4_000))
            eventually(lambda: _names(folder / "done"))
            broker.kill()
            eventually(lambda: "waiting for the brokers" in watch.log)
            broker.start()
            eventually(lambda: len(_names(folder / "done")) == 4, 60)
            assert watch.stop() == 0

        assert set(_submitted(pipeline).values()) == {1}
        assert len(_submitted(pipeline)) == 16_000
