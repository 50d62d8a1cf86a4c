"""Dead letters: what is not a claim, why, and its second try. What it holds is never shown."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from nicegui import ui

from rules import ClaimError
from worker.console import repair, words
from worker.console.layout import (
    Column,
    Ledger,
    Row,
    ask,
    button,
    cell,
    empty,
    fact,
    frame,
    heading,
    link,
    live,
    mark,
    marked,
    newest_first,
    page,
    piece,
    remember_user,
    tag,
    text,
    user_name,
)
from worker.console.records import read_record
from worker.console.service import Service
from worker.console.views import DeadLetterRow, Place
from worker.kafka import KafkaProblemError

_FIELD, _PASTED, _AS_IT_IS = "field", "pasted", "as it is"


def add(service: Service) -> None:
    """Make the pages known."""

    @page("/dead-letters")
    async def dead_letters() -> None:
        with frame(service, "Dead letters", "/dead-letters"):
            with tag("div").classes("head"):
                heading("Dead letters", 1)
                text("events that are no claims, or were refused; newest first", "muted")
            with tag("section").classes("panel flush"):
                ledger = Ledger(
                    [
                        Column("at", "Came (UTC)", "time"),
                        Column("reason", "What is wrong", "wrap"),
                        Column("claim", "Claim", "id"),
                        Column("origin", "From", "id"),
                        Column("size", "Size", "number"),
                        Column("outcome", "Second try"),
                    ],
                    "No dead letters: every event could be read. Should one come, it appears here with its reason.",
                )
            await newest_first(service, ledger, service.projection.dead_letters, _row)

    @page("/dead-letters/{event_id}")
    async def dead_letter(event_id: str) -> None:
        found: DeadLetterRow | None = await ask(service.projection.dead_letter, event_id)
        with frame(service, "Dead letter", "/dead-letters"):
            if found is None:
                heading("No such dead letter is held", 1)
                empty("It may be older than what the console holds.")
                link("Dead letters", "/dead-letters")
                return
            await _Page(service, found).build()


def _row(each: DeadLetterRow) -> Row:
    origin: list[Any] = []
    if each.origin is not None:
        origin = [
            piece(f"{each.origin.partition} / {each.origin.offset}", title="partition / offset"),
            piece(each.origin.topic, tone="below"),
        ]
    return {
        "key": each.event_id,
        "classes": "links",
        "at": cell(
            words.moment(each.at),
            href=f"/dead-letters/{quote(each.event_id, safe='')}",
            tone="whole",
            title=words.in_full(each.at),
        ),
        "reason": cell(each.reason),
        "claim": cell(each.claim_id),
        "origin": origin,
        "size": cell(words.size(each.size)),
        "outcome": _outcome(each),
    }


def _outcome(each: DeadLetterRow) -> list[Any]:
    if not each.resubmitted:
        return [piece("none yet", tone="muted")]
    href = f"/flagged/{quote(each.resubmitted, safe='')}" if each.outcome == "flagged" else ""
    return [{**marked(each.outcome), **({"href": href} if href else {})}]


class _Page:
    """One dead letter, and its repair."""

    def __init__(self, service: Service, found: DeadLetterRow) -> None:
        self._service = service
        self._found = found
        self._path = repair.suggestion(found.reason)

    async def build(self) -> None:
        found = self._found
        with tag("div").classes("head"):
            heading("Dead letter", 1)
            self._outcome = mark("", "quiet")
        self._again: ui.label | None = None
        self._show_outcome()
        with tag("section").classes("panel finding error"):
            text(found.reason, "says")
            with tag("div").classes("facts"):
                fact("Came", words.in_full(found.at))
                fact("Claim", found.claim_id, classes="id")
                fact("Size", words.size(found.size))
                fact("From", _place(found.origin))
                fact("Record", _place(found.place), classes="id")
                fact("Event", found.event_id, classes="id")
                fact("Error", found.error_class, classes="id")
        hint = repair.advice(found.origin, self._service.settings)
        with tag("section").classes("panel"):
            heading("Try again")
            if hint:
                text(hint)
                return
            with tag("div").classes("form"):
                self._again = text("It was sent again already; once more makes a second claim of it.", "banner")
                self._form()
            self._show_outcome()
        await live(self._service, self._refresh)

    def _form(self) -> None:
        ways = {
            **({_FIELD: f"Put another value into {self._path}"} if self._path else {}),
            _PASTED: "Put another event in its place",
            _AS_IT_IS: "Send it once more as it is, after what refused it was mended",
        }
        name, is_vouched = user_name()
        self._way = ui.radio(ways, value=next(iter(ways)), on_change=self._turn)
        self._value = ui.input(f"Value of {self._path}", placeholder='2, "0131", or text').props("outlined dense")
        self._pasted = ui.textarea("The claim event, as JSON").props('outlined dense input-style="min-height: 10rem"')
        self._pasted.classes("id")
        self._user = ui.input("Your name", value=name).props('outlined dense maxlength="100"')
        if is_vouched:
            self._user.props("readonly")
        text(
            "What the event holds is read by the console's server, and stays there: it is shown nowhere.", "muted small"
        )
        self._wrong = text("", "banner error").props('role="alert"')
        self._wrong.set_visibility(False)
        with tag("div").classes("row-of"):
            self._button = button("Send again", self._send, kind="solid")
        self._turn()

    def _turn(self) -> None:
        self._value.set_visibility(self._way.value == _FIELD)
        self._pasted.set_visibility(self._way.value == _PASTED)

    async def _refresh(self) -> None:
        found = await ask(self._service.projection.dead_letter, self._found.event_id)
        if found is not None:
            self._found = found
            self._show_outcome()

    def _show_outcome(self) -> None:
        outcome = self._found.outcome
        self._outcome.set_text(f"sent again: {outcome}" if outcome else "not sent again")
        self._outcome.classes(replace=f"mark {outcome or 'quiet'}")
        if self._again is not None:
            self._again.set_visibility(bool(outcome))

    async def _send(self) -> None:
        user = (self._user.value or "").strip()
        if not user:
            self._complain("Write your name: it goes with the event.")
            return
        self._button.disable()
        try:
            claim_id = await ask(self._resubmit, user)
        except (ClaimError, KafkaProblemError) as error:
            self._complain(f"Not sent: {error}")
        else:
            remember_user(user)
            self._wrong.set_visibility(False)
            ui.notify(f"Claim {claim_id} is sent again; what becomes of it shows above.", type="positive")
        finally:
            self._button.enable()

    def _resubmit(self, user: str) -> str:
        """In a thread; what the event holds never leaves this function."""
        service, place = self._service, self._found.place
        way = self._way.value
        if way == _PASTED:
            raw = (self._pasted.value or "").encode()
        else:
            raw = read_record(service.settings, place).value or b""
            if way == _FIELD and self._path:
                raw = repair.with_field(raw, self._path, _as_json(self._value.value or ""))
        claim_id = repair.resubmit(service.settings, service.members, place, raw, user)
        service.metrics.resubmitted()
        return claim_id

    def _complain(self, problem: str) -> None:
        self._wrong.set_text(problem)
        self._wrong.set_visibility(True)


def _as_json(typed: str) -> str:
    """What was typed as a JSON value: itself if it is one, else a string."""
    try:
        json.loads(typed)
    except ValueError:
        return json.dumps(typed)
    return typed


def _place(place: Place | None) -> str:
    return f"{place.topic}, partition {place.partition}, offset {place.offset}" if place else ""
