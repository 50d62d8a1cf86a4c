"""Flagged: the claims that wait, newest first, as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from nicegui import ui

from rules import Severity
from worker.console import addresses, words
from worker.console.layout import (
    Column,
    Ledger,
    Row,
    ask,
    button,
    cell,
    frame,
    heading,
    live,
    marked,
    page,
    piece,
    query,
    rules_in,
    tag,
    text,
)
from worker.console.service import Service
from worker.console.views import Choices, Filter, FlaggedRow

_FIRST, _MORE, _MOST = 50, 100, 1_000
_SECONDS = 0.5
_STATES = {"open": "open", "released": "released", "sent again": "sent again", "monitored": "monitored", "": "all"}
_MOST_CODES = 2


def add(service: Service) -> None:
    """Make the page known."""

    @page("/flagged")
    async def flagged() -> None:
        with frame(service, "Flagged", "/flagged"):
            shown = _Page(service, addresses.filter_of(query()))
            shown.build(await ask(service.projection.choices))
            await live(service, shown.look, _SECONDS)


class _Page:
    """One visitor's view of the flagged claims."""

    def __init__(self, service: Service, chosen: Filter) -> None:
        self._projection = service.projection
        self._chosen = chosen
        self._limit = _FIRST
        self._rows: list[FlaggedRow] = []
        self._is_paused = False
        self._newest = 0

    def build(self, choices: Choices) -> None:
        with tag("div").classes("head"):
            heading("Flagged claims", 1)
            self._total = text("", "muted").props('aria-live="polite"')
            with tag("div").classes("end"):
                self._pause = button("Pause", self._turn)
        self._filters = tag("form").classes("filters").props('role="search" aria-label="Filters" id="filters"')
        with self._filters.on("submit.prevent", lambda: None):
            self._controls(choices)
            self._clear = button("Clear the filters", lambda: ui.navigate.to("/flagged"), kind="bare")
        with tag("section").classes("panel flush"):
            self._ledger = Ledger(
                [
                    Column("claim", "Claim", "id"),
                    Column("at", "Flagged (UTC)", "time"),
                    Column("payer", "Payer, billing NPI"),
                    Column("codes", "Codes", "id"),
                    Column("amount", "Charge", "number"),
                    Column("why", "Why", "wrap"),
                    Column("state", "State"),
                ],
                "No flagged claim fits these filters. Widen them, or wait: new ones appear here by themselves.",
            )
        self._more = button("Show more", self._show_more)

    def _controls(self, choices: Choices) -> None:
        chosen = self._chosen
        search = ui.input("Search", value=chosen.text, placeholder="claim id, NPI, code, rule")
        search.props('outlined dense clearable type="search" debounce="300"').classes("search")
        search.on_value_change(lambda event: self._narrow(text=(event.value or "").strip()))
        toggle = button("Filters", lambda: self._filters.classes(toggle="shown"))
        toggle.classes("toggle").props('aria-controls="filters"')
        self._select("Payer", choices.payers, chosen.payer, lambda value: self._narrow(payer=value))
        self._select("Rule", choices.rule_ids, chosen.rule_id, lambda value: self._narrow(rule_id=value))
        self._select("Category", choices.categories, chosen.category, lambda value: self._narrow(category=value))
        self._select(
            "Severity", [each.value for each in Severity], chosen.severity, lambda value: self._narrow(severity=value)
        )
        states = ui.select(_STATES, label="State", value=chosen.state or "").props("outlined dense")
        states.on_value_change(lambda event: self._narrow(state=event.value or None))
        self._typed("Provider NPI", chosen.provider, lambda said: self._narrow(provider=said))
        self._select("Submitter", choices.submitters, chosen.submitter, lambda value: self._narrow(submitter=value))
        self._dated("From", chosen.flagged_from, lambda day: self._narrow(flagged_from=day))
        self._dated("To", chosen.flagged_to, lambda day: self._narrow(flagged_to=day))
        self._typed(
            "Charge from $",
            _dollars(chosen.least_amount),
            lambda said: self._narrow(least_amount=addresses.read_amount(said)),
        )
        self._typed(
            "Charge to $",
            _dollars(chosen.most_amount),
            lambda said: self._narrow(most_amount=addresses.read_amount(said)),
        )

    def _select(self, label: str, options: Sequence[str], value: str, changed: Callable[[str], Any]) -> None:
        listed = [*options, *([value] if value and value not in options else [])]
        made = ui.select(listed, label=label, value=value or None, clearable=True, with_input=len(listed) > 8)  # noqa: PLR2004
        made.props("outlined dense options-dense").on_value_change(lambda event: changed(event.value or ""))

    def _typed(self, label: str, value: str, changed: Callable[[str], Any]) -> None:
        made = ui.input(label, value=value).props('outlined dense clearable debounce="400"')
        made.on_value_change(lambda event: changed((event.value or "").strip()))

    def _dated(self, label: str, value: date | None, changed: Callable[[date | None], Any]) -> None:
        made = ui.input(label, value=str(value or "")).props('outlined dense type="date" stack-label')
        made.on_value_change(lambda event: changed(addresses.read_day(event.value or "")))

    async def _narrow(self, **changes: Any) -> None:
        chosen = replace(self._chosen, **changes)
        if chosen != self._chosen:
            self._chosen, self._limit = chosen, _FIRST
            ui.navigate.history.push("/flagged" + addresses.query_of(chosen))
            await self.show()

    async def _show_more(self) -> None:
        self._limit = min(self._limit + _MORE, _MOST)
        await self.show()

    async def _turn(self) -> None:
        self._is_paused = not self._is_paused
        self._pause.set_text("Resume" if self._is_paused else "Pause")
        if not self._is_paused:
            await self.show()

    async def look(self) -> None:
        """Show what has come since; while paused, only how much."""
        if self._is_paused:
            came = await ask(self._projection.flagged, self._chosen, _MOST)
            fresh = sum(row.number > self._newest for row in came)
            plus = "+" if fresh == _MOST else ""
            self._pause.set_text(f"Resume · {fresh}{plus} new" if fresh else "Resume")
        else:
            await self.show()

    async def show(self) -> None:
        rows: list[FlaggedRow] = await ask(self._projection.flagged, self._chosen, self._limit + 1)
        claims, cents = await ask(self._projection.flagged_total, self._chosen)
        newest, self._rows = self._newest, rows[: self._limit]
        self._newest = max([newest, *(row.number for row in self._rows)])
        self._ledger.show([_row(each, is_new=0 < newest < each.number) for each in self._rows])
        self._total.set_text(f"{words.counted(claims, 'claim')}, {words.amount(cents)}")
        self._more.set_visibility(len(rows) > self._limit and self._limit < _MOST)
        self._clear.set_visibility(bool(addresses.query_of(self._chosen)))


def _row(each: FlaggedRow, *, is_new: bool) -> Row:
    codes = ", ".join(each.codes[:_MOST_CODES]) + (" …" if len(each.codes) > _MOST_CODES else "")
    return {
        "key": each.event_id,
        "classes": "links arrived" if is_new else "links",
        "claim": cell(each.claim_id, href=addresses.claim(each.event_id), tone="whole", title=each.claim_id),
        "at": cell(words.moment(each.at), title=words.in_full(each.at)),
        "payer": [piece(each.payer), piece(each.billing_npi, tone="below id")],
        "amount": cell(words.amount(each.amount)),
        "codes": cell(codes, title=", ".join(each.codes)),
        "why": [*rules_in(each.rule_ids), piece(each.message, tone="sentence clamped", title=each.message)],
        "state": [marked(each.state)],
    }


def _dollars(cents: int | None) -> str:
    return "" if cents is None else f"{cents / 100:.2f}".removesuffix(".00")
