"""A collector of traces, as a worker finds it at its address."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What an OpenTelemetry collector is to a worker: it takes spans over HTTP."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.answer = 200
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        bodies, collector = self.bodies, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(collector.answer)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not on the terminal."""

        return Handler

    def spans(self) -> list[Span]:
        """All spans so far."""
        return [span for resource in self._resources() for scope in resource.scope_spans for span in scope.spans]

    def resource(self) -> dict[str, str]:
        """What the spans are said to be of."""
        return {each.key: each.value.string_value for each in self._resources()[0].resource.attributes}

    def _resources(self) -> list[Any]:
        return [each for body in self.bodies for each in ExportTraceServiceRequest.FromString(body).resource_spans]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
