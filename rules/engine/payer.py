"""Payer profiles: who a payer is, which rules it changes, which values are its own.

    # rules/payers/oxford.yaml
    OXFORD:
      name: Oxford (UnitedHealthcare)
      line: commercial
      extends: UHC_COM
      adoption:                                   # how sure it is that the payer follows the CMS base layer
        {title: …, verified_on: …, values: {2024-01-01: {value: {ptp: confirmed}, citation: …}}}
      rules: {UNT002: {severity: warning, why: …, citation: …}, FAC004: {silent: true, why: …, citation: …}}
      policy: {filing_limit: {title: …, verified_on: …, values: {…}}}

A profile inherits everything from what it extends, key by key; the root is `OTHER`, any payer.

The profile of a claim is that of its payer key. A claim without one, as every claim read from an 837, is recognised by
payer ID, payer name and filing indicator: the order stands in `recognition.py`, what is known of payers in
`rules/payers/recognition.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

from rules.engine.decision import Severity
from rules.engine.policy import DatedValue, Policy, ReferenceDataError, read_policy, read_yaml

ROOT = "OTHER"
ADOPTION = "adoption"
BASE_LAYERS = ("ptp", "aoc", "mue", "global", "mpfs")
UNKNOWN = "assumed"
ADOPTION_WORDS = ("own", "confirmed", "assumed", "contract", "off")
RECOGNITION_FILE = "recognition.yaml"
_KEYS = {"name", "line", "extends", "adoption", "rules", "policy"}


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What a payer, or a biller's contract with it, changes about a rule, on the record.

    Attributes:
        silent: the rule's findings are put aside; the decision names them and the reason.
        citation: key of the source; blank for a contract, which is its own.
        by: payer key, or the name of the contract.
    """

    silent: bool
    severity: Severity | None
    why: str
    citation: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class PayerProfile:
    """One payer with everything inherited.

    Attributes:
        ancestors: the payer's key and those it extends, nearest first.
        policies: values of its own, by name; `adoption` is one: base layer (ptp, aoc, mue, global, mpfs) → how sure it
            is that the payer follows it: own, confirmed, assumed, contract or off.
        refusals: base layer → why a contract has it off.
    """

    key: str
    name: str
    line: str
    ancestors: tuple[str, ...]
    rules: Mapping[str, RuleChange] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    refusals: Mapping[str, RuleChange] = field(default_factory=dict)

    def follows(self, layer: str, day: date | None = None) -> str:
        """How sure it is that the payer follows a part of the base layer on a date of service; without one, today."""
        policy = self.policies[ADOPTION]
        value = policy.values[-1] if day is None else policy.on(day)
        return value.value.get(layer, UNKNOWN) if value is not None and not value.closed else UNKNOWN

    def adopting(self, own: Policy) -> Self:
        """The profile with other words, layer by layer and date by date."""
        return replace(self, policies={**self.policies, ADOPTION: _laid_over(self.policies.get(ADOPTION), own)})


def load_profiles(folder: Path) -> dict[str, PayerProfile]:
    """Every payer profile of a folder of YAML files, inheritance resolved.

    Raises:
        ReferenceDataError: a file is wrong; the message names it, the payer and what is expected.
    """
    entries: dict[str, tuple[Mapping[str, Any], Path]] = {}
    for path in sorted(set(folder.glob("*.yaml")) - {folder / RECOGNITION_FILE}):
        for key, entry in (read_yaml(path) or {}).items():
            if not isinstance(entry, Mapping) or not set(entry) <= _KEYS:
                raise ReferenceDataError(f"{path.name}: {key}: expected the keys {', '.join(sorted(_KEYS))}")
            if key in entries:
                raise ReferenceDataError(f"{path.name}: {key} stands in {entries[key][1].name} too")
            entries[key] = (entry, path)
    profiles: dict[str, PayerProfile] = {}

    def resolve(key: str, heirs: tuple[str, ...]) -> PayerProfile:
        if key in profiles:
            return profiles[key]
        if key not in entries or key in heirs:
            raise ReferenceDataError(
                f"payers: {heirs[-1] if heirs else key} extends {key}, which is unknown or circular"
            )
        entry, path = entries[key]
        parent = None if key == ROOT else resolve(entry.get("extends", ROOT), (*heirs, key))
        profiles[key] = _profile(key, entry, path, parent)
        return profiles[key]

    for key in entries:
        resolve(key, ())
    return profiles


def _profile(key: str, entry: Mapping[str, Any], path: Path, parent: PayerProfile | None) -> PayerProfile:
    policies = {name: read_policy(name, value, path) for name, value in (entry.get("policy") or {}).items()}
    changes = {rule_id: _change(key, rule_id, value, path) for rule_id, value in (entry.get("rules") or {}).items()}
    profile = PayerProfile(
        key=key,
        name=entry["name"],
        line=entry["line"],
        ancestors=(key, *(parent.ancestors if parent else ())),
        rules={**(parent.rules if parent else {}), **changes},
        policies={**(parent.policies if parent else {}), **policies},
    )
    if "adoption" not in entry:
        return profile
    adoption = read_policy(ADOPTION, entry["adoption"], path)
    for value in adoption.values:
        for layer, word in (value.value or {}).items():
            if layer not in BASE_LAYERS or word not in ADOPTION_WORDS:  # YAML reads a bare off as false
                expected = f"one of {', '.join(BASE_LAYERS)} with one of {', '.join(ADOPTION_WORDS)}, quoted"
                raise ReferenceDataError(f"{path.name}: {key}: adoption of {layer}: expected {expected}")
    return profile.adopting(adoption)


def _laid_over(held: Policy | None, own: Policy) -> Policy:
    """Words of adoption over those held: what is not said again stays."""
    if held is None:
        return own
    values = []
    for start in sorted({*held.boundaries, *own.boundaries}):
        before = held.on(start)
        said = (value for value in own.values if value.start <= start)
        parts = [each for each in (before, *said) if each is not None and not each.closed]
        values.append(
            DatedValue(
                start,
                {layer: word for each in parts for layer, word in each.value.items()},
                tuple(dict.fromkeys(citation for each in parts for citation in each.citations)),
                parts[-1].confidence,
                None,
            )
        )
    return Policy(own.name, own.title, own.verified_on, tuple(values))


def _change(key: str, rule_id: str, entry: Any, path: Path) -> RuleChange:
    try:
        severity = Severity(entry["severity"]) if "severity" in entry else None
        return RuleChange(bool(entry.get("silent", False)), severity, entry["why"], entry["citation"], key)
    except (KeyError, TypeError, ValueError):
        raise ReferenceDataError(
            f"{path.name}: {key}: {rule_id}: expected silent: true or severity, with why and citation"
        ) from None
