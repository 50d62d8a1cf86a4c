"""Structured logs: a console in a terminal, JSON elsewhere. Only listed keys get through: no PHI by accident."""

from __future__ import annotations

import logging
import select
import sys
import threading
from collections.abc import Iterable, MutableMapping, Sequence
from functools import partial
from os import write
from typing import Any, TextIO, cast

import structlog

from worker.failures import kind_and_place, repeats_nothing
from worker.settings import Settings

ALLOWED_KEYS = frozenset(
    {
        "event", "level", "timestamp", "logger", "exception",
        "claim_id", "payer", "rule_ids", "findings", "disposition", "reason",
        "topic", "partition", "offset", "partitions", "group_id", "bootstrap_servers",
        "claims", "cleared", "flagged", "deadletters", "records", "seconds", "claims_per_second", "cpu_us_per_claim",
        "repartitioned", "released", "statuses", "statuses_without_effect", "left",
        "rules", "contracts", "rule_set_version", "rule_set_digest", "signed_by",
        "instance_id", "worker", "workers", "pid", "exit_code",
        "charge", "event_id", "trace_id", "monitored", "mode", "cleared_format",
        "decision_ms_p50", "decision_ms_p99", "latency_ms_p50", "latency_ms_p99",
    }
)  # fmt: skip

log = structlog.get_logger("claimscrub.worker")


class Lines:
    """Where log lines go: what can't be written now is dropped, as no log may stop a decision or hold it up.

    Lines are written past the stream's own buffer, which would try again what it could not write before.

    Args:
        stream: an open file, or anything with `write` where there is no file behind it.
    """

    def __init__(self, stream: TextIO) -> None:
        try:
            self._file: int | None = stream.fileno()
        except OSError:  # as in-memory streams do
            self._file = None
        self._stream = stream
        self._dropped = 0

    def write(self, text: str) -> None:
        """One line, or none of it."""
        self._write_together((text.encode(errors="backslashreplace"),))

    def write_all(self, lines: Sequence[bytes]) -> None:
        """Lines, as many at a time as a pipe that can be written to takes for sure."""
        taken: list[bytes] = []
        size = 0
        for line in lines:
            if taken and size + len(line) > select.PIPE_BUF:
                self._write_together(taken)
                taken, size = [], 0
            taken.append(line)
            size += len(line)
        if taken:
            self._write_together(taken)

    def flush(self) -> None:
        """Nothing is ever kept back."""

    def _write_together(self, lines: Sequence[bytes]) -> None:
        together = b"".join(lines)
        if self._file is None:
            self._stream.write(together.decode())
        elif not self._put(together):
            self._dropped += len(lines)
        elif self._dropped:
            dropped, self._dropped = self._dropped, 0
            log.warning("log lines dropped", records=dropped)

    def _put(self, line: bytes) -> bool:
        assert self._file is not None
        poll = select.poll()
        poll.register(self._file, select.POLLOUT)
        try:
            # A pipe that nobody empties would hold up whoever writes to it.
            return bool(poll.poll(0)) and write(self._file, line) == len(line)
        except OSError:  # a full disk, or a pipe that nobody reads any more
            return False


def is_json(settings: Settings) -> bool:
    """Whether lines are JSON, or for a person at a terminal."""
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())


def level_of(settings: Settings) -> int:
    """The least severity that is logged, as the standard library numbers it."""
    return logging.getLevelNamesMapping()[settings.log_level.upper()]


def configure_logging(settings: Settings) -> None:
    """Send our logs and the libraries' to stderr, in one format; each line names the worker, if it has a name."""
    lines = Lines(sys.stderr)
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        partial(_with_instance, settings.instance_id),
        _only_allowed_keys,
    ]
    last = (
        [structlog.processors.JSONRenderer(sort_keys=True)]
        if is_json(settings)
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    level = level_of(settings)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", lines)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(lines)
    handler.addFilter(_WithoutWords())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # The libraries speak of every step; a worker's log is about claims, and about what is wrong.
    root.setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)
    if level > logging.DEBUG:
        # Faust formats debug messages on its hot path even where nothing shows them.
        logging.disable(logging.DEBUG)
    else:
        for name in _TELLING:
            logging.getLogger(name).setLevel(logging.INFO)
    threading.excepthook = _thread_failed
    sys.unraisablehook = _could_not_raise


_TELLING = ("aiokafka.producer", "aiokafka.conn")
"""At level debug these log keys and values of records."""


class _WithoutWords(logging.Filter):
    """In what a library logs, unforeseen failures are named by their kind and place."""

    def filter(self, record: logging.LogRecord) -> bool:
        errors = [each for each in _errors_in(record) if not repeats_nothing(each)]
        if errors:
            text = record.getMessage()
            for error in errors:
                for words in filter(None, (repr(error), str(error))):
                    text = text.replace(words, kind_and_place(error))
            record.msg, record.args = text, ()
        return True


def _errors_in(record: logging.LogRecord) -> Iterable[BaseException]:
    arguments = record.args.values() if isinstance(record.args, dict) else record.args or ()
    for each in (record.msg, *arguments, *(record.exc_info or ())):
        if isinstance(each, BaseException):
            yield each


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and failed.exc_type is not SystemExit:
        log.error("thread failed", reason=kind_and_place(failed.exc_value))


def _could_not_raise(failed: sys.UnraisableHookArgs) -> None:
    if failed.exc_value is not None:
        log.error("failure passed over", reason=kind_and_place(failed.exc_value))


def _with_instance(instance_id: str, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if instance_id:
        event.setdefault("instance_id", instance_id)
    return event


def _only_allowed_keys(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in event.items() if key in ALLOWED_KEYS or key.startswith("_")}
