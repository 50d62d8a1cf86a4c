"""The command line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Thread, Timer
from typing import Any, Literal, TypeVar, cast

import click
from pydantic import SecretStr
from pydantic_core import to_json
from rich.table import Table

from rules import Disposition, __version__
from worker.answers import (
    Writer,
    clock_control_number,
    described,
    notes,
    read_envelopes,
    save,
    write_envelopes,
    write_syntax,
)
from worker.codec import decision_content, envelope
from worker.console_cli import console as console_command
from worker.history import Memory
from worker.history_cli import history
from worker.inputs import CLAIMS, Item, read_paths
from worker.pipeline import input_digest, judge
from worker.reference_cli import reference
from worker.replay_cli import diff, replay
from worker.rulebook import load_rulebook, members_of
from worker.rules_cli import rules_group
from worker.settings import PREFIX, Settings, SettingsError, load_settings, secret_files
from worker.signing_cli import keys, sign_rules, verify
from worker.status_cli import status_group
from worker.terminal import CLEARED, DAY, FLAGGED, UNREADABLE, clear_errors, console, say, today
from worker.watch_cli import watch
from worker.wire import DecisionContent
from worker.x12.envelope import LAST_CONTROL_NUMBER, Written

_Result = TypeVar("_Result")
_LAST_SECONDS = 2.0
"""After so long, what a signal should have ended is ended by force."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="claimscrub")
def main() -> None:
    """Scrub claims for CPT 63685 (spinal neurostimulator pulse generator), in real time.

    Settings come from environment variables CLAIMSCRUB_*; see `claimscrub settings`.
    """


@main.command()
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run N of them as processes of their own, and restart those that end; SIGHUP restarts one after another.",
)
@click.option("--supervised", is_flag=True, hidden=True, help="Stop at the end of standard input.")
def worker(workers: int | None, supervised: bool) -> None:
    """Consume claim events and publish decisions, until SIGTERM.

    Exit code: 0 stopped in good order, 3 settings, brokers or topics are not as they must be, 4 too many dead letters.
    """
    # Faust is imported only here: it is slow to import, and the other commands have no use for it.
    import structlog

    from worker.endpoint import endpoint
    from worker.kafka import wait_for_topics
    from worker.log import configure_logging
    from worker.monitor import Monitor
    from worker.supervisor import Supervisor, stop_with_supervisor

    with clear_errors(), _ended_by_signals(), ExitStack() as stack:
        settings = load_settings()
        if supervised:
            stop_with_supervisor(settings)
        configure_logging(settings)
        _check_tracing(settings)
        log = structlog.get_logger("claimscrub.worker")
        monitor = Monitor(settings)
        supervisor = None if workers is None else Supervisor(settings, workers)
        stack.enter_context(endpoint(settings, supervisor or monitor))
        monitor.stage = "loading the rules"
        ruleset = load_rulebook(settings)
        monitor.judges_by(ruleset)
        log.info(
            "rules",
            rules=len(ruleset.rules),
            contracts=len(ruleset.contracts.all),
            rule_set_version=ruleset.version,
            rule_set_digest=ruleset.digest,
            **({"signed_by": ruleset.signed_by} if ruleset.signed_by else {}),
        )
        monitor.stage = "waiting for the brokers"
        waiting = partial(wait_for_topics, settings, lambda reason: log.warning("waiting", reason=reason))
        partitions = _interruptibly(waiting)
        log.info(
            "starting",
            bootstrap_servers=settings.bootstrap_servers,
            partitions=partitions,
            mode=settings.mode,
            cleared_format=settings.cleared_format,
        )
        if supervisor is not None:
            sys.exit(supervisor.supervise(partitions))
        from worker.app import run_worker

        monitor.stage = "joining the group"
        run_worker(settings, ruleset, monitor)
        log.info("stopped")


def _check_tracing(settings: Settings) -> None:
    if settings.tracing:
        try:
            import worker.tracing  # noqa: F401
        except ImportError:
            said = "tracing needs more packages; install them with: pip install claimscrub[tracing]"
            raise SettingsError(f"{PREFIX}TRACING: {said}") from None


def _interruptibly(call: Callable[[], _Result]) -> _Result:
    """Call in a thread, so that a signal is acted upon at once and not only when librdkafka has waited enough."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  (raised again where it is waited for)
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Until the worker or its supervisor takes the signals over, there is nothing to finish."""

    def end(_: int, __: Any) -> None:
        # Raised while Python is at something of its own, as a callback of a weak reference, it would only be printed.
        last = Timer(_LAST_SECONDS, os._exit, [CLEARED])
        last.daemon = True
        last.start()
        sys.exit(CLEARED)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@main.command()
def demo() -> None:
    """Show it at work: an in-memory Kafka broker, a worker, and two dozen invented claims."""
    from worker.demo import run_demo

    with clear_errors():
        run_demo()


@main.command()
@click.option("--as-of", type=DAY, help="Judge as if received on this date.")
@click.option("--with-claim", is_flag=True, help='Print {"claim": ..., "decision": ..., "source": ...}.')
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def check(files: tuple[str, ...], as_of: datetime | None, with_claim: bool) -> None:
    """Judge the claims in files without Kafka.

    FILE is an 837, JSON or NDJSON, told by its content; a folder stands for all files in it, - for standard input.

    Prints one JSON decision per claim, in the order of the input. What cannot be read is named on standard error. A
    claim that has no date of receipt, as no 837 has, is judged as received today. Each claim is judged with the claims
    of the same member that stand before it in the same run.

    Exit code: 0 all cleared, 1 something flagged, 2 something unreadable.
    """
    result = CLEARED
    with clear_errors():
        settings = load_settings()
        ruleset = load_rulebook(settings)
        memory = Memory(members_of(settings, ruleset), ruleset, {}, settings.history_lines)
        memory.begin()
        now = today()  # as of a record that would be submitted now
        for item in _claims(files):
            if item.claim is None:
                result = UNREADABLE
                continue
            claim = item.claim.changed(received_date=as_of.date()) if as_of else item.claim
            digest = input_digest(item.raw)
            key = memory.key_of_claim(claim)
            judged = judge(claim, ruleset, memory, key, digest=digest, received=now)
            if judged.remember is not None:
                judged.remember()
            decision = judged.decision
            content = decision_content(decision, judged.claim, digest)
            sys.stdout.buffer.write(
                _with_claim(item, content) if with_claim else _line(content | {"source": item.source})
            )
            sys.stdout.buffer.flush()
            if decision.disposition is Disposition.FLAGGED:
                result = max(result, FLAGGED)
    sys.exit(result)


@main.command()
@click.option(
    "--watch",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Submit the files that appear in a folder.",
)
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: how long a file must stand still before it is taken.",
)
@click.argument("files", nargs=-1, metavar="[FILE...]")
def submit(files: tuple[str, ...], folder: Path | None, settle: float) -> None:
    """Publish the claims in files as claim events.

    FILE is an 837, JSON or NDJSON, told by its content; a folder stands for all files in it, - for standard input.

    With --watch, files are submitted as they appear in DIR, each claim exactly once, until SIGTERM. They are moved to
    DIR/done, or to DIR/failed, with the reasons beside them, where a part could not be read.

    Exit code: 0 all published, 2 something unreadable (the rest is published), 3 the brokers failed.
    """
    if bool(files) == (folder is not None):
        raise click.UsageError("name the files to submit, or a folder with --watch")
    result = CLEARED
    with clear_errors():
        if folder is not None:
            from worker.inbox import watch as watch_folder

            settings = load_settings()
            watch_folder(folder, settings, members_of(settings, load_rulebook(settings)), settle, say)
            sys.exit(CLEARED)
        from worker.submit import Submitter

        settings = load_settings()
        members = members_of(settings, load_rulebook(settings))
        with Submitter(settings) as submitter:
            for item in _claims(files):
                if item.claim is None:
                    result = UNREADABLE
                else:
                    submitter.submit(item.claim.claim_id, members.event_key(item.claim), item.raw)
        say(f"{submitter.count} claims published to {submitter.topic}")
    sys.exit(result)


def _output_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of the commands that write X12."""
    options = (
        click.option(
            "--out",
            "folder",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="Write files into a folder.",
        ),
        click.option("--topics", is_flag=True, help="Read the topics instead of files: everything since the last run."),
        click.option(
            "--follow",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            help="With --topics: go on every so many seconds, until SIGTERM.",
        ),
        click.option(
            "--control-number",
            type=click.IntRange(1, LAST_CONTROL_NUMBER),
            metavar="N",
            help="ISA13 of the first interchange; else counted on with --topics, and taken from the clock with files.",
        ),
        click.argument("files", nargs=-1, metavar="[FILE...]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@click.option(
    "--accepted",
    type=click.Choice(["A1", "A2"]),
    default="A1",
    show_default=True,
    help="Category of a cleared claim: A1 received, A2 taken into adjudication.",
)
@click.option("--syntax", is_flag=True, help="Write 999s about the syntax of 837 files instead.")
@_output_options
def acknowledge(accepted: str, syntax: bool, **options: Any) -> None:
    """Write decisions as 277CA interchanges, one file for each submitter.

    FILE holds decisions with their claims, as claimscrub check --with-claim prints them; - for standard input. With
    --topics, everything since the last run that is in the cleared and flagged topics goes into DIR, each claim exactly
    once; DIR keeps the position. Without --out all interchanges go to standard output.

    Exit code: 0 all written, 2 something could not be (the rest is written), 3 brokers or folders failed.
    """
    from worker.x12.response_277ca import acknowledgements
    from worker.x12.response_999 import syntax_acknowledgements

    _check_output_options(**options)
    if syntax and options["topics"]:
        raise click.UsageError("--syntax takes 837 files, not --topics")
    with clear_errors():
        if syntax:
            sys.exit(_write_syntax(syntax_acknowledgements, **options))
        write = partial(acknowledgements, accepted=cast('Literal["A1", "A2"]', accepted))
        sys.exit(_write_answers("acknowledge", write, flagged=True, **options))


@main.command()
@_output_options
def export(**options: Any) -> None:
    """Write cleared claims as 837 files, one for each submitter and claim type; nothing flagged is in them.

    FILE holds decisions with their claims, as claimscrub check --with-claim prints them; - for standard input. With
    --topics, everything since the last run that is in the cleared topic goes into DIR, each claim exactly once; DIR
    keeps the position. Without --out all interchanges go to standard output.

    Exit code: 0 all written, 2 something could not be (the rest is written), 3 brokers or folders failed.
    """
    from worker.x12.export_837 import export as exported

    _check_output_options(**options)
    with clear_errors():
        sys.exit(_write_answers("export", exported, flagged=False, **options))


@main.command()
def settings() -> None:
    """Show every setting: its environment variable, the value in force, and what it means.

    A secret is never shown. It may stand in a file instead, named by its variable with _FILE behind it.
    """
    with clear_errors():
        values, files = load_settings(), secret_files()
        table = Table("variable", "value", "meaning", box=None, pad_edge=False)
        for name, field in Settings.model_fields.items():
            value = getattr(values, name)
            if isinstance(value, SecretStr):
                hidden = "********" if value.get_secret_value() else ""
                value = f"{hidden} from {files[name]}" if name in files else hidden
            shown = "" if value is None else str(value)
            changed = name in values.model_fields_set
            table.add_row(PREFIX + name.upper(), f"[bold]{shown}[/bold]" if changed else shown, field.description)
        console().print(table)


@main.command()
@click.option(
    "--kind",
    type=click.Choice(["claim", "decision", "deadletter", "status", "override"]),
    default="claim",
    show_default=True,
    help="Of which message.",
)
@click.option("--asyncapi", is_flag=True, help="Print the AsyncAPI document of all topics instead.")
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the whole contract there instead: schemas, AsyncAPI, examples.",
)
def schema(kind: str, asyncapi: bool, folder: Path | None) -> None:
    """Print the JSON Schema of a message: a claim event, a decision with its claim, a dead letter's headers, …"""
    from worker import asyncapi as contract

    with clear_errors():
        if folder is not None:
            contract.write(folder)
        elif asyncapi:
            click.echo(contract.asyncapi_text(), nl=False)
        else:
            click.echo(contract.pretty(contract.SCHEMAS[kind]()), nl=False)


main.add_command(reference)
main.add_command(status_group)


@main.group()
def topics() -> None:
    """The Kafka topics."""


@topics.command("create")
@click.option(
    "--add-partitions", is_flag=True, help="Bring the topics that have fewer partitions up to the largest number."
)
def topics_create(add_partitions: bool) -> None:
    """Make the topics that are missing; those that exist stay as they are.

    Stop senders and workers before adding partitions: a key's later claims may then go to another partition.
    """
    from worker import kafka

    with clear_errors():
        values = load_settings()
        grown = kafka.add_partitions(values) if add_partitions else {}
        if add_partitions:
            from worker.history_topic import move_members

            moved = move_members(values, say)
            if moved:
                say(f"{moved} members moved to the partition that their claims go to now")
        done = {name: f"{after} partitions instead of {before}" for name, (before, after) in grown.items()}
        for name, made in kafka.create_topics(values).items():
            click.echo(f"{name}: {'created' if made else done.get(name, 'exists')}")
        if values.submitted_topic in grown:
            say(
                f"claimscrub: {values.submitted_topic} has more partitions now: a key's later claims may go to another"
                " one than its earlier claims, and be decided before them"
            )


main.add_command(console_command)
main.add_command(watch)
main.add_command(rules_group)
for _each in (verify, sign_rules, keys):
    rules_group.add_command(_each)
main.add_command(replay)
main.add_command(diff)
main.add_command(history)


def _claims(paths: Iterable[str]) -> Iterator[Item]:
    """Each claim of some files; an item without a claim, and a line on standard error, for what is none."""
    for item, claim in read_paths(paths, CLAIMS, Item.read, say):
        yield item._replace(claim=claim)


def _check_output_options(
    files: tuple[str, ...], folder: Path | None, topics: bool, follow: float | None, control_number: int | None
) -> None:
    del control_number
    if bool(files) == topics:
        raise click.UsageError("name the files to read, or --topics")
    if topics and folder is None:
        raise click.UsageError("--topics needs --out DIR")
    if follow is not None and not topics:
        raise click.UsageError("--follow goes with --topics")


def _write_answers(
    command: str,
    write: Writer,
    *,
    flagged: bool,
    files: tuple[str, ...],
    folder: Path | None,
    topics: bool,
    follow: float | None,
    control_number: int | None,
) -> int:
    """Decisions as X12, from files or topics; the exit code."""
    if topics:
        from worker.collect import collect

        assert folder is not None
        values = load_settings()
        complete = collect(
            folder,
            values,
            command=command,
            topics=(values.cleared_topic, values.flagged_topic) if flagged else (values.cleared_topic,),
            write=write,
            follow_seconds=follow,
            control_number=control_number,
            say=say,
        )
        return CLEARED if complete else UNREADABLE
    errors = _Errors()
    for written in write_envelopes(read_envelopes(files), write, control_number or clock_control_number(), errors.add):
        _put(written, folder, errors)
    return errors.result


def _write_syntax(
    write: Callable[..., Written],
    *,
    files: tuple[str, ...],
    folder: Path | None,
    control_number: int | None,
    **_: Any,
) -> int:
    errors = _Errors()
    _put(write_syntax(files, write, control_number or clock_control_number(), errors.add), folder, errors)
    return errors.result


class _Errors:
    """Lines on standard error, and the exit code that follows from them."""

    def __init__(self) -> None:
        self.result = CLEARED

    def add(self, line: str) -> None:
        self.result = UNREADABLE
        say(f"claimscrub: {line}")


def _put(written: Written, folder: Path | None, errors: _Errors) -> None:
    """Files to standard output, or into a folder with their names on standard output."""
    if folder is None:
        for file in written.files:
            sys.stdout.buffer.write(file.content)
        sys.stdout.buffer.flush()
    else:
        for path in save(written.files, folder):
            click.echo(str(path))
    for note in notes(written):
        say(note)
    for problem in written.errors:
        errors.add(described(problem))


def _line(content: Any) -> bytes:
    return to_json(content) + b"\n"


def _with_claim(item: Item, decision: DecisionContent) -> bytes:
    """As it stands on the topics, and the source; on one line, however the claim was laid out."""
    claim = item.raw.translate(None, b"\r\n")
    return envelope(claim, to_json(decision))[:-1] + b',"source":' + to_json(item.source) + b"}\n"


if __name__ == "__main__":
    main()
