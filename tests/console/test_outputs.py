"""What the console reads of the worker's outputs is what the worker has read of the claims."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rules import Claim, Disposition, RuleSet
from rules.engine.examples import as_json
from tests.golden.corpus import content_of, goldens
from worker.console.outputs import UnreadableError, fault_of, read_cleared, read_flagged, resubmission_of
from worker.console.views import Place
from worker.deadletter import x12_headers
from worker.pipeline import handle
from worker.x12.errors import X12Error


def test_golden_claims(ruleset: RuleSet) -> None:
    """Of every golden claim, charges, codes, providers, submitter and dates are those of the claim."""
    seen = dict.fromkeys(Disposition, 0)
    for golden in goldens():
        event = as_json(content_of(golden)).encode()
        outcome = handle(event, ruleset)
        assert outcome.decision is not None
        seen[outcome.decision.disposition] += 1
        claim = Claim.from_json(event)
        charge = claim.total_charge_amount
        if charge is None:
            charge = sum((line.charge_amount or Decimal(0) for line in claim.lines), Decimal(0))
        if outcome.disposition is Disposition.CLEARED:
            decision, submitter, amount = read_cleared(outcome.value)
            assert (submitter, amount) == (claim.submitter_id, int(charge * 100))
        else:
            read, raw = read_flagged(outcome.value)
            decision = read.decision
            assert (outcome.value or b"").endswith(raw + b"}")
            assert (read.submitter, read.amount) == (claim.submitter_id, int(charge * 100))
            assert (read.claim_type, read.billing_npi) == (claim.claim_type, claim.billing_provider.npi)
            assert read.line_codes == tuple(line.procedure_code for line in claim.lines)
            assert set(read.rendering_npis) >= {claim.rendering_npi_on(line) for line in claim.lines} - {""}
            dates = [str(line.service_date) for line in claim.lines if line.service_date is not None]
            assert not dates or read.service_from <= min(dates) <= max(dates) <= read.service_to
        assert decision.claim_id == claim.claim_id
        assert [each.rule_id for each in decision.findings] == [each.rule_id for each in outcome.decision.findings]
    assert min(seen.values()) > 20


@pytest.mark.parametrize("amount", ["1E+999999", "NaN", "1e400", "-", "9" * 400])
def test_absurd_charges(amount: str) -> None:
    """A charge that no worker would let pass counts as none, and takes no time to find out."""
    value = (
        b'{"claim":{"claim_type":"professional","total_charge_amount":"%s"},'
        b'"decision":{"claim_id":"C1","disposition":"cleared","payer":"AETNA"}}' % amount.encode()
    )
    assert read_cleared(value)[2] == 0


def test_decision_that_is_none() -> None:
    """A claim beside something that is no decision is not read."""
    with pytest.raises(UnreadableError, match="claim_id"):
        read_flagged(b'{"claim":{"claim_id":"C1","claim_type":"professional"},"decision":{}}')


def test_dead_letters_of_x12() -> None:
    """A dead letter of X12 text says in which interchange and segment the fault stands; without headers, nothing."""
    error = X12Error("too short", "a longer one", interchange="000000905", transaction="0001", segment=17)
    fault = fault_of(dict(x12_headers(error)))
    assert "too short; expected a longer one (interchange 000000905, transaction 0001, segment 17)" in fault.reason
    assert fault_of({}) == (None, "", "")


def test_marks_of_a_resubmission() -> None:
    """Only a header that names a place marks an output as what has become of a dead letter."""
    assert resubmission_of({"claimscrub_resubmitted": b"claims.deadletter 3 17"}) == Place("claims.deadletter", 3, 17)
    assert resubmission_of({"claimscrub_resubmitted": b"nowhere"}) is None
    assert resubmission_of({}) is None
