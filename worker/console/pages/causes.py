"""Root causes: flagged claims that have rule, provider, payer and code in common."""

from __future__ import annotations

from datetime import timedelta

from worker.console import addresses, words
from worker.console.layout import (
    Column,
    Ledger,
    Row,
    ask,
    cell,
    frame,
    heading,
    live,
    marked,
    page,
    piece,
    query,
    spark,
    tag,
    text,
    windows,
)
from worker.console.service import Service
from worker.console.views import Cluster

_DEFAULT_WINDOW = "24h"
_MOST = 100
_SECONDS = 3.0


def add(service: Service) -> None:
    """Make the page known."""

    @page("/causes")
    async def causes() -> None:
        chosen = addresses.window_of(query(), _DEFAULT_WINDOW)
        window = addresses.WINDOWS[chosen]
        with frame(service, "Root causes", "/causes"):
            with tag("div").classes("head"):
                heading("Root causes", 1)
                total = text("", "muted")
                with tag("div").classes("end"):
                    windows("/causes", chosen, addresses.WINDOWS)
            with tag("section").classes("panel flush"):
                ledger = Ledger(
                    [
                        Column("rule", "Rule"),
                        Column("why", "What is wrong", "wrap"),
                        Column("provider", "Billing NPI", "id"),
                        Column("payer", "Payer"),
                        Column("code", "Code", "id"),
                        Column("claims", "Open", "number"),
                        Column("amount", "Charges", "number"),
                        Column("trend", f"Trend, {chosen}"),
                        Column("seen", "Seen (UTC)", "time"),
                    ],
                    "No claim was flagged in this time. Choose a longer one above.",
                )

            async def show() -> None:
                clusters: list[Cluster] = await ask(service.projection.clusters, window, _MOST)
                ledger.show([_row(each, window) for each in clusters])
                total.set_text(f"{words.counted(len(clusters), 'cause')}, most open charges first")

            await live(service, show, _SECONDS)


def _row(each: Cluster, window: timedelta) -> Row:
    common = {"rule_id": each.rule_id, "provider": each.provider, "payer": each.payer, "code": each.code}
    steps = len(each.trend)
    at, started = -1.0, []
    if each.started is not None and steps:
        began = words.now() - window
        at = min(max((each.started - began) / window, 0.0), 1.0)
        started = [{**marked(f"started {words.minute(each.started)}", "error"), "title": words.in_full(each.started)}]
    ever = each.claims_ever - each.claims
    return {
        "key": "|".join(common.values()),
        "classes": "links",
        "rule": cell(each.rule_id, href=addresses.flagged(**common), tone="whole", title=each.name),
        "why": [piece(each.message, tone="sentence clamped", title=each.message), *started],
        "provider": cell(each.provider),
        "payer": cell(each.payer),
        "code": cell(each.code),
        "claims": cell(words.count(each.claims), title=f"{ever} more are not open any more" if ever else ""),
        "amount": cell(words.amount(each.amount)),
        "trend": [spark(each.trend, f"{words.counted(each.claims_ever, 'claim')} in this time", at)],
        "seen": [
            piece(words.moment(each.last_seen), title=f"last: {words.in_full(each.last_seen)}"),
            piece(f"first {words.moment(each.first_seen)}", tone="below", title=words.in_full(each.first_seen)),
        ],
    }
