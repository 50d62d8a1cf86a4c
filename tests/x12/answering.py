"""Claims of 837 text, decided by the real rules or by hand, for the tests of what is written in answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from rules import RuleSet
from tests.x12.reading import read_all
from worker.pipeline import handle
from worker.x12.envelope import OutgoingFile, Written

AT = datetime(2026, 8, 11, 9, 30, tzinfo=UTC)
RECEIVED_MS = 1_786_300_000_000  # 2026-08-09
RULESET = RuleSet.load()
Envelope = dict[str, Any]


def decided(text: str) -> list[Envelope]:
    """What the cleared and flagged topics carry for the claims of the text."""
    values = [handle(event.raw, RULESET, RECEIVED_MS).value for event in read_all(text)]
    return [json.loads(value or b"") for value in values]


def cleared(text: str) -> list[Envelope]:
    """The same, with every claim cleared."""
    return [answered_with(envelope) for envelope in decided(text)]


def answered_with(envelope: Envelope, *findings: Envelope) -> Envelope:
    """The claim with these findings; cleared if there are none of severity error."""
    flagged = any(finding["severity"] == "error" for finding in findings)
    disposition = "flagged" if flagged else "cleared"
    return {**envelope, "decision": {**envelope["decision"], "disposition": disposition, "findings": list(findings)}}


def a_finding(status: str, line: int | None = None, **changes: Any) -> Envelope:
    """A finding as far as an acknowledgement looks at it."""
    fixed = {"rule_id": "UNT001", "severity": "error", "remedy": "Correct the units."}
    return {**fixed, "status": status, "line": line, **changes}


def only_file(written: Written) -> OutgoingFile:
    """The one file that was written, all claims being in it."""
    assert not written.errors
    (file,) = written.files
    return file


def text_of(written: Written) -> str:
    """The text of the one file that was written."""
    return only_file(written).content.decode()


def segments(text: str) -> list[str]:
    """The segments of text with the usual separators."""
    return text.split("~")[:-1]


def starting(text: str, *beginnings: str) -> list[str]:
    """Those of its segments that begin so."""
    return [segment for segment in segments(text) if segment.startswith(beginnings)]
