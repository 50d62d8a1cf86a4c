"""What the output topics have said, in a file of its own: the pages ask it, and it can be made anew from the topics.

It holds ids, payers, submitters, provider NPIs, rule ids, codes, amounts and dates, and the decisions about flagged
claims, which say nothing of a member; never a claim, nor a member's key.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from rules import RuleSet, Severity
from worker.console.changes import BASELINE_STEPS, RECENT_STEPS, Raised, Series, change_point, raised
from worker.console.intake import (
    DAY,
    FIVE_MINUTES,
    HOUR,
    MINUTE,
    MINUTE_DAYS,
    MONITORED,
    OPEN,
    RELEASED,
    RESOLUTIONS,
    SENT_AGAIN,
    Intake,
    prune,
)
from worker.console.records import Received
from worker.console.store import NUMBER_BITS, Store
from worker.console.views import (
    Alarm,
    Choices,
    ClaimView,
    Cluster,
    DeadLetterRow,
    Filter,
    FlaggedRow,
    NowView,
    OverrideRow,
    Place,
    Point,
    RuleHits,
    Share,
    State,
)

_STATES: dict[int, State] = {OPEN: "open", RELEASED: "released", SENT_AGAIN: "sent again", MONITORED: "monitored"}
_STATE_NUMBERS = {state: number for number, state in _STATES.items()}
_STEPS = [MINUTE * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440)]
_MOST_POINTS = 96
_MOST_SHARES = 200
_MOST_TRENDS = 60
_PRUNE_EVERY = HOUR
_ALARM_STEPS = 2 * BASELINE_STEPS + RECENT_STEPS
AlarmKind = Literal["rule", "submitter", "payer"]

_ROW = """SELECT f.number, f.event_id, f.claim_id, f.at, f.payer, f.submitter, f.npis, d.claim_type, f.amount, f.codes,
  d.rule_ids, d.message, d.findings, f.state FROM flagged f JOIN details d USING (number)"""


class Projection:
    """The projection: one thread takes records in, any number of threads ask.

    Args:
        path: of the file, which is made if it is not there.
        ruleset: tells which rules are previews.
        keep_days: what is older is forgotten.
        clock: the time.
    """

    def __init__(
        self,
        path: Path,
        ruleset: RuleSet,
        keep_days: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.keep_days = keep_days
        self._clock = clock
        self._would_flag = frozenset(
            rule.id for rule in ruleset.rules.values() if rule.status == "preview" and rule.severity is Severity.ERROR
        )
        self._store = Store(path)
        self._seen: dict[tuple[str, str], int] = {}
        self._pruned = 0
        self._version = 1

    # ---- taking in

    def take(self, records: Iterable[Received], positions: Mapping[tuple[str, int], int]) -> None:
        """Take in a batch, and the offsets to go on from, all at once; only from one thread.

        Args:
            records: in the order of their partitions; what can't be read of them is counted.
            positions: topic and partition → next offset.
        """
        seen = dict(self._seen)
        now = _ms(self._clock())
        with self._store.writing() as connection:
            intake = Intake(connection, self._would_flag, seen, now)
            intake.take(records)
            intake.advance(positions)
            is_due = now - self._pruned >= _PRUNE_EVERY
            if is_due:
                prune(connection, self.keep_days, now)
        if is_due:
            self._pruned = now
        self._seen = {} if is_due else seen  # names that went may come again
        self._version += 1

    def positions(self) -> dict[tuple[str, int], int]:
        """Topic and partition → the offset to go on from."""
        with self._store.reading() as connection:
            rows = connection.execute("SELECT topic, partition, next FROM positions")
            return {(topic, partition): offset for topic, partition, offset in rows}

    def topic_ids(self) -> dict[str, str]:
        """Topic → the id that the cluster had given it when it was read."""
        with self._store.reading() as connection:
            return dict(connection.execute("SELECT topic, id FROM topics").fetchall())

    def know_topics(self, ids: Mapping[str, str]) -> None:
        """Remember the ids of topics."""
        with self._store.writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO topics VALUES (?, ?)", ids.items())

    def begin_anew(self, reason: str) -> None:
        """Forget everything, positions too."""
        self._store.begin_anew(reason)
        self._seen = {}
        self._version += 1

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def unreadable(self) -> str:
        """What could not be read in the days that are kept, in a sentence; blank where everything could."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT topic, sum(records), place, reason, max(day) FROM unreadable GROUP BY topic ORDER BY topic"
            ).fetchall()
        return "; ".join(
            f"topic {topic}: {records} records could not be read, last {place}: {reason}"
            for topic, records, place, reason, _ in rows
        )

    def version(self) -> int:
        """Grows with every change: a page that has seen it need not ask again."""
        return self._version

    # ---- now

    def now(self, window: timedelta) -> NowView:
        """What happens now, and happened in the window before."""
        now = _ms(self._clock())
        step, start, count = steps(now, window, _MOST_POINTS)
        with self._store.reading() as connection:
            sums = _per_step(connection, step, start, now)
            shares = [_shares(connection, kind, step, start, now) for kind in ("payer", "submitter", "rule")]
            waiting, waiting_amount = connection.execute(
                "SELECT count(*), coalesce(sum(amount), 0) FROM flagged WHERE state = ?", (OPEN,)
            ).fetchone()
            latest = _latest(connection)
            per_second = _claims_per_second(connection, now)
        points = tuple(Point(_time(at), *sums.get(at, (0,) * 7)) for at in range(start, start + count * step, step))
        cleared, flagged, deadletters, cleared_amount, flagged_amount, monitored, monitored_amount = (
            sum(each[column] for each in sums.values()) for column in range(7)
        )
        return NowView(
            claims_per_second=per_second,
            claims=cleared + flagged,
            flag_rate=_ratio(flagged, cleared + flagged),
            clean_amount_rate=_ratio(cleared_amount, cleared_amount + flagged_amount),
            deadletters=deadletters,
            waiting=waiting,
            waiting_amount=waiting_amount,
            monitored=monitored,
            monitored_amount=monitored_amount,
            latest=latest,
            points=points,
            by_payer=shares[0],
            by_submitter=shares[1],
            by_rule=shares[2],
        )

    def latest(self) -> datetime | None:
        """When the newest output was decided."""
        with self._store.reading() as connection:
            return _latest(connection)

    # ---- flagged claims

    def flagged(self, chosen: Filter, limit: int, before: int | None = None) -> list[FlaggedRow]:
        """Flagged claims, newest first; before the row with a number."""
        where, values = _condition(chosen)
        if before is not None:
            where, values = f"{where} AND f.number < ?", [*values, before]
        # The numbers first: what is shown is looked up for those alone.
        numbers = f"SELECT f.number FROM flagged f WHERE {where} ORDER BY f.number DESC LIMIT ?"  # noqa: S608
        with self._store.reading() as connection:
            rows = connection.execute(f"{_ROW} WHERE f.number IN ({numbers}) ORDER BY f.number DESC", (*values, limit))
            return [_flagged_row(row) for row in rows]

    def flagged_total(self, chosen: Filter) -> tuple[int, int]:
        """How many claims there are, and their charges."""
        where, values = _condition(chosen)
        with self._store.reading() as connection:
            total = f"SELECT count(*), coalesce(sum(f.amount), 0) FROM flagged f WHERE {where}"  # noqa: S608
            claims, amount = connection.execute(total, values).fetchone()
        return claims, amount

    def claim(self, event_id: str) -> ClaimView | None:
        """A flagged claim by the id of its decision."""
        with self._store.reading() as connection:
            row = connection.execute(f"{_ROW} WHERE f.event_id = ?", (event_id,)).fetchone()
            if row is None:
                return None
            flagged = _flagged_row(row)
            topic, partition, offset, service_from, service_to, headers, decision = connection.execute(
                "SELECT topic, partition, offset, service_from, service_to, headers, decision FROM details"
                " WHERE number = ?",
                (flagged.number,),
            ).fetchone()
            later = connection.execute(_LATER_DECISIONS, (event_id, flagged.claim_id, row[3])).fetchall()
        npis = row[6].split(" ")
        return ClaimView(
            row=flagged,
            decision=json.loads(zlib.decompress(decision)),
            place=Place(topic, partition, offset),
            rendering_npis=tuple(filter(None, npis[2:])),
            service_from=_date(service_from),
            service_to=_date(service_to),
            headers=json.loads(headers),
            later=tuple((each, _time(at), disposition) for each, at, disposition in later),
        )

    # ---- causes

    def clusters(self, window: timedelta, limit: int = 100) -> list[Cluster]:
        """Flagged claims by what they have in common, the biggest open amount first."""
        now = _ms(self._clock())
        step, start, count = steps(now, window, _MOST_TRENDS)
        fine = _fine_step(step, start, now)
        with self._store.reading() as connection:
            rows = connection.execute(_CLUSTERS, (start << NUMBER_BITS, (now + 1) << NUMBER_BITS, limit)).fetchall()
            bins = range(start, start + count * step, fine)
            met = _met(connection, [row[0] for row in rows], bins)
            decided = _decided(connection, {row[3] for row in rows}, bins, now)
        a_step = step // fine
        clusters = []
        for cause, rule_id, npi, payer, code, name, message, claims, amount, ever, first, last in rows:
            counts, exposures = [0] * len(bins), decided[payer][:]
            for each, seen in met[cause]:
                counts[each] = seen
                # Where claims of the cause are, claims were decided, whatever else is known.
                exposures[each] = max(exposures[each], seen)
            changed = change_point(counts, exposures)
            clusters.append(
                Cluster(
                    rule_id=rule_id,
                    name=name,
                    provider=npi,
                    payer=payer,
                    code=code,
                    claims=claims,
                    amount=amount,
                    claims_ever=ever,
                    first_seen=_time(first >> NUMBER_BITS),
                    last_seen=_time(last >> NUMBER_BITS),
                    trend=tuple(sum(counts[each : each + a_step]) for each in range(0, len(counts), a_step)),
                    started=None if changed is None else _time(bins[changed]),
                    message=message,
                )
            )
        return clusters

    def alarms(self) -> list[Alarm]:
        """Rules, submitters and payers above their own baseline: those that last, then those of the last day."""
        now = _ms(self._clock())
        first = now - now % FIVE_MINUTES - (_ALARM_STEPS - 1) * FIVE_MINUTES
        found: list[Alarm] = []
        with self._store.reading() as connection:
            everything = _series(connection, "all", first, now).get("")
            kinds: tuple[AlarmKind, ...] = ("rule", "submitter", "payer")
            of_kind = {kind: _series(connection, kind, first, now) for kind in kinds}
        for kind, several in of_kind.items():
            for key, series in several.items():
                # A rule is asked about every claim, so its share is that of all.
                of_all = series if kind != "rule" or everything is None else series._replace(claims=everything.claims)
                for each in raised(of_all, _ALARM_STEPS - BASELINE_STEPS):
                    found.append(_alarm(kind, key, each, first))  # noqa: PERF401
        lasting = sorted((each for each in found if each.over is None), key=lambda each: each.since, reverse=True)
        over = [each for each in found if each.over is not None]
        return lasting + sorted(over, key=lambda each: (each.over or each.since, each.key), reverse=True)

    # ---- rules, dead letters, overrides

    def rule_hits(self) -> dict[str, RuleHits]:
        """Rule id → how often it spoke, in the days that are kept."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT rule_id, sum(flagged), sum(noted), sum(would), sum(amount), max(last_at) FROM hits"
                " GROUP BY rule_id"
            ).fetchall()
        hits = ((rule_id, (flagged, noted, would, amount), at) for rule_id, flagged, noted, would, amount, at in rows)
        return {rule_id: RuleHits(rule_id, *counts, _time(at)) for rule_id, counts, at in hits}

    def dead_letters(self, limit: int, before: int | None = None) -> list[DeadLetterRow]:
        """Dead letters, newest first; before the row with a number."""
        return self._dead_letters("d.number < ?", _before(before), limit)

    def dead_letter(self, event_id: str) -> DeadLetterRow | None:
        """A dead letter by its event's id."""
        return next(iter(self._dead_letters("d.event_id = ?", event_id, 1)), None)

    def _dead_letters(self, condition: str, value: int | str, limit: int) -> list[DeadLetterRow]:
        with self._store.reading() as connection:
            rows = connection.execute(_DEADLETTERS.format(condition), (value, limit)).fetchall()
        return [
            DeadLetterRow(
                number=number,
                at=_time(at),
                event_id=event_id,
                claim_id=claim_id,
                place=Place(*place),
                origin=None if origin[0] is None else Place(*origin),
                error_class=error_class,
                reason=reason,
                size=size,
                resubmitted=resubmitted or "",
                outcome=outcome or "",
            )
            for number, at, event_id, claim_id, *places, error_class, reason, size, resubmitted, outcome in rows
            for place, origin in [(places[:3], places[3:])]
        ]

    def overrides(self, limit: int, before: int | None = None) -> list[OverrideRow]:
        """Releases, newest first; before the row with a number."""
        with self._store.reading() as connection:
            rows = connection.execute(_OVERRIDES, (_before(before), limit)).fetchall()
        since = self._clock() - timedelta(days=self.keep_days)
        return [
            OverrideRow(
                number=number,
                at=_time(at),
                place=Place(topic, partition, offset),
                event_id=event_id,
                claim_id=claim_id,
                user=user,
                reason=reason,
                flagged_event_id=flagged_event_id,
                rule_ids=tuple(rule_ids.split()),
                amount=amount,
                outcome="released" if is_released else "refused" if problem is not None
                else "pending" if _time(at) >= since else "unknown",
                problem="" if is_released else problem or "",
            )
            for number, at, topic, partition, offset, event_id, claim_id, user, reason, flagged_event_id, rule_ids,
            amount, is_released, problem in rows
        ]  # fmt: skip

    def choices(self) -> Choices:
        """What there is to filter flagged claims by."""
        with self._store.reading() as connection:
            rows = connection.execute("SELECT kind, name FROM names WHERE name <> '' ORDER BY name").fetchall()
        payers, submitters, rule_ids, categories = (
            tuple(name for each, name in rows if each == kind)
            for kind in ("payer", "submitter", "flagging rule", "category")
        )
        return Choices(payers, submitters, rule_ids, categories)


_CLUSTERS = """WITH biggest AS (
    SELECT cause, sum(open) AS claims, sum(open * amount) AS amount, count(*) AS ever, min(number) AS first,
      max(number) AS last
    FROM errors WHERE +number >= ? AND +number < ? GROUP BY cause)
  SELECT cause, rule_id, npi, payer, code, name, message, claims, amount, ever, first, last
  FROM biggest JOIN causes ON id = cause
  ORDER BY amount DESC, claims DESC, ever DESC, rule_id, npi, payer, code LIMIT ?"""
_LATER_DECISIONS = """SELECT event_id, at, disposition FROM (
    SELECT event_id, at, 'flagged' AS disposition FROM flagged WHERE claim_id = ?2
    UNION ALL SELECT event_id, at, 'cleared' FROM cleared WHERE claim_id = ?2
  ) WHERE (at, length(event_id), event_id) > (?3, length(?1), ?1) AND event_id <> ?1
  ORDER BY at, length(event_id), event_id"""
_DEADLETTERS = """SELECT d.number, d.at, d.event_id, d.claim_id, d.topic, d.partition, d.offset,
    d.from_topic, d.from_partition, d.from_offset, d.error_class, d.reason, d.size, r.event_id, r.outcome
  FROM deadletters d LEFT JOIN resubmissions r ON r.topic = d.topic AND r.partition = d.partition
    AND r.offset = d.offset AND r.event_id = (
      SELECT event_id FROM resubmissions l WHERE l.topic = d.topic AND l.partition = d.partition AND l.offset = d.offset
      ORDER BY at DESC, length(event_id) DESC, event_id DESC LIMIT 1)
  WHERE {} ORDER BY d.number DESC LIMIT ?"""
_OVERRIDES = """SELECT o.number, o.at, o.topic, o.partition, o.offset, o.event_id, o.claim_id, o.user, o.reason,
    o.flagged_event_id, o.rule_ids, o.amount, r.event_id IS NOT NULL, d.reason
  FROM overrides o LEFT JOIN releases r ON r.event_id = o.event_id LEFT JOIN deadletters d ON d.event_id = o.event_id
  WHERE o.number < ? ORDER BY o.number DESC LIMIT ?"""


def steps(now: int, window: timedelta, most: int) -> tuple[int, int, int]:
    """How a window is cut: the step, when the first one begins, and how many there are; the last one is not over.

    Args:
        now: in milliseconds, like what comes back.
        window: how long.
        most: of steps.
    """
    length = int(window / timedelta(milliseconds=1))
    step = next((each for each in _STEPS if length <= each * most), _STEPS[-1])
    count = max(1, -(-length // step))
    return step, now - now % step - (count - 1) * step, count


def _resolution(step: int, start: int, now: int) -> int:
    """Of the tallies that make up steps from a time on."""
    kept = RESOLUTIONS if start >= now - MINUTE_DAYS * DAY else RESOLUTIONS[:1]
    return next((each for each in kept if step % each == 0), HOUR)


def _per_step(connection: sqlite3.Connection, step: int, start: int, now: int) -> dict[int, tuple[int, ...]]:
    rows = connection.execute(
        "SELECT at - at % ?, sum(cleared), sum(flagged), sum(deadletters), sum(cleared_amount), sum(flagged_amount),"
        " sum(monitored), sum(monitored_amount)"
        " FROM tallies WHERE step = ? AND kind = 'all' AND key = '' AND at >= ? AND at <= ? GROUP BY 1",
        (step, _resolution(step, start, now), start, now),
    )
    return {at: tuple(sums) for at, *sums in rows}


def _shares(connection: sqlite3.Connection, kind: str, step: int, start: int, now: int) -> tuple[Share, ...]:
    # The names first, so that each is a short walk along the primary key, however many other minutes there are.
    rows = connection.execute(
        "SELECT t.key, sum(t.cleared + t.flagged), sum(t.flagged + t.monitored),"
        " sum(t.flagged_amount + t.monitored_amount)"
        " FROM names n CROSS JOIN tallies t WHERE n.kind = ? AND t.step = ? AND t.kind = ? AND t.key = n.name"
        " AND t.at >= ? AND t.at <= ? GROUP BY t.key ORDER BY 3 DESC, 2 DESC, 1 LIMIT ?",
        (kind, _resolution(step, start, now), kind, start, now, _MOST_SHARES),
    )
    return tuple(Share(*row) for row in rows)


def _fine_step(step: int, start: int, now: int) -> int:
    """The part of a trend's step at which a change is looked for: a tenth or so."""
    if start < now - MINUTE_DAYS * DAY:
        return HOUR
    return next(part * MINUTE for part in (step // MINUTE // 10, 3, 1) if part and step % (part * MINUTE) == 0)


# Each row that SQLite hands over may have to wait for the thread that takes records in. So where there would be
# thousands, they come as one text for each key.


def _met(connection: sqlite3.Connection, causes: list[int], bins: range) -> dict[int, list[list[int]]]:
    """Cause → bin and number of its claims, of each bin that has any."""
    marks = ",".join("?" * len(causes))
    rows = connection.execute(
        "SELECT cause, '[' || group_concat('[' || bin || ',' || claims || ']') || ']' FROM ("  # noqa: S608
        f" SELECT cause, ((number >> {NUMBER_BITS}) - ?) / ? AS bin, count(*) AS claims FROM errors"
        f" WHERE cause IN ({marks}) AND number >= ? AND number < ? GROUP BY 1, 2) GROUP BY cause",
        (bins.start, bins.step, *causes, bins.start << NUMBER_BITS, bins.stop << NUMBER_BITS),
    )
    return {cause: json.loads(told) for cause, told in rows.fetchall()}


def _decided(connection: sqlite3.Connection, payers: set[str], bins: range, now: int) -> dict[str, list[int]]:
    """Payer → claims decided in each bin."""
    marks = ",".join("?" * len(payers))
    rows = connection.execute(
        "SELECT key, '[' || group_concat('[' || bin || ',' || claims || ']') || ']' FROM ("  # noqa: S608
        " SELECT key, (at - ?) / ? AS bin, sum(cleared + flagged) AS claims FROM tallies"
        f" WHERE step = ? AND kind = 'payer' AND key IN ({marks}) AND at >= ? AND at < ? GROUP BY 1, 2) GROUP BY key",
        (bins.start, bins.step, _resolution(bins.step, bins.start, now), *payers, bins.start, bins.stop),
    )
    found = {payer: [0] * len(bins) for payer in payers}
    for payer, told in rows.fetchall():
        for each, claims in json.loads(told):
            found[payer][each] = claims
    return found


def _series(connection: sqlite3.Connection, kind: str, first: int, now: int) -> dict[str, Series]:
    """Key → its tally in each step of the alarms."""
    names = "(SELECT '' AS name)" if kind == "all" else "(SELECT name FROM names WHERE kind = :kind)"
    rows = connection.execute(
        "SELECT t.key, '[' || group_concat('[' || ((t.at - :first) / :step) || ',' || (t.cleared + t.flagged) || ','"  # noqa: S608
        " || (t.flagged + t.monitored) || ',' || (t.flagged_amount + t.monitored_amount) || ']') || ']'"
        f" FROM {names} n CROSS JOIN tallies t WHERE t.step = :step AND t.kind = :kind AND t.key = n.name"
        " AND t.at >= :first AND t.at <= :now GROUP BY t.key",
        {"kind": kind, "first": first, "step": FIVE_MINUTES, "now": now},
    )
    found: dict[str, Series] = {}
    for key, told in rows.fetchall():
        series = found[key] = Series([0] * _ALARM_STEPS, [0] * _ALARM_STEPS, [0] * _ALARM_STEPS)
        for step, claims, flagged, amount in json.loads(told):
            series.claims[step], series.flagged[step], series.amounts[step] = claims, flagged, amount
    return found


def _alarm(kind: AlarmKind, key: str, found: Raised, first: int) -> Alarm:
    return Alarm(
        kind=kind,
        key=key,
        since=_time(first + found.since * FIVE_MINUTES),
        rate=100 * found.after.flagged / max(found.after.claims, 1),
        baseline=100 * found.before.flagged / found.before.claims,
        claims=found.after.flagged,
        amount=found.after.amount,
        over=None if found.over is None else _time(first + found.over * FIVE_MINUTES),
    )


def _latest(connection: sqlite3.Connection) -> datetime | None:
    at = connection.execute("SELECT max(at) FROM latest").fetchone()[0]
    return None if at is None else _time(at)


def _claims_per_second(connection: sqlite3.Connection, now: int) -> float:
    """Over the last 60 seconds: what came in this minute, and that part of the last one which they reach back into."""
    minute = now - now % MINUTE
    rows = dict(
        connection.execute(
            "SELECT at, cleared + flagged FROM tallies WHERE step = ? AND kind = 'all' AND key = '' AND at >= ?",
            (MINUTE, minute - MINUTE),
        ).fetchall()
    )
    part = 1 - (now - minute) / MINUTE
    return float((rows.get(minute, 0) + part * rows.get(minute - MINUTE, 0)) / 60)


def _condition(chosen: Filter) -> tuple[str, list[Any]]:
    """The SQL condition of a filter on `flagged f`, and its values."""
    day = timedelta(days=1)
    narrowed = {
        "f.state = ?": None if chosen.state is None else _STATE_NUMBERS[chosen.state],
        "f.payer = ?": chosen.payer or None,
        "f.submitter = ?": chosen.submitter or None,
        "f.number >= ?": chosen.flagged_from and _first_number(chosen.flagged_from),
        "f.number < ?": chosen.flagged_to and _first_number(chosen.flagged_to + day),
        "f.amount >= ?": chosen.least_amount,
        "f.amount <= ?": chosen.most_amount,
        "instr(f.npis, ?)": _whole(chosen.provider),
        "instr(f.codes, ?)": _whole(chosen.code),
        "instr(f.search, ?)": chosen.text.strip().lower() or None,
    }
    conditions = [condition for condition, value in narrowed.items() if value is not None]
    values: list[Any] = [value for value in narrowed.values() if value is not None]
    of_finding = {"rule_id": chosen.rule_id, "category": chosen.category, "severity": chosen.severity}
    of_finding = {column: value for column, value in of_finding.items() if value}
    if of_finding:
        kinds = f"SELECT id FROM kinds WHERE {' AND '.join(f'{column} = ?' for column in of_finding)}"  # noqa: S608
        conditions.append(f"EXISTS (SELECT 1 FROM findings WHERE number = f.number AND +kind IN ({kinds}))")  # noqa: S608
        values += of_finding.values()
    return " AND ".join(conditions) or "1", values


def _whole(part: str) -> str | None:
    """As it stands among others, with blanks between them."""
    return f" {part.strip().upper()} " if part.strip() else None


def _first_number(day: date) -> int:
    return _ms(datetime(day.year, day.month, day.day, tzinfo=UTC)) << NUMBER_BITS


def _before(number: int | None) -> int:
    return 2**63 - 1 if number is None else number


def _flagged_row(row: tuple[Any, ...]) -> FlaggedRow:
    number, event_id, claim_id, at, payer, submitter, npis, claim_type, amount, codes, rules, message, count, state = (
        row
    )
    return FlaggedRow(
        number=number,
        event_id=event_id,
        claim_id=claim_id,
        at=_time(at),
        payer=payer,
        submitter=submitter,
        billing_npi=npis.split(" ")[1],
        claim_type=claim_type,
        amount=amount,
        codes=tuple(codes.split()),
        rule_ids=tuple(rules.split()),
        message=message,
        findings=count,
        state=_STATES[state],
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole > 0 else None


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
