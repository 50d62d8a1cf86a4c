"""Now: figures, charts, and what has just gone wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui import ui

from worker.console import addresses, words
from worker.console.layout import (
    Column,
    Ledger,
    Row,
    ask,
    cell,
    frame,
    heading,
    link,
    live,
    mark,
    page,
    query,
    share,
    tag,
    text,
    windows,
)
from worker.console.service import Service
from worker.console.views import Alarm, NowView, Point, Share

_DEFAULT_WINDOW = "1h"
_MOST_SHARES = 8
_GREEN, _RED, _AMBER, _BLUE = "#3f9d67", "#d25f56", "#c98a1f", "#4d7fc4"
_LAG_SECONDS = 2.0


def add(service: Service) -> None:
    """Make the page known."""

    @page("/")
    async def now() -> None:
        chosen = addresses.window_of(query(), _DEFAULT_WINDOW)
        window = addresses.WINDOWS[chosen]
        with frame(service, "Now", "/"):
            with tag("div").classes("head"):
                heading("Now", 1)
                latest = text("", "muted")
                with tag("div").classes("end"):
                    windows("/", chosen, addresses.WINDOWS)
            alarms = _Alarms()
            figures = _Figures(service, chosen)
            monitored = _Monitored(chosen)
            with tag("div").classes("grid two"):
                counts = _chart("Claims decided", f"in steps over {chosen}")
                amounts = _chart("Charges", "in dollars")
            with tag("div").classes("grid three"):
                ledgers = [_shares(name) for name in ("Payer", "Submitter", "Rule")]

            async def show() -> None:
                view: NowView = await ask(service.projection.now, window)
                alarms.show(await ask(service.projection.alarms))
                figures.show(view)
                monitored.show(view)
                latest.set_text(
                    f"latest decision {words.moment(view.latest)} UTC" if view.latest else "no decision yet"
                )
                _draw(counts, _counts(view.points))
                _draw(amounts, _amounts(view.points))
                kinds = ("payer", "submitter", "rule_id")
                for ledger, kind, shares in zip(
                    ledgers, kinds, (view.by_payer, view.by_submitter, view.by_rule), strict=True
                ):
                    ledger.show([_share_row(kind, each) for each in shares[:_MOST_SHARES]])

            await live(service, show)
            ui.timer(_LAG_SECONDS, figures.show_backlog)


class _Figures:
    """The row of figures."""

    def __init__(self, service: Service, window: str) -> None:
        self._service, self._window = service, window
        with tag("section").classes("figures").props('aria-label="Figures"'):
            self.speed = _Figure("Claims a second", "over the last minute")
            self.flagged = _Figure("Flagged", f"of claims, {window}")
            self.clean = _Figure("Clean dollars", f"of charges, {window}")
            self.dead = _Figure("Dead letters", f"in {window}", href="/dead-letters")
            self.lag = _Figure("Not yet decided", "claims before the workers")
            self.oldest = _Figure("Oldest undecided", "has waited")
            self.waiting = _Figure("Waiting", "flagged claims that are open", href="/flagged", classes="waits")
        self.show_backlog()

    def show(self, view: NowView) -> None:
        self.speed.show(words.per_second(view.claims_per_second), "over the last minute")
        flagged = round(view.claims * view.flag_rate) if view.flag_rate is not None else 0
        self.flagged.show(words.rate(view.flag_rate), f"{flagged:,} of {words.counted(view.claims, 'claim')}")
        self.clean.show(words.rate(view.clean_amount_rate), "of charges cleared")
        self.dead.show(words.count(view.deadletters), f"in {self._window}", bad=view.deadletters > 0)
        self.waiting.show(words.short_amount(view.waiting_amount), f"in {words.counted(view.waiting, 'open claim')}")

    def show_backlog(self) -> None:
        backlog = self._service.backlog
        if backlog is None:
            return
        if backlog.problem:
            self.lag.show(words.NOTHING, backlog.problem)
            self.oldest.show(words.NOTHING, "the brokers don't answer")
            return
        self.lag.show(words.count(backlog.lag), f"in {words.counted(len(backlog.partitions), 'partition')}")
        if backlog.oldest is None:
            self.oldest.show("none", "all is decided")
        else:
            self.oldest.show(words.age(words.now() - backlog.oldest), f"since {words.moment(backlog.oldest)}")


class _Monitored:
    """What monitor mode has let pass; nothing is there while there is nothing of it."""

    def __init__(self, window: str) -> None:
        self._window = window
        self._panel = tag("section").classes("panel").props('aria-label="Monitor mode"')
        with self._panel, tag("div").classes("row-of"):
            mark("monitored")
            self._said = text("")
            link("Show them", addresses.flagged(state="monitored"))
        self._panel.set_visibility(False)

    def show(self, view: NowView) -> None:
        claims, amount = words.counted(view.monitored, "claim"), words.amount(view.monitored_amount)
        self._said.set_text(f"{claims}, {amount}, would have been flagged in {self._window}, and went on.")
        self._panel.set_visibility(view.monitored > 0)


class _Figure:
    def __init__(self, label: str, note: str, *, href: str = "", classes: str = "") -> None:
        self._box = tag("div").classes(f"figure {classes}")
        with self._box:
            (link(label, href) if href else text(label)).classes("figure-label")
            self._value = text(words.NOTHING, "figure-value")
            self._note = text(note, "figure-note")

    def show(self, value: str, note: str, *, bad: bool = False) -> None:
        self._value.set_text(value)
        self._note.set_text(note)
        self._box.classes(add="bad") if bad else self._box.classes(remove="bad")


class _Alarms:
    """What jumped; nothing is there while nothing did."""

    def __init__(self) -> None:
        self._panel = tag("section").classes("panel").props('aria-label="Alarms"')
        self._shown: list[Alarm] | None = None
        self._panel.set_visibility(False)

    def show(self, alarms: Sequence[Alarm]) -> None:
        if self._shown == [*alarms]:
            return
        self._shown = [*alarms]
        self._panel.clear()
        self._panel.set_visibility(bool(alarms))
        with self._panel:
            for each in alarms:
                with tag("div").classes("item alarm"):
                    mark("over" if each.over else "alarm", "quiet" if each.over else "error")
                    name = {"rule": "Rule", "submitter": "Submitter", "payer": "Payer"}[each.kind]
                    narrowed = {"rule": "rule_id"}.get(each.kind, each.kind)
                    link(f"{name} {each.key}", addresses.flagged(**{narrowed: each.key}))
                    over = f" until {words.minute(each.over)}" if each.over else ""
                    rates = f"{each.rate:.1f} of 100 claims flagged, {each.baseline:.1f} before"
                    text(f"started {words.minute(each.since)}{over}: {rates}")
                    text(f"{words.counted(each.claims, 'claim')}, {words.amount(each.amount)}", "muted")


def _shares(name: str) -> Ledger:
    with tag("section").classes("panel flush"):
        heading(f"By {name.lower()}")
        made = Ledger(
            [
                Column("name", name, "id"),
                Column("bar", "Share"),
                Column("flagged", "Flagged", "number"),
                Column("amount", "Charges", "number"),
            ],
            f"No claim was decided in this time; a {name.lower()} shows up with its first.",
        )
        made.table.classes("narrow")
        return made


def _share_row(kind: str, each: Share) -> Row:
    part = each.flagged / each.claims if each.claims else 0.0
    said = f"{each.flagged:,} of {words.counted(each.claims, 'claim')} flagged, {words.rate(part)}"
    href = addresses.flagged(**{kind: each.key}) if each.key else ""
    return {
        "key": each.key,
        "name": cell(each.key or "not named", href=href),
        "bar": [share(part, said)],
        "flagged": cell(words.count(each.flagged), title=said),
        "amount": cell(words.short_amount(each.amount), title=words.amount(each.amount)),
    }


# ---- charts


def _chart(name: str, note: str) -> ui.echart:
    with tag("section").classes("panel"):
        with tag("div").classes("row-of"):
            heading(name)
            text(note, "muted small")
        return ui.echart(_options([], []), renderer="svg").classes("chart")


def _draw(chart: ui.echart, options: dict[str, Any]) -> None:
    if dict(chart.options) != options:
        chart.options.clear()
        chart.options.update(options)
        chart.update()


def _counts(points: Sequence[Point]) -> dict[str, Any]:
    return _options(
        points,
        [
            ("cleared", _GREEN, [point.cleared - point.monitored for point in points]),
            *_would([point.monitored for point in points]),
            ("flagged", _RED, [point.flagged for point in points]),
            ("dead letters", _AMBER, [point.deadletters for point in points]),
        ],
    )


def _amounts(points: Sequence[Point]) -> dict[str, Any]:
    return _options(
        points,
        [
            ("cleared", _GREEN, [(point.cleared_amount - point.monitored_amount) / 100 for point in points]),
            *_would([point.monitored_amount / 100 for point in points]),
            ("flagged", _RED, [point.flagged_amount / 100 for point in points]),
        ],
    )


def _would(values: Sequence[float]) -> list[tuple[str, str, Sequence[float]]]:
    return [("would be flagged", _BLUE, values)] if any(values) else []


def _options(points: Sequence[Point], series: Sequence[tuple[str, str, Sequence[float]]]) -> dict[str, Any]:
    """Stacked bars over time. Text takes its colour from the page, which may be light or dark."""
    long = len(points) > 1 and (points[-1].at - points[0].at).days >= 1
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 6, "right": 6, "top": 34, "bottom": 2, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemWidth": 10, "itemHeight": 10, "icon": "roundRect", "itemGap": 18},
        "tooltip": {"trigger": "axis", "confine": True, "axisPointer": {"type": "shadow"}},
        "xAxis": {
            "type": "category",
            "data": [f"{point.at:%d %b %H:%M}" if long else f"{point.at:%H:%M}" for point in points],
            "axisTick": {"show": False},
            "axisLine": {"lineStyle": {"color": "#8886"}},
            "axisLabel": {"hideOverlap": True},
        },
        "yAxis": {
            "type": "value",
            "splitNumber": 3,
            "minInterval": 1,
            "splitLine": {"lineStyle": {"color": "#8883"}},
            "axisLabel": {":formatter": "value => Intl.NumberFormat('en', {notation: 'compact'}).format(value)"},
        },
        "series": [
            {
                "name": name,
                "type": "bar",
                "stack": "all",
                "data": [*values],
                "itemStyle": {"color": colour},
                "barCategoryGap": "25%",
            }
            for name, colour, values in series
        ],
    }
