"""Contract overlays: whose they are, what they change, that the decision says so, and how a mistake is named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rules import Claim, Decision, Disposition, RuleSet, Severity
from rules.engine.examples import CLINIC_NPI, a_claim, a_line, as_json, claim_content
from rules.engine.policy import ReferenceDataError

ANY = "name: A\nsubmitter_ids: [A]\npayers:\n  ANY:\n"
LIMITS = "    policy:\n      timely_filing.limits:\n        title: t\n        verified_on: 2026-01-01\n"
OFFICE = """
name: Example Spine Clinic
submitter_ids: [exspine]
billing_npis: ["1234567893"]
"""


def _load(folder: Path, **files: str) -> RuleSet:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return RuleSet.load(contracts=folder)


def _two_units(payer: str = "AETNA", **changes: Any) -> Claim:
    return a_claim(payer, **{"lines": [a_line(units="2")], **changes})


def _severities(decision: Decision, rule_id: str = "UNT001") -> list[Severity]:
    return [finding.severity for finding in decision.findings if finding.rule_id == rule_id]


def test_a_contract_lowers_a_rule_and_the_decision_says_who_and_why(tmp_path: Path) -> None:
    """The finding has the contract's severity, and beside it the rule's own, the contract and the reason."""
    rules = "payers: {AETNA: {rules: {UNT001: {severity: warning, why: Paid by invoice}}}}"
    ruleset = _load(tmp_path, spine=OFFICE + rules)
    decision = ruleset.evaluate(_two_units())
    (finding,) = [each for each in decision.findings if each.rule_id == "UNT001"]

    assert decision.disposition is Disposition.CLEARED
    assert decision.contract == "spine"
    assert finding.severity is Severity.WARNING
    assert finding.change == (Severity.ERROR, "contract spine", "Paid by invoice")
    assert _severities(ruleset.evaluate(_two_units("CIGNA"))) == [Severity.ERROR]


def test_a_contract_raises_a_warning_to_an_error(tmp_path: Path) -> None:
    """What the biller's own contract says is sure enough for an error."""
    rules = "payers: {AETNA: {rules: {FAC002: {severity: error, why: Section 4}}}}"
    claim = a_claim("AETNA", place_of_service="11")

    assert RuleSet.load().evaluate(claim).disposition is Disposition.CLEARED
    assert _load(tmp_path, spine=OFFICE + rules).evaluate(claim).disposition is Disposition.FLAGGED


def test_a_silenced_finding_stands_in_the_decision(tmp_path: Path) -> None:
    """Silencing takes a finding out of what flags, never out of sight."""
    rules = "payers: {ANY: {rules: {UNT001: {silent: true, why: Two generators are agreed}}}}"
    decision = _load(tmp_path, spine=OFFICE + rules).evaluate(_two_units())
    (silenced,) = decision.silenced

    assert decision.disposition is Disposition.CLEARED
    assert _severities(decision) == []
    assert (silenced.rule_id, silenced.line, silenced.severity) == ("UNT001", 1, Severity.ERROR)
    assert (silenced.by, silenced.why) == ("contract spine", "Two generators are agreed")
    assert silenced.message.startswith("2 units of 63685")


def test_a_base_layer_that_a_contract_has_off_is_silenced_on_the_record(tmp_path: Path) -> None:
    """Adoption `off` puts aside every finding of that layer, each with the reason."""
    layer = 'payers: {AETNA: {adoption: {mue: {word: "off", why: No unit limits agreed}}}}'
    decision = _load(tmp_path, spine=OFFICE + layer).evaluate(_two_units())

    assert decision.disposition is Disposition.CLEARED
    assert [each.why for each in decision.silenced] == ["No unit limits agreed"]


def test_a_base_layer_that_a_contract_confirms_says_so_in_the_message(tmp_path: Path) -> None:
    """The adoption word of the contract stands in the finding."""
    layer = "payers: {AETNA: {adoption: {mue: {word: contract, why: Section 3}}}}"
    (finding,) = [
        each
        for each in _load(tmp_path, spine=OFFICE + layer).evaluate(_two_units()).findings
        if each.rule_id == "UNT001"
    ]

    assert "AETNA follows it: contract" in finding.message


def test_an_overlay_is_for_its_own_billers_only(tmp_path: Path) -> None:
    """It is found by billing NPI, else by submitter, else by the sender of the interchange; others are untouched."""
    silent = "payers: {ANY: {rules: {UNT001: {silent: true, why: %s}}}}"
    ruleset = _load(
        tmp_path,
        by_npi="name: A\nbilling_npis: ['1234567893']\n" + silent % "npi",
        by_submitter="name: B\nsubmitter_ids: [exspine]\n" + silent % "submitter",
    )
    elsewhere = {**claim_content()["billing_provider"], "npi": "1184567893"}

    def contract(**changes: Any) -> str:
        return ruleset.evaluate(_two_units(**changes)).contract

    assert contract() == "by_npi"
    assert contract(submitter_id="EXSPINE") == "by_npi"
    assert contract(billing_provider=elsewhere, submitter_id="EXSPINE") == "by_submitter"
    assert contract(billing_provider=elsewhere, submitter_id="exspine") == "by_submitter"
    assert contract(billing_provider=elsewhere) == ""
    assert contract(billing_provider=elsewhere, x12=_source("exspine")) == "by_submitter"
    assert contract(billing_provider=elsewhere, x12=_source("exspine"), submitter_id="OTHER1") == ""


def _source(sender: str) -> dict[str, Any]:
    part = {"first_segment": 2, "segments": "BHT*0019"}
    blank = dict.fromkeys(
        (
            *("sender_qualifier", "receiver_qualifier", "receiver_id", "interchange_control_number", "usage"),
            *("group_sender", "group_receiver", "group_control_number", "version", "transaction_control_number"),
        ),
        "",
    )
    parts = dict.fromkeys(("header", "billing_provider", "subscriber", "claim"), part)
    more = {"sender_id": sender, "claim_number": 1, "separators": "*:^~", "encoding": "utf-8", "patient": None}
    return {**blank, **parts, **more}


def test_what_is_said_of_a_payer_goes_before_what_is_said_of_those_it_extends(tmp_path: Path) -> None:
    """ANY holds for all, UHC_COM for Oxford too, and OXFORD's own word goes before both."""
    text = """
payers:
  OXFORD: {rules: {UNT001: {severity: error, why: own}}}
  UHC_COM: {rules: {UNT001: {severity: info, why: parent}}}
  ANY: {rules: {UNT001: {severity: warning, why: any}}}
"""
    ruleset = _load(tmp_path, spine=OFFICE + text)
    severities = {payer: _severities(ruleset.evaluate(_two_units(payer))) for payer in ("OXFORD", "UMR", "AETNA")}

    assert severities == {"OXFORD": [Severity.ERROR], "UMR": [Severity.INFO], "AETNA": [Severity.WARNING]}


def test_contracts_that_change_no_rule_cost_no_room(tmp_path: Path) -> None:
    """Hundreds of billers that only state their contractor area share what is compiled for everybody."""
    texts = {f"biller{n}": f"name: A\nsubmitter_ids: [S{n}]\npractice: {{contractor_area: JJ}}\n" for n in range(3)}
    ruleset = _load(tmp_path, **texts)
    decisions = [ruleset.evaluate(_two_units(submitter_id=submitter)) for submitter in ("S0", "S1", "S2", "")]
    packs = {id(pack) for series in ruleset._packs.values() for pack in series if pack}

    assert [each.contract for each in decisions] == ["biller0", "biller1", "biller2", ""]
    assert len(packs) == 1


def test_what_is_said_of_an_unknown_payer_is_said_of_no_other(tmp_path: Path) -> None:
    """OTHER is the payer that nobody knows, not every payer."""
    ruleset = _load(tmp_path, spine=OFFICE + "payers: {OTHER: {rules: {UNT001: {severity: info, why: w}}}}")

    assert _severities(ruleset.evaluate(_two_units("ACME"))) == [Severity.INFO]
    assert _severities(ruleset.evaluate(_two_units("AETNA"))) == [Severity.ERROR]


def test_an_overlay_fills_in_what_the_practice_knows_and_the_claim_does_not_say(tmp_path: Path) -> None:
    """The claim's own word goes before the overlay's; the payer's part goes before the general one."""
    text = """
practice: {contractor_area: JJ}
payers: {MEDICARE_FFS: {practice: {contractor_area: JE}}}
"""
    ruleset = _load(tmp_path, spine=OFFICE + text)

    def message(**changes: Any) -> str:
        decision = ruleset.evaluate(a_claim(place_of_service="11", **changes))
        return next(finding.message for finding in decision.findings if finding.rule_id == "FAC001")

    assert "L35136" in message()
    assert "L36204" in message(practice={"contractor_area": "JF"})
    assert "L35136" in message(practice={"opd_exempt": True, "contractor_area": ""})


def test_a_contracts_own_filing_limit_is_an_error_and_cites_the_contract(tmp_path: Path) -> None:
    """A value of the contract is as sure as one that is confirmed, and the contract is its source."""
    text = """
payers:
  AETNA:
    policy:
      timely_filing.limits:
        title: Filing limit of our contract
        verified_on: 2026-08-20
        values:
          0001-01-01:
            value:
              - {line: contract, participation: any, limit: 30, unit: days, anchor: date of service,
                 error_use: true, confidence: contract}
"""
    ruleset = _load(tmp_path, spine=OFFICE + text)
    decision = ruleset.evaluate(a_claim("AETNA", received_date="2026-09-03"))
    (finding,) = [each for each in decision.findings if each.rule_id == "HIS008"]

    assert finding.severity is Severity.ERROR
    assert "30 days" in finding.message
    assert [each.publisher for each in finding.citations if each.key == "contract:spine"] == ["Example Spine Clinic"]


def test_overlays_are_part_of_what_decides(tmp_path: Path) -> None:
    """A changed overlay is another rule set: the digest in the decision tells them apart."""
    first = _load(tmp_path, spine=OFFICE).digest

    assert first != RuleSet.load().digest
    assert first == RuleSet.load(contracts=tmp_path).digest
    assert first != _load(tmp_path, spine=OFFICE + "practice: {opd_exempt: true}").digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "bad.yaml:1: not YAML"),
        ("\ufffe", "bad.yaml:1: not YAML"),
        ("", "bad.yaml:1: $: "),
        ("name: A", "bad.yaml:1: $: expected submitter_ids, billing_npis or both"),
        ("submitter_ids: [A]", "bad.yaml:1: name: Field required"),
        ("name: A\nbilling_npis: ['123']", "bad.yaml:2: billing_npis[0]: "),
        ("name: A\nbilling_npis: [1234567893]", "bad.yaml:2: billing_npis[0]: Input should be a valid string"),
        ("name: A\nsubmitter_id: [A]", "bad.yaml:2: submitter_id: no such field here"),
        ("name: A\nsubmitter_ids: [A]\nname: B", "bad.yaml:3: name stands twice"),
        (
            "name: A\nsubmitter_ids: [A]\npractice: {area: JJ}",
            "bad.yaml:3: practice.area: no such fact; expected one of",
        ),
        ("name: A\nsubmitter_ids: [A]\npractice: {opd_exempt: maybe}", "bad.yaml:3: practice.opd_exempt: "),
        ("name: A\nsubmitter_ids: [A]\npayers:\n  ACME: {}", "bad.yaml:4: payers.ACME: no payer ACME; expected ANY or"),
        (
            ANY + "    practice: {x: 1}",
            "bad.yaml:5: payers.ANY.practice.x: no such fact",
        ),
        (
            ANY + "    rules:\n      UNT999: {silent: true, why: w}",
            "bad.yaml:6: payers.ANY.rules.UNT999: no rule UNT999",
        ),
        (
            ANY + "    rules:\n      UNT001: {silent: true}",
            "bad.yaml:6: payers.ANY.rules.UNT001.why: Field required",
        ),
        (
            ANY + "    rules:\n      UNT001: {why: w}",
            "bad.yaml:6: payers.ANY.rules.UNT001: expected either silent: true or severity",
        ),
        (
            ANY + "    rules:\n      UNT001:\n        severity: fatal\n        why: w",
            "bad.yaml:7: payers.ANY.rules.UNT001.severity: Input should be 'error', 'warning' or 'info'",
        ),
        (
            ANY + "    adoption:\n      mue: {word: never, why: w}",
            "bad.yaml:6: payers.ANY.adoption.mue.word: Input should be 'contract' or 'off'",
        ),
        (
            ANY + "    policy:\n      no.value: {}",
            "bad.yaml:6: payers.ANY.policy.no.value: no value no.value",
        ),
        (
            ANY + "    policy:\n      timely_filing.limits: {title: t}",
            "bad.yaml:6: payers.ANY.policy.timely_filing.limits: expected the keys",
        ),
        (
            ANY + LIMITS + "        values: {2026-01-01: {valeu: 1}}",
            "bad.yaml:6: payers.ANY.policy.timely_filing.limits: 2026-01-01: expected one of value, words and table",
        ),
        (
            ANY + LIMITS + "        values: {2026-01-01: {value: 1, citation: nowhere}}",
            "not known: nowhere",
        ),
    ],
)
def test_a_mistake_stops_the_start_with_file_line_and_what_is_expected(tmp_path: Path, text: str, said: str) -> None:
    """A bad overlay is never half applied."""
    with pytest.raises(ReferenceDataError, match=re.escape(said)):
        _load(tmp_path, bad=text)


def test_the_documented_example_loads_and_does_what_its_comments_say() -> None:
    """The overlay to start from is a right one."""
    ruleset = RuleSet.load(contracts=Path(__file__).parents[2] / "docs" / "examples" / "contracts")
    decision = ruleset.evaluate(a_claim("AETNA", place_of_service="11", lines=[a_line(modifiers=["LT"])]))

    assert decision.contract == "example-spine"
    assert _severities(decision, "AUT001") == [Severity.ERROR]
    assert _severities(decision, "COD012") == [Severity.INFO]
    assert [each.rule_id for each in decision.silenced] == ["FAC002"]


def test_two_overlays_for_one_biller_are_a_mistake(tmp_path: Path) -> None:
    """Nobody could tell which of them holds."""
    with pytest.raises(ReferenceDataError, match=rf"b\.yaml:2: billing_npis\[0\]: {CLINIC_NPI} stands in a\.yaml too"):
        _load(
            tmp_path,
            a=f"name: A\nbilling_npis: ['{CLINIC_NPI}']",
            b=f"name: B\nbilling_npis: ['{CLINIC_NPI}']",
        )


def test_a_folder_without_overlays_is_a_mistake(tmp_path: Path) -> None:
    """A folder that was mounted empty would otherwise look like one without contracts."""
    with pytest.raises(ReferenceDataError, match="no contract overlays; expected files"):
        RuleSet.load(contracts=tmp_path)


def test_a_claim_without_an_overlay_is_judged_as_ever(tmp_path: Path) -> None:
    """Other billers' decisions differ in nothing but the rule set's digest."""
    ruleset = _load(tmp_path, spine="name: A\nsubmitter_ids: [A]\npractice: {contractor_area: JJ}")
    claim = Claim.from_json(as_json(claim_content(lines=[a_line(units="2")])))
    plain = RuleSet.load().evaluate(claim)

    assert ruleset.evaluate(claim)._replace(rule_set_digest="") == plain._replace(rule_set_digest="")
