"""The payer profiles as a whole: every key, what it inherits, filing limits, and whose a claim is."""

from pathlib import Path

import pytest

from rules import Claim, Decision, RuleSet
from rules.engine.examples import a_claim, as_json, claim_content
from rules.engine.policy import Confidence, ReferenceDataError
from rules.engine.recognition import Recognition, load_recognition
from rules.engine.reference import PACKAGE

ASSUMED = {"ptp": "assumed", "aoc": "assumed", "mue": "assumed", "global": "assumed", "mpfs": "assumed"}
ADOPTION = {
    "MEDICARE_FFS": {"ptp": "own", "aoc": "own", "mue": "own", "global": "own", "mpfs": "own"},
    "CIGNA": {"ptp": "confirmed"},
    "UHC_COM": {"ptp": "confirmed", "aoc": "confirmed"},
    "BCBSNE": {"mpfs": "confirmed"},
    "REGENCE": {"ptp": "confirmed", "mpfs": "confirmed"},
}
MEDICARE_ADVANTAGE = {"MEDICARE_ADV", "AETNA_MA", "UHC_MA", "HIGHMARK_MA", "SCAN", "CLOVER", "HUMANA_MA"}
COMMERCIAL = {
    *("AETNA", "CIGNA", "UHC_COM", "OXFORD", "UMR"),
    *("ANTHEM", "HCSC", "BCBSMN", "BCBSNC", "BCBSMA", "BCBSM", "BCBSND", "MP328", "HIGHMARK", "BSCA", "FLBLUE"),
    *("WELLMARK", "BCBSNE", "AZBLUE", "REGENCE", "IBX", "FEP"),
    *("QUALCHOICE", "HEALTHPARTNERS", "AMBETTER"),
}
LIMITS = {
    "MEDICARE_FFS": 2,
    "AETNA": 3,
    "CIGNA": 4,
    "UHC_COM": 2,
    "OXFORD": 2,
    "UMR": 2,
    "UHC_MA": 1,
    "ANTHEM": 1,
    "HCSC": 2,
    "BCBSNC": 1,
    "BCBSMA": 2,
    "BCBSM": 3,
    "BCBSNE": 1,
    "FEP": 1,
}
KEYS = {"line", "participation", "limit", "error_use", "confidence", "source"}
MORE_KEYS = {"unit", "anchor", "claim_type", "products", "secondary", "holidays"}


def test_every_payer_has_a_profile(ruleset: RuleSet) -> None:
    """The keys of the payer list, and no others."""
    assert set(ruleset.profiles) == {"MEDICARE_FFS", "OTHER"} | MEDICARE_ADVANTAGE | COMMERCIAL


def test_medicare_advantage_inherits_no_rule_of_original_medicare(ruleset: RuleSet) -> None:
    """Every plan extends MEDICARE_ADV, and nothing but Original Medicare is Original Medicare."""
    kin = {key for key, profile in ruleset.profiles.items() if "MEDICARE_ADV" in profile.ancestors}
    original = {key for key, profile in ruleset.profiles.items() if "MEDICARE_FFS" in profile.ancestors}

    assert kin == MEDICARE_ADVANTAGE
    assert original == {"MEDICARE_FFS"}


def test_adoption_is_what_each_payer_itself_has_said(ruleset: RuleSet) -> None:
    """A word of one payer is not passed on to those that extend it."""
    adoption = {key: {layer: profile.follows(layer) for layer in ASSUMED} for key, profile in ruleset.profiles.items()}

    assert adoption == {key: {**ASSUMED, **ADOPTION.get(key, {})} for key in ruleset.profiles}


def test_payers_with_filing_limits(ruleset: RuleSet) -> None:
    """How many limits each payer has; one without any is not judged."""
    limits = {key: profile.policies.get("timely_filing.limits") for key, profile in ruleset.profiles.items()}

    assert {key: len(policy.values[-1].value) for key, policy in limits.items() if policy} == LIMITS


@pytest.mark.parametrize("payer", sorted(LIMITS))
def test_filing_limits_are_cited_and_no_surer_than_their_source(ruleset: RuleSet, payer: str) -> None:
    """Every row's source is a citation of its value, and a value is as sure as its surest row, or only presumed."""
    words = list(Confidence)
    for value in ruleset.profiles[payer].policies["timely_filing.limits"].values:
        rows = value.value
        for row in rows:
            assert set(row) >= KEYS
            assert set(row) <= KEYS | MORE_KEYS
            assert set(row["source"].split()) <= set(value.citations)
            assert row["participation"] in {"any", "participating", "nonparticipating"}
            assert row["limit"] is None or row["unit"] in {"days", "calendar months", "year ends"}
            assert Confidence(row["confidence"]).allows_error or not row["error_use"]
        surest = min((Confidence(row["confidence"]) for row in rows), key=words.index)
        assert value.confidence in {surest, Confidence.PRESUMED}


# ---- recognition


def _judged(ruleset: RuleSet, payer_id: str, filing_indicator: str, name: str) -> Decision:
    payer = {"payer_id": payer_id, "filing_indicator": filing_indicator, "name": name}
    return ruleset.evaluate(Claim.from_json(as_json({**claim_content(), "payer": payer})))


@pytest.mark.parametrize(
    ("payer_id", "filing_indicator", "name", "key"),
    [
        # An ID of two lines, and what decides between them
        *(("60054", code, "", "AETNA") for code in ("12", "13", "14", "15", "CI", "HM")),
        ("60054", "16", "AETNA", "AETNA_MA"),
        ("60054", "ZZ", "AETNA MEDICARE ADVANTAGE", "AETNA_MA"),
        ("60054", "CI", "AETNA LIFE INSURANCE COMPANY", "AETNA"),
        ("87726", "CI", "UNITED HEALTHCARE", "UHC_COM"),
        ("87726", "HM", "a name that nobody knows", "UHC_COM"),
        ("87726", "16", "", "UHC_MA"),
        ("87726", "", "UHC Medicare", "UHC_MA"),
        ("87726", "CI", "Oxford Health Plans", "OXFORD"),
        ("87726", "12", "UMR", "UMR"),
        # An ID of one line
        ("62308", "", "", "CIGNA"),
        ("62308", "CI", "CIGNA", "CIGNA"),
        # A name with a filing indicator, where the ID is not known
        ("X1", "CI", "Aetna", "AETNA"),
        ("X1", "16", "AETNA HEALTH INC", "AETNA_MA"),
        ("", "CI", "Oxford (UnitedHealthcare)", "OXFORD"),
        ("", "HM", "HealthPartners", "HEALTHPARTNERS"),
        ("", "CI", "QUALCHOICE", "QUALCHOICE"),
        ("", "16", "SCAN Health Plan", "SCAN"),
        ("", "16", "Clover Health", "CLOVER"),
        ("", "16", "HUMANA", "HUMANA_MA"),
        # Original Medicare
        ("", "MB", "", "MEDICARE_FFS"),
        ("", "MA", "Medicare Part A", "MEDICARE_FFS"),
        ("X1", "MB", "MEDICARE OF THE STATE", "MEDICARE_FFS"),
        ("01112", "MB", "NORIDIAN", "MEDICARE_FFS"),
        ("04412", "", "Medicare", "MEDICARE_FFS"),
        ("10112", "ZZ", "PALMETTO GBA", "MEDICARE_FFS"),
        # Medicare Advantage of a payer that is not known
        ("X1", "16", "a plan that nobody knows", "MEDICARE_ADV"),
        ("", "16", "Medicare", "MEDICARE_ADV"),
        # The Federal Employee Program
        ("", "FI", "FEP", "FEP"),
        ("X1", "FI", "BLUE CROSS OF ONE STATE", "FEP"),
        ("X1", "BL", "BCBS Federal Employee Program", "FEP"),
    ],
)
def test_a_payer_is_recognised(ruleset: RuleSet, payer_id: str, filing_indicator: str, name: str, key: str) -> None:
    """What leads to one profile is judged as if its key had been entered."""
    decision = _judged(ruleset, payer_id, filing_indicator, name)

    assert decision.payer == key
    assert "PAYER" not in {each.rule_id for each in decision.not_evaluated}


@pytest.mark.parametrize(
    ("payer_id", "filing_indicator", "name", "why"),
    [
        # Other programmes, whatever else is said
        *(
            ("87726", code, "UNITEDHEALTHCARE", f"its filing indicator SBR09 {code} is that of a programme")
            for code in ("11", "17", "AM", "CH", "DS", "LM", "MC", "OF", "TV", "VA", "WC")
        ),
        ("60054", "CI", "Aetna Better Health", "its payer name is that of a programme"),
        ("87726", "CI", "UHC COMMUNITY PLAN", "its payer name is that of a programme"),
        ("X1", "MB", "Workers' Compensation Fund", "its payer name is that of a programme"),
        ("60054", "CI", "AETNA MEDICARE SUPPLEMENT", "its payer name is that of a programme"),
        ("62308", "CI", "CIGNA DENTAL", "its payer name is that of a programme"),
        ("62308", "Q7", "CIGNA", "its filing indicator SBR09 is not a code that is known"),
        # Contradictions
        ("", "MB", "AETNA", "no payer profile fits its payer name and its filing indicator SBR09 MB"),
        ("60054", "MB", "", "no payer profile fits its payer ID and its filing indicator SBR09 MB"),
        ("62308", "16", "", "no payer profile fits its payer ID and its filing indicator SBR09 16"),
        ("62308", "CI", "AETNA", "no payer profile fits its payer ID and its payer name and its filing indicator"),
        ("60054", "CI", "AETNA MEDICARE", "no payer profile fits its payer ID and its payer name"),
        ("01112", "16", "", "no payer profile fits its payer ID"),
        ("60054", "BL", "", "no payer profile fits its payer ID"),
        ("", "MB", "Medicare Advantage", "no payer profile fits its payer name"),
        ("", "CI", "Medicare", "no payer profile fits its payer name"),
        ("", "MA", "Florida Blue", "no payer profile fits its payer name"),
        ("", "CI", "Aetna Cigna", "no payer profile fits its payer name"),
        # More than one
        ("60054", "", "", "more than one payer profile fits its payer ID"),
        ("87726", "ZZ", "UnitedHealthcare", "more than one payer profile fits its payer ID and its payer name"),
        ("", "BL", "BCBS Nebraska", "its payer is a Blue plan, whose rules are those of the home plan"),
        ("", "BL", "a plan that nobody knows", "its payer is a Blue plan, whose rules are those of the home plan"),
        ("", "CI", "Anthem of one state", "its payer is a Blue plan, whose rules are those of the home plan"),
        ("", "16", "Highmark", "its payer is a Blue plan, whose rules are those of the home plan"),
        # Not enough
        ("", "", "Cigna", "its payer name alone is not enough"),
        ("01112", "", "", "its payer ID alone is not enough"),
        ("01112", "ZZ", "a name that nobody knows", "its payer ID alone is not enough"),
        ("X1", "CI", "AETNA STUDENT PLAN", "its payer ID is not known, and its payer name only in part"),
        ("X1", "CI", "Acme", "neither its payer ID nor its payer name is known"),
        ("X1", "FI", "Acme", "neither its payer ID nor its payer name is known"),
        ("", "", "", "neither its payer ID nor its payer name is known"),
    ],
)
def test_what_does_not_lead_to_one_payer_gets_the_rules_for_every_payer(
    ruleset: RuleSet, payer_id: str, filing_indicator: str, name: str, why: str
) -> None:
    """The decision says why, once, and quotes neither the payer's name nor its ID."""
    decision = _judged(ruleset, payer_id, filing_indicator, name)
    (said,) = [each.reason for each in decision.not_evaluated if each.rule_id == "PAYER"]

    assert decision.payer == "OTHER"
    assert said.startswith(f"the claim names no payer key, and {why}")
    assert said.endswith("; only the rules for every payer were applied")
    assert not name or name not in said
    assert not payer_id or payer_id not in said


def test_an_entered_key_counts_whatever_else_the_claim_says(ruleset: RuleSet) -> None:
    """What the biller has said of the payer is not overruled."""
    payer = {"key": "CIGNA", "payer_id": "60054", "filing_indicator": "MC", "name": "Aetna"}

    assert ruleset.evaluate(Claim.from_json(as_json({**claim_content(), "payer": payer}))).payer == "CIGNA"


def test_a_recognised_payer_gets_its_rules(ruleset: RuleSet) -> None:
    """The findings are those of a claim with the payer key."""
    content = claim_content(place_of_service="11")
    recognised = {**content, "payer": {"filing_indicator": "MB", "name": "Medicare"}}
    findings = ruleset.evaluate(Claim.from_json(as_json(recognised))).findings

    assert "FAC001" in {finding.rule_id for finding in findings}
    assert findings == ruleset.evaluate(a_claim(place_of_service="11")).findings


def test_every_payer_with_a_name_of_its_own_can_be_recognised(ruleset: RuleSet) -> None:
    """Every profile is in the recognition data, but for the root and a name that many companies share."""
    recognition = ruleset.recognition
    known = {key for each in recognition.names.values() if each for key in each.profiles}

    assert known == set(ruleset.profiles) - {"OTHER", "AMBETTER"}


_EMPTY = {
    **dict.fromkeys(("payer_ids", "names", "other_programs", "filing_indicators"), "[]"),
    "verified_on": "2026-08-20",
}


def _recognition(ruleset: RuleSet, folder: Path, **sections: str) -> Recognition:
    path = folder / "recognition.yaml"
    path.write_text("\n".join(f"{section}: {text}" for section, text in {**_EMPTY, **sections}.items()))
    return load_recognition(path, ruleset.profiles)


@pytest.mark.parametrize(
    ("section", "text", "said"),
    [
        ("payers", "[]", "expected the keys filing_indicators, names"),
        ("verified_on", "lately", "verified_on: expected a date"),
        ("payer_ids", "[7]", "expected entries with a citation"),
        ("payer_ids", '[{words: "1", profiles: [CIGNA]}]', "expected entries with a citation"),
        ("names", '[{words: "1", profiles: [CIGNA], citation: c}]', "expected entries with a citation"),
        ("payer_ids", "[{words: 1, profiles: [CIGNA], citation: c}]", "expected quoted words"),
        ("payer_ids", '[{words: "1", profiles: [CIGNA], citation: c, confidence: high}]', "as confidence one of"),
        ("payer_ids", '[{words: "1", profiles: [ACME], citation: c}]', "not a payer key: ACME"),
        ("payer_ids", '[{words: "1 1", profiles: [CIGNA], citation: c}]', "1 stands in two entries"),
        ("filing_indicators", "[{words: MB, alone: ACME, citation: c}]", "not a payer key: ACME"),
        ("names", "[{called: [a b c d], profiles: [CIGNA], citation: c}]", "a b c d: expected one to 3 words"),
    ],
)
def test_wrong_recognition_data_is_refused(
    ruleset: RuleSet, tmp_path: Path, section: str, text: str, said: str
) -> None:
    """The message names the section and what is expected."""
    with pytest.raises(ReferenceDataError, match=f"recognition.yaml.*{said}"):
        _recognition(ruleset, tmp_path, **{section: text})


def test_recognition_data_names_registered_sources(ruleset: RuleSet, tmp_path: Path) -> None:
    """A source that is not in the register stops the start."""
    made = _recognition(ruleset, tmp_path, payer_ids='[{words: "1", profiles: [CIGNA], citation: no-such}]')

    with pytest.raises(ReferenceDataError, match="no-such"):
        RuleSet({}, ruleset.reference, ruleset.profiles, "1", "sha256:0", recognition=made)
    assert load_recognition(PACKAGE / "payers" / "recognition.yaml", ruleset.profiles) == ruleset.recognition
