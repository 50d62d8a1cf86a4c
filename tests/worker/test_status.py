"""The claim status event: what it says, and how a fault in one is named."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rules import Answer, ClaimError, RuleSet
from rules.engine.examples import as_json, claim_content
from tests.x12.writer_responses import Acknowledged, Remitted, write_277ca, write_835
from worker.history import Memory
from worker.members import Members
from worker.pipeline import handle, take_status
from worker.status import ClaimStatus, status_schema, with_payer_key
from worker.x12 import StatusEvent, read_statuses

EVENT: dict[str, Any] = {
    "payer": {"key": "AETNA", "name": "Aetna", "payer_id": "60054", "filing_indicator": "CI"},
    "member_number": "W000000001",
    "status": "paid",
    "status_date": "2026-08-20",
    "claim_id": "CLAIM-1",
    "patient_control_number": "PCN-1",
    "billing_npi": "1234567893",
    "clearinghouse_trace_number": "TRACE-1",
    "payer_claim_control_number": "ICN-2",
    "original_reference_number": "ICN-1",
}


def _json(**changes: Any) -> str:
    content = {**EVENT, **changes}
    return json.dumps({name: value for name, value in content.items() if value is not None})


def test_answer_says_all_that_the_event_does() -> None:
    """Every field of the event but payer and member is one of the answer."""
    status = ClaimStatus.from_json(_json())

    assert status.payer.key == "AETNA"
    assert status.member_number == "W000000001"
    assert status.answer() == Answer(
        status="paid",
        status_date=date(2026, 8, 20),
        claim_id="CLAIM-1",
        patient_control_number="PCN-1",
        billing_npi="1234567893",
        clearinghouse_trace_number="TRACE-1",
        payer_claim_control_number="ICN-2",
        original_reference_number="ICN-1",
    )


@pytest.mark.parametrize("status", ["accepted", "rejected", "paid", "denied", "replaced", "voided"])
@pytest.mark.parametrize(
    "name", ["claim_id", "patient_control_number", "clearinghouse_trace_number", "payer_claim_control_number"]
)
def test_little_is_enough(status: str, name: str) -> None:
    """Member number, status and one of the claim's numbers make an event."""
    read = ClaimStatus.from_json(json.dumps({"member_number": " w1 ", "status": status, name: "N1"}))
    assert (read.member_number, read.status, getattr(read.answer(), name)) == ("W1", status, "N1")


def test_blank_means_missing_and_unknown_fields_are_passed_over() -> None:
    """A blank date is none; a field that is not known is no fault."""
    assert ClaimStatus.from_json(_json(status_date="", reason="MARKED")).status_date is None


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("MARKED", "$: not JSON: expected value at line 1 column 1; expected one JSON object in UTF-8"),
        ("[]", "$: not an object; expected an object"),
        (_json(member_number=None), "member_number: missing; expected a value"),
        (_json(member_number=" "), "member_number: missing; expected a value"),
        (_json(member_number=1), "member_number: not a string; expected a string"),
        (_json(status="MARKED"), "status: value not known; expected one of 'accepted', 'rejected', 'paid', 'denied'"),
        (_json(status="received"), "status: value not known; expected one of 'accepted', 'rejected', 'paid', 'denied'"),
        (_json(status=""), "status: missing; expected a value"),
        (_json(status_date="MARKED"), "status_date: not a date; expected a date as YYYY-MM-DD"),
        (_json(claim_id="MARKED 1"), "claim_id: not printable ASCII without blanks; expected letters, digits and"),
        (_json(payer="MARKED"), "payer: not an object; expected an object"),
        (_json(payer={"key": 1}), "payer.key: not a string; expected a string"),
        (_json(billing_npi="MARKED" * 20), "billing_npi: string too long; expected a shorter string"),
        (_json()[:-1] + ',"x":NaN}', "$: not JSON: NaN stands for a number; expected a finite number or null"),
        (
            '{"member_number":"MARKED","status":"paid","billing_npi":"1"}',
            "$: it names no claim; expected claim_id, patient_control_number, clearinghouse_trace_number or payer",
        ),
    ],
)
def test_fault_is_named_without_any_value(raw: str, said: str) -> None:
    """An error has path, problem and what is expected, and nothing of the event's content."""
    with pytest.raises(ClaimError) as raised:
        ClaimStatus.from_json(raw)
    assert str(raised.value).startswith(said)
    assert "MARKED" not in str(raised.value)


def test_schema_agrees_with_the_reader() -> None:
    """What the schema says of an event is what the reader says of it."""
    validator = jsonschema.Draft202012Validator(status_schema())
    assert validator.is_valid(EVENT)
    for changes in ({"status": "received"}, {"member_number": ""}, {"claim_id": "a b"}, {"status_date": "2026"}):
        assert not validator.is_valid({**EVENT, **changes})
    unnamed = {"member_number": "W1", "status": "paid"}
    assert not validator.is_valid(unnamed)
    assert not validator.is_valid({**unnamed, "claim_id": ""})
    assert validator.is_valid({**unnamed, "claim_id": "C1"})


def test_example_of_the_documentation_is_a_status() -> None:
    """The event shown in docs/status.md is one."""
    text = (Path(__file__).parents[2] / "docs" / "status.md").read_text()
    shown = text.partition("```json\n")[2].partition("```")[0]
    assert ClaimStatus.from_json(shown).status == "rejected"


@pytest.mark.parametrize("payer", [{"payer": {"name": "A", "own": 1}}, {"payer": {}}, {}])
def test_payer_key_is_put_in_and_the_rest_stays(payer: dict[str, Any]) -> None:
    """Whatever else the event and its payer hold is kept."""
    event = {"member_number": "W1", "status": "paid", "claim_id": "C1", "own": [1, "Ä"], **payer}
    changed = json.loads(with_payer_key(json.dumps(event).encode(), "AETNA"))
    assert changed == {**event, "payer": {**payer.get("payer", {}), "key": "AETNA"}}


RECEIVED_MS = 1_786_300_000_000  # 2026-08-09
MEMBER = {
    "member_number": "W000000001",
    "last_name": "Example",
    "first_name": "Avery",
    "birth_date": "1955-03-01",
    "sex": "F",
}
PAYER = {"name": "CIGNA", "payer_id": "62308", "filing_indicator": "CI", "responsibility": "P"}


def _duplicates_found(ruleset: RuleSet, responses: Iterable[str], **changes: Any) -> list[str]:
    """The rules about claims sent again that speak of a claim's second sending, after these responses to the first."""
    memory = Memory(Members("secret", ruleset.recognised), ruleset, {}, 1_000)
    content = {**claim_content(patient_control_number="PCN-1", payer=PAYER, subscriber=MEMBER)}
    handle(as_json({**content, "claim_id": "C1"}).encode(), ruleset, RECEIVED_MS, memory)
    for text in responses:
        for item in read_statuses(io.BytesIO(text.encode())):
            assert isinstance(item, StatusEvent)
            assert take_status(item.raw, memory).changes
    again = as_json({**content, "claim_id": "C2", **changes}).encode()
    decision = json.loads(handle(again, ruleset, RECEIVED_MS, memory).value or b"")["decision"]
    return [each["rule_id"] for each in decision["findings"] if each["rule_id"] in ("HIS001", "HIS003", "HIS006")]


def test_what_a_277ca_says_decides_about_the_next_claim(ruleset: RuleSet) -> None:
    """A claim that is sent again is a duplicate of one that was accepted, and of none that was rejected."""
    rejected, accepted = (write_277ca([Acknowledged("PCN-1", [status])]) for status in ("A7:476", "A2:20"))

    assert _duplicates_found(ruleset, []) != []
    assert _duplicates_found(ruleset, [accepted]) != []
    assert _duplicates_found(ruleset, [rejected]) == []
    assert _duplicates_found(ruleset, [rejected, accepted]) != []


def test_what_an_835_says_decides_about_the_next_claim(ruleset: RuleSet) -> None:
    """A correction has to name the payer's latest number: that of the remittance, until the payer corrects itself."""
    sent = Remitted("PCN-1", patient="MI*W000000001", filing_indicator="12")
    adjusted = [replace(sent, code="22", paid="-7600"), replace(sent, number="ICN-2", original="ICN-1")]
    paid, corrected = (write_835(claims, payer="CIGNA", payer_id="62308") for claims in ([sent], adjusted))

    def found(number: str, *responses: str) -> list[str]:
        changes = {"frequency_code": "7", "original_reference_number": number}
        return _duplicates_found(ruleset, responses, **changes)

    assert (found("ICN-1", paid), found("ICN-2", paid)) == ([], ["HIS006"])
    assert (found("ICN-1", paid, corrected), found("ICN-2", paid, corrected)) == (["HIS006"], [])
