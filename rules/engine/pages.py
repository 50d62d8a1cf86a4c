"""The generated documentation, as file name → Markdown: a page for each rule, indexes, and the reference data.

Nothing here depends on the time or the place of generation, so that a page changes only with what it tells about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from rules.engine.code_index import codes_by_rule, modifiers_by_rule
from rules.engine.contrast import contrast
from rules.engine.decision import Finding
from rules.engine.examples import (
    HELD_SINCE,
    Example,
    a_claim,
    claim_content,
    earlier,
    facility_claim_content,
    with_history,
)
from rules.engine.explain import (
    are_rows,
    carc,
    change_words,
    codes_words,
    facts,
    flow,
    is_long,
    is_table,
    own_policies,
    payer_changes,
    payers_values,
    plain,
    row_words,
    short,
    since,
    size,
    source,
)
from rules.engine.history import NO_HISTORY, PriorClaim, PriorLine
from rules.engine.payer import BASE_LAYERS, ROOT, PayerProfile, RuleChange
from rules.engine.policy import DatedValue, Policy
from rules.engine.rule import FAMILIES, Rule
from rules.engine.ruleset import RuleSet

MARK = "<!-- Written by `make docs` from the rules and their data: change those, not this page. -->"
_MOST_ROWS = 40
_FIRST_ROWS = 5
_MOST_COLUMNS = 10
_MOST_CELL = 90
_RULE_IDS = re.compile(r"\b([A-Z]{3})(\d{3})(?:\s*(?:to|-|–)\s*(?:[A-Z]{3})?(\d{3})\b)?")  # noqa: RUF001
_OWN_STATEMENT = {"own": "its own", "off": "does not follow it"}

_ABOUT_RULES = """\
Only an **error** flags a claim; warnings and information travel with a cleared one. A rule's severity is lowered by
itself where a value it rests on is not confirmed."""
_ABOUT_CODES = """\
- [By procedure code](#by-procedure-code)
- [By modifier](#by-modifier)
- [By failure category](#by-failure-category), with its CARC, RARC and 277CA status"""
_ABOUT_PAYERS = """\
What holds for every payer is in the [reference data](reference.md). Here is what one payer does differently. A payer
inherits from the one it extends."""
_ABOUT_VALUES = """\
What the rules know, since when, from which source, and how sure it is. A value that is not `confirmed` (or from the
biller's `contract`) makes the findings that rest on it warnings: `confirmed-dated` was once confirmed, `secondary`
comes from others than the publisher, `unverified` from no document, `conflict` from sources that differ, and `presumed`
is a data set applied to dates it is not known to hold for."""
_ABOUT_SOURCES = """\
How a source was seen: `official` the publisher's own page or file, `official-copy` its text in a copy, `secondary`
described by a third party, `quoted` known from a quotation, `none` no document."""
_ABOUT_CLEAN_CLAIMS = """\
The examples of the rules differ from one of these in what is shown with them; for another payer, payer and member
number differ too. So do the claims on file of the member: of each stand the account, what has become of it, the lines
and what else differs. Everybody in them is invented."""


def pages(ruleset: RuleSet, changelog: str = "") -> dict[str, str]:
    """Every page of `docs/rules`.

    Args:
        ruleset: the rules, without contract overlays.
        changelog: the text of CHANGELOG.md, for the history of each rule.
    """
    history = _history(changelog)
    made = {page_name(rule): _rule_page(rule, ruleset, history) for rule in ruleset.rules.values()}
    made["README.md"] = _index(ruleset)
    made["by-code.md"] = _by_code(ruleset)
    made["by-payer.md"] = _by_payer(ruleset)
    made["reference.md"] = _reference(ruleset)
    made["clean-claims.md"] = _clean_claims()
    return {name: f"{MARK}\n\n{text.strip()}\n" for name, text in sorted(made.items())}


def page_name(rule: Rule) -> str:
    """The file of a rule's page, named as the rule's own."""
    return f"{rule.id.lower()}_{rule.name.replace('-', '_')}.md"


def anchor(heading: str) -> str:
    """The anchor that a heading gets on GitHub and in most Markdown viewers."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# ---- a rule


def _rule_page(rule: Rule, ruleset: RuleSet, history: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    parts = [f"# {rule.id} {rule.name}\n", f"{rule.documentation}\n"]
    parts += [*_table(("", ""), ((f"**{name}**", text) for name, text in _facts(rule, ruleset))), ""]
    for kind, examples in (("Flagged", rule.flagged), ("Clean", rule.clean)):
        parts.append(f"## {kind}\n")
        for example in examples:
            parts += _example(rule, example, ruleset)
    parts += _values(rule, ruleset)
    parts += _payers_that_differ(rule, ruleset)
    parts += ["## Sources\n", *(f"- {_linked_source(key, ruleset)}" for key in rule.citations), ""]
    if history.get(rule.id):
        parts += ["## Changes\n", *(f"- {version}: {text}" for version, text in history[rule.id]), ""]
    file = f"rules/{rule.family}/{page_name(rule).removesuffix('.md')}.py"
    cases = f"tests/rules/cases/{rule.id.lower()}.yaml"
    parts.append(
        f"The rule is [{file}](../../{file}), its boundary cases are [{cases}](../../{cases}). "
        "[All rules](README.md), [by code](by-code.md), [by payer](by-payer.md), [reference data](reference.md)."
    )
    return "\n".join(parts)


def _facts(rule: Rule, ruleset: RuleSet) -> Iterator[tuple[str, str]]:
    for name, text in facts(rule, ruleset):
        linked = f"[{rule.reason}](by-code.md#by-failure-category)"
        yield name, text.replace(rule.reason, linked, 1) if name == "Failure category" else text
    special = sorted(rule.yields_to & set(ruleset.rules))
    if special:
        yield "Silent where the line has", _rule_links(special, ruleset, named=True)
    general = [each.id for each in ruleset.rules.values() if rule.id in each.yields_to]
    if general:
        yield "Silences on its line", _rule_links(general, ruleset, named=True)


def _example(rule: Rule, example: Example, ruleset: RuleSet) -> Iterator[str]:
    claim, history = example
    kind = "professional" if claim.is_professional else "institutional"
    clean = f"[clean {kind} claim](clean-claims.md#{kind})"
    payer = f" of {claim.payer.key}" if claim.payer.key else " without a payer key"
    differences = contrast(claim)
    if differences:
        yield f"The {clean}{payer}, but for\n"
        yield f"```yaml\n{differences}\n```\n"
    else:
        yield f"The {clean}{payer} as it is.\n"
    if example.on_file:
        yield "On file of the member:\n"
        yield from (f"- {_on_file(each)}" for each in example.on_file)
        yield ""
    elif history != NO_HISTORY:
        since_day = (
            "" if history.held_since in (None, HELD_SINCE) else f", and claims are held since {history.held_since}"
        )
        yield f"No earlier claim of the member is on file{since_day}.\n"
    decision = ruleset.evaluate(*example)
    yield from (f"{_finding(finding)}\n" for finding in decision.findings if finding.rule_id == rule.id)
    reasons = [each.reason for each in decision.not_evaluated if each.rule_id == rule.id]
    yield from (f"> **not evaluated**: {reason}\n" for reason in reasons)


def _on_file(claim: PriorClaim) -> str:
    """An earlier claim in words: what it bills and what became of it, and in what else it differs from a clean one."""
    clean = _clean_prior(claim.claim_type)
    said = [
        f"claim {claim.claim_id}",
        claim.claim_type,
        f"account {claim.patient_control_number}",
        f"frequency {claim.frequency}" if claim.frequency != clean.frequency else "",
        f"original reference {claim.original_reference_number}" if claim.original_reference_number else "",
        f"received on {claim.received_date}" if claim.received_date else "",
        claim.status_in_words,
        f"payer's number {claim.payer_claim_control_number}" if claim.payer_claim_control_number else "",
        f"type of bill {claim.type_of_bill}" if claim.type_of_bill[:3] != clean.type_of_bill[:3] else "",
        *_other(
            ("biller", clean.billing_npi, claim.billing_npi),
            ("tax number", clean.tax_number, claim.tax_number),
            ("biller's taxonomy", clean.billing_taxonomy, claim.billing_taxonomy),
            ("birth date", clean.patient.birth_date, claim.patient.birth_date),
            ("first name", clean.patient.first_name, claim.patient.first_name),
        ),
    ]
    lines = "; ".join(_line_on_file(line, clean.lines[0]) for line in claim.lines)
    words = ", ".join(filter(None, said))
    return words[0].upper() + words[1:] + (f": {lines}" if lines else "")


def _line_on_file(line: PriorLine, clean: PriorLine) -> str:
    units = "" if line.units is None else f"{line.units:f} unit{'' if line.units == 1 else 's'}"
    said = [
        f"{' '.join([line.procedure_code, *line.modifiers])} on {line.service_date or 'no date'}",
        f"place of service {line.place_of_service}" if line.place_of_service else "",
        units,
        f"{line.charge_amount:f}" if line.charge_amount is not None else "",
        f"tracking or authorization number {line.prior_authorization_number}"
        if line.prior_authorization_number
        else "",
        *_other(
            ("rendering provider", clean.rendering_npi, line.rendering_npi),
            ("specialty", clean.specialty, line.specialty if line.rendering_npi else clean.specialty),
        ),
    ]
    return ", ".join(filter(None, said))


def _other(*fields: tuple[str, str, str]) -> Iterator[str]:
    for name, usual, here in fields:
        if here != usual:
            yield f"{name} {here}" if here else f"no {name}"


@cache
def _clean_prior(claim_type: str) -> PriorClaim:
    """A clean claim of that type, as it is on file."""
    return with_history(a_claim(), earlier(facility=claim_type != "professional")).on_file[0]


def _finding(finding: Finding) -> str:
    where = (f"line {finding.line}, " if finding.line else "") + f"`{finding.path}`"
    codes = [f"CARC {finding.carc}" if finding.carc else "", f"RARC {finding.rarc}" if finding.rarc else ""]
    codes += [f"group {finding.group}" if finding.group else "", f"277CA {finding.status}" if finding.status else ""]
    place = f" ({finding.location})" if finding.location else ""
    return "\n".join(
        (
            f"> **{finding.severity.value}**: {_escaped(finding.message)}<br>",
            f"> {where}{place}; {', '.join(filter(None, codes))}<br>",
            f"> {finding.remedy}",
        )
    )


def _values(rule: Rule, ruleset: RuleSet) -> Iterator[str]:
    if not rule.policy:
        return
    yield "## Values\n"
    for name in rule.policy:
        base = ruleset.reference.policies.get(name)
        own = own_policies(name, ruleset)
        yield f"**[`{name}`](reference.md#{anchor(name)})**: {_title(name, ruleset)}\n"
        series = [("every payer", base)] if base else []
        rows = [row for whose, policy in [*series, *own] for row in _value_rows(whose, policy, ruleset)]
        yield from _table(("Payer", "From", "Value", "Confidence", "Data of", "Verified on", "Sources"), rows)
        yield ""


def _value_rows(whose: str, policy: Policy, ruleset: RuleSet) -> Iterator[Sequence[str]]:
    own = whose in ruleset.profiles
    payer = _payer_link(whose) if own else whose
    place = f"by-payer.md#{_own_anchor(whose, policy.name)}" if own else f"reference.md#{anchor(policy.name)}"
    for value in policy.values:
        long = is_long(value.value)
        cell = "ended" if value.closed else f"[{size(value.value)}]({place})" if long else short(value.value)
        sure = "" if value.closed else value.confidence.value
        cited = " ".join(_source_link(key) for key in value.citations)
        yield payer, since(value), cell, sure, str(value.data_date or ""), str(policy.verified_on), cited


def _payers_that_differ(rule: Rule, ruleset: RuleSet) -> Iterator[str]:
    changes = payer_changes(rule.id, ruleset)
    if not changes and not rule.base_layer:
        return
    yield "## Payers that differ\n"
    if changes:
        rows = [(_payer_link(key), *_change_cells(change)) for key, change in changes]
        yield from _table(("Payer", "Change", "Why", "Source"), rows)
        yield ""
    if rule.base_layer:
        yield f"How sure it is that a payer follows this part of the CMS base layer ({rule.base_layer}):\n"
        by_word: dict[str, list[str]] = {}
        for key, profile in sorted(ruleset.profiles.items()):
            by_word.setdefault(profile.follows(rule.base_layer), []).append(key)
        for word, keys in sorted(by_word.items()):
            listed = "any other payer" if ROOT in keys else ", ".join(_payer_link(key) for key in keys)
            yield f"- {_OWN_STATEMENT.get(word, word)}: {listed}"
        yield ""


def _history(changelog: str) -> dict[str, list[tuple[str, str]]]:
    """Rule id → version and entry, of the entries under a heading Rules that name it."""
    entries: list[tuple[str, str]] = []
    version, rules_heading = "", False
    for line in changelog.splitlines():
        if line.startswith("## "):
            version, rules_heading = line.removeprefix("## ").strip(), False
        elif line.startswith("### "):
            rules_heading = line.removeprefix("### ").strip() == "Rules"
        elif rules_heading and line.startswith("- "):
            entries.append((version, line.removeprefix("- ").strip()))
        elif rules_heading and line.strip() and entries:
            entries[-1] = (version, f"{entries[-1][1]} {line.strip()}")
    history: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        for rule_id in dict.fromkeys(_named(entry[1])):
            history.setdefault(rule_id, []).append(entry)
    return history


def _named(text: str) -> Iterator[str]:
    for prefix, first, last in _RULE_IDS.findall(text):
        for number in range(int(first), int(last or first) + 1):
            yield f"{prefix}{number:03d}"


# ---- indexes


def _index(ruleset: RuleSet) -> str:
    parts = [
        f"# The rules\n\n{len(ruleset.rules)} rules. {_ABOUT_RULES}\n",
        "- [By procedure code, modifier and likely denial](by-code.md)",
        "- [By payer](by-payer.md)",
        "- [The reference data, with dates and sources](reference.md)",
        "- [The clean claims the examples build on](clean-claims.md)",
        "",
    ]
    for prefix, family in FAMILIES.items():
        rows = [_index_row(rule, ruleset) for rule in ruleset.rules.values() if rule.family == family]
        parts.append(f"## {family.capitalize()} ({prefix})\n")
        parts += [*_table(("Rule", "Name", "Finds", "Severity", "Likely denial", "For"), rows), ""]
    return "\n".join(parts)


def _index_row(rule: Rule, ruleset: RuleSet) -> Sequence[str]:
    category = ruleset.reference.categories[rule.reason]
    payers = ", ".join(_payer_link(key) for key in sorted(rule.payers)) if rule.payers else "every payer"
    if needed := payers_values(rule, ruleset):
        payers = f"[payers with {' and '.join(needed)}](reference.md#{anchor(needed[0])})"
    kinds = "" if len(rule.claim_types) > 1 else f"; {next(iter(rule.claim_types))} only"
    severity = rule.severity.value if rule.status == "active" else f"{rule.severity.value} ({rule.status})"
    name = f"[{rule.name}]({page_name(rule)})"
    return rule.id, name, rule.title, severity, f"CARC {category.carc}" if category.carc else "", payers + kinds


def _by_code(ruleset: RuleSet) -> str:
    codes, modifiers = codes_by_rule(ruleset), modifiers_by_rule(ruleset)
    every = [rule_id for rule_id in ruleset.rules if not codes[rule_id] and not modifiers[rule_id]]
    parts = [
        f"# By code\n\n{_ABOUT_CODES}\n",
        "## By procedure code\n",
        "Rules that are about certain procedure codes: one of them has to be on the line or the claim.\n",
        f"Every claim is looked at by {_rule_links(every, ruleset)}.\n",
    ]
    for heading, by_rule in (("Codes", codes), ("Modifier", modifiers)):
        if heading == "Modifier":
            parts += ["", "## By modifier\n", "Rules that look at a claim only where it has one of these modifiers.\n"]
        parts += _table((heading, "Rules"), _by_rules(by_rule, ruleset))
    parts += ["", "## By failure category\n", "The likely denial, before adjudication; never a payer's statement.\n"]
    parts += _table(("CARC", "RARC", "Group", "277CA", "Category", "Meaning", "Rules"), _category_rows(ruleset))
    return "\n".join(parts)


def _by_rules(by_rule: Mapping[str, frozenset[str]], ruleset: RuleSet) -> Iterator[Sequence[str]]:
    """Codes and the rules about them; codes with the same rules in one row."""
    rules_of: dict[str, list[str]] = {}
    for rule_id, codes in by_rule.items():
        for code in sorted(codes):
            rules_of.setdefault(code, []).append(rule_id)
    alike: dict[tuple[str, ...], list[str]] = {}
    for code in sorted(rules_of):
        alike.setdefault(tuple(rules_of[code]), []).append(code)
    for rule_ids, same in alike.items():
        yield codes_words(same), _rule_links(rule_ids, ruleset)


def _category_rows(ruleset: RuleSet) -> Iterator[Sequence[str]]:
    rules_of: dict[str, list[str]] = {}
    for rule in ruleset.rules.values():
        found = (ruleset.evaluate(*example).findings for example in rule.flagged)
        others = sorted({each.category for findings in found for each in findings if each.rule_id == rule.id})
        for key in dict.fromkeys([rule.reason, *others]):
            rules_of.setdefault(key, []).append(rule.id)
    used = [category for key, category in ruleset.reference.categories.items() if key in rules_of]
    for category in sorted(used, key=lambda each: (each.carc.zfill(3), each.key)):
        status = ":".join(filter(None, (category.status_category, "/".join(category.status_codes))))
        links = _rule_links(rules_of[category.key], ruleset)
        yield carc(category), ", ".join(category.rarc), category.group, status, category.key, category.meaning, links


def _by_payer(ruleset: RuleSet) -> str:
    profiles = sorted(ruleset.profiles.items())
    only = {key: _rules_only_for(key, ruleset) for key, _ in profiles}
    own = {key: _own_values(key, ruleset) for key, _ in profiles}
    changes: dict[str, list[tuple[str, RuleChange]]] = {key: [] for key, _ in profiles}
    for rule_id in ruleset.rules:
        for key, change in payer_changes(rule_id, ruleset):
            changes[key].append((rule_id, change))
    rows = [
        (
            _payer_link(key),
            profile.name,
            profile.line,
            _payer_link(profile.ancestors[1]) if profile.ancestors[1:] else "",
            *(str(len(held)) if held else "" for held in (only[key], changes[key], own[key])),
        )
        for key, profile in profiles
    ]
    parts = [
        f"# By payer\n\n{_ABOUT_PAYERS}\n",
        f"All extend {_payer_link(ROOT)}, which is also any payer that is not known.\n",
        *_table(("Payer", "Name", "Line", "Extends", "Rules of its own", "Changes", "Own values"), rows),
        "",
    ]
    for key, profile in profiles:
        parts += _payer_section(profile, only[key], changes[key], own[key], ruleset)
    return "\n".join(parts)


def _payer_section(
    profile: PayerProfile,
    only: Sequence[str],
    changes: Sequence[tuple[str, Any]],
    own: Sequence[Policy],
    ruleset: RuleSet,
) -> Iterator[str]:
    yield f"## {profile.key}\n"
    extends = f", extends {_payer_link(profile.ancestors[1])}" if profile.ancestors[1:] else ""
    yield f"{profile.name} ({profile.line}){extends}.\n"
    follows = [(layer, profile.follows(layer)) for layer in sorted(BASE_LAYERS)]
    words = ", ".join(f"{layer} {_OWN_STATEMENT.get(word, word)}" for layer, word in follows)
    yield f"- How sure it is that it follows the CMS base layer: {words}"
    if only:
        yield f"- Rules that do not speak for every payer, but for it: {_rule_links(only, ruleset, named=True)}"
    yield ""
    if changes:
        rows = [(_rule_links([rule_id], ruleset, named=True), *_change_cells(change)) for rule_id, change in changes]
        yield from _table(("Rule", "Change", "Why", "Source"), rows)
        yield ""
    for policy in own:
        yield f"### {profile.key} `{policy.name}`\n"
        yield f"{policy.title}.{_used_by(policy.name, ruleset)}\n"
        yield from _dated(policy)


def _rules_only_for(key: str, ruleset: RuleSet) -> list[str]:
    """Rules that name the payer, or that rest on a value which only some payers, and this one among them, have."""
    ancestors = ruleset.profiles[key].ancestors
    return [
        rule.id
        for rule in ruleset.rules.values()
        if key in (rule.payers or ())
        or (
            (rule.payers is None or not rule.payers.isdisjoint(ancestors))
            and any(key in dict(own_policies(name, ruleset)) for name in payers_values(rule, ruleset))
        )
    ]


def _own_values(key: str, ruleset: RuleSet) -> list[Policy]:
    names = ruleset.profiles[key].policies
    return [policy for name in sorted(names) for owner, policy in own_policies(name, ruleset) if owner == key]


# ---- reference data


def _reference(ruleset: RuleSet) -> str:
    policies = ruleset.reference.policies
    names = sorted({*policies, *(name for each in ruleset.profiles.values() for name in each.policies)})
    parts = [f"# Reference data\n\n{_ABOUT_VALUES}\n"]
    rows = [
        (f"[`{name}`](#{anchor(name)})", _title(name, ruleset), _rule_links(_users(name, ruleset), ruleset))
        for name in names
    ]
    parts += [*_table(("Value", "What it is", "Rules"), rows), ""]
    for name in names:
        parts += [f"## `{name}`\n", f"{_title(name, ruleset)}.{_used_by(name, ruleset)}\n"]
        if name in policies:
            parts += _dated(policies[name])
        own = [f"[{key}](by-payer.md#{_own_anchor(key, name)})" for key, _ in own_policies(name, ruleset)]
        if own:
            words = "Payers with values of their own" if name in policies else "Only these payers have it"
            parts.append(f"{words}: {', '.join(own)}.\n")
    parts.append(f"## Sources\n\n{_ABOUT_SOURCES}\n")
    parts += [f'- <a id="{key}"></a>{source(each)}' for key, each in sorted(ruleset.reference.citations.items())]
    return "\n".join(parts)


def _dated(policy: Policy) -> Iterator[str]:
    yield f"Verified on {policy.verified_on}.\n"
    shown: list[DatedValue] = []
    for value in policy.values:
        if value.closed:
            yield f"**From {value.start}** the value is closed.\n"
            continue
        cited = ", ".join(_source_link(key) for key in value.citations)
        dated = f", data of {value.data_date}" if value.data_date else ""
        yield f"**From {since(value)}**: {value.confidence.value}{dated}; {cited}\n"
        same = next((since(other) for other in shown if other.value == value.value), None)
        if same is not None:
            yield f"The same as from {same} on.\n"
            continue
        shown.append(value)
        yield from _full(value.value)
        yield ""


def _full(value: Any) -> Iterator[str]:
    """A value as a reader wants to see it: whole, but for the rows of a large table."""
    if isinstance(value, frozenset):
        yield codes_words(value) or "none"
    elif value is None or value in ((), {}):
        yield "none"
    elif is_table(value):
        yield from _rows([*value.values()])
    elif are_rows(value):
        yield from _rows(value)
    elif isinstance(value, Mapping):
        rows = [(key, each if are_rows(each) else (each,)) for key, each in value.items()]
        if all(are_rows(each) for _, each in rows):
            yield from _rows([{"": key, **row} for key, each in rows for row in each])
        else:
            yield from _table(("", ""), ((str(key), plain(each)) for key, each in value.items()))
    elif isinstance(value, tuple):
        yield plain(value)
    else:
        yield f"`{flow(value)}`"


def _rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    shown = rows if len(rows) <= _MOST_ROWS else rows[:_FIRST_ROWS]
    if len(shown) < len(rows):
        yield f"{len(rows)} rows, which begin with\n"
    columns = [*dict.fromkeys(key for row in shown for key in row)]
    if len(columns) <= _MOST_COLUMNS and all(len(plain(each)) <= _MOST_CELL for row in shown for each in row.values()):
        yield from _table(columns, ([plain(row.get(column)) for column in columns] for row in shown))
    else:
        yield from (f"- {_escaped(row_words(row))}" for row in shown)


def _title(name: str, ruleset: RuleSet) -> str:
    policy = ruleset.reference.policies.get(name) or own_policies(name, ruleset)[0][1]
    return policy.title


def _used_by(name: str, ruleset: RuleSet) -> str:
    users = _users(name, ruleset)
    return f" Used by {_rule_links(users, ruleset)}." if users else ""


def _users(name: str, ruleset: RuleSet) -> list[str]:
    return [rule.id for rule in ruleset.rules.values() if name in rule.policy]


# ---- the clean claims


def _clean_claims() -> str:
    parts = [f"# The clean claims\n\n{_ABOUT_CLEAN_CLAIMS}\n"]
    for kind, content in (("Professional", claim_content()), ("Institutional", facility_claim_content())):
        held = {key: value for key, value in content.items() if value not in (None, "")}
        parts += [f"## {kind}\n", f"```json\n{json.dumps(held, indent=2)}\n```\n"]
    return "\n".join(parts)


# ---- links and tables


def _rule_links(rule_ids: Iterable[str], ruleset: RuleSet, *, named: bool = False) -> str:
    return ", ".join(
        f"[{rule_id}]({page_name(ruleset.rules[rule_id])})" + (f" {ruleset.rules[rule_id].name}" if named else "")
        for rule_id in rule_ids
    )


def _payer_link(key: str) -> str:
    return f"[{key}](by-payer.md#{anchor(key)})"


def _source_link(key: str) -> str:
    return f"[{key}](reference.md#{key})"


def _linked_source(key: str, ruleset: RuleSet) -> str:
    return source(ruleset.reference.citations[key]).replace(f"`{key}`", _source_link(key))


def _own_anchor(key: str, name: str) -> str:
    return anchor(f"{key} {name}")


def _change_cells(change: Any) -> Sequence[str]:
    return change_words(change), change.why, _source_link(change.citation)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_escaped(cell).replace('|', chr(92) + '|') for cell in row)} |"


def _escaped(text: str) -> str:
    return " ".join(text.split())
