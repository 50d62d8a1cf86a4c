"""A rule in words: what of it applies where, its values, its codes, and its examples as what differs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import yaml

from rules import RuleSet, Severity
from rules.engine.code_index import ANY, codes_by_rule, modifiers_by_rule
from rules.engine.contrast import contrast
from rules.engine.examples import a_claim, a_facility_claim, a_facility_line, a_line
from rules.engine.explain import codes_words, explain, explain_for, flow, short
from rules.engine.payer import RuleChange
from rules.engine.policy import Confidence, DatedValue, Policy
from rules.engine.reference import Reference

DAY = date(2026, 8, 3)


def _told(ruleset: RuleSet, rule_id: str, payer: str = "AETNA", day: date = DAY, claim_type: str | None = None) -> str:
    return explain_for(ruleset.rules[rule_id], ruleset, day, [payer], claim_type)


def _changed(ruleset: RuleSet, rule_id: str, change: RuleChange | None = None, **metadata: Any) -> RuleSet:
    """The rule set with one rule changed, by itself or by AETNA."""
    rules = {**ruleset.rules, rule_id: replace(ruleset.rules[rule_id], **metadata)}
    aetna = ruleset.profiles["AETNA"]
    if change is not None:
        aetna = replace(aetna, rules={**aetna.rules, rule_id: change})
    return RuleSet(rules, ruleset.reference, {**ruleset.profiles, "AETNA": aetna}, "1", "sha256:0")


def test_what_applies_is_told_with_values_dates_and_sources(ruleset: RuleSet) -> None:
    """Severity, adoption, and each value with since, until, confidence, data date, source and verification."""
    text = _told(ruleset, "UNT001", day=date(2024, 7, 1))

    assert text.startswith("# UNT001 units-over-daily-limit\n")
    assert "## Services of 2024-07-01: AETNA\n\nIt speaks, on professional and institutional claims.\n" in text
    assert "- **Severity**: error\n" in text
    assert "- **Follows the CMS base layer** (mue): assumed\n" in text
    assert "- **In force**: from 2024-07-01 on\n" in text
    assert "(every payer): a table of " in text
    assert "; 63685: practitioner 1, " in text
    assert "from 2024-07-01, confirmed, data of 2024-07-01; `cms-mue-2024q3`; verified on 2026-08-20" in text
    assert text.count("(`cms-mue-2024q3`, ") == 1


def test_why_a_severity_is_lower_is_told(ruleset: RuleSet) -> None:
    """A value that is not confirmed, a payer's change and a preview each say so."""
    lower = RuleChange(silent=False, severity=Severity.INFO, why="It is so", citation="ncd-160.7", by="AETNA")

    assert "warning; error by itself, lowered because units.daily_limit is presumed" in _told(
        ruleset, "UNT001", day=date(2024, 6, 30)
    )
    assert "from the start until before 2024-07-01" in _told(ruleset, "UNT001", day=date(2024, 6, 30))
    changed = _told(_changed(ruleset, "UNT001", lower), "UNT001")
    assert "info instead of error: It is so (AETNA, `ncd-160.7`)" in changed
    assert "(`ncd-160.7`, " in changed
    assert "info: a preview never flags" in _told(_changed(ruleset, "UNT001", status="preview"), "UNT001")
    weak = _changed(ruleset, "UNT001", severity=Severity.WARNING)
    assert "- **Severity**: warning\n" in _told(weak, "UNT001", day=date(2024, 6, 30))


def test_why_a_rule_does_not_speak_is_told(ruleset: RuleSet) -> None:
    """Other claims, other payers, other dates, no value, a value that ended, or put aside by the payer."""
    silent = RuleChange(silent=True, severity=None, why="Not ours", citation="ncd-160.7", by="AETNA")
    aetna = ruleset.profiles["AETNA"]
    refusal = DatedValue(date.min, {"mue": "off"}, ("coding-knowledge",), Confidence.UNVERIFIED, None)
    refusing = aetna.adopting(Policy("adoption", "t", date(2026, 1, 1), (refusal,)))
    without = RuleSet(ruleset.rules, ruleset.reference, {**ruleset.profiles, "AETNA": refusing}, "1", "sha256:0")

    assert "It does not speak: it judges institutional claims only." in _told(
        ruleset, "CMP008", claim_type="professional"
    )
    assert "It speaks, on institutional claims." in _told(ruleset, "CMP008", claim_type="institutional")
    assert "It does not speak: the rule speaks only for MEDICARE_FFS." in _told(ruleset, "CMP005")
    assert "It does not speak: the rule speaks from " in _told(ruleset, "COD010", day=date(2000, 1, 1))
    assert "no value of timely_filing.limits is held for this payer" in _told(ruleset, "HIS008", "OTHER")
    changed = _told(_changed(ruleset, "UNT001", silent), "UNT001")
    assert "Its findings are put aside: Not ours (AETNA, `ncd-160.7`)." in changed
    assert "put aside: AETNA does not follow the base layer mue (AETNA)." in _told(without, "UNT001")


def test_a_value_that_is_not_held_for_the_date_is_told(ruleset: RuleSet) -> None:
    """Before the first value of its series a rule answers that it could not tell."""
    name = "units.daily_limit"
    later = replace(ruleset.reference.policies[name], values=ruleset.reference.policies[name].values[-1:])
    reference: Reference = replace(ruleset.reference, policies={**ruleset.reference.policies, name: later})
    without = RuleSet(ruleset.rules, reference, ruleset.profiles, "1", "sha256:0")

    assert f"could not tell: no value of {name} is held" in _told(without, "UNT001", day=date(2024, 6, 30))


def test_payers_for_which_it_is_the_same_stand_together(ruleset: RuleSet) -> None:
    """A payer that inherits stands with the one it inherits from, whose value is named as its."""
    rule = ruleset.rules["HIS008"]
    text = explain_for(rule, ruleset, DAY, sorted(ruleset.profiles))

    assert "OXFORD, UHC_COM, UMR" in text
    assert "`timely_filing.limits`** (UHC_COM)" in text
    assert text.count("It does not speak") == 1
    everywhere = explain_for(ruleset.rules["CMP002"], ruleset, DAY, sorted(ruleset.profiles))
    assert f"## Services of {DAY}: every payer\n" in everywhere


def test_a_rule_is_explained_whole(ruleset: RuleSet) -> None:
    """The explanation names what a payer changes, what a rule yields to, and values that ended."""
    change = RuleChange(silent=True, severity=None, why="Not ours", citation="ncd-160.7")
    changed = _changed(ruleset, "FAC002", change)
    text = explain(changed.rules["FAC002"], changed)

    assert "- **Payers that differ**: AETNA silent (Not ours)\n" in text
    assert "- **Silent where there is a finding of**: FAC001, FAC003\n" in text
    assert "- **Silent where" not in explain(ruleset.rules["CMP002"], ruleset)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "none"),
        ((), "none"),
        ({}, "none"),
        (frozenset(), "none"),
        (12, "`12`"),
        (False, "`false`"),
        ("any text", "`any text`"),
        ("12", '`"12"`'),
        ("no", '`"no"`'),
        (frozenset({"26", "27", "28"}), "26, 27, 28"),
        (frozenset({"63661", "63662", "63663", "C1767"}), "63661 to 63663, C1767"),
        (frozenset(f"X{number}" for number in range(1000, 1040)), None),
        (({"code": "11", "since": date(2026, 1, 1), "note": None}, {"codes": ("1", "2")}), None),
        ({"63685": {"code": "63685", "limit": 1}}, "a table of 1 rows; 63685: limit 1"),
        ({"63650": {"code": "63650", "limit": 1}}, "a table of 1 rows"),
        ({"JE": "L35136", "JF": None}, "`{JE: L35136, JF: null}`"),
    ],
)
def test_values_are_told_in_a_few_words(value: Any, words: str | None) -> None:
    """Any shape of value is told shortly."""
    told = short(value)

    assert words is None or told == words
    assert len(told) < 200


def test_codes_that_follow_one_another_are_a_range() -> None:
    """Three or more numbers in a row are a range; letters and modifiers are not."""
    assert codes_words(["99203", "99202", "99204", "99206", "99207"]) == "99202 to 99204, 99206, 99207"
    assert codes_words(["01935", "01936", "01937"]) == "01935 to 01937"
    assert codes_words(["51", "52", "53", "0213T"]) == "0213T, 51, 52, 53"


def test_flow_is_yaml() -> None:
    """What is shown as YAML reads back as what it was."""
    value = {"a": ["1", "M96.1", "yes", "two words", "a: b", "", "é"], "b": {"c": None, "d": True, "e": 3}}

    assert yaml.safe_load(flow(value)) == value
    assert flow(frozenset({"b", "a"})) == "[a, b]"


@pytest.mark.parametrize(
    ("claim", "differences"),
    [
        (a_claim(), {}),
        (a_facility_claim("AETNA"), {}),
        (a_claim(lines=[a_line(units="2")]), {"lines": [{"procedure_code": "63685", "units": 2}]}),
        (
            a_claim(lines=[a_line(), a_line("63650", modifiers=["59"], service_date=None)]),
            {
                "lines": [
                    {"procedure_code": "63685"},
                    {"procedure_code": "63650", "modifiers": ["59"], "service_date": None},
                ]
            },
        ),
        (
            a_facility_claim(lines=[a_facility_line(), a_facility_line("C1767", revenue_code="0278")]),
            {"lines": [{"procedure_code": "63685"}, {"procedure_code": "C1767", "charge_amount": 42000.0}]},
        ),
        (a_claim(total_charge_amount="1.00"), {"total_charge_amount": 1.0}),
        (a_claim(lines=[], total_charge_amount="0"), {"lines": []}),
        (a_claim(rendering_provider=None), {"rendering_provider": None}),
        (
            a_claim(rendering_provider={"npi": "1992345672", "taxonomy": "363A00000X"}),
            {"rendering_provider": {"taxonomy": "363A00000X", "name": None, "entity_type": None}},
        ),
        (a_claim(practice={"opd_exempt": False}), {"practice": {"opd_exempt": False}}),
        (a_claim(patient_control_number=""), {"patient_control_number": None}),
        (a_claim(referral_number="", condition_codes=["30"]), {"condition_codes": ["30"]}),
    ],
)
def test_a_claim_is_shown_as_what_differs(claim: Any, differences: dict[str, Any]) -> None:
    """Only what is not as in the clean claim is shown, and it reads back as YAML."""
    assert (yaml.safe_load(contrast(claim)) or {}) == differences


def test_a_long_list_is_cut() -> None:
    """Of many diagnoses the first are shown, and how many more there are."""
    claim = a_claim(diagnoses=[{"code": f"M54.{number}"} for number in range(10, 23)])

    assert contrast(claim).splitlines()[-2:] == ["  - {code: M54.17}", "  # and 5 more"]


def test_the_codes_that_call_for_a_rule_are_found(ruleset: RuleSet) -> None:
    """Named by the rule, or found by asking it; a rule that asks for any code or modifier is not listed under each."""
    codes, modifiers = codes_by_rule(ruleset), modifiers_by_rule(ruleset)

    assert codes["FAC003"] == {"63655", "63661", "63663"}
    assert codes["CMP002"] == frozenset()
    assert {"63685", "63688"} <= codes["COD002"]
    assert "G0463" in codes["COD009"]
    assert modifiers["COD008"] >= {"59", "XE", "XP", "XS", "XU"}
    assert "26" not in modifiers["COD008"]
    assert {"58", "78"} <= modifiers["COD021"]
    assert modifiers["CMP018"] == {ANY}
    assert modifiers["UNT001"] == frozenset()
