"""One candidate's run over the claims that stand in a topic: how fast, at what cost. Linux only, as it reads /proc."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.kafka_broker import Cluster

ROOT = Path(__file__).parents[2]
MARKS = (0.15, 0.90)
"""What is measured lies between these shares of the outputs: start-up and end are left out."""

_SAMPLE_SECONDS = 0.05
_STALLED_SECONDS = 60.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Candidate:
    """A worker to measure: a command that reads the settings `CLAIMSCRUB_*` and runs until SIGTERM."""

    name: str
    command: tuple[str, ...]


class Figures(NamedTuple):
    """What one run gave."""

    claims_per_second: float
    cpu_us_per_claim: float
    peak_memory_mb: float


class _Sample(NamedTuple):
    done: int
    wall: float
    cpu: float


def measure(
    cluster: Cluster,
    candidate: Candidate,
    *,
    environment: Mapping[str, str],
    submitted: str,
    outputs: Sequence[str],
    log: Path,
) -> Figures:
    """Run a candidate until every claim has an output, and stop it.

    Args:
        cluster: where the topics are.
        candidate: what to run.
        environment: the settings it runs with.
        submitted: topic with the claims.
        outputs: its three output topics, empty.
        log: file for what it prints.

    Raises:
        RuntimeError: it ended by itself, got stuck, ended badly, or left a claim without an output.
    """
    inputs = cluster.end_offsets(submitted)
    total = sum(inputs.values())
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    latest = {TopicPartition(topic, partition): OffsetSpec.latest() for topic in outputs for partition in inputs}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLAIMSCRUB_")}
    with log.open("wb") as file:
        process = subprocess.Popen(
            candidate.command,
            env={**inherited, **environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        samples = [_Sample(0, time.monotonic(), 0.0)]
        changed = time.monotonic()
        while samples[-1].done < total:
            time.sleep(_SAMPLE_SECONDS)
            try:
                done = sum(answer.result().offset for answer in admin.list_offsets(latest).values())
            except KafkaException:  # a broker may be a moment late to know that it leads a partition just made
                done = samples[-1].done
            now = time.monotonic()
            if process.poll() is not None or now - changed > _STALLED_SECONDS:
                raise RuntimeError(f"{candidate.name}: {done} of {total} claims done, then {_end(process, log)}")
            if done > samples[-1].done:
                changed = now
            samples.append(_Sample(done, now, _cpu_seconds(process.pid)))
        memory = _peak_memory_mb(process.pid)
        process.terminate()
        if process.wait(_STOP_SECONDS):
            raise RuntimeError(f"{candidate.name}: {_end(process, log)}")
    finally:
        process.kill()
        process.wait()
    answered: Counter[int] = Counter()
    for topic in outputs:
        answered.update(cluster.end_offsets(topic))
    if answered != Counter(inputs):
        raise RuntimeError(f"{candidate.name}: by partition there are claims {inputs}, outputs {dict(answered)}")
    first, last = (_at(samples, share * total) for share in MARKS)
    claims = (MARKS[1] - MARKS[0]) * total
    return Figures(claims / (last.wall - first.wall), (last.cpu - first.cpu) / claims * 1e6, memory)


def _at(samples: Sequence[_Sample], count: float) -> _Sample:
    """Time and CPU when that many outputs were there, interpolated."""
    number = next(number for number, sample in enumerate(samples) if sample.done >= count)
    before, after = samples[number - 1], samples[number]
    share = (count - before.done) / (after.done - before.done)
    return _Sample(
        round(count), before.wall + share * (after.wall - before.wall), before.cpu + share * (after.cpu - before.cpu)
    )


def _end(process: subprocess.Popen[bytes], log: Path) -> str:
    last = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    state = "it got stuck" if process.poll() is None else f"it ended with status {process.returncode}"
    return f"{state}:\n{last}"


def _with_children(pid: int) -> list[int]:
    found = [pid]
    for each in found:  # it grows while we go through it
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children, all their threads."""
    # Linux's clock id of another process's CPU time, as clock_getcpuclockid(3) makes it: exact, where /proc has ticks.
    return sum(time.clock_gettime((~each << 3) | 2) for each in _with_children(pid))


def _peak_memory_mb(pid: int) -> float:
    statuses = [Path(f"/proc/{each}/status").read_text() for each in _with_children(pid)]
    return sum(int(status.partition("VmHWM:")[2].split()[0]) for status in statuses) / 1024
