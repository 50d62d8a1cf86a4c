"""What a long history costs, `make bench-history`: a worker whose topic holds few members' claims, and many members'.

With either, the same claims are decided, each of another member, chosen at random of those held, with two earlier
claims. Beside that: how long it takes from the start of a process to its first decision, without what it had on disk
and with it, and whether memory stays what it is while a worker that holds many members decides claims of theirs.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from rich.table import Table

from rules import MemberRecord, RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from tests.bench.candidates import worker
from tests.bench.claims import SEED, Pool, claim_pool
from tests.bench.measure import Figures, measure
from tests.bench.memory import sample_memory
from tests.bench.report import OUTPUT, SHARED_CORES, console, opened
from tests.bench.rounds import summary
from tests.bench.running import Running
from tests.bench.stage import PARTITIONS, Stage, Submitter, bench_cluster, history_topic, stage, submit, topics
from tests.kafka_broker import Cluster
from tests.worker_process import member_key, of_member
from worker.history import META_KEY, Memory, Meta, decoded, encoded, meta_bytes
from worker.members import partition_of
from worker.pipeline import handle

_WORKER = worker("exactly_once")
_PAYER = "MEDICARE_FFS"
_HELD_SINCE = date(2024, 1, 1)
_EARLIER = (("63650", "2026-02-09"), ("63650", "2026-03-02"))
"""Code and date of the earlier claims."""
_START_SECONDS = 300.0

Event = tuple[bytes, bytes]


def main() -> None:
    """Measure, print, and write history.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.history", description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=_numbers, default=(10_000, 1_000_000), metavar="N,N", help="members held")
    parser.add_argument("--claims", type=int, default=10_000, help="claims of each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds with each history (default: %(default)s)")
    parser.add_argument("--steady", type=int, default=300_000, help="claims while memory is watched (%(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for history.json and logs")
    options = parser.parse_args()
    if options.claims > min(options.members):
        parser.error("more claims than members: each claim of a round is of another member")
    ruleset, machine = opened(options.output)
    pool = claim_pool(ruleset, (_PAYER,))
    with bench_cluster() as cluster, TemporaryDirectory(prefix="claimscrub-bench-") as folder, ExitStack() as stack:
        histories = [
            History(cluster, pool, ruleset, count, output=options.output, folder=Path(folder) / str(count))
            for count in options.members
        ]
        for history in histories:
            stack.enter_context(history_topic(cluster, history.topic))
            history.fill()
        starts = {history.count: history.starts() for history in histories}
        figures = _rounds(histories, options.claims, options.rounds)
        memory = histories[-1].memory(options.steady)
    few, many = (figures[count]["cpu_us_per_claim"] for count in (options.members[0], options.members[-1]))
    _print_tables(figures, starts, many / few)
    results = {
        **machine,
        "claims": options.claims,
        "members": {str(count): {**figures[count], **starts[count]} for count in options.members},
        "cpu_ratio": round(many / few, 3),
        "memory_mb": memory,
    }
    path = options.output / "history.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"written to {path}", soft_wrap=True)


def _numbers(listed: str) -> tuple[int, ...]:
    return tuple(sorted(int(number) for number in listed.split(",")))


class History:
    """A history in a topic, and a worker's copy of it on disk.

    Args:
        cluster: where.
        pool: the claims to draw from.
        ruleset: the rules that decide them.
        count: how many members are held.
        output: folder for logs.
        folder: for the worker's copy.
    """

    def __init__(
        self, cluster: Cluster, pool: Pool, ruleset: RuleSet, count: int, *, output: Path, folder: Path
    ) -> None:
        self.count = count
        self.topic = f"bench-{uuid.uuid4().hex[:8]}.history-{count}"
        self._cluster = cluster
        self._pool = pool
        self._drawn = pool.some(Random(SEED))  # all are of one payer
        self._record = _record(pool, ruleset)
        self._output = output
        self._folder = folder

    def fill(self) -> None:
        """Put what a worker would have written into the topic, without deciding a claim."""
        began = time.monotonic()
        submitter = Submitter(self._cluster, self.topic)
        meta = meta_bytes(Meta(_HELD_SINCE, self._pool.members.fingerprint, PARTITIONS))
        for partition in range(PARTITIONS):
            submitter.send(META_KEY, meta, partition=partition)
        submitter.flush()
        self._put(range(self.count))
        console.print(f"{self.count:,} members put into a topic in {time.monotonic() - began:.0f} s")

    def _put(self, members: Iterable[int]) -> None:
        """Members as they were before any claim of this benchmark."""
        submitter = Submitter(self._cluster, self.topic)
        for member in members:
            claims = tuple(
                stored._replace(
                    digest=f"{member:024x}",
                    claim=stored.claim._replace(
                        claim_id=f"HELD-{member}-{number}", patient_control_number=f"H{member}-{number}"
                    ),
                )
                for number, stored in enumerate(self._record.claims)
            )
            key = self._drawn.key(member, self._pool.members)
            raw = encoded(self._record._replace(claims=claims))
            submitter.send(key, raw, partition=partition_of(key, PARTITIONS))
        submitter.flush()

    # ---- what is measured

    def starts(self) -> dict[str, Any]:
        """Seconds from the start of a process to its first decision, and what had to be read before."""
        lost, kept = self._start("lost"), self._start("kept")
        return {"first_decision_seconds": {"directory lost": lost, "directory kept": kept}}

    def _start(self, name: str) -> dict[str, float]:
        code, day = _EARLIER[0]
        again = _earlier_claim(1, code, day, claim_id="AGAIN")
        key = member_key(again)
        assert key is not None
        with self._stage(name, [(key, again)]) as on:
            reader = Consumer(
                {
                    "bootstrap.servers": self._cluster.bootstrap_servers,
                    "group.id": "bench-reader",  # required, but nothing joins or commits
                    "isolation.level": "read_committed",
                    "fetch.wait.max.ms": 5,
                    "log_level": 0,
                }
            )
            places = [TopicPartition(topic, partition, 0) for topic in on.outputs for partition in range(PARTITIONS)]
            reader.assign(places)
            began = time.monotonic()
            with Running(_WORKER, on.environment, self._log(name), self._folder) as running:
                while (message := reader.poll(0.01)) is None:
                    running.check()
                    if time.monotonic() - began > _START_SECONDS:
                        raise RuntimeError(f"no decision; {running.last_words()}")
                seconds = time.monotonic() - began
                running.stop()
            reader.close()
        findings = json.loads(message.value() or b"")["decision"]["findings"]
        if "HIS001" not in {finding["rule_id"] for finding in findings}:
            raise RuntimeError("the claim that is held already was not found to be a duplicate")
        log = Path(f"{self._log(name)}-1.log").read_text()
        restored = re.search(r'"event": "restored".*"records": (\d+), "seconds": ([\d.]+)', log)
        records, reading = (int(restored[1]), float(restored[2])) if restored else (0, 0.0)
        console.print(f"{self.count:,} members, directory {name}: first decision after {seconds:.1f} s")
        return {"seconds": round(seconds, 2), "records_read": records, "reading_seconds": reading}

    def round(self, number: int, claims: int) -> Figures:
        """What a worker does with so many claims, the same ones in each round and with each history."""
        random = Random(SEED)
        members = random.sample(range(self.count), claims)
        self._put(members)
        name = f"round-{number}"
        with self._stage(name, self._events(members)) as on:
            return measure(on, _WORKER, self._log(name), self._folder)

    def memory(self, claims: int) -> dict[int, float]:
        """Claims decided → MB, at each tenth of so many claims of members at random."""
        random = Random(SEED)
        with self._stage("memory", ()) as on, Running(_WORKER, on.environment, self._log("memory"), self._folder) as it:
            found = sample_memory(on, it, self._events(random.randrange(self.count) for _ in range(claims)), claims)
            it.stop()
        return found

    def _events(self, members: Iterable[int]) -> Iterator[Event]:
        random = Random(SEED)
        for number, member in enumerate(members):
            yield self._pool.some(random).event(number, member, self._pool.members)

    @contextmanager
    def _stage(self, name: str, events: Iterable[Event]) -> Iterator[Stage]:
        run = f"{self.topic}.{name}"
        submitted = f"{run}.submitted"
        with topics(self._cluster, submitted):
            submit(self._cluster, submitted, events)
            with stage(self._cluster, run, submitted, self.topic) as on:
                yield on

    def _log(self, name: str) -> Path:
        return self._output / f"history-{self.count}-{name}"


def _record(pool: Pool, ruleset: RuleSet) -> MemberRecord:
    """What is kept of a member after the earlier claims."""
    store: dict[bytes, bytes] = {}
    memory = Memory(pool.members, ruleset, store)
    memory.begin()
    for number, (code, day) in enumerate(_EARLIER):
        store |= handle(_earlier_claim(0, code, day, claim_id=f"HELD-{number}"), ruleset, memory=memory).changes
    (record,) = (decoded(raw) for key, raw in store.items() if key != META_KEY)
    assert len(record.claims) == len(_EARLIER)
    return record


def _earlier_claim(member: int, code: str, day: str, claim_id: str) -> bytes:
    content = claim_content(_PAYER, claim_id=claim_id, received_date=day, lines=[a_line(code, service_date=day)])
    return as_json(of_member(member, content)).encode()


def _rounds(histories: Sequence[History], claims: int, rounds: int) -> dict[int, dict[str, Any]]:
    """Members held → the median of each figure, and the rounds; the one that goes first changes."""
    found: dict[int, list[Figures]] = {history.count: [] for history in histories}
    for number in range(rounds + 1):  # the first does not count: a broker is slow until its code is compiled
        for history in histories if number % 2 else reversed(histories):
            figures = history.round(number, claims)
            if number > 0:
                found[history.count].append(figures)
                console.print(
                    f"round {number}  {history.count:9,} members {figures.claims_per_second:8,.0f} claims/s"
                    f" {figures.cpu_us_per_claim:7.1f} µs"
                )
    return {count: summary(figures) for count, figures in found.items()}


def _print_tables(figures: Mapping[int, Mapping[str, Any]], starts: Mapping[int, Any], ratio: float) -> None:
    table = Table(title=f"{_WORKER.name} with a history", title_justify="left")
    headings = ("members", "claims/s", "CPU µs a claim", "peak MB", "first decision, s", "directory lost, s")
    for heading in headings:
        table.add_column(heading, justify="right")
    for count, each in figures.items():
        start = starts[count]["first_decision_seconds"]
        table.add_row(
            f"{count:,}",
            f"{each['claims_per_second']:,.0f}",
            f"{each['cpu_us_per_claim']:.1f}",
            f"{each['peak_memory_mb']:.0f}",
            f"{start['directory kept']['seconds']:.1f}",
            f"{start['directory lost']['seconds']:.1f}",
        )
    console.print(table)
    console.print(f"CPU a claim, most members to fewest: {ratio:.2f}")
    console.print(SHARED_CORES)


if __name__ == "__main__":
    main()
