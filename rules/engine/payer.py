"""Payer profiles: who a payer is, which rules it changes, which values are its own.

    # rules/payers/oxford.yaml
    OXFORD:
      name: Oxford (UnitedHealthcare)
      line: commercial
      extends: UHC_COM
      adoption: {ptp: assumed}                    # how sure it is that the payer follows the CMS base layer
      rules: {UNT002: {severity: warning, why: …, citation: …}, FAC004: {silent: true, why: …, citation: …}}
      policy: {filing_limit: {title: …, verified_on: …, values: {…}}}

A profile inherits everything from what it extends, key by key; the root is `OTHER`, any payer.

The profile of a claim is that of its payer key. A claim without one, as every claim read from an 837, is recognised by
payer ID, payer name and filing indicator: the order stands in `recognition.py`, what is known of payers in
`rules/payers/recognition.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rules.engine.decision import Severity
from rules.engine.policy import Policy, ReferenceDataError, read_policy, read_yaml

ROOT = "OTHER"
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
        adoption: base layer (ptp, aoc, mue, global, mpfs) → own, confirmed, assumed, contract or off.
        refusals: base layer → why a contract has it off.
    """

    key: str
    name: str
    line: str
    ancestors: tuple[str, ...]
    adoption: Mapping[str, str]
    rules: Mapping[str, RuleChange] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    refusals: Mapping[str, RuleChange] = field(default_factory=dict)


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
    for layer, word in (entry.get("adoption") or {}).items():
        if word not in ADOPTION_WORDS:  # YAML reads a bare off as false
            raise ReferenceDataError(
                f"{path.name}: {key}: adoption of {layer}: expected one of {ADOPTION_WORDS}, quoted"
            )
    changes = {rule_id: _change(key, rule_id, value, path) for rule_id, value in (entry.get("rules") or {}).items()}
    return PayerProfile(
        key=key,
        name=entry["name"],
        line=entry["line"],
        ancestors=(key, *(parent.ancestors if parent else ())),
        adoption={**(parent.adoption if parent else {}), **(entry.get("adoption") or {})},
        rules={**(parent.rules if parent else {}), **changes},
        policies={**(parent.policies if parent else {}), **policies},
    )


def _change(key: str, rule_id: str, entry: Any, path: Path) -> RuleChange:
    try:
        severity = Severity(entry["severity"]) if "severity" in entry else None
        return RuleChange(bool(entry.get("silent", False)), severity, entry["why"], entry["citation"], key)
    except (KeyError, TypeError, ValueError):
        raise ReferenceDataError(
            f"{path.name}: {key}: {rule_id}: expected silent: true or severity, with why and citation"
        ) from None
