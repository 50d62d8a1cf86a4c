"""The payer profiles as a whole: every key, what it inherits, and the shape of the filing limits."""

import pytest

from rules import RuleSet
from rules.engine.policy import Confidence

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
    adoption = {key: profile.adoption for key, profile in ruleset.profiles.items()}

    assert adoption == {key: {**ASSUMED, **ADOPTION.get(key, {})} for key in ruleset.profiles}


def test_a_payer_id_of_two_lines_names_neither(ruleset: RuleSet) -> None:
    """Only an ID that belongs to one key can name it."""
    payer_ids = {key: profile.payer_ids for key, profile in ruleset.profiles.items() if profile.payer_ids}

    assert payer_ids == {
        "AETNA": ("60054",),
        "AETNA_MA": ("60054",),
        "CIGNA": ("62308",),
        "UHC_COM": ("87726",),
        "UHC_MA": ("87726",),
    }


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
