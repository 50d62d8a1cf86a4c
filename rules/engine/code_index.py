"""Which procedure codes and modifiers call for a rule, as far as it says so.

A rule names codes itself (`procedures`), or answers for them from tables (`concerns`); the answers are found by asking
about every code and modifier that the reference data or an example holds, beside those of the rule's own examples.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

from rules.engine.pack import compile_rule, named_strings
from rules.engine.rule import Concerns, Rule
from rules.engine.ruleset import RuleSet

_CODE = re.compile(r"\d{4}[0-9A-Z]|[A-Z]\d{4}")
_MODIFIER = re.compile(r"[0-9A-Z]{2}")
ANY = "any"
_NONE: frozenset[str] = frozenset()
_Ask = Callable[[frozenset[str], frozenset[str]], bool]


def codes_by_rule(ruleset: RuleSet) -> dict[str, frozenset[str]]:
    """Rule id → the procedure codes that call for it; none for a rule that looks at every claim."""
    known = _known(ruleset, _CODE)
    found = {rule.id: rule.procedures or _codes(rule, ruleset, known) for rule in ruleset.rules.values()}
    return {rule_id: _NONE if _nearly_all(codes, known) else codes for rule_id, codes in found.items()}


def modifiers_by_rule(ruleset: RuleSet) -> dict[str, frozenset[str]]:
    """Rule id → the modifiers that call for it, `ANY` if it is any; none for a rule that needs none."""
    known = _known(ruleset, _MODIFIER)
    found = {rule.id: _modifiers(rule, ruleset, known) for rule in ruleset.rules.values()}
    return {rule_id: frozenset({ANY}) if _nearly_all(codes, known) else codes for rule_id, codes in found.items()}


def _nearly_all(found: frozenset[str], known: frozenset[str]) -> bool:
    """Whether a rule asks for any code: what is shaped like one without being one may be left out."""
    return len(found) > 0.9 * len(known)


def _codes(rule: Rule, ruleset: RuleSet, known: frozenset[str]) -> frozenset[str]:
    found = set()
    for ask in _askers(rule, ruleset):
        for codes, modifiers in _combinations(rule):
            # A line rule is asked about one code at a time; another may need a second code, as pairs do.
            beside = [_NONE] if rule.scope == "line" else [_NONE, *(frozenset({code}) for code in sorted(codes))]
            for others in beside:
                if not ask(others or frozenset({""}), modifiers):
                    found |= {code for code in known if ask(frozenset({code}) | others, modifiers)}
    return frozenset(found)


def _modifiers(rule: Rule, ruleset: RuleSet, known: frozenset[str]) -> frozenset[str]:
    found = set()
    for ask in _askers(rule, ruleset):
        for codes, modifiers in _combinations(rule):
            # Some need two modifiers, as those that exclude each other do.
            beside = [_NONE, *(frozenset({modifier}) for modifier in sorted(modifiers))]
            for asked in [frozenset({code}) for code in sorted(codes)] if rule.scope == "line" else [codes]:
                for others in beside:
                    if not ask(asked, others):
                        found |= {modifier for modifier in known if ask(asked, frozenset({modifier}) | others)}
    return frozenset(found)


def _askers(rule: Rule, ruleset: RuleSet) -> Iterator[_Ask]:
    """The rule's answer with the latest values of each payer that has its own."""
    if rule.concerns is None:
        return
    seen: list[Mapping[str, Any]] = []
    for _, profile in sorted(ruleset.profiles.items()):
        compiled = compile_rule(rule, profile, ruleset.reference, date.max)
        if not isinstance(compiled, str) and compiled.policy not in seen:
            seen.append(compiled.policy)
            yield _asker(rule.concerns, compiled.policy)


def _asker(concerns: Concerns, policy: Mapping[str, Any]) -> _Ask:
    return lambda codes, modifiers: concerns(codes, modifiers, policy)


def _combinations(rule: Rule) -> list[tuple[frozenset[str], frozenset[str]]]:
    """The procedure codes and modifiers of each example that is flagged."""
    return [
        (
            frozenset(line.procedure_code for line in claim.lines),
            frozenset(modifier for line in claim.lines for modifier in line.modifiers),
        )
        for claim, _ in rule.flagged
    ]


def _known(ruleset: RuleSet, pattern: re.Pattern[str]) -> frozenset[str]:
    """Every text of the reference data and the examples that is shaped like a code."""
    texts: set[str] = set()
    policies = [*ruleset.reference.policies.values()]
    for profile in ruleset.profiles.values():
        policies += profile.policies.values()
    for policy in policies:
        for value in policy.values:
            texts.update(named_strings(value.value))
    for rule in ruleset.rules.values():
        for codes, modifiers in _combinations(rule):
            texts |= codes | modifiers
    return frozenset(text for text in texts if pattern.fullmatch(text))
