"""The command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click
from pydantic import SecretStr
from pydantic_core import to_json
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from rules import Claim, ClaimError, Disposition, RuleSet, __version__, claim_schema
from rules.engine.explain import explain
from rules.engine.policy import ReferenceDataError
from rules.engine.rule import RuleDefinitionError
from worker.codec import decision_content
from worker.inputs import read_file
from worker.pipeline import input_digest
from worker.settings import PREFIX, Settings, SettingsError, load_settings

CLEARED, FLAGGED, UNREADABLE = 0, 1, 2
FAILED = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="claimscrub")
def main() -> None:
    """Scrub claims for CPT 63685 (spinal neurostimulator pulse generator), in real time.

    Settings come from environment variables CLAIMSCRUB_*; see `claimscrub settings`.
    """


@main.command()
def worker() -> None:
    """Consume claim events and publish decisions, until SIGTERM."""
    # Faust is imported only here: it is slow to import, and the other commands have no use for it.
    import structlog

    from worker.kafka import wait_for_topics
    from worker.log import configure_logging

    with _clear_errors():
        settings = load_settings()
        configure_logging(settings)
        log = structlog.get_logger("claimscrub.worker")
        ruleset = RuleSet.load()
        log.info("rules", rules=len(ruleset.rules), rule_set_version=ruleset.version, rule_set_digest=ruleset.digest)
        partitions = wait_for_topics(settings, lambda reason: log.warning("waiting", reason=reason))
        log.info("starting", bootstrap_servers=settings.bootstrap_servers, partitions=partitions)
        from worker.app import run_worker

        run_worker(settings, ruleset)
        log.info("stopped")


@main.command()
def demo() -> None:
    """Show it at work: an in-memory Kafka broker, a worker, and two dozen invented claims."""
    from worker.demo import run_demo

    with _clear_errors():
        run_demo()


@main.command()
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Judge as if received on this date.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def check(files: tuple[str, ...], as_of: datetime | None) -> None:
    """Judge the claims in files (JSON or NDJSON; - for standard input) without Kafka.

    Prints one JSON decision per claim, in the order of the input. What cannot be read is named on standard error.

    Exit code: 0 all cleared, 1 something flagged, 2 something unreadable.
    """
    result = CLEARED
    with _clear_errors():
        ruleset = RuleSet.load()
        for path in files:
            for source, raw, claim in _claims(path):
                if claim is None:
                    result = UNREADABLE
                    continue
                judged = claim.model_copy(update={"received_date": as_of.date()}) if as_of else claim
                decision = ruleset.evaluate(judged)
                content = {**decision_content(decision, input_digest(raw)), "source": source}
                sys.stdout.buffer.write(to_json(content) + b"\n")
                sys.stdout.buffer.flush()
                if decision.disposition is Disposition.FLAGGED:
                    result = max(result, FLAGGED)
    sys.exit(result)


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def submit(files: tuple[str, ...]) -> None:
    """Publish the claims in files (JSON or NDJSON; - for standard input) as claim events.

    Exit code: 0 all published, 2 something unreadable (the rest is published), 3 the brokers failed.
    """
    from worker.submit import Submitter

    result = CLEARED
    with _clear_errors():
        with Submitter(load_settings()) as submitter:
            for path in files:
                for _, raw, claim in _claims(path):
                    if claim is None:
                        result = UNREADABLE
                    else:
                        submitter.submit(claim.claim_id, raw)
        click.echo(f"{submitter.count} claims published to {submitter.topic}", err=True)
    sys.exit(result)


@main.command()
def settings() -> None:
    """Show every setting: its environment variable, the value in force, and what it means."""
    with _clear_errors():
        values = load_settings()
        table = Table("variable", "value", "meaning", box=None, pad_edge=False)
        for name, field in Settings.model_fields.items():
            value = getattr(values, name)
            if isinstance(value, SecretStr):
                value = "********" if value.get_secret_value() else ""
            shown = "" if value is None else str(value)
            changed = name in values.model_fields_set
            table.add_row(PREFIX + name.upper(), f"[bold]{shown}[/bold]" if changed else shown, field.description)
        _console().print(table)


@main.command()
def schema() -> None:
    """Print the JSON Schema of a claim event."""
    click.echo(to_json(claim_schema(), indent=2).decode())


@main.group()
def topics() -> None:
    """The Kafka topics."""


@topics.command("create")
def topics_create() -> None:
    """Make the topics that are missing; those that exist stay as they are."""
    from worker.kafka import create_topics

    with _clear_errors():
        for name, made in create_topics(load_settings()).items():
            click.echo(f"{name}: {'created' if made else 'exists'}")


@main.group("rules")
def rules_group() -> None:
    """The rules."""


@rules_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")
def rules_list(as_json: bool) -> None:
    """Every rule with its severity and what it finds."""
    with _clear_errors():
        ruleset = RuleSet.load()
        if as_json:
            for rule in ruleset.rules.values():
                fields = ("id", "name", "family", "severity", "status", "reason", "title", "remedy")
                click.echo(to_json({field: getattr(rule, field) for field in fields}).decode())
            return
        table = Table("rule", "name", "severity", "finds", box=None, pad_edge=False)
        for rule in ruleset.rules.values():
            table.add_row(rule.id, rule.name, rule.severity.value, rule.title)
        _console().print(table)


@rules_group.command("explain")
@click.argument("rule_id", metavar="ID")
def rules_explain(rule_id: str) -> None:
    """What a rule finds and why, its values with their dates, its sources. ID is UNT001 or units-over-daily-limit."""
    with _clear_errors():
        ruleset = RuleSet.load()
        wanted = [rule for rule in ruleset.rules.values() if rule_id.upper() == rule.id or rule_id.lower() == rule.name]
        if not wanted:
            click.echo(f"claimscrub: no rule {rule_id}; see: claimscrub rules list", err=True)
            sys.exit(UNREADABLE)
        text = explain(wanted[0], ruleset)
        if sys.stdout.isatty():
            Console(width=min(Console().width, 110)).print(Markdown(text))
        else:
            click.echo(text)


def _claims(path: str) -> Iterator[tuple[str, bytes, Claim | None]]:
    """Each claim of a file with where it stands and its bytes; None, and a line on standard error, for what is none."""
    try:
        for item in read_file(path):
            try:
                if item.error is not None:
                    raise item.error
                yield item.source, item.raw, Claim.from_json(item.raw)
            except ClaimError as error:
                click.echo(f"claimscrub: {item.source}: {error}", err=True)
                yield item.source, item.raw, None
    except OSError as error:
        click.echo(f"claimscrub: {path}: {error.strerror or error}", err=True)
        yield path, b"", None


def _console() -> Console:
    """Standard output; as wide as it needs to be where nobody watches, so that pipes get whole lines."""
    return Console(width=None if sys.stdout.isatty() else 200)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """One sentence instead of a traceback for what a user can mend."""
    from worker.deadletter import DeadLetterFloodError
    from worker.kafka import KafkaProblemError

    try:
        yield
    except (SettingsError, KafkaProblemError, DeadLetterFloodError, ReferenceDataError, RuleDefinitionError) as error:
        click.echo(f"claimscrub: {error}", err=True)
        sys.exit(FAILED)
    except BrokenPipeError:
        # Whoever read our output has had enough.
        sys.stdout = open("/dev/null", "w")  # noqa: PTH123, SIM115
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
