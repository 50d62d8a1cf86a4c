"""Boundary cases of a rule: one YAML file, `tests/rules/cases/<id>.yaml`, which a coder can write.

# tests/rules/cases/unt001.yaml
- name: one unit too many on the first day of the table
  payer: AETNA                       # default MEDICARE_FFS
  claim: facility                    # default professional
  with: {received_date: 2024-08-01}  # fields of the claim that differ from the builders' clean claim
  lines: [{procedure_code: "63685", units: 2, service_date: 2024-07-01}]   # each on top of the builders' line
  findings: [{line: 1, severity: error, message: 2 units}]                 # of this rule, in order; [] is silent
  not_evaluated: needs the area      # part of the reason, where the rule must say that it could not tell
  held_since: 2024-01-01             # first day of which claims are on file; default 2000-01-01
  earlier:                           # claims on file of the same member, oldest first; [] where there are none
    - claim: facility                # these four as above; id and patient control number are other ones
      lines: [{procedure_code: "63650", service_date: 2024-06-24}]
      is_flagged: true               # by this scrubber
      answers: [{status: paid, status_date: 2024-07-01, payer_claim_control_number: ICN1}]   # in order

The tests and `claimscrub rules test` run them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from rules.engine import examples
from rules.engine.claim import Claim, ClaimError
from rules.engine.decision import Decision, Finding
from rules.engine.record import Answer
from rules.engine.ruleset import RuleSet

_CLAIM_KEYS = frozenset({"payer", "claim", "with", "lines"})
KEYS = _CLAIM_KEYS | {"name", "findings", "not_evaluated", "earlier", "held_since"}
_EARLIER_KEYS = _CLAIM_KEYS | {"is_flagged", "answers"}
FEWEST_CASES = 4
_PARTS_OF_TEXT = frozenset({"message", "remedy"})
_FINDING_KEYS = frozenset(Finding._fields)
_FAILED = "rule-error"
_PAYER = "MEDICARE_FFS"

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
    try:
        return Claim.from_json(examples.as_json(_content(case, {})))
    except ClaimError as error:
        raise CaseError(f"not a claim: {error}") from None


def case_example(case: Case) -> examples.Example:
    """The claim of a case with the history that stands there; without one, none is held.

    Raises:
        CaseError: what the case says makes no claim or no answer.
    """
    blank = {"claim_id": "", "patient_control_number": ""}
    payer = case.get("payer", _PAYER)
    return example_of(case_claim(case), case, lambda earlier: _content({"payer": payer, **earlier}, blank))


def example_of(
    claim: Claim, entry: Mapping[str, Any], content: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> examples.Example:
    """A claim with the history that `earlier` and `held_since` of an entry describe; without both, none is held.

    Args:
        claim: the claim under review.
        entry: what describes it.
        content: the claim event that an earlier claim's entry describes; a blank id or patient control number is given.

    Raises:
        CaseError: what the entry says makes no claim or no answer.
    """
    if "earlier" not in entry and "held_since" not in entry:
        return examples.Example(claim)
    earlier = []
    for each in entry.get("earlier") or ():
        if not set(each) <= _EARLIER_KEYS:
            raise CaseError(f"an earlier claim has the keys {', '.join(sorted(_EARLIER_KEYS))}")
        try:
            answers = [Answer(**answer) for answer in each.get("answers") or ()]
        except TypeError:
            raise CaseError(f"an answer has the keys {', '.join(Answer._fields)}, and a status") from None
        earlier.append(examples.Earlier(content(each), answers, each.get("is_flagged", False)))
    try:
        return examples.with_history(claim, *earlier, held_since=entry.get("held_since", examples.HELD_SINCE))
    except ClaimError as error:
        raise CaseError(f"an earlier claim is not a claim: {error}") from None


def _content(case: Case, defaults: Mapping[str, Any]) -> dict[str, Any]:
    facility = case.get("claim", "professional") == "facility"
    changes = {**defaults, **(case.get("with") or {})}
    if "lines" in case:
        line = examples.a_facility_line if facility else examples.a_line
        changes["lines"] = [line(**each) for each in case["lines"]]
    return (examples.facility_claim_content if facility else examples.claim_content)(
        case.get("payer", _PAYER), **changes
    )


def case_differences(case: Case, rule_id: str, ruleset: RuleSet) -> list[str]:
    """What a rule answers that the case does not expect; nothing if all is as it says."""
    try:
        decision = ruleset.evaluate(*case_example(case))
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


def example_differences(rule_id: str, kind: str, example: examples.Example, ruleset: RuleSet) -> list[str]:
    """What a rule answers to one of its own examples, `clean` or `flagged`, that it should not."""
    decision = ruleset.evaluate(*example)
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
