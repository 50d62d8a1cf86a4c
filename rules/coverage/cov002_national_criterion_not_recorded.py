"""A first generator under Medicare for which not all elements of the national policy were supplied.

The five elements of the national coverage determination are the checklist of an audit: of 106 sampled implants of 2016
and 2017, 48 lacked support for them in the record. The claim itself does not carry them, so this is information for the
practice and never holds a claim back. A replacement is not asked again.

Known limit: the record may well show what the practice's system did not send with the claim.
"""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.coverage.replacement import is_replacement
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim
from rules.engine.history import History
from rules.engine.rule import rule

_NATIONAL_POLICY = "N386"
_ALL_MET = {
    "ncd_late_resort": True,
    "ncd_other_therapies": True,
    "ncd_screening": True,
    "ncd_facilities": True,
    "ncd_trial_relief": True,
}


@rule(
    title="Element of the national coverage policy not supplied",
    severity=Severity.INFO,
    reason="NOT_MED_NECESSARY",
    remedy="Have the record show every element before an audit asks.",
    citations=("ncd-160.7", "oig-a-01-18-00500"),
    field="case_facts",
    scope="claim",
    procedures=(GENERATOR,),
    payers=("MEDICARE_FFS", "MEDICARE_ADV"),
    effective=date(1995, 8, 7),
    concerns_claim=lambda key, policy: not key.facts >= policy["coverage.national_criteria"].keys(),
    policy=("coverage.national_criteria", "coverage.replacement_diagnoses"),
    clean=(a_claim(case_facts=_ALL_MET), a_claim(diagnoses=[{"code": "Z45.42"}])),
    flagged=(a_claim(), a_claim("MEDICARE_ADV", case_facts={**_ALL_MET, "ncd_facilities": None})),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Flag | None:
    facts = claim.case_facts
    elements = policy["coverage.national_criteria"]
    missing = tuple([element for fact, element in elements.items() if getattr(facts, fact) is None])
    if not missing or is_replacement(claim, history, policy["coverage.replacement_diagnoses"]):
        return None
    return _flag(missing)


# Nearly every Medicare claim gets one of these few.
@lru_cache(maxsize=64)
def _flag(missing: tuple[str, ...]) -> Flag:
    named = "; ".join(missing)
    return Flag(
        f"not supplied, but asked for by national policy 160.7: {named}",
        rarc=_NATIONAL_POLICY,
    )
