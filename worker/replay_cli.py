"""`claimscrub replay` and `claimscrub diff` on the command line."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from worker.folder import write_file
from worker.rulebook import load_rulebook
from worker.settings import load_settings
from worker.terminal import CLEARED, FAILED, FLAGGED, clear_errors, console, refusal, say
from worker.watch_cli import Moment

_IN_TABLE = 20
_IN_REPORT = 500
_OFFSETS = re.compile(r"\d{1,9}:\d{1,18}(,\d{1,9}:\d{1,18})*")


class _Bound(click.ParamType):
    """A time, a duration before now, or offsets by partition; with what the user has written."""

    name = "bound"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, datetime | dict[int, int]]:
        if _OFFSETS.fullmatch(value):
            pairs = (each.split(":") for each in value.split(","))
            return value, {int(partition): int(offset) for partition, offset in pairs}
        return value, Moment().convert(value, param, ctx)


@click.command()
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder of the decisions; a replay that was stopped goes on in it.",
)
@click.option(
    "--from",
    "since",
    type=_Bound(),
    default=None,
    metavar="WHERE",
    help="First event: a time (2026-11-01, 2026-11-01T06:00Z, or 24h ago), or offsets 0:1200,1:900 (partition:offset)."
    " Else the oldest that is there.",
)
@click.option(
    "--to",
    "until",
    type=_Bound(),
    default=None,
    metavar="WHERE",
    help="End, likewise; the event there does not belong to it any more. Else what is there at the start.",
)
@click.option("--without", "without", multiple=True, metavar="ID", help="Leave out this rule; may be repeated.")
def replay(
    folder: Path,
    since: tuple[str, Any] | None,
    until: tuple[str, Any] | None,
    without: tuple[str, ...],
) -> None:
    """Decide claim events again with the rules that are installed here, and publish nothing.

    Reads the topics of the settings, as a worker would, and leaves no trace in them. Where offsets are named, only
    their partitions are read. Compare the decisions with those that were published, or with another replay's, with:
    claimscrub diff DIR

    Exit code: 0 complete, 1 stopped by a signal before (the same command goes on), 2 no such rule, 3 brokers or folder
    failed.
    """
    from worker.replay import Wanted, open_replay
    from worker.replay import replay as run

    with clear_errors():
        settings = load_settings()
        ruleset = load_rulebook(settings)
        ids = tuple(sorted({each.upper() for each in without}))
        unknown = [each for each in ids if each not in ruleset.rules]
        if unknown:
            raise refusal(f"--without: no rule {', '.join(unknown)}; see: claimscrub rules list")
        first, end = since or ("", None), until or ("", None)
        if not run(folder, settings, ruleset, Wanted(first[1], end[1], (first[0], end[0]), ids)):
            say("claimscrub: stopped; the same command goes on")
            sys.exit(FLAGGED)
        decisions = open_replay(folder)
        console().print(_summary(decisions.meta(), decisions.tally()), highlight=False, soft_wrap=True)
    sys.exit(CLEARED)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with every claim that differs.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a report, too.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=None,
    metavar="N",
    help="Most claims that are listed: else 20 in the table, 500 in the report.",
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.argument("other", type=click.Path(path_type=Path, file_okay=False), required=False, metavar="[DIR2]")
def diff(folder: Path, other: Path | None, as_json: bool, html: Path | None, limit: int | None) -> None:
    """Compare a replay with what was published about the same events, or two replays.

    With DIR alone, before is what was published on the cleared, flagged and dead-letter topics, and after is the
    replay; with two, DIR is before and DIR2 after. Shown are claim ids, payers, charges and findings, and nothing of
    who a member is.

    Exit code: 0 the events that are on both sides are decided the same, 1 some differ, 3 brokers or folders failed.
    """
    from worker.diff import compare
    from worker.diff_page import html_report
    from worker.diff_report import json_report, show

    with clear_errors():
        found = compare(load_settings, folder, other)
        if found is None:
            say("claimscrub: stopped")
            sys.exit(FAILED)
        if html is not None:
            write_file(html, html_report(found, _IN_REPORT if limit is None else limit))
        if as_json:
            sys.stdout.buffer.write(json_report(found))
            sys.stdout.buffer.flush()
        else:
            show(found, console(), _IN_TABLE if limit is None else limit)
    sys.exit(FLAGGED if found.differences else CLEARED)


def _summary(meta: dict[str, Any], tally: dict[str, tuple[int, int]]) -> str:
    from worker.console import words

    cleared, flagged, deadletters, would = (
        tally.get(name, (0, 0)) for name in ("cleared", "flagged", "deadletter", "would")
    )
    without = f" without {', '.join(meta['without'])}" if meta["without"] else ""
    count = words.count(cleared[0] + flagged[0] + deadletters[0])
    lines = [
        f"{count} events of {meta['topic']} decided again by rule set {meta['rule_set']['version']}{without}:",
        f"  cleared       {words.count(cleared[0]):>11}  {words.amount(cleared[1]):>20}",
        f"  flagged       {words.count(flagged[0]):>11}  {words.amount(flagged[1]):>20}",
        f"  dead letters  {words.count(deadletters[0]):>11}",
    ]
    if would[0]:
        lines.append(
            f"  would be flagged by previews, of the cleared: {words.count(would[0])}, {words.amount(would[1])}"
        )
    return "\n".join(lines)
