"""Rules: what there is, and how often each spoke."""

from __future__ import annotations

import re
from datetime import date

from nicegui import ui

from rules import RuleSet
from rules.engine.explain import explain
from rules.engine.rule import ALWAYS, Rule
from worker.console import addresses, words
from worker.console.layout import (
    Cell,
    Column,
    Ledger,
    Row,
    ask,
    cell,
    empty,
    fact,
    frame,
    heading,
    link,
    live,
    mark,
    marked,
    page,
    tag,
    text,
)
from worker.console.service import Service
from worker.console.views import RuleHits

_SECONDS = 3.0
_ADDRESS = re.compile(r"(?<![<(\[])https://[^\s<>()]+")


def add(service: Service) -> None:
    """Make the pages known."""
    ruleset = service.ruleset
    changed = {each.id: last_change(each, ruleset) for each in ruleset.rules.values()}

    @page("/rules")
    async def catalogue() -> None:
        with frame(service, "Rules", "/rules"):
            with tag("div").classes("head"):
                heading("Rules", 1)
                text(f"{words.counted(len(ruleset.rules), 'rule')}, version {ruleset.version}", "muted")
                with tag("div").classes("end"):
                    search = ui.input(placeholder="id, name, words").props(
                        'outlined dense clearable type="search" debounce="200" aria-label="Search the rules"'
                    )
            with tag("section").classes("panel flush"):
                ledger = Ledger(
                    [
                        Column("id", "Rule", "id"),
                        Column("title", "Finds", "wrap"),
                        Column("severity", "Severity"),
                        Column("flagged", "Flagged", "number"),
                        Column("noted", "Noted", "number"),
                        Column("would", "Would have flagged", "number"),
                        Column("amount", "Charges", "number"),
                        Column("last", "Last spoke (UTC)", "time"),
                        Column("changed", "Last change", "time"),
                    ],
                    "No rule has these words. Search for an id such as UNT001, or for a part of its name.",
                )

            async def show() -> None:
                hits: dict[str, RuleHits] = await ask(service.projection.rule_hits)
                words_of = (search.value or "").lower().split()
                chosen = [each for each in ruleset.rules.values() if all(word in _words(each) for word in words_of)]
                chosen.sort(key=lambda each: (-_spoken(hits.get(each.id)), each.id))
                ledger.show([_row(each, hits.get(each.id), changed[each.id]) for each in chosen])

            search.on_value_change(show)
            await live(service, show, _SECONDS)

    @page("/rules/{rule_id}")
    async def one_rule(rule_id: str) -> None:
        rule = ruleset.rules.get(rule_id.upper())
        with frame(service, rule_id.upper() if rule else "Rule", "/rules"):
            if rule is None:
                heading("There is no such rule here", 1)
                with tag("p"):
                    link("All rules", "/rules")
                empty("It may have been retired, or come with another version of the rules.")
                return
            hits = (await ask(service.projection.rule_hits)).get(rule.id)
            with tag("div").classes("head"):
                heading(f"{rule.id} {rule.title}", 1)
                mark(rule.severity.value)
            with tag("section").classes("panel"), tag("div").classes("facts"):
                fact("Status", rule.status)
                fact("Claims flagged", words.count(hits.flagged) if hits else "0")
                fact("Noted only", words.count(hits.noted) if hits else "0")
                if rule.status == "preview" or (hits and hits.would_have_flagged):
                    fact("Would have flagged", words.count(hits.would_have_flagged) if hits else "0")
                fact("Charges", words.amount(hits.amount) if hits else words.amount(0))
                fact("Last spoke", words.in_full(hits.last_at) if hits else words.NOTHING)
                fact("Last change", words.day(changed[rule.id]))
                with tag("div").classes("fact"):
                    text("Claims", "fact-name")
                    link("flagged by it", addresses.flagged(rule_id=rule.id))
            with tag("section").classes("panel"):
                # Its first line is the heading above; an underscore is part of a name here, and never emphasis.
                told = _ADDRESS.sub(r"<\g<0>>", explain(rule, ruleset).split("\n", 1)[1])
                ui.markdown(told, extras=["fenced-code-blocks", "tables", "code-friendly"]).classes("rule")


def last_change(rule: Rule, ruleset: RuleSet) -> date | None:
    """The last day up to today on which the rule, or a value that it uses, became another; None if it always was so."""
    today = words.now().date()
    days = {each for each in (rule.effective, rule.terminated) if each is not None and each != ALWAYS}
    for name in rule.policy:
        series = [
            ruleset.reference.policies.get(name),
            *(each.policies.get(name) for each in ruleset.profiles.values()),
        ]
        days |= {day for policy in series if policy is not None for day in policy.boundaries}
    return max((day for day in days if date.min < day <= today), default=None)


def _words(rule: Rule) -> str:
    return f"{rule.id} {rule.name} {rule.title} {rule.family} {rule.reason} {rule.status}".lower()


def _spoken(hits: RuleHits | None) -> int:
    return hits.flagged + hits.noted + hits.would_have_flagged if hits else 0


def _row(rule: Rule, hits: RuleHits | None, changed: date | None) -> Row:
    status = [] if rule.status == "active" else [marked(rule.status)]
    # A nought is left out: what is there stands out, and a telephone's cards stay short.
    return {
        "key": rule.id,
        "classes": "links",
        "id": cell(rule.id, href=addresses.rule(rule.id), tone="whole"),
        "title": [{"text": rule.title, "title": rule.name}, *status],
        "severity": [marked(rule.severity.value)],
        "flagged": _count(hits.flagged if hits else 0),
        "noted": _count(hits.noted if hits else 0),
        "would": _count(hits.would_have_flagged if hits else 0),
        "amount": cell(words.amount(hits.amount)) if hits and hits.amount else [],
        "last": cell(words.moment(hits.last_at), title=words.in_full(hits.last_at)) if hits else [],
        "changed": cell(words.day(changed)) if changed else [],
    }


def _count(number: int) -> list[Cell]:
    return cell(words.count(number)) if number else []
