"""`claimscrub watch`: flagged claims in a terminal or a pipe, as they come. Of a claim only the decision is shown."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from pydantic_core import to_json
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from worker.console import words
from worker.console.outputs import (
    DecidedClaim,
    OutputFinding,
    UnreadableError,
    fault_of,
    kept_headers,
    read_flagged,
    text,
)
from worker.folder import Stop
from worker.header_names import headers_of
from worker.kafka import (
    KafkaProblemError,
    KafkaSilentError,
    confluent_config,
    offsets,
    partitions_by_topic,
    reader_config,
)
from worker.settings import Settings

_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 2.0
"""For a first answer of the brokers, as a signal is acted upon only after it."""
_OFFSETS_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 30.0
"""How often it is asked whether a topic has more partitions now."""
_MOST_HELD = 500
"""Records of a partition that are held while older ones of others are still to come."""
_QUEUE_KILOBYTES = 16_384
_STYLES = {"error": "red", "warning": "yellow", "info": "cyan"}
_INDENT = 4

_Partition = tuple[str, int]


class Choice(NamedTuple):
    """Which flagged claims; what is empty or None does not narrow.

    Attributes:
        payers: keys of payers.
        rules: rule ids, or how they begin: `HIS`.
        category, severity: of a finding; if rules are named, of one of theirs.
        provider: NPI of the billing or of a rendering provider.
        code: a procedure code of the claim.
        least_cents, most_cents: of its charge.
        claim: part of its id.
    """

    payers: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    category: str = ""
    severity: str = ""
    provider: str = ""
    submitter: str = ""
    code: str = ""
    least_cents: int | None = None
    most_cents: int | None = None
    claim: str = ""

    def findings(self, decided: DecidedClaim) -> list[OutputFinding]:
        """Those findings that it is about, errors first; none where the claim is not meant."""
        is_meant = (
            (not self.payers or decided.decision.payer.upper() in self.payers)
            and (not self.provider or self.provider in (decided.billing_npi, *decided.rendering_npis))
            and (not self.submitter or self.submitter == decided.submitter)
            and (not self.code or self.code in decided.codes)
            and (self.least_cents is None or decided.amount >= self.least_cents)
            and (self.most_cents is None or decided.amount <= self.most_cents)
            and self.has_claim(decided.decision.claim_id)
        )
        found = [each for each in decided.decision.findings if self._has(each)] if is_meant else []
        return sorted(found, key=lambda finding: finding.severity != "error")

    def has_claim(self, claim_id: str) -> bool:
        """Whether a claim of this id is meant."""
        return self.claim.casefold() in claim_id.casefold()

    def _has(self, finding: OutputFinding) -> bool:
        return (
            (not self.rules or finding.rule_id.startswith(self.rules))
            and self.category in ("", finding.category)
            and self.severity in ("", finding.severity)
        )


class Plan(NamedTuple):
    """What is read.

    Attributes:
        choice: which flagged claims.
        since: from when; None for what is new.
        until_now: end where the topics end now.
        deadletters: show dead letters too.
        most: end after so many; None for no limit.
    """

    choice: Choice
    since: datetime | None = None
    until_now: bool = False
    deadletters: bool = False
    most: int | None = None


class Printer(Protocol):
    """Shows one claim or dead letter."""

    def flagged(self, message: Any, decided: DecidedClaim, decision: bytes, findings: list[OutputFinding]) -> None: ...

    def deadletter(self, message: Any) -> None: ...


def watch(settings: Settings, plan: Plan, printer: Printer, say: Callable[[str], None]) -> int:
    """Show flagged claims until SIGTERM, SIGINT or the end of the plan, or until nobody reads any more.

    Args:
        settings: brokers and topics.
        plan: what is read.
        printer: shows it.
        say: called with each line about the reading itself.

    Returns:
        How many were shown.

    Raises:
        KafkaProblemError: the brokers refuse, or a topic is missing; and with `until_now`, the brokers do not answer.
    """
    shown = 0
    topics = [settings.flagged_topic, *([settings.deadletter_topic] if plan.deadletters else [])]
    with Stop().on_signals() as stop:
        for message in _Reading(settings, topics, plan, say).messages(lambda: stop.requested() or _nobody_reads()):
            try:
                shown += _show(settings, plan.choice, printer, message, say)
            except BrokenPipeError:
                # What is still in the buffer would fail again at the end, and change the exit code.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                break
            if plan.most is not None and shown >= plan.most:
                break
    return shown


def _show(settings: Settings, choice: Choice, printer: Printer, message: Any, say: Callable[[str], None]) -> bool:
    if message.topic() == settings.deadletter_topic:
        is_meant = choice.has_claim(text(dict(headers_of(message)), "ce_subject"))
        if is_meant:
            printer.deadletter(message)
        return is_meant
    try:
        decided, decision = read_flagged(message.value())
    except UnreadableError as error:
        say(f"claimscrub: {_place(message)}: {error}")
        return False
    findings = choice.findings(decided)
    if findings:
        printer.flagged(message, decided, decision, findings)
    return bool(findings)


def _nobody_reads() -> bool:
    """Whether standard output is a pipe whose other end was closed: writing would tell, but perhaps much later."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return False
    if not stat.S_ISFIFO(os.fstat(number).st_mode):
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


# ---- reading


class _Reading:
    """Reads topics from somewhere on, in the order of time as long as it is behind, and then as it comes."""

    def __init__(self, settings: Settings, topics: list[str], plan: Plan, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._topics = topics
        self._plan = plan
        self._say = say
        self._is_waiting = False
        self._ends: dict[_Partition, int] = {}
        self._behind: set[_Partition] = set()
        """Partitions that are not yet read to where they ended at first."""
        self._held: dict[_Partition, deque[Any]] = {}

    def messages(self, ended: Callable[[], bool]) -> Iterator[Any]:
        starts = self._starts(ended)
        if starts is None:
            return
        self._behind = {place for place, start in starts.items() if start < self._ends[place]}
        if self._plan.until_now:
            starts = {place: starts[place] for place in self._behind}
        consumer = Consumer(
            {
                **reader_config(self._settings, "watch"),
                "error_cb": self._failed,
                "auto.offset.reset": "earliest",  # where retention has overtaken us, or the topic was made anew
                "queued.max.messages.kbytes": _QUEUE_KILOBYTES,
            }
        )
        try:
            consumer.assign([TopicPartition(*place, start) for place, start in starts.items()])
            yield from self._read(consumer, set(starts), ended)
        finally:
            consumer.close()

    def _read(self, consumer: Any, assigned: set[_Partition], ended: Callable[[], bool]) -> Iterator[Any]:
        looked = time.monotonic()
        while not ended():
            if self._plan.until_now and not self._behind:
                return
            message = consumer.poll(_POLL_SECONDS)
            if message is not None:
                yield from self._take(consumer, message)
            elif not self._plan.until_now and time.monotonic() - looked > _LOOK_AGAIN_SECONDS:
                looked = time.monotonic()
                self._assign_new(consumer, assigned)

    def _take(self, consumer: Any, message: Any) -> Iterator[Any]:
        place, error = (message.topic(), message.partition()), message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
            if not error.retriable():
                raise KafkaProblemError(f"topic {place[0]}: {error.str()}")
            return
        self._is_waiting = False
        is_wanted = error is None and not (self._plan.until_now and message.offset() >= self._ends[place])
        if not self._behind:
            if is_wanted:
                yield message
            return
        if is_wanted:
            held = self._held.setdefault(place, deque())
            held.append(message)
            if len(held) >= _MOST_HELD:
                consumer.pause([TopicPartition(*place)])
        if error is not None or message.offset() + 1 >= self._ends.get(place, 0):
            self._behind.discard(place)
        yield from self._in_order(consumer)

    def _in_order(self, consumer: Any) -> Iterator[Any]:
        """What is held, oldest first, as far as nothing older can come any more."""
        while all(self._held.get(place) for place in self._behind) and any(self._held.values()):
            place = min((each for each, held in self._held.items() if held), key=self._time_of_first)
            held = self._held[place]
            yield held.popleft()
            if len(held) == _MOST_HELD // 2:
                consumer.resume([TopicPartition(*place)])

    def _time_of_first(self, place: _Partition) -> int:
        timestamp: int = self._held[place][0].timestamp()[1]
        return timestamp

    # ---- what is asked of the brokers

    def _starts(self, ended: Callable[[], bool]) -> dict[_Partition, int] | None:
        """Where to begin in each partition; None where it has ended before the brokers answered."""
        deadline = time.monotonic() + self._settings.startup_timeout_seconds
        while not ended():
            try:
                return self._find_starts()
            except KafkaSilentError as error:
                if self._plan.until_now and time.monotonic() > deadline:
                    raise
                self._wait(str(error))
            time.sleep(_RETRY_SECONDS)
        return None

    def _find_starts(self) -> dict[_Partition, int]:
        found = partitions_by_topic(self._settings, _ANSWER_SECONDS)
        missing = [name for name in self._topics if name not in found]
        if missing:
            raise KafkaProblemError(f"no topic {', '.join(missing)}; make it with: claimscrub topics create")
        places = [(name, number) for name in self._topics for number in range(found[name])]
        admin = AdminClient(confluent_config(self._settings))
        self._ends = self._offsets(admin, places, OffsetSpec.latest())
        if self._plan.since is None:
            return {} if self._plan.until_now else dict(self._ends)
        asked = OffsetSpec.for_timestamp(max(0, round(self._plan.since.timestamp() * 1000)))
        return {
            place: self._ends[place] if offset < 0 else offset
            for place, offset in self._offsets(admin, places, asked).items()
        }

    def _offsets(self, admin: Any, places: list[_Partition], asked: Any) -> dict[_Partition, int]:
        try:
            return offsets(admin, places, asked, _OFFSETS_SECONDS)
        except KafkaException as error:
            if error.args[0].code() in _DENIALS:
                raise KafkaProblemError(f"topics {', '.join(self._topics)}: {error.args[0].str()}") from None
            raise KafkaSilentError(f"topics {', '.join(self._topics)}: {error.args[0].str()}") from None

    def _assign_new(self, consumer: Any, assigned: set[_Partition]) -> None:
        try:
            found = partitions_by_topic(self._settings, _ANSWER_SECONDS)
        except KafkaProblemError:
            return
        new = {(name, number) for name in self._topics for number in range(found.get(name, 0))} - assigned
        if new:
            consumer.incremental_assign([TopicPartition(*place, 0) for place in new])
            assigned |= new

    def _failed(self, error: Any) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._wait(f"no Kafka broker answers at {self._settings.bootstrap_servers}")

    def _wait(self, reason: str) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._say(f"claimscrub: waiting: {reason}")


_DENIALS = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)


# ---- showing


class TextPrinter:
    """For people: a few lines for each; coloured and wrapped in a terminal, whole lines in a pipe."""

    def __init__(self) -> None:
        is_watched = sys.stdout.isatty()
        self._wraps = is_watched
        self._console = _Console(file=sys.stdout, highlight=False, soft_wrap=not is_watched)

    def flagged(self, message: Any, decided: DecidedClaim, decision: bytes, findings: list[OutputFinding]) -> None:
        first = findings[0]
        del decision
        style = _STYLES.get(first.severity, "")
        graver = {each.rule_id: each.severity for each in reversed(findings)}
        rules = Text(", ").join(
            Text(rule_id, f"bold {_STYLES.get(graver[rule_id], '')}") for rule_id in reversed(graver)
        )
        self._head(
            message,
            decided.decision.claim_id,
            decided.decision.payer,
            Text(words.amount(decided.amount), "bold"),
            rules,
            *([Text("monitored: has gone on", "bold yellow")] if decided.decision.is_monitored else []),
        )
        codes = [f"{name} {code}" for name, code in (("CARC", first.carc), ("RARC", first.rarc)) if code]
        where = f"line {first.line}, {first.field}" if first.line else first.field
        said = "" if first.severity == "error" else f"{first.severity}, "
        self._line(Text.assemble((f"{first.rule_id} ", f"bold {style}"), f"{said}{first.message}"))
        self._line(Text("; ".join(filter(None, [where, first.location, *codes])), "dim"))
        if first.remedy:
            self._line(Text.assemble(("fix ", "bold"), first.remedy))

    def deadletter(self, message: Any) -> None:
        headers = dict(headers_of(message))
        self._head(message, text(headers, "ce_subject") or _place(message), Text("dead letter", "bold yellow"))
        self._line(Text(fault_of(headers).reason))

    def _head(self, message: Any, name: str, *parts: str | Text) -> None:
        named = (Text(_time(message), "dim"), Text(name, "bold"))
        self._print(Text("  ").join([*named, *(Text(part) if isinstance(part, str) else part for part in parts)]))

    def _line(self, line: Text) -> None:
        self._print(Padding(line, (0, 0, 0, _INDENT)) if self._wraps else Text(" " * _INDENT).append_text(line))

    def _print(self, line: Any) -> None:
        self._console.print(line)


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Tell it, instead of ending the process with an exit code of rich's own."""
        raise BrokenPipeError


class JsonPrinter:
    """For programs: one JSON object a line, with the decision as it was published and nothing else of the claim."""

    def flagged(self, message: Any, decided: DecidedClaim, decision: bytes, findings: list[OutputFinding]) -> None:
        del findings
        said = {
            "submitter_id": decided.submitter,
            "billing_npi": decided.billing_npi,
            "rendering_npis": decided.rendering_npis,
            "procedure_codes": decided.codes,
            "total_charge_amount": str(Decimal(decided.amount).scaleb(-2)),
        }
        self._print(to_json(_record(message) | said)[:-1] + b',"decision":' + decision + b"}")

    def deadletter(self, message: Any) -> None:
        fault = fault_of(dict(headers_of(message)))
        origin = None if fault.origin is None else fault.origin._asdict()
        self._print(to_json(_record(message) | {"reason": fault.reason, "origin": origin}))

    def _print(self, line: bytes) -> None:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def _record(message: Any) -> dict[str, Any]:
    headers = dict(headers_of(message))
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "time": _time(message),
        "claim_id": text(headers, "ce_subject"),
        "headers": kept_headers(headers),
    }


def _time(message: Any) -> str:
    return (
        datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )


def _place(message: Any) -> str:
    return f"{message.topic()}, partition {message.partition()}, offset {message.offset()}"
