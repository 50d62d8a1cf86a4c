"""The table of metrics, and what is made of it: Prometheus's text, its documentation, percentiles of the log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from rules import RuleSet
from worker.console.metrics import ConsoleMetrics, ConsoleState
from worker.console.views import Backlog
from worker.metrics import BATCH_RECORDS, CONSOLE_REQUEST_SECONDS, METRICS, Histogram, Where, exposition, metrics_page
from worker.monitor import Monitor
from worker.settings import Settings
from worker.supervisor import Supervisor

ROOT = Path(__file__).parents[2]


def test_names_keep_to_the_conventions() -> None:
    """A counter ends in total and nothing else does; what is measured ends in its unit; buckets ascend."""
    for name, each in METRICS.items():
        assert re.fullmatch(r"(claimscrub|process)_[a-z0-9_]+", name)
        assert (each.kind == "counter") == name.endswith("_total")
        assert (each.kind == "histogram") == bool(each.buckets)
        assert list(each.buckets) == sorted(set(each.buckets))
        assert each.meaning.endswith(".")
        if each.unit in {"seconds", "bytes", "dollars"}:
            assert name.removesuffix("_total").endswith(f"_{each.unit}")
        assert not {"claim_id", "event_id", "member", "user"} & set(each.labels)


def test_the_page_is_the_table() -> None:
    """What stands in docs/metrics.md is what `make docs` would write now, with a row for each metric and process."""
    page = metrics_page()

    assert (ROOT / "docs" / "metrics.md").read_text() == page, "docs/metrics.md is old: run `make docs`"
    for each in METRICS.values():
        assert len(re.findall(rf"^\| `{each.name}` \| {each.kind} \|", page, re.MULTILINE)) == len(each.where)


def _names(text: bytes) -> set[str]:
    """Of the metrics as the table has them."""
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for family in openmetrics_families(text.decode())  # type: ignore[no-untyped-call]
    }


def _of(where: Where) -> set[str]:
    return {name for name, each in METRICS.items() if where in each.where}


def test_a_worker_tells_all_that_the_table_says(ruleset: RuleSet) -> None:
    """Every metric of a worker is in its text, from the start on, and no other; it is not ready yet."""
    monitor = Monitor(Settings())
    monitor.judges_by(ruleset)
    text, content_type = monitor.text("application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert _names(text) == _of("worker")
    assert b"\nclaimscrub_ready 0.0\n" in text
    assert f'digest="{ruleset.digest}"'.encode() in text
    assert monitor.hung() == []
    assert monitor.missing() == ["worker: starting"]


def test_a_supervisor_tells_all_that_the_table_says() -> None:
    """Every metric of a supervisor is in its text; it is not ready before its workers are there."""
    supervisor = Supervisor(Settings(), 2)

    assert _names(supervisor.text("application/openmetrics-text; version=1.0.0")[0]) == _of("supervisor")
    assert supervisor.hung() == []
    assert supervisor.missing() == ["workers: not started yet"]


def test_a_console_tells_all_that_the_table_says() -> None:
    """Counters, requests by route, what waits and how far the projection is; what is not known is left out."""
    backlog = Backlog(7, datetime(2026, 1, 1, tzinfo=UTC))
    states = iter(
        [
            ConsoleState(True, 3, 12, 1_234_56, 1.5, backlog),
            ConsoleState(False, None, 0, 0, None, Backlog(0, None, problem="?")),
        ]
    )
    console = ConsoleMetrics(lambda: next(states))
    console.projected("claims.flagged", 5)
    console.projected("claims.flagged", 2)
    console.answered("/flagged/{event_id}", 0.02)
    console.released()
    console.resubmitted()
    known, unknown = console.text("application/openmetrics-text; version=1.0.0")[0], console.text()[0]

    assert _names(known) == _of("console")
    for line in (
        'claimscrub_console_records_total{topic="claims.flagged"} 7.0',
        "claimscrub_ready 1.0",
        "claimscrub_console_open_claims 12.0",
        "claimscrub_console_open_charges_dollars 1234.56",
        "claimscrub_console_backlog_records 7.0",
        "claimscrub_console_releases_total 1.0",
        "claimscrub_console_resubmissions_total 1.0",
        'claimscrub_console_request_seconds_bucket{le="0.025",route="/flagged/{event_id}"} 1.0',
        'claimscrub_console_request_seconds_bucket{le="0.01",route="/flagged/{event_id}"} 0.0',
    ):
        assert f"\n{line}\n" in known.decode()
    assert "\nclaimscrub_console_backlog_records " not in unknown.decode()
    assert "\nclaimscrub_console_lag_records " not in unknown.decode()


def test_old_and_new_readers_get_their_own_text() -> None:
    """Without a wish the text is Prometheus's old one; both parsers read the same values."""
    histogram = Histogram(BATCH_RECORDS)
    histogram.observe_all([1, 2, 7, 9_999])
    plain, plain_type = exposition([histogram.family()])
    new, _ = exposition([histogram.family()], "application/openmetrics-text; version=1.0.0, text/plain; q=0.5")

    def samples(families: Iterable[object]) -> set[tuple[str, str, float]]:
        return {
            (sample.name, sample.labels.get("le", ""), sample.value)
            for family in families
            for sample in family.samples  # type: ignore[attr-defined]
        }

    assert plain_type.startswith("text/plain; version=0.0.4")
    read = samples(text_families(plain.decode()))
    assert read == samples(openmetrics_families(new.decode()))  # type: ignore[no-untyped-call]
    assert {
        ("claimscrub_batch_records_bucket", "1.0", 1.0),
        ("claimscrub_batch_records_bucket", "2.0", 2.0),
        ("claimscrub_batch_records_bucket", "10.0", 3.0),
        ("claimscrub_batch_records_bucket", "+Inf", 4.0),
        ("claimscrub_batch_records_count", "", 4.0),
        ("claimscrub_batch_records_sum", "", 10_009.0),
    } <= read


def test_percentiles_are_those_of_what_came_since() -> None:
    """A percentile is interpolated within its bucket, over what came since the earlier counts, or there is none."""
    histogram = Histogram(CONSOLE_REQUEST_SECONDS)
    histogram.observe_all([5.0] * 100, "/")
    before = histogram.counts("/")
    assert histogram.quantile(0.5, before, "/") is None
    histogram.observe_all([0.02] * 50 + [0.07] * 50, "/")

    assert histogram.quantile(0.25, before, "/") == pytest.approx(0.0175)
    assert histogram.quantile(0.75, before, "/") == pytest.approx(0.075)
    histogram.observe_all([99.0] * 1_000, "/")
    assert histogram.quantile(0.99, before, "/") == 10.0
