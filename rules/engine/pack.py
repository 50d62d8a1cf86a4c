"""What runs for one payer at one time: rules with everything about them resolved, and which of them a claim meets.

For each payer, claim type and epoch the rules that apply are compiled once, with their values, severity and wording,
into a `RulePack`. For each combination of codes, modifiers and a few more that claims come with, the pack makes a
`Plan` once: the checks that can find something on such a claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

from rules.engine.claim import Claim
from rules.engine.decision import Citation, NotEvaluated, Severity, Unevaluated
from rules.engine.payer import PayerProfile, RuleChange
from rules.engine.policy import DatedValue, Policy
from rules.engine.reference import Reference
from rules.engine.rule import PARAMETERS, Check, Rule, Scope

_MISSING: Final[Mapping[str, str]] = {
    "eligibility": "no eligibility answer is on file",
    "provider_records": "no registry record of a provider is on file",
}
_MOST_PLANS: Final = 1_024
_MOST_GROUPS: Final = 64
_LARGEST_GROUP: Final = 8
_MOST_CODES: Final = 20_000
_MOST_DIAGNOSES: Final = 10_000
NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule as it runs for one payer in one epoch.

    Attributes:
        policy: name → value, resolved.
        change: what the payer or a contract changes about the rule; None for nothing.
        capped: a value is not confirmed, so nothing above a warning comes out.
        basis: what the message adds: the date of the data set and the payer's adoption word.
    """

    rule: Rule
    check: Check
    policy: Mapping[str, Any]
    change: RuleChange | None
    capped: bool
    basis: str
    citations: tuple[Citation, ...]
    effective_from: date | None
    effective_to: date | None

    def own_severity(self, chosen: Severity | None = None) -> Severity:
        """What it would be without the change; a check may have chosen another than the rule's."""
        severity = chosen or self.rule.severity
        return Severity.WARNING if self.capped and severity is Severity.ERROR else severity

    def severity(self, chosen: Severity | None = None) -> Severity:
        """What a finding weighs.

        A change holds for whatever the rule says; but a check's own information stays information.
        """
        if chosen is not Severity.INFO:
            if self.rule.status == "preview":
                return Severity.INFO
            if self.change is not None and self.change.severity is not None:
                return self.change.severity
        return self.own_severity(chosen)


ValueT = TypeVar("ValueT")
Call = tuple[CompiledRule, Check, Mapping[str, Any]]


class PlanKey(NamedTuple):
    """What a claim comes with, as far as it decides which checks can find something.

    Attributes:
        codes: the procedure codes of its lines; of those that no rule tells apart, one; see `RulePack.represented`.
        modifiers: all modifiers of its lines.
        places: the places of service of claim and lines that are not blank.
        is_authorized: whether claim or line carries an authorization number.
        facts: names of the case facts supplied; one that is null is not.
        eligibility, provider_records: whether there are any.
        has_history: whether anything is held of the member's earlier claims, or it is not known whether.
        has_same_day: whether one of them has a service on a date of the claim, or it is not known whether.
        triggered: ids of the rules that one of the claim's diagnoses concerns.
    """

    codes: frozenset[str]
    modifiers: frozenset[str]
    places: frozenset[str]
    type_of_bill: str
    frequency: str
    responsibility: str
    is_authorized: bool
    facts: frozenset[str]
    eligibility: bool
    provider_records: bool
    has_history: bool
    has_same_day: bool
    triggered: frozenset[str] = NOTHING


class Plan(NamedTuple):
    """The checks for claims that come with the same.

    Attributes:
        line_checks: procedure code, `represented` → the checks of a line with it.
        group_checks: codes of a group, likewise → its checks, as far as such groups have come; see `RulePack.group`.
        informed_claim_checks, informed_line_checks: those of claims and lines that take the history too; codes without
            any are left out.
        not_evaluated: rules that lack what they require.
    """

    key: PlanKey
    claim_checks: tuple[Call, ...]
    history_checks: tuple[Call, ...]
    line_checks: Mapping[str, tuple[Call, ...]]
    group_checks: dict[frozenset[str], tuple[Call, ...]]
    informed_claim_checks: tuple[Call, ...]
    informed_line_checks: Mapping[str, tuple[Call, ...]]
    not_evaluated: tuple[Unevaluated, ...]


class _Remembered(dict[str, ValueT]):
    """What a function gives for a string, remembered within bounds."""

    def __init__(self, function: Callable[[str], ValueT], most: int) -> None:
        super().__init__()
        self._function = function
        self._most = most

    def __missing__(self, key: str) -> ValueT:
        if len(self) >= self._most:
            self.clear()
        value = self[key] = self._function(key)
        return value


class RulePack:
    """What runs for one payer, claim type and epoch.

    Args:
        rules: the rules.
        named: every code and modifier that a rule or a value names.
        thorough: whether every check is asked, also where the rule says that it can find nothing.
    """

    def __init__(self, rules: tuple[CompiledRule, ...], named: frozenset[str], *, thorough: bool) -> None:
        self.rules = rules
        self.thorough = thorough
        self._named = named
        self._calls_of = {
            (scope, informed): tuple(
                (each, each.check, each.policy)
                for each in rules
                if each.rule.scope == scope and (each.rule.reads_history and scope != "history") == informed
            )
            for scope in PARAMETERS
            for informed in (False, True)
        }
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._diagnosed = () if thorough else tuple(each for each in rules if each.rule.concerns_diagnosis is not None)
        self._triggered_by = _Remembered(self._find_triggered, _MOST_DIAGNOSES)
        self._by_answers: dict[tuple[bool, ...], str] = {}
        self._representative = _Remembered(self._find_representative, _MOST_CODES)

    def plan(self, claim: Claim, codes: Iterable[str], rest: tuple[Any, ...]) -> Plan:
        """The checks for a claim.

        Args:
            claim: the claim.
            codes: the procedure codes of its lines, `represented`.
            rest: the other fields of a `PlanKey`, without `triggered`.
        """
        triggered = NOTHING
        for diagnosis in claim.diagnoses:
            ids = self._triggered_by[diagnosis.code]
            if ids:
                triggered = triggered | ids
        key = (frozenset(codes), *rest, triggered)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._make_plan(PlanKey(*key))
        return plan

    def represented(self, codes: Iterable[str]) -> list[str]:
        """The codes in their order, with one for all that no rule tells apart.

        Hospitals bill thousands of codes that mean nothing here; by themselves they would make nearly every claim one
        of its own kind. A code that a rule or a value names stands for itself. All others are told apart by what the
        rules' `concerns` say of them, each alone, so `concerns` must not count codes that it does not know.
        """
        return list(map(self._representative.__getitem__, codes))

    def _find_representative(self, code: str) -> str:
        if self.thorough or code in self._named:
            return code
        alone = frozenset({code})
        said = tuple(
            each.rule.concerns(alone, modifiers, each.policy)
            for each in self.rules
            if each.rule.concerns is not None
            for modifiers in (NOTHING, self._named)
        )
        return self._by_answers.setdefault(said, code)

    def _find_triggered(self, diagnosis: str) -> frozenset[str]:
        code = diagnosis.replace(".", "")
        return frozenset(
            each.rule.id
            for each in self._diagnosed
            if each.rule.concerns_diagnosis is not None and each.rule.concerns_diagnosis(code, each.policy)
        )

    def group(self, plan: Plan, codes: frozenset[str]) -> tuple[Call, ...]:
        """The checks of a group of lines with these codes."""
        represented = frozenset(self.represented(codes))
        checks = plan.group_checks.get(represented)
        if checks is None:
            checks = self._calls("group", represented, plan.key)
        for each in (represented, codes):
            if len(each) <= _LARGEST_GROUP:  # what is larger is too seldom the same to be worth the room
                if len(plan.group_checks) >= _MOST_GROUPS:
                    plan.group_checks.clear()
                plan.group_checks[each] = checks
        return checks

    def _make_plan(self, key: PlanKey) -> Plan:
        lacking = [
            each for each in self.rules if each.rule.requires is not None and not getattr(key, each.rule.requires)
        ]
        return Plan(
            key=key,
            claim_checks=self._calls("claim", key.codes, key),
            history_checks=self._calls("history", key.codes, key),
            line_checks={code: self._calls("line", frozenset({code}), key) for code in key.codes},
            group_checks={},
            informed_claim_checks=self._calls("claim", key.codes, key, informed=True),
            informed_line_checks={
                code: calls
                for code in key.codes
                if (calls := self._calls("line", frozenset({code}), key, informed=True))
            },
            not_evaluated=tuple(
                Unevaluated(each.rule.id, each.rule.name, None, _MISSING[each.rule.requires or ""])
                for each in lacking
                if self._is_concerned(each, key.codes, key)
            ),
        )

    def _calls(self, scope: Scope, codes: frozenset[str], key: PlanKey, *, informed: bool = False) -> tuple[Call, ...]:
        return tuple(
            call
            for call in self._calls_of[scope, informed]
            if (call[0].rule.requires is None or getattr(key, call[0].rule.requires))
            and self._is_concerned(call[0], codes, key)
        )

    def _is_concerned(self, compiled: CompiledRule, codes: frozenset[str], key: PlanKey) -> bool:
        rule, policy = compiled.rule, compiled.policy
        if rule.procedures is not None and rule.procedures.isdisjoint(codes):
            return False
        return self.thorough or (
            (rule.concerns is None or rule.concerns(codes, key.modifiers, policy))
            and (rule.concerns_claim is None or rule.concerns_claim(key, policy))
            and (rule.concerns_diagnosis is None or rule.id in key.triggered)
        )


def named_strings(value: Any) -> Iterator[str]:
    """Every string of a value that may be a code: keys of tables, and what is in sets and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from named_strings(key)
            yield from named_strings(each)
    elif isinstance(value, tuple | frozenset):
        for each in value:
            yield from named_strings(each)


def compile_rule(rule: Rule, profile: PayerProfile, reference: Reference, day: date) -> CompiledRule | str:
    """A rule as it runs for a payer in the epoch that starts on a day, or why it does not."""
    check = rule.check
    values: dict[str, DatedValue] = {}
    why_not = _why_not(rule, profile, day)
    for name in rule.policy:
        policy = profile.policies.get(name) or reference.policies.get(name)
        value = policy.on(day) if policy is not None else None
        if policy is None:
            why_not = why_not or f"no value of {name} is held for {profile.key}"
        elif value is None:
            check = _no_value(name)
        elif value.closed:
            why_not = why_not or f"{name} ended with {value.start}"
        else:
            values[name] = value
    if why_not is not None:
        return why_not
    starts = [rule.effective, *(value.start for value in values.values())]
    keys = dict.fromkeys([*rule.citations, *(key for value in values.values() for key in value.citations)])
    return CompiledRule(
        rule=rule,
        check=check,
        policy={name: value.value for name, value in values.items()},
        change=_change(rule, profile, day),
        capped=not all(value.confidence.allows_error for value in values.values()),
        basis=_basis(rule, profile, values.values(), day),
        citations=tuple(reference.citations[key] for key in keys),
        effective_from=None if max(starts) == date.min else max(starts),
        effective_to=_end(rule, [profile.policies.get(name) or reference.policies[name] for name in values], day),
    )


def _why_not(rule: Rule, profile: PayerProfile, day: date) -> str | None:
    if rule.status == "retired":
        return "the rule is retired"
    if rule.payers is not None and rule.payers.isdisjoint(profile.ancestors):
        return f"the rule speaks only for {', '.join(sorted(rule.payers))}"
    if day < rule.effective:
        return f"the rule speaks from {rule.effective} on"
    if rule.terminated is not None and day >= rule.terminated:
        return f"the rule ended with {rule.terminated}"
    return None


def _change(rule: Rule, profile: PayerProfile, day: date) -> RuleChange | None:
    change = profile.rules.get(rule.id)
    layer = rule.base_layer
    if layer is None or profile.follows(layer, day) != "off" or (change is not None and change.silent):
        return change
    why = f"{profile.key} does not follow the base layer {layer}"
    return profile.refusals.get(layer) or RuleChange(silent=True, severity=None, why=why, by=profile.key)


def _end(rule: Rule, policies: Iterable[Policy], day: date) -> date | None:
    """The next date on which the rule or one of its values changes."""
    ends = [boundary for policy in policies for boundary in policy.boundaries if boundary > day]
    return min([*ends, *([rule.terminated] if rule.terminated else [])], default=None)


def _basis(rule: Rule, profile: PayerProfile, values: Iterable[DatedValue], day: date) -> str:
    adoption = profile.follows(rule.base_layer, day) if rule.base_layer else ""
    data_dates = sorted({value.data_date for value in values if value.data_date is not None})
    parts = [f"data of {', '.join(map(str, data_dates))}"] if data_dates else []
    if adoption and adoption != "own":
        parts.append(f"national coding standard; {profile.key} follows it: {adoption}")
    return f" [{'; '.join(parts)}]" if parts else ""


@cache
def _no_value(name: str) -> Check:
    answer = NotEvaluated(f"no value of {name} is held for this date of service")
    return lambda *_: answer
