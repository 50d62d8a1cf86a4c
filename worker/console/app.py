"""The console's server: pages, health and metrics behind one door."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from nicegui import app as pages_app
from nicegui import ui
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from wsproto.utilities import LocalProtocolError

from worker.console.access import Access
from worker.console.layout import ask, button, empty, frame, heading, link
from worker.console.pages import causes, claim, dead_letters, flagged, now, overrides, rules, what_if
from worker.console.service import Service
from worker.failures import kind_and_place
from worker.settings import PREFIX, Settings, SettingsError

_STYLE = Path(__file__).with_name("console.css")
_STOP_SECONDS = 2
_COLLECT_EVERY = (20_000, 20, 20)
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1459b3"/>'
    '<path d="M9 16.5l5 5L23.5 11" fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="round"'
    ' stroke-linejoin="round"/></svg>'
)


def build(service: Service) -> Access:
    """The whole console as an ASGI application.

    Raises:
        SettingsError: it would be open to more than this machine.
    """
    outer = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _add_health(outer, service)
    style = f"/assets/{hashlib.sha256(_STYLE.read_bytes()).hexdigest()[:16]}.css"
    pages_app.add_static_file(local_file=_STYLE, url_path=style, max_cache_age=31_536_000)
    ui.add_head_html(f'<link rel="stylesheet" href="{style}">', shared=True)
    for page in (now, flagged, claim, causes, rules, what_if, dead_letters, overrides):
        page.add(service)
    _add_errors(service)
    ui.run_with(
        outer,
        title="claimscrub",
        favicon=_ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        binding_refresh_interval=None,
        reconnect_timeout=10.0,
    )
    return Access(_Timed(outer, service), service.settings)


class _Timed:
    """Counts how long pages take, by their pattern."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        await self.app(scope, receive, send)
        pattern = scope.get("nicegui_page_path")  # set by NiceGUI where a page was made
        if scope["type"] == "http" and pattern:
            self._service.metrics.answered(pattern, time.monotonic() - started)


def _add_health(outer: FastAPI, service: Service) -> None:
    @outer.get("/healthz")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @outer.get("/readyz")
    async def readyz() -> JSONResponse:
        missing = service.missing
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    @outer.get("/metrics")
    async def metrics(request: Request) -> Response:
        content, kind = await ask(service.metrics.text, request.headers.get("accept", ""))
        return Response(content, media_type=kind)


def _add_errors(service: Service) -> None:
    @pages_app.on_page_exception
    def broken(error: Exception) -> None:
        """Instead of NiceGUI's own page, which would repeat what the error says."""
        del error  # logged by the handler below
        with frame(service, "Something failed"):
            heading("This page could not be made", 1)
            empty("The console's log names the fault. Other pages may work; try again in a moment.")
            button("Try again", ui.navigate.reload)

    pages_app.on_exception(_log_error)

    @pages_app.exception_handler(404)
    async def missing(request: Request, _: Exception) -> Any:
        from nicegui.client import Client
        from nicegui.page import page

        with Client(page(""), request=request) as client, frame(service, "Not found"):
            heading("There is no such page", 1)
            link("What happens now", "/")
        return client.build_response(request, 404)


def _log_error(error: BaseException) -> None:
    """Where it happened and of which kind, once; its words could repeat what somebody pasted."""
    if vars(error).setdefault("claimscrub_logged", False):
        return
    vars(error)["claimscrub_logged"] = True
    structlog.get_logger("claimscrub.console").error("page failed", reason=kind_and_place(error))


class _KindOnly(logging.Filter):
    """Of an exception that a library logs, its kind and place, for the same reason."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else record.msg
        if isinstance(error, BaseException):
            _log_error(error)
            return False
        return True


def quiet_libraries() -> None:
    """What the libraries log of requests holds addresses and values that no log of ours has."""
    for name in ("nicegui", "uvicorn", "uvicorn.error", "uvicorn.asgi", "asyncio", "socketio", "engineio"):
        logging.getLogger(name).addFilter(_KindOnly())


def listen(settings: Settings) -> socket.socket:
    """The socket that the console will be served on.

    Raises:
        SettingsError: another process has the port, or this machine has not the address.
    """
    host, port = settings.console_host, settings.console_port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        made = socket.socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        raise SettingsError(
            f"{PREFIX}CONSOLE_HOST={host}, {PREFIX}CONSOLE_PORT={port}: {error.strerror or error}; choose another"
            " address or port, or stop what listens there"
        ) from None
    return made


def serve(application: Any, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        application,
        access_log=False,
        log_config=None,
        # Addresses are looked at in one place, which knows which proxies are believed.
        proxy_headers=False,
        server_header=False,
        ws="wsproto",
        timeout_graceful_shutdown=_STOP_SECONDS,
        limit_concurrency=1_000,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            # To look through everything for garbage, as Python does often, holds up pages by tenths of a second.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_COLLECT_EVERY)
            started()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # A browser that closes its websocket at this very moment is closed already.
            with suppress(LocalProtocolError):
                await super().shutdown(sockets)

    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn ends at these, and then raises them once more for whoever was there before.
        signal.signal(number, lambda *_: None)
    with asyncio.Runner() as runner:
        runner.run(Server(config).serve(sockets=[listening]))
