"""The 277CA that the console shows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rules import ClaimError, Disposition, RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from worker.console.answer_277ca import masked_277ca
from worker.pipeline import handle
from worker.x12 import Event, read_events

CLAIMS = Path(__file__).parents[1] / "golden" / "claims"
AT = datetime(2026, 8, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", ["professional_837.837", "institutional_837.837"])
def test_the_patient_is_hidden(ruleset: RuleSet, name: str) -> None:
    """Nobody's name, member number or account number is in it; provider, status and remedy are."""
    with (CLAIMS / name).open("rb") as file:
        events = [each for each in read_events(file) if isinstance(each, Event)]
    count = 0
    for event in events:
        outcome = handle(event.raw, ruleset)
        if outcome.disposition is not Disposition.FLAGGED:
            continue
        count += 1
        assert outcome.value is not None
        said = masked_277ca(outcome.value, AT)
        claim = event.claim
        people = [each for each in (claim.subscriber, claim.patient) if each is not None]
        private = [claim.patient_control_number, claim.subscriber.member_number, claim.clearinghouse_trace_number]
        private += [name for each in people for name in (each.first_name, each.last_name)]
        values = {part for segment in said.replace("~", "").splitlines() for part in segment.split("*")}
        assert values.isdisjoint({each for text in filter(None, private) for each in (text, text.upper())})
        assert claim.billing_provider.npi in values
        assert any(segment.startswith("STC*A") for segment in said.splitlines())
    assert count > 1


def test_a_claim_that_came_as_json_has_none(ruleset: RuleSet) -> None:
    """A 277CA answers an 837; for another claim the reason is told."""
    outcome = handle(as_json(claim_content(lines=[a_line(units="2")])).encode(), ruleset)
    with pytest.raises(ClaimError, match="an 837"):
        masked_277ca(outcome.value or b"", AT)
