"""The benchmark, `make bench`: the worker beside a bare loop on a real Kafka, in one run.

Rates are claims per second between the 15 % and the 90 % mark of the outputs, the median of interleaved rounds. Worker,
broker and this share the machine's cores, so CPU per claim stands beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import confluent_kafka
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.table import Table

from rules import RuleSet
from tests.bench.claims import claim_events, claim_pool
from tests.bench.measure import ROOT, Candidate, Figures, measure
from tests.bench.parts import measure_catalogue, measure_parts
from tests.bench.x12 import measure_x12
from tests.kafka_broker import Cluster, KafkaBroker

PARTITIONS = 8
REFERENCE = "confluent"
CANDIDATES = (
    Candidate(REFERENCE, (sys.executable, "-m", "tests.bench.loop_confluent")),
    Candidate("claimscrub-at-least-once", (sys.executable, "-m", "worker.cli", "worker")),
)
_OUTPUTS = ("cleared", "flagged", "deadletter")
_SERVERS = "CLAIMSCRUB_TEST_BOOTSTRAP_SERVERS"

console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def main() -> None:
    """Measure, print, and write results.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--claims", type=int, default=60_000, help="claims in the topic (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every candidate (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "bench", help="folder for results.json and logs"
    )
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    ruleset = RuleSet.load()
    about = {"machine": _machine(), "versions": _versions()}
    _print_pairs({**about["machine"], **about["versions"], "rules": len(ruleset.rules)})
    pool = claim_pool(ruleset)
    with _cluster() as cluster:
        rounds = _end_to_end(cluster, claim_events(pool, options.claims), options.rounds, options.output)
    end_to_end = {name: _summary(figures) for name, figures in rounds.items()}
    parts = measure_parts(ruleset, pool)
    catalogue = measure_catalogue(ruleset)
    x12 = measure_x12()
    _print_end_to_end(end_to_end, options.claims)
    _print_parts(parts)
    _print_catalogue(catalogue)
    _print_x12(x12)
    results = {
        **about,
        "rule_set": {"version": ruleset.version, "digest": ruleset.digest, "rules": len(ruleset.rules)},
        "claims": options.claims,
        "end_to_end": end_to_end,
        "parts": parts,
        "catalogue": catalogue,
        "x12": x12,
    }
    path = options.output / "results.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"written to {path}", soft_wrap=True)


# ---- running


@contextmanager
def _cluster() -> Iterator[Cluster]:
    servers = os.environ.get(_SERVERS)
    if servers:
        yield Cluster(servers)
    else:
        with KafkaBroker() as broker:
            yield broker


def _end_to_end(
    cluster: Cluster, events: Iterator[tuple[bytes, bytes]], rounds: int, folder: Path
) -> dict[str, list[Figures]]:
    """Every candidate's figures, round by round; what is made on the cluster is deleted again."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    submitted = f"{prefix}.submitted"
    cluster.create_topics({submitted: PARTITIONS})
    found: dict[str, list[Figures]] = {candidate.name: [] for candidate in CANDIDATES}
    try:
        _submit(cluster, submitted, events)
        for number in range(1, rounds + 1):
            # Each goes first in turn, so that none has the better place.
            for candidate in CANDIDATES if number % 2 else reversed(CANDIDATES):
                run = f"{prefix}.{candidate.name}-{number}"
                topics = {kind: f"{run}.{kind}" for kind in _OUTPUTS}
                cluster.create_topics(dict.fromkeys(topics.values(), PARTITIONS))
                environment = {
                    "CLAIMSCRUB_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
                    "CLAIMSCRUB_GROUP_ID": run,
                    "CLAIMSCRUB_SUBMITTED_TOPIC": submitted,
                    "CLAIMSCRUB_X12_TOPIC": "",
                    **{f"CLAIMSCRUB_{kind.upper()}_TOPIC": topic for kind, topic in topics.items()},
                }
                log = folder / f"{candidate.name}-{number}.log"
                try:
                    figures = measure(
                        cluster,
                        candidate,
                        environment=environment,
                        submitted=submitted,
                        outputs=list(topics.values()),
                        log=log,
                    )
                finally:
                    _delete_topics(cluster, list(topics.values()))
                found[candidate.name].append(figures)
                console.print(
                    f"round {number}  {candidate.name:26} {figures.claims_per_second:8,.0f} claims/s"
                    f" {figures.cpu_us_per_claim:7.1f} µs"
                )
    finally:
        _delete_topics(cluster, [submitted])
    return found


def _submit(cluster: Cluster, topic: str, events: Iterator[tuple[bytes, bytes]]) -> None:
    failures: list[Any] = []
    producer = Producer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "enable.idempotence": True,
            "log_level": 0,
            "linger.ms": 20,
            "batch.size": 65_536,  # a few dozen claims: a busy sender's, not a bulk load's
            "delivery.report.only.error": True,
            "on_delivery": lambda error, _: failures.append(error),
        }
    )
    for key, value in events:
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(60) or failures:
        raise RuntimeError(f"the claims can't be submitted: {failures[:1] or 'no answer in 60 s'}")


def _delete_topics(cluster: Cluster, topics: list[str]) -> None:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
    for deleted in admin.delete_topics(topics).values():
        deleted.result()


# ---- telling


def _machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return {"cores": len(os.sched_getaffinity(0)), "cpu": model[1] if model else platform.processor()}


def _versions() -> dict[str, str]:
    pom = (ROOT / "tests" / "broker" / "kafka" / "pom.xml").read_text()
    ours = re.search(r"<kafka.version>(.+)</kafka.version>", pom)
    return {
        "python": platform.python_version(),
        "kafka": f"that of {_SERVERS}" if os.environ.get(_SERVERS) else ours[1] if ours else "",
        "librdkafka": confluent_kafka.libversion()[0],
        **{name: version(name) for name in ("confluent-kafka", "aiokafka", "faust-streaming", "pydantic")},
    }


def _summary(rounds: list[Figures]) -> dict[str, Any]:
    return {
        **{name: round(median(getattr(each, name) for each in rounds), 1) for name in Figures._fields},
        "rounds": [each._asdict() for each in rounds],
    }


def _print_pairs(pairs: Mapping[str, Any]) -> None:
    console.print(", ".join(f"{name} {value}" for name, value in pairs.items()))


def _print_end_to_end(results: Mapping[str, Mapping[str, Any]], claims: int) -> None:
    table = Table(
        title=f"{claims:,} claims, {PARTITIONS} partitions; median (spread) of the rounds", title_justify="left"
    )
    table.add_column("worker")
    for heading in ("claims/s", "ratio", "CPU µs a claim", "ratio", "peak MB"):
        table.add_column(heading, justify="right")
    reference = results[REFERENCE]
    for name, result in results.items():
        cells = []
        for figure, form in (("claims_per_second", ",.0f"), ("cpu_us_per_claim", ".1f")):
            values = [each[figure] for each in result["rounds"]]
            cells.append(f"{result[figure]:{form}} ({min(values):{form}} to {max(values):{form}})")
            cells.append(f"{result[figure] / reference[figure]:.2f}")
        table.add_row(name, *cells, f"{result['peak_memory_mb']:.0f}")
    console.print(table)


def _print_parts(parts: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(title="Parts, without Kafka: µs a claim", title_justify="left")
    table.add_column("part")
    for kind in next(iter(parts.values())):
        table.add_column(kind, justify="right")
    for part, by_kind in parts.items():
        table.add_row(part, *(f"{us:.1f}" for us in by_kind.values()))
    console.print(table)


def _print_catalogue(catalogue: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(title="Every rule on a clean claim of four lines, beside decoding it: µs", title_justify="left")
    for heading in ("claim", "decode", "evaluate", "ratio"):
        table.add_column(heading, justify="left" if heading == "claim" else "right")
    for claim, figures in catalogue.items():
        table.add_row(claim, f"{figures['decode']:.1f}", f"{figures['evaluate']:.1f}", f"{figures['ratio']:.2f}")
    console.print(table)


def _print_x12(steps: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(title="Reading X12 on one core, without Kafka: claims of three lines", title_justify="left")
    for heading in ("up to", "claims/s", "ratio"):
        table.add_column(heading, justify="left" if heading == "up to" else "right")
    for step, figures in steps.items():
        table.add_row(step, f"{figures['claims_per_second']:,.0f}", f"{figures['ratio']:.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
