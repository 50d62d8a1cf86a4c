"""What differs between decisions: as tables and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.console import words
from worker.diff import KINDS, Diff, Difference, FindingChange, Kind, RuleSum, Sum

NO_PAYER = "no payer"
_DIGEST_SHOWN = 15
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


# ---- in a terminal


def show(found: Diff, console: Console, most: int) -> None:
    """Print tables: what changes in all, by rule and by payer, and the claims that matter most.

    Args:
        found: what is different.
        console: where to.
        most: claims to list.
    """
    console.print(f"before  {said_of(found.before)}\nafter   {said_of(found.after)}", highlight=False, soft_wrap=True)
    table = _table("", "claims", "charges")
    for kind, each in found.kinds.items():
        table.add_row(Text(kind, _STYLES[kind] if each.claims else "dim"), *_figures(each))
    table.add_row("unchanged", words.count(found.unchanged), "")
    for name, each in (("only before", found.only_before), ("only after", found.only_after)):
        if each.claims:
            table.add_row(name, *_figures(each))
    if found.would_flag_any.claims:
        table.add_row("would be flagged by previews", *_figures(found.would_flag_any))
    console.print(table)
    _show_sums(found, console)
    _list(found, console, most)


def _show_sums(found: Diff, console: Console) -> None:
    if found.rules:
        table = _table("rule", "name", "newly flagged", "charges", "newly cleared", "charges", "findings", right=(2, 5))
        for rule_id, of_rule in by_claims(found):
            changes = ", ".join(f"{words.count(count)} {kind}" for kind, count in sorted(of_rule.changes.items()))
            flagged, cleared = _figures(of_rule.newly_flagged), _figures(of_rule.newly_cleared)
            table.add_row(rule_id, of_rule.name, *flagged, *cleared, changes)
        console.print(table)
    if found.payers:
        table = _table("payer", *KINDS, right=(1, len(KINDS)))
        for payer, kinds in sorted(found.payers.items()):
            table.add_row(payer or NO_PAYER, *(words.count(each.claims) for each in kinds.values()))
        console.print(table)
    if found.would_flag:
        table = _table("preview", "would flag", "charges")
        for rule_id, each in sorted(found.would_flag.items()):
            table.add_row(rule_id, *_figures(each))
        console.print(table)


def _list(found: Diff, console: Console, most: int) -> None:
    listed = found.largest(most)
    for each in listed:
        charge = "" if each.charge is None else words.amount(each.charge)
        line = Text.assemble(
            (each.kind, _STYLES[each.kind]), "  ", (each.claim_id or each.event_id, "bold"), f"  {each.payer}  {charge}"
        )
        console.print(line, soft_wrap=True, highlight=False)
        for said in [*map(in_words, each.changes), *([each.reason] if each.reason else [])]:
            console.print(Text(f"    {said}"), soft_wrap=True, highlight=False)
    left_out = len(found.differences) - len(listed)
    if left_out:
        console.print(f"{words.count(left_out)} more claims differ; all of them: --json", highlight=False)


def said_of(about: Mapping[str, Any]) -> str:
    """What one side is, in a line."""
    if "published" in about:
        return f"as published on {', '.join(about['published'])}"
    parts = [f"rule set {about['rule_set']['version']} {about['rule_set']['digest'][:_DIGEST_SHOWN]}"]
    if about["without"]:
        parts.append(f"without {', '.join(about['without'])}")
    if about["from"] or about["to"]:
        parts.append(f"{about['topic']} from {about['from'] or 'the beginning'} to {about['to'] or 'its end'}")
    return ", ".join([*parts, f"replayed {about['began']}"])


def in_words(change: FindingChange) -> str:
    """What became of a finding, in a line."""
    where = f"line {change.line}, {change.field}" if change.line else change.field
    severity = f"{change.before} \N{RIGHTWARDS ARROW} {change.after}" if change.kind == "severity" else ""
    said = severity or f"{change.after or change.before} {change.kind}"
    return f"{change.rule_id} {said}: {change.message} ({where})"


def by_claims(found: Diff) -> list[tuple[str, RuleSum]]:
    """The rules, those first that move the most claims."""

    def order(item: tuple[str, RuleSum]) -> tuple[int, int, str]:
        rule_id, each = item
        return -each.newly_flagged.claims - each.newly_cleared.claims, -each.changes.total(), rule_id

    return sorted(found.rules.items(), key=order)


def _table(*columns: str, right: tuple[int, int] = (1, 2)) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if right[0] <= number <= right[1] else "left")
    return table


def _figures(of: Sum) -> tuple[str, str]:
    return words.count(of.claims), words.amount(of.cents)
