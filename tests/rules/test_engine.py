"""The machinery of the rules: what it refuses, how it compiles, and what it answers when a rule fails."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rules import NO_HISTORY, Claim, Decision, Disposition, Flag, History, NotEvaluated, RuleSet, Severity
from rules.engine import rule as rule_module
from rules.engine.claim import ServiceLine
from rules.engine.examples import Example, a_claim, a_line, as_json, claim_content, earlier, with_history
from rules.engine.explain import explain
from rules.engine.grouping import line_groups
from rules.engine.payer import PayerProfile, RuleChange, load_profiles
from rules.engine.policy import (
    Confidence,
    Policy,
    ReferenceDataError,
    load_policies,
    read_policy,
    read_table,
    read_yaml,
)
from rules.engine.reference import PACKAGE, Reference
from rules.engine.rule import Rule, RuleDefinitionError

Check = Any


@pytest.fixture
def only(ruleset: RuleSet) -> Any:
    """Make a rule set that holds one rule, changed as asked, with the installed facts and payers."""
    model = ruleset.rules["UNT001"]

    def make(
        check: Check,
        *,
        profiles: Mapping[str, PayerProfile] | None = None,
        policies: tuple[Policy, ...] = (),
        **changes: Any,
    ) -> RuleSet:
        plain: dict[str, Any] = {
            "policy": (),
            "base_layer": None,
            "scope": "claim",
            "yields_to": frozenset(),
            "procedures": None,
            "concerns": None,
        }
        made = replace(model, **{**plain, "check": check, **changes})
        reference = replace(
            ruleset.reference, policies={**ruleset.reference.policies, **{policy.name: policy for policy in policies}}
        )
        bare = {key: replace(profile, rules={}) for key, profile in ruleset.profiles.items()}
        return RuleSet({made.id: made}, reference, profiles or bare, "9.9.9", "sha256:0")

    return make


def _policy(values: Mapping[str, Any], name: str = "test.value") -> Policy:
    dated = {date.fromisoformat(day): value for day, value in values.items()}
    return read_policy(name, {"title": "A value", "verified_on": date(2026, 1, 1), "values": dated}, Path("test.yaml"))


def _value(value: Any, **more: Any) -> dict[str, Any]:
    return {"value": value, "citation": "cms-mue-2024q3", **more}


# ---- answers


def test_a_clean_claim_is_cleared(ruleset: RuleSet) -> None:
    """A clean claim has no finding, and the decision names the rule set and what nobody could tell."""
    decision = ruleset.evaluate(a_claim("AETNA", prior_authorization_number="A1"))

    assert decision.disposition is Disposition.CLEARED
    assert decision.findings == ()
    assert decision.silenced == ()
    assert {each.rule_id for each in decision.not_evaluated} >= {"CMP021", "PRV002"}
    assert decision.payer == "AETNA"
    assert decision.contract == ""
    assert decision.rule_set_digest.startswith("sha256:")
    assert decision.rule_set_version == ruleset.version


def test_the_same_claim_gives_the_same_decision(ruleset: RuleSet) -> None:
    """A decision depends on nothing but claim, history and rule set: a second rule set decides the same."""
    claim = a_claim(lines=[a_line(units="2")])

    assert ruleset.evaluate(claim) == ruleset.evaluate(claim) == RuleSet.load().evaluate(claim)


@pytest.mark.parametrize("severity", [Severity.WARNING, Severity.INFO])
def test_only_an_error_flags(only: Any, severity: Severity) -> None:
    """Warnings and information travel with a cleared claim."""
    decision = only(lambda claim, policy: "odd", severity=severity).evaluate(a_claim())

    assert decision.disposition is Disposition.CLEARED
    assert [finding.severity for finding in decision.findings] == [severity]


def test_what_could_not_be_evaluated_is_said(only: Any) -> None:
    """A rule that can't tell says so in the decision; the claim is not flagged for it."""
    decision = only(lambda claim, policy: NotEvaluated("needs the area", claim.lines[0])).evaluate(a_claim())

    assert decision.disposition is Disposition.CLEARED
    assert [(each.rule_id, each.line, each.reason) for each in decision.not_evaluated] == [
        ("UNT001", 1, "needs the area")
    ]


def test_a_failing_rule_flags_the_claim_and_names_itself(ruleset: RuleSet) -> None:
    """A rule that crashes takes no other rule's finding with it, and the claim is never cleared for it."""

    def broken(claim: Claim, policy: Any) -> None:
        raise KeyError(claim.subscriber.last_name)

    rules = {
        **ruleset.rules,
        "UNT999": replace(ruleset.rules["UNT001"], id="UNT999", scope="claim", policy=(), check=broken),
    }
    broken_set = RuleSet(rules, ruleset.reference, ruleset.profiles, "1", "sha256:0")
    decision = broken_set.evaluate(a_claim(lines=[a_line(units="2")]))
    by_rule = {finding.rule_id: finding for finding in decision.findings}

    assert decision.disposition is Disposition.FLAGGED
    assert by_rule["UNT001"].name == "units-over-daily-limit"
    assert by_rule["UNT999"].name == "rule-error"
    assert by_rule["UNT999"].severity is Severity.ERROR
    assert "KeyError at test_engine.py:" in by_rule["UNT999"].message
    assert "Example" not in by_rule["UNT999"].message


def test_a_check_that_answers_nonsense_flags_the_claim(only: Any) -> None:
    """Even an answer that the engine can't read ends in a flagged claim, not in an exception."""
    decision = only(lambda claim, policy: Flag("x", category="NO_SUCH_CATEGORY")).evaluate(a_claim())

    assert decision.disposition is Disposition.FLAGGED
    assert decision.findings[0].name == "rule-error"


def test_a_failing_engine_flags_the_claim(ruleset: RuleSet) -> None:
    """Where not even a rule can be blamed, the claim is flagged all the same."""

    class Failing(RuleSet):
        def _answers(self, *_: Any, **__: Any) -> Any:
            raise RecursionError

    failing = Failing(ruleset.rules, ruleset.reference, ruleset.profiles, "1", "x")
    decision = failing.evaluate(a_claim())

    assert decision.disposition is Disposition.FLAGGED
    assert decision.findings[0].rule_id == "ENGINE"


def test_findings_are_ordered_by_line_then_rule(ruleset: RuleSet) -> None:
    """Claim-wide findings come first, then line by line."""
    decision = ruleset.evaluate(a_claim(lines=[a_line(units="2"), a_line("63650", units="3")]))
    order = [(finding.line or 0, finding.rule_id) for finding in decision.findings]

    assert order == sorted(order)
    assert len(order) >= 2


def test_a_finding_carries_what_ops_need(ruleset: RuleSet) -> None:
    """A finding has the likely denial, the field in JSON and in the 837, the remedy and the sources."""
    decision = ruleset.evaluate(a_claim(lines=[a_line(), a_line("63650", units="3")]))
    (finding,) = [each for each in decision.findings if each.rule_id == "UNT001"]

    assert (finding.carc, finding.rarc, finding.group, finding.status) == ("151", "N362", "CO", "A7:476")
    assert (finding.line, finding.path, finding.location) == (2, "lines[1].units", "2400 SV104")
    assert finding.remedy
    assert finding.citations[0].url.startswith("https://")
    assert finding.effective_from == date(2024, 7, 1)


def test_a_flag_may_choose_its_own_particulars(only: Any) -> None:
    """A check can point elsewhere and pick category, remark, entity, severity and remedy."""
    flag = Flag(
        "m",
        field="billing_provider.npi",
        category="NPI_FORMAT",
        rarc="N290",
        entity="82",
        remedy="r",
        severity=Severity.INFO,
    )
    (finding,) = only(lambda claim, policy: [flag]).evaluate(a_claim()).findings

    assert (finding.path, finding.location) == ("billing_provider.npi", "2010AA NM109")
    assert (finding.carc, finding.rarc, finding.alternative_rarc) == ("207", "N290", ("N257",))
    assert (finding.status, finding.remedy, finding.severity) == ("A7:562:82", "r", Severity.INFO)


def test_a_special_rule_silences_a_general_one(ruleset: RuleSet) -> None:
    """One defect, one finding: a rule that yields is silent on a line where the other has spoken, and only there."""
    special = replace(ruleset.rules["UNT001"], policy=(), base_layer=None, yields_to=frozenset())

    def on_first(claim: Claim, policy: Any) -> Flag:
        return Flag("special", line=claim.lines[0])

    def on_both(claim: Claim, policy: Any) -> list[Flag]:
        return [Flag("general", line=line) for line in claim.lines]

    rules = {
        "UNT001": replace(special, scope="claim", check=on_first),
        "UNT998": replace(special, id="UNT998", scope="claim", check=on_both, yields_to=frozenset({"UNT001"})),
    }
    decision = RuleSet(rules, ruleset.reference, {"OTHER": ruleset.profiles["OTHER"]}, "1", "x").evaluate(
        a_claim("OTHER", lines=[a_line(), a_line()])
    )

    assert [(finding.rule_id, finding.line) for finding in decision.findings] == [("UNT001", 1), ("UNT998", 2)]


def test_a_special_rule_about_other_modifiers_silences_nothing(ruleset: RuleSet) -> None:
    """Where both findings name modifiers, they are about one defect only if they share one."""
    model = replace(ruleset.rules["UNT001"], policy=(), base_layer=None, scope="claim", yields_to=frozenset())

    def special(claim: Claim, policy: Any) -> Flag:
        return Flag("special", line=claim.lines[0], modifiers=("KX",))

    def general(claim: Claim, policy: Any) -> list[Flag]:
        line = claim.lines[0]
        return [
            Flag("others", line=line, modifiers=("58", "78")),
            Flag("the same", line=line, modifiers=("KX", "58")),
            Flag("none", line=line),
        ]

    rules = {
        "UNT001": replace(model, check=special),
        "UNT998": replace(model, id="UNT998", check=general, yields_to=frozenset({"UNT001"})),
    }
    profiles = {"OTHER": replace(ruleset.profiles["OTHER"], rules={})}
    decision = RuleSet(rules, ruleset.reference, profiles, "1", "x").evaluate(a_claim("OTHER"))

    assert [each.message for each in decision.findings] == ["special", "others"]


def test_a_base_layer_error_silences_the_warning_of_another_family_about_the_same_modifiers(ruleset: RuleSet) -> None:
    """The wrong modifier is reported once; what is said of other modifiers, lines or by the same family stays."""
    model = replace(ruleset.rules["UNT001"], policy=(), scope="claim", yields_to=frozenset())

    def error(claim: Claim, policy: Any) -> Flag:
        return Flag("no such modifier here", line=claim.lines[0], modifiers=("80", "82"))

    def warnings(claim: Claim, policy: Any) -> list[Flag]:
        first, second = claim.lines
        return [
            Flag("said already", line=first, modifiers=("82",)),
            Flag("another modifier", line=first, modifiers=("82", "22")),
            Flag("another line", line=second, modifiers=("82",)),
            Flag("no modifier", line=first),
        ]

    def judged(family: str) -> list[str]:
        warning = replace(model, id="FAC999", family=family, severity=Severity.WARNING, base_layer=None, check=warnings)
        rules = {"UNT001": replace(model, base_layer="mpfs", check=error), "FAC999": warning}
        made = RuleSet(rules, ruleset.reference, {"OTHER": replace(ruleset.profiles["OTHER"], rules={})}, "1", "x")
        decision = made.evaluate(a_claim("OTHER", lines=[a_line(), a_line()]))
        return sorted(each.message for each in decision.findings if each.rule_id == "FAC999")

    assert judged("facility") == ["another line", "another modifier", "no modifier"]
    assert len(judged("units")) == 4


# ---- which rules run


def test_a_rule_is_asked_only_about_codes_and_modifiers_that_concern_it(only: Any) -> None:
    """`concerns` is asked once for each combination, of a line rule for each code; a thorough judge asks everything."""
    asked: list[tuple[frozenset[str], frozenset[str]]] = []

    def concerns(codes: frozenset[str], modifiers: frozenset[str], policy: Any) -> bool:
        asked.append((codes, modifiers))
        return "63650" in codes

    def found(ruleset: RuleSet, *, thorough: bool = False) -> list[int | None]:
        claim = a_claim(lines=[a_line(modifiers=["22"]), a_line("63650", modifiers=["22", "51"])])
        return [finding.line for finding in ruleset.evaluate(claim, thorough=thorough).findings]

    lines = only(lambda claim, line, policy: "found", scope="line", concerns=concerns)
    claims = only(lambda claim, policy: "found", concerns=concerns)

    assert found(lines) == found(lines) == [2]
    assert sorted(asked, key=lambda each: sorted(each[0])) == [
        (frozenset({"63650"}), frozenset({"22", "51"})),
        (frozenset({"63685"}), frozenset({"22", "51"})),
    ]
    assert found(lines, thorough=True) == [1, 2]
    assert found(claims) == [None]
    assert asked[-1] == (frozenset({"63650", "63685"}), frozenset({"22", "51"}))


def test_many_combinations_are_remembered_within_bounds(only: Any) -> None:
    """What nobody ever sends twice can't fill the memory, and the answers stay right."""
    ruleset = only(lambda claim, line, policy: "found", scope="line", procedures=frozenset({"63650"}))
    found = [
        len(ruleset.evaluate(a_claim(place_of_service=f"P{number}", lines=[a_line(code)])).findings)
        for number in range(1_100)
        for code in ("63650", "63685")
    ]
    (packs,) = ruleset._packs.values()

    assert found == [1, 0] * 1_100
    assert max(len(pack._plans) for pack in packs if pack) <= 1_024


def test_codes_that_no_rule_tells_apart_are_as_one(only: Any) -> None:
    """A hospital's thousands of other codes make no kinds of claims of their own; those that a rule knows do."""

    def concerns(codes: frozenset[str], modifiers: frozenset[str], policy: Any) -> bool:
        return any(code.startswith("C") for code in codes)

    def check(claim: Claim, line: Any, policy: Any) -> str | None:
        return "found" if line.procedure_code.startswith("C") else None

    ruleset = only(check, scope="line", concerns=concerns)
    codes = [f"{kind}{number:05}" for number in range(10_100) for kind in ("J", "C")]
    found = [
        finding.line
        for start in range(0, len(codes), 900)
        for finding in ruleset.evaluate(a_claim(lines=[a_line(code) for code in codes[start : start + 900]])).findings
    ]
    (packs,) = ruleset._packs.values()

    assert len(found) == len(codes) / 2
    assert {(line or 1) % 2 for line in found} == {0}
    assert max(len(pack._plans) for pack in packs if pack) == 1


def test_more_days_and_diagnoses_than_are_remembered_give_the_same_answers(ruleset: RuleSet) -> None:
    """A claim may have more of them than there is room for: what is forgotten is worked out again."""
    first = date(2026, 1, 1).toordinal()
    codes = ["63685", "63650", "63688", "95972", "99213", "77003", "76000", "62267", "69990", "95938"]
    lines = [
        a_line(code, service_date=str(date.fromordinal(first + number)))
        for number in range(300)
        for code in (codes[number % 10], *[codes[place] for place in range(10) if number >> place & 1])
    ][:999]
    crowded = a_claim(lines=lines, received_date="2026-12-01")
    diagnosed = a_claim(diagnoses=[{"code": f"A{number:05}"} for number in range(999)])

    for claim in (crowded, diagnosed):
        assert ruleset.evaluate(claim) == ruleset.evaluate(claim, thorough=True)


def test_a_rule_without_what_it_requires_is_published_as_not_evaluated(only: Any) -> None:
    """Where nothing is on file the check is not asked, and the decision says what is missing."""
    ruleset = only(lambda claim, policy: "found", requires="eligibility")
    (missing,) = ruleset.evaluate(a_claim()).not_evaluated

    assert (missing.rule_id, missing.reason) == ("UNT001", "no eligibility answer is on file")
    assert ruleset.evaluate(a_claim()).findings == ()
    assert len(ruleset.evaluate(a_claim(eligibility=[{"active": True}])).findings) == 1


def test_a_rule_set_whose_examples_fail_refuses_to_load(only: Any, ruleset: RuleSet) -> None:
    """A rule must do on its own examples what it says; else nothing is judged by it."""

    def check(claim: Claim, policy: Any) -> str | None:
        return "found" if claim.frequency == "7" else None

    def broken(claim: Claim, policy: Any) -> None:
        raise ValueError

    corrected, plain = Example(a_claim(frequency_code="7")), Example(a_claim())
    only(check, clean=(plain,), flagged=(corrected,)).check_examples()
    for claims, said in (
        ({"clean": (plain, corrected), "flagged": (corrected,)}, "clean example 2 gives: found"),
        ({"clean": (plain,), "flagged": (corrected, plain)}, "flagged example 2 gives: no finding"),
    ):
        with pytest.raises(RuleDefinitionError, match=f"UNT001 units-over-daily-limit: its {said}"):
            only(check, **claims).check_examples()
    with pytest.raises(RuleDefinitionError, match="flagged example 1 gives: UNT001 units-over-daily-limit failed"):
        only(broken, clean=(), flagged=(corrected,)).check_examples()
    ruleset.check_examples()


def test_loading_refuses_a_rule_whose_examples_fail(tmp_path: Path) -> None:
    """A changed fact that makes a rule's example wrong stops the start, and names the rule."""
    shutil.copytree(PACKAGE, tmp_path / "rules", ignore=shutil.ignore_patterns("__pycache__"))
    limits = tmp_path / "rules" / "reference" / "cms" / "mue-2024-07-01.csv"
    limits.write_text(limits.read_text().replace("\n63685,1,", "\n63685,9,"))
    code = "from rules import RuleSet; RuleSet.load()"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)

    assert shown.returncode == 1
    assert re.search(r"RuleDefinitionError: \w+ [\w-]+: its flagged example \d gives: no finding", shown.stderr)


def test_a_rule_runs_in_its_window_only(only: Any) -> None:
    """Effective is inclusive, terminated exclusive, by date of service."""
    window = {"effective": date(2025, 1, 1), "terminated": date(2026, 1, 1)}
    ruleset = only(lambda claim, line, policy: "found", scope="line", **window)

    def found(day: str) -> int:
        return len(ruleset.evaluate(a_claim(lines=[a_line(service_date=day)])).findings)

    assert [found(day) for day in ("2024-12-31", "2025-01-01", "2025-12-31", "2026-01-01")] == [0, 1, 1, 0]
    (finding,) = ruleset.evaluate(a_claim(lines=[a_line(service_date="2025-06-01")])).findings
    assert (finding.effective_from, finding.effective_to) == (date(2025, 1, 1), date(2026, 1, 1))


def test_each_line_is_judged_by_its_own_date(only: Any) -> None:
    """A claim over a boundary gets each line's own values."""
    policy = _policy({"1900-01-01": _value("old"), "2025-01-01": _value("new")})
    ruleset = only(
        lambda claim, line, policy: policy["test.value"], scope="line", policies=(policy,), policy=("test.value",)
    )
    lines = [a_line(service_date=day) for day in ("2024-12-31", "2025-01-01", "2024-12-31")]
    decision = ruleset.evaluate(a_claim(lines=lines))

    assert [finding.message for finding in decision.findings] == ["old", "new", "old"]
    assert decision.findings[0].effective_to == date(2025, 1, 1)


def test_groups_are_judged_by_their_own_date(only: Any) -> None:
    """Lines of two days are two groups, each with its day's values."""
    policy = _policy({"1900-01-01": _value("old"), "2025-01-01": _value("new")})

    def check(claim: Claim, group: Any, policy: Any) -> Flag:
        return Flag(f"{policy['test.value']} {len(group.lines)}", line=group.lines[0])

    ruleset = only(check, scope="group", policies=(policy,), policy=("test.value",))
    lines = [a_line(service_date=day) for day in ("2024-12-31", "2025-01-01", "2024-12-31")]

    assert [each.message for each in ruleset.evaluate(a_claim(lines=lines)).findings] == ["old 2", "new 1"]


def test_a_date_before_the_first_value_is_not_evaluated(only: Any) -> None:
    """Where no value is held for the date, the rule says that it could not tell."""
    policy = _policy({"2025-01-01": _value(1)})
    ruleset = only(lambda claim, line, policy: "found", scope="line", policies=(policy,), policy=("test.value",))
    decision = ruleset.evaluate(a_claim(lines=[a_line(service_date="2024-12-31")]))

    assert decision.findings == ()
    assert "no value of test.value" in decision.not_evaluated[0].reason


def test_an_ended_value_silences_the_rule(only: Any) -> None:
    """From an explicit end on, the rule does not speak."""
    policy = _policy({"2024-01-01": _value(1), "2025-01-01": None})
    ruleset = only(lambda claim, line, policy: "found", scope="line", policies=(policy,), policy=("test.value",))

    assert ruleset.evaluate(a_claim(lines=[a_line(service_date="2025-01-01")])).findings == ()
    assert len(ruleset.evaluate(a_claim(lines=[a_line(service_date="2024-12-31")])).findings) == 1


@pytest.mark.parametrize("confidence", [each for each in Confidence if not each.allows_error])
def test_what_is_not_confirmed_only_warns(only: Any, confidence: Confidence) -> None:
    """A value that is not confirmed lowers an error to a warning, the check's own choice included."""
    policy = _policy({"1900-01-01": _value(1, confidence=confidence.value)})
    ruleset = only(
        lambda claim, policy: Flag("found", severity=Severity.ERROR), policies=(policy,), policy=("test.value",)
    )

    assert ruleset.evaluate(a_claim()).findings[0].severity is Severity.WARNING


def test_a_preview_rule_never_flags(only: Any) -> None:
    """A rule in preview shows what it would say, as information; as active it says it."""
    ruleset = only(lambda claim, policy: Flag("found", severity=Severity.ERROR), status="preview")
    decision = ruleset.evaluate(a_claim())

    assert decision.disposition is Disposition.CLEARED
    assert decision.findings[0].severity is Severity.INFO
    assert ruleset.as_active().evaluate(a_claim()).disposition is Disposition.FLAGGED


def test_a_retired_rule_does_not_run(only: Any) -> None:
    """A retired rule is silent."""
    assert only(lambda claim, policy: "found", status="retired").evaluate(a_claim()).findings == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"payers": frozenset({"AETNA"})}, {"AETNA": 1, "AETNA_MA": 0, "MEDICARE_FFS": 0}),
        ({"payers": frozenset({"MEDICARE_ADV"})}, {"MEDICARE_ADV": 1, "AETNA_MA": 1, "MEDICARE_FFS": 0, "AETNA": 0}),
        ({"claim_types": frozenset({"institutional"})}, {"AETNA": 0}),
        ({"procedures": frozenset({"63650"})}, {"AETNA": 0}),
        ({"procedures": frozenset({"63685"})}, {"AETNA": 1}),
    ],
)
def test_a_rule_runs_where_it_applies(only: Any, changes: dict[str, Any], expected: dict[str, int]) -> None:
    """Payers (with those that extend them), claim types and procedures decide whether a rule runs."""
    ruleset = only(lambda claim, policy: "found", **changes)

    assert {payer: len(ruleset.evaluate(a_claim(payer)).findings) for payer in expected} == expected


def test_a_void_is_judged_by_few_rules(only: Any) -> None:
    """Of a void only the rules that say so run."""
    void = a_claim(frequency_code="8")

    assert only(lambda claim, policy: "found").evaluate(void).findings == ()
    assert len(only(lambda claim, policy: "found", on_void=True).evaluate(void).findings) == 1


def test_a_payer_may_switch_off_or_change_a_rule(only: Any, ruleset: RuleSet) -> None:
    """A profile's change wins over the rule's and the check's severity, and is inherited."""
    base = ruleset.profiles["OTHER"]

    def payer(change: RuleChange) -> dict[str, PayerProfile]:
        return {"OTHER": replace(base, rules={"UNT001": change})}

    def check(claim: Claim, policy: Any) -> Flag:
        return Flag("found", severity=Severity.ERROR)

    off = only(check, profiles=payer(RuleChange(True, None, "why", "coding-knowledge")))
    info = only(check, profiles=payer(RuleChange(False, Severity.INFO, "why", "coding-knowledge")))

    put_aside = off.evaluate(a_claim("OTHER"))
    assert put_aside.findings == ()
    assert [(each.rule_id, each.why, each.severity) for each in put_aside.silenced] == [
        ("UNT001", "why", Severity.ERROR)
    ]
    assert info.evaluate(a_claim("OTHER")).findings[0].severity is Severity.INFO


def test_a_payer_that_does_not_follow_the_base_layer_gets_no_finding_from_it(only: Any, ruleset: RuleSet) -> None:
    """Adoption `off` silences a base-layer rule; any other word travels in the message."""
    base = ruleset.profiles["OTHER"]

    def messages(word: str) -> list[str]:
        adopting = base.adopting(_policy({"1900-01-01": _value({"ptp": word})}, name="adoption"))
        profiles = {"OTHER": replace(adopting, rules={})}
        made = only(lambda claim, policy: "found", base_layer="ptp", profiles=profiles)
        return [finding.message for finding in made.evaluate(a_claim("OTHER")).findings]

    assert messages("off") == []
    assert messages("own") == ["found"]
    assert messages("assumed") == ["found [national coding standard; OTHER follows it: assumed]"]


def test_what_a_payer_says_of_the_base_layer_holds_from_its_date(only: Any, ruleset: RuleSet) -> None:
    """Adoption is dated like any other value, layer by layer: what is not said again stays."""
    words = {"2025-01-01": _value({"ptp": "confirmed"}), "2026-01-01": _value({"mue": "own"})}
    profile = replace(ruleset.profiles["OTHER"].adopting(_policy(words, name="adoption")), rules={})
    made = only(lambda claim, policy: "found", base_layer="ptp", profiles={"OTHER": profile})

    def message(day: str) -> str:
        return str(made.evaluate(a_claim("OTHER", lines=[a_line(service_date=day)])).findings[0].message)

    assert [message(day).rsplit(" ", 1)[1] for day in ("2024-12-31", "2025-01-01", "2026-06-01")] == [
        *("assumed]", "confirmed]", "confirmed]")
    ]
    assert profile.follows("mue") == "own"
    assert profile.follows("mue", date(2025, 6, 1)) == "assumed"


def test_a_value_that_only_some_payers_have_silences_the_rule_for_the_others(only: Any, ruleset: RuleSet) -> None:
    """Where a payer has no row, the rule does not run for it."""
    policy = _policy({"1900-01-01": _value(7)}, name="payer.own")
    profiles = {key: replace(ruleset.profiles[key], rules={}) for key in ("OTHER", "AETNA")}
    profiles["AETNA"] = replace(profiles["AETNA"], policies={"payer.own": policy})
    made = only(lambda claim, policy: f"{policy['payer.own']}", policy=("payer.own",), profiles=profiles)

    assert [finding.message for finding in made.evaluate(a_claim("AETNA")).findings] == ["7"]
    assert made.evaluate(a_claim("OTHER")).findings == ()


def _earlier_lines(claim: Claim, history: History, policy: Any) -> str | None:
    count = sum(1 for _ in history.patient_services)
    return f"{count} earlier" if count else None


def test_history_rules_see_the_history(only: Any) -> None:
    """A history rule gets the member's earlier services."""
    example = with_history(a_claim(), earlier(lines=[a_line("63650")]))

    ruleset = only(_earlier_lines, scope="history")

    assert ruleset.evaluate(*example).findings[0].message == "1 earlier"
    assert ruleset.evaluate(a_claim(), NO_HISTORY).findings == ()
    assert only(_earlier_lines, scope="history", procedures=frozenset({"1"})).evaluate(*example).findings == ()


def _earlier_claim(claim: Claim, history: History, policy: Any) -> str | None:
    return f"claim {claim.claim_id} after {history.claims[0].claim_id}" if history.claims else "no history"


def _earlier_claim_of_a_line(claim: Claim, line: ServiceLine, history: History, policy: Any) -> str | None:
    return f"{line.procedure_code} after {history.claims[0].claim_id}" if history.claims else "no history"


@pytest.mark.parametrize(
    ("scope", "check", "message", "line"),
    [
        ("claim", _earlier_claim, "claim EXAMPLE-1 after EARLIER-1", None),
        ("line", _earlier_claim_of_a_line, "63685 after EARLIER-1", 1),
    ],
)
def test_other_rules_may_see_the_history(only: Any, scope: str, check: Any, message: str, line: int | None) -> None:
    """A rule of a line or a claim that takes the history gets it, and an empty one where it is not known."""
    ruleset = only(check, scope=scope, reads_history=True, procedures=frozenset({"63685"}))

    def found(*example: Any) -> list[tuple[str, int | None]]:
        return [(each.message, each.line) for each in ruleset.evaluate(*example).findings]

    two = a_claim(lines=[a_line(), a_line("63650")])

    assert found(*with_history(two, earlier())) == [(message, line)]
    assert found(two) == [("no history", line)]
    assert found(two, History(not_known="no member number")) == [("no history", line)]
    assert ruleset.evaluate(two, History(not_known="no member number")).not_evaluated == ()


def test_a_rule_can_leave_out_claims_without_history(only: Any) -> None:
    """What is known of a member's history before a check is asked: whether there is any, or nobody knows."""
    ruleset = only(lambda claim, history, policy: "asked", scope="history", concerns_claim=_with_history)
    claim, history = with_history(a_claim(), earlier())
    empty = history._replace(claims=())

    def is_asked(history: History) -> bool:
        decision = ruleset.evaluate(claim, history)
        return bool(decision.findings or decision.not_evaluated)

    assert is_asked(history)
    assert is_asked(empty._replace(dropped_through=date(2026, 7, 2)))
    assert is_asked(empty._replace(not_known="no member number"))
    assert not is_asked(empty)


def _with_history(key: Any, policy: Any) -> bool:
    return bool(key.has_history)


def test_history_that_can_not_be_looked_up_is_published(only: Any) -> None:
    """Where nobody knows the member, no history rule is asked, and the decision says so once."""
    decision = only(_earlier_lines, scope="history").evaluate(a_claim(), History(not_known="no member number"))

    assert [(each.rule_id, each.reason) for each in decision.not_evaluated] == [("HISTORY", "no member number")]


@pytest.mark.parametrize(("lookback", "told"), [(None, True), (32, True), (31, False), (0, False)])
def test_a_rule_that_looks_back_to_what_was_dropped_can_not_tell(only: Any, lookback: int | None, told: bool) -> None:
    """Silence is no answer where the member's claims of that time had to be dropped; a finding stands."""
    claim, history = with_history(a_claim())
    made = only(_earlier_lines, scope="history", lookback=lookback)
    decision = made.evaluate(claim, history._replace(dropped_through=date(2026, 7, 2)))

    assert ["no longer held" in each.reason for each in decision.not_evaluated] == [True] * told
    claim, history = with_history(a_claim(), earlier())
    decision = made.evaluate(claim, history._replace(dropped_through=date(2026, 7, 2)))
    assert (len(decision.findings), decision.not_evaluated) == (1, ())


# ---- payers


def test_an_unknown_payer_gets_the_rules_for_every_payer_and_the_decision_says_so(ruleset: RuleSet) -> None:
    """A payer key that is not known is never silently treated as if it were."""
    decision = ruleset.evaluate(a_claim("ACME", lines=[a_line(units="2")]))

    assert decision.payer == "OTHER"
    assert "UNT001" in {finding.rule_id for finding in decision.findings}
    assert "the payer key is not known" in decision.not_evaluated[0].reason


def test_a_payer_is_found_by_its_id_where_no_key_is_given(ruleset: RuleSet) -> None:
    """A payer ID that belongs to one key names it; one that belongs to two, or to none, does not."""

    def judged(payer_id: str) -> Decision:
        content = {**claim_content(), "payer": {"payer_id": payer_id, "name": "a payer"}}
        return ruleset.evaluate(Claim.from_json(as_json(content)))

    shared = judged("87726")

    assert judged("62308").payer == "CIGNA"
    assert shared.payer == "OTHER"
    assert "no payer key" in shared.not_evaluated[0].reason


def _profiles(folder: Path, text: str) -> dict[str, PayerProfile]:
    (folder / "payers.yaml").write_text(text)
    return load_profiles(folder)


ADOPTION = "{title: t, verified_on: 2026-01-01, values: {1900-01-01: {value: %s, citation: c}}}"
ROOT = f"OTHER: {{name: any, line: any, adoption: {ADOPTION % '{ptp: assumed}'}}}\n"


def test_profiles_inherit_key_by_key(tmp_path: Path) -> None:
    """A profile has everything of what it extends, but for what it says itself."""
    profiles = _profiles(
        tmp_path,
        ROOT
        + f"A: {{name: a, line: x, adoption: {ADOPTION % '{mue: own}'},"
        + " rules: {UNT001: {severity: info, why: w, citation: c}}}\n"
        + "B: {name: b, line: x, extends: A, rules: {UNT002: {silent: true, why: w, citation: c}}}\n",
    )

    assert profiles["B"].ancestors == ("B", "A", "OTHER")
    assert [profiles["B"].follows(layer) for layer in ("ptp", "mue", "aoc")] == ["assumed", "own", "assumed"]
    assert profiles["B"].rules["UNT001"].severity is Severity.INFO
    assert profiles["B"].rules["UNT002"].silent
    assert "UNT002" not in profiles["A"].rules


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A: {name: a, line: x, extends: B}", "A extends B, which is unknown"),
        ("A: {name: a, line: x, extends: B}\nB: {name: b, line: x, extends: A}", "circular"),
        ("A: {nam: a}", "expected the keys"),
        ("A: [", "not YAML"),
        (
            "A: {name: a, line: x, rules: {UNT001: {severity: fatal, why: w, citation: c}}}",
            "expected silent: true or severity",
        ),
        ("A: {name: a, line: x, rules: {UNT001: {silent: true}}}", "with why and citation"),
        (f"A: {{name: a, line: x, adoption: {ADOPTION % '{ptp: off}'}}}", "adoption of ptp: expected one of"),
        (f"A: {{name: a, line: x, adoption: {ADOPTION % '{pairs: own}'}}}", "adoption of pairs: expected one of"),
        ("A: {name: a, line: x, adoption: {ptp: own}}", "adoption: expected the keys title, values, verified_on"),
    ],
)
def test_a_wrong_profile_is_refused_with_file_and_reason(tmp_path: Path, text: str, said: str) -> None:
    """A mistake in a payer's file stops the start and names the file and what is expected."""
    with pytest.raises(ReferenceDataError, match=said):
        _profiles(tmp_path, ROOT + text)


def test_a_payer_stands_in_one_file_only(tmp_path: Path) -> None:
    """The same key in two files is a mistake."""
    (tmp_path / "more.yaml").write_text(ROOT)
    with pytest.raises(ReferenceDataError, match=r"OTHER stands in more.yaml too"):
        _profiles(tmp_path, ROOT)


# ---- values


def test_a_policy_answers_by_date() -> None:
    """The value in force on a day is the latest that has begun; before the first there is none."""
    policy = _policy({"2024-01-01": _value(1), "2025-01-01": _value([1, 2]), "2026-01-01": None})

    assert policy.on(date(2023, 12, 31)) is None
    assert [getattr(policy.on(date.fromisoformat(day)), "value", 0) for day in ("2024-01-01", "2024-12-31")] == [1, 1]
    assert getattr(policy.on(date(2025, 1, 1)), "value", 0) == (1, 2)
    assert getattr(policy.on(date(2030, 1, 1)), "closed", False)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"title": "t", "values": {}}, "expected the keys"),
        ({"title": "t", "verified_on": date(2026, 1, 1), "values": {}}, "expected values by date"),
        ({"title": "t", "verified_on": date(2026, 1, 1), "values": {"x": _value(1)}}, "'x' is not a date"),
        ({"title": "t", "verified_on": date(2026, 1, 1), "values": {date(2026, 1, 1): {"value": 1}}}, "no citation"),
        (
            {"title": "t", "verified_on": date(2026, 1, 1), "values": {date(2026, 1, 1): {"citation": "c"}}},
            "expected one of",
        ),
        (
            {"title": "t", "verified_on": date(2026, 1, 1), "values": {date(2026, 1, 1): _value(1, confidence="sure")}},
            "confidence must be one of",
        ),
        (
            {
                "title": "t",
                "verified_on": date(2026, 1, 1),
                "values": {date(2026, 1, 1): _value(1), date(2025, 1, 1): _value(2)},
            },
            "dates must rise",
        ),
        *(
            (
                {
                    "title": "t",
                    "verified_on": date(2026, 1, 1),
                    "values": {date(2026, 1, 1): {"table": name, "key": ["a"], "citation": "c"}},
                },
                "the name of a CSV file in the same folder",
            )
            for name in ("../a.csv", ".a.csv", "a.txt")
        ),
    ],
)
def test_a_wrong_policy_is_refused_with_the_reason(entry: dict[str, Any], said: str) -> None:
    """Every value needs a date and a citation, and dates rise."""
    with pytest.raises(ReferenceDataError, match=said):
        read_policy("p", entry, Path("facts.yaml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("code,limit\n63685\n", r"t.csv:2: expected 2 cells"),
        ("code,limit\n63685,1,2\n", r"t.csv:2: expected 2 cells"),
        ("code,limit\n63685,one\n", r"t.csv:2: invalid literal"),
        ("code,limit\n63685,1\n63685,2\n", r"t.csv:3: 63685 stands twice"),
        ("code\n63685\n", r"t.csv: no column limit"),
    ],
)
def test_a_wrong_table_is_refused_with_the_line(tmp_path: Path, text: str, said: str) -> None:
    """A bad row stops the start and names file and line: never a row silently skipped."""
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ReferenceDataError, match=said):
        read_table(path, ("code",), frozenset({"limit"}), frozenset())


def test_a_table_has_typed_cells(tmp_path: Path) -> None:
    """Whole numbers and dates are read as such, and a blank cell is None."""
    path = tmp_path / "t.csv"
    path.write_text("a,b,limit,until\nx,y,2,2026-01-01\nx,z,,\n")
    table = read_table(path, ("a", "b"), frozenset({"limit"}), frozenset({"until"}))

    assert table[("x", "y")] == {"a": "x", "b": "y", "limit": 2, "until": date(2026, 1, 1)}
    assert table[("x", "z")]["limit"] is None


def test_a_file_of_policies_is_a_mapping(tmp_path: Path) -> None:
    """A reference file that holds no mapping is refused."""
    path = tmp_path / "facts.yaml"
    path.write_text("- 1\n")
    with pytest.raises(ReferenceDataError, match="a mapping of policies"):
        list(load_policies(path, "facts"))
    path.write_text("a: {\n")
    with pytest.raises(ReferenceDataError, match="not YAML"):
        read_yaml(path)


def test_a_rule_set_refuses_names_that_do_not_exist(only: Any, ruleset: RuleSet) -> None:
    """A rule or profile that cites, or uses, what is not there is refused at the start."""
    for changes in (
        {"citations": ("nowhere",)},
        {"policy": ("no.such.value",)},
        {"reason": "NO_SUCH"},
        {"payers": frozenset({"NOBODY"})},
    ):
        with pytest.raises(ReferenceDataError, match="not in the reference data"):
            only(lambda claim, policy: None, **changes)
    uncited = _policy({"1900-01-01": {"value": 1, "citation": "nowhere"}})
    with pytest.raises(ReferenceDataError, match="reference data: not known: nowhere"):
        only(lambda claim, policy: None, policies=(uncited,))
    strange = {"OTHER": replace(ruleset.profiles["OTHER"], rules={"XXX999": RuleChange(True, None, "w", "nowhere")})}
    with pytest.raises(ReferenceDataError, match=r"not known: XXX999, nowhere"):
        only(lambda claim, policy: None, profiles=strange)


# ---- registration


@pytest.fixture
def registry() -> Iterator[dict[str, Rule]]:
    """The registry, put back afterwards."""
    before = dict(rule_module._registry)
    yield rule_module._registry
    rule_module._registry.clear()
    rule_module._registry.update(before)


def _register(module: str, documentation: str | None = "What is flagged.", **changes: Any) -> None:
    made = ModuleType(module, documentation)
    sys.modules[module] = made

    def check(claim: Claim, line: Any, policy: Any) -> None:
        return None

    check.__module__ = module
    arguments: dict[str, Any] = {
        "title": "t",
        "severity": Severity.ERROR,
        "reason": "UNITS_MUE",
        "remedy": "r",
        "citations": ("ngs-mue",),
        "field": "lines[].units",
        "clean": (a_claim(),),
        "flagged": (a_claim(),),
        **changes,
    }
    try:
        rule_module.rule(**arguments)(arguments.pop("check", check))
    finally:
        del sys.modules[module]


def test_id_name_and_family_come_from_the_file(registry: dict[str, Rule]) -> None:
    """The file's name is the rule's name."""
    _register("rules.units.unt900_units_odd")

    assert (registry["UNT900"].name, registry["UNT900"].family) == ("units-odd", "units")
    assert registry["UNT900"].summary == "What is flagged."


@pytest.mark.parametrize(
    ("module", "changes", "said"),
    [
        ("rules.units.cmp900_units_odd", {}, "family's folder"),
        ("rules.units.unit1_units_odd", {}, "family's folder"),
        ("rules.units.unt900", {}, "must state the defect"),
        ("rules.units.unt900_check_units", {}, "must state the defect"),
        ("rules.units.unt001_again", {}, "UNT001 is taken"),
        ("rules.units.unt900_units_odd", {"documentation": None}, "docstring"),
        ("rules.units.unt900_units_odd", {"citations": ()}, "no citation, no rule"),
        ("rules.units.unt900_units_odd", {"clean": ()}, "one clean and one flagged"),
        ("rules.units.unt900_units_odd", {"scope": "claim"}, "a claim check takes"),
        ("rules.units.unt900_units_odd", {"concerns": lambda codes: True}, "concerns takes"),
        ("rules.units.unt900_units_odd", {"requires": "eligibility"}, "requires goes with the scope claim"),
        ("rules.units.unt900_units_odd", {"lookback": 90}, "lookback goes with the scope history"),
        (
            "rules.units.unt900_units_odd",
            {"effective": date(2026, 1, 1), "terminated": date(2026, 1, 1)},
            "must come after",
        ),
    ],
)
@pytest.mark.usefixtures("ruleset")
def test_a_wrong_rule_is_refused_at_import(
    registry: dict[str, Rule], module: str, changes: dict[str, Any], said: str
) -> None:
    """Missing or contradicting metadata stop the import and name the file."""
    before = set(registry)
    with pytest.raises(RuleDefinitionError, match=said):
        _register(module, **changes)
    assert set(registry) == before


# ---- groups


@pytest.mark.parametrize(
    ("lines", "sizes"),
    [
        ([{}, {}], [2]),
        ([{}, {"service_date": "2026-08-04"}], [1, 1]),
        ([{}, {"service_date": None}], [1]),
        ([{}, {"modifiers": ["80"]}], [1, 1]),
        ([{"modifiers": ["AS"]}, {"modifiers": ["80"]}], [2]),
        ([{}, {"rendering_provider": {"npi": "1998765436"}}], [1, 1]),
        ([{}, {"rendering_provider": {"npi": "1998765436", "taxonomy": "207TS0000X"}}], [2]),
        ([{}, {"rendering_provider": {"npi": "1998765436", "taxonomy": "207X00000X"}}], [1, 1]),
        (
            [
                {"modifiers": ["62"]},
                {"modifiers": ["62"], "rendering_provider": {"npi": "1998765436", "taxonomy": "207T00000X"}},
            ],
            [1, 1],
        ),
    ],
)
def test_lines_group_by_date_and_provider(lines: list[dict[str, Any]], sizes: list[int]) -> None:
    """A group is one day and one provider: same NPI, or same specialty; assistants and co-surgeons stand apart."""
    claim = a_claim(lines=[a_line(**line) for line in lines])

    assert [len(group.lines) for group in line_groups(claim)] == sizes


def test_lines_without_a_provider_are_one_group() -> None:
    """Where nobody is named, the lines are taken together."""
    claim = a_claim(rendering_provider=None, lines=[a_line(modifiers=["80"]), a_line(modifiers=["81"]), a_line()])

    assert [len(group.lines) for group in line_groups(claim)] == [2, 1]


# ---- purity and words


def test_rules_import_nothing_but_the_standard_library_pydantic_and_yaml() -> None:
    """The core stays pure: no Kafka, no asyncio, no logging, no worker in it."""
    code = (
        "import sys; from rules import RuleSet; RuleSet.load();"
        "print([name for name in ('worker', 'faust', 'aiokafka', 'confluent_kafka', 'structlog', 'click', 'rich')"
        " if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"


def test_a_rule_set_loads_the_same_twice(ruleset: RuleSet) -> None:
    """The digest is over what decides, and is stable."""
    assert RuleSet.load().digest == ruleset.digest


def test_a_value_stands_in_one_file_only(ruleset: RuleSet, tmp_path: Path) -> None:
    """The same value in two files is a mistake that stops the start."""
    folder = tmp_path / "reference"
    shutil.copytree(PACKAGE / "reference", folder)
    (folder / "other").mkdir()
    shutil.copy(folder / "cms" / "identifiers.yaml", folder / "other")

    with pytest.raises(ReferenceDataError, match="stands in another file too"):
        Reference.load(folder)
    assert Reference.load().policies.keys() == ruleset.reference.policies.keys()


def test_an_explanation_names_ends_and_payers_that_differ(only: Any, ruleset: RuleSet) -> None:
    """An ended value and a payer's change are in the explanation, with the reason."""
    policy = _policy({"2024-01-01": _value(1), "2025-01-01": None})
    changes = {
        "AETNA": RuleChange(silent=True, severity=None, why="their manual", citation="coding-knowledge"),
        "CIGNA": RuleChange(silent=False, severity=Severity.INFO, why="their policy", citation="coding-knowledge"),
    }
    profiles = {key: replace(ruleset.profiles[key], rules={"UNT001": change}) for key, change in changes.items()}
    profiles["OTHER"] = replace(ruleset.profiles["OTHER"], rules={})
    made = only(lambda claim, policy: None, policies=(policy,), policy=("test.value",), profiles=profiles)
    text = explain(made.rules["UNT001"], made)

    assert "from 2025-01-01: ended" in text
    assert "AETNA silent (their manual); CIGNA info (their policy)" in text


def test_an_explanation_says_everything(ruleset: RuleSet) -> None:
    """What, why, values with their dates, codes, remedy and sources are all there."""
    text = explain(ruleset.rules["UNT001"], ruleset)

    for part in (
        "UNT001 units-over-daily-limit",
        "CARC 151",
        "N362",
        "A7:476",
        "from 2024-07-01",
        "cms-mue-2024q3",
        "mue",
    ):
        assert part in text


# ---- a deployment's own facts


def _own_facts(folder: Path, name: str, text: str, citations: str = "") -> Path:
    (folder / "cms").mkdir()
    (folder / "cms" / name).write_text(text)
    if citations:
        (folder / "citations.yaml").write_text(citations)
    return folder


NPI_SHAPE = """
npi:
  title: Shape of an NPI
  verified_on: 2026-10-01
  values:
    2026-10-01: {value: {pattern: "^9[0-9]{9}$", prefix: "80840"}, citation: own-source}
"""
OWN_SOURCE = "own-source: {publisher: P, title: T, edition: E, url: U, seen: official}"


def test_own_facts_hold_from_their_date_on(tmp_path: Path) -> None:
    """Values of a deployment's folder are laid over the packaged ones by date, with a source of their own."""
    ruleset = RuleSet.load(reference=_own_facts(tmp_path, "identifiers.yaml", NPI_SHAPE, OWN_SOURCE))

    def found(day: str) -> list[str]:
        claim = a_claim(lines=[a_line(service_date=day)], received_date="2026-11-01")
        return [
            citation.publisher
            for finding in ruleset.evaluate(claim).findings
            if finding.rule_id == "CMP002"
            for citation in finding.citations
            if citation.key == "own-source"
        ]

    assert found("2026-09-30") == []
    assert set(found("2026-10-01")) == {"P"}
    assert ruleset.digest != RuleSet.load().digest
    assert ruleset.reference.policies["identifiers.npi"].verified_on == date(2026, 10, 1)


def test_an_own_value_wins_on_the_same_date(tmp_path: Path) -> None:
    """A correction of a packaged value takes its place."""
    text = NPI_SHAPE.replace("    2026-10-01: {", "    0001-01-01: {")
    merged = Reference.load(over=_own_facts(tmp_path, "identifiers.yaml", text, OWN_SOURCE)).policies["identifiers.npi"]

    assert [value.citations for value in merged.values] == [("own-source",)]


@pytest.mark.parametrize(
    ("name", "text", "citations", "said"),
    [
        ("identifiers.yaml", NPI_SHAPE, "", "not known: own-source"),
        ("other.yaml", NPI_SHAPE, OWN_SOURCE, "other.npi is no value of the rules"),
        (
            "identifiers.yaml",
            NPI_SHAPE,
            "own-source: {publisher: P}",
            "own-source: expected the keys edition, publisher",
        ),
        ("identifiers.yaml", "npi: {title: t}", OWN_SOURCE, "identifiers.yaml: identifiers.npi: expected the keys"),
    ],
)
def test_wrong_own_facts_stop_the_start(tmp_path: Path, name: str, text: str, citations: str, said: str) -> None:
    """A mistake in a deployment's folder is named, and nothing is judged by half of it."""
    with pytest.raises(ReferenceDataError, match=said):
        RuleSet.load(reference=_own_facts(tmp_path, name, text, citations))
