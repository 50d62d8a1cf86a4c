"""The rule set: everything that exists, compiled into packs of what runs for one payer at one time.

Every date on which a rule, a value or a payer profile changes cuts time into *epochs*. Within one epoch nothing
changes, so for each (payer, claim type, epoch) the rules that apply are resolved once, with their values, severity and
wording, into a `RulePack`; judging a claim is then a few dictionary look-ups and the checks themselves.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import pkgutil
import re
import traceback
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import rules
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import (
    Citation,
    Decision,
    Disposition,
    FailureCategory,
    Finding,
    Flag,
    NotEvaluated,
    Severity,
    Unevaluated,
)
from rules.engine.grouping import line_groups
from rules.engine.history import NO_HISTORY, History
from rules.engine.payer import RECOGNITION_FILE, ROOT, PayerProfile, load_profiles
from rules.engine.policy import DatedValue, Policy, ReferenceDataError, load_policies, read_yaml
from rules.engine.recognition import Recognition, load_recognition
from rules.engine.rule import FAMILIES, Check, Rule, registered_rules

PACKAGE = Path(rules.__file__).parent


@dataclass(frozen=True, slots=True)
class Reference:
    """The facts: sources, dated values, failure categories, and where a field stands in the 837."""

    citations: Mapping[str, Citation]
    policies: Mapping[str, Policy]
    categories: Mapping[str, FailureCategory]
    locations: Mapping[str, Mapping[str, str]]

    @classmethod
    def load(cls, folder: Path = PACKAGE / "reference") -> Self:
        """Read `rules/reference/`.

        Raises:
            ReferenceDataError: a file is wrong; the message names it and what is expected.
        """
        citations = {key: Citation(key=key, **entry) for key, entry in read_yaml(folder / "citations.yaml").items()}
        policies: dict[str, Policy] = {}
        for path in sorted(folder.glob("*/*.yaml")):
            if path.parent.name != "x12":
                for policy in load_policies(path, path.stem):
                    if policy.name in policies:
                        raise ReferenceDataError(f"{path}: {policy.name} stands in another file too")
                    policies[policy.name] = policy
        with (folder / "x12" / "failure_categories.csv").open(encoding="utf-8", newline="") as file:
            categories = {row["category"]: _failure_category(row) for row in csv.DictReader(file)}
        return cls(citations, policies, categories, read_yaml(folder / "x12" / "field_locations.yaml"))


def _failure_category(row: Mapping[str, str]) -> FailureCategory:
    return FailureCategory(
        key=row["category"],
        meaning=row["own_meaning"],
        carc=row["carc"],
        alternative_carc=_alternatives(row["alt_carc"]),
        rarc=_alternatives(row["rarc"]),
        group=row["group"],
        status_category=row["csc_category"],
        status_codes=_alternatives(row["csc_status"]),
        entities=_alternatives(row["entity"]),
    )


def _first(codes: tuple[str, ...]) -> str:
    return codes[0] if codes else ""


def _alternatives(cell: str) -> tuple[str, ...]:
    return tuple(part for part in cell.split(";") if part)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule as it runs for one payer in one epoch.

    Attributes:
        policy: name → value, resolved.
        severity: after the payer's change and the confidence of the values.
        fixed: the payer set the severity, so a check's own choice does not count.
        capped: a value is not confirmed, so nothing above a warning comes out.
        basis: what the message adds: the date of the data set and the payer's adoption word.
    """

    rule: Rule
    check: Check
    procedures: frozenset[str] | None
    policy: Mapping[str, Any]
    severity: Severity
    fixed: bool
    capped: bool
    basis: str
    citations: tuple[Citation, ...]
    effective_from: date | None
    effective_to: date | None


@dataclass(frozen=True, slots=True)
class RulePack:
    """What runs for one payer, claim type and epoch."""

    claim_rules: tuple[CompiledRule, ...]
    history_rules: tuple[CompiledRule, ...]
    group_rules: tuple[CompiledRule, ...]
    line_rules: Mapping[str, tuple[CompiledRule, ...]]
    any_line_rules: tuple[CompiledRule, ...]


_Kind = tuple[str, str, bool, bool]  # payer key, claim type, void, guarded
_Answers = list[tuple[CompiledRule | None, ServiceLine | None, Any]]
RULE_ERROR = "RULE_ERROR"
_INDEX = re.compile(r"\[\d+\]")


class RuleSet:
    """Rules, facts and payer profiles of one version; `evaluate` judges a claim by them."""

    def __init__(
        self,
        rules: Mapping[str, Rule],
        reference: Reference,
        profiles: Mapping[str, PayerProfile],
        version: str,
        digest: str,
        *,
        recognition: Recognition | None = None,
    ) -> None:
        self.rules = rules
        self.reference = reference
        self.profiles = profiles
        self.version = version
        self.digest = digest
        self._boundaries = self._find_boundaries()
        self._packs: dict[_Kind, list[RulePack | None]] = {}
        self.recognition = recognition or Recognition()
        # Few payers send most claims; the size is a bound on what else may stand in those fields.
        self._recognise = lru_cache(maxsize=4096)(self._find_payer)
        self._check_references()

    @classmethod
    def load(cls) -> Self:
        """The installed rules with their packaged facts.

        Raises:
            RuleDefinitionError, ReferenceDataError: what is wrong, and in which file.
        """
        for family in FAMILIES.values():
            package = importlib.import_module(f"rules.{family}")
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"rules.{family}.{module.name}")
        profiles = load_profiles(PACKAGE / "payers")
        recognition = load_recognition(PACKAGE / "payers" / RECOGNITION_FILE, profiles)
        return cls(
            registered_rules(), Reference.load(), profiles, rules.__version__, _digest(PACKAGE), recognition=recognition
        )

    # ---- compiling

    def _find_boundaries(self) -> tuple[date, ...]:
        policies = [*self.reference.policies.values()]
        for profile in self.profiles.values():
            policies += profile.policies.values()
        dates = {boundary for policy in policies for boundary in policy.boundaries}
        for each in self.rules.values():
            dates.add(each.effective)
            if each.terminated is not None:
                dates.add(each.terminated)
        return tuple(sorted(dates))

    def _check_references(self) -> None:
        """Refuse a rule or profile that names what does not exist, when loaded and not when a claim meets it."""
        known = set(self.reference.policies) | {name for each in self.profiles.values() for name in each.policies}
        keys = set(self.reference.citations)
        for each in self.rules.values():
            wrong = [
                *(name for name in each.policy if name not in known),
                *(key for key in each.citations if key not in keys),
                *([each.reason] if each.reason not in self.reference.categories else []),
                *((each.payers or frozenset()) - set(self.profiles)),
            ]
            if wrong:
                raise ReferenceDataError(f"{each.id}: not in the reference data: {', '.join(wrong)}")
        unknown = (_cited(self.reference.policies) | self.recognition.citations) - keys
        if unknown:
            raise ReferenceDataError(f"reference data: not known: {', '.join(sorted(unknown))}")
        for profile in self.profiles.values():
            cited = {change.citation for change in profile.rules.values()} | _cited(profile.policies)
            unknown = (cited - keys) | (set(profile.rules) - set(self.rules))
            if unknown:
                raise ReferenceDataError(f"payer {profile.key}: not known: {', '.join(sorted(unknown))}")

    def _pack(self, kind: _Kind, day: date) -> RulePack:
        series = self._packs.get(kind)
        if series is None:
            series = self._packs[kind] = [None] * (len(self._boundaries) + 1)
        epoch = bisect_right(self._boundaries, day)
        pack = series[epoch]
        if pack is None:
            pack = series[epoch] = self._compile(kind, self._boundaries[epoch - 1] if epoch else date.min)
        return pack

    def _compile(self, kind: _Kind, day: date) -> RulePack:
        payer, claim_type, void, guarded = kind
        by_scope: dict[str, list[CompiledRule]] = {"claim": [], "history": [], "group": [], "line": []}
        for each in self.rules.values():
            if claim_type in each.claim_types and (each.on_void or not void):
                compiled = self._compile_rule(each, self.profiles[payer], day)
                if compiled is not None and guarded:
                    compiled = replace(compiled, check=_guarded(compiled.check))
                if compiled is not None:
                    by_scope[each.scope].append(compiled)
        codes = {code for each in by_scope["line"] for code in each.rule.procedures or ()}
        return RulePack(
            claim_rules=tuple(by_scope["claim"]),
            history_rules=tuple(by_scope["history"]),
            group_rules=tuple(by_scope["group"]),
            line_rules={
                code: tuple(
                    each for each in by_scope["line"] if each.rule.procedures is None or code in each.rule.procedures
                )
                for code in codes
            },
            any_line_rules=tuple(each for each in by_scope["line"] if each.rule.procedures is None),
        )

    def _compile_rule(self, rule: Rule, profile: PayerProfile, day: date) -> CompiledRule | None:
        """The rule as it runs for this payer in the epoch that starts on `day`, or None where it does not."""
        change = profile.rules.get(rule.id)
        adoption = profile.adoption[rule.base_layer] if rule.base_layer else ""
        if (
            rule.status == "retired"
            or (rule.payers is not None and rule.payers.isdisjoint(profile.ancestors))
            or (change is not None and change.silent)
            or adoption == "off"
            or not rule.effective <= day
            or (rule.terminated is not None and day >= rule.terminated)
        ):
            return None
        check = rule.check
        values: dict[str, DatedValue] = {}
        effective_to = rule.terminated
        for name in rule.policy:
            policy = profile.policies.get(name) or self.reference.policies.get(name)
            if policy is None:
                return None  # the value is one that only some payers have
            value = policy.on(day)
            if value is None:
                check = _no_value(name)
                continue
            if value.closed:
                return None
            values[name] = value
            following = [boundary for boundary in policy.boundaries if boundary > day]
            effective_to = min([*following[:1], *([effective_to] if effective_to else [])], default=None)
        capped = not all(value.confidence.allows_error for value in values.values())
        severity = change.severity if change and change.severity else rule.severity
        if rule.status == "preview":
            severity, fixed = Severity.INFO, True
        else:
            fixed = change is not None and change.severity is not None
        starts = [rule.effective, *(value.start for value in values.values())]
        keys = dict.fromkeys([*rule.citations, *(key for value in values.values() for key in value.citations)])
        return CompiledRule(
            rule=rule,
            check=check,
            procedures=rule.procedures,
            policy={name: value.value for name, value in values.items()},
            severity=Severity.WARNING if capped and not fixed and severity is Severity.ERROR else severity,
            fixed=fixed,
            capped=capped,
            basis=_basis(profile, adoption, values.values()),
            citations=tuple(self.reference.citations[key] for key in keys),
            effective_from=None if max(starts) == date.min else max(starts),
            effective_to=effective_to,
        )

    # ---- judging

    def evaluate(self, claim: Claim, history: History = NO_HISTORY) -> Decision:
        """Judge one claim.

        Args:
            claim: the claim; its receipt date is a field of it, never today's date.
            history: the member's earlier services, without this claim.

        Returns:
            The decision, the same for the same three inputs. Never raises for what a claim holds: a rule that fails
            flags the claim and names itself.
        """
        key, unknown = self._profile_key(claim)
        try:
            answers = self._answers(claim, history, key)
        except Exception:  # noqa: BLE001  (whatever a rule raises: judge again, each rule guarded, to name the culprit)
            answers = self._guarded_answers(claim, history, key)
        if not answers and not unknown:
            return Decision(
                claim.claim_id, Disposition.CLEARED, key, claim.received_date, (), (), self.version, self.digest
            )
        findings, not_evaluated = self._conclude(claim, answers)
        flagged = any(finding.severity is Severity.ERROR for finding in findings)
        return Decision(
            claim.claim_id,
            Disposition.FLAGGED if flagged else Disposition.CLEARED,
            key,
            claim.received_date,
            tuple(findings),
            (*unknown, *not_evaluated),
            self.version,
            self.digest,
        )

    def _profile_key(self, claim: Claim) -> tuple[str, tuple[Unevaluated, ...]]:
        payer = claim.payer
        if not payer.key:
            return self._recognise(payer.payer_id, payer.filing_indicator, payer.name)
        if payer.key in self.profiles:
            return payer.key, ()
        return ROOT, (_payer_not_known(f"payer key {payer.key} is not known"),)

    def _find_payer(self, payer_id: str, filing_indicator: str, name: str) -> tuple[str, tuple[Unevaluated, ...]]:
        key, why = self.recognition.recognise(payer_id, filing_indicator, name)
        return (key, ()) if key else (ROOT, (_payer_not_known(f"the claim names no payer key, and {why}"),))

    def _answers(  # noqa: C901, PLR0912  (the hot path: one function, and no calls but those of the checks)
        self, claim: Claim, history: History, key: str, *, guarded: bool = False
    ) -> _Answers:
        kind = (key, claim.claim_type, claim.is_void, guarded)
        day = first_day = claim.first_service_date or date.min
        pack = self._pack(kind, day)
        answers: _Answers = []
        lines = claim.lines
        codes = {line.procedure_code for line in lines}
        for compiled in pack.claim_rules:
            procedures = compiled.procedures
            if procedures is None or not procedures.isdisjoint(codes):
                answer = compiled.check(claim, compiled.policy)
                if answer:
                    answers.append((compiled, None, answer))
        for compiled in pack.history_rules:
            procedures = compiled.procedures
            if procedures is None or not procedures.isdisjoint(codes):
                answer = compiled.check(claim, history, compiled.policy)
                if answer:
                    answers.append((compiled, None, answer))
        for line in lines:
            line_day = line.service_date or first_day
            if line_day != day:
                day = line_day
                pack = self._pack(kind, day)
            for compiled in pack.line_rules.get(line.procedure_code, pack.any_line_rules):
                answer = compiled.check(claim, line, compiled.policy)
                if answer:
                    answers.append((compiled, line, answer))
        for group in line_groups(claim):
            if group.service_date != day:
                day = group.service_date
                pack = self._pack(kind, day)
            for compiled in pack.group_rules:
                procedures = compiled.procedures
                if procedures is None or not procedures.isdisjoint(group.codes):
                    answer = compiled.check(claim, group, compiled.policy)
                    if answer:
                        answers.append((compiled, None, answer))
        return answers

    def _guarded_answers(self, claim: Claim, history: History, key: str) -> _Answers:
        try:
            return self._answers(claim, history, key, guarded=True)
        except Exception as error:  # noqa: BLE001  (no rule's fault: the claim is flagged all the same)
            return [(None, None, error)]

    def _conclude(self, claim: Claim, answers: _Answers) -> tuple[list[Finding], list[Unevaluated]]:
        findings: list[Finding] = []
        not_evaluated: list[Unevaluated] = []
        positions = {id(line): number for number, line in enumerate(claim.lines, 1)}
        for compiled, line, answer in answers:
            for each in answer if isinstance(answer, list) else (answer,):
                if isinstance(each, Exception) or compiled is None:
                    findings.append(_rule_error(compiled, each))
                elif isinstance(each, NotEvaluated):
                    where = positions.get(id(each.line or line))
                    not_evaluated.append(Unevaluated(compiled.rule.id, compiled.rule.name, where, each.reason))
                else:
                    flag = each if isinstance(each, Flag) else Flag(each)
                    try:
                        findings.append(self._finding(claim, compiled, flag, positions.get(id(flag.line or line))))
                    except Exception as error:  # noqa: BLE001  (an answer that can't be read is a failed rule too)
                        findings.append(_rule_error(compiled, error))
        if len(findings) > 1:
            findings = self._special_first(findings)
            findings.sort(key=_order)
        not_evaluated.sort(key=lambda each: (each.line or 0, each.rule_id, each.reason))
        return findings, not_evaluated

    def _special_first(self, findings: list[Finding]) -> list[Finding]:
        """One defect, one finding: a rule is silent where a more special one has spoken on the same line."""
        spoken = {(finding.rule_id, finding.line) for finding in findings}
        return [
            finding
            for finding in findings
            if not any((other, finding.line) in spoken for other in self._yields_to(finding))
        ]

    def _yields_to(self, finding: Finding) -> frozenset[str]:
        return self.rules[finding.rule_id].yields_to if finding.category != RULE_ERROR else frozenset()

    def _finding(self, claim: Claim, compiled: CompiledRule, flag: Flag, line: int | None) -> Finding:
        rule = compiled.rule
        category = self.reference.categories[flag.category or rule.reason]
        severity = compiled.severity
        # A payer's change holds for what the rule says by itself; a check's own information stays information.
        if flag.severity is not None and (not compiled.fixed or flag.severity is Severity.INFO):
            severity = flag.severity
            if compiled.capped and severity is Severity.ERROR:
                severity = Severity.WARNING
        field = flag.field or rule.field
        carc = category.carc if flag.carc is None else flag.carc
        rarc = _first(category.rarc) if flag.rarc is None else flag.rarc
        entity = _first(category.entities) if flag.entity is None else flag.entity
        status = (category.status_category, flag.status_code or _first(category.status_codes), entity)
        location = self.reference.locations.get(_INDEX.sub("[]", field), {})
        return Finding(
            rule_id=rule.id,
            name=rule.name,
            title=rule.title,
            severity=severity,
            category=category.key,
            carc=carc,
            alternative_carc=tuple(other for other in (category.carc, *category.alternative_carc) if other != carc),
            rarc=rarc,
            alternative_rarc=tuple(other for other in category.rarc if other != rarc),
            group=category.group,
            status=":".join(part for part in status if part),
            line=line,
            path=field.replace("[]", f"[{line - 1}]" if line else "[]", 1),
            location=location.get("p837" if claim.is_professional else "i837", ""),
            message=flag.message + compiled.basis,
            remedy=flag.remedy or rule.remedy,
            citations=compiled.citations,
            effective_from=compiled.effective_from,
            effective_to=compiled.effective_to,
        )


def _cited(policies: Mapping[str, Policy]) -> set[str]:
    return {key for policy in policies.values() for value in policy.values for key in value.citations}


def _basis(profile: PayerProfile, adoption: str, values: Iterable[DatedValue]) -> str:
    data_dates = sorted({value.data_date for value in values if value.data_date is not None})
    parts = [f"data of {', '.join(map(str, data_dates))}"] if data_dates else []
    if adoption and adoption != "own":
        parts.append(f"national coding standard; {profile.key} follows it: {adoption}")
    return f" [{'; '.join(parts)}]" if parts else ""


def _payer_not_known(why: str) -> Unevaluated:
    return Unevaluated("PAYER", "payer-not-known", None, f"{why}; only the rules for every payer were applied")


def _no_value(name: str) -> Check:
    answer = NotEvaluated(f"no value of {name} is held for this date of service")
    return lambda *_: answer


def _guarded(check: Check) -> Check:
    """The check, with what it raises as its answer."""

    def guarded(*arguments: Any) -> Any:
        try:
            return check(*arguments)
        except Exception as error:  # noqa: BLE001
            return error

    return guarded


def _order(finding: Finding) -> tuple[Any, ...]:
    return (finding.line or 0, finding.rule_id, finding.path, finding.message)


def _rule_error(compiled: CompiledRule | None, error: Exception) -> Finding:
    """A failed rule as a finding: it flags the claim and names the place of the failure, but no value of the claim."""
    rule_id, name = (compiled.rule.id, compiled.rule.name) if compiled else ("ENGINE", "engine")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return Finding(
        rule_id=rule_id,
        name="rule-error",
        title="A rule failed",
        severity=Severity.ERROR,
        category=RULE_ERROR,
        carc="",
        alternative_carc=(),
        rarc="",
        alternative_rarc=(),
        group="",
        status="",
        line=None,
        path="$",
        location="",
        message=f"{rule_id} {name} failed: {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}",
        remedy="Check this claim by hand against the rule, and report the failure to those who run claimscrub.",
        citations=(),
        effective_from=None,
        effective_to=None,
    )


def _digest(folder: Path) -> str:
    """One digest over all that decides: rules, engine, facts and payer profiles."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".py", ".yaml", ".csv"}:
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return f"sha256:{digest.hexdigest()}"
