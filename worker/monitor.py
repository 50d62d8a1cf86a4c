"""How a worker is: what it counts, what it says in its log about claims, and whether it is ready.

Counted in the worker's event loop, once what was decided is published; read by the threads of the endpoint.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future

import structlog
from prometheus_client.core import Metric as Family

from rules import Decision, RuleSet
from rules.engine.ruleset import RULE_ERROR
from worker import metrics
from worker.claim_log import ClaimLog
from worker.codec import Arrival
from worker.lanes import Lanes, Output
from worker.metrics import Histogram, Tally, counter, exposition, gauge, process_families
from worker.pipeline import Outcome
from worker.protocol import Place
from worker.settings import Settings
from worker.transport import Heard

_SUMMARY_SECONDS = 5.0
_LOOP_SECONDS = 5.0
"""How long the event loop may take for a turn, and the process still counts as alive."""
_MONITORED = "monitored"
_DECIDED = ("cleared", "flagged", "deadletters")
_NO_TOTALS: Mapping[str, int] = {}

log = structlog.get_logger("claimscrub.worker")


class Monitor:
    """What is known of a worker, from its first moment to its last.

    Attributes:
        stage: what it is at before it consumes, and after; blank while it does.
    """

    def __init__(self, settings: Settings) -> None:
        self.stage = "starting"
        self._settings = settings
        self._silent_seconds = settings.session_timeout_seconds / 3
        self._sources = {settings.status_topic: "status", settings.overrides_topic: "override"}
        self._claim_log = ClaimLog(settings)
        self._ruleset: RuleSet | None = None
        self._lanes: Lanes | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard: Callable[[], Mapping[Place, Heard]] = dict
        self._x12_totals: Mapping[str, int] = _NO_TOTALS
        self._claims = Tally(metrics.CLAIMS)
        self._charges = Tally(metrics.CHARGES)
        self._findings = Tally(metrics.FINDINGS)
        self._rule_errors = Tally(metrics.RULE_ERRORS)
        self._not_evaluated = Tally(metrics.NOT_EVALUATED)
        self._deadletters = Tally(metrics.DEADLETTERS)
        self._statuses = Tally(metrics.STATUSES)
        self._released = Tally(metrics.RELEASED)
        self._repartitioned = Tally(metrics.REPARTITIONED)
        self._history_writes = Tally(metrics.HISTORY_WRITES)
        self.decision_seconds = Histogram(metrics.DECISION_SECONDS)
        self._latency_seconds = Histogram(metrics.LATENCY_SECONDS)
        self._batch_records = Histogram(metrics.BATCH_RECORDS)
        self._publish_seconds = Histogram(metrics.PUBLISH_SECONDS)
        self._said = self._snapshot()

    # ---- what there is to look at

    def judges_by(self, ruleset: RuleSet) -> None:
        """The rules are loaded."""
        self._ruleset = ruleset

    def watches(self, lanes: Lanes) -> None:
        """The app is built."""
        self._lanes = lanes

    def runs_in(self, loop: asyncio.AbstractEventLoop, heard: Callable[[], Mapping[Place, Heard]]) -> None:
        """The event loop turns; `heard` is what the brokers said last of each partition."""
        self._loop, self._heard, self.stage = loop, heard, ""

    def splits(self, totals: Mapping[str, int]) -> None:
        """X12 text is split; the totals count on."""
        self._x12_totals = totals

    # ---- counting

    def published(self, outputs: Sequence[Output], history_writes: int, seconds: float) -> None:
        """A batch stands: count it, and say what is to be said of its claims."""
        now = time.time()
        latencies, lines = [], []
        for output in outputs:
            outcome, timestamp = output.outcome, output.arrival.timestamp
            if outcome.decision is not None:
                self._count_decision(outcome.decision, outcome)
            elif outcome.is_release:
                self._released.add()
            elif outcome.error is not None:
                source = self._sources.get(output.arrival.topic, "claim")
                self._deadletters.add(1, source, "whole" if outcome.error.path == "$" else "field")
            elif outcome.goes_on:
                self._repartitioned.add()
                continue  # decided elsewhere, and its time counts there
            else:
                self._statuses.add(1, "remembered" if outcome.changes else "none")
            line = self._claim_log.line(output.arrival, outcome, output.headers)
            if line is not None:
                lines.append(line)
            if timestamp > 0:
                latencies.append(max(now - timestamp / 1000, 0.0))
        self._latency_seconds.observe_all(latencies)
        self._batch_records.observe(len(outputs))
        self._publish_seconds.observe(seconds)
        self._history_writes.add(history_writes)
        self._claim_log.write(lines)

    def _count_decision(self, decision: Decision, outcome: Outcome) -> None:
        labels = (_MONITORED if outcome.is_monitored else decision.disposition.value, decision.payer)
        self._claims.values[labels] += 1
        if outcome.charge is not None:
            self._charges.values[labels] += float(outcome.charge)
        for finding in decision.findings:
            self._findings.values[finding.rule_id, finding.severity.value] += 1
            if finding.category == RULE_ERROR:
                self._rule_errors.add(1, finding.rule_id)
        not_evaluated = self._not_evaluated.values
        for each in decision.not_evaluated:
            not_evaluated[each.rule_id,] += 1

    def met_flood(self, arrival: Arrival, outcome: Outcome, headers: Sequence[tuple[str, bytes | None]]) -> None:
        """The worker stops at this dead letter, which will not be published: say what is wrong with it."""
        line = self._claim_log.line(arrival, outcome, headers)
        self._claim_log.write([] if line is None else [line])

    # ---- the summary

    async def summarize(self, touch: Callable[[], None]) -> None:
        """Every few seconds, log what was decided and call `touch`: proof that the event loop turns."""
        while True:
            touch()
            await asyncio.sleep(_SUMMARY_SECONDS)
            self.log_summary()

    def log_summary(self) -> None:
        """One line about what was decided since the last one."""
        before, now = self._said, self._snapshot()
        counts = now.counts - before.counts
        if not counts:
            return
        self._said = now
        claims = sum(counts[name] for name in (*_DECIDED, _MONITORED))
        seconds = now.wall - before.wall
        times = {}
        for name, histogram, since in (
            ("decision", self.decision_seconds, before.decisions),
            ("latency", self._latency_seconds, before.latencies),
        ):
            for share, percentile in ((0.5, "p50"), (0.99, "p99")):
                value = histogram.quantile(share, since)
                if value is not None:
                    times[f"{name}_ms_{percentile}"] = round(value * 1000, 2)
        log.info(
            "claims",
            claims=claims,
            **{name: counts[name] for name in (*_DECIDED, *sorted(counts.keys() - set(_DECIDED)))},
            seconds=round(seconds, 1),
            claims_per_second=round(claims / seconds) if seconds else None,
            cpu_us_per_claim=round((now.cpu - before.cpu) / claims * 1e6) if claims else None,
            **times,
        )

    def _snapshot(self) -> _Snapshot:
        counts: Counter[str] = Counter()
        for (disposition, _), number in self._claims.values.items():
            counts[disposition] += int(number)
        counts["deadletters"] = int(sum(self._deadletters.values.values()))
        counts["repartitioned"] = int(self._repartitioned.values[()])
        counts["released"] = int(self._released.values[()])
        counts["statuses"] = int(self._statuses.values["remembered",])
        counts["statuses_without_effect"] = int(self._statuses.values["none",])
        return _Snapshot(
            counts,
            time.monotonic(),
            time.process_time(),
            self.decision_seconds.counts(),
            self._latency_seconds.counts(),
        )

    # ---- the endpoint's questions

    def hung(self) -> list[str]:
        """Why the process does not count as alive: the event loop is asked for a turn, and given some seconds."""
        loop = self._loop
        if loop is None:
            return []
        turned: Future[None] = Future()
        try:
            loop.call_soon_threadsafe(turned.set_result, None)
            turned.result(_LOOP_SECONDS)
        except TimeoutError:
            return [f"event loop: has not turned for {_LOOP_SECONDS:g} s"]
        except RuntimeError:  # closed: the worker is at its end
            return []
        return []

    def missing(self) -> list[str]:
        """What a worker lacks that is to decide claims; nothing if it is ready."""
        lanes = self._lanes
        if self.stage or lanes is None:
            return [f"worker: {self.stage or 'starting'}"]
        all_lanes = lanes.all()
        if not all_lanes:
            return ["partitions: none is assigned"]
        missing = []
        lost = [partition for partition, lane in all_lanes.items() if lane.lost]
        if lost:
            missing.append(f"producers: {_named(lost)} lost to another worker")
        behind = [partition for partition, lane in all_lanes.items() if not lane.ready and not lane.lost]
        if behind:
            missing.append(f"history: {_named(behind)} not restored yet")
        now = time.monotonic()
        since = {partition: lane.publishing_since for partition, lane in all_lanes.items()}
        stuck = {
            partition: now - began
            for partition, began in since.items()
            if began is not None and now - began > self._silent_seconds
        }
        if stuck:
            missing.append(f"producers: {_named(stuck)} not published for {max(stuck.values()):.0f} s")
        missing += self._silent(lanes)
        return missing

    def _silent(self, lanes: Lanes) -> list[str]:
        """Whether the brokers answer. Where much waits to be published nothing is fetched, and publishing tells."""
        settings = self._settings
        if lanes.in_flight >= settings.batches_in_flight * settings.batch_records:
            return []
        ready = {partition for partition, lane in lanes.all().items() if lane.ready and not lane.fetched}
        now = time.time()
        silences = [now - heard.at for (_, partition), heard in self._heard().items() if partition in ready]
        longest = max(silences, default=0.0)
        return [f"brokers: no answer to a fetch for {longest:.0f} s"] if longest > self._silent_seconds else []

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The text for Prometheus, and its content type."""
        return exposition(self._families(), accept)

    def _families(self) -> Iterator[Family]:
        for counted in (
            self._claims, self._charges, self._findings, self._rule_errors, self._not_evaluated,
            self._deadletters, self._statuses,
            self._repartitioned, self._released, self._history_writes,
            self.decision_seconds, self._latency_seconds, self._batch_records, self._publish_seconds,
        ):  # fmt: skip
            yield counted.family()
        for metric, name in (
            (metrics.X12_RECORDS, "records"),
            (metrics.X12_CLAIMS, "claims"),
            (metrics.X12_DEADLETTERS, "deadletters"),
        ):
            yield counter(metric, {(): self._x12_totals.get(name, 0)})
        yield gauge(metrics.READY, not self.missing())
        yield gauge(metrics.MODE_INFO, {(self._settings.mode, self._settings.cleared_format): 1})
        yield from self._of_partitions()
        ruleset = self._ruleset
        if ruleset is not None:
            yield gauge(metrics.RULE_SET_INFO, {(ruleset.version, ruleset.digest, ruleset.signed_by): 1})
            yield gauge(metrics.RULES, len(ruleset.rules))
            yield gauge(metrics.CONTRACTS, len(ruleset.contracts.all))
        yield from process_families()

    def _of_partitions(self) -> Iterator[Family]:
        lanes = self._lanes
        all_lanes = {} if lanes is None else lanes.all()
        waiting = [each for lane in all_lanes.values() for each in lane.unpublished()]
        first: dict[Place, int] = {}
        for each in waiting:
            first[each.place] = min(each.first, first.get(each.place, each.first))
        lags: dict[metrics.Labels, float] = {}
        for place, heard in self._heard().items():
            lane = all_lanes.get(place[1])
            if lane is None:
                continue
            if place in first:
                undecided_from = max(first[place], lane.committed.get(place, 0))
            else:  # not the committed offset: the end of a transaction takes an offset too
                undecided_from = heard.end if heard.position is None else heard.position
            lags[place[0], str(place[1])] = max(heard.end - undecided_from, 0)
        yield gauge(metrics.LAG, lags)
        oldest = min((each.timestamp for each in waiting if each.timestamp > 0), default=None)
        yield gauge(metrics.OLDEST_AGE, 0.0 if oldest is None else max(time.time() - oldest / 1000, 0.0))
        yield gauge(metrics.IN_FLIGHT, sum(lane.fetched for lane in all_lanes.values()))
        yield gauge(metrics.PARTITIONS_ASSIGNED, len(all_lanes))
        yield gauge(metrics.PARTITIONS_RESTORED, sum(lane.ready for lane in all_lanes.values()))
        yield counter(metrics.PARTITIONS_LOST, {(): 0 if lanes is None else lanes.lost})
        yield counter(metrics.PUBLISH_RECOVERIES, {(): 0 if lanes is None else lanes.recoveries})
        yield counter(metrics.HISTORY_READS, {(): 0 if lanes is None else lanes.history_reads})


class _Snapshot:
    """The counts of one moment."""

    def __init__(
        self, counts: Counter[str], wall: float, cpu: float, decisions: list[int], latencies: list[int]
    ) -> None:
        self.counts = counts
        self.wall = wall
        self.cpu = cpu
        self.decisions = decisions
        self.latencies = latencies


def _named(partitions: Sequence[int] | Mapping[int, object]) -> str:
    listed = ", ".join(map(str, sorted(partitions)))
    return f"partition{'' if len(partitions) == 1 else 's'} {listed}"
