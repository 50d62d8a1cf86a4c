"""`claimscrub history`: what is remembered of a member, for support."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click
from pydantic_core import to_json
from rich.table import Table

from rules import MemberRecord, PriorClaim
from rules.engine.record import standing
from worker.inputs import CLAIMS, Item, read_paths
from worker.rulebook import load_rulebook, members_of
from worker.settings import load_settings
from worker.terminal import CLEARED, UNREADABLE, clear_errors, console, refusal, say


@click.group()
def history() -> None:
    """What is remembered of members' earlier claims."""


@history.command()
@click.argument("member_key", metavar="MEMBER-KEY")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(member_key: str, as_json: bool) -> None:
    """Show what the history topic holds of a member.

    MEMBER-KEY is the key of the member's claim events and decisions, or what `claimscrub history key` prints. Shown are
    claim ids, statuses, codes and dates of service: no name, member number, account or diagnosis.

    Exit code: 0 shown, 2 nothing is held, 3 the brokers failed.
    """
    from worker.history_topic import record_of

    with clear_errors():
        record = record_of(load_settings(), member_key.encode())
        if record is None:
            raise refusal(f"nothing is held of a member with the key {member_key}")
        if as_json:
            sys.stdout.buffer.write(to_json(_content(member_key, record), indent=2) + b"\n")
        else:
            console().print(_table(record))
            if record.dropped_through is not None:
                console().print(
                    f"Earlier claims had to be dropped; the latest service on them: {record.dropped_through}"
                )


@history.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def key(files: tuple[str, ...]) -> None:
    """Print the claim id and the member's key of each claim in files, as they have to be submitted with.

    FILE is an 837, JSON or NDJSON; a folder stands for all files in it, - for standard input.

    Exit code: 0 all printed, 2 something unreadable, or a claim without a member number.
    """
    result = CLEARED
    with clear_errors():
        settings = load_settings()
        members = members_of(settings, load_rulebook(settings))
        for item, claim in read_paths(files, CLAIMS, Item.read, say):
            if claim is None:
                result = UNREADABLE
            elif (found := members.key_of_claim(claim)) is not None:
                click.echo(f"{claim.claim_id} {found.decode()}")
            else:
                say(f"claimscrub: {item.source}: claim {claim.claim_id} has no member number")
                result = UNREADABLE
    sys.exit(result)


def _content(member_key: str, record: MemberRecord) -> dict[str, Any]:
    return {
        "member_key": member_key,
        "dropped_through": record.dropped_through,
        "claims": [
            {
                "claim_id": claim.claim_id,
                "claim_type": claim.claim_type,
                "payer": claim.payer,
                "frequency": claim.frequency,
                "received_date": claim.received_date,
                "status": claim.status,
                "status_date": claim.status_date,
                "lines": [
                    {
                        "procedure_code": line.procedure_code,
                        "modifiers": line.modifiers,
                        "units": line.units,
                        "service_date": line.service_date,
                        "place_of_service": line.place_of_service,
                    }
                    for line in claim.lines
                ],
            }
            for claim in standing(record)
        ],
    }


def _table(record: MemberRecord) -> Table:
    table = Table("Claim", "Type", "Payer", "Frequency", "Received", "Status", "Services")
    for claim in standing(record):
        status = claim.status if claim.status_date is None else f"{claim.status} {claim.status_date}"
        table.add_row(
            claim.claim_id,
            claim.claim_type,
            claim.payer,
            claim.frequency,
            str(claim.received_date or ""),
            status,
            "\n".join(_services(claim)),
        )
    return table


def _services(claim: PriorClaim) -> Iterator[str]:
    for line in claim.lines:
        code = "-".join((line.procedure_code, *line.modifiers))
        units = "" if line.units is None else f" x {line.units:f}"
        yield f"{line.service_date or 'no date'} {code}{units}"
