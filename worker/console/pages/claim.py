"""A flagged claim: every finding, the decision's identity, and the way out of it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from rules import ClaimError, Severity
from worker.console import addresses, words
from worker.console.answer_277ca import masked_277ca
from worker.console.layout import (
    ask,
    button,
    empty,
    fact,
    frame,
    heading,
    link,
    live,
    mark,
    page,
    tag,
    text,
)
from worker.console.pages.release import ReleaseDialog
from worker.console.records import read_record
from worker.console.service import Service
from worker.console.views import ClaimView
from worker.kafka import KafkaProblemError

_ORDER = [each.value for each in Severity]
Content = Mapping[str, Any]


def add(service: Service) -> None:
    """Make the page known."""

    @page("/flagged/{event_id}")
    async def claim(event_id: str) -> None:
        view: ClaimView | None = await ask(service.projection.claim, event_id)
        if view is None:
            with frame(service, "Claim not found", "/flagged"):
                heading("No such claim is held", 1)
                days = words.counted(service.settings.console_days, "day")
                empty(
                    f"The console holds what was flagged within {days}. If it was flagged just now, reload in a moment."
                )
                link("Flagged claims", "/flagged")
            return
        with frame(service, f"Claim {view.row.claim_id}", "/flagged"):
            await _Page(service, view).build()


class _Page:
    """One claim."""

    def __init__(self, service: Service, view: ClaimView) -> None:
        self._service = service
        self._view = view
        self._event_id = view.row.event_id

    async def build(self) -> None:
        view, decision = self._view, self._view.decision
        findings = sorted(decision.get("findings") or (), key=lambda each: _ORDER.index(each["severity"]))
        with tag("div").classes("head"):
            heading(f"Claim {view.row.claim_id}", 1)
            self._state = mark(view.row.state)
            with tag("div").classes("end"):
                link("What if", f"/what-if?claim={addresses.claim(self._event_id).removeprefix('/flagged/')}").classes(
                    "as-button"
                )
                button("Decision as JSON", self._show_json)
                button("277CA", self._show_277ca)
                self._release = button("Release", self._open_release, kind="solid")
        self._later = text("", "banner").props('role="status"')
        self._show_state()
        _facts(view, findings)
        for severity, name in zip(_ORDER, ("Errors", "Warnings", "Notes"), strict=True):
            some = [each for each in findings if each["severity"] == severity]
            if some:
                heading(f"{name}, {len(some)}" if len(some) > 1 else name.removesuffix("s"))
                for each in some:
                    _finding(each)
        _others(decision)
        with tag("div").classes("grid two"):
            _history(decision)
            _identity(view)
        await live(self._service, self._refresh)

    async def _refresh(self) -> None:
        """Another decision about it, or a release, may have come."""
        view: ClaimView | None = await ask(self._service.projection.claim, self._event_id)
        if view is not None and (view.row, view.later) != (self._view.row, self._view.later):
            self._view = view
            self._show_state()

    def _show_state(self) -> None:
        row, later = self._view.row, self._view.later
        self._state.set_text(row.state)
        self._state.classes(replace=f"mark {row.state.replace(' ', '-')}")
        self._release.set_visibility(row.state == "open")
        said = ""
        if row.state == "monitored":
            said = (
                "Monitor mode: this claim would have been flagged, and has gone on to the cleared topic. It can't be"
                " released."
            )
        elif row.state == "released":
            said = "Somebody released this claim; the page of overrides says who, and why."
        elif later:
            event_id, at, disposition = later[-1]
            said = f"The claim was sent again, and {disposition} at {words.in_full(at)} (event {event_id})."
        self._later.set_text(said)
        self._later.set_visibility(bool(said))

    def _open_release(self) -> None:
        ReleaseDialog(self._service, self._view).open()

    def _show_json(self) -> None:
        said = json.dumps(self._view.decision, indent=2, ensure_ascii=False)
        _show_text("The decision", "As it was published; it says nothing of the member.", said, "decision.json")

    async def _show_277ca(self) -> None:
        try:
            record = await ask(read_record, self._service.settings, self._view.place)
            said = masked_277ca(record.value or b"", words.now())
        except (ClaimError, KafkaProblemError) as error:
            ui.notify(f"No 277CA: {error}", type="warning", multi_line=True, timeout=10_000)
            return
        note = (
            "The patient's name, numbers and account are hidden here. The real one is written by"
            " claimscrub acknowledge --topics."
        )
        _show_text("277CA", note, said, "277ca-masked.edi")


def _show_text(title: str, note: str, said: str, file_name: str) -> None:
    def copy() -> None:
        ui.clipboard.write(said)
        ui.notify("Copied")

    with ui.dialog() as dialog, tag("div").classes("dialog").style("width: 56rem"):
        heading(title)
        text(note, "muted")
        ui.html(f"<code>{html.escape(said)}</code>", tag="pre", sanitize=False).classes("code").props('tabindex="0"')
        with tag("div").classes("row-of"):
            button("Copy", copy, kind="solid")
            button("Download", lambda: ui.download.content(said, file_name))
            button("Close", dialog.close, kind="bare")
    dialog.on("hide", dialog.delete)
    dialog.open()


def _facts(view: ClaimView, findings: Sequence[Content]) -> None:
    row, decision = view.row, view.decision
    with tag("section").classes("panel").props('aria-label="The claim"'), tag("div").classes("facts"):
        fact("Charge", words.amount(row.amount))
        fact("Payer", row.payer)
        fact("Submitter", row.submitter)
        fact("Claim type", row.claim_type)
        fact("Billing NPI", row.billing_npi, classes="id")
        fact("Rendering NPI", ", ".join(view.rendering_npis), classes="id")
        fact("Dates of service", words.days(view.service_from, view.service_to))
        fact("Received", str(decision.get("received_date") or ""))
        fact("Procedure codes", ", ".join(row.codes), classes="id")
        fact("Flagged", words.in_full(row.at))
        fact("Contract", str(decision.get("contract") or ""))
        fact("Findings", words.counted(len(findings), "finding"))


def _finding(each: Content) -> None:
    with tag("article").classes(f"panel finding {each['severity']}"):
        with tag("div").classes("row-of"):
            mark(each["severity"])
            link(each["rule_id"], addresses.rule(each["rule_id"])).classes("id")
            text(str(each["title"]), "muted")
        text(str(each["message"]), "says sentence")
        text(str(each["remedy"]), "remedy")
        with tag("div").classes("facts"):
            fact("Where", f"service line {each['line']}" if each.get("line") else "the claim as a whole")
            fact("Field", str(each.get("field") or ""), classes="id")
            segment = f", segment {each['segment']} of the transaction" if each.get("segment") else ""
            fact("In the 837", f"{each.get('location') or ''}{segment}")
            fact("Likely denial", _denial(each))
            fact("Also seen", _alternatives(each))
            fact("277CA status", str(each.get("status") or ""), classes="id")
            fact("Category", str(each.get("category") or ""), classes="id")
            fact("In effect", _effective(each))
            change = each.get("change")
            if change:
                fact("Severity changed", f"{change['severity']} by itself; {change['why']} ({change['by']})")
        if each.get("citations"):
            with tag("div").classes("sources"):
                for source in each["citations"]:
                    _source(source)


def _source(source: Content) -> None:
    edition = f", {source['edition']}" if source.get("edition") else ""
    said = f"{source['publisher']}: {source['title']}{edition}"
    with tag("div"):
        if str(source.get("url", "")).startswith("https://"):
            link(said, source["url"], new_tab=True)
        else:
            text(said)


def _denial(each: Content) -> str:
    codes = (("CARC", "carc"), ("RARC", "rarc"), ("group", "group"))
    return ", ".join(f"{name} {each[key]}" for name, key in codes if each.get(key))


def _alternatives(each: Content) -> str:
    codes = (("CARC", "alternative_carc"), ("RARC", "alternative_rarc"))
    return ", ".join(f"{name} {' '.join(each[key])}" for name, key in codes if each.get(key))


def _effective(each: Content) -> str:
    first, until = each.get("effective_from"), each.get("effective_to")
    begin = f"for services from {first}" if first else "for services of any date"
    return f"{begin} until before {until}" if until else begin


def _others(decision: Content) -> None:
    """What could not be told, and what was put aside."""
    silenced = [
        (each, f"{each['message']} (would be {each['severity']}; {each['why']}, {each['by']})")
        for each in decision.get("silenced") or ()
    ]
    not_evaluated = [(each, str(each["reason"])) for each in decision.get("not_evaluated") or ()]
    for name, some in (("Not evaluated", not_evaluated), ("Silenced", silenced)):
        if not some:
            continue
        with tag("section").classes("panel"):
            heading(f"{name}, {len(some)}")
            for each, said in some:
                with tag("div").classes("item row-of"):
                    if each["rule_id"]:
                        link(each["rule_id"], addresses.rule(each["rule_id"])).classes("id")
                    text((f"line {each['line']}: " if each.get("line") else "") + said)


def _history(decision: Content) -> None:
    history = decision.get("history")
    with tag("section").classes("panel"):
        heading("History considered")
        if not history:
            text("None: no rule that looks at earlier claims was concerned.", "muted")
            return
        with tag("div").classes("facts"):
            fact("Earlier claims of the member", words.count(history["claims"]))
            fact("Held since", str(history.get("held_since") or "the first claim"))
            fact("Not known", str(history.get("not_known") or ""))


def _identity(view: ClaimView) -> None:
    decision = view.decision
    rule_set: Content = decision.get("rule_set") or {}
    with tag("section").classes("panel"):
        heading("Identity of the decision")
        with tag("div").classes("facts"):
            fact("Event", view.row.event_id, classes="id")
            fact(
                "Record",
                f"{view.place.topic}, partition {view.place.partition}, offset {view.place.offset}",
                classes="id",
            )
            fact("Rule set", str(rule_set.get("version") or ""))
            fact("Its digest", str(rule_set.get("digest") or ""), classes="id")
            fact("Digest of the claim event", str(decision.get("input_digest") or ""), classes="id")
            for name in sorted(view.headers):
                if not name.startswith(("ce_", "content-")):
                    fact(name, view.headers[name], classes="id")
