"""What our own reader makes of 837 text, and what it should."""

from __future__ import annotations

import io
from typing import Any

from rules import Claim
from rules.engine.examples import as_json
from tests.x12.carried import Content, carried
from worker.x12 import Event, read_events


def read_all(text: str) -> list[Event]:
    """The claim events of the text, every one of which can be read."""
    events = []
    for item in read_events(io.BytesIO(text.encode())):
        assert isinstance(item, Event), str(item)
        events.append(item)
    return events


def fields(claim: Claim) -> dict[str, Any]:
    """All that is said on the claim: not its id, nor where it stood."""
    content = claim.content("python")
    content.get("payer", {}).pop("key", None)
    return {name: value for name, value in content.items() if name not in {"claim_id", "x12"}}


def expected_fields(content: Content) -> dict[str, Any]:
    """The same of the claim whose content was written."""
    return fields(Claim.from_json(as_json(carried(content))))
