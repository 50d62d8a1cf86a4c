"""`claimscrub watch` on the command line."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from worker.settings import load_settings
from worker.terminal import CLEARED, clear_errors, say

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType):
    """A time, or a duration before now."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        match = _DURATION.fullmatch(value)
        if match is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            expected = "a duration such as 15m, 2h or 1d, or a time such as 2026-08-10T14:05Z"
            self.fail(f"{value!r} is not {expected}", param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class _Dollars(click.ParamType):
    name = "dollars"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(Decimal(value.replace(",", "").removeprefix("$")).scaleb(2))
        except (InvalidOperation, ValueError, OverflowError):
            self.fail(f"{value!r} is no amount such as 32500 or 32500.00", param, ctx)


@click.command()
@click.option("--payer", "payers", multiple=True, metavar="KEY", help="Claims of this payer; may be repeated.")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="ID",
    help="With a finding of this rule, or of a family: HIS; may be repeated.",
)
@click.option("--category", default="", metavar="NAME", help="With a finding of this failure category.")
@click.option("--severity", type=click.Choice(["error", "warning", "info"]), help="With a finding of this severity.")
@click.option("--provider", default="", metavar="NPI", help="Of this billing or rendering provider.")
@click.option("--submitter", default="", metavar="ID", help="Of this submitter.")
@click.option("--code", default="", metavar="CODE", help="With this procedure code.")
@click.option("--least-amount", type=_Dollars(), metavar="DOLLARS", help="With a charge of at least so much.")
@click.option("--most-amount", type=_Dollars(), metavar="DOLLARS", help="With a charge of at most so much.")
@click.option("--claim", default="", metavar="TEXT", help="With this text in the claim id.")
@click.option(
    "--since",
    type=Moment(),
    metavar="WHEN",
    help="From then on: 15m, 2h, 1d, or a time (UTC if it names no zone). Else only what is new.",
)
@click.option("--until-now", is_flag=True, help="With --since: end at the newest instead of waiting for more.")
@click.option("-n", "most", type=click.IntRange(min=1), metavar="N", help="End after so many.")
@click.option("--deadletters", is_flag=True, help="Dead letters too; of the filters only --claim narrows them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: place, headers and decision.")
def watch(
    as_json: bool, since: datetime | None, until_now: bool, most: int | None, deadletters: bool, **filters: Any
) -> None:
    """Show flagged claims as they come, newest last: what is wrong, where, the likely denial, and the remedy.

    Of a claim only its decision is shown, and nothing that says who the member is. Ends on Ctrl-C or SIGTERM, or when
    the pipe that it writes to is closed, with exit code 0; 3 where the brokers refuse or a topic is missing.
    """
    from worker.watch import Choice, JsonPrinter, Plan, TextPrinter
    from worker.watch import watch as run

    if until_now and since is None:
        raise click.UsageError("--until-now goes with --since")
    with clear_errors():
        settings = load_settings()
        choice = _choice(Choice, **filters)
        plan = Plan(choice, since, until_now, deadletters, most)
        if not until_now and sys.stderr.isatty():
            say(f"claimscrub: watching {settings.flagged_topic}; Ctrl-C ends it")
        shown = run(settings, plan, JsonPrinter() if as_json else TextPrinter(), say)
        if until_now and not as_json and sys.stderr.isatty():
            say(f"{shown} shown")
    sys.exit(CLEARED)


def _choice(
    kind: Any,
    *,
    payers: tuple[str, ...],
    rules: tuple[str, ...],
    least_amount: int | None,
    most_amount: int | None,
    claim: str,
    severity: str | None,
    **codes: str,
) -> Any:
    return kind(
        payers=tuple(each.upper() for each in payers),
        rules=tuple(each.upper() for each in rules),
        severity=severity or "",
        least_cents=least_amount,
        most_cents=most_amount,
        claim=claim,
        **{name: value.strip().upper() for name, value in codes.items()},
    )
