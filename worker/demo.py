"""`claimscrub demo`: an in-memory broker, a real worker and 837 files of invented claims, decided while one watches.

The worker is a process of its own, the claims travel through Kafka's protocol both ways, and only the broker is a
stand-in. Nothing is left behind: no process, no file, no topic.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, NoReturn, Self

from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from rules import Claim, ClaimError, RuleSet
from worker.kafka import KafkaProblemError, confluent_config
from worker.members import Members
from worker.memory_broker import MemoryBroker
from worker.rulebook import members_of
from worker.settings import PREFIX, Settings
from worker.submit import Submitter
from worker.x12 import X12Error, read_events

_PARTITIONS = 4
_PACE_SECONDS = 0.15  # between two claims, so that one sees them come
_PATIENCE_SECONDS = 30.0  # with nothing new for so long, something is wrong
_FETCH_MILLISECONDS = 10  # how long a fetch waits at the in-memory broker
_STOP_SECONDS = 10.0
_LOG_LINES = 8
_WIDTH_UNWATCHED, _WIDTH_MOST = 120, 140

_PAYER = "PAYER"

# ---- the claims

_FOLDER = Path(__file__).parent / "demo_claims"
_RECEIVED_DATE = "2026-08-10"  # whenever the demo runs: an 837 does not say when it came

_STORIES = (
    "A surgeon exchanges the generator in a hospital's outpatient department",
    "The hospital's bill for that surgery, with the device",
    "A generator exchanged, and the old one's removal billed too",
    "Generator and two leads in one session",
    "The surgeon bills the anesthesia too",
    "The hospital's bill for a Medicare Advantage member",
    "One generator, keyed as two units",
    "A visit on the day of surgery, without a modifier",
    "Such a visit with modifier 25 and a diagnosis of its own",
    "A generator placed in a doctor's office",
    "Back pain that no surgery came before, at a surgery center",
    "Trial leads placed in the hospital, no tracking number on the claim",
    "The new generator is programmed, and that is billed too",
    "The same surgery with the programming left off",
    "A generator billed for both sides of the body",
    "Low back pain, in a code that ended in 2021",
    "The hospital's bill for a generator, and no device on it",
    "Two digits of the surgeon's NPI exchanged, and no birth date",
    "Removal and new generator again, with XS for a second pocket",
    "A total that the lines do not add up to, and one diagnosis twice",
    "Not an 837 but JSON, its service date not written as YYYY-MM-DD",
    "A Medicare number typed with dashes",
    "A surgery of June 2025, sent in August 2026",
    "Additional programming time without the first 15 minutes",
    "Trial leads, a week before",
    "The same patient's permanent generator, without a word that it was planned",
    "The surgery of the first claim, sent once more as a new one",
)


class DemoEvent(NamedTuple):
    """One event of the demo.

    Attributes:
        name: its patient control number, under which it is shown.
        claim_id: of the claim event.
        story: a few words about it.
        value: the bytes that are submitted.
    """

    name: str
    claim_id: str
    story: str
    value: bytes


def demo_events() -> list[DemoEvent]:
    """The events of the demo, in the order in which they are submitted."""
    contents = {}
    for content in _contents():
        contents[content["patient_control_number"]] = {**content, "received_date": _RECEIVED_DATE}
    events = []
    for number, story in enumerate(_STORIES, 1):
        name = f"DEMO-{number:02}"
        content = contents[name]
        events.append(DemoEvent(name, content["claim_id"], story, json.dumps(content).encode()))
    return events


def _contents() -> Iterator[dict[str, Any]]:
    """What comes with the package: claims in 837 files, and an event that is none."""
    for path in sorted(_FOLDER.glob("*.837")):
        with path.open("rb") as file:
            for item in read_events(file):
                if isinstance(item, X12Error):
                    raise item
                yield json.loads(item.raw)
    yield json.loads((_FOLDER / "unreadable.json").read_bytes())


# ---- the run


def run_demo() -> None:
    """Show the scrubber at work in this terminal.

    Raises:
        KafkaProblemError: there is no in-memory broker here, the worker ended, or nothing was decided for a while.
    """
    width = None if sys.stdout.isatty() else _WIDTH_UNWATCHED
    console = Console(file=sys.stdout, width=width, highlight=False)  # naming the file makes rich mind its encoding
    console.width = min(console.width, _WIDTH_MOST)
    events = demo_events()
    with _broker() as broker, _stopped_by_signals(), tempfile.TemporaryDirectory(prefix="claimscrub-demo-") as folder:
        # Without the environment: what it says of a deployment's brokers is not about this one.
        settings = Settings.model_construct(bootstrap_servers=broker.bootstrap_servers)
        broker.create_topics(dict.fromkeys(settings.topics, _PARTITIONS))
        _print_header(console, len(events), broker.bootstrap_servers)
        with _Worker(settings, Path(folder)) as worker:
            with console.status("the worker starts", spinner="line"):
                worker.wait_until_ready()
            _print_column_names(console)
            _print_summary(console, _decided(settings, worker, events, console))


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Leave in good order when told to end, so that the worker and the files go too."""

    def stop(number: int, _: Any) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _broker() -> MemoryBroker:
    try:
        return MemoryBroker()
    except RuntimeError as error:
        raise KafkaProblemError(str(error)) from None


class _Worker:
    """A worker as a child process; leaving the context ends it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        own = {
            "BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "DATA_DIRECTORY": str(folder / "data"),
            "SESSION_TIMEOUT_SECONDS": "6",
            # The in-memory broker does not wake a fetch that waits, as a real one does.
            "FETCH_WAIT_SECONDS": str(_FETCH_MILLISECONDS / 1000),
            "LOG_FORMAT": "json",
            # The in-memory broker keeps no offsets sent within a transaction.
            "DELIVERY": "at_least_once",
            "X12_TOPIC": "",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
        self._log = folder / "worker.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", "worker"],
                env=inherited | {PREFIX + name: value for name, value in own.items()},
                cwd=Path(__file__).parents[1],  # the very code that runs here, installed or not
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._heard = time.monotonic()

    def wait_until_ready(self) -> None:
        """Wait until it has its partitions, so that the first claim does not pay for the start."""
        while '"event": "ready"' not in self._log_text():
            self.check()
            time.sleep(0.02)
        self.heard()

    def heard(self) -> None:
        """It has done something."""
        self._heard = time.monotonic()

    def check(self) -> None:
        """Make sure that it lives and is not silent.

        Raises:
            KafkaProblemError: with the end of its log.
        """
        code = self._process.poll()
        if code is not None:
            self._fail(f"the demo's worker ended (exit code {code})")
        if time.monotonic() - self._heard > _PATIENCE_SECONDS:
            self._fail(f"nothing came from the demo's worker for {_PATIENCE_SECONDS:.0f} s")

    def _fail(self, what: str) -> NoReturn:
        lines = self._log_text().splitlines()[-_LOG_LINES:]
        raise KafkaProblemError(f"{what}; its log ends so:\n  " + "\n  ".join(lines or ["(empty)"]))

    def _log_text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        finally:  # also when a second Ctrl-C comes while it stops
            self._process.kill()
            self._process.wait()


class _Outcome(NamedTuple):
    """What came out for one event: its disposition, and the milliseconds since it was submitted."""

    disposition: str
    milliseconds: float


def _decided(settings: Settings, worker: _Worker, events: list[DemoEvent], console: Console) -> list[_Outcome]:
    """Submit the events one after the other and print what is decided about each as soon as it is there."""
    waiting = iter(events)
    submitted: dict[str, tuple[DemoEvent, float]] = {}
    outcomes: dict[str, _Outcome] = {}
    following = time.monotonic()
    members = members_of(settings, RuleSet.load())
    with _outputs(settings) as consumer, Submitter(settings) as submitter:
        while len(outcomes) < len(events):
            # The first is waited for, as the worker may still be about to fetch; then they come at their pace.
            if len(submitted) == 1 and not outcomes:
                following = time.monotonic() + _PACE_SECONDS
            elif time.monotonic() >= following and (event := next(waiting, None)) is not None:
                submitted[event.claim_id] = (event, time.monotonic())
                submitter.submit(event.claim_id, _key(event, members), event.value)
                following = time.monotonic() + _PACE_SECONDS
            message = consumer.poll(0.01)
            if message is None or message.error() is not None:
                worker.check()
                continue
            worker.heard()
            event, since = submitted[dict(message.headers())["ce_subject"].decode()]
            if event.claim_id not in outcomes:  # Kafka may deliver a decision twice
                disposition = message.topic().removeprefix("claims.")
                outcomes[event.claim_id] = outcome = _Outcome(disposition, (time.monotonic() - since) * 1000)
                _print_outcome(console, event, outcome, message)
    return list(outcomes.values())


def _key(event: DemoEvent, members: Members) -> bytes:
    try:
        return members.event_key(Claim.from_json(event.value))
    except ClaimError:
        return event.claim_id.encode()


@contextmanager
def _outputs(settings: Settings) -> Iterator[Any]:
    """A consumer of the three output topics from their beginning; it belongs to no group."""
    consumer = Consumer(
        {
            **confluent_config(settings),
            "group.id": "claimscrub-demo",  # asked for even where partitions are assigned by hand
            "enable.auto.commit": False,
            "fetch.wait.max.ms": _FETCH_MILLISECONDS,
        }
    )
    topics = settings.output_topics
    consumer.assign([TopicPartition(topic, number, 0) for topic in topics for number in range(_PARTITIONS)])
    try:
        yield consumer
    finally:
        consumer.close()


# ---- what one sees

_WORDS = {
    "cleared": Text("cleared", "bold green"),
    "flagged": Text("flagged", "bold red"),
    "deadletter": Text("dead letter", "bold yellow"),
}
_STYLES = {"error": "red", "warning": "yellow", "info": "cyan"}


def _print_header(console: Console, count: int, bootstrap_servers: str) -> None:
    said = f" judges {count} invented claims, in 837 files: a real worker, and an in-memory Kafka broker at "
    console.print(Text.assemble(("claimscrub", "bold"), said, (bootstrap_servers, "bold"), ".\n"))


def _print_column_names(console: Console) -> None:
    row = _row()
    row.add_row("Claim", "Payer", "Decision", "Story, reason and fix", "Likely denial", style="bold")
    console.print(row, _line(console))


def _line(console: Console) -> Rule:
    return Rule(characters="-" if console.options.ascii_only else "─", style="dim")


def _row() -> Table:
    """The columns. Each row is a table of its own: what is printed stays, and nothing is painted again."""
    row = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for width in (7, 13, 11):
        row.add_column(width=width)
    row.add_column(ratio=1)
    row.add_column(width=13)
    return row


def _print_outcome(console: Console, event: DemoEvent, outcome: _Outcome, message: Any) -> None:
    """What stands on the output topic about one event, beside its story."""
    payer, claim_type = "", ""
    details: list[tuple[Table | str, Text | str]] = []
    if outcome.disposition == "deadletter":
        reason = dict(message.headers())["__connect.errors.exception.message"].decode()
        fix = "Mend the event where it comes from, and send it again."
        details.append((_detail("", f"not a claim; {reason}", fix), ""))
    else:
        content = json.loads(message.value())
        decision = content["decision"]
        payer, claim_type = decision["payer"], content["claim"]["claim_type"]
        details += [(_finding(each), _likely_denial(each)) for each in decision["findings"]]
        details += [(_detail("", text, style="dim"), "") for text in _not_evaluated(decision["not_evaluated"])]
    row = _row()
    row.add_row(Text(event.name, "bold"), payer, _WORDS[outcome.disposition], Text(event.story, "italic"))
    beside = (Text(claim_type, "dim"), Text(f"{outcome.milliseconds:.0f} ms", "dim"))
    for detail, denial in details or [("", "")]:
        row.add_row("", *beside, detail, denial)
        beside = (Text(), Text())
    console.print(row)
    console.print()


def _not_evaluated(unevaluated: list[dict[str, Any]]) -> list[str]:
    """An unknown payer in full; of the others only the rules, whose reasons stand below the table."""
    rule_ids = list(dict.fromkeys(each["rule_id"] for each in unevaluated if each["rule_id"] != _PAYER))
    return [
        *(f"could not tell: {each['reason']}" for each in unevaluated if each["rule_id"] == _PAYER),
        *([f"not evaluated: {', '.join(rule_ids)}"] if rule_ids else []),
    ]


def _finding(finding: dict[str, Any]) -> Table:
    severity, line = finding["severity"], finding["line"]
    said = f"line {line}: {finding['message']}" if line else finding["message"]
    said = said if severity == "error" else f"{severity}, {said}"
    return _detail(finding["rule_id"], said, finding["remedy"], _STYLES[severity])


def _detail(label: str, text: str, fix: str = "", style: str = "") -> Table:
    detail = Table.grid(padding=(0, 2, 0, 0))
    detail.add_column(width=6)
    detail.add_row(Text(label, f"bold {style}"), Text(text, style if not label else ""))
    if fix:
        detail.add_row(Text("fix", "bold"), Text(fix))
    return detail


def _likely_denial(finding: dict[str, Any]) -> Text:
    codes = [f"{name} {finding[name.lower()]}" for name in ("CARC", "RARC") if finding[name.lower()]]
    return Text("\n".join(codes), _STYLES[finding["severity"]])


def _print_summary(console: Console, outcomes: list[_Outcome]) -> None:
    dispositions = [outcome.disposition for outcome in outcomes]
    cleared, flagged, deadletters = (dispositions.count(name) for name in _WORDS)
    console.print(
        _line(console),
        Text.assemble(
            (f"{len(outcomes)} claims", "bold"),
            ": ",
            (f"{cleared} cleared", "bold green"),
            ", ",
            (f"{flagged} flagged", "bold red"),
            ", ",
            (f"{deadletters} dead letter{'' if deadletters == 1 else 's'}", "bold yellow"),
            f"; median {median(outcome.milliseconds for outcome in outcomes):.0f} ms from submit to decision.\n",
        ),
        Text(
            "A rule is not evaluated where what it needs is not on file: an eligibility answer, a registry record, or"
            " the stored authorization. It is published with every claim, so that nothing passes for clean unseen.\n",
            "dim",
        ),
    )
    following = Table.grid(padding=(0, 3, 0, 0))
    following.add_row(Text("What to try next", "bold"))
    for command, what in (
        ("claimscrub check FILE", "judge claims of your own, an 837 or JSON, without Kafka"),
        ("claimscrub rules explain COD003", "what a rule finds and why, with its sources"),
        ("make test", "the tests, those on a real Kafka broker included"),
        ("README.md", "how to run it on your brokers, and how to add a rule"),
    ):
        following.add_row(Text(command, "cyan"), what)
    console.print(following)
