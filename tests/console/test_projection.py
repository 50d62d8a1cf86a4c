"""What the console knows of the output topics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rules import ClaimError, RuleSet
from rules.engine.examples import CLINIC_NPI, SURGEON_NPI
from tests.console.outputs import Outputs, at_minute, event_id_of
from worker.console.projection import Projection
from worker.console.records import Received
from worker.console.views import Filter, Place

HOUR = timedelta(hours=1)


class Clock:
    """A time that stands still until it is set."""

    def __init__(self) -> None:
        self.time = at_minute(10)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outputs(ruleset: RuleSet) -> Outputs:
    return Outputs(ruleset)


@pytest.fixture
def projection(tmp_path: Path, ruleset: RuleSet, clock: Clock) -> Iterator[Projection]:
    made = Projection(tmp_path / "console.sqlite", ruleset, 31, clock)
    yield made
    made.close()


def test_flagged_claim(projection: Projection, outputs: Outputs) -> None:
    """A flagged claim is in the table with what its decision says, and its page has the decision as published."""
    record = outputs.decide(
        "C1", at_minute(5), flagged=True, submitter_id="sub1",
        headers=[("traceparent", b"00-1-2-00"), ("x-patient", b"Avery Example"), ("claimscrub_resubmitted_by", b"kim")],
    )  # fmt: skip
    take(projection, outputs)
    (row,) = projection.flagged(Filter(), 10)
    assert (row.claim_id, row.event_id, row.at, row.state) == ("C1", event_id_of(record), at_minute(5), "open")
    assert (row.payer, row.submitter, row.billing_npi, row.claim_type) == (
        "MEDICARE_FFS", "SUB1", CLINIC_NPI, "professional",
    )  # fmt: skip
    assert (row.amount, row.codes, row.rule_ids) == (950_000, ("63685",), ("UNT001",))
    assert row.message.startswith("2 units")
    view = projection.claim(row.event_id)
    assert view is not None
    assert view.row == row
    assert view.decision["findings"][0]["rule_id"]
    assert view.place == Place("claims.flagged", 0, 0)
    assert view.rendering_npis == (SURGEON_NPI,)
    assert str(view.service_from) == str(view.service_to) == "2026-08-03"
    assert view.headers["ce_subject"] == "C1"
    assert view.headers["traceparent"] == "00-1-2-00"
    assert "x-patient" not in view.headers
    assert projection.claim("unknown") is None


def test_no_member_identity(projection: Projection, outputs: Outputs, tmp_path: Path) -> None:
    """Nothing of the member stands in the file: neither name, nor number, nor date of birth."""
    outputs.decide("C1", flagged=True, headers=[("x-member", b"1EG4TE5MK73")])
    outputs.decide("C2")
    outputs.override(outputs.records[0], at_minute(1))
    take(projection, outputs)
    projection.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"C1" in kept
    for secret in (b"1EG4TE5MK73", b"Avery", b"1955-03-01", b"PCN-1"):
        assert secret not in kept


def test_overrides(projection: Projection, outputs: Outputs) -> None:
    """An override waits for its answer; released, the claim is no longer open; refused, it says why."""
    first = outputs.decide("C1", flagged=True)
    second = outputs.decide("C2", flagged=True)
    one = outputs.override(first, at_minute(1), "kim", "called the payer")
    two = outputs.override(second, at_minute(2))
    take(projection, outputs)
    rows = projection.overrides(10)
    assert [(row.claim_id, row.outcome) for row in rows] == [("C2", "pending"), ("C1", "pending")]
    assert (rows[1].user, rows[1].reason, rows[1].amount) == ("kim", "called the payer", 950_000)
    assert rows[1].rule_ids == ("UNT001",)
    answer = outputs.release(one, at_minute(3))
    error = ClaimError("$", "released before", "a claim that is open", "C2")
    outputs.refuse(error, at_minute(3), "-".join(map(str, two.place)))
    take(projection, outputs, outputs.records[-2:])
    rows = projection.overrides(10)
    assert [(row.outcome, row.problem) for row in rows] == [
        ("refused", "$: released before; expected a claim that is open"), ("released", ""),
    ]  # fmt: skip
    assert [row.claim_id for row in projection.flagged(Filter(), 10)] == ["C2"]
    (released,) = projection.flagged(Filter(state="released"), 10)
    view = projection.claim(released.event_id)
    assert view is not None
    assert view.later == ((event_id_of(answer), at_minute(3), "cleared"),)
    assert projection.now(HOUR).claims == 2
    assert projection.overrides(10, before=rows[0].number) == rows[1:]


def test_sent_again(projection: Projection, outputs: Outputs) -> None:
    """A claim that was decided again is open with its latest decision only."""
    outputs.decide("C1", flagged=True)
    outputs.decide("C1", at_minute(1), flagged=True)
    outputs.decide("C2", flagged=True)
    outputs.decide("C2", at_minute(1))
    take(projection, outputs)
    (row,) = projection.flagged(Filter(), 10)
    assert (row.claim_id, row.at) == ("C1", at_minute(1))
    assert len(projection.flagged(Filter(state="sent again"), 10)) == 2
    assert projection.flagged_total(Filter(state=None)) == (3, 2_850_000)


def test_dead_letters(projection: Projection, outputs: Outputs) -> None:
    """A dead letter says where it came from and why, and what has become of it since it was sent again."""
    outputs.refuse(ClaimError("lines[0].units", "not a number", "a number", "C1"))
    take(projection, outputs)
    (row,) = projection.dead_letters(10)
    assert row.reason == "lines[0].units: not a number; expected a number"
    assert (row.claim_id, row.error_class, row.size) == ("C1", "ClaimError", 11)
    assert row.place == Place("claims.deadletter", 0, 0)
    assert row.origin == Place("claims.submitted", 0, 1)
    assert (row.resubmitted, row.outcome) == ("", "")
    mark = [("claimscrub_resubmitted", b"claims.deadletter 0 0")]
    outputs.refuse(ClaimError("$", "blank", "a claim", "C1"), at_minute(1), headers=mark)
    last = outputs.decide("C1", at_minute(2), headers=mark)
    take(projection, outputs, outputs.records[1:])
    assert [(row.resubmitted, row.outcome) for row in projection.dead_letters(10)] == [
        ("", ""), (event_id_of(last), "cleared"),
    ]  # fmt: skip


def take(projection: Projection, outputs: Outputs, records: list[Received] | None = None) -> None:
    """All that was published, or these."""
    taken = outputs.records if records is None else records
    projection.take(taken, {(record.place.topic, 0): record.place.offset + 1 for record in taken})
