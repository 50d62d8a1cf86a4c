"""The Faust app, with every setting that matters set on purpose."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError

from rules import RuleSet
from worker import agents
from worker.data_directory import Sign, data_directory
from worker.deadletter import DeadLetterFloodError
from worker.failures import said_of
from worker.history import Memory, Shelf
from worker.kafka import KafkaProblemError, refusal_of, ssl_context
from worker.lanes import Lanes
from worker.members import Members
from worker.monitor import Monitor
from worker.rulebook import members_of
from worker.settings import Settings
from worker.splitter import Splitter
from worker.terminal import FAILED, FLOOD, say
from worker.transport import batch_transport

_LAST_SECONDS = 0.5
"""Of the time for stopping, kept back for ending by force."""

_METADATA_SECONDS = 10
"""Between two looks at the topics. A broker that comes up may not know them for a moment, and who joins the group then
gets no partitions until the next look; new partitions are seen so, too."""

_SWITCH_SECONDS = 0.02
"""How long the consumer's thread may be kept waiting by decisions. The agent lets it run every few milliseconds anyway;
what Python would take from it in between only costs."""

_COLLECT_EVERY = (20_000, 20, 50)
"""When Python looks for cycles of objects. A claim leaves none; at Python's own pace the looking takes a tenth of the
time, over batches that wait to be published and over rules that are there for good."""

log = structlog.get_logger("claimscrub.worker")


def build_app(settings: Settings, ruleset: RuleSet, folder: Path, monitor: Monitor) -> Any:
    """The app that consumes claim events and publishes decisions.

    Args:
        settings: where and how.
        ruleset: the rules that decide.
        folder: for the worker's files; two workers with one folder would fight over it.
        monitor: is told what happens.
    """
    app = faust.App(
        settings.group_id,
        broker=[f"kafka://{server}" for server in settings.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        consumer_group_instance_id=settings.instance_id or None,
        datadir=str(folder),
        web_enabled=False,
        # Topics are made by `claimscrub topics create`, never as a side effect of a worker.
        topic_allow_declare=False,
        topic_disable_leader=True,
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",  # a new group decides everything there is
        consumer_metadata_max_age_ms=_METADATA_SECONDS * 1000,
        broker_max_poll_records=settings.batch_records,
        broker_commit_interval=settings.commit_interval_seconds,
        broker_commit_every=None,  # by time alone: committing per so many batches says nothing about claims
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 10,
        broker_request_timeout=max(90.0, settings.session_timeout_seconds + 5),  # Faust wants it above the session's
        broker_rebalance_timeout=60.0,
        consumer_max_fetch_size=max(settings.batch_bytes // 2, settings.max_message_bytes + 65_536),
        stream_wait_empty=True,  # finish what was begun before giving partitions away; see worker.transport
        stream_buffer_maxsize=settings.batches_in_flight,
        table_standby_replicas=0,  # no tables: Faust then uses a plain assignor
    )
    app.failure = None
    app.stop_because = partial(_stop_because, app)
    app.tracing = _tracing(settings)
    scrubber = agents.Scrubber(settings, ruleset, monitor, app.tracing)
    members = members_of(settings, ruleset)
    alive, ready = Sign(folder / "alive"), Sign(folder / "ready")
    ready.hide()  # an earlier worker may have been killed

    def remember(shelf: Shelf, partition: int, partitions: int) -> Memory:
        place = (partition, partitions)
        return Memory(members, ruleset, shelf, settings.history_lines, place, most_bytes=settings.max_message_bytes)

    def restored(partitions: int) -> None:
        ready.show()
        log.info("ready", partitions=partitions, group_id=settings.group_id)

    lanes = Lanes(
        settings,
        folder / "history",
        remember=remember,
        refused=scrubber.refused,
        failed=app.stop_because,
        published=monitor.published if app.tracing is None else app.tracing.ending(monitor.published),
        restored=restored,
    )
    app.transport = batch_transport(app, settings, lanes)
    monitor.watches(lanes)
    background: list[asyncio.Task[None]] = []
    splitters: list[Splitter] = []

    @app.agent(app.topic(*settings.input_topics), name="scrub")  # type: ignore[untyped-decorator]
    async def scrub(stream: Any) -> None:
        if not background:
            monitor.runs_in(asyncio.get_running_loop(), app.consumer.heard)
            background.append(asyncio.create_task(monitor.summarize(alive.show)))
            if settings.x12_topic:
                splitters.append(_start_splitter(app, settings, folder, members))
                monitor.splits(splitters[0].totals)
        await agents.agent(stream, app, scrubber, lanes)

    @app.on_partitions_revoked.connect  # type: ignore[untyped-decorator]
    async def revoked(*_: Any, **__: Any) -> None:
        ready.hide()

    @app.on_before_shutdown.connect  # type: ignore[untyped-decorator]
    async def stop(*_: Any, **__: Any) -> None:
        ready.hide()
        monitor.stage = "stopping"
        for task in background:
            task.cancel()
        await lanes.stop()
        monitor.log_summary()
        for splitter in splitters:
            await asyncio.to_thread(splitter.stop, settings.stop_timeout_seconds)

    return app


def _tracing(settings: Settings) -> Any:
    if not settings.tracing:
        return None
    from worker.tracing import Tracing

    return Tracing(settings)


def _stop_because(app: Any, error: Exception) -> None:
    """Stop, from any thread: what was published is committed, what failed is not, and a supervisor starts anew."""
    if app.failure is None:
        log.error("worker stops", reason=said_of(error))
        app.failure = error
        # Not Faust's crash(), which ends the consumer's thread before the last commit.
        os.kill(os.getpid(), signal.SIGTERM)


def _reason(failure: Exception, settings: Settings) -> Exception:
    """Why the worker has stopped, as its user is told."""
    if isinstance(failure, KafkaError):
        said = f"Kafka failed, nothing is lost: {type(failure).__name__}: {failure}"
        return KafkaProblemError(refusal_of(failure, settings) or said)
    return failure


class _Worker(faust.Worker):  # type: ignore[misc]
    """Faust's worker, with an end to its stopping: brokers that don't answer can't hold it up."""

    settings: Settings

    def _schedule_shutdown(self, number: signal.Signals) -> None:
        timer = threading.Timer(self.settings.stop_timeout_seconds - _LAST_SECONDS, self._end)
        timer.daemon = True
        timer.start()
        super()._schedule_shutdown(number)

    def _end(self) -> None:
        failure = self.app.failure or KafkaProblemError("brokers did not answer while the worker stopped")
        log.warning("stopped by force", reason="what is not committed will be decided again")
        say(f"claimscrub: {_reason(failure, self.settings)}")
        os._exit(FLOOD if isinstance(failure, DeadLetterFloodError) else FAILED)


def _start_splitter(app: Any, settings: Settings, folder: Path, members: Members) -> Splitter:
    splitter = Splitter(settings, folder, members, lambda: bool(app.should_stop), app.stop_because)
    splitter.start()
    return splitter


def run_worker(settings: Settings, ruleset: RuleSet, monitor: Monitor) -> None:
    """Run until SIGTERM or SIGINT, then finish what was begun and commit it.

    Raises:
        KafkaProblemError: the brokers refused, or did not answer, what was to be published.
        DeadLetterFloodError: too many events were not claims.
        SettingsError: the data directory can't be written to.
    """
    with data_directory(settings) as folder:
        app = build_app(settings, ruleset, folder, monitor)
        sys.setswitchinterval(_SWITCH_SECONDS)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_EVERY)
        worker = _Worker(app, quiet=True, redirect_stdouts=False, override_logging=False)
        worker.settings = settings
        worker.spinner = None  # it writes to standard output even where that is no terminal
        try:
            worker.execute_from_commandline()
        except SystemExit as end:
            if app.failure is not None:
                raise _reason(app.failure, settings) from None
            if end.code:
                raise
        finally:
            if app.tracing is not None:
                app.tracing.stop()


def _credentials(settings: Settings) -> Any:
    context = ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,  # with one it is SASL_SSL, without SASL_PLAINTEXT
        )
    return None if context is None else faust.SSLCredentials(context=context)
