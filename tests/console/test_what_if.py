"""What if: the rules' answer to an edited claim, and who the claim is about stays hidden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rules import ClaimError, RuleSet, claim_schema
from rules.engine.examples import a_line, as_json, claim_content
from tests.x12.make_samples import samples
from tests.x12.reading import read_all
from worker.console.what_if import compare, decide, restored, shown

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "docs/examples/claim.json").read_bytes()
SUBSCRIBER = {
    "member_number": "1EG4TE5MK73", "last_name": "Qwertz", "first_name": "Zebulon", "birth_date": "1955-03-01",
    "sex": "F", "nickname": "Zeb",
}  # fmt: skip


def _event(**changes: Any) -> bytes:
    return as_json(claim_content(**changes)).encode()


def _edited(raw: bytes, **changes: Any) -> str:
    """What somebody makes of the claim in the editor."""
    return json.dumps({**json.loads(shown(raw)), **changes})


def test_an_edit_shows_what_it_changed(ruleset: RuleSet) -> None:
    """The finding that the edit mended is gone, one that it caused is new, and the others are the same."""
    raw = _event(lines=[a_line(units="2")], frequency_code="7")
    before = decide(raw, ruleset)
    edited = _edited(raw, lines=[a_line(units="1", modifiers=["TOOLONG"])])
    result = compare(before, decide(restored(raw, edited), ruleset))

    assert "UNT001" in {each["rule_id"] for each in result.gone}
    assert "CMP018" in {each["rule_id"] for each in result.new}
    assert "CMP014" in {each["rule_id"] for each in result.same}
    assert result.before is not None
    assert len(result.gone) + len(result.same) == len(result.before["findings"])
    assert len(result.new) + len(result.same) == len(result.after["findings"])


def test_a_claim_that_was_not_there_before_has_only_new_findings(ruleset: RuleSet) -> None:
    """A pasted claim is compared with nothing; errors come first."""
    result = compare(None, decide(EXAMPLE, ruleset))

    assert result.before is None
    assert [each["rule_id"] for each in result.new][:1] == ["COD002"]
    assert (result.gone, result.same) == ([], [])
    assert result.after["disposition"] == "flagged"


def test_history_is_left_out_and_said_to_be(ruleset: RuleSet) -> None:
    """A rule that looks at earlier claims is not evaluated, with the reason."""
    unevaluated = decide(EXAMPLE, ruleset)["not_evaluated"]

    assert [each["reason"] for each in unevaluated if each["rule_id"] == "HISTORY"] == [
        "this is decided without the member's earlier claims"
    ]


def test_what_is_no_claim_is_said_in_a_sentence(ruleset: RuleSet) -> None:
    """The error names the field and what is expected."""
    with pytest.raises(ClaimError, match=r"^lines\[0\]\.units: not a number; expected a number"):
        decide(_event(lines=[a_line(units="two")]), ruleset)
    with pytest.raises(ClaimError, match="more than one claim; expected one"):
        decide(EXAMPLE + b"\n" + EXAMPLE, ruleset)


def test_a_pasted_837_is_decided(ruleset: RuleSet) -> None:
    """It need not be made JSON first."""
    sample = next(each for each in samples().values() if len(read_all(each.text)) == 1)

    assert decide(sample.text.encode(), ruleset)["claim_id"] == read_all(sample.text)[0].claim_id


@pytest.mark.parametrize("name", ["professional", "x12"])
def test_nothing_that_says_who_the_member_is_is_shown(name: str) -> None:
    """Names, numbers and birth dates of subscriber and patient, free text, the 837's segments, fields not known."""
    if name == "x12":
        raw = read_all(next(iter(samples().values())).text)[0].raw
        content = json.loads(raw)
        content["subscriber"] |= SUBSCRIBER
    else:
        content = claim_content(
            subscriber=SUBSCRIBER,
            patient={"last_name": "Qwertz", "first_name": "Ottilie", "birth_date": "1999-09-09", "sex": "M"},
            patient_control_number="QWERTZ-1",
            notes=[{"qualifier": "ADD", "text": "Zebulon came in"}],
            fixed_format=["K3 Qwertz"],
            lines=[{**a_line(), "notes": [{"text": "Zeb again"}], "line_control_number": "QWERTZ-1-1", "by": "Zeb"}],
            eligibility=[{"member_number": "1EG4TE5MK73", "active": True}],
            authorizations=[{"number": "QWERTZ-2", "member_number": "1EG4TE5MK73"}],
            prior_authorization_number="QWERTZ-3",
        ) | {"Zebulon Qwertz": {"phone": "555"}}
    text = shown(json.dumps(content).encode())

    for word in ("zeb", "qwertz", "ottilie", "1eg4", "1955", "1999-09-09", "555", "nm1", "nickname"):
        assert word not in text.casefold()
    assert json.loads(text)["lines"][0]["procedure_code"] == content["lines"][0]["procedure_code"]
    assert json.loads(restored(json.dumps(content).encode(), text)) == content


def test_every_sample_comes_back_as_it_was() -> None:
    """What is shown and not edited is the same claim again, whatever is in it."""
    for sample in samples().values():
        for event in read_all(sample.text):
            assert json.loads(restored(event.raw, shown(event.raw))) == json.loads(event.raw)


def test_a_new_field_of_claims_is_thought_about() -> None:
    """Of short fields whose name sounds like a number or a name, each was looked at: may it be shown?"""
    schema = claim_schema()
    names = {
        name
        for model in (schema, *schema["$defs"].values())
        for name, field in model["properties"].items()
        if name.endswith(("number", "name", "birth_date", "text", "id"))
    }

    assert names == {
        "claim_id", "submitter_id", "payer_id", "repricer_id", "name", "first_name", "last_name", "birth_date", "text",
        "patient_control_number", "original_reference_number", "prior_authorization_number", "referral_number",
        "clearinghouse_trace_number", "line_control_number", "member_number", "tax_number", "number", "control_number",
        "sender_id", "receiver_id", "interchange_control_number", "group_control_number",
        "transaction_control_number", "claim_number",
    }  # fmt: skip


def test_what_is_hidden_may_be_moved_deleted_and_replaced() -> None:
    """Lines may change places with what is hidden in them; a member may get another birth date, a note may go."""
    lines = [{**a_line(), "line_control_number": f"LINE-{number}"} for number in (1, 2)]
    raw = _event(lines=lines, subscriber=SUBSCRIBER, notes=[{"text": "one"}, {"text": "two"}])
    content = json.loads(shown(raw))
    content["lines"].reverse()
    content["subscriber"]["birth_date"] = "1960-01-01"
    del content["notes"][0]
    made = json.loads(restored(raw, json.dumps(content)))

    assert [line["line_control_number"] for line in made["lines"]] == ["LINE-2", "LINE-1"]
    assert made["subscriber"] == SUBSCRIBER | {"birth_date": "1960-01-01"}
    assert made["notes"] == [{"text": "two"}]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"claim_id": "(hidden 999)"}, r"claim_id: \(hidden 999\) stands for nothing"),
        ({"claim_id": "(hidden 1)"}, r"claim_id: \(hidden 1\) belongs to "),
        ({"lines": [{"procedure_code": "(hidden 2)"}]}, r"lines\[0\]\.procedure_code: \(hidden 2\) belongs to "),
        ({"billing_provider": {"(hidden 1)": "1"}}, r"billing_provider.*: \(hidden 1\) belongs to "),
    ],
)
def test_a_mark_gives_nothing_away(changes: dict[str, Any], said: str) -> None:
    """Put into a field that findings and decisions show, a mark is refused, and not what stands behind it."""
    raw = _event(subscriber=SUBSCRIBER)

    with pytest.raises(ClaimError, match=said) as refused:
        restored(raw, _edited(raw, **changes))
    assert "Zebulon" not in str(refused.value)


@pytest.mark.parametrize(("edited", "said"), [("{", "not JSON: line 1"), ("[]", "not an object")])
def test_an_edit_that_is_no_json_object_is_refused(edited: str, said: str) -> None:
    """With line and fault."""
    with pytest.raises(ClaimError, match=said):
        restored(EXAMPLE, edited)


def test_text_that_looks_like_a_mark_is_one_and_comes_back() -> None:
    """A claim may hold anything."""
    raw = _event(submitter_id="(hidden 1)", frequency_code="(HIDDEN 1)")

    assert json.loads(restored(raw, shown(raw))) == json.loads(raw)
