"""What the benchmarks print: machine and versions, and the tables."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import confluent_kafka
from rich.console import Console
from rich.table import Table

from rules import RuleSet
from tests.bench.candidates import REFERENCE, ROOT
from tests.bench.stage import PARTITIONS, SERVERS

OUTPUT = ROOT / "build" / "bench"
"""Where results and logs go."""
SHARED_CORES = "Load, broker and workers share the machine's cores, so see CPU per claim beside the rates."

console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def opened(output: Path) -> tuple[RuleSet, dict[str, dict[str, Any]]]:
    """What each benchmark begins with: its folder is made, the rules are loaded; machine and versions, also printed."""
    output.mkdir(parents=True, exist_ok=True)
    ruleset = RuleSet.load()
    machine = {"machine": _machine(), "versions": _versions()}
    pairs = {**machine["machine"], **machine["versions"], "rules": len(ruleset.rules)}
    console.print(", ".join(f"{name} {value}" for name, value in pairs.items()))
    return ruleset, machine


def _machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return {"cores": len(os.sched_getaffinity(0)), "cpu": model[1] if model else platform.processor()}


def _versions() -> dict[str, str]:
    pom = (ROOT / "tests" / "broker" / "kafka" / "pom.xml").read_text()
    ours = re.search(r"<kafka.version>(.+)</kafka.version>", pom)
    quix = dict(re.findall(r"^([a-z-]+)==(\S+)", (Path(__file__).parent / "quix.lock").read_text(), re.MULTILINE))
    return {
        "python": platform.python_version(),
        "kafka": f"that of {SERVERS}" if os.environ.get(SERVERS) else ours[1] if ours else "",
        "librdkafka": confluent_kafka.libversion()[0],
        **{name: version(name) for name in ("confluent-kafka", "aiokafka", "faust-streaming", "pydantic")},
        **{name: quix[name] for name in ("quixstreams",)},
        **{f"quixstreams' {name}": quix[name] for name in ("confluent-kafka", "pydantic")},
    }


def print_end_to_end(results: Mapping[str, Mapping[str, Any]], claims: int) -> None:
    table = Table(
        title=f"{claims:,} claims, {PARTITIONS} partitions; median (spread) of the rounds", title_justify="left"
    )
    table.add_column("worker")
    for heading in ("claims/s", "ratio", "CPU µs a claim", "ratio", "peak MB"):
        table.add_column(heading, justify="right")
    reference = results.get(REFERENCE)
    for name, result in results.items():
        cells = []
        for figure, form in (("claims_per_second", ",.0f"), ("cpu_us_per_claim", ".1f")):
            values = [each[figure] for each in result["rounds"]]
            cells.append(f"{result[figure]:{form}} ({min(values):{form}} to {max(values):{form}})")
            cells.append(f"{result[figure] / reference[figure]:.2f}" if reference else "")
        table.add_row(name, *cells, f"{result['peak_memory_mb']:.0f}")
    console.print(table)


def print_parts(parts: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(title="Parts, without Kafka: µs a claim", title_justify="left")
    table.add_column("part")
    for kind in next(iter(parts.values())):
        table.add_column(kind, justify="right")
    for part, by_kind in parts.items():
        table.add_row(part, *(f"{us:.1f}" for us in by_kind.values()))
    console.print(table)


def print_catalogue(catalogue: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(title="Every rule on a clean claim of four lines, beside decoding it: µs", title_justify="left")
    for heading in ("claim", "decode", "evaluate", "ratio"):
        table.add_column(heading, justify="left" if heading == "claim" else "right")
    for claim, figures in catalogue.items():
        table.add_row(claim, f"{figures['decode']:.1f}", f"{figures['evaluate']:.1f}", f"{figures['ratio']:.2f}")
    console.print(table)


def print_x12(steps: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(title="Reading X12 on one core, without Kafka: claims of three lines", title_justify="left")
    for heading in ("up to", "claims/s", "ratio"):
        table.add_column(heading, justify="left" if heading == "up to" else "right")
    for step, figures in steps.items():
        table.add_row(step, f"{figures['claims_per_second']:,.0f}", f"{figures['ratio']:.1f}")
    console.print(table)
