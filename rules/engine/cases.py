"""Boundary cases of a rule: one YAML file, `tests/rules/cases/<id>.yaml`, which a coder can write.

# tests/rules/cases/unt001.yaml
- name: one unit too many on the first day of the table
  payer: AETNA                       # default MEDICARE_FFS
  claim: facility                    # default professional
  with: {received_date: 2024-08-01}  # fields of the claim that differ from the builders' clean claim
  lines: [{procedure_code: "63685", units: 2, service_date: 2024-07-01}]   # each on top of the builders' line
  findings: [{line: 1, severity: error, message: 2 units}]                 # of this rule, in order; [] is silent
  not_evaluated: needs the area      # part of the reason, where the rule must say that it could not tell

The tests and `claimscrub rules test` run them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from rules.engine import examples
from rules.engine.claim import Claim, ClaimError
from rules.engine.decision import Decision, Finding
from rules.engine.ruleset import RuleSet

KEYS = frozenset({"name", "payer", "claim", "with", "lines", "findings", "not_evaluated"})
FEWEST_CASES = 4
_PARTS_OF_TEXT = frozenset({"message", "remedy"})
_FINDING_KEYS = frozenset(Finding._fields)
_FAILED = "rule-error"

Case = Mapping[str, Any]


class CaseError(ValueError):
    """A case is not written as it should be; the message says what is expected."""


def read_cases(text: str) -> list[Case]:
    """The cases of a file.

    Raises:
        CaseError: it holds no list of cases, or a case with other keys.
    """
    try:
        cases = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CaseError(f"not YAML: {error}") from None
    if not isinstance(cases, list):
        raise CaseError("expected a list of cases, each with a name")
    for number, case in enumerate(cases, 1):
        if not isinstance(case, Mapping) or "name" not in case or not set(case) <= KEYS:
            raise CaseError(f"case {number}: expected a name, and of the keys {', '.join(sorted(KEYS))}")
        for wanted in case.get("findings") or ():
            if not isinstance(wanted, Mapping) or not set(wanted) <= _FINDING_KEYS:
                raise CaseError(f"case {number}: a finding has the keys {', '.join(sorted(_FINDING_KEYS))}")
    return cases


def case_claim(case: Case) -> Claim:
    """The claim of a case.

    Raises:
        CaseError: what the case changes makes no claim.
    """
    facility = case.get("claim", "professional") == "facility"
    changes = dict(case.get("with") or {})
    if "lines" in case:
        line = examples.a_facility_line if facility else examples.a_line
        changes["lines"] = [line(**each) for each in case["lines"]]
    content = (examples.facility_claim_content if facility else examples.claim_content)(
        case.get("payer", "MEDICARE_FFS"), **changes
    )
    try:
        return Claim.from_json(examples.as_json(content))
    except ClaimError as error:
        raise CaseError(f"not a claim: {error}") from None


def case_differences(case: Case, rule_id: str, ruleset: RuleSet) -> list[str]:
    """What a rule answers that the case does not expect; nothing if all is as it says."""
    try:
        decision = ruleset.evaluate(case_claim(case))
    except CaseError as error:
        return [str(error)]
    reasons = _reasons(decision, rule_id)
    expected = case.get("not_evaluated")
    differences = [*_failures(decision), *_different_findings(_found(decision, rule_id), case.get("findings") or ())]
    if expected is None:
        differences += [f"not evaluated: {reason}" for reason in reasons]
    elif not any(expected in reason for reason in reasons):
        said = f"; it says: {'; '.join(reasons)}" if reasons else ""
        differences.append(f"not evaluated because of {expected!r} is expected{said}")
    return differences


def example_differences(rule_id: str, kind: str, claim: Claim, ruleset: RuleSet) -> list[str]:
    """What a rule answers to one of its own examples, `clean` or `flagged`, that it should not."""
    decision = ruleset.evaluate(claim)
    found = _found(decision, rule_id)
    differences = [*_failures(decision)]
    if kind == "flagged" and not found:
        reasons = _reasons(decision, rule_id)
        differences.append("no finding" + (f"; not evaluated: {'; '.join(reasons)}" if reasons else ""))
    elif kind == "clean":
        differences += [f"a finding: {_told(finding)}" for finding in found]
    return differences


def _found(decision: Decision, rule_id: str) -> list[Finding]:
    return [finding for finding in decision.findings if finding.rule_id == rule_id and finding.name != _FAILED]


def _reasons(decision: Decision, rule_id: str) -> list[str]:
    return [each.reason for each in decision.not_evaluated if each.rule_id == rule_id]


def _failures(decision: Decision) -> Iterator[str]:
    return (finding.message for finding in decision.findings if finding.name == _FAILED)


def _different_findings(found: Sequence[Finding], expected: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(found) != len(expected):
        told = "".join(f"; found: {_told(finding)}" for finding in found)
        yield f"{len(expected)} findings expected, {len(found)} found{told}"
        return
    for number, (finding, wanted) in enumerate(zip(found, expected, strict=True), 1):
        for key, value in wanted.items():
            actual = getattr(finding, key)
            if actual != value and not (key in _PARTS_OF_TEXT and str(value) in actual):
                yield f"finding {number}, {key}: {value!r} expected, {str(actual)!r} found"


def _told(finding: Finding) -> str:
    where = f"line {finding.line}: " if finding.line else ""
    return f"{finding.severity.value}: {where}{finding.message}"
