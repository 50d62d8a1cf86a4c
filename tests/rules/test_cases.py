"""Boundary cases of the rules: one YAML file per rule, which a coder can write.

# tests/rules/cases/unt001.yaml
- name: one unit too many on the first day of the table
  payer: AETNA                       # default MEDICARE_FFS
  claim: facility                    # default professional
  with: {received_date: 2024-08-01}  # fields of the claim that differ from the builders' clean claim
  lines: [{procedure_code: "63685", units: 2, service_date: 2024-07-01}]   # each on top of the builders' line
  findings: [{line: 1, severity: error, message: 2 units}]                 # of this rule, in order; [] is silent
  not_evaluated: needs the area      # part of the reason, where the rule must say that it could not tell
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rules import Claim, RuleSet
from rules.engine import examples

CASES = Path(__file__).parent / "cases"
KEYS = {"name", "payer", "claim", "with", "lines", "findings", "not_evaluated"}


def _cases() -> list[Any]:
    return [
        pytest.param(path.stem.upper(), case, id=f"{path.stem}: {case['name']}")
        for path in sorted(CASES.glob("*.yaml"))
        for case in yaml.safe_load(path.read_text())
    ]


def build(case: dict[str, Any]) -> Claim:
    """The claim of a case."""
    facility = case.get("claim", "professional") == "facility"
    changes = dict(case.get("with", {}))
    if "lines" in case:
        line = examples.a_facility_line if facility else examples.a_line
        changes["lines"] = [line(**each) for each in case["lines"]]
    content = (examples.facility_claim_content if facility else examples.claim_content)(
        case.get("payer", "MEDICARE_FFS"), **changes
    )
    return Claim.from_json(examples.as_json(content))


@pytest.mark.parametrize(("rule_id", "case"), _cases())
def test_case(ruleset: RuleSet, rule_id: str, case: dict[str, Any]) -> None:
    """Each case gets exactly the findings it names from the rule it is about."""
    assert set(case) <= KEYS, f"a case has the keys {sorted(KEYS)}"
    decision = ruleset.evaluate(build(case))
    found = [finding for finding in decision.findings if finding.rule_id == rule_id]
    expected = case.get("findings", [])

    for finding, wanted in zip(found, expected, strict=True):
        for key, value in wanted.items():
            actual = getattr(finding, key)
            if key in {"message", "remedy"}:
                assert value in actual
            else:
                assert actual == value, f"{key}: {finding}"

    reasons = [each.reason for each in decision.not_evaluated if each.rule_id == rule_id]
    if "not_evaluated" in case:
        assert any(case["not_evaluated"] in reason for reason in reasons), reasons
    else:
        assert reasons == []
