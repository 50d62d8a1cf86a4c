"""Contract overlays: what one biller has agreed with its payers, or knows about itself, in a YAML file of its own.

    # contracts/example-spine.yaml
    name: Example Spine Clinic
    submitter_ids: [EXSPINE]                 # loop 1000A NM109, or the sender of the interchange
    billing_npis: ["1234567893"]
    practice: {contractor_area: JJ, opd_exempt: false}    # where the claim does not say so itself
    payers:
      ANY:                                   # every payer
        rules:
          FAC002: {silent: true, why: The office suite is licensed for implants}
      AETNA:                                 # and the payers that extend it
        practice: {participation: participating}
        adoption: {ptp: {word: contract, why: "Contract 2026-14, section 3"}}
        rules:
          AUT001: {severity: error, why: "Contract 2026-14, section 5: no payment without a number"}
        policy:
          timely_filing.limits: {title: …, verified_on: …, values: {…}}   # as in a payer profile, without citation

One worker serves many billers: the overlay of a claim is that of its billing NPI, else that of its submitter. Whatever
it changes stands in the decision. A mistake in an overlay is refused when it is loaded, with file and line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, Self

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator

from rules.engine.claim import Claim, Practice, json_path
from rules.engine.decision import Citation, Severity
from rules.engine.files import files_of
from rules.engine.payer import ADOPTION, ROOT, PayerProfile, RuleChange
from rules.engine.policy import Confidence, DatedValue, Policy, ReferenceDataError, read_policy
from rules.engine.rule import BaseLayer

ANY: Final = "ANY"
_Words = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
_Id = Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True, to_upper=True)]
_Npi = Annotated[str, StringConstraints(pattern=r"^[12][0-9]{9}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Change(_Strict):
    silent: Literal[True] | None = None
    severity: Severity | None = None
    why: _Words

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.silent is None) == (self.severity is None):
            raise ValueError("expected either silent: true or severity: error, warning or info")
        return self


class _Adoption(_Strict):
    word: Literal["contract", "off"]
    why: _Words


class _ForPayer(_Strict):
    practice: dict[str, Any] = {}
    adoption: dict[BaseLayer, _Adoption] = {}
    rules: dict[str, _Change] = {}
    policy: dict[str, Any] = {}


class _Overlay(_Strict):
    name: _Words
    submitter_ids: list[_Id] = []
    billing_npis: list[_Npi] = []
    practice: dict[str, Any] = {}
    payers: dict[str, _ForPayer] = {}

    @model_validator(mode="after")
    def _of_somebody(self) -> Self:
        if not self.submitter_ids and not self.billing_npis:
            raise ValueError("expected submitter_ids, billing_npis or both: whose claims the overlay is for")
        return self


@dataclass(frozen=True, slots=True)
class Contract:
    """One overlay, laid over the payer profiles.

    Attributes:
        key: the file's name without its ending.
        profiles: payer key → profile with what the overlay changes.
        practices: payer key → what the overlay knows about the practice; no entry where it knows nothing.
    """

    key: str
    name: str
    submitter_ids: frozenset[str]
    billing_npis: frozenset[str]
    profiles: Mapping[str, PayerProfile]
    practices: Mapping[str, Practice]
    policies: tuple[Policy, ...]

    @property
    def citation(self) -> Citation:
        """The overlay as a source."""
        return Citation(_source(self.key), self.name, "Contract overlay", self.key, "", "contract")

    def completed(self, claim: Claim, payer: str) -> Claim:
        """The claim with what the overlay knows about the practice; what the claim says itself goes before."""
        known = self.practices.get(payer)
        if known is None:
            return claim
        said = {name: getattr(claim.practice, name) for name in claim.practice.model_fields_set}
        said = {name: value for name, value in said.items() if value not in ("", None)}
        return claim.changed(practice=known.model_copy(update=said) if said else known)


class Contracts:
    """The overlays of a deployment, and whose a claim is."""

    def __init__(self, contracts: tuple[Contract, ...] = ()) -> None:
        self.all = contracts
        self.by_key = {each.key: each for each in contracts}
        self._by_npi = {npi: each for each in contracts for npi in each.billing_npis}
        self._by_submitter = {submitter: each for each in contracts for submitter in each.submitter_ids}

    def of(self, claim: Claim) -> Contract | None:
        """The overlay of a claim: of its billing NPI, else of its submitter, else none."""
        if not self.all:
            return None
        found = self._by_npi.get(claim.billing_provider.npi) or self._by_submitter.get(claim.submitter_id)
        if found is None and claim.x12 is not None and not claim.submitter_id:
            found = self._by_submitter.get(claim.x12["sender_id"].upper())
        return found


def load_contracts(
    folder: Path, profiles: Mapping[str, PayerProfile], rule_ids: frozenset[str], policy_names: frozenset[str]
) -> Contracts:
    """Every overlay of a folder of YAML files.

    Args:
        folder: the files `*.yaml`, one for each biller.
        profiles: the payer profiles they are laid over.
        rule_ids: the rules there are to change.
        policy_names: the values there are to change.

    Raises:
        ReferenceDataError: an overlay is wrong; the message names file, line, field and what is expected.
    """
    contracts: list[Contract] = []
    taken: dict[str, str] = {}
    for path in files_of(folder, "*.yaml"):
        contract = _Reader(path, profiles, rule_ids, policy_names).read(taken)
        contracts.append(contract)
    if not contracts:
        raise ReferenceDataError(f"{folder}: no contract overlays; expected files *.yaml")
    return Contracts(tuple(contracts))


class _Reader:
    """One file, read with the line of everything in it at hand."""

    def __init__(
        self,
        path: Path,
        profiles: Mapping[str, PayerProfile],
        rule_ids: frozenset[str],
        policy_names: frozenset[str],
    ) -> None:
        self.path = path
        self.profiles = profiles
        self.rule_ids = rule_ids
        self.policy_names = policy_names
        self.root: yaml.Node | None = None

    def read(self, taken: dict[str, str]) -> Contract:
        """The overlay; `taken` holds the ids and NPIs of those before, with their files."""
        overlay = self._parse()
        for field, ids in (("submitter_ids", overlay.submitter_ids), ("billing_npis", overlay.billing_npis)):
            for position, identity in enumerate(ids):
                if (other := taken.setdefault(f"{field} {identity}", self.path.name)) != self.path.name:
                    self._refuse((field, position), f"{identity} stands in {other} too")
        self._check_practice((), overlay.practice)
        own = {payer: self._own(payer, each) for payer, each in overlay.payers.items()}
        practices = {}
        profiles = {}
        for key, profile in self.profiles.items():
            # What is said of a payer goes before what is said of one that it extends, and that before ANY.
            layers = [
                each for each in (ANY, *reversed(profile.ancestors)) if each in own and (each != ROOT or key == ROOT)
            ]
            practice = dict(overlay.practice)
            for each in layers:
                practice |= overlay.payers[each].practice
                profile = _laid_over(profile, own[each])  # noqa: PLW2901  (layer by layer)
            profiles[key] = profile
            if practice:
                practices[key] = Practice.model_validate(practice)
        return Contract(
            key=self.path.stem,
            name=overlay.name,
            submitter_ids=frozenset(overlay.submitter_ids),
            billing_npis=frozenset(overlay.billing_npis),
            profiles=profiles,
            practices=practices,
            policies=tuple(policy for each in own.values() for policy in each.policies.values()),
        )

    def _own(self, payer: str, given: _ForPayer) -> _Own:
        if payer != ANY and payer not in self.profiles:
            self._refuse(("payers", payer), f"no payer {payer}; expected {ANY} or one of {', '.join(self.profiles)}")
        for rule_id in given.rules:
            if rule_id not in self.rule_ids:
                self._refuse(("payers", payer, "rules", rule_id), f"no rule {rule_id}; see: claimscrub rules list")
        self._check_practice(("payers", payer), given.practice)
        by = f"contract {self.path.stem}"
        policies = {}
        for name, entry in given.policy.items():
            where = ("payers", payer, "policy", name)
            if name not in self.policy_names:
                self._refuse(where, f"no value {name}; see: claimscrub rules explain")
            try:
                policies[name] = read_policy(name, _with_source(entry, _source(self.path.stem)), self.path)
            except ReferenceDataError as error:
                self._refuse(where, str(error).removeprefix(f"{self.path.name}: {name}: "))
        return _Own(
            rules={
                rule_id: RuleChange(bool(each.silent), each.severity, each.why, by=by)
                for rule_id, each in given.rules.items()
            },
            adoption=_adoption({layer: each.word for layer, each in given.adoption.items()}, self.path.stem),
            refusals={
                layer: RuleChange(silent=True, severity=None, why=each.why, by=by)
                for layer, each in given.adoption.items()
                if each.word == "off"
            },
            policies=policies,
        )

    def _check_practice(self, where: tuple[str, ...], given: Mapping[str, Any]) -> None:
        for name in given:
            if name not in Practice.model_fields:
                expected = ", ".join(Practice.model_fields)
                self._refuse((*where, "practice", name), f"no such fact; expected one of {expected}")
        try:
            Practice.model_validate(given, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            self._refuse((*where, "practice", *first["loc"]), first["msg"])

    def _parse(self) -> _Overlay:
        try:
            text = self.path.read_text(encoding="utf-8")
            self.root = yaml.compose(text, Loader=yaml.SafeLoader)
            if self.root is not None:
                self._refuse_repeated_keys(self.root, ())
            content = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = 1 if error.problem_mark is None else error.problem_mark.line + 1
            raise ReferenceDataError(f"{self.path.name}:{line}: not YAML: {error.problem}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ReferenceDataError(f"{self.path.name}:1: not YAML in UTF-8: {error}") from None
        try:
            return _Overlay.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            problem = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                problem = "no such field here"
            self._refuse(tuple(first["loc"]), problem)

    def _refuse_repeated_keys(self, node: yaml.Node, where: tuple[int | str, ...]) -> None:
        """YAML would take the last of two entries with one key, and nobody would know."""
        seen = set()
        for key, line, child in _children(node):
            if key in seen:
                raise ReferenceDataError(f"{self.path.name}:{line}: {json_path((*where, key))} stands twice")
            seen.add(key)
            self._refuse_repeated_keys(child, (*where, key))

    def _refuse(self, where: tuple[int | str, ...], problem: str) -> NoReturn:
        """Raise, with the line of the deepest part of `where` that stands in the file."""
        node, line = self.root, 1
        for step in where:
            found = [(at, child) for key, at, child in _children(node) if key == step]
            if not found:
                break
            line, node = found[0]
        raise ReferenceDataError(f"{self.path.name}:{line}: {json_path(where)}: {problem}")


@dataclass(frozen=True, slots=True)
class _Own:
    """What an overlay says about one payer."""

    rules: Mapping[str, RuleChange]
    adoption: Policy | None
    refusals: Mapping[str, RuleChange]
    policies: Mapping[str, Policy]


def _laid_over(profile: PayerProfile, own: _Own) -> PayerProfile:
    adopting = profile if own.adoption is None else profile.adopting(own.adoption)
    return replace(
        adopting,
        rules={**profile.rules, **own.rules},
        refusals={**profile.refusals, **own.refusals},
        policies={**adopting.policies, **own.policies},
    )


def _adoption(words: Mapping[str, str], key: str) -> Policy | None:
    if not words:
        return None
    value = DatedValue(date.min, words, (_source(key),), Confidence.CONTRACT, None)
    return Policy(ADOPTION, "What the contract says of the CMS base layer", date.min, (value,))


def _children(node: yaml.Node | None) -> Iterator[tuple[int | str, int, yaml.Node]]:
    """Key or position, the line on which it begins (from 1), and the node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key.value, key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield position, value.start_mark.line + 1, value


def _source(key: str) -> str:
    return f"contract:{key}"


def _with_source(entry: Any, source: str) -> Any:
    """A policy whose values cite the contract, and are as sure as one, unless they say otherwise."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("values"), Mapping):
        return entry
    values: dict[date, Any] = {}
    for start, value in entry["values"].items():
        sourced = {"citation": source, "confidence": "contract", **value} if isinstance(value, Mapping) else value
        values[start] = sourced
    return {**entry, "values": values}
