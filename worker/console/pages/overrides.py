"""Overrides: who released which claim, and why. A trail to read: nothing here changes it."""

from __future__ import annotations

from worker.console import addresses, words
from worker.console.layout import (
    Column,
    Ledger,
    Row,
    cell,
    frame,
    heading,
    marked,
    newest_first,
    page,
    piece,
    rules_in,
    tag,
    text,
)
from worker.console.service import Service
from worker.console.views import OverrideRow


def add(service: Service) -> None:
    """Make the page known."""

    @page("/overrides")
    async def overrides() -> None:
        with frame(service, "Overrides", "/overrides"):
            with tag("div").classes("head"):
                heading("Overrides", 1)
                text("the records of the topic, newest first; they can be neither edited nor removed here", "muted")
            with tag("section").classes("panel flush"):
                ledger = Ledger(
                    [
                        Column("claim", "Claim", "id"),
                        Column("at", "Released (UTC)", "time"),
                        Column("user", "By"),
                        Column("reason", "Reason", "wrap"),
                        Column("rules", "Rules"),
                        Column("amount", "Charge", "number"),
                        Column("outcome", "Outcome"),
                        Column("place", "Record", "id"),
                    ],
                    "Nobody has released a claim. A flagged claim's page has the button for it.",
                )
            await newest_first(service, ledger, service.projection.overrides, _row)


def _row(each: OverrideRow) -> Row:
    problem = [piece(each.problem, tone="below")] if each.problem else []
    return {
        "key": each.event_id,
        "claim": cell(each.claim_id, href=addresses.claim(each.flagged_event_id)),
        "at": cell(words.moment(each.at), title=words.in_full(each.at)),
        "user": cell(each.user),
        "reason": cell(each.reason),
        "rules": rules_in(each.rule_ids),
        "amount": cell(words.amount(each.amount)),
        "outcome": [marked(each.outcome), *problem],
        "place": cell(f"{each.place.partition} / {each.place.offset}", title="partition / offset"),
    }
