"""What was decided about claim events, in one SQLite file: by a replay, or as it was published.

It holds ids, payers, amounts, and findings as they are published; no claim, and nothing that says who a member is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from worker.folder import FolderError

CLEARED: Final = "cleared"
FLAGGED: Final = "flagged"
DEADLETTER: Final = "deadletter"
NOT_KNOWN: Final = -1
_VERSION: Final = 1
_MOST_IDS: Final = 500
_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ranges (
  partition INTEGER PRIMARY KEY, first INTEGER NOT NULL, next INTEGER NOT NULL, end INTEGER NOT NULL,
  decided_to INTEGER NOT NULL
);
CREATE TABLE decisions (
  partition INTEGER, offset INTEGER, at INTEGER NOT NULL, claim_id TEXT NOT NULL, digest TEXT NOT NULL,
  payer TEXT NOT NULL, charge INTEGER, disposition TEXT NOT NULL, findings BLOB NOT NULL, would_flag TEXT NOT NULL,
  reason TEXT NOT NULL, PRIMARY KEY (partition, offset)
) WITHOUT ROWID;
CREATE INDEX decisions_claim ON decisions (claim_id);
"""


class Said(msgspec.Struct, frozen=True):
    """A finding, as far as two decisions are compared by it."""

    rule_id: str
    severity: str
    name: str = ""
    line: int | None = None
    field: str = ""
    message: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Said]).decode


class Decided(NamedTuple):
    """What was decided about one claim event.

    Attributes:
        partition, offset: of the event.
        at: its timestamp, in milliseconds.
        claim_id: blank for what could not be read so far.
        digest: of its bytes, as a member's history holds it; blank where nothing was judged.
        charge: in cents; None where it is not known.
        disposition: cleared, flagged or deadletter.
        would_flag: ids of rules in preview that would have flagged the claim.
        reason: why it is a dead letter.
    """

    partition: int
    offset: int
    at: int
    claim_id: str
    digest: str
    payer: str
    charge: int | None
    disposition: str
    findings: tuple[Said, ...] = ()
    would_flag: tuple[str, ...] = ()
    reason: str = ""


class Range(NamedTuple):
    """Which events of a partition are decided.

    Attributes:
        next: the first that is not decided yet.
        end: the first that is not meant any more.
        decided_to: the first that no worker had decided when the range was fixed, or `NOT_KNOWN`.
    """

    partition: int
    first: int
    next: int
    end: int
    decided_to: int


class Decisions:
    """The file.

    Args:
        path: of it; it is made where there is none.

    Raises:
        FolderError: it is something else, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = sqlite3.connect(path, isolation_level=None)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            (version,) = self._file.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._file.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        except sqlite3.Error as error:
            raise FolderError(f"{path} can't be used: {error}; name another folder") from None
        if version not in (0, _VERSION):
            raise FolderError(f"{path} was written by another version of claimscrub; name another folder")

    def close(self) -> None:
        self._file.close()

    # ---- what the decisions are about

    def meta(self) -> dict[str, Any]:
        """What was said of the decisions; nothing as long as they are not begun."""
        return {name: json.loads(value) for name, value in self._file.execute("SELECT name, value FROM meta")}

    def begin(self, meta: dict[str, Any], ranges: Iterable[Range]) -> None:
        """Say what the decisions are about."""
        self._file.execute("BEGIN IMMEDIATE")
        self._file.executemany("INSERT INTO ranges VALUES (?, ?, ?, ?, ?)", ranges)
        self._file.executemany("INSERT INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in meta.items()])
        self._file.execute("COMMIT")

    def note(self, name: str, value: Any) -> None:
        """Say one thing more of the decisions."""
        self._file.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))

    def ranges(self) -> list[Range]:
        """By partition."""
        return [Range(*row) for row in self._file.execute("SELECT * FROM ranges ORDER BY partition")]

    # ---- decisions

    def add(self, decided: Iterable[Decided], following: Mapping[int, int] | None = None) -> None:
        """Add decisions, and how far it has come with them, all of it or nothing; an event's first stays.

        Args:
            decided: about events.
            following: partition → the offset that comes next.
        """
        rows = [
            (*each[:8], _encode(each.findings) if each.findings else b"", ",".join(each.would_flag), each.reason)
            for each in decided
        ]
        positions = [(offset, partition) for partition, offset in (following or {}).items()]
        self._file.execute("BEGIN IMMEDIATE")
        self._file.executemany("INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._file.executemany("UPDATE ranges SET next = ? WHERE partition = ?", positions)
        self._file.execute("COMMIT")

    def count(self) -> int:
        """How many there are."""
        (count,) = self._file.execute("SELECT count(*) FROM decisions").fetchone()
        return int(count)

    def tally(self) -> dict[str, tuple[int, int]]:
        """Disposition → number and charges in cents; `would` for those that are cleared and a preview would flag."""
        rows = self._file.execute("SELECT disposition, count(*), total(charge) FROM decisions GROUP BY disposition")
        found = {disposition: (count, int(charge)) for disposition, count, charge in rows}
        (count, charge) = self._file.execute(
            "SELECT count(*), total(charge) FROM decisions WHERE would_flag != '' AND disposition = ?", (CLEARED,)
        ).fetchone()
        return {**found, "would": (count, int(charge))}

    def first_at(self) -> int | None:
        """The earliest timestamp of an event."""
        (at,) = self._file.execute("SELECT min(at) FROM decisions").fetchone()
        return None if at is None else int(at)

    def has_events(
        self, events: Collection[tuple[str, str]], partitions: Collection[int] | None = None
    ) -> set[tuple[str, str]]:
        """Those of some claim ids and digests of events that were decided, in some partitions or in any."""
        claim_ids = list(dict.fromkeys(claim_id for claim_id, _ in events))
        found: set[tuple[str, str]] = set()
        for start in range(0, len(claim_ids), _MOST_IDS):
            some = claim_ids[start : start + _MOST_IDS]
            rows = self._file.execute(
                "SELECT claim_id, digest, partition FROM decisions"  # noqa: S608  (only question marks are put in)
                f" WHERE claim_id IN ({','.join('?' * len(some))})",
                some,
            )
            found.update(
                (claim_id, digest)
                for claim_id, digest, partition in rows
                if partitions is None or partition in partitions
            )
        return found & set(events)

    def all(self) -> Iterator[Decided]:
        """Each, by partition and offset."""
        with closing(self._file.cursor()) as cursor:
            for row in cursor.execute("SELECT * FROM decisions ORDER BY partition, offset"):
                findings = tuple(_decode(row[8])) if row[8] else ()
                would_flag = tuple(row[9].split(",")) if row[9] else ()
                yield Decided._make((*row[:8], findings, would_flag, row[10]))
