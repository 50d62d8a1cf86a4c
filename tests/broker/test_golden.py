"""The golden corpus through a worker on a real broker: what is published is what is on file."""

import json
import re
from typing import Any

import pytest

from rules import Disposition, RuleSet
from rules.engine.examples import MEMBER_NUMBERS, as_json, claim_content
from tests.golden.corpus import content_of, decisions_file, goldens, read_theme, reduced
from tests.worker_process import Pipeline, member_number

pytestmark = pytest.mark.broker


def test_golden_claims_get_their_decisions_from_a_worker(pipeline: Pipeline, ruleset: RuleSet) -> None:
    """Every golden claim event without a history comes out on the topic of its disposition, with the decision on file.

    Each is its member's first claim. So no history rule has anything to say of it, but on file, where nothing is known
    of any history, they may say less or more about why.
    """
    events = [each for each in goldens() if "as_837" not in read_theme(each.theme) and not each.has_history]
    on_file = {
        name: decision
        for path in {golden.theme for golden in events}
        for name, decision in json.loads(decisions_file(path).read_text(encoding="utf-8")).items()
    }
    contents = [_of_its_own_member(number, content_of(golden)) for number, golden in enumerate(events)]
    # The latest first: history is held since the receipt of the first, and none is held when the others come.
    contents.sort(key=lambda content: str(content.get("received_date") or ""), reverse=True)
    pipeline.send([(None, as_json(content).encode()) for content in contents])
    with pipeline.worker():
        pipeline.wait_for_all()
    published = {}
    for topic, messages in pipeline.outputs().items():
        for message in messages:
            decision = json.loads(message.value())["decision"]
            assert Disposition(topic).value == decision["disposition"]
            assert decision["history"] is not None
            published[decision["claim_id"]] = _without_history(reduced(decision), ruleset)

    assert len(published) == len(events)
    assert published == {golden.name: _without_history(on_file[golden.name], ruleset) for golden in events}


def _of_its_own_member(number: int, content: dict[str, Any]) -> dict[str, Any]:
    """The claim with another member number of the same form, unless its member number is what it is about."""
    payer = content["payer"].get("key", "")
    given = content["subscriber"].get("member_number", "")
    if given != claim_content(payer)["subscriber"]["member_number"]:
        return content
    if payer in MEMBER_NUMBERS:
        own = member_number(number)
    else:
        own = re.sub(r"\d+", lambda digits: f"{number:0{len(digits[0])}}", given)
    changed: dict[str, Any] = json.loads(as_json(content).replace(given, own))  # an authorization may name it as well
    return changed


def _without_history(decision: dict[str, Any], ruleset: RuleSet) -> dict[str, Any]:
    """A decision without what could not be told for want of history."""
    of_history = {"HISTORY", *(rule.id for rule in ruleset.rules.values() if rule.scope == "history")}
    told = [each for each in decision["not_evaluated"] if each["rule_id"] not in of_history]
    return {**decision, "not_evaluated": told, "history": None}
