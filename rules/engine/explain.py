"""A rule in words: what, why, when, with which values, from which source; and what of it holds for a payer on a day."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from rules.engine.decision import Citation, FailureCategory, Severity
from rules.engine.pack import CompiledRule, compile_rule
from rules.engine.payer import ROOT, PayerProfile, RuleChange
from rules.engine.policy import DatedValue, Policy
from rules.engine.rule import ALWAYS, Rule
from rules.engine.ruleset import RuleSet

MEANT_CODE = "63685"
_MOST_CODES = 12
_NONE = "none"
_LONG = 160
_FROM_THE_START = date(1900, 1, 1)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ._/-]*")
_NUMBERED = re.compile(r"\d{5}")
_YAML_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def explain(rule: Rule, ruleset: RuleSet) -> str:
    """A rule as Markdown."""
    return "\n".join(_paragraphs(rule, ruleset))


def explain_for(rule: Rule, ruleset: RuleSet, day: date, payers: Iterable[str], claim_type: str | None = None) -> str:
    """What of a rule applies to services of one day, as Markdown; payers for which it is the same stand together.

    Args:
        rule: the rule.
        ruleset: the rules it is one of.
        day: the date of service.
        payers: keys of payer profiles.
        claim_type: professional or institutional; None for both.
    """
    alike: dict[str, list[str]] = {}
    for key in payers:
        alike.setdefault("\n".join(_application(rule, ruleset, key, day, claim_type)), []).append(key)
    parts = [f"# {rule.id} {rule.name}\n", f"{rule.summary}\n"]
    for text, keys in alike.items():
        named = "every payer" if len(keys) == len(ruleset.profiles) else ", ".join(keys)
        parts += [f"## Services of {day}: {named}\n", f"{text}\n"]
    cited = re.findall(r"`([a-z0-9.-]+)`", "\n".join(alike))
    keys = [*dict.fromkeys([*rule.citations, *(key for key in cited if key in ruleset.reference.citations)])]
    return "\n".join([*parts, *sources(keys, ruleset)])


# ---- the parts of it, which the pages use too


def _days(days: int) -> str:
    return f"{days} days before the first date of service" if days else "to claims of the same dates of service"


def facts(rule: Rule, ruleset: RuleSet) -> Iterator[tuple[str, str]]:
    """What is fixed about a rule, as name and text."""
    category = ruleset.reference.categories[rule.reason]
    yield "Severity", rule.severity.value + ("" if rule.status == "active" else f" ({rule.status})")
    yield "Applies to", _applies_to(rule, ruleset)
    yield "Dates of service", window(rule)
    yield "Field", f"`{rule.field}`" + _location(ruleset.reference.locations.get(rule.field, {}))
    yield "Failure category", f"{category.key} ({category.meaning})"
    yield "Likely denial", denial(category)
    yield "277CA status", ":".join((category.status_category, *category.status_codes[:1], *category.entities[:1]))
    yield "Remedy", rule.remedy
    if rule.reads_history:
        yield "Looks back", "as long as claims are held" if rule.lookback is None else _days(rule.lookback)
    if rule.requires:
        yield "Needs", f"`{rule.requires}` on the claim event; without it, not evaluated"
    if rule.base_layer:
        yield "Base layer", f"{rule.base_layer}; the finding names how sure it is that the payer follows it"


def denial(category: FailureCategory) -> str:
    """The likely denial of a failure category, with what is seen too."""
    rarc = f", RARC {', '.join(category.rarc)}" if category.rarc else ""
    return f"CARC {carc(category)}{rarc}, group {category.group}"


def carc(category: FailureCategory) -> str:
    """The likely adjustment reason code, with what is seen too."""
    others = category.alternative_carc
    return category.carc + (f" (also {', '.join(others)})" if others else "")


def window(rule: Rule) -> str:
    """The dates of service a rule speaks on."""
    start = "always" if rule.effective == ALWAYS else f"from {rule.effective}"
    return start if rule.terminated is None else f"{start} until before {rule.terminated}"


def since(value: DatedValue) -> str:
    """The first day of a value."""
    return "the start" if value.start <= _FROM_THE_START else str(value.start)


def payer_changes(rule_id: str, ruleset: RuleSet) -> list[tuple[str, RuleChange]]:
    """What payers change about a rule, at the payer that says so and not at those that inherit it."""
    return [
        (key, change)
        for key, profile in ruleset.profiles.items()
        if (change := profile.rules.get(rule_id)) is not None
        and all(ruleset.profiles[other].rules.get(rule_id) is not change for other in profile.ancestors[1:])
    ]


def change_words(change: RuleChange) -> str:
    """A change in a word."""
    return "silent" if change.silent or change.severity is None else change.severity.value


def own_policies(name: str, ruleset: RuleSet) -> list[tuple[str, Policy]]:
    """The payers' own values of a name, at the payer that states them and not at those that inherit them."""
    return [
        (key, policy)
        for key, profile in ruleset.profiles.items()
        if (policy := profile.policies.get(name)) is not None
        and all(ruleset.profiles[other].policies.get(name) is not policy for other in profile.ancestors[1:])
    ]


def payers_values(rule: Rule, ruleset: RuleSet) -> list[str]:
    """The values without which a rule does not speak, and which only some payers have."""
    everywhere = {*ruleset.reference.policies, *ruleset.profiles[ROOT].policies}
    return [name for name in rule.policy if name not in everywhere]


def sources(keys: Iterable[str], ruleset: RuleSet) -> Iterator[str]:
    """The sources as a section."""
    yield "## Sources\n"
    for key in keys:
        yield f"- {source(ruleset.reference.citations[key])}"


def source(citation: Citation) -> str:
    """A source in one line."""
    publisher = "" if citation.publisher == _NONE else f"{citation.publisher}: "
    edition = "" if citation.edition == _NONE else f" ({citation.edition})"
    url = "" if citation.url == _NONE else f" {citation.url}"
    return f"{publisher}{citation.title}{edition}.{url} (`{citation.key}`, {citation.seen})"


# ---- values


def short(value: Any) -> str:
    """A value in a few words; of a published table its size and, where it has one, the row of 63685."""
    if is_table(value):
        row = value.get(MEANT_CODE) or value.get((MEANT_CODE, None))
        return f"a table of {len(value)} rows" + (f"; {MEANT_CODE}: {row_words(row, but=MEANT_CODE)}" if row else "")
    if isinstance(value, frozenset):
        words = codes_words(value)
        if len(words) > _LONG:
            words = f"{codes_words(sorted(value)[:_MOST_CODES])} and {len(value) - _MOST_CODES} more"
        return words or "none"
    if value is None or value in ((), {}):
        return "none"
    if are_rows(value):
        return "; ".join(row_words(row) for row in value)
    return f"`{flow(value)}`"


def is_long(value: Any) -> bool:
    """Whether a value is better looked up where there is room for it."""
    return not is_table(value) and len(short(value)) > _LONG


def size(value: Any) -> str:
    """How much there is of a value."""
    parts = value.values() if isinstance(value, Mapping) else value
    count = 1 if isinstance(value, str) else sum(len(each) if are_rows(each) else 1 for each in parts)
    return f"{count} {'row' if count == 1 else 'rows'}"


def are_rows(value: Any) -> bool:
    """Whether a value is a list of rows, each with its columns."""
    return isinstance(value, tuple | list) and bool(value) and all(isinstance(each, Mapping) for each in value)


def codes_words(codes: Iterable[str]) -> str:
    """Codes in order, three or more procedure codes that follow one another as a range."""
    runs: list[list[str]] = []
    for code in sorted(codes):
        before = runs[-1][-1] if runs else ""
        if _NUMBERED.fullmatch(code) and _NUMBERED.fullmatch(before) and int(code) == int(before) + 1:
            runs[-1].append(code)
        else:
            runs.append([code])
    return ", ".join(
        f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run)  # noqa: PLR2004
        for run in runs
    )


def is_table(value: Any) -> bool:
    """Whether a value is a published table, whose rows hold their own key."""
    if not isinstance(value, Mapping) or not value:
        return False
    key, row = next(iter(value.items()))
    return isinstance(row, Mapping) and (key in row.values() if not isinstance(key, tuple) else True)


def row_words(row: Mapping[str, Any], but: str = "") -> str:
    """A row as its columns and cells, without the blank ones and the one that is known."""
    return ", ".join(f"{key} {plain(cell)}" for key, cell in row.items() if cell not in (None, "", (), but))


def plain(value: Any) -> str:
    """A value as it would be told; nothing for what is absent."""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple | list | frozenset) and all(isinstance(each, str | int) for each in value):
        return " ".join(map(str, sorted(value) if isinstance(value, frozenset) else value))
    return "" if value is None else flow(value)


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple | list | frozenset):
        return "[" + ", ".join(flow(each) for each in (sorted(value) if isinstance(value, frozenset) else value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        bare = _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS and value == value.strip()
        return value if bare else json.dumps(value, ensure_ascii=False)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


# ---- the whole of it


def _paragraphs(rule: Rule, ruleset: RuleSet) -> Iterator[str]:
    yield f"# {rule.id} {rule.name}\n"
    yield f"{rule.documentation}\n"
    for name, text in facts(rule, ruleset):
        yield f"- **{name}**: {text}"
    if rule.yields_to:
        yield f"- **Silent where there is a finding of**: {', '.join(sorted(rule.yields_to))}"
    changes = [f"{key} {change_words(change)} ({change.why})" for key, change in payer_changes(rule.id, ruleset)]
    if changes:
        yield f"- **Payers that differ**: {'; '.join(changes)}"
    for name in rule.policy:
        base = ruleset.reference.policies.get(name)
        for whose, policy in [*([("every payer", base)] if base else []), *own_policies(name, ruleset)]:
            yield f"\n## Value `{name}` ({whose})\n"
            yield f"{policy.title}; verified on {policy.verified_on}.\n"
            for value in policy.values:
                yield f"- from {since(value)}: " + (
                    "ended" if value.closed else f"{short(value.value)} ({_standing(value)})"
                )
    yield ""
    yield from sources(rule.citations, ruleset)


def _standing(value: DatedValue) -> str:
    data = f", data of {value.data_date}" if value.data_date else ""
    return f"{value.confidence.value}{data}; {', '.join(f'`{key}`' for key in value.citations)}"


def _applies_to(rule: Rule, ruleset: RuleSet) -> str:
    payers = ", ".join(sorted(rule.payers)) if rule.payers else "every payer"
    if needed := payers_values(rule, ruleset):
        payers = f"payers with {' and '.join(f'`{name}`' for name in needed)}"
    kinds = " and ".join(sorted(rule.claim_types, reverse=True))
    codes = f"; codes {codes_words(rule.procedures)}" if rule.procedures else ""
    return f"{payers}; {kinds} claims{codes}" + ("; voids too" if rule.on_void else "")


def _location(location: Mapping[str, str]) -> str:
    named = {"p837": "837P", "i837": "837I", "cms1500": "CMS-1500 item"}
    return "".join(f", {named[form]} {where}" for form, where in location.items())


# ---- what of it applies


def _application(rule: Rule, ruleset: RuleSet, payer: str, day: date, claim_type: str | None) -> Iterator[str]:
    profile = ruleset.profiles[payer]
    kinds = " and ".join(sorted(rule.claim_types, reverse=True))
    if claim_type is not None and claim_type not in rule.claim_types:
        yield f"It does not speak: it judges {kinds} claims only."
        return
    compiled = compile_rule(rule, profile, ruleset.reference, day)
    if isinstance(compiled, str):
        yield f"It does not speak: {compiled.replace(f' for {payer}', ' for this payer')}."
        return
    change = compiled.change
    held = {name: _in_force(name, profile, ruleset, day) for name in rule.policy}
    missing = [name for name, (_, policy, value) in held.items() if value is None]
    if change is not None and change.silent:
        yield f"Its findings are put aside: {change.why}{_by(change)}.\n"
    elif missing:
        yield f"It answers that it could not tell: no value of {' and '.join(missing)} is held for this date.\n"
    else:
        yield f"It speaks, on {claim_type or kinds} claims.\n"
    yield f"- **Severity**: {_severity(compiled, {name: value for name, (_, _, value) in held.items() if value})}"
    if rule.base_layer:
        yield f"- **Follows the CMS base layer** ({rule.base_layer}): {profile.follows(rule.base_layer, day)}"
    if compiled.effective_from or compiled.effective_to:
        first = compiled.effective_from or "the start"
        until = f" until before {compiled.effective_to}" if compiled.effective_to else " on"
        yield f"- **In force**: from {first}{until}"
    for name, (whose, policy, value) in held.items():
        if value is not None:
            following = next((f" until before {start}" for start in policy.boundaries if start > day), "")
            yield (
                f"- **Value `{name}`** ({whose}): {short(value.value)}; "
                f"from {since(value)}{following}, {_standing(value)}; verified on {policy.verified_on}"
            )


def _in_force(name: str, profile: PayerProfile, ruleset: RuleSet, day: date) -> tuple[str, Policy, DatedValue | None]:
    """The value of a compiled rule on a day, with its series and whose it is."""
    policy = profile.policies.get(name)
    if policy is None:
        policy = ruleset.reference.policies[name]
        return "every payer", policy, policy.on(day)
    # The remotest ancestor that holds the very same series is the one that states it.
    whose = [key for key in profile.ancestors if ruleset.profiles[key].policies.get(name) is policy]
    return (whose or [profile.key])[-1], policy, policy.on(day)


def _severity(compiled: CompiledRule, held: Mapping[str, DatedValue]) -> str:
    rule, change = compiled.rule, compiled.change
    severity = compiled.severity().value
    if rule.status == "preview":
        return f"{severity}: a preview never flags"
    if change is not None and change.severity is not None:
        return f"{severity} instead of {compiled.own_severity().value}: {change.why}{_by(change)}"
    if compiled.capped:
        doubtful = [f"{name} is {value.confidence.value}" for name, value in held.items() if _doubtful(value)]
        if rule.severity is Severity.ERROR:
            return f"{severity}; error by itself, lowered because {' and '.join(doubtful)}"
    return severity


def _doubtful(value: DatedValue) -> bool:
    return not value.confidence.allows_error


def _by(change: RuleChange) -> str:
    told = [part for part in (change.by, f"`{change.citation}`" if change.citation else "") if part]
    return f" ({', '.join(told)})" if told else ""
