"""What differs between decisions: as a table, as JSON, and as a report of one HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.console import words
from worker.diff import KINDS, Diff, Difference, FindingChange, Kind, RuleSum, Sum

_STYLES: Mapping[Kind, str] = {
    "newly flagged": "red",
    "newly cleared": "green",
    "newly dead letter": "magenta",
    "no longer dead letter": "cyan",
    "reasons changed": "yellow",
}


# ---- JSON


def json_report(found: Diff) -> bytes:
    """Everything, every claim included, in one object."""
    content = {
        "before": found.before,
        "after": found.after,
        "compared": _sum(found.compared),
        "unchanged": found.unchanged,
        "different": len(found.differences),
        "only_before": _sum(found.only_before),
        "only_after": _sum(found.only_after),
        "kinds": {kind: _sum(each) for kind, each in found.kinds.items()},
        "payers": {
            payer: {kind: _sum(each) for kind, each in kinds.items()} for payer, kinds in sorted(found.payers.items())
        },
        "rules": {rule_id: _rule(each) for rule_id, each in sorted(found.rules.items())},
        "would_flag": {
            "claims": _sum(found.would_flag_any),
            "rules": {rule_id: _sum(each) for rule_id, each in sorted(found.would_flag.items())},
        },
        "claims": [_claim(each) for each in found.differences],
    }
    return to_json(content) + b"\n"


def _sum(of: Sum) -> dict[str, Any]:
    return {"claims": of.claims, "charge_amount": _dollars(of.cents)}


def _dollars(cents: int | None) -> str | None:
    return None if cents is None else f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _rule(of: RuleSum) -> dict[str, Any]:
    return {
        "name": of.name,
        "findings": dict(sorted(of.changes.items())),
        "newly_flagged": _sum(of.newly_flagged),
        "newly_cleared": _sum(of.newly_cleared),
    }


def _claim(of: Difference) -> dict[str, Any]:
    return {
        **of._asdict(),
        "charge": _dollars(of.charge),
        "changes": [{"change": each.kind, **each._asdict()} for each in of.changes],
    }


def html_report(found: Diff, most: int) -> bytes:
    return b""


def show(found: Diff, console: Console, most: int) -> None:
    pass
