"""The dialog in which a flagged claim is released: by whom, why, and typed once more what."""

from __future__ import annotations

from nicegui import ui

from rules import ClaimError
from worker.console import words
from worker.console.layout import ask, button, heading, remember_user, tag, text, user_name
from worker.console.repair import release
from worker.console.service import Service
from worker.console.views import ClaimView
from worker.kafka import KafkaProblemError

_LEAST_REASON, _MOST_REASON, _MOST_USER = 10, 1_000, 100


class ReleaseDialog:
    """Asks for what a release needs, and publishes it."""

    def __init__(self, service: Service, view: ClaimView) -> None:
        self._service = service
        self._view = view
        name, is_vouched = user_name()
        row = view.row
        with ui.dialog() as self._dialog, tag("div").classes("dialog"):
            heading(f"Release claim {row.claim_id}")
            text(
                f"{words.amount(row.amount)} to {row.payer} goes on as cleared, with its findings and with what you"
                " write here in its decision. It can't be taken back."
            )
            self._user = ui.input("Your name", value=name).props(f'outlined dense maxlength="{_MOST_USER}"')
            if is_vouched:
                self._user.props("readonly")
            self._reason = ui.textarea("Reason").props(f'outlined dense autogrow maxlength="{_MOST_REASON}" counter')
            text("Kept for good and read by many: no name, number or birth date of a member.", "muted small")
            self._typed = ui.input(f"Type {row.claim_id} to confirm").props('outlined dense autocomplete="off"')
            self._wrong = text("", "banner error").props('role="alert"')
            self._wrong.set_visibility(False)
            with tag("div").classes("row-of"):
                self._button = button("Release the claim", self._release, kind="solid")
                button("Cancel", self._dialog.close, kind="bare")
        self._dialog.on("hide", self._dialog.delete)

    def open(self) -> None:
        self._dialog.open()

    async def _release(self) -> None:
        user, reason = (self._user.value or "").strip(), (self._reason.value or "").strip()
        problem = ""
        if not user:
            problem = "Write your name."
        elif len(reason) < _LEAST_REASON:
            problem = f"Write the reason, in at least {_LEAST_REASON} characters."
        elif (self._typed.value or "").strip() != self._view.row.claim_id:
            problem = f"Type the claim's id, {self._view.row.claim_id}, to confirm."
        if problem:
            self._complain(problem)
            return
        self._button.disable()
        try:
            await ask(release, self._service.settings, self._view.place, user, reason)
        except (ClaimError, KafkaProblemError) as error:
            self._button.enable()
            self._complain(f"Not released: {error}")
            return
        self._service.metrics.released()
        remember_user(user)
        self._dialog.close()
        ui.notify("The release is published; the claim's state changes when a worker has taken it.", type="positive")

    def _complain(self, problem: str) -> None:
        self._wrong.set_text(problem)
        self._wrong.set_visibility(True)
