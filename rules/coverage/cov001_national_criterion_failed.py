"""A first generator under Medicare whose record says that an element of the national policy is not met.

All five elements of the national coverage determination must be met before a permanent implant. An audit of implants
of 2016 and 2017 found that nearly half of the sampled records did not support them. A replacement is not asked again.

Known limit: an element that was not supplied is not known; it is another rule's information.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from rules.coverage.generator import GENERATOR
from rules.coverage.replacement import is_replacement
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim
from rules.engine.history import History
from rules.engine.rule import rule

_NATIONAL_POLICY = "N386"


@rule(
    title="Element of the national coverage policy is not met",
    severity=Severity.ERROR,
    reason="NOT_MED_NECESSARY",
    remedy="Do not send until every element is met and recorded.",
    citations=("ncd-160.7", "cfr-42-422-101"),
    field="case_facts",
    scope="claim",
    procedures=(GENERATOR,),
    payers=("MEDICARE_FFS", "MEDICARE_ADV"),
    effective=date(1995, 8, 7),
    concerns_claim=lambda key, policy: not key.facts.isdisjoint(policy["coverage.national_criteria"]),
    policy=("coverage.national_criteria", "coverage.replacement_diagnoses"),
    clean=(a_claim(), a_claim(case_facts={"ncd_trial_relief": False, "replacement": True})),
    flagged=(a_claim(case_facts={"ncd_trial_relief": False}), a_claim("SCAN", case_facts={"ncd_screening": False})),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> Flag | None:
    facts, criteria = claim.case_facts, policy["coverage.national_criteria"]
    failed = {fact: element for fact, element in criteria.items() if getattr(facts, fact) is False}
    if not failed or is_replacement(claim, history, policy["coverage.replacement_diagnoses"]):
        return None
    named = "; ".join(failed.values())
    return Flag(
        f"not met by the record, but asked for by national policy 160.7: {named}",
        field=f"case_facts.{next(iter(failed))}",
        remedy=f"Do not send until this is met and recorded: {named}.",
        rarc=_NATIONAL_POLICY,
    )
