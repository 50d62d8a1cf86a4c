"""A rule: a pure check with its metadata, registered by the `@rule` decorator in the rule's own file.

The file is `rules/<family>/<id>_<name>.py`; id, name and family come from there, so none of them is written twice.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from rules.engine.claim import Claim
from rules.engine.decision import Answer, Severity
from rules.engine.examples import Example

if TYPE_CHECKING:
    from rules.engine.pack import PlanKey

Scope = Literal["line", "group", "claim", "history"]
Status = Literal["preview", "active", "retired"]
Requirement = Literal["eligibility", "provider_records"]
BaseLayer = Literal["ptp", "aoc", "mue", "global", "mpfs"]
Check = Callable[..., Answer]
Concerns = Callable[[frozenset[str], frozenset[str], Mapping[str, Any]], bool]
ConcernsClaim = Callable[["PlanKey", Mapping[str, Any]], bool]
ConcernsDiagnosis = Callable[[str, Mapping[str, Any]], bool]
CheckT = TypeVar("CheckT", bound=Check)

FAMILIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CMP": "completeness",
        "COD": "coding",
        "UNT": "units",
        "COV": "coverage",
        "AUT": "authorization",
        "FAC": "facility",
        "PRV": "provider",
        "HIS": "history",
    }
)
ALWAYS: Final = date.min
PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "line": ("claim", "line", "policy"),
        "group": ("claim", "group", "policy"),
        "claim": ("claim", "policy"),
        "history": ("claim", "history", "policy"),
    }
)
_WITH_HISTORY = {"line": ("claim", "line", "history", "policy"), "claim": ("claim", "history", "policy")}
_CONCERNS = {
    "concerns": ("codes", "modifiers", "policy"),
    "concerns_claim": ("key", "policy"),
    "concerns_diagnosis": ("code", "policy"),
}
# A name states the defect and reads after "this claim has"; advice belongs in the remedy.
ADVICE = re.compile(r"^(check|must|require|avoid|use|do|ensure|fix)-")


class RuleDefinitionError(TypeError):
    """A rule's metadata is wrong; the message names the file and what is expected."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its metadata; see the `rule` decorator for the meaning of each field."""

    id: str
    name: str
    family: str
    title: str
    documentation: str
    severity: Severity
    reason: str
    remedy: str
    citations: tuple[str, ...]
    field: str
    scope: Scope
    procedures: frozenset[str] | None
    concerns: Concerns | None
    concerns_claim: ConcernsClaim | None
    concerns_diagnosis: ConcernsDiagnosis | None
    payers: frozenset[str] | None
    claim_types: frozenset[str]
    base_layer: BaseLayer | None
    effective: date
    terminated: date | None
    policy: tuple[str, ...]
    yields_to: frozenset[str]
    on_void: bool
    status: Status
    requires: Requirement | None
    lookback: int | None
    reads_history: bool
    clean: tuple[Example, ...]
    flagged: tuple[Example, ...]
    check: Check

    @property
    def summary(self) -> str:
        """The first paragraph of the documentation: what is flagged."""
        return self.documentation.split("\n\n", 1)[0].replace("\n", " ")


_registry: dict[str, Rule] = {}


def registered_rules() -> dict[str, Rule]:
    """Every rule imported so far, by id."""
    return dict(sorted(_registry.items()))


def rule(
    *,
    title: str,
    severity: Severity,
    reason: str,
    remedy: str,
    citations: Iterable[str],
    field: str,
    clean: Iterable[Claim | Example],
    flagged: Iterable[Claim | Example],
    scope: Scope = "line",
    procedures: Iterable[str] | None = None,
    concerns: Concerns | None = None,
    concerns_claim: ConcernsClaim | None = None,
    concerns_diagnosis: ConcernsDiagnosis | None = None,
    payers: Iterable[str] | None = None,
    claim_types: Iterable[str] = ("professional", "institutional"),
    base_layer: BaseLayer | None = None,
    effective: date = ALWAYS,
    terminated: date | None = None,
    policy: Iterable[str] = (),
    yields_to: Iterable[str] = (),
    on_void: bool = False,
    status: Status = "active",
    requires: Requirement | None = None,
    lookback: int | None = None,
) -> Callable[[CheckT], CheckT]:
    """Register a check as a rule.

    Args:
        title: what is wrong, in a few words.
        severity: what a finding weighs; lowered by itself where a value it rests on is not confirmed.
        reason: failure category, a key of `reference/x12/failure_categories.csv`.
        remedy: what to do, one imperative sentence.
        citations: keys of `reference/citations.yaml`.
        field: the field concerned, as a path in the claim: `lines[].units`, `billing_provider.npi`.
        clean: example claims without a finding of the rule, run as tests.
        flagged: example claims with one.
        scope: what the check is called with: `line` (claim, line, policy); `group` (claim, group, policy), the lines of
            one provider and date; `claim` (claim, policy); `history` (claim, history, policy). A check of a line or
            claim that only wants to know better what it judges may take the history too, before the policy: it is also
            asked where the history is not known, and then sees an empty one.
        procedures: codes that call for the rule: on the line, in the group, or anywhere on the claim; None for any.
        concerns: (codes, modifiers, policy) → False where the check can find nothing on a line, in a group or on a
            claim with these procedure codes, on a claim with no other modifiers than these. It is asked once for each
            combination, so that most claims never meet the check; it may only leave out what is surely clean. Codes
            that neither a rule nor a value names may come as one: it must not count them.
        concerns_claim: (key, policy) → the same by what else a claim comes with: see `PlanKey`.
        concerns_diagnosis: (code, policy) → the same for one diagnosis of the claim, without its dot: the check is
            asked where one of the claim's diagnoses concerns it, so never about a claim without diagnoses.
        claim_types: professional, institutional, or both.
        payers: payer keys, those that extend them included; None for every payer.
        base_layer: the part of the CMS base layer the rule applies; silent for a payer known not to follow it.
        effective: first date of service on which the rule speaks.
        terminated: date of service from which it no longer does.
        policy: names of dated values, resolved once per payer and epoch and handed to the check.
        yields_to: ids of more special rules: where one of them has a finding on the same line, this one is silent;
            where both findings name modifiers, only if they share one.
        on_void: whether the rule also judges a void (frequency 8).
        status: preview findings never flag a claim.
        requires: a field of the claim without which a rule of the scope claim cannot tell, and is published as not
            evaluated.
        lookback: of a rule of the scope history: how many days before the claim's first date of service it looks back;
            None for as long as anything is held. Where a member's claims of that time had to be dropped, a rule that
            finds nothing is published as not evaluated.

    Raises:
        RuleDefinitionError: metadata are missing or contradict the file's name, or the id is taken.
    """

    def register(check: CheckT) -> CheckT:
        module = inspect.getmodule(check)
        assert module is not None
        family, stem = module.__name__.split(".")[-2:]
        rule_id, _, name = stem.partition("_")
        rule_id, name = rule_id.upper(), name.replace("_", "-")
        made = Rule(
            id=rule_id,
            name=name,
            family=family,
            title=title,
            documentation=inspect.cleandoc(module.__doc__ or ""),
            severity=severity,
            reason=reason,
            remedy=remedy,
            citations=tuple(citations),
            field=field,
            scope=scope,
            procedures=None if procedures is None else frozenset(procedures),
            concerns=concerns,
            concerns_claim=concerns_claim,
            concerns_diagnosis=concerns_diagnosis,
            payers=None if payers is None else frozenset(payers),
            claim_types=frozenset(claim_types),
            base_layer=base_layer,
            effective=effective,
            terminated=terminated,
            policy=tuple(policy),
            yields_to=frozenset(yields_to),
            on_void=on_void,
            status=status,
            requires=requires,
            lookback=lookback,
            reads_history="history" in inspect.signature(check).parameters,
            clean=tuple(each if isinstance(each, Example) else Example(each) for each in clean),
            flagged=tuple(each if isinstance(each, Example) else Example(each) for each in flagged),
            check=check,
        )
        _validate(made)
        _registry[rule_id] = made
        return check

    return register


def _validate(made: Rule) -> None:
    for problem in (*_wrong_names(made), *_wrong_metadata(made)):
        raise RuleDefinitionError(f"{made.family}/{made.id.lower()}_{made.name.replace('-', '_')}.py: {problem}")


def _wrong_names(made: Rule) -> Iterator[str]:
    if not re.fullmatch(r"[A-Z]{3}\d{3}", made.id) or FAMILIES.get(made.id[:3]) != made.family:
        yield f"the file must be <id>_<name>.py in its family's folder; families are {dict(FAMILIES)}"
    if not made.name or ADVICE.match(made.name):
        yield "the name must state the defect, not advise"
    if made.id in _registry:
        yield f"the id {made.id} is taken by {_registry[made.id].name}"


def _wrong_metadata(made: Rule) -> Iterator[str]:
    if not made.documentation:
        yield "the module needs a docstring whose first sentence says what is flagged"
    if not made.citations:
        yield "no citation, no rule"
    if not (made.clean and made.flagged):
        yield "at least one clean and one flagged example are needed"
    parameters = tuple(inspect.signature(made.check).parameters)
    if parameters not in (PARAMETERS[made.scope], _WITH_HISTORY.get(made.scope)):
        yield f"a {made.scope} check takes {PARAMETERS[made.scope]}, not {parameters}"
    for kind, expected in _CONCERNS.items():
        function = getattr(made, kind)
        if function is not None and (parameters := tuple(inspect.signature(function).parameters)) != expected:
            yield f"{kind} takes {expected}, not {parameters}"
    if made.requires is not None and made.scope != "claim":
        yield "requires goes with the scope claim"
    if made.lookback is not None and made.scope != "history":
        yield "lookback goes with the scope history"
    if made.terminated is not None and made.terminated <= made.effective:
        yield "terminated must come after effective"
