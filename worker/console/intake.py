"""What the topics hold becomes rows of the projection, in whichever order it is read, and each event once."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from operator import add
from typing import Any

from worker.codec import event_id_of
from worker.console.outputs import (
    DecidedClaim,
    OutputFinding,
    UnreadableError,
    distinct,
    fault_of,
    kept_headers,
    read_cleared,
    read_flagged,
    read_override_event,
    resubmission_of,
    text,
)
from worker.console.records import Received
from worker.console.store import NUMBER_BITS

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
FIVE_MINUTES = 5 * MINUTE
RESOLUTIONS = (HOUR, FIVE_MINUTES, MINUTE)
"""Of tallies: so that no page has to add up more than some hundred steps of each."""
MINUTE_DAYS = 3
"""Tallies of minutes are kept for so many days; of hours as long as everything."""
MOST_CLEARED = 5_000_000
"""So many of the latest cleared claims are known by their ids: beyond them a repeated event counts again, and a flagged
claim that is read only then does not show that it was cleared since. At 60 to 100 bytes each."""
OPEN, RELEASED, SENT_AGAIN = 0, 1, 2
_Tally = list[int]
"""Cleared, flagged, dead letters, charges cleared, charges flagged."""


def day_of(at: int) -> int:
    """The day of a time, from 1970."""
    return at // DAY


class Intake:
    """Writes a batch of records; one for each transaction.

    Args:
        connection: in a transaction.
        would_flag: ids of the previews that would flag claims.
        seen: names that were written before, with the day; the caller forgets them if the transaction fails.
        now: in milliseconds.
    """

    def __init__(
        self, connection: sqlite3.Connection, would_flag: frozenset[str], seen: dict[tuple[str, str], int], now: int
    ) -> None:
        self._today = day_of(now)
        self._db = connection
        self._would_flag = would_flag
        self._seen = seen
        self._touched: set[str] = set()
        self._released: set[str] = set()
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        self._hits: dict[tuple[str, int], _Tally] = {}

    def take(self, records: Iterable[Received]) -> None:
        """Records in the order of their partitions."""
        take = {
            "cleared": self._cleared,
            "flagged": self._flagged,
            "deadletter": self._deadletter,
            "overrides": self._override,
        }
        latest = 0
        for record in records:
            if record.timestamp <= 0:
                self._unreadable(record, "no timestamp; expected one")
                continue
            latest = max(latest, record.timestamp)
            try:
                take[record.role](record)
            except UnreadableError as error:
                self._unreadable(record, str(error))
        self._write_states()
        self._write_tallies()
        if latest:
            self._db.execute(
                "INSERT INTO latest VALUES (1, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)", (latest,)
            )

    def advance(self, positions: Mapping[tuple[str, int], int]) -> None:
        """The next offsets to read."""
        self._db.executemany(
            "INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = excluded.next",
            [(topic, partition, offset) for (topic, partition), offset in positions.items()],
        )

    # ---- records

    def _cleared(self, record: Received) -> None:
        decision, submitter, amount = read_cleared(record.value, record.headers)
        event_id = _event_id(record)
        row = (decision.claim_id, event_id, record.timestamp)
        if self._db.execute("INSERT OR IGNORE INTO cleared VALUES (?, ?, ?)", row).rowcount == 0:
            return
        self._touched.add(decision.claim_id)
        if decision.override is not None:
            flagged_event_id = decision.override.flagged_event_id
            self._db.execute(
                "INSERT OR IGNORE INTO releases VALUES (?, ?, ?)", (event_id, flagged_event_id, record.timestamp)
            )
            self._released.add(flagged_event_id)
            return  # the rules decided when it was flagged, and that was counted
        self._resubmitted(record, event_id, "cleared")
        at = record.timestamp - record.timestamp % MINUTE
        for kind, key in (("all", ""), ("payer", decision.payer), ("submitter", submitter)):
            tally = self._tally(kind, key, at)
            tally[0] += 1
            tally[3] += amount
        if decision.findings:
            self._count_findings(decision.findings, record.timestamp, amount)
        self._name("payer", decision.payer, record.timestamp)
        self._name("submitter", submitter, record.timestamp)

    def _flagged(self, record: Received) -> None:
        claim, raw = read_flagged(record.value)
        decision, at = claim.decision, record.timestamp
        event_id = _event_id(record)
        if self._db.execute("SELECT 1 FROM flagged WHERE event_id = ?", (event_id,)).fetchone():
            return
        number = self._number("flagged", record)
        errors = claim.errors
        telling = errors or decision.findings
        rule_ids = distinct(finding.rule_id for finding in telling)
        npis = distinct((claim.billing_npi, *claim.rendering_npis))
        names = distinct(part for finding in decision.findings for part in (finding.rule_id, finding.name))
        search = " ".join((decision.claim_id, *npis, *claim.codes, *names)).lower()
        self._db.execute(
            "INSERT INTO flagged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number, event_id, decision.claim_id, at, OPEN, claim.amount, decision.payer, claim.submitter,
                f" {claim.billing_npi} {' '.join(claim.rendering_npis)} ", f" {' '.join(claim.codes)} ", search,
            ),
        )  # fmt: skip
        self._db.execute(
            "INSERT INTO details VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number, claim.claim_type, " ".join(rule_ids), len(decision.findings),
                telling[0].message if telling else "", *record.place, claim.service_from, claim.service_to,
                json.dumps(kept_headers(record.headers)), zlib.compress(raw, 1),
            ),
        )  # fmt: skip
        self._write_findings(number, claim)
        self._touched.add(decision.claim_id)
        self._resubmitted(record, event_id, "flagged")
        minute = at - at % MINUTE
        for kind, key in (("all", ""), ("payer", decision.payer), ("submitter", claim.submitter)):
            tally = self._tally(kind, key, minute)
            tally[1] += 1
            tally[4] += claim.amount
        self._count_findings(decision.findings, at, claim.amount)
        self._name("payer", decision.payer, at)
        self._name("submitter", claim.submitter, at)
        for finding in decision.findings:
            self._name("flagging rule", finding.rule_id, at)
            self._name("category", finding.category, at)

    def _write_findings(self, number: int, claim: DecidedClaim) -> None:
        kinds = {(each.rule_id, each.category, each.severity, each.name) for each in claim.decision.findings}
        self._db.executemany(
            "INSERT OR IGNORE INTO findings VALUES (?, ?)", [(number, self._kind(kind)) for kind in kinds]
        )
        causes: dict[tuple[str, str, str, str], OutputFinding] = {}
        for finding in claim.errors:
            key = (finding.rule_id, claim.billing_npi, claim.decision.payer, claim.code_of(finding))
            causes.setdefault(key, finding)
        self._db.executemany(
            "INSERT INTO errors VALUES (?, ?, ?, 1)",
            [(self._cause(key, finding, number), number, claim.amount) for key, finding in causes.items()],
        )

    def _deadletter(self, record: Received) -> None:
        event_id = _event_id(record)
        if self._db.execute("SELECT 1 FROM deadletters WHERE event_id = ?", (event_id,)).fetchone():
            return
        fault = fault_of(record.headers)
        self._db.execute(
            "INSERT INTO deadletters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._number("deadletters", record), event_id, text(record.headers, "ce_subject"), record.timestamp,
                *record.place, *(fault.origin or (None, None, None)), fault.error_class, fault.reason,
                len(record.value or b""),
            ),
        )  # fmt: skip
        self._resubmitted(record, event_id, "deadletter")
        self._tally("all", "", record.timestamp - record.timestamp % MINUTE)[2] += 1

    def _override(self, record: Received) -> None:
        event_id = "-".join(map(str, record.place))  # as the worker makes the id of its answer
        if self._db.execute("SELECT 1 FROM overrides WHERE event_id = ?", (event_id,)).fetchone():
            return
        override, claim = read_override_event(record.value)
        rule_ids = distinct(finding.rule_id for finding in claim.errors)
        self._db.execute(
            "INSERT INTO overrides VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._number("overrides", record), event_id, claim.decision.claim_id, record.timestamp, *record.place,
                override.user, override.reason, override.flagged_event_id, " ".join(rule_ids), claim.amount,
            ),
        )  # fmt: skip

    def _unreadable(self, record: Received, reason: str) -> None:
        place = record.place
        self._db.execute(
            "INSERT INTO unreadable VALUES (?, ?, 1, ?, ?) ON CONFLICT DO UPDATE"
            " SET records = records + 1, place = excluded.place, reason = excluded.reason",
            (place.topic, self._today, f"partition {place.partition}, offset {place.offset}", reason),
        )

    def _resubmitted(self, record: Received, event_id: str, outcome: str) -> None:
        place = resubmission_of(record.headers)
        if place is not None:
            self._db.execute(
                "INSERT OR IGNORE INTO resubmissions VALUES (?, ?, ?, ?, ?, ?)",
                (*place, event_id, record.timestamp, outcome),
            )

    # ---- what is counted

    def _tally(self, kind: str, key: str, minute: int) -> _Tally:
        place = (kind, key, minute)
        tally = self._tallies.get(place)
        if tally is None:
            tally = self._tallies[place] = [0, 0, 0, 0, 0]
        return tally

    def _count_findings(self, findings: list[OutputFinding], at: int, amount: int) -> None:
        """A claim counts once for each rule, as an error if it is one anywhere on the claim."""
        flags: dict[str, bool] = {}
        for finding in findings:
            flags[finding.rule_id] = flags.get(finding.rule_id, False) or finding.severity == "error"
        for rule_id, is_error in flags.items():
            would = not is_error and rule_id in self._would_flag
            tally = self._tally("rule", rule_id, at - at % MINUTE)
            tally[is_error] += 1
            tally[3 + is_error] += amount
            hits = self._hits.setdefault((rule_id, day_of(at)), [0, 0, 0, 0, 0])
            hits[0] += is_error
            hits[1] += not is_error
            hits[2] += would
            hits[3] += amount if is_error or would else 0
            hits[4] = max(hits[4], at)
            self._name("rule", rule_id, at)

    def _write_tallies(self) -> None:
        rows: list[tuple[Any, ...]] = []
        for step in RESOLUTIONS:
            sums: dict[tuple[str, str, int], _Tally] = {}
            for (kind, key, at), tally in self._tallies.items():
                place = (kind, key, at - at % step)
                sums[place] = list(map(add, sums[place], tally)) if place in sums else tally
            rows += [(step, *place, *tally) for place, tally in sums.items()]
        self._db.executemany(
            "INSERT INTO tallies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " cleared = cleared + excluded.cleared, flagged = flagged + excluded.flagged,"
            " deadletters = deadletters + excluded.deadletters,"
            " cleared_amount = cleared_amount + excluded.cleared_amount,"
            " flagged_amount = flagged_amount + excluded.flagged_amount",
            rows,
        )
        self._db.executemany(
            "INSERT INTO hits VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " flagged = flagged + excluded.flagged, noted = noted + excluded.noted, would = would + excluded.would,"
            " amount = amount + excluded.amount, last_at = max(last_at, excluded.last_at)",
            [(*place, *hits) for place, hits in self._hits.items()],
        )

    def _name(self, kind: str, name: str, at: int) -> None:
        day = day_of(at)
        if self._seen.get((kind, name), -1) < day:
            self._seen[kind, name] = day
            self._db.execute(
                "INSERT INTO names VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET day = max(day, excluded.day)",
                (kind, name, day),
            )

    # ---- what depends on other records

    def _write_states(self) -> None:
        """State anew of each flagged claim about which something was read, from all that is known."""
        rows: dict[int, tuple[str, str, int, int]] = {}
        for column, values in (("claim_id", self._touched), ("event_id", self._released)):
            select = f"SELECT number, event_id, claim_id, at, state FROM flagged WHERE {column} = ?"  # noqa: S608
            for value in values:
                for row in self._db.execute(select, (value,)):
                    rows[row[0]] = row[1:]
        for number, (event_id, claim_id, at, before) in rows.items():
            state = self._state(event_id, claim_id, at)
            if state != before:
                self._db.execute("UPDATE flagged SET state = ? WHERE number = ?", (state, number))
                self._db.execute("UPDATE errors SET open = ? WHERE number = ?", (state == OPEN, number))

    def _state(self, event_id: str, claim_id: str, at: int) -> int:
        released, flagged, cleared = self._db.execute(_STATE, (event_id, claim_id, at)).fetchone()
        return RELEASED if released else SENT_AGAIN if flagged or cleared else OPEN

    # ---- rows

    def _number(self, table: str, record: Received) -> int:
        number = (record.timestamp << NUMBER_BITS) | (record.place.offset & ((1 << NUMBER_BITS) - 1))
        while self._db.execute(f"SELECT 1 FROM {table} WHERE number = ?", (number,)).fetchone():  # noqa: S608
            number += 1
        return number

    def _kind(self, kind: tuple[str, str, str, str]) -> int:
        return self._id_of(
            "SELECT id FROM kinds WHERE (rule_id, category, severity, name) = (?, ?, ?, ?)",
            "INSERT INTO kinds VALUES (NULL, ?, ?, ?, ?)",
            kind,
        )

    def _cause(self, cause: tuple[str, str, str, str], finding: OutputFinding, number: int) -> int:
        select = "SELECT id FROM causes WHERE (rule_id, npi, payer, code) = (?, ?, ?, ?)"
        insert = "INSERT INTO causes VALUES (NULL, ?, ?, ?, ?, '', '', -1)"
        made = self._id_of(select, insert, cause)
        # The latest claim's words, whichever is read first.
        self._db.execute(
            "UPDATE causes SET name = ?, message = ?, latest = ? WHERE id = ? AND latest < ?",
            (finding.name, finding.message, number, made, number),
        )
        return made

    def _id_of(self, select: str, insert: str, key: tuple[str, ...]) -> int:
        found = self._db.execute(select, key).fetchone()
        made: int | None = found[0] if found else self._db.execute(insert, key).lastrowid
        assert made is not None
        return made


def prune(connection: sqlite3.Connection, keep_days: int, now: int) -> None:
    """Forget what is older than `keep_days`, and cleared claims beyond the most that are known.

    Args:
        connection: in a transaction.
        keep_days: of everything but overrides.
        now: in milliseconds.
    """
    since = now - keep_days * DAY
    number = since << NUMBER_BITS
    for table in ("flagged", "details", "findings"):
        connection.execute(f"DELETE FROM {table} WHERE number < ?", (number,))  # noqa: S608
    # Overrides are an audit trail: they stay, with what became of them.
    connection.execute(
        "DELETE FROM deadletters WHERE number < ? AND event_id NOT IN (SELECT event_id FROM overrides)", (number,)
    )
    connection.execute("DELETE FROM errors WHERE number IN (SELECT number FROM errors WHERE number < ?)", (number,))
    connection.execute("DELETE FROM causes WHERE id NOT IN (SELECT cause FROM errors)")
    connection.execute("DELETE FROM resubmissions WHERE at < ?", (since,))
    connection.execute("DELETE FROM tallies WHERE step = ? AND at < ?", (HOUR, since - since % HOUR))
    connection.execute("DELETE FROM tallies WHERE step < ? AND at < ?", (HOUR, now - MINUTE_DAYS * DAY))
    for table in ("hits", "names", "unreadable"):
        connection.execute(f"DELETE FROM {table} WHERE day < ?", (day_of(since),))  # noqa: S608
    connection.execute("DELETE FROM cleared WHERE at < ?", (max(since, _oldest_cleared(connection)),))


def _oldest_cleared(connection: sqlite3.Connection) -> int:
    """The time from which on as many claims were cleared as are known at most."""
    claims = 0
    hours = connection.execute(
        "SELECT at, cleared FROM tallies WHERE step = ? AND kind = 'all' AND key = '' ORDER BY at DESC", (HOUR,)
    )
    for at, cleared in hours:
        claims += cleared
        if claims > MOST_CLEARED:
            return int(at) + HOUR
    return 0


_LATER = "(at, length(event_id), event_id) > (?3, length(?1), ?1) AND event_id <> ?1"
_STATE = f"""SELECT
  EXISTS (SELECT 1 FROM releases WHERE flagged_event_id = ?1),
  EXISTS (SELECT 1 FROM flagged WHERE claim_id = ?2 AND {_LATER}),
  EXISTS (SELECT 1 FROM cleared WHERE claim_id = ?2 AND {_LATER})"""  # noqa: S608


def _event_id(record: Received) -> str:
    """Of an output; the place where it stands, should it have none."""
    return event_id_of(record.headers) or "-".join(map(str, record.place))
