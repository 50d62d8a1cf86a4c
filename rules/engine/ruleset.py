"""The rule set: everything that exists, compiled into packs of what runs for one payer at one time.

Every date on which a rule, a value or a payer profile changes cuts time into *epochs*. Within one epoch nothing
changes, so what applies is compiled once for each payer, contract overlay, claim type and epoch (`pack.py`); judging a
claim is then a few dictionary look-ups and the checks themselves.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import traceback
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from copy import copy
from dataclasses import replace
from datetime import date
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

import rules
from rules.engine.claim import VOID, Claim, Payer, ServiceLine
from rules.engine.contract import Contracts, load_contracts
from rules.engine.decision import (
    Change,
    Considered,
    Decision,
    Disposition,
    Finding,
    Flag,
    NotEvaluated,
    Severity,
    Silenced,
    Unevaluated,
)
from rules.engine.files import part_digests
from rules.engine.grouping import line_groups
from rules.engine.history import NO_HISTORY, History
from rules.engine.pack import NOTHING, CompiledRule, RulePack, compile_rule, named_strings
from rules.engine.payer import RECOGNITION_FILE, ROOT, PayerProfile, load_profiles
from rules.engine.policy import Policy, ReferenceDataError
from rules.engine.recognition import Recognition, load_recognition
from rules.engine.reference import PACKAGE, Reference
from rules.engine.rule import FAMILIES, Check, Rule, RuleDefinitionError, registered_rules

# Payer key, contract key, claim type, whether a void, whether every check is asked, whether each is guarded.
_Kind = tuple[str, str, str, bool, bool, bool]
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
        contracts: Contracts | None = None,
    ) -> None:
        self.rules = rules
        self.contracts = contracts or Contracts()
        sources = {each.citation.key: each.citation for each in self.contracts.all}
        self.reference = replace(reference, citations={**reference.citations, **sources}) if sources else reference
        self.profiles = profiles
        self.version = version
        self.digest = digest
        self.signed_by = ""
        """The key of the signature over it that was checked, if one was demanded."""
        self._boundaries = self._find_boundaries()
        self.named = self._find_named()
        self._packs: dict[_Kind, list[RulePack | None]] = {}
        self.recognition = recognition or Recognition()
        # Few payers send most claims; the size is a bound on what else may stand in those fields.
        self._recognise = lru_cache(maxsize=4096)(self._find_payer)
        self._codes = lru_cache(maxsize=4096)(self._find_codes)
        self._location = lru_cache(maxsize=4096)(self._find_location)
        self._check_references()

    @classmethod
    def load(cls, reference: Path | None = None, contracts: Path | None = None) -> Self:
        """The installed rules with their packaged facts.

        Args:
            reference: a folder of a deployment's own facts, laid over the packaged ones.
            contracts: a folder of contract overlays.

        Raises:
            RuleDefinitionError, ReferenceDataError: what is wrong, and in which file.
        """
        for family in FAMILIES.values():
            package = importlib.import_module(f"rules.{family}")
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"rules.{family}.{module.name}")
        profiles = load_profiles(PACKAGE / "payers")
        recognition = load_recognition(PACKAGE / "payers" / RECOGNITION_FILE, profiles)
        known = registered_rules()
        version, digest = rules.__version__, part_digests(PACKAGE, reference, contracts).digest
        packaged = cls(known, Reference.load(), profiles, version, digest, recognition=recognition)
        packaged.check_examples()
        if reference is None and contracts is None:
            return packaged
        names = {*packaged.reference.policies, *(name for each in profiles.values() for name in each.policies)}
        overlays = (
            None if contracts is None else load_contracts(contracts, profiles, frozenset(known), frozenset(names))
        )
        facts = packaged.reference if reference is None else Reference.load(over=reference)
        return cls(known, facts, profiles, version, digest, recognition=recognition, contracts=overlays)

    def check_examples(self) -> None:
        """Judge every rule's own examples.

        Raises:
            RuleDefinitionError: an example does not do what it says; the message names rule and example.
        """
        for each in self.rules.values():
            for kind, examples in (("clean", each.clean), ("flagged", each.flagged)):
                for number, example in enumerate(examples, 1):
                    said = [finding for finding in self.evaluate(*example).findings if finding.rule_id == each.id]
                    failed = [finding.message for finding in said if finding.category == RULE_ERROR]
                    if failed or bool(said) != (kind == "flagged"):
                        found = "; ".join(failed or [finding.message for finding in said]) or "no finding"
                        raise RuleDefinitionError(f"{each.id} {each.name}: its {kind} example {number} gives: {found}")

    def under(self, contract: str) -> Self:
        """The rule set as it is for the claims of one contract overlay.

        Args:
            contract: the overlay's key.
        """
        made = copy(self)
        made.profiles = self.contracts.by_key[contract].profiles
        made.contracts = Contracts()
        made._packs = {}  # noqa: SLF001  (of the same class)
        return made

    def without(self, ids: Collection[str]) -> Self:
        """The rule set as it would be without some rules; its digest stays, so say it beside.

        Args:
            ids: of the rules.
        """
        return self._with_rules({id_: each for id_, each in self.rules.items() if id_ not in ids})

    def as_active(self) -> Self:
        """The rule set as it would be if its previews were active; its digest stays, so say it beside."""
        return self._with_rules(
            {
                id_: replace(each, status="active") if each.status == "preview" else each
                for id_, each in self.rules.items()
            }
        )

    def _with_rules(self, rules: Mapping[str, Rule]) -> Self:
        made = copy(self)
        made.rules = rules
        made._packs = {}  # noqa: SLF001  (of the same class)
        return made

    # ---- compiling

    def _find_boundaries(self) -> tuple[date, ...]:
        dates = {boundary for policy in self._all_policies() for boundary in policy.boundaries}
        for each in self.rules.values():
            dates.add(each.effective)
            if each.terminated is not None:
                dates.add(each.terminated)
        return tuple(sorted(dates))

    def _find_named(self) -> frozenset[str]:
        """Every code that a rule or a value names; more than the codes does not matter."""
        values = (value.value for policy in self._all_policies() for value in policy.values)
        return frozenset(chain(*(each.procedures or () for each in self.rules.values()), *map(named_strings, values)))

    @property
    def lifetime_codes(self) -> frozenset[str]:
        """Procedure codes whose lines are kept in a member's history for good, as lifetime limits look back so far."""
        values = self.reference.policies["modifiers.family_surgical"].values
        return frozenset(chain(*(value.value for value in values)))

    def _all_policies(self) -> Iterator[Policy]:
        yield from self.reference.policies.values()
        for profile in self.profiles.values():
            yield from profile.policies.values()
        for contract in self.contracts.all:
            yield from contract.policies

    def _check_references(self) -> None:
        """Refuse a rule or profile that names what does not exist, when loaded and not when a claim meets it."""
        known = {policy.name for policy in self._all_policies()}
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
        contracted = _cited({policy.name: policy for each in self.contracts.all for policy in each.policies})
        unknown = (_cited(self.reference.policies) | self.recognition.citations | contracted) - keys
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
            made = self._compile(kind, self._boundaries[epoch - 1] if epoch else date.min)
            # Most boundaries are another payer's, and most contracts change little: what is alike shares a pack.
            others = [*series, *([self._pack((kind[0], "", *kind[2:]), day)] if kind[1] else [])]
            pack = series[epoch] = next((other for other in others if other and other.rules == made.rules), made)
        return pack

    def _compile(self, kind: _Kind, day: date) -> RulePack:
        payer, contract, claim_type, void, thorough, guarded = kind
        profile = (self.contracts.by_key[contract].profiles if contract else self.profiles)[payer]
        compiled = (
            compile_rule(each, profile, self.reference, day)
            for each in self.rules.values()
            if claim_type in each.claim_types and (each.on_void or not void)
        )
        running = [each for each in compiled if isinstance(each, CompiledRule)]
        if guarded:
            running = [replace(each, check=_guarded(each.check)) for each in running]
        return RulePack(tuple(running), self.named, thorough=thorough)

    # ---- judging

    def evaluate(self, claim: Claim, history: History = NO_HISTORY, *, thorough: bool = False) -> Decision:
        """Judge one claim.

        Args:
            claim: the claim; its receipt date is a field of it, never today's date.
            history: the member's earlier services, without this claim.
            thorough: ask every rule, also those that say they can find nothing on a claim with such codes and
                modifiers; the answer is the same.

        Returns:
            The decision, the same for the same three inputs. Never raises for what a claim holds: a rule that fails
            flags the claim and names itself.
        """
        payer, not_known = self._profile_key(claim.payer)
        contract = self.contracts.of(claim)
        if contract is not None:
            claim = contract.completed(claim, payer)
        key = contract.key if contract is not None else ""
        kind = (payer, key, claim.claim_type, claim.frequency == VOID, thorough, False)
        try:
            answers, lacking = self._answers(claim, history, kind)
        except Exception:  # noqa: BLE001  (whatever a rule raises: judge again, each rule guarded, to name the culprit)
            answers, lacking = self._guarded_answers(claim, history, kind)
        findings: tuple[Finding, ...] = ()
        silenced: tuple[Silenced, ...] = ()
        not_evaluated = lacking
        disposition = Disposition.CLEARED
        if answers:
            findings, silenced, not_evaluated = self._conclude(claim, answers, lacking)
            if any(finding.severity is Severity.ERROR for finding in findings):
                disposition = Disposition.FLAGGED
        return Decision(
            claim.claim_id,
            disposition,
            payer,
            claim.received_date,
            findings,
            not_known + not_evaluated,
            key,
            silenced,
            self.version,
            self.digest,
            None if history is NO_HISTORY else Considered.of(history),
        )

    def recognised(self, payer: Payer) -> str:
        """Key of the payer profile that a claim to a payer is judged by."""
        return self._profile_key(payer)[0]

    def _profile_key(self, payer: Payer) -> tuple[str, tuple[Unevaluated, ...]]:
        if not payer.key:
            return self._recognise(payer.payer_id, payer.filing_indicator, payer.name)
        if payer.key in self.profiles:
            return payer.key, ()
        return ROOT, (_payer_not_known("the payer key is not known"),)

    def _find_payer(self, payer_id: str, filing_indicator: str, name: str) -> tuple[str, tuple[Unevaluated, ...]]:
        key, why = self.recognition.recognise(payer_id, filing_indicator, name)
        return (key, ()) if key else (ROOT, (_payer_not_known(f"the claim names no payer key, and {why}"),))

    def _answers(  # noqa: C901, PLR0912, PLR0915  (the hot path: one function, and few calls but those of the checks)
        self, claim: Claim, history: History, kind: _Kind
    ) -> tuple[_Answers, tuple[Unevaluated, ...]]:
        lines = claim.lines
        codes: list[str] = []
        days: list[date | None] = []
        modifiers = NOTHING
        place = claim.place_of_service
        places = frozenset((place,)) if place else NOTHING
        is_authorized = claim.prior_authorization_number != ""
        for line in lines:
            codes.append(line.procedure_code)
            days.append(line.service_date)
            if line.modifiers:
                modifiers = modifiers.union(line.modifiers)
            if line.place_of_service:
                places = places.union((line.place_of_service,))
            if line.prior_authorization_number:
                is_authorized = True
        facts: frozenset[str] | set[str] = claim.case_facts.model_fields_set
        if facts:
            values = claim.case_facts.__dict__
            facts = frozenset([name for name in facts if values[name] is not None])
        is_unsure = history.dropped_through is not None or history.not_known != ""
        # A plain tuple, here and in `kind`: a named one takes longer to make than most checks.
        rest = (
            modifiers,
            places,
            claim.type_of_bill,
            claim.frequency,
            claim.payer.responsibility,
            is_authorized,
            facts or NOTHING,
            claim.eligibility != (),
            claim.provider_records != (),
            is_unsure or history.claims != (),
            is_unsure or not history.service_dates.isdisjoint(days),
        )
        day = first_day = claim.first_service_date or date.min
        pack = self._pack(kind, day)
        packs = {day: pack}
        known = pack.represented(codes)
        plan = pack.plan(claim, known, rest)
        not_evaluated = plan.not_evaluated
        answers: _Answers = []
        for compiled, check, policy in plan.claim_checks:
            answer = check(claim, policy)
            if answer:
                answers.append((compiled, None, answer))
        for compiled, check, policy in plan.informed_claim_checks:
            answer = check(claim, history, policy)
            if answer:
                answers.append((compiled, None, answer))
        if plan.history_checks:
            if history.not_known:
                not_evaluated = (*not_evaluated, Unevaluated("HISTORY", "history-not-known", None, history.not_known))
            else:
                dropped = history.dropped_through
                for compiled, check, policy in plan.history_checks:
                    answer = check(claim, history, policy)
                    if not answer and dropped is not None and _looks_back_to(dropped, first_day, compiled.rule):
                        answer = NotEvaluated(
                            "the member has too many claims to hold them all; some with services up to"
                            f" {dropped} are no longer held (CLAIMSCRUB_HISTORY_LINES)"
                        )
                    if answer:
                        answers.append((compiled, None, answer))
        for position, line in enumerate(lines):
            line_day = days[position]
            if line_day != day:
                line_day = line_day or first_day  # a line without a date goes with the claim
                if line_day != day:
                    day = line_day
                    its_pack = packs.get(day) or packs.setdefault(day, self._pack(kind, day))
                    if its_pack is not pack:
                        pack, known = its_pack, its_pack.represented(codes)
                        plan = pack.plan(claim, known, rest)
            for compiled, check, policy in plan.line_checks[known[position]]:
                answer = check(claim, line, policy)
                if answer:
                    answers.append((compiled, line, answer))
            if plan.informed_line_checks:
                for compiled, check, policy in plan.informed_line_checks.get(known[position], ()):
                    answer = check(claim, line, history, policy)
                    if answer:
                        answers.append((compiled, line, answer))
        for group in line_groups(claim):
            if group.service_date != day:
                day = group.service_date
                its_pack = packs[day]
                if its_pack is not pack:
                    pack, known = its_pack, its_pack.represented(codes)
                    plan = pack.plan(claim, known, rest)
            checks = plan.group_checks.get(group.codes)
            if checks is None:
                checks = pack.group(plan, group.codes)
            for compiled, check, policy in checks:
                answer = check(claim, group, policy)
                if answer:
                    answers.append((compiled, None, answer))
        return answers, not_evaluated

    def _guarded_answers(self, claim: Claim, history: History, kind: _Kind) -> tuple[_Answers, tuple[Unevaluated, ...]]:
        try:
            return self._answers(claim, history, (*kind[:-2], True, True))
        except Exception as error:  # noqa: BLE001  (no rule's fault: the claim is flagged all the same)
            return [(None, None, error)], ()

    def _conclude(
        self, claim: Claim, answers: _Answers, lacking: tuple[Unevaluated, ...]
    ) -> tuple[tuple[Finding, ...], tuple[Silenced, ...], tuple[Unevaluated, ...]]:
        found: list[_Found] = []
        not_evaluated = [*lacking]
        positions = {id(line): number for number, line in enumerate(claim.lines, 1)}
        for compiled, line, answer in answers:
            for each in answer if isinstance(answer, list) else (answer,):
                if isinstance(each, Exception) or compiled is None:
                    found.append(_Found(_rule_error(compiled, each), compiled))
                elif isinstance(each, NotEvaluated):
                    where = positions.get(id(each.line or line))
                    not_evaluated.append(Unevaluated(compiled.rule.id, compiled.rule.name, where, each.reason))
                else:
                    flag = each if isinstance(each, Flag) else Flag(each)
                    try:
                        finding = self._finding(claim, compiled, flag, positions.get(id(flag.line or line)))
                        found.append(_Found(finding, compiled, flag.modifiers))
                    except Exception as error:  # noqa: BLE001  (an answer that can't be read is a failed rule too)
                        found.append(_Found(_rule_error(compiled, error), compiled))
        if len(found) > 1:
            found = _special_first(found)
            found.sort(key=_order)
        not_evaluated.sort(key=lambda each: (each.line or 0, each.rule_id, each.reason))
        return (
            tuple(each.finding for each in found if not each.is_silenced),
            tuple(each.silenced for each in found if each.is_silenced),
            tuple(not_evaluated),
        )

    def _finding(self, claim: Claim, compiled: CompiledRule, flag: Flag, line: int | None) -> Finding:
        rule = compiled.rule
        severity = compiled.severity(flag.severity)
        field = flag.field or rule.field
        category = flag.category or rule.reason
        codes = self._codes(category, flag.carc, flag.rarc, flag.status_code, flag.entity)
        return Finding(
            rule_id=rule.id,
            name=rule.name,
            title=rule.title,
            severity=severity,
            category=category,
            carc=codes.carc,
            alternative_carc=codes.alternative_carc,
            rarc=codes.rarc,
            alternative_rarc=codes.alternative_rarc,
            group=codes.group,
            status=codes.status,
            line=line,
            path=field.replace("[]", f"[{line - 1}]" if line else "[]", 1),
            location=self._location(field, claim.claim_type),
            message=flag.message + compiled.basis,
            remedy=flag.remedy or rule.remedy,
            citations=compiled.citations,
            effective_from=compiled.effective_from,
            effective_to=compiled.effective_to,
            change=_change(compiled, flag, severity),
        )

    def _find_codes(
        self, category_key: str, carc: str | None, rarc: str | None, status_code: str | None, entity: str | None
    ) -> _Codes:
        category = self.reference.categories[category_key]
        carc = category.carc if carc is None else carc
        rarc = _first(category.rarc) if rarc is None else rarc
        entity = _first(category.entities) if entity is None else entity
        status = (category.status_category, status_code or _first(category.status_codes), entity)
        return _Codes(
            carc=carc,
            alternative_carc=tuple(other for other in (category.carc, *category.alternative_carc) if other != carc),
            rarc=rarc,
            alternative_rarc=tuple(other for other in category.rarc if other != rarc),
            group=category.group,
            status=":".join(part for part in status if part),
        )

    def _find_location(self, field: str, claim_type: str) -> str:
        location = self.reference.locations.get(_INDEX.sub("[]", field), {})
        return location.get("p837" if claim_type == "professional" else "i837", "")


class _Codes(NamedTuple):
    """The standard codes of a finding, as `Finding` has them."""

    carc: str
    alternative_carc: tuple[str, ...]
    rarc: str
    alternative_rarc: tuple[str, ...]
    group: str
    status: str


class _Found(NamedTuple):
    """A finding with where it comes from."""

    finding: Finding
    compiled: CompiledRule | None
    modifiers: tuple[str, ...] = ()

    @property
    def is_silenced(self) -> bool:
        """Whether a payer's profile or a contract puts it aside; a failed rule is never put aside."""
        change = None if self.compiled is None else self.compiled.change
        return change is not None and change.silent and self.finding.category != RULE_ERROR

    @property
    def silenced(self) -> Silenced:
        assert self.compiled is not None
        assert self.compiled.change is not None
        finding, change = self.finding, self.compiled.change
        return Silenced(
            finding.rule_id, finding.name, finding.line, finding.severity, finding.message, change.by, change.why
        )


def _special_first(found: list[_Found]) -> list[_Found]:
    """One defect, one finding.

    A rule is silent where a more special one has spoken on the same line; and a warning about modifiers is, where an
    error of the CMS base layer from another family is about the same modifiers of that line. Findings that are about
    different modifiers are about different defects.
    """
    spoken: dict[tuple[str, int | None], list[_Found]] = {}
    for each in found:
        spoken.setdefault((each.finding.rule_id, each.finding.line), []).append(each)
    basic = [
        each
        for each in found
        if each.modifiers
        and each.finding.severity is Severity.ERROR
        and each.compiled
        and each.compiled.rule.base_layer
    ]

    def is_said(each: _Found) -> bool:
        if each.compiled is None or each.finding.category == RULE_ERROR:
            return False
        rule, finding = each.compiled.rule, each.finding
        for other_id in rule.yields_to:
            for other in spoken.get((other_id, finding.line), ()):
                if not (each.modifiers and other.modifiers) or not set(each.modifiers).isdisjoint(other.modifiers):
                    return True
        return (
            bool(each.modifiers)
            and finding.severity is Severity.WARNING
            and any(
                other.finding.line == finding.line
                and other.compiled is not None
                and other.compiled.rule.family != rule.family
                and set(each.modifiers) <= set(other.modifiers)
                for other in basic
            )
        )

    return [each for each in found if not is_said(each)]


def _change(compiled: CompiledRule, flag: Flag, severity: Severity) -> Change | None:
    """The change on the record, where one has made the severity another than the rule's own."""
    change = compiled.change
    if change is None or change.severity is None:
        return None
    own = compiled.own_severity(flag.severity)
    return None if own is severity else Change(own, change.by, change.why)


def _first(codes: tuple[str, ...]) -> str:
    return codes[0] if codes else ""


def _cited(policies: Mapping[str, Policy]) -> set[str]:
    return {key for policy in policies.values() for value in policy.values for key in value.citations}


def _looks_back_to(day: date, first_day: date, rule: Rule) -> bool:
    return rule.lookback is None or first_day.toordinal() - day.toordinal() <= rule.lookback


def _payer_not_known(why: str) -> Unevaluated:
    return Unevaluated("PAYER", "payer-not-known", None, f"{why}; only the rules for every payer were applied")


def _guarded(check: Check) -> Check:
    """The check, with what it raises as its answer."""

    def guarded(*arguments: Any) -> Any:
        try:
            return check(*arguments)
        except Exception as error:  # noqa: BLE001
            return error

    return guarded


def _order(found: _Found) -> tuple[Any, ...]:
    finding = found.finding
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
        change=None,
    )
