"""Traces (OpenTelemetry): a span for each event, a child of its sender's span, and one for each batch.

A span of an event begins when it is read and ends when what was decided stands: what is dropped, as another worker has
the partition now, leaves no span but that worker's. The output carries the context of the span, so that whoever reads
it goes on in the same trace. No key, no header, no value of an event is in a span.

Where spans go and how many, is said by the standard variables `OTEL_*`, which the SDK reads. This module needs the
packages of the extra `tracing`; without the setting nobody imports it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any

from faust.contrib.opentelemetry import OpenTelemetrySensor
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rules import __version__
from worker.codec import Headers
from worker.lanes import Output
from worker.records import Headers as Received
from worker.settings import Settings, SettingsError

_NAMES = frozenset({"traceparent", "tracestate"})
_LAST_SECONDS = 2.0
"""For sending the last spans of a worker that stops."""
_LEAST_QUEUE = 2_048
"""Spans that wait to be sent, as the SDK has it by itself; a full batch of ours is as large."""
_TELLTALES = ("opentelemetry.trace.span", "opentelemetry.util.re")
"""Loggers that warn with what they can't read: a sender's tracestate, and the secret in OTEL_EXPORTER_OTLP_HEADERS."""

Published = Callable[[Sequence[Output], int, float], None]


class Tracing:
    """The spans of a worker.

    Args:
        settings: its names.

    Raises:
        SettingsError: a variable OTEL_* is not as it must be.
    """

    def __init__(self, settings: Settings) -> None:
        for name in _TELLTALES:
            logging.getLogger(name).setLevel(logging.ERROR)
        in_flight = settings.batches_in_flight * settings.batch_records
        queue = None if OTEL_BSP_MAX_QUEUE_SIZE in os.environ else max(_LEAST_QUEUE, in_flight)
        try:
            self._provider = TracerProvider(resource=_resource(settings), shutdown_on_exit=False)
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=queue))
        except ValueError as error:
            raise SettingsError(f"a variable OTEL_*, which say where spans go, is wrong: {error}") from None
        self._tracer = self._provider.get_tracer("claimscrub", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._group_id = settings.group_id
        # Where claims go on as they came, what is sent on has to get there so; worker.modes sees to the rest.
        self._unchanged = {None, settings.repartition_topic if settings.cleared_format == "claim" else None}
        # Faust's own hook. As a sensor of the app it would begin spans and never end them: Faust calls the end only for
        # events that a stream acknowledges, and ours acknowledges none.
        self._sensor = OpenTelemetrySensor(tracer=self._tracer)

    @contextmanager
    def batch(self, stream: Any, event: Any) -> Iterator[None]:
        """The span of a batch, over the time in which it is decided; those of its events link to it."""
        tp, offset = event.message.tp, event.message.offset
        state = self._sensor.on_stream_event_in(tp, offset, stream, event)
        get_current_span().set_attribute("messaging.batch.message_count", len(event.value))
        try:
            yield
        finally:
            self._sensor.on_stream_event_out(tp, offset, stream, event, state)

    def begin(self, record: Any) -> Span:
        """The span of an event, which begins; a trace of its own where the event has no context that can be read."""
        carrier: dict[str, str] = {}
        for name, value in record.headers:
            if value is not None and name.lower() in _NAMES:
                carrier.setdefault(name.lower(), value.decode("ascii", "replace"))
        return self._tracer.start_span(
            f"scrub {record.topic}",
            self._propagator.extract(carrier, Context()),  # without one, not a child of the batch's
            SpanKind.CONSUMER,
            links=(Link(get_current_span().get_span_context()),),
        )

    def continued(self, output: Output, span: Span) -> Output:
        """The output with the span, and with its context instead of the one that the event had."""
        if output.topic in self._unchanged:
            return output._replace(span=span)
        return output._replace(headers=self._with_context(output.headers, span), span=span)

    def _with_context(self, headers: Received, span: Span) -> Received:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span, Context()))
        if not carrier:  # the SDK is switched off
            return headers
        context: Headers = [(name, value.encode()) for name, value in carrier.items()]
        # In front: what a worker writes behind a sender's headers is looked for at the end.
        return [*context, *(header for header in headers if header[0].lower() not in _NAMES)]

    def failed(self, span: Span, error: Exception) -> None:
        """The event could not be decided, and stops the worker."""
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        span.end()

    def ending(self, published: Published) -> Published:
        """Like `published`, and ends the spans of what stands now."""

        def end(outputs: Sequence[Output], history_writes: int, seconds: float) -> None:
            published(outputs, history_writes, seconds)
            now = time.time_ns()
            for output in outputs:
                self._end(output, now)

        return end

    def _end(self, output: Output, now: int) -> None:
        span, record, outcome = output.span, output.record, output.outcome
        if span is None or not span.is_recording():
            return
        attributes: dict[str, Any] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "scrub",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._group_id,
            "claimscrub.event_id": output.arrival.event_id,
            "claimscrub.outcome": _outcome(output),
        }
        if outcome.claim_id:
            attributes["claimscrub.claim_id"] = outcome.claim_id
        if outcome.decision is not None:
            findings = outcome.decision.findings
            attributes["claimscrub.payer"] = outcome.decision.payer
            attributes["claimscrub.rule_ids"] = list(dict.fromkeys([finding.rule_id for finding in findings]))
            attributes["claimscrub.rule_set_version"] = outcome.decision.rule_set_version
        if outcome.error is not None:
            span.set_status(Status(StatusCode.ERROR, str(outcome.error)))
        span.set_attributes(attributes)
        span.end(now)

    def stop(self) -> None:
        """Send what is left; a collector that does not answer can't hold up the end."""
        last = Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(_LAST_SECONDS)


def _outcome(output: Output) -> str:
    outcome = output.outcome
    if outcome.error is not None:
        return "deadletter"
    if outcome.goes_on:
        return "repartitioned"
    if outcome.is_release:
        return "released"
    if outcome.is_monitored:
        return "monitored"
    return "status" if outcome.disposition is None else outcome.disposition.value


def _resource(settings: Settings) -> Resource:
    own = {"service.name": "claimscrub", "service.version": __version__}
    if settings.instance_id:
        own["service.instance.id"] = settings.instance_id
    return Resource(own).merge(OTELResourceDetector().detect())  # what the deployment says comes first
