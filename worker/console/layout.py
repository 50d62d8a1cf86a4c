"""What all pages look like: the frame around them, and the few pieces they are put together from."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote, unquote

from nicegui import run, ui

from worker.console import access, addresses
from worker.console.service import Service

PAGES: Final = (
    ("/", "Now"),
    ("/flagged", "Flagged"),
    ("/causes", "Root causes"),
    ("/rules", "Rules"),
    ("/what-if", "What if"),
    ("/dead-letters", "Dead letters"),
    ("/overrides", "Overrides"),
)
REFRESH_SECONDS = 1.0
_STATE_SECONDS = 2.0
_PATIENCE_SECONDS = 15.0
"""Within so long a page is made, or the visitor is told that it could not be."""
_FIRST_ROWS, _MORE_ROWS, _MOST_ROWS = 50, 100, 2_000
_THEME, _USER = "claimscrub_theme", "claimscrub_name"
_THEMES: Final[Mapping[str, bool | None]] = {"system": None, "light": False, "dark": True}
_YEAR = 365 * 24 * 60 * 60

Cell = dict[str, str | float | bool]
Row = dict[str, Any]


# ---- the frame


def page(path: str) -> ui.page:
    """A page of the console, under a path; its function may wait for what it is to show."""
    return ui.page(path, response_timeout=_PATIENCE_SECONDS)


@contextmanager
def frame(service: Service, title: str, here: str = "") -> Iterator[None]:
    """The page around its content.

    Args:
        service: the console.
        title: of the page.
        here: path of the page in the navigation that it belongs to.
    """
    ui.page_title(f"{title} · claimscrub")
    # The browser's way back changes the address only; the page is what the address says.
    ui.add_head_html('<script>addEventListener("popstate", () => location.reload())</script>')
    link("Skip to the content", "#content").classes("skip")
    with tag("header").classes("top"), tag("div").classes("top-row"):
        link("claimscrub", "/").classes("brand")
        with tag("nav").classes("wide-nav").props('aria-label="Pages"'):
            _links(here)
        with tag("div").classes("top-end"):
            updates = [_state(service)]
            _theme()
            _sign_out(service)
            with tag("details").classes("small-nav"):
                with tag("summary"):
                    text("Menu")
                with tag("nav").props('aria-label="Pages"'):
                    _links(here)
                    _sign_out(service)
    with tag("div").classes("main").props('id="content" tabindex="-1"'):  # Quasar's page is the main element
        updates.append(_trouble(service))
        yield
    # Only now: a page goes out as soon as something on it waits for the browser, as timers do; it is to go out whole.
    for update in updates:
        ui.timer(_STATE_SECONDS, update)


def _links(here: str) -> None:
    for path, name in PAGES:
        made = link(name, path)
        if path == here:
            made.props('aria-current="page"')


def _sign_out(service: Service) -> None:
    if service.settings.console_token.get_secret_value():
        with tag("form").props('method="post" action="/logout"'), tag("button").classes("as-button bare"):
            text("Sign out")


def _state(service: Service) -> Callable[[], None]:
    shown = ui.label().classes("state").props('role="status"')

    def update() -> None:
        missing = service.missing
        behind = bool(missing) and not service.follower.problem
        shown.set_text("not reading" if service.follower.problem else "catching up" if behind else "live")
        shown.classes(remove="behind broken", add="broken" if service.follower.problem else "behind" if behind else "")

    update()
    return update


def _trouble(service: Service) -> Callable[[], None]:
    shown = ui.label().classes("banner").props('role="alert"')

    def update() -> None:
        missing, unreadable = service.missing, service.follower.unreadable
        said = [f"What is shown may be old: {'; '.join(missing)}."] if missing else []
        said += [f"Something is not shown: {unreadable}."] if unreadable else []
        shown.set_text(" ".join(said))
        shown.set_visibility(bool(said))

    update()
    return update


def _theme() -> None:
    named = cookie(_THEME)
    chosen = named if named in _THEMES else "system"
    dark = ui.dark_mode(_THEMES[chosen])
    button = ui.button(icon=_icon(chosen), color=None).props('flat dense aria-label="Colours"').classes("bare")
    hint = f"Colours: {chosen}"
    with button:
        tooltip = ui.tooltip(hint)

    def turn() -> None:
        nonlocal chosen
        names = [*_THEMES]
        chosen = names[(names.index(chosen) + 1) % len(names)]
        dark.set_value(_THEMES[chosen])
        button.set_icon(_icon(chosen))
        tooltip.set_text(f"Colours: {chosen}")
        remember(_THEME, chosen)

    button.on_click(turn)


def _icon(theme: str) -> str:
    return {"system": "contrast", "light": "light_mode", "dark": "dark_mode"}[theme]


def cookie(name: str) -> str:
    """What the browser remembers for us."""
    return unquote(ui.context.client.request.cookies.get(name, ""))


def remember(name: str, value: str) -> None:
    """Let the browser remember something harmless for a year."""
    ui.run_javascript(f'document.cookie="{name}={quote(value)}; path=/; max-age={_YEAR}; samesite=strict"')


def user_name() -> tuple[str, bool]:
    """Who is there, and whether a proxy vouches for it; else it is what was typed the last time."""
    vouched = access.user_of(ui.context.client.request.scope)
    return (vouched, True) if vouched else (cookie(_USER), False)


def remember_user(name: str) -> None:
    """For the next time that a name is asked for."""
    remember(_USER, name)


def query() -> Mapping[str, str]:
    """The query of the page's address."""
    return ui.context.client.request.query_params


# ---- pieces


def tag(name: str) -> ui.element:
    return ui.element(name)


def text(said: str, classes: str = "") -> ui.label:
    made = ui.label(said)
    return made.classes(classes) if classes else made


def heading(said: str, level: Literal[1, 2, 3] = 2) -> ui.element:
    return ui.html(html.escape(said), tag=f"h{level}", sanitize=False)


def link(said: str, target: str, *, new_tab: bool = False) -> ui.link:
    """A link; what is no address of this console or of the web leads nowhere."""
    safe = target if target.startswith(("/", "#", "?", "https://", "http://")) else "#"
    made = ui.link(said, safe, new_tab=new_tab)
    return made.props('rel="noreferrer noopener"') if new_tab else made


def mark(word: str, tone: str = "") -> ui.label:
    """A word with a colour."""
    return ui.label(word).classes(f"mark {tone or word.replace(' ', '-')}")


def fact(name: str, value: str, *, classes: str = "") -> None:
    """A name and its value; blank ones are left out."""
    if value:
        with tag("div").classes("fact"):
            text(name, "fact-name")
            text(value, f"fact-value {classes}")


def button(said: str, on_click: Callable[..., Any] | None = None, *, kind: str = "plain") -> ui.button:
    """A button: solid for what the page is for, plain for the rest, bare for what is beside it."""
    made = ui.button(said, on_click=on_click, color=None).props("unelevated no-caps")
    return made.classes(kind)


def empty(said: str) -> ui.label:
    """What stands where nothing is: what to do."""
    return ui.label(said).classes("empty")


def windows(path: str, chosen: str, names: Iterable[str]) -> None:
    """Links to the same page over other lengths of time."""
    with tag("div").classes("windows").props('role="group" aria-label="Length of time"'):
        for name in names:
            made = link(name, f"{path}?window={name}")
            if name == chosen:
                made.props('aria-current="true"')


async def live(service: Service, show: Callable[[], Any], seconds: float = REFRESH_SECONDS) -> None:
    """Call an asynchronous function, and again whenever the projection has changed, while the page is open."""
    seen = service.projection.version()  # before it asks: what comes meanwhile is a change
    busy = False
    await show()

    async def look() -> None:
        nonlocal seen, busy
        version = service.projection.version()
        if busy or version == seen:
            return
        busy, seen = True, version
        try:
            await show()
        finally:
            busy = False

    ui.timer(seconds, look)


async def ask(question: Callable[..., Any], *arguments: Any) -> Any:
    """The answer to a question that takes a moment, in a thread."""

    def answered() -> tuple[Any]:
        return (question(*arguments),)

    answer = await run.io_bound(answered)
    if answer is None:  # the console stops, or the page has gone
        raise asyncio.CancelledError
    return answer[0]


# ---- tables


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        kind: text; wrap, for sentences; number, to the right; time; id.
    """

    name: str
    label: str
    kind: Literal["text", "wrap", "number", "time", "id"] = "text"


_BODY = """
<q-tr :props="props" :class="props.row.classes">
  <q-td v-for="col in props.cols" :key="col.name" :props="props" :data-label="col.label"
        :class="[col.kind, props.row[col.name]?.length ? '' : 'blank']"><div>
    <template v-for="(cell, index) in props.row[col.name]" :key="index">
      <a v-if="cell.href" :href="cell.href" :class="cell.tone" :title="cell.title">{{ cell.text }}</a>
      <svg v-else-if="cell.points" class="spark" viewBox="0 0 100 22" preserveAspectRatio="none" role="img"
           :aria-label="cell.text"><polyline :points="cell.points" /><line v-if="cell.at >= 0" :x1="cell.at"
           :x2="cell.at" y1="0" y2="22" /></svg>
      <span v-else-if="cell.share >= 0" class="bar" :title="cell.text"><i :style="{width: cell.share + '%'}"></i></span>
      <span v-else :class="cell.tone" :title="cell.title">{{ cell.text }}</span>
    </template>
  </div></q-td>
</q-tr>
"""


class Ledger:
    """A table that is shown anew in place: rows that stay keep their place, focus and selection.

    Args:
        columns: from left to right.
        nothing: what stands there while it has no rows.
    """

    def __init__(self, columns: Sequence[Column], nothing: str) -> None:
        self.table = ui.table(
            columns=[
                {
                    "name": each.name,
                    "label": each.label,
                    "kind": each.kind,
                    "align": "right" if each.kind == "number" else "left",
                }
                for each in columns
            ],
            rows=[],
            row_key="key",
        ).classes("ledger")
        self.table.props('flat dense hide-pagination :rows-per-page-options="[0]"')
        self.table.add_slot("body", _BODY)
        self.table.set_visibility(False)
        self._nothing = nothing
        self._empty = empty("Loading …")  # nobody should take what is not read yet for what is not there
        self._shown: list[Row] | None = None

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; each has a `key`, perhaps `classes`, and a list of cells under each column's name."""
        shown = list(rows)
        if shown == self._shown:
            return
        self._shown = shown
        self.table.rows = shown
        self.table.set_visibility(bool(shown))
        self._empty.set_text(self._nothing)
        self._empty.set_visibility(not shown)


async def newest_first(
    service: Service, ledger: Ledger, question: Callable[[int], Any], row: Callable[[Any], Row]
) -> None:
    """Show the newest rows, as they come, and more of them on demand.

    Args:
        service: the console.
        ledger: the table.
        question: a number → so many of the newest.
        row: makes a row of the table of each.
    """
    limit = _FIRST_ROWS
    more = button("Show more")

    async def show() -> None:
        found = await ask(question, limit + 1)
        ledger.show([row(each) for each in found[:limit]])
        more.set_visibility(len(found) > limit and limit < _MOST_ROWS)

    async def show_more() -> None:
        nonlocal limit
        limit = min(limit + _MORE_ROWS, _MOST_ROWS)
        await show()

    more.on_click(show_more)
    await live(service, show)


def cell(said: str, *, href: str = "", tone: str = "", title: str = "") -> list[Cell]:
    """A cell with one piece of text; none where it is blank."""
    return [piece(said, href=href, tone=tone, title=title)] if said else []


def piece(said: str, *, href: str = "", tone: str = "", title: str = "") -> Cell:
    """A piece of a cell: text, a link, or a mark."""
    made: Cell = {"text": said}
    made.update({name: value for name, value in (("href", href), ("tone", tone), ("title", title)) if value})
    return made


def marked(word: str, tone: str = "") -> Cell:
    """A word with a colour, in a cell."""
    return {"text": word, "tone": f"mark {tone or word.replace(' ', '-')}"}


def spark(values: Sequence[int], said: str, at: float = -1.0) -> Cell:
    """A small curve.

    Args:
        values: from left to right.
        said: the same in words.
        at: where a mark stands, from 0 to 1.
    """
    most, last = max([*values, 1]), max(len(values) - 1, 1)
    points = " ".join(f"{100 * place / last:.1f},{21 - 20 * value / most:.1f}" for place, value in enumerate(values))
    return {"text": said, "points": points, "at": 100 * at}


def share(part: float, said: str) -> Cell:
    """A bar, from 0 to 1."""
    return {"text": said, "share": round(100 * min(max(part, 0.0), 1.0), 1)}


def rules_in(rule_ids: Iterable[str], most: int = 3) -> list[Cell]:
    """Rule ids as links."""
    found = [*rule_ids]
    cells = [piece(rule_id, href=addresses.rule(rule_id)) for rule_id in found[:most]]
    return [*cells, piece(f"+{len(found) - most}", tone="muted")] if len(found) > most else cells
