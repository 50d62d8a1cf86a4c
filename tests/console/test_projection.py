"""What the console knows of the output topics."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import ClaimError, RuleSet
from rules.engine.examples import CLINIC_NPI, SURGEON_NPI, a_line
from tests.bench.console import measure
from tests.console.outputs import NOON, Outputs, at_minute, event_id_of
from worker.console.projection import Projection
from worker.console.records import Received
from worker.console.views import Filter, Place, Share, State

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

HOUR = timedelta(hours=1)
STATES: tuple[State | None, ...] = (None, "open", "released", "sent again", "monitored")


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
        headers=[("traceparent", TRACE.encode()), ("claimscrub_patient", b"Avery Example")],
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
    assert view.headers["traceparent"] == TRACE
    assert "claimscrub_patient" not in view.headers
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


@pytest.mark.parametrize("cleared_format", ["envelope", "claim"])
def test_monitored(projection: Projection, outputs: Outputs, cleared_format: Literal["envelope", "claim"]) -> None:
    """A claim that monitor mode has let pass counts as cleared, once, and apart as one that would have been flagged.

    It waits for nobody, whatever is decided about the claim later.
    """
    outputs.monitor("C1", at_minute(1), cleared_format)
    outputs.decide("C2", at_minute(1), flagged=True)
    outputs.decide("C3", at_minute(1))
    outputs.decide("C1", at_minute(2))
    take(projection, outputs)
    seen = projection.now(HOUR)
    (row,) = projection.flagged(Filter(state="monitored"), 10)
    hits = projection.rule_hits()["UNT001"]

    assert (row.claim_id, row.event_id) == ("C1", "claims.submitted-0-1-monitor")
    assert [each.claim_id for each in projection.flagged(Filter(), 10)] == ["C2"]
    assert (seen.claims, seen.flag_rate, seen.clean_amount_rate) == (4, 1 / 4, 3 / 4)
    assert (seen.monitored, seen.monitored_amount) == (1, 950_000)
    assert (seen.waiting, seen.waiting_amount) == (1, 950_000)
    assert seen.by_rule[0] == Share("UNT001", 2, 2, 1_900_000)
    assert (hits.flagged, hits.would_have_flagged, hits.amount) == (1, 1, 1_900_000)
    (cause,) = projection.clusters(HOUR)
    assert (cause.claims, cause.amount, cause.claims_ever) == (1, 950_000, 2)


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


@settings(max_examples=40)
@given(order=st.permutations(range(14)), data=st.data())
def test_order_of_reading(
    order: list[int], data: st.DataObject, ruleset: RuleSet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whichever topic is read first, in whichever batches, and however often, the pages show the same."""
    outputs = everything_at_once(ruleset)
    assert len(outputs.records) == len(order)
    clock = Clock()
    straight = Projection(tmp_path_factory.mktemp("straight") / "console.sqlite", ruleset, 31, clock)
    take(straight, outputs)
    mixed = Projection(tmp_path_factory.mktemp("mixed") / "console.sqlite", ruleset, 31, clock)
    left = [outputs.records[number] for number in order]
    while left:
        size = data.draw(st.integers(1, len(left)))
        take(mixed, outputs, left[:size])
        if data.draw(st.booleans()):
            take(mixed, outputs, left[:size])
        left = left[size:]
    assert answers(mixed) == answers(straight)
    straight.close()
    mixed.close()


def everything_at_once(ruleset: RuleSet) -> Outputs:
    """Claims cleared, flagged, released, refused and sent again, some of them in one millisecond."""
    outputs = Outputs(ruleset)
    first = outputs.decide("C1", flagged=True)
    outputs.decide("C1", flagged=True)
    outputs.decide("C1", at_minute(1))
    second = outputs.decide("C2", flagged=True, submitter_id="S1")
    outputs.decide("C3", payer="AETNA", submitter_id="S2")
    outputs.decide("C3", at_minute(2), payer="AETNA", flagged=True)
    override = outputs.override(second, at_minute(3))
    outputs.release(override, at_minute(4))
    outputs.decide("C2", at_minute(5), flagged=True)
    refused = outputs.override(first, at_minute(3))
    outputs.refuse(ClaimError("$", "sent again", "the latest"), at_minute(4), "-".join(map(str, refused.place)))
    outputs.refuse(ClaimError("$", "not JSON", "a claim", "C4"))
    mark = [("claimscrub_resubmitted", b"claims.deadletter 0 1")]
    outputs.decide("C4", at_minute(6), headers=mark)
    outputs.add("cleared", b"neither")
    return outputs


def answers(projection: Projection) -> list[object]:
    """All that the pages show but problems, which count a record that can't be read each time."""
    flagged = projection.flagged(Filter(state=None), 100)
    return [
        flagged,
        [projection.claim(row.event_id) for row in flagged],
        [projection.flagged_total(Filter(state=state)) for state in STATES],
        projection.now(HOUR),
        projection.now(100 * HOUR),
        projection.clusters(HOUR),
        projection.alarms(),
        projection.rule_hits(),
        projection.dead_letters(100),
        projection.overrides(100),
        projection.choices(),
    ]


def test_filters(projection: Projection, outputs: Outputs) -> None:
    """Each filter leaves the claims that it names, several leave what all of them do."""
    outputs.decide("C1", flagged=True, submitter_id="S1")
    outputs.decide("C2", at_minute(1), payer="AETNA", flagged=True, submitter_id="S2")
    other = {"name": "Other Clinic", "npi": "1184567893", "entity_type": "organization"}
    lines = [a_line(units="2"), a_line("63650", charge_amount="100.10")]
    outputs.decide("D3", at_minute(60 * 24), flagged=True, billing_provider=other, lines=lines)
    take(projection, outputs)
    today, tomorrow = NOON.date(), NOON.date() + timedelta(days=1)
    expected: list[tuple[Filter, str]] = [
        (Filter(), "D3 C2 C1"),
        (Filter(payer="AETNA"), "C2"),
        (Filter(submitter="S1"), "C1"),
        (Filter(provider="1184567893"), "D3"),
        (Filter(provider=SURGEON_NPI), "D3 C2 C1"),
        (Filter(provider=SURGEON_NPI[:5]), ""),
        (Filter(code="63650"), "D3"),
        (Filter(rule_id="UNT001"), "D3 C2 C1"),
        (Filter(rule_id="UNT001", severity="error"), "D3 C2 C1"),
        (Filter(rule_id="UNT001", severity="warning"), ""),
        (Filter(category="UNITS_MUE", payer="MEDICARE_FFS", code="63685"), "D3 C1"),
        (Filter(flagged_from=tomorrow), "D3"),
        (Filter(flagged_to=today), "C2 C1"),
        (Filter(least_amount=950_001), "D3"),
        (Filter(most_amount=960_010, least_amount=960_010), "D3"),
        (Filter(most_amount=950_000), "C2 C1"),
        (Filter(text="c"), "D3 C2 C1"),
        (Filter(text=" c2 "), "C2"),
        (Filter(text="units-over"), "D3 C2 C1"),
        (Filter(text="unt001"), "D3 C2 C1"),
        (Filter(text=CLINIC_NPI), "C2 C1"),
        (Filter(text="%"), ""),
        (Filter(state="released"), ""),
        (Filter(state=None), "D3 C2 C1"),
    ]
    for chosen, claim_ids in expected:
        rows = projection.flagged(chosen, 10)
        assert " ".join(row.claim_id for row in rows) == claim_ids, chosen
        assert projection.flagged_total(chosen) == (len(rows), sum(row.amount for row in rows)), chosen
    newest, *older = projection.flagged(Filter(), 10)
    assert projection.flagged(Filter(), 1) == [newest]
    assert projection.flagged(Filter(), 10, before=newest.number) == older
    choices = projection.choices()
    assert choices.payers == ("AETNA", "MEDICARE_FFS")
    assert choices.submitters == ("S1", "S2")
    assert "UNT001" in choices.rule_ids
    assert "UNITS_MUE" in choices.categories


def test_now(projection: Projection, outputs: Outputs, clock: Clock) -> None:
    """Rates and sums are of the window, steps without claims are there, and what waits waits whenever it came."""
    empty = projection.now(HOUR)
    assert (empty.claims, empty.flag_rate, empty.clean_amount_rate, empty.latest) == (0, None, None, None)
    assert len(empty.points) == 60
    outputs.decide("C0", at_minute(-200), flagged=True)
    for number in range(6):
        outputs.decide(f"C{1 + number}", at_minute(9), submitter_id="S1")
    outputs.decide("C9", at_minute(10), flagged=True, lines=[a_line(units="2", charge_amount="3000.00")])
    outputs.refuse(ClaimError("$", "not JSON", "a claim"), at_minute(10))
    take(projection, outputs)
    clock.time = at_minute(10.5)
    seen = projection.now(HOUR)
    assert (seen.claims, seen.flag_rate, seen.deadletters) == (7, 1 / 7, 1)
    assert seen.clean_amount_rate == 57_000 / 60_000
    assert (seen.waiting, seen.waiting_amount) == (2, 1_250_000)
    assert seen.claims_per_second == (1 + 6 / 2) / 60
    assert seen.latest == at_minute(10)
    assert [point.at for point in seen.points] == [at_minute(each) for each in range(-49, 11)]
    assert seen.points[-2][1:] == (6, 0, 0, 5_700_000, 0, 0, 0)
    assert seen.points[-1][1:] == (0, 1, 1, 0, 300_000, 0, 0)
    assert seen.by_payer == (Share("MEDICARE_FFS", 7, 1, 300_000),)
    assert seen.by_submitter == (Share("", 1, 1, 300_000), Share("S1", 6, 0, 0))
    assert seen.by_rule[0] == Share("UNT001", 1, 1, 300_000)
    for window, points in ((1, 60), (6, 72), (24, 96), (24 * 7, 84), (24 * 31, 62)):
        seen = projection.now(window * HOUR)
        assert len(seen.points) == points
        assert seen.claims == (8 if window > 3 else 7)


def test_causes(projection: Projection, outputs: Outputs, clock: Clock) -> None:
    """Flagged claims of one cause stand together, the most money first, with the minute in which it began."""
    clock.time = at_minute(130)
    for minute in range(120):
        outputs.decide(f"A{minute}", at_minute(minute))
    for number in range(30):
        outputs.decide(f"B{number}", at_minute(100 + number), flagged=True)
    outputs.decide("B0", at_minute(129))
    outputs.decide("D1", at_minute(50), payer="CIGNA", lines=[a_line(charge_amount="1.00")], billing_provider={})
    take(projection, outputs)
    first, *others = projection.clusters(3 * HOUR)
    assert (first.rule_id, first.name, first.provider, first.payer, first.code) == (
        "UNT001", "units-over-daily-limit", CLINIC_NPI, "MEDICARE_FFS", "63685",
    )  # fmt: skip
    assert (first.claims, first.claims_ever, first.amount) == (29, 30, 29 * 950_000)
    assert (first.first_seen, first.last_seen) == (at_minute(100), at_minute(129))
    assert first.started == at_minute(100)
    assert first.message.startswith("2 units")
    assert sum(first.trend) == 30
    assert len(first.trend) <= 60
    assert all(each.amount < first.amount and each.started is None for each in others)
    assert projection.clusters(3 * HOUR, 1) == [first]
    assert projection.clusters(timedelta(days=7))[0].claims_ever == 30
    clock.time = at_minute(300)
    assert projection.clusters(HOUR) == []


def test_alarms(projection: Projection, outputs: Outputs, clock: Clock) -> None:
    """A submitter whose share of flagged claims has jumped raises an alarm, and so does the rule, until it is over."""
    for minute in range(-600, 0, 2):
        outputs.decide(f"A{minute}", at_minute(minute), submitter_id="S1", flagged=minute % 60 == 0)
        outputs.decide(f"B{minute}", at_minute(minute), submitter_id="S2")
    take(projection, outputs)
    clock.time = at_minute(0)
    assert projection.alarms() == []
    for minute in range(10):
        for number in range(3):
            outputs.decide(f"C{minute}-{number}", at_minute(minute), submitter_id="S1", flagged=True)
    take(projection, outputs, outputs.records[-30:])
    clock.time = at_minute(10)
    found = {(alarm.kind, alarm.key): alarm for alarm in projection.alarms()}
    assert set(found) == {("rule", "UNT001"), ("submitter", "S1"), ("payer", "MEDICARE_FFS")}
    of_submitter = found["submitter", "S1"]
    assert (of_submitter.since, of_submitter.over, of_submitter.rate) == (NOON, None, 100.0)
    assert (of_submitter.claims, of_submitter.amount) == (30, 30 * 950_000)
    assert of_submitter.baseline < 5
    for minute in range(10, 60):
        outputs.decide(f"D{minute}", at_minute(minute), submitter_id="S1")
    take(projection, outputs, outputs.records[-50:])
    clock.time = at_minute(60)
    over = projection.alarms()
    assert {alarm.key for alarm in over} == {"UNT001", "S1", "MEDICARE_FFS"}
    assert all(alarm.over is not None and at_minute(10) < alarm.over <= at_minute(40) for alarm in over)
    clock.time = at_minute(26 * 60)
    assert projection.alarms() == []


def test_rule_hits(tmp_path: Path, ruleset: RuleSet, clock: Clock) -> None:
    """A rule's claims are counted by what it did to them; a preview's by what it would have done."""
    rules = {**ruleset.rules, "UNT001": replace(ruleset.rules["UNT001"], status="preview")}
    previewing = copy(ruleset)
    previewing.rules = rules
    outputs = Outputs(ruleset)
    outputs.decide("C1", at_minute(1), flagged=True)
    before = [a_line(units="2", service_date="2024-06-30")]  # when the limit was only presumed for this payer
    outputs.decide("C2", at_minute(2), payer="AETNA", lines=before)
    take_in = [Projection(tmp_path / name, each, 31, clock) for name, each in (("a", ruleset), ("b", previewing))]
    for projection in take_in:
        take(projection, outputs)
    hits = take_in[0].rule_hits()["UNT001"]
    assert hits == ("UNT001", 1, 1, 0, 950_000, at_minute(2))
    # Of a preview, findings are published as information; here the claims had been decided before it was one.
    assert take_in[1].rule_hits()["UNT001"] == ("UNT001", 1, 1, 1, 1_900_000, at_minute(2))
    for projection in take_in:
        projection.close()


def test_unreadable(projection: Projection, outputs: Outputs) -> None:
    """What is not what its topic is for is counted and told, without a word of what it held, and the rest is there."""
    outputs.add("flagged", b'{"claim":{"claim_type":"Avery Example"},"decision":{"claim_id":7}}')
    outputs.add("flagged", None)
    outputs.add("flagged", b'{"claim":' + b"[" * 100_000)
    outputs.add("cleared", b"\xff\xfe")
    outputs.add("overrides", b'{"override":{}}')
    outputs.decide("C1", flagged=True)
    outputs.decide("C2", datetime.fromtimestamp(0, UTC), flagged=True)
    take(projection, outputs)
    assert len(projection.flagged(Filter(), 10)) == 1
    said = projection.unreadable()
    assert "topic claims.flagged: 4 records could not be read, last partition 0, offset 4" in said
    assert "claims.cleared: 1 records" in said
    assert "claims.overrides: 1 records" in said
    assert "Avery" not in said


def test_forgets(projection: Projection, outputs: Outputs, clock: Clock) -> None:
    """What is older than the days that are kept goes; overrides stay, with what became of them."""
    first = outputs.decide("C1", flagged=True)
    outputs.refuse(ClaimError("$", "not JSON", "a claim"))
    one = outputs.override(first, at_minute(1))
    two = outputs.override(first, at_minute(1))
    outputs.override(first, at_minute(1))
    outputs.release(one, at_minute(1))
    outputs.refuse(ClaimError("$", "released before", "one release"), at_minute(1), "-".join(map(str, two.place)))
    outputs.decide("C2", NOON + timedelta(days=20))
    outputs.add("cleared", b"not a claim")
    take(projection, outputs)
    assert projection.unreadable()
    clock.time = NOON + timedelta(days=32)
    take(projection, outputs, [])
    assert projection.flagged(Filter(state=None), 10) == []
    assert projection.clusters(timedelta(days=60)) == []
    assert projection.unreadable() == ""
    assert "UNT001" not in projection.rule_hits()
    assert projection.now(timedelta(days=31)).claims == 1
    assert projection.choices().payers == ("MEDICARE_FFS",)
    assert [(row.outcome, row.problem[:3]) for row in projection.overrides(10)] == [
        ("unknown", ""), ("refused", "$: "), ("released", ""),
    ]  # fmt: skip


def test_goes_on(tmp_path: Path, ruleset: RuleSet, outputs: Outputs, clock: Clock) -> None:
    """A projection that is opened again is where it was; one that was written by something else begins anew."""
    path = tmp_path / "console.sqlite"
    outputs.decide("C1", flagged=True)
    first = Projection(path, ruleset, 31, clock)
    version = first.version()
    take(first, outputs)
    assert first.version() > version
    first.close()
    again = Projection(path, ruleset, 31, clock)
    assert again.positions() == {("claims.flagged", 0): 1}
    assert len(again.flagged(Filter(), 10)) == 1
    again.begin_anew("for a test")
    assert again.positions() == {}
    assert again.flagged(Filter(), 10) == []
    take(again, outputs)
    assert len(again.flagged(Filter(), 10)) == 1
    again.close()
    for strange in (b"no database at all" * 1000, sqlite_file(tmp_path)):
        path.write_bytes(strange)
        anew = Projection(path, ruleset, 31, clock)
        assert anew.positions() == {}
        anew.close()


def sqlite_file(folder: Path) -> bytes:
    """Somebody else's database."""
    path = folder / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE flagged (something)")
    connection.commit()
    connection.close()
    return path.read_bytes()


def test_blanks(projection: Projection, outputs: Outputs) -> None:
    """A claim with blanks where something is missing is read as the worker has read it."""
    blank = a_line(units="2", service_date="", charge_amount="1234.565")
    outputs.decide(
        "C1", flagged=True, lines=[blank], total_charge_amount="", billing_provider="", rendering_provider=""
    )
    outputs.decide("C2", statement_from_date="", service_facility="", lines=[a_line(rendering_provider="")])
    take(projection, outputs)
    assert projection.unreadable() == ""
    (row,) = projection.flagged(Filter(), 10)
    assert (row.billing_npi, row.amount) == ("", 123_456)
    view = projection.claim(row.event_id)
    assert view is not None
    assert (view.rendering_npis, view.service_from, view.service_to) == ((), None, None)
    assert projection.now(HOUR).claims == 2


def test_failed_batch(projection: Projection, outputs: Outputs) -> None:
    """A batch that can't be written leaves nothing, and its position stays, so that it is read again."""
    outputs.decide("C1", flagged=True)
    with pytest.raises(sqlite3.Error):
        projection.take(outputs.records, {("claims.flagged", 0): None})  # type: ignore[dict-item]
    assert projection.positions() == {}
    take(projection, outputs)
    assert projection.choices().payers == ("MEDICARE_FFS",)
    assert projection.now(HOUR).claims == 1


def take(projection: Projection, outputs: Outputs, records: list[Received] | None = None) -> None:
    """All that was published, or these."""
    taken = outputs.records if records is None else records
    projection.take(taken, {(record.place.topic, 0): record.place.offset + 1 for record in taken})


def test_bench(tmp_path: Path, ruleset: RuleSet) -> None:
    """The benchmark of the projection gives a figure for each question; what it is is nobody's business here."""
    results = measure(ruleset, tmp_path, flagged=300, cleared=1_000, times=2)
    assert results["records_per_second"].keys() == {"cleared", "flagged", "deadletter"}
    for measured in results["milliseconds"].values():
        assert {"now, a day", "causes, a week", "alarms", "flagged: open"} <= measured.keys()
        assert all(figures["p99"] >= figures["median"] >= 0 for figures in measured.values())
