"""A decision says nothing of who the member is: it is shown on pages, printed, and kept beside the claims."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from rules import Claim, Decision, RuleSet
from rules.engine.examples import Example, as_json
from rules.engine.history import PriorClaim, PriorLine, StatusChange
from tests.golden.corpus import content_of, goldens
from tests.privacy.marks import Marked, nowhere
from tests.privacy.register import IDENTIFYING
from worker.codec import decision_json
from worker.history import Memory
from worker.members import Members
from worker.pipeline import handle, input_digest

_OF_HISTORY = {
    PriorClaim: ("patient_control_number", "original_reference_number", "payer_claim_control_number"),
    PriorLine: ("prior_authorization_number",),
    StatusChange: ("payer_claim_control_number",),
}
_SHORTEST = 4


def _identifying(part: Any) -> Iterator[str]:
    """What stands in the identifying fields of a claim, or of history, as it would be written."""
    kind = type(part)
    fields: dict[Any, Any]
    if dataclasses.is_dataclass(part):
        fields = vars(part)
    elif isinstance(part, tuple) and hasattr(kind, "_fields"):
        fields = dict(zip(kind._fields, part, strict=True))
    elif isinstance(part, tuple | list):
        fields = dict(enumerate(part))
    else:
        return
    names = {name for each in kind.__mro__ for name in IDENTIFYING.get(each, ())} | set(_OF_HISTORY.get(kind, ()))
    for name, value in fields.items():
        if name in names and isinstance(value, str | date):
            yield str(value)
        yield from _identifying(value)


def _marked(example: Example) -> Claim:
    """The claim with other names: those of examples stand elsewhere too, as `Example Spine Clinic`."""
    claim, marks = example[0], Marked()

    def named(person: Any) -> Any:
        names = {name: marks.mark() for name in ("last_name", "first_name") if getattr(person, name)}
        return dataclasses.replace(person, **names)

    patient = None if claim.patient is None else named(claim.patient)
    return claim.changed(subscriber=named(claim.subscriber), patient=patient)


def _texts(decision: Decision) -> Iterator[str]:
    for finding in decision.findings:
        yield from (finding.message, finding.remedy)
    for each in decision.not_evaluated:
        yield each.reason


_RULES = RuleSet.load().rules


@pytest.mark.parametrize("rule_id", _RULES)
def test_no_rule_quotes_what_identifies(ruleset: RuleSet, rule_id: str) -> None:
    """Message, remedy and reason of each rule's own examples hold no name, number or birth date of claim or history."""
    for example in (*_RULES[rule_id].flagged, *_RULES[rule_id].clean):
        claim = _marked(example)
        values = {each for each in _identifying((claim, *example[1:])) if len(each) >= _SHORTEST}
        values -= {str(line.service_date) for line in claim.lines}  # a birth date on the day of the service
        for text in _texts(ruleset.evaluate(claim, *example[1:])):
            assert [value for value in values if value in text] == []


def test_no_decision_has_a_mark(ruleset: RuleSet) -> None:
    """The golden claims with marks in every identifying field, and with fields that are not known, one member's."""
    marks = Marked()
    memory = Memory(Members("a secret", ruleset.recognised), ruleset, {})
    memory.begin()
    for golden in goldens():
        raw = as_json(marks.content(json.loads(as_json(content_of(golden))))).encode()
        outcome = handle(raw, ruleset, memory=memory)
        assert outcome.decision is not None, outcome.error
        decision = decision_json(outcome.decision, Claim.from_json(raw), input_digest(raw))
        nowhere([(f"decision about {golden.name}", decision)])
