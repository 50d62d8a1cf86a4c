"""Structured logs: a console in a terminal, JSON elsewhere. Only listed keys get through: no PHI by accident."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from worker.settings import Settings

ALLOWED_KEYS = frozenset(
    {
        "event", "level", "timestamp", "logger", "exception",
        "claim_id", "payer", "rule_ids", "findings", "disposition", "reason",
        "topic", "partition", "offset", "partitions", "group_id", "bootstrap_servers",
        "claims", "cleared", "flagged", "deadletters", "records", "seconds", "claims_per_second", "cpu_us_per_claim",
        "rules", "contracts", "rule_set_version", "rule_set_digest",
    }
)  # fmt: skip


def configure_logging(settings: Settings) -> None:
    """Send our logs and the libraries' to stderr, in one format."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _only_allowed_keys,
    ]
    last = (
        [structlog.processors.JSONRenderer(sort_keys=True)]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
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


def _only_allowed_keys(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in event.items() if key in ALLOWED_KEYS or key.startswith("_")}
