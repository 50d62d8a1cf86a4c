"""One candidate's run over the claims that stand in a topic: how fast, at what cost.

Progress is the number of claims whose output stands on the output topics, and the observer is the same for all: while
a candidate runs, only the end offsets of its topics are asked for, twenty times a second. An end offset also counts
markers of transactions and aborted records, so the topics are read once, read_committed, when the run is over. That
gives the offset of every output, and so an exact number of claims for each end offset seen; and it shows that every
claim has just one output, on its own partition. A run is over when the group has committed every claim.

An output counts when the broker has it, even if its transaction is still open: in the steady state between the marks
the rate is that of the commits, without their steps.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.candidates import Candidate
from tests.bench.running import Running
from tests.bench.stage import Stage

MARKS = (0.15, 0.90)
"""What is measured lies between these shares of the claims: start-up and end are left out."""

_SAMPLE_SECONDS = 0.05
_STALLED_SECONDS = 60.0
_READ_SECONDS = 300.0

Ends = Mapping[tuple[str, int], int]
Offsets = dict[tuple[str, int], list[int]]


class Figures(NamedTuple):
    """What one run gave."""

    claims_per_second: float
    cpu_us_per_claim: float
    peak_memory_mb: float


class Sample(NamedTuple):
    """End offsets of the outputs, seconds on the clock and seconds of CPU used at one moment."""

    ends: Ends
    wall: float
    cpu: float


class Progress(NamedTuple):
    """How many claims were done at one moment."""

    done: int
    wall: float
    cpu: float


def measure(stage: Stage, candidate: Candidate, log: Path, folder: Path | None = None) -> Figures:
    """Run a candidate until every claim has an output and is committed, and stop it.

    Args:
        stage: the claims, and empty topics for the outputs.
        candidate: what to run.
        log: start of the path of what it prints.
        folder: for what it keeps on disk; else that goes when it is stopped.

    Raises:
        RuntimeError: it ended by itself, got stuck, ended badly, or a claim has not exactly one output.
    """
    inputs = stage.cluster.end_offsets(stage.submitted)
    total = sum(inputs.values())
    with Running(candidate, stage.environment, log, folder) as running:
        samples = _samples(stage, running, total)
        memory = running.peak_memory_mb()
        running.stop()
    offsets = _outputs(stage, candidate.name, inputs)
    first, last = marked([Progress(count(sample.ends, offsets), sample.wall, sample.cpu) for sample in samples])
    claims = last.done - first.done
    return Figures(claims / (last.wall - first.wall), (last.cpu - first.cpu) / claims * 1e6, memory)


def count(ends: Ends, offsets: Offsets) -> int:
    """How many of the outputs at these offsets lie before these ends."""
    return sum(bisect_left(offsets.get(partition, ()), end) for partition, end in ends.items())


def _samples(stage: Stage, running: Running, total: int) -> list[Sample]:
    samples = [Sample({}, time.monotonic(), 0.0)]
    changed, committed = time.monotonic(), 0
    while committed < total:
        time.sleep(_SAMPLE_SECONDS)
        running.check()
        ends = stage.ends()
        now = time.monotonic()
        if ends is not None:
            if ends != samples[-1].ends:
                changed = now
            samples.append(Sample(ends, now, running.cpu_seconds()))
            if sum(ends.values()) >= total:  # not before: asking costs the broker something
                committed = stage.committed()
        if now - changed > _STALLED_SECONDS:
            raise RuntimeError(f"no more outputs, {committed} of {total} claims committed; {running.last_words()}")
    return samples


def _outputs(stage: Stage, name: str, inputs: Mapping[int, int]) -> Offsets:
    """The offsets of all outputs; makes sure that each claim has exactly one."""
    offsets: Offsets = {}
    found: Counter[bytes] = Counter()
    stage.cluster.wait_until_stable(*stage.outputs)
    for topic in stage.outputs:
        for message in stage.cluster.read_all(topic, _READ_SECONDS):
            event_id = dict(message.headers())["ce_id"]
            if int(event_id.split(b"-")[-2]) != message.partition():
                raise RuntimeError(f"{name}: the output of {event_id.decode()} is on partition {message.partition()}")
            offsets.setdefault((topic, message.partition()), []).append(message.offset())
            found[event_id] += 1
    wanted = Counter(
        f"{stage.submitted}-{partition}-{offset}".encode() for partition, end in inputs.items() for offset in range(end)
    )
    if found != wanted:
        lost, more = (wanted - found).total(), (found - wanted).total()
        raise RuntimeError(f"{name}: of {wanted.total()} claims {lost} have no output; {more} outputs are too many")
    return offsets


def marked(progress: Sequence[Progress]) -> tuple[Progress, Progress]:
    """The first moments at which those shares were there.

    Outputs come in steps where they are published as batches: both moments lie at the end of a step, so a whole number
    of batches lies between them.
    """
    total = progress[-1].done
    first, last = (
        next(number for number, each in enumerate(progress) if each.done >= share * total) for share in MARKS
    )
    return progress[min(first, last - 1)], progress[last]  # a run of a single step has only its two ends
