"""/metrics, /healthz and /readyz of a worker or its supervisor, over HTTP.

Served by threads of their own: so they answer from the first moment, and also where the event loop hangs, to say so.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Protocol

from worker.settings import PREFIX, Settings, SettingsError

_REQUEST_SECONDS = 10.0
"""Who has not sent a request, or taken its answer, by then is hung up on."""
_MOST_CONNECTIONS = 32
_STOP_SECONDS = 0.1
"""How soon it notices that it is to stop."""


class Served(Protocol):
    """What is served."""

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The text for Prometheus, and its content type."""
        ...

    def hung(self) -> list[str]:
        """Why the process does not count as alive."""
        ...

    def missing(self) -> list[str]:
        """Why it is not ready."""
        ...


@contextmanager
def endpoint(settings: Settings, served: Served) -> Iterator[None]:
    """Serve, if the settings name a port.

    Raises:
        SettingsError: nothing can be served there.
    """
    if not settings.metrics_port:
        yield
        return
    where = (settings.metrics_host, settings.metrics_port)
    handler = type("Handler", (_Handler,), {"served": served})
    try:
        server = _Server(where, handler)
    except OSError as error:
        said = f"{PREFIX}METRICS_HOST and {PREFIX}METRICS_PORT: {where[0]}:{where[1]}: {error.strerror or error}"
        raise SettingsError(f"{said}; choose an address of this machine and a port that is free") from None
    threading.Thread(target=server.serve_forever, args=(_STOP_SECONDS,), name="endpoint", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _status(problems: list[str]) -> HTTPStatus:
    return HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = _MOST_CONNECTIONS
    block_on_close = False  # a slow reader does not hold up the end of the worker

    def __init__(self, where: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.Semaphore(_MOST_CONNECTIONS)
        self.address_family = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)[0][0]
        super().__init__(where, handler)

    def server_bind(self) -> None:
        """Without the look-up of the host's name that http.server makes, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """No more threads than there is reason for."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    served: ClassVar[Served]
    timeout = _REQUEST_SECONDS
    server_version, sys_version = "claimscrub", ""

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def _respond(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            body, content_type = self.served.text(self.headers.get("Accept") or "")
            self._answer(HTTPStatus.OK, content_type, body)
        elif path == "/healthz":
            problems = self.served.hung()
            body = "".join(f"{line}\n" for line in problems or ["ok"]).encode()
            self._answer(_status(problems), "text/plain; charset=utf-8", body)
        elif path == "/readyz":
            missing = self.served.hung() or self.served.missing()
            content = json.dumps({"ready": not missing, "missing": missing})
            self._answer(_status(missing), "application/json", content.encode() + b"\n")
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"/metrics, /healthz or /readyz\n")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests are no news."""
