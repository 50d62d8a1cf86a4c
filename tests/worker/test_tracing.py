"""Traces, as far as they need no broker; the rest is in tests/deployment/test_tracing.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from rules import RuleSet
from tests.worker_process import ROOT
from worker.agents import Scrubber
from worker.codec import Arrival
from worker.lanes import Output
from worker.monitor import Monitor
from worker.pipeline import Outcome
from worker.records import Headers
from worker.settings import Settings, SettingsError
from worker.tracing import Tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENDER = ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())
OTHER = ("x-route", b"7")


class Record(NamedTuple):
    """What is looked at of a record."""

    headers: Headers
    key: bytes = b"k"
    value: bytes = b"{}"
    topic: str = "claims.submitted"
    partition: int = 0
    offset: int = 17
    timestamp: int = 1_786_000_000_000


def output_of(record: Record, topic: str) -> Output:
    """An output that carries on the input's headers."""
    arrival = Arrival.of(record, "claims.repartition")
    return Output(topic, None, b"k", b"{}", record.headers, record, arrival, Outcome(b"{}", "C1"))


@pytest.fixture
def no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans that go nowhere: none is sampled."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")


@pytest.mark.usefixtures("no_collector")
def test_an_output_has_one_context_the_spans() -> None:
    """It takes the place of the sender's, in whatever spelling; other headers stay as they are."""
    tracing = Tracing(Settings())
    record = Record([("TraceParent", SENDER[1]), OTHER, ("tracestate", b"a=1")])
    span = tracing.begin(record)
    headers = tracing.continued(output_of(record, "claims.flagged"), span).headers
    tracing.stop()

    here = f"00-{TRACE}-{span.get_span_context().span_id:016x}-00".encode()
    assert headers == [("traceparent", here), ("tracestate", b"a=1"), OTHER]


@pytest.mark.usefixtures("no_collector")
def test_a_claim_that_will_go_on_as_it_came_keeps_its_context_on_its_way() -> None:
    """On its way to its member's partition, where claims are published bare; not where they are in envelopes."""
    record = Record([SENDER, OTHER])
    for cleared_format in ("claim", "envelope"):
        tracing = Tracing(Settings.model_validate({"cleared_format": cleared_format}))
        headers = tracing.continued(output_of(record, "claims.repartition"), tracing.begin(record)).headers
        tracing.stop()
        assert (list(headers) == [SENDER, OTHER]) == (cleared_format == "claim")


@pytest.mark.usefixtures("no_collector")
def test_a_dead_letter_for_its_size_is_in_the_same_trace(ruleset: RuleSet) -> None:
    """Where brokers refuse what was decided, the dead letter in its place carries the same span."""
    settings = Settings()
    tracing = Tracing(settings)
    scrubber = Scrubber(settings, ruleset, Monitor(settings), tracing)
    record = Record([SENDER])
    decided = tracing.continued(output_of(record, "claims.flagged"), tracing.begin(record))
    refused = scrubber.refused(decided)
    tracing.stop()
    assert refused.topic == "claims.deadletter"
    assert [value for name, value in refused.headers if name == "traceparent"] == [dict(decided.headers)["traceparent"]]


@pytest.mark.parametrize("name", ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"])
def test_a_wrong_variable_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What the SDK does not take is one sentence, not a traceback."""
    monkeypatch.setenv(name, "-1")
    with pytest.raises(SettingsError, match=r"a variable OTEL_\*, which say where spans go, is wrong: "):
        Tracing(Settings())


@pytest.mark.usefixtures("no_collector")
def test_a_secret_for_the_collector_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where it is not written as the variable wants it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "hush-hush")
    Tracing(Settings()).stop()
    assert "hush" not in caplog.text


def test_without_its_packages_it_says_how_to_install_them(tmp_path: Path) -> None:
    """Where the extra is not installed one sentence names it, before anything is asked of a broker."""
    # A module that can't be imported stands for an environment that has none.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry'] = None\n")
    environment = {**os.environ, "CLAIMSCRUB_TRACING": "true", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    for options in ((), ("--workers", "2")):
        ended = subprocess.run(
            [sys.executable, "-m", "worker.cli", "worker", *options],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert ended.returncode == 3
        assert ended.stderr.strip() == (
            "claimscrub: CLAIMSCRUB_TRACING: tracing needs more packages; install them with:"
            " pip install claimscrub[tracing]"
        )
