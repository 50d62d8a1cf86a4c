"""What is kept of members: as bytes, in memory until it stands, and on disk, where a crash leaves something older."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rocksdict import Cache
from structlog.testing import capture_logs

from rules import Answer, Claim, MemberRecord, Patient, RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from rules.engine.history import PriorClaim, PriorLine, Status, StatusChange
from rules.engine.record import NO_RECORD, Release, StoredClaim
from tests.worker_process import ROOT
from worker.history import (
    META_KEY,
    Change,
    HistoryError,
    Memory,
    Meta,
    Shelf,
    Shelves,
    decoded,
    encoded,
    meta_bytes,
    read_meta,
)
from worker.members import Members, partition_of
from worker.pipeline import input_digest

RULESET = RuleSet.load()
MEMBERS = Members("secret", RULESET.recognised)
TODAY = date(2026, 8, 10)

# ---- a member's record as bytes

_texts = st.text(max_size=12)
_days = st.dates()
_ordinals = st.integers(0, 2**31)
_statuses = st.sampled_from(get_args(Status))
_decimals = st.none() | st.decimals(allow_nan=False, allow_infinity=False)
_lines = st.builds(
    PriorLine,
    _texts,
    st.none() | _days,
    _decimals,
    _decimals,
    st.lists(_texts, max_size=4).map(tuple),
    _texts,
    _texts,
    _texts,
    st.lists(_texts, max_size=4).map(tuple),
    _texts,
)
_changes = st.builds(StatusChange, _ordinals, _statuses, st.none() | _days, _texts)
_claims = st.builds(
    PriorClaim,
    claim_id=_texts,
    claim_type=_texts,
    payer=_texts,
    patient=st.builds(Patient, _texts, _texts),
    received_date=st.none() | _days,
    frequency=_texts,
    patient_control_number=_texts,
    billing_npi=_texts,
    tax_number=_texts,
    type_of_bill=_texts,
    original_reference_number=_texts,
    clearinghouse_trace_number=_texts,
    billing_taxonomy=_texts,
    lines=st.lists(_lines, max_size=3).map(tuple),
    changes=st.lists(_changes, max_size=3).map(tuple),
    status=_statuses,
    status_date=st.none() | _days,
    payer_claim_control_number=_texts,
)
_stored = st.builds(StoredClaim, _ordinals, _texts, _claims)
_releases = st.builds(Release, _ordinals, _texts, _texts, _texts)
_records = st.builds(
    MemberRecord,
    st.lists(_stored, max_size=3).map(tuple),
    _ordinals,
    st.none() | _days,
    st.lists(_releases, max_size=2).map(tuple),
)

RECORD = MemberRecord(
    (
        StoredClaim(
            0,
            "0123456789abcdef01234567",
            PriorClaim(
                claim_id="C1",
                claim_type="professional",
                payer="AETNA",
                patient=Patient("birth", "name"),
                received_date=date(2026, 8, 10),
                frequency="1",
                patient_control_number="PCN-1",
                billing_npi="1234567893",
                tax_number="001234567",
                lines=(PriorLine("63685", date(2026, 8, 3), Decimal(1), Decimal("9500.00"), ("59",), "22"),),
                changes=(StatusChange(1, "paid", date(2026, 9, 1), "ICN1"),),
            ),
        ),
    ),
    2,
    date(2024, 1, 31),
)
FORMAT_1 = bytes.fromhex(
    "0193919300b8303132333435363738396162636465663031323334353637dc0012a24331ac70726f66657373696f6e616ca5"
    "4145544e4192a56269727468a46e616d65aa323032362d30382d3130a131a550434e2d31aa31323334353637383933a93030"
    "31323334353637a0a0a0a0919aa53633363835aa323032362d30382d3033a131a7393530302e303091a23539a23232a0a090"
    "a0919401a470616964aa323032362d30392d3031a449434e31a87265636569766564c0a002aa323032342d30312d3331"
)
"""`RECORD` as it was written when this format was made. What reads it may change; these bytes may not."""


@given(_records)
def test_what_is_written_is_read(record: MemberRecord) -> None:
    """Any record comes back as it was, with its numbers to the last zero."""
    again = decoded(encoded(record))

    assert again == record
    assert repr(again) == repr(record)


def test_records_of_format_1_stay_readable() -> None:
    """Whoever has such records in a topic can go on with them, and until another format is made writes the same."""
    assert decoded(FORMAT_1) == RECORD
    assert encoded(RECORD) == FORMAT_1


def test_a_record_without_what_was_added_later_is_read() -> None:
    """Fields at the end that have a default may be missing: adding one needs no new format."""
    short = msgspec.msgpack.encode([[], 7])

    assert decoded(b"\1" + short) == MemberRecord((), 7)


@pytest.mark.parametrize(("raw", "said"), [(b"\2whatever", "format 02, known: 1"), (b"", "format none, known: 1")])
def test_another_format_is_refused(raw: bytes, said: str) -> None:
    """A record that a later version has written is not guessed at; the message says what to run."""
    with pytest.raises(HistoryError, match=f"another version of claimscrub .{said}.; run that version or a later one"):
        decoded(raw)


@pytest.mark.parametrize("raw", [b"\1", b"\1junk", FORMAT_1[:-3], b"\1" + msgspec.msgpack.encode([1])])
def test_a_record_that_is_none_is_named(raw: bytes) -> None:
    """What can't be read is no empty history."""
    with pytest.raises(HistoryError, match="a record of the history can't be read"):
        decoded(raw)


@pytest.mark.parametrize("held_since", [None, TODAY])
def test_what_a_partition_rests_on_is_read_as_written(held_since: date | None) -> None:
    """Since when, under which secret, and of how many partitions."""
    meta = Meta(held_since, "fingerprint", 12)

    assert read_meta(meta_bytes(meta)) == meta
    assert read_meta(None) is None


# ---- what a partition remembers


def _claim(claim_id: str = "C1", code: str = "63685", **changes: Any) -> Claim:
    content = claim_content(
        **{"claim_id": claim_id, "patient_control_number": f"P-{claim_id}", "lines": [a_line(code)], **changes}
    )
    return Claim.from_json(as_json(content))


def _memory(store: dict[bytes, bytes], **options: Any) -> Memory:
    memory = Memory(MEMBERS, RULESET, store, **options)
    memory.begin()
    return memory


def _decide(memory: Memory, claim: Claim, received: date | None = TODAY) -> tuple[Change, ...]:
    """What a decision about a claim changes."""
    key = memory.key_of_claim(claim)
    assert key is not None
    digest = input_digest(claim.claim_id.encode())
    looked = memory.look_up(key, claim, digest, received)
    return memory.remember(looked, RULESET.evaluate(looked.claim, looked.history))


def test_a_record_is_no_larger_than_a_message_may_be() -> None:
    """The oldest claims go first where their numbers are so long that the history topic would refuse the record."""
    store: dict[bytes, bytes] = {}
    memory = _memory(store, most_bytes=20_000)
    for number in range(30):
        name = f"C{number}"
        store.update(_decide(memory, _claim(name, patient_control_number=name + "P" * 900)))
        assert all(len(raw) <= 20_000 for raw in store.values())

    later = _claim("later")
    key = memory.key_of_claim(later)
    assert key is not None
    kept = [each.claim.claim_id for each in memory.record(key).claims]
    assert kept[-1] == "C29"
    assert kept[0] != "C0"
    assert memory.record(key).dropped_through is not None


def _seen(memory: Memory, claim: Claim) -> list[str]:
    """The earlier claims that a claim would see."""
    key = memory.key_of_claim(claim)
    assert key is not None
    history = memory.look_up(key, claim, input_digest(claim.claim_id.encode()), TODAY).history
    return [each.claim_id for each in history.claims]


def test_what_was_decided_is_seen_before_it_stands() -> None:
    """The next claim of a batch sees those before it, though nothing is published yet."""
    memory = _memory({})
    _decide(memory, _claim("C1"))

    assert _seen(memory, _claim("C2")) == ["C1"]
    assert _seen(_memory({}), _claim("C2")) == []


def test_what_stands_is_looked_up_where_it_stands() -> None:
    """Once it stands, the store is asked, and nothing is kept in memory."""
    store: dict[bytes, bytes] = {}
    memory = _memory(store)
    changes = dict(_decide(memory, _claim("C1")))
    memory.stands(changes)

    assert _seen(memory, _claim("C2")) == []
    store |= changes
    assert _seen(memory, _claim("C2")) == ["C1"]


def test_what_was_decided_since_is_kept() -> None:
    """A batch that stands takes nothing away of what a later one has decided about the same member."""
    memory = _memory({})
    first = dict(_decide(memory, _claim("C1")))
    second = dict(_decide(memory, _claim("C2")))
    memory.stands(first)

    assert _seen(memory, _claim("C3")) == ["C1", "C2"]
    memory.stands(second)
    assert _seen(memory, _claim("C3")) == []


def test_the_first_claim_says_since_when_history_is_held() -> None:
    """The partition's first change comes with that, and later ones do not."""
    store: dict[bytes, bytes] = {}
    memory = _memory(store)
    (key, raw), (_, _) = _decide(memory, _claim("C1", received_date="2026-08-12"))
    (_,) = _decide(memory, _claim("C2", received_date="2026-08-11"))

    assert key == META_KEY
    assert read_meta(raw) == Meta(date(2026, 8, 12), MEMBERS.fingerprint, 1)


def test_history_is_held_since_what_stands_says() -> None:
    """Whoever takes the partition over goes on from there; without a claim, the one under review is the first."""
    claim = _claim("C1", received_date="2026-08-12")
    key = MEMBERS.key_of_claim(claim)
    assert key is not None
    held = _memory({META_KEY: meta_bytes(Meta(date(2025, 1, 1), MEMBERS.fingerprint, 1))})

    assert held.look_up(key, claim, "", TODAY).history.held_since == date(2025, 1, 1)
    assert _memory({}).look_up(key, claim, "", TODAY).history.held_since == date(2026, 8, 12)
    assert len(_decide(held, claim)) == 1


def test_another_secret_is_refused() -> None:
    """Under another secret each member would look like a new one."""
    store = dict(_decide(_memory({}), _claim()))
    other = Memory(Members("another", RULESET.recognised), RULESET, store)

    with pytest.raises(HistoryError, match="CLAIMSCRUB_MEMBER_KEY_SECRET is not the one"):
        other.begin()


def test_another_number_of_partitions_is_refused() -> None:
    """Members would be looked for where they are not."""
    store = dict(_decide(_memory({}), _claim()))

    with pytest.raises(HistoryError, match=r"kept in 1 partitions and there are 4.*--add-partitions"):
        _memory(store, place=(0, 4))


def test_a_member_is_in_one_partition() -> None:
    """A memory knows whether it has a member, and who has, as Kafka's partitioner does."""
    key = MEMBERS.key_of_claim(_claim())
    assert key is not None
    has = [_memory({}, place=(partition, 4)).has(key) for partition in range(4)]

    assert has == [partition == partition_of(key, 4) for partition in range(4)]
    assert _memory({}, place=(1, 4)).partition_of(key) == partition_of(key, 4)
    assert _memory({}).has(key)


def test_a_claim_without_a_receipt_date_keeps_that_of_its_first_delivery() -> None:
    """Delivered again on a later day, the claim is judged as received when it first came."""
    memory = _memory({})
    claim = _claim("C1", received_date=None)
    key, digest = MEMBERS.key_of_claim(claim), input_digest(b"C1")
    assert key is not None
    _decide(memory, claim, date(2026, 8, 10))
    again = memory.look_up(key, claim, digest, date(2026, 8, 20))

    assert again.claim.received_date == date(2026, 8, 10)
    assert memory.look_up(key, claim, input_digest(b"C2"), date(2026, 8, 20)).claim.received_date == date(2026, 8, 20)
    assert _decide(memory, claim, date(2026, 8, 20)) == ()


def test_what_no_rule_asks_for_is_not_kept() -> None:
    """A claim with nothing but such lines says at most since when history is held."""
    assert "A9999" not in RULESET.named
    memory = _memory({})
    ((key, _),) = _decide(memory, _claim(code="A9999"))

    assert key == META_KEY
    assert _decide(memory, _claim("C2", code="A9999")) == ()


def test_no_more_than_the_most_lines_are_kept() -> None:
    """The oldest claims go, and it is known until when."""
    memory = _memory({}, most_lines=100)
    for number in range(80):
        _decide(memory, _claim(f"C{number}"))
    record = memory.record(MEMBERS.key_of_claim(_claim()) or b"")

    assert [stored.claim.claim_id for stored in record.claims] == [f"C{number}" for number in range(30, 80)]
    assert record.dropped_through == date(2026, 8, 3)


def test_an_answer_changes_the_claim_that_it_means() -> None:
    """Once: the same answer again, and one that means none of the member's claims, change nothing."""
    memory = _memory({})
    _decide(memory, _claim("C1"))
    key = MEMBERS.key_of_claim(_claim())
    assert key is not None
    answer = Answer("paid", date(2026, 9, 1), claim_id="C1")
    ((changed, raw),) = memory.answered(key, answer)

    assert changed == key
    assert decoded(raw).claims[0].claim.changes[0].status == "paid"
    assert memory.answered(key, answer) == ()
    assert memory.answered(key, Answer("paid", claim_id="C2")) == ()
    assert memory.answered(b"nobody", answer) == ()


def test_nobody_is_remembered_before_a_claim() -> None:
    """A member that was never seen has an empty record."""
    assert _memory({}).record(b"nobody") is NO_RECORD


# ---- on disk


@pytest.fixture
def cache() -> Cache:
    return Cache(1_048_576)


@pytest.fixture
def shelf(tmp_path: Path, cache: Cache) -> Iterator[Shelf]:
    """An empty shelf, in a folder that is not there yet."""
    made = Shelf(tmp_path / "history" / "3", cache)
    yield made
    made.close()


def test_a_shelf_is_empty_at_first(shelf: Shelf) -> None:
    """It is a copy of nothing."""
    assert shelf.position is None
    assert shelf.get(b"key") is None


def test_what_was_written_is_there_when_it_is_opened_again(shelf: Shelf, cache: Cache) -> None:
    """Values, deletions and the position outlive the process."""
    shelf.write([(b"a", b"1"), (b"b", b"2")], 5)
    shelf.write([(b"a", None), (b"c", b"3")], 8)
    shelf.close()
    again = Shelf(shelf.path, cache)

    assert [again.get(key) for key in (b"a", b"b", b"c")] == [None, b"2", b"3"]
    assert again.position == 8
    again.close()


def test_a_position_that_is_not_known_stays_what_it_was(shelf: Shelf) -> None:
    """What is written then is read again from the topic, which does no harm."""
    shelf.write([(b"a", b"1")], 5)
    shelf.write([(b"a", b"2")], None)

    assert (shelf.position, shelf.get(b"a")) == (5, b"2")


def test_a_folder_that_another_has_is_refused(shelf: Shelf, cache: Cache) -> None:
    """Two workers with one data directory would write over each other."""
    with pytest.raises(HistoryError, match=r"another worker uses .*/history/3; give each its own folder with"):
        Shelf(shelf.path, cache)


@pytest.mark.parametrize("broken", ["CURRENT", "MANIFEST-*", "*.sst"])
def test_a_shelf_that_can_t_be_read_is_rebuilt(shelf: Shelf, cache: Cache, broken: str) -> None:
    """Damage on disk costs reading the topic again, and is said."""
    shelf.write([(b"a", b"1")], 5)
    shelf.close()
    for path in shelf.path.glob(broken):
        path.write_bytes(b"damaged")
    with capture_logs() as logs:
        rebuilt = Shelf(shelf.path, cache)

    assert (rebuilt.position, rebuilt.get(b"a")) == (None, None)
    assert [line["event"] for line in logs] == ["history rebuilt"]
    assert "can't be read" in logs[0]["reason"]
    rebuilt.close()


def test_a_record_that_the_disk_has_lost_is_named(shelf: Shelf, cache: Cache) -> None:
    """It is not taken for a member that was never seen."""
    shelf.write([(b"%d" % number, b"%d" % number * 300) for number in range(1_000)], 5)
    shelf.close()
    (path,) = shelf.path.glob("*.sst")
    content = path.read_bytes()
    path.write_bytes(bytes(len(content) // 2) + content[len(content) // 2 :])
    again = Shelf(shelf.path, cache)

    with pytest.raises(HistoryError, match=r"history/3 can't be read: .*; remove the folder"):
        again.get(b"1")
    again.close()


def test_a_disk_that_takes_nothing_is_named(shelf: Shelf) -> None:
    """Writing more than memory holds fails with a sentence; stopping then is only a warning."""
    shutil.rmtree(shelf.path)

    def fill() -> None:
        for number in range(1_000):
            shelf.write([(b"%d" % number, bytes(1_000_000))], number)

    with pytest.raises(HistoryError, match="history/3 can't be written to, nothing is lost"):
        fill()
    with capture_logs() as logs:
        shelf.close()

    assert [line["event"] for line in logs] == ["history not kept on disk"]


def test_shelves_of_partitions_that_are_gone_are_closed(tmp_path: Path, cache: Cache) -> None:
    """Those that stay are the same objects; those given away can be opened by others."""
    shelves = Shelves(tmp_path)
    kept, given_away = shelves.shelf(0), shelves.shelf(1)
    shelves.keep([0, 2])

    assert shelves.shelf(0) is kept
    Shelf(given_away.path, cache).close()
    with pytest.raises(HistoryError):
        Shelf(kept.path, cache)
    shelves.keep(())
    Shelf(kept.path, cache).close()


_KEYS = 50
_WRITER = f"""
import os, sys
from pathlib import Path
from rocksdict import Cache
from worker.history import Shelf

shelf = Shelf(Path(sys.argv[1]), Cache(1_048_576))
number = 0
while True:
    rows = [(b"%d" % ((number + each) % {_KEYS}), b"%d " % (number + each) + os.urandom(3_000)) for each in range(7)]
    shelf.write(rows, number + 7)
    number += 7
    print(number, flush=True)
"""


def test_a_crash_leaves_a_disk_that_is_behind_but_consistent(tmp_path: Path, cache: Cache) -> None:
    """After kill -9 each key has the value that it had at the position on disk: nothing later, and nothing earlier."""
    path, written = tmp_path / "shelf", 0
    command = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        while written < 12_000:
            written = int(writer.stdout.readline())
        writer.kill()
        written = int((writer.stdout.read().split() or [str(written)])[-1])
    shelf = Shelf(path, cache)
    position = shelf.position
    latest = {key: (shelf.get(b"%d" % key) or b"").split(b" ")[0] for key in range(_KEYS)}
    shelf.close()

    assert position is not None
    assert 0 < position <= written + 7
    for key, value in latest.items():
        assert int(value) == max(number for number in range(position - _KEYS, position) if number % _KEYS == key)
