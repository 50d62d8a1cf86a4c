"""A rule in words: what, why, when, with which values, from which source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from rules.engine.policy import Policy
from rules.engine.rule import ALWAYS, Rule
from rules.engine.ruleset import RuleSet

_LARGE = 12


def explain(rule: Rule, ruleset: RuleSet) -> str:
    """A rule as Markdown."""
    return "\n".join(_paragraphs(rule, ruleset))


def _paragraphs(rule: Rule, ruleset: RuleSet) -> Iterator[str]:
    category = ruleset.reference.categories[rule.reason]
    yield f"# {rule.id} {rule.name}\n"
    yield f"{rule.documentation}\n"
    yield f"- **Severity**: {rule.severity.value}" + ("" if rule.status == "active" else f" ({rule.status})")
    yield f"- **Applies to**: {_applies_to(rule)}"
    yield f"- **Dates of service**: {_window(rule)}"
    yield f"- **Field**: `{rule.field}`" + _location(ruleset.reference.locations.get(rule.field, {}))
    yield f"- **Failure category**: {category.key} ({category.meaning})"
    yield (
        f"- **Likely denial**: CARC {_alternatives(category.carc, category.alternative_carc)}"
        + (f", RARC {', '.join(category.rarc)}" if category.rarc else "")
        + f", group {category.group}"
    )
    status = ":".join((category.status_category, *category.status_codes[:1]))
    yield f"- **277CA status**: {status}"
    yield f"- **Remedy**: {rule.remedy}"
    if rule.base_layer:
        yield f"- **Base layer**: {rule.base_layer}; the finding names how sure it is that the payer follows it"
    if rule.yields_to:
        yield f"- **Silent where there is a finding of**: {', '.join(sorted(rule.yields_to))}"
    changes = [
        f"{profile.key} {'silent' if change.silent else change.severity} ({change.why})"
        for profile in ruleset.profiles.values()
        if (change := profile.rules.get(rule.id)) is not None
    ]
    if changes:
        yield f"- **Payers that differ**: {'; '.join(changes)}"
    for name in rule.policy:
        yield from _values(name, ruleset)
    yield "\n## Sources\n"
    for key in rule.citations:
        citation = ruleset.reference.citations[key]
        named = f"{citation.publisher}: {citation.title} ({citation.edition})"
        yield f"- {named}. {citation.url} (`{key}`, {citation.seen})"


def _applies_to(rule: Rule) -> str:
    payers = ", ".join(sorted(rule.payers)) if rule.payers else "every payer"
    kinds = " and ".join(sorted(rule.claim_types, reverse=True))
    codes = (
        f"; codes {', '.join(sorted(rule.procedures))}" if rule.procedures and len(rule.procedures) <= _LARGE else ""
    )
    return f"{payers}; {kinds} claims{codes}" + ("; voids too" if rule.on_void else "")


def _window(rule: Rule) -> str:
    start = "always" if rule.effective == ALWAYS else f"from {rule.effective}"
    return start if rule.terminated is None else f"{start} until before {rule.terminated}"


def _location(location: Mapping[str, str]) -> str:
    named = {"p837": "837P", "i837": "837I", "cms1500": "CMS-1500 item"}
    return "".join(f", {named[form]} {where}" for form, where in location.items())


def _alternatives(first: str, others: tuple[str, ...]) -> str:
    return first + (f" (also {', '.join(others)})" if others else "")


def _values(name: str, ruleset: RuleSet) -> Iterator[str]:
    base = ruleset.reference.policies.get(name)
    policies: list[tuple[str, Policy]] = [("every payer", base)] if base else []
    policies += [
        (profile.key, profile.policies[name])
        for profile in ruleset.profiles.values()
        # A profile that inherits the value of another says nothing new.
        if name in profile.policies
        and all(profile.policies[name] is not ruleset.profiles[key].policies.get(name) for key in profile.ancestors[1:])
    ]
    for whose, policy in policies:
        yield f"\n## Value `{name}` ({whose})\n"
        yield f"{policy.title}; verified on {policy.verified_on}.\n"
        for value in policy.values:
            since = "from the start" if value.start <= date(1900, 1, 1) else f"from {value.start}"
            if value.closed:
                yield f"- {since}: ended"
                continue
            data = f", data of {value.data_date}" if value.data_date else ""
            sources = ", ".join(f"`{key}`" for key in value.citations)
            yield f"- {since}: {_shown(value.value)} ({value.confidence.value}{data}; {sources})"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a table of {len(value)} rows"
    if isinstance(value, frozenset):
        codes = sorted(value)
        return " ".join(codes[:_LARGE]) + (f" and {len(codes) - _LARGE} more" if len(codes) > _LARGE else "")
    if isinstance(value, tuple):
        return "; ".join(_row(each) for each in value)
    return f"`{value}`"


def _row(row: Any) -> str:
    return (
        ", ".join(f"{key} {cell}" for key, cell in row.items() if cell is not None)
        if isinstance(row, dict)
        else str(row)
    )
