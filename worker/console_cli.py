"""`claimscrub console`: the pages that operations people watch."""

from __future__ import annotations

import signal
import sys
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import click

from worker.folder import only_one
from worker.rulebook import load_rulebook, members_of
from worker.settings import load_settings
from worker.terminal import CLEARED, FAILED, clear_errors, say

_FILE = "console.sqlite"
_LOCK_FILE = ".claimscrub-console"


@click.command()
def console() -> None:
    """Serve the web console: what is flagged, why, and how much money waits.

    It reads the output topics on its own account; any number of consoles may run beside any number of workers. It
    listens on 127.0.0.1:8063, until SIGTERM; on another address only with CLAIMSCRUB_CONSOLE_TOKEN or
    CLAIMSCRUB_CONSOLE_USER_HEADER.

    Exit code: 0 stopped in good order, 3 settings are not as they must be or the port is taken.
    """
    if find_spec("nicegui") is None:
        say(
            "claimscrub: the console needs more packages than the worker; install them with:"
            " pip install claimscrub[console]"
        )
        sys.exit(FAILED)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(CLEARED))  # until the server takes them over
    import structlog

    from worker.console.app import build, listen, quiet_libraries, serve
    from worker.console.follow import Follower
    from worker.console.projection import Projection
    from worker.console.service import Service
    from worker.log import configure_logging

    with clear_errors(), ExitStack() as stack:
        settings = load_settings()
        configure_logging(settings)
        quiet_libraries()
        log = structlog.get_logger("claimscrub.console")
        ruleset = load_rulebook(settings)
        folder = settings.console_directory or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="claimscrub-console-", ignore_cleanup_errors=True))
        )
        stack.enter_context(only_one(folder / _LOCK_FILE, "claimscrub console"))
        projection = Projection(folder / _FILE, ruleset, settings.console_days)
        service = Service(settings, ruleset, members_of(settings, ruleset), projection, Follower(settings, projection))
        application = build(service)
        with listen(settings) as listening:
            host, port = listening.getsockname()[:2]
            stack.callback(service.stop)

            def started() -> None:
                service.start()
                log.info("console", reason=f"http://{f'[{host}]' if ':' in host else host}:{port}")

            serve(application, listening, started)
        log.info("stopped")
