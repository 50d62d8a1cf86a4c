"""Whatever is read of damaged 837 text can be answered and goes out again as it was."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.x12.answering import AT, RECEIVED_MS, RULESET
from worker.pipeline import handle
from worker.x12 import Event, read_events, read_with_ends
from worker.x12.export_837 import export
from worker.x12.response_277ca import acknowledgements
from worker.x12.response_999 import syntax_acknowledgements

_TEXTS = [path.read_bytes() for path in sorted((Path(__file__).parent / "samples").glob("*.837"))]
_PROFESSIONAL = (Path(__file__).parent / "samples" / "professional.837").read_bytes()
_HEADER = _PROFESSIONAL[_PROFESSIONAL.index(b"BHT*") : _PROFESSIONAL.index(b"HL*")]
_PIECES = [
    b"~",
    b"*",
    b":",
    b"^",
    b"\xff",
    b"~ST*837*1~",
    b"~HL*1**20*1~",
    b"~CLM*A*1***11:B:1~",
    b"~SBR*P~",
    b"~LX*1~",
]


def _own(claim: dict[str, Any]) -> str:
    x12 = claim["x12"]
    return str([x12[name] and x12[name]["segments"] for name in ("billing_provider", "subscriber", "patient", "claim")])


@settings(max_examples=200)
@given(
    text=st.sampled_from(_TEXTS),
    damages=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), st.sampled_from(_PIECES)), max_size=4),
)
@example(text=_PROFESSIONAL.replace(_HEADER, b""), damages=[])
@example(text=_PROFESSIONAL.replace(b"XX*1234567893", b"XX*\xff"), damages=[])
def test_what_is_read_of_damaged_text_can_be_answered(text: bytes, damages: list[tuple[float, int, bytes]]) -> None:
    """Nothing that is read makes a writer fail; every claim is in an answer; an exported claim is read as it was."""
    content = bytearray(text)
    for place, removed, piece in damages:
        position = int(place * len(content))
        content[position : position + removed] = piece
    items = list(read_with_ends(io.BytesIO(bytes(content))))
    values = [handle(item.raw, RULESET, RECEIVED_MS).value for item in items if isinstance(item, Event)]
    envelopes = [json.loads(value or b"") for value in values]
    syntax_acknowledgements(items, at=AT, control_number=1)
    acknowledged = acknowledgements(envelopes, at=AT, control_number=1)
    exported = export(envelopes, at=AT, control_number=1)
    again = [item for file in exported.files for item in read_events(io.BytesIO(file.content))]

    assert acknowledged.errors == exported.errors == ()
    assert sum(file.claims for file in acknowledged.files) + acknowledged.repeated == len(envelopes)
    assert {_own(json.loads(item.raw)) if isinstance(item, Event) else str(item) for item in again} == {
        _own(envelope["claim"]) for envelope in envelopes if envelope["decision"]["disposition"] == "cleared"
    }
