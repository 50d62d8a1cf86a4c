"""What if: a claim decided on the spot with the installed rules; nothing is published, nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

from nicegui import ui

from rules import ClaimError
from rules.engine.examples import as_json, claim_content
from worker.codec import published
from worker.console import addresses, what_if, words
from worker.console.layout import (
    ask,
    button,
    empty,
    frame,
    heading,
    link,
    mark,
    page,
    query,
    tag,
    text,
)
from worker.console.records import read_record
from worker.console.service import Service
from worker.console.views import ClaimView
from worker.kafka import KafkaProblemError

Content = Mapping[str, Any]


def add(service: Service) -> None:
    """Make the page known."""

    @page("/what-if")
    async def what_if_page() -> None:
        event_id = query().get("claim", "")
        with frame(service, "What if", "/what-if"):
            page = _Page(service)
            original, problem = None, ""
            if event_id:
                try:
                    original, page.received = await _claim_of(service, event_id)
                except (ClaimError, KafkaProblemError) as error:
                    problem = f"That claim can't be had: {error}"
            await page.build(original, event_id, problem)


async def _claim_of(service: Service, event_id: str) -> tuple[bytes, date | None]:
    """The claim event of a flagged claim, from its record, and the receipt date that it was judged with."""
    view: ClaimView | None = await ask(service.projection.claim, event_id)
    if view is None:
        raise ClaimError("claim", "not held", "the event id of a flagged claim")
    record = await ask(read_record, service.settings, view.place)
    claim = published(record.value or b"", record.headers).claim
    received = view.decision.get("received_date")
    return claim, date.fromisoformat(received) if received else None


class _Page:
    """One visitor's claim.

    Attributes:
        original: a flagged claim's event, whose member stays here; None for one that was pasted.
        received: the receipt date of a claim that names none itself; None for today.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._original: bytes | None = None
        self.received: date | None = None

    async def build(self, original: bytes | None, event_id: str, problem: str) -> None:
        self._original = original
        with tag("div").classes("head"):
            heading("What if", 1)
            if original is not None:
                link(f"from {event_id}", f"/flagged/{quote(event_id, safe='')}").classes("id")
            text("decided here, with the installed rules; nothing is published or kept", "muted")
        if problem:
            text(problem, "banner").props('role="alert"')
        shown = what_if.shown(original) if original is not None else ""
        with tag("div").classes("grid two"):
            with tag("section").classes("panel"):
                heading("The claim event")
                said = (
                    "Who the member and the patient are is not shown; the decision takes it into account."
                    if original is not None
                    else "Paste a claim event as JSON, or begin with an example. Best without the member's name."
                )
                text(said, "muted small").style("margin-bottom: .6rem; display: block")
                with tag("div").classes("editor"):
                    self._editor = ui.codemirror(shown, language="JSON", line_wrapping=True)
                with tag("div").classes("row-of").style("margin-top: .8rem"):
                    self._button = button("Decide", self._decide, kind="solid")
                    if original is None:
                        button("Example", self._example)
                    else:
                        button("As it was", lambda: self._editor.set_value(shown), kind="bare")
            with tag("section").classes("panel").props('aria-live="polite"'):
                heading("What the rules say")
                self._said = tag("div")
                with self._said:
                    empty("Press Decide. The findings appear here, and what an edit makes of them.")
        if original is not None:
            await self._decide()

    def _example(self) -> None:
        self._original = as_json(claim_content()).encode()
        self._editor.set_value(what_if.shown(self._original))

    async def _decide(self) -> None:
        self._button.disable()
        try:
            result = await ask(self._compared, self._editor.value or "")
        except ClaimError as error:
            self._show_problem(str(error))
        else:
            self._show(result)
        finally:
            self._button.enable()

    def _compared(self, edited: str) -> what_if.Comparison:
        """In a thread: the decision, and for a flagged claim how it differs from the one on what it was."""
        raw = what_if.restored(self._original, edited) if self._original is not None else edited.encode()
        after = what_if.decide(raw, self._service.ruleset, self.received)
        before = (
            what_if.decide(self._original, self._service.ruleset, self.received) if self._original is not None else None
        )
        return what_if.compare(before, after)

    def _show_problem(self, said: str) -> None:
        self._said.clear()
        with self._said:
            text(f"No claim event: {said}", "banner error").props('role="alert"')

    def _show(self, result: what_if.Comparison) -> None:
        self._said.clear()
        with self._said:
            with tag("div").classes("row-of"):
                mark(result.after["disposition"])
                if result.before is not None and result.before["disposition"] != result.after["disposition"]:
                    text(f"instead of {result.before['disposition']}", "muted")
                text(f"by the rules of {result.after['payer']}", "muted")
            said = "Decided without the member's earlier claims: rules that look at those say nothing here."
            text(said, "muted small")
            _findings("Gone", result.gone, "good")
            _findings("New" if result.before is not None else "Findings", result.new, "error")
            _findings("Still there", result.same, "quiet")
            if not (result.new or result.same):
                empty("No finding.")
            _unevaluated(result.after.get("not_evaluated") or ())


def _findings(name: str, findings: Sequence[Content], tone: str) -> None:
    if not findings:
        return
    with tag("div").style("margin-top: 1rem"):
        with tag("div").classes("row-of"):
            heading(name, 3)
            mark(words.count(len(findings)), tone)
        for each in findings:
            with tag("div").classes("item"):
                with tag("div").classes("row-of"):
                    mark(each["severity"])
                    link(each["rule_id"], addresses.rule(each["rule_id"])).classes("id")
                    text(f"line {each['line']}" if each.get("line") else "claim", "muted small")
                text(str(each["message"]))
                text(str(each["remedy"]), "muted small")


def _unevaluated(some: Sequence[Content]) -> None:
    if not some:
        return
    with ui.expansion(f"Not evaluated, {len(some)}").classes("full").props("dense"):
        for each in some:
            with tag("div").classes("item"):
                text(f"{each['rule_id']}: {each['reason']}", "small")
