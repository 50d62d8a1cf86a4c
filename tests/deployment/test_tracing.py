"""Traces of a worker on a real broker, as a collector gets them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.collector import Collector
from tests.kafka_broker import Cluster
from tests.worker_process import Pipeline, claim_event, eventually, member_key, member_number
from worker.members import partition_of
from worker.records import Headers

pytestmark = pytest.mark.broker

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED: Headers = [("traceparent", f"00-{TRACE}-{PARENT}-01".encode()), ("tracestate", b"sender=17,other=x")]
NOT_SAMPLED: Headers = [("traceparent", f"00-{TRACE}-{PARENT}-00".encode())]
INVALID: Headers = [("Traceparent", b"00-0af7-b7ad-01"), ("tracestate", b"Mabel Example")]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens."""
    made = Collector()
    yield made
    made.close()


@contextmanager
def sender(pipeline: Pipeline) -> Iterator[Callable[..., None]]:
    """Sends records with headers to the submitted topic."""
    producer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap_servers, "partitioner": "murmur2_random"})

    def send(value: bytes, headers: Headers = (), key: bytes | None = None) -> None:
        producer.produce(
            pipeline.topics["submitted"], value, member_key(value) if key is None else key, headers=list(headers)
        )
        pipeline.sent += 1

    yield send
    assert producer.flush(30) == 0


def attributes(span: Span) -> dict[str, Any]:
    """Those of a span, as plain values."""
    read = {}
    for each in span.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        read[each.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return read


@dataclass
class Traced:
    """What came of five events, and what a collector was told: one of each kind, by the claim's id."""

    collector: Collector
    group_id: str
    outputs: dict[str | None, Message]
    log: str
    lines: dict[str, dict[str, Any]]
    spans: dict[str, Span]
    batches: list[Span]

    def trace_context(self, outcome: str) -> tuple[str, str]:
        """Trace and span id of the span of the event with this outcome."""
        return self.spans[outcome].trace_id.hex(), self.spans[outcome].span_id.hex()


@pytest.fixture(scope="module")
def traced(kafka: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """A worker that traces, and has decided five events."""
    collector = Collector()
    pipeline = Pipeline(kafka, f"t{uuid.uuid4().hex[:8]}-", tmp_path_factory.mktemp("traced"))
    pipeline.create_topics()
    home = partition_of(member_key(claim_event(4)) or b"", pipeline.partitions)
    keys = (b"Mabel-%d" % number for number in range(100))
    with sender(pipeline) as send:
        send(claim_event(1), SAMPLED)
        send(claim_event(2, flagged=True))
        send(claim_event(3), NOT_SAMPLED)
        send(claim_event(4), SAMPLED, next(key for key in keys if partition_of(key, pipeline.partitions) != home))
        send(b"junk about Mabel", INVALID, b"Mabel")
    with pipeline.worker(
        CLAIMSCRUB_TRACING="true",
        CLAIMSCRUB_INSTANCE_ID="first",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=tests",
    ) as worker:
        pipeline.wait_for_all()
        eventually(lambda: worker.events("flagged") and worker.events("deadletter"))
    spans, batches = {}, []
    for span in collector.spans():
        if span.name.startswith("scrub "):
            came_on = span.name == f"scrub {pipeline.topics['repartition']}"
            name = "came on" if came_on else attributes(span)["claimscrub.outcome"]
            assert name not in spans
            spans[name] = span
        else:
            batches.append(span)
    yield Traced(
        collector,
        pipeline.settings.group_id,
        {_subject(message): message for messages in pipeline.outputs().values() for message in messages},
        worker.log,
        {line["event"]: line for line in worker.lines()},
        spans,
        batches,
    )
    pipeline.close()
    collector.close()


def test_the_span_of_an_event_is_a_child_of_its_senders(traced: Traced) -> None:
    """The sender's context is taken over; what has none that can be read begins a trace of its own.

    An event that is sent on to its member's partition has a span there too, a child of the first one.
    """
    assert traced.spans.keys() == {"cleared", "flagged", "repartitioned", "came on", "deadletter"}
    for outcome in ("cleared", "repartitioned"):
        span = traced.spans[outcome]
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert span.trace_state == "sender=17,other=x"
    came = traced.spans["came on"]
    assert (came.trace_id.hex(), came.parent_span_id.hex()) == traced.trace_context("repartitioned")
    for outcome in ("flagged", "deadletter"):
        assert traced.spans[outcome].parent_span_id == b""
        assert traced.spans[outcome].trace_id.hex() != TRACE


def test_an_output_carries_the_context_of_its_span(traced: Traced) -> None:
    """Whoever reads it goes on from there, once; what the sender does not sample stays so, and has no span."""
    for subject, outcome in {"C1": "cleared", "C2": "flagged", "C4": "came on", None: "deadletter"}.items():
        (context,) = _contexts(traced.outputs[subject])
        assert tuple(context[1:3]) == traced.trace_context(outcome)
        assert int(context[3], 16) & 1
    assert dict(traced.outputs["C1"].headers() or [])["tracestate"] == b"sender=17,other=x"
    assert "tracestate" not in dict(traced.outputs[None].headers() or [])
    (context,) = _contexts(traced.outputs["C3"])
    assert context[1] == TRACE
    assert not int(context[3], 16) & 1


def test_a_span_says_what_was_decided(traced: Traced) -> None:
    """Its attributes name the input by OpenTelemetry's conventions, and the claim as the log does; likewise the log."""
    flagged, event_id = traced.spans["flagged"], dict(traced.outputs["C2"].headers() or [])["ce_id"].decode()
    topic, partition, offset = event_id.rsplit("-", 2)
    decision = json.loads(traced.outputs["C2"].value() or b"")["decision"]
    assert flagged.kind == Span.SPAN_KIND_CONSUMER
    assert attributes(flagged) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "scrub",
        "messaging.operation.type": "process",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": partition,
        "messaging.kafka.offset": int(offset),
        "messaging.consumer.group.name": traced.group_id,
        "claimscrub.event_id": event_id,
        "claimscrub.outcome": "flagged",
        "claimscrub.claim_id": "C2",
        "claimscrub.payer": decision["payer"],
        "claimscrub.rule_ids": list(dict.fromkeys(finding["rule_id"] for finding in decision["findings"])),
        "claimscrub.rule_set_version": decision["rule_set"]["version"],
    }
    failed = {outcome for outcome, span in traced.spans.items() if span.status.code == Status.STATUS_CODE_ERROR}
    assert failed == {"deadletter"}
    for outcome in ("flagged", "deadletter"):
        assert traced.lines[outcome]["trace_id"] == traced.spans[outcome].trace_id.hex()
    resource = traced.collector.resource()
    assert resource["service.name"] == "claimscrub"
    assert resource["service.instance.id"] == "first"
    assert resource["deployment.environment.name"] == "tests"


def test_the_span_of_an_event_links_to_that_of_its_batch(traced: Traced) -> None:
    """Faust's own hook makes a span for each batch; it says how many events the batch has."""
    links = {(link.trace_id, link.span_id) for span in traced.spans.values() for link in span.links}
    assert links == {(span.trace_id, span.span_id) for span in traced.batches}
    # With the event that came twice, and the one that is not sampled.
    assert sum(attributes(span)["messaging.batch.message_count"] for span in traced.batches) == 6
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano > 0 for span in traced.batches)


def test_no_key_header_or_value_of_an_event_is_in_a_span_or_in_the_log(traced: Traced) -> None:
    """A sender's key may be anything, and its headers too; what can't be read of them is not repeated either."""
    marks = (b"Mabel", member_number(1).encode(), member_number(4).encode(), member_key(claim_event(1)) or b"")
    for mark in marks:
        assert not any(mark in body for body in traced.collector.bodies)
        assert mark.decode() not in traced.log


def test_a_bare_claim_keeps_its_senders_context(pipeline: Pipeline, collector: Collector) -> None:
    """Where claims go on as they came, their headers do too; what is flagged beside them carries the span's context."""
    home = partition_of(member_key(claim_event(2)) or b"", pipeline.partitions)
    keys = (b"other-%d" % number for number in range(100))
    other = next(key for key in keys if partition_of(key, pipeline.partitions) != home)
    with sender(pipeline) as send:
        send(claim_event(1), SAMPLED)
        send(claim_event(2, flagged=True), [*SAMPLED, ("x-route", b"7")], other)
        pipeline.sent += 1  # one is published twice
    with pipeline.worker(
        CLAIMSCRUB_TRACING="true",
        CLAIMSCRUB_CLEARED_FORMAT="claim",
        CLAIMSCRUB_MODE="monitor",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
    ):
        pipeline.wait_for_all()
    outputs = pipeline.outputs()
    spans = {attributes(span)["claimscrub.outcome"]: span for span in collector.spans() if span.name[:5] == "scrub"}

    for message in outputs["cleared"]:
        theirs = [header for header in message.headers() or [] if not header[0].startswith("claimscrub_")]
        assert theirs == (SAMPLED if message.value() == claim_event(1) else [*SAMPLED, ("x-route", b"7")])
    assert spans.keys() == {"cleared", "repartitioned", "monitored"}
    assert {span.parent_span_id.hex() for span in spans.values()} == {PARENT}
    (flagged,) = outputs["flagged"]
    (context,) = _contexts(flagged)
    assert context[1:3] == [TRACE, spans["monitored"].span_id.hex()]


def test_a_collector_that_fails_costs_spans_and_no_claim(pipeline: Pipeline, collector: Collector) -> None:
    """Where spans can't be sent claims are decided all the same, and the worker stops in time and in good order."""
    collector.answer = 503
    pipeline.send([(None, claim_event(number)) for number in range(20)])
    with pipeline.worker(CLAIMSCRUB_TRACING="true", OTEL_EXPORTER_OTLP_ENDPOINT=collector.address) as worker:
        pipeline.wait_for_all()
        assert worker.terminate(10) == 0
    assert len(pipeline.outputs()["cleared"]) == 20


def test_a_switched_off_sdk_leaves_headers_as_they_came(pipeline: Pipeline) -> None:
    """OTEL_SDK_DISABLED is obeyed: no span, and the sender's own context on the output."""
    with sender(pipeline) as send:
        send(claim_event(1), SAMPLED)
        send(claim_event(2), INVALID)
    with pipeline.worker(CLAIMSCRUB_TRACING="true", OTEL_SDK_DISABLED="true"):
        pipeline.wait_for_all()
    headers = {_subject(message): message.headers() or [] for message in pipeline.outputs()["cleared"]}
    assert set(SAMPLED) <= set(headers["C1"])
    assert set(INVALID) <= set(headers["C2"])


def _subject(message: Message) -> str | None:
    found = dict(message.headers() or []).get("ce_subject")
    return None if found is None else found.decode()


def _contexts(message: Message) -> list[list[str]]:
    """The parts of each header `traceparent`, in any spelling."""
    headers = message.headers() or []
    return [(value or b"").decode().split("-") for name, value in headers if name.lower() == "traceparent"]
