"""Every metric of worker, supervisor and console, in one table, from which come Prometheus's text and docs/metrics.md.

Counting is cheap: plain numbers in dicts and lists, which are turned into Prometheus's text when somebody asks for it.
No label holds a claim id or anything else that grows with the claims.
"""

from __future__ import annotations

import platform
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder

from rules import __version__

Kind = Literal["counter", "gauge", "histogram"]
Where = Literal["worker", "supervisor", "console"]
Labels = tuple[str, ...]


class Metric(NamedTuple):
    """One metric.

    Attributes:
        name: as Prometheus stores it; a histogram has it with `_bucket`, `_sum` and `_count` behind.
        unit: of its value.
        labels: their names.
        where: which processes have it.
        meaning: one sentence.
        buckets: upper bounds, of a histogram.
    """

    name: str
    kind: Kind
    unit: str
    labels: Labels
    where: tuple[Where, ...]
    meaning: str
    buckets: tuple[float, ...] = ()


METRICS: dict[str, Metric] = {}
"""Name → metric, in the order of the documentation."""

_WORKER: tuple[Where, ...] = ("worker",)
_SUPERVISOR: tuple[Where, ...] = ("supervisor",)
_CONSOLE: tuple[Where, ...] = ("console",)
_ALL: tuple[Where, ...] = ("worker", "supervisor", "console")

_DECISION_BUCKETS = (
    *(0.00002, 0.00003, 0.00005, 0.000075, 0.0001, 0.00015, 0.0002, 0.0003, 0.0005, 0.00075),
    *(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0),
)
_LATENCY_BUCKETS = (
    *(0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0),
    *(10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0),
)
_PUBLISH_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCH_BUCKETS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)


def _kept(metric: Metric) -> Metric:
    METRICS[metric.name] = metric
    return metric


# ---- what was decided

CLAIMS = _kept(Metric(
    "claimscrub_claims_total", "counter", "claims", ("disposition", "payer"), _WORKER,
    "Claims whose decision is published: cleared, flagged, or in monitor mode monitored: flagged by the rules, and sent"
    " on; by the payer profile that was applied.",
))  # fmt: skip
CHARGES = _kept(Metric(
    "claimscrub_claim_charges_dollars_total", "counter", "dollars", ("disposition", "payer"), _WORKER,
    "Total charges of those claims, as far as they name one.",
))  # fmt: skip
DEADLETTERS = _kept(Metric(
    "claimscrub_deadletters_total", "counter", "records", ("source", "reason"), _WORKER,
    "Dead letters: by what they came as (claim, status, override), and by whether the whole of it could not be taken"
    " (whole) or one field was wrong (field). Those of X12 text are counted by themselves.",
))  # fmt: skip
FINDINGS = _kept(Metric(
    "claimscrub_findings_total", "counter", "findings", ("rule_id", "severity"), _WORKER,
    "Findings of published decisions: how often each rule spoke.",
))  # fmt: skip
RULE_ERRORS = _kept(Metric(
    "claimscrub_rule_errors_total", "counter", "findings", ("rule_id",), _WORKER,
    "Findings that say that a rule crashed; they flag the claim.",
))  # fmt: skip
NOT_EVALUATED = _kept(Metric(
    "claimscrub_not_evaluated_total", "counter", "times", ("rule_id",), _WORKER,
    "How often a rule could not tell, as published decisions say.",
))  # fmt: skip
STATUSES = _kept(Metric(
    "claimscrub_statuses_total", "counter", "records", ("effect",), _WORKER,
    "Answers of payers that were taken up: remembered, or none where no claim was meant.",
))  # fmt: skip
REPARTITIONED = _kept(Metric(
    "claimscrub_repartitioned_total", "counter", "records", (), _WORKER,
    "Events sent on to the partition of their member, where they are decided.",
))  # fmt: skip
RELEASED = _kept(Metric(
    "claimscrub_released_total", "counter", "claims", (), _WORKER,
    "Flagged claims that somebody has released, published as cleared; not among claimscrub_claims_total.",
))  # fmt: skip

# ---- how quickly

DECISION_SECONDS = _kept(Metric(
    "claimscrub_decision_seconds", "histogram", "seconds", (), _WORKER,
    "Time from an event's bytes to its decision's: decode, look up the history, judge, wrap. Once for each event that a"
    " worker decides, also where it is decided again.",
    _DECISION_BUCKETS,
))  # fmt: skip
LATENCY_SECONDS = _kept(Metric(
    "claimscrub_latency_seconds", "histogram", "seconds", (), _WORKER,
    "Time from the timestamp of an event's record to the brokers' acknowledgement of what was decided about it.",
    _LATENCY_BUCKETS,
))  # fmt: skip
BATCH_RECORDS = _kept(Metric(
    "claimscrub_batch_records", "histogram", "records", (), _WORKER,
    "Events of a batch, which is published in one go.",
    _BATCH_BUCKETS,
))  # fmt: skip
PUBLISH_SECONDS = _kept(Metric(
    "claimscrub_publish_seconds", "histogram", "seconds", (), _WORKER,
    "Time to publish a batch until it stands: with exactly once a transaction.",
    _PUBLISH_BUCKETS,
))  # fmt: skip
PUBLISH_RECOVERIES = _kept(Metric(
    "claimscrub_publish_recoveries_total", "counter", "times", (), _WORKER,
    "How often it was not known whether a batch stands, and had to be found out.",
))  # fmt: skip

# ---- what waits

LAG = _kept(Metric(
    "claimscrub_lag_records", "gauge", "records", ("topic", "partition"), _WORKER,
    "Records of an assigned input partition that are not decided and published yet, as of the last fetch.",
))  # fmt: skip
OLDEST_AGE = _kept(Metric(
    "claimscrub_oldest_undecided_age_seconds", "gauge", "seconds", (), _WORKER,
    "Age of the oldest record fetched and not yet published; 0 without one.",
))  # fmt: skip
IN_FLIGHT = _kept(Metric(
    "claimscrub_in_flight_records", "gauge", "records", (), _WORKER,
    "Records fetched and not yet published.",
))  # fmt: skip

# ---- partitions and history

READY = _kept(Metric(
    "claimscrub_ready", "gauge", "0 or 1", (), _ALL,
    "1 while /readyz says so: a worker has partitions, their history and its producers; all workers of a supervisor are"
    " ready; a console has caught up.",
))  # fmt: skip
PARTITIONS_ASSIGNED = _kept(Metric(
    "claimscrub_partitions_assigned", "gauge", "partitions", (), _WORKER,
    "Partitions that this worker has; a partition of all input topics counts once.",
))  # fmt: skip
PARTITIONS_RESTORED = _kept(Metric(
    "claimscrub_partitions_restored", "gauge", "partitions", (), _WORKER,
    "Those of them whose history is there, so that their claims are decided.",
))  # fmt: skip
PARTITIONS_LOST = _kept(Metric(
    "claimscrub_partitions_lost_total", "counter", "partitions", (), _WORKER,
    "Partitions that another worker took over before this one was told.",
))  # fmt: skip
HISTORY_READS = _kept(Metric(
    "claimscrub_history_reads_total", "counter", "records", (), _WORKER,
    "Members' records looked up on disk.",
))  # fmt: skip
HISTORY_WRITES = _kept(Metric(
    "claimscrub_history_writes_total", "counter", "records", (), _WORKER,
    "Members' records published to the history topic.",
))  # fmt: skip

# ---- X12

X12_RECORDS = _kept(Metric(
    "claimscrub_x12_records_total", "counter", "records", (), _WORKER,
    "Records of X12 text that were split.",
))  # fmt: skip
X12_CLAIMS = _kept(Metric(
    "claimscrub_x12_claims_total", "counter", "claims", (), _WORKER,
    "Claim events made of them.",
))  # fmt: skip
X12_DEADLETTERS = _kept(Metric(
    "claimscrub_x12_deadletters_total", "counter", "records", (), _WORKER,
    "Dead letters made of them.",
))  # fmt: skip

# ---- what runs

RULE_SET_INFO = _kept(Metric(
    "claimscrub_rule_set_info", "gauge", "1", ("version", "digest", "signed_by"), _WORKER,
    "The rule set that decides, and the key of its signature, if one is demanded.",
))  # fmt: skip
MODE_INFO = _kept(Metric(
    "claimscrub_mode_info", "gauge", "1", ("mode", "cleared_format"), _WORKER,
    "Whether flagged claims are held back, and what the cleared topic carries.",
))  # fmt: skip
RULES = _kept(Metric("claimscrub_rules", "gauge", "rules", (), _WORKER, "Rules of that rule set."))
CONTRACTS = _kept(
    Metric("claimscrub_contracts", "gauge", "contracts", (), _WORKER, "Contract overlays that are laid over it.")
)
BUILD_INFO = _kept(Metric(
    "claimscrub_build_info", "gauge", "1", ("version", "python"), _ALL,
    "The version of claimscrub, and of Python.",
))  # fmt: skip
SUPERVISED_WORKERS = _kept(Metric(
    "claimscrub_supervised_workers", "gauge", "workers", ("state",), _SUPERVISOR,
    "Workers under this supervisor: wanted, running, ready.",
))  # fmt: skip
WORKER_STARTS = _kept(Metric(
    "claimscrub_worker_starts_total", "counter", "starts", ("worker",), _SUPERVISOR,
    "How often each worker was started.",
))  # fmt: skip

# ---- the console

CONSOLE_RECORDS = _kept(Metric(
    "claimscrub_console_records_total", "counter", "records", ("topic",), _CONSOLE,
    "Records taken into the projection.",
))  # fmt: skip
CONSOLE_LAG = _kept(Metric(
    "claimscrub_console_lag_records", "gauge", "records", (), _CONSOLE,
    "Records of the topics it follows that are not in the projection yet.",
))  # fmt: skip
CONSOLE_LATEST = _kept(Metric(
    "claimscrub_console_latest_timestamp_seconds", "gauge", "seconds since 1970", (), _CONSOLE,
    "When the newest output in the projection was decided.",
))  # fmt: skip
CONSOLE_OPEN_CLAIMS = _kept(Metric(
    "claimscrub_console_open_claims", "gauge", "claims", (), _CONSOLE,
    "Flagged claims that wait: neither released nor sent again.",
))  # fmt: skip
CONSOLE_OPEN_CHARGES = _kept(Metric(
    "claimscrub_console_open_charges_dollars", "gauge", "dollars", (), _CONSOLE,
    "Their total charges.",
))  # fmt: skip
CONSOLE_BACKLOG = _kept(Metric(
    "claimscrub_console_backlog_records", "gauge", "records", (), _CONSOLE,
    "Records that the workers have not decided yet, asked of the brokers: known also while no worker runs.",
))  # fmt: skip
CONSOLE_OLDEST_AGE = _kept(Metric(
    "claimscrub_console_oldest_undecided_age_seconds", "gauge", "seconds", (), _CONSOLE,
    "Age of the oldest of them; 0 without one.",
))  # fmt: skip
CONSOLE_REQUEST_SECONDS = _kept(Metric(
    "claimscrub_console_request_seconds", "histogram", "seconds", ("route",), _CONSOLE,
    "Time to answer a request, by the route's pattern.",
    _REQUEST_BUCKETS,
))  # fmt: skip
CONSOLE_RELEASES = _kept(Metric(
    "claimscrub_console_releases_total", "counter", "claims", (), _CONSOLE,
    "Releases of flagged claims that were published from here.",
))  # fmt: skip
CONSOLE_RESUBMISSIONS = _kept(Metric(
    "claimscrub_console_resubmissions_total", "counter", "records", (), _CONSOLE,
    "Dead letters that were submitted again from here.",
))  # fmt: skip

# ---- the process, as prometheus_client tells it (Linux)

_kept(
    Metric(
        "process_cpu_seconds_total",
        "counter",
        "seconds",
        (),
        _ALL,
        "CPU time of the process, user and system together.",
    )
)
_kept(Metric("process_resident_memory_bytes", "gauge", "bytes", (), _ALL, "Memory that the process holds."))
_kept(Metric("process_virtual_memory_bytes", "gauge", "bytes", (), _ALL, "Address space of the process."))
_kept(Metric("process_start_time_seconds", "gauge", "seconds since 1970", (), _ALL, "When the process began."))
_kept(Metric("process_open_fds", "gauge", "files", (), _ALL, "Open files and connections."))
_kept(Metric("process_max_fds", "gauge", "files", (), _ALL, "Most files and connections that it may have open."))

_PROCESS = ProcessCollector(registry=None)


# ---- counting


class Tally:
    """A counter.

    Attributes:
        values: label values → number; a hot path may add to it directly.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self.values: defaultdict[Labels, float] = defaultdict(int)
        if not metric.labels:
            self.values[()] = 0

    def add(self, number: float = 1, *labels: str) -> None:
        """Count on."""
        self.values[labels] += number

    def family(self) -> Family:
        """As Prometheus has it."""
        return counter(self._metric, self.values.copy())


class Histogram:
    """Observations in buckets."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._bounds = metric.buckets
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        if not metric.labels:
            self.observe_all(())

    def observe(self, value: float, *labels: str) -> None:
        """One more."""
        self.observe_all((value,), *labels)

    def observe_all(self, values: Sequence[float], *labels: str) -> None:
        """Some more, cheaper together."""
        counts = self._counts.get(labels)
        if counts is None:
            self._sums[labels] = 0.0
            counts = self._counts[labels] = [0] * (len(self._bounds) + 1)
        bounds = self._bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self._sums[labels] += sum(values)

    def counts(self, *labels: str) -> list[int]:
        """How many are in each bucket, and above the last one."""
        return list(self._counts.get(labels, [0] * (len(self._bounds) + 1)))

    def quantile(self, share: float, since: Sequence[int], *labels: str) -> float | None:
        """The value that so large a share of the observations does not exceed; None without any.

        Args:
            share: 0.5 for the median.
            since: counts at an earlier time; what was observed since then is asked for.
            labels: their values.
        """
        counts = [now - before for now, before in zip(self.counts(*labels), since, strict=True)]
        wanted = share * sum(counts)
        if not wanted:
            return None
        below, passed = 0.0, 0
        for bound, count in zip(self._bounds, counts, strict=False):
            if count and passed + count >= wanted:
                return below + (bound - below) * (wanted - passed) / count
            below, passed = bound, passed + count
        return below  # no more is known of it than that it is above the last bound

    def family(self) -> Family:
        """As Prometheus has it."""
        family = HistogramMetricFamily(self._metric.name, self._metric.meaning, labels=self._metric.labels)
        for labels, counts in self._counts.copy().items():
            bounds = [*(repr(bound) for bound in self._bounds), "+Inf"]
            family.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), self._sums[labels])
        return family


def counter(metric: Metric, values: Mapping[Labels, float]) -> Family:
    """A counter whose numbers are kept elsewhere."""
    family = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def gauge(metric: Metric, value: float | Mapping[Labels, float]) -> Family:
    """A gauge: one value, or one for each set of label values."""
    family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for labels, each in (value if isinstance(value, Mapping) else {(): value}).items():
        family.add_metric(labels, each)
    return family


def process_families() -> Iterator[Family]:
    """What every process tells of itself."""
    yield gauge(BUILD_INFO, {(__version__, platform.python_version()): 1})
    yield from _PROCESS.collect()


class _Collected:
    """What the encoders take."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        return self._families


def exposition(families: Iterable[Family], accept: str = "") -> tuple[bytes, str]:
    """Prometheus's text and its content type; OpenMetrics where that is asked for.

    Args:
        families: of all metrics.
        accept: the request's Accept header.
    """
    encode, content_type = choose_encoder(accept)
    return encode(_Collected(families)), content_type


# ---- documentation

_TITLES: dict[Where, str] = {
    "worker": "Worker",
    "supervisor": "Supervisor of `worker --workers N`",
    "console": "Console",
}

MARK = "<!-- Written by `make docs` from worker/metrics.py. -->"

_INTRODUCTION = """\
What worker, supervisor and console tell Prometheus at `/metrics`, as text or as OpenMetrics. Where it is served, what
`/healthz` and `/readyz` mean, and the alert rules and the dashboard that use it are in
[monitoring](monitoring/README.md).

Counters begin at 0 with each start of a process. Claims are counted when what was decided about them is published, each
once by the worker that published it. No label holds a claim id, a member or a person."""


def metrics_page() -> str:
    """docs/metrics.md."""
    parts = [MARK, "# Metrics", _INTRODUCTION]
    for where, title in _TITLES.items():
        rows = ["| name | type | unit | labels | meaning |", "| --- | --- | --- | --- | --- |"]
        for each in METRICS.values():
            if where in each.where:
                labels = ", ".join(f"`{label}`" for label in each.labels)
                rows.append(f"| `{each.name}` | {each.kind} | {each.unit} | {labels} | {each.meaning} |")
        parts += [f"## {title}", "\n".join(rows)]
    buckets = ["| histogram | upper bounds, in its unit |", "| --- | --- |"]
    buckets += [
        f"| `{each.name}` | {', '.join(f'{bound:g}' for bound in each.buckets)} |"
        for each in METRICS.values()
        if each.buckets
    ]
    parts += ["## Buckets", "\n".join(buckets)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(metrics_page())
