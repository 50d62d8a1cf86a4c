"""What the commands share: exit codes, output, and one sentence instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import click
from rich.console import Console

from rules.engine.policy import ReferenceDataError
from rules.engine.rule import RuleDefinitionError
from worker.failures import way_to
from worker.settings import SettingsError

CLEARED, FLAGGED, UNREADABLE = 0, 1, 2
FAILED = 3
FLOOD = 4
"""A flood of dead letters: another start would only pour out more of them."""
DAY = click.DateTime(["%Y-%m-%d"])
"""Type of an option that is a day."""


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


def say(line: str) -> None:
    """A line on standard error, if that can be written to."""
    try:
        click.echo(line, err=True)
    except OSError:
        # A full disk or a closed pipe; what is in the buffer would fail again at the end and change the exit code.
        sys.stderr = open("/dev/null", "w")  # noqa: PTH123, SIM115


def refusal(sentence: str) -> SystemExit:
    """The end of a command that was asked for something that is not there, once the sentence is said."""
    say(f"claimscrub: {sentence}")
    return SystemExit(UNREADABLE)


def console() -> Console:
    """Standard output; as wide as it needs to be where nobody watches, so that pipes get whole lines."""
    return Console(width=None if sys.stdout.isatty() else 200)


@contextmanager
def clear_errors() -> Iterator[None]:
    """One sentence instead of a traceback for what a user can mend."""
    from worker.deadletter import DeadLetterFloodError
    from worker.folder import FolderError
    from worker.history import HistoryError
    from worker.kafka import KafkaProblemError
    from worker.signing import RulesMismatchError, SignatureProblemError

    known = (
        SettingsError,
        KafkaProblemError,
        FolderError,
        HistoryError,
        ReferenceDataError,
        RuleDefinitionError,
        RulesMismatchError,
        SignatureProblemError,
    )
    try:
        yield
    except DeadLetterFloodError as error:
        say(f"claimscrub: {error}")
        sys.exit(FLOOD)
    except known as error:
        say(f"claimscrub: {error}")
        sys.exit(FAILED)
    except BrokenPipeError:
        # Whoever read our output has had enough.
        sys.stdout = open("/dev/null", "w")  # noqa: PTH123, SIM115
        sys.exit(FAILED)
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except Exception as error:  # noqa: BLE001  (Python would print its words too, which may repeat a claim)
        say(f"claimscrub: failed where it should not; please report this:\n{way_to(error)}")
        sys.exit(FAILED)
