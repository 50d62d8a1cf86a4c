"""The file of the projection: SQLite, one writer, any number of readers. All of it can be read from the topics again.

`at` is a record's timestamp in milliseconds, amounts are in cents. A claim's decisions are told apart and ordered by
(at, length of event id, event id): of one input partition, that is the order of the inputs.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

log = structlog.get_logger("claimscrub.console")

NUMBER_BITS = 12
"""A row's number is its time in milliseconds and, below that, so many bits of its offset: it grows with time, whichever
topic or partition is read first, and a browser can hold it (53 bits)."""

_SCHEMA = """
CREATE TABLE topics (topic TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition))
  WITHOUT ROWID;
CREATE TABLE unreadable (
  topic TEXT, day INTEGER, records INTEGER NOT NULL, place TEXT NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (topic, day)
) WITHOUT ROWID;

CREATE TABLE flagged (
  number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, claim_id TEXT NOT NULL, at INTEGER NOT NULL,
  state INTEGER NOT NULL, amount INTEGER NOT NULL, payer TEXT NOT NULL, submitter TEXT NOT NULL,
  npis TEXT NOT NULL, codes TEXT NOT NULL, search TEXT NOT NULL
);
CREATE INDEX flagged_claim ON flagged (claim_id);
CREATE INDEX flagged_state ON flagged (state, number, amount);
CREATE TABLE details (
  number INTEGER PRIMARY KEY, claim_type TEXT NOT NULL, rule_ids TEXT NOT NULL, findings INTEGER NOT NULL,
  message TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
  service_from TEXT NOT NULL, service_to TEXT NOT NULL, headers TEXT NOT NULL, decision BLOB NOT NULL
);
CREATE TABLE kinds (
  id INTEGER PRIMARY KEY, rule_id TEXT NOT NULL, category TEXT NOT NULL, severity TEXT NOT NULL, name TEXT NOT NULL,
  UNIQUE (rule_id, category, severity, name)
);
CREATE TABLE findings (number INTEGER, kind INTEGER, PRIMARY KEY (number, kind)) WITHOUT ROWID;
CREATE TABLE causes (
  id INTEGER PRIMARY KEY, rule_id TEXT NOT NULL, npi TEXT NOT NULL, payer TEXT NOT NULL, code TEXT NOT NULL,
  name TEXT NOT NULL, message TEXT NOT NULL, latest INTEGER NOT NULL, UNIQUE (rule_id, npi, payer, code)
);
CREATE TABLE errors (
  cause INTEGER, number INTEGER, amount INTEGER NOT NULL, open INTEGER NOT NULL, PRIMARY KEY (cause, number)
) WITHOUT ROWID;
CREATE INDEX errors_number ON errors (number);

CREATE TABLE cleared (claim_id TEXT, event_id TEXT, at INTEGER NOT NULL, PRIMARY KEY (claim_id, event_id))
  WITHOUT ROWID;
CREATE TABLE releases (event_id TEXT PRIMARY KEY, flagged_event_id TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX releases_flagged ON releases (flagged_event_id);
CREATE TABLE deadletters (
  number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, claim_id TEXT NOT NULL, at INTEGER NOT NULL,
  topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
  from_topic TEXT, from_partition INTEGER, from_offset INTEGER,
  error_class TEXT NOT NULL, reason TEXT NOT NULL, size INTEGER NOT NULL
);
CREATE TABLE resubmissions (
  topic TEXT, partition INTEGER, offset INTEGER, event_id TEXT, at INTEGER NOT NULL, outcome TEXT NOT NULL,
  PRIMARY KEY (topic, partition, offset, event_id)
) WITHOUT ROWID;
CREATE TABLE overrides (
  number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, claim_id TEXT NOT NULL, at INTEGER NOT NULL,
  topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
  user TEXT NOT NULL, reason TEXT NOT NULL, flagged_event_id TEXT NOT NULL, rule_ids TEXT NOT NULL,
  amount INTEGER NOT NULL
);

CREATE TABLE tallies (
  step INTEGER, kind TEXT, key TEXT, at INTEGER, cleared INTEGER NOT NULL, flagged INTEGER NOT NULL,
  deadletters INTEGER NOT NULL, cleared_amount INTEGER NOT NULL, flagged_amount INTEGER NOT NULL,
  monitored INTEGER NOT NULL, monitored_amount INTEGER NOT NULL,
  PRIMARY KEY (step, kind, key, at)
) WITHOUT ROWID;
CREATE TABLE hits (
  rule_id TEXT, day INTEGER, flagged INTEGER NOT NULL, noted INTEGER NOT NULL, would INTEGER NOT NULL,
  amount INTEGER NOT NULL, last_at INTEGER NOT NULL, PRIMARY KEY (rule_id, day)
) WITHOUT ROWID;
CREATE TABLE latest (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
CREATE TABLE names (kind TEXT, name TEXT, day INTEGER NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
"""
_VERSION = zlib.crc32(_SCHEMA.encode()) & 0x7FFFFFFF
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


class Store:
    """Connections to the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        self._writing = threading.Lock()
        try:
            self._writer = self._open_writer()
        except sqlite3.DatabaseError as error:
            log.warning("projection begun anew", reason=f"{path.name} can't be used: {error}")
            for each in ("", "-wal", "-shm"):
                path.with_name(path.name + each).unlink(missing_ok=True)
            self._writer = self._open_writer()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the file, whatever is written meanwhile."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
            connection.execute("PRAGMA query_only = 1")
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.rollback()
            self._idle.append(connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection of the only writer, in a transaction: all of it, or nothing."""
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.rollback()
                raise
            self._writer.commit()

    def begin_anew(self, reason: str) -> None:
        """Forget everything."""
        log.warning("projection begun anew", reason=reason)
        with self.writing() as connection:
            self._make(connection)

    def close(self) -> None:
        """Close all connections that nobody uses."""
        with self._writing:
            self._writer.close()
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _connect(self) -> sqlite3.Connection:
        # Each connection is used by one thread at a time, but not always by the same one.
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=256)
        connection.execute("PRAGMA cache_size = -32000")
        connection.execute("PRAGMA mmap_size = 1073741824")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    def _open_writer(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # After a power failure the last transactions may be missing, whole ones: they are read from Kafka again.
            connection.execute("PRAGMA synchronous = NORMAL")
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found != _VERSION:
                if found or connection.execute(_TABLES).fetchall():
                    log.warning("projection begun anew", reason="another version of claimscrub has written it")
                connection.execute("BEGIN IMMEDIATE")
                self._make(connection)
                connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _make(connection: sqlite3.Connection) -> None:
        for (name,) in connection.execute(_TABLES).fetchall():
            connection.execute(f"DROP TABLE {name}")
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
