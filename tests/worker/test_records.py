"""Record batches, read back by aiokafka's own reader."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from worker.records import BATCH_OVERHEAD, Record, record_batches, seal

_BYTES = st.none() | st.binary(max_size=300)
_HEADERS = st.lists(st.tuples(st.text(max_size=20), _BYTES), max_size=4)
_RECORDS = st.lists(st.tuples(_BYTES, _BYTES, _HEADERS), min_size=1, max_size=50)


def _read(sealed: tuple[bytes, bytes]) -> list[Any]:
    """What a consumer gets, with the checksum verified."""
    reader = MemoryRecords(b"".join(sealed))
    found: list[Any] = []
    while reader.has_next():
        batch = reader.next_batch()
        assert batch.validate_crc()
        found += list(batch)
    return found


@given(_RECORDS, st.integers(100, 2_000))
def test_a_consumer_reads_back_what_was_encoded(records: list[Record], most_bytes: int) -> None:
    """Keys, values and headers survive, null and empty ones too, in order, in batches of the size allowed."""
    batches = record_batches(records, most_bytes)
    found: list[Any] = []
    for batch in batches:
        sealed = seal(batch, 1_780_000_000_000, producer_id=7, epoch=1, sequence=0, transactional=True)
        read = _read(sealed)
        assert [each.offset for each in read] == list(range(batch.size))
        assert {each.timestamp for each in read} == {1_780_000_000_000}
        assert batch.size == 1 or sum(map(len, sealed)) <= most_bytes
        assert batch.first == len(found)
        found += [(each.key, each.value, [*each.headers]) for each in read]

    assert found == [(key, value, list(headers)) for key, value, headers in records]


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_batches_are_compressed_as_wanted(compression: str) -> None:
    """Every codec is read back, and all but none make repeated text smaller."""
    records: list[Record] = [(b"key", b"the same words " * 50, [("name", b"value")])] * 100
    (batch,) = record_batches(records, 1_000_000, compression)
    read = _read(seal(batch, 0, producer_id=-1, epoch=-1, sequence=-1, transactional=False))

    assert [(each.key, each.value, [*each.headers]) for each in read] == records
    assert (len(batch.body) < 10_000) == (compression != "none")


def test_a_record_above_the_limit_gets_a_batch_of_its_own() -> None:
    """Nothing is dropped for its size: the broker has the last word."""
    records: list[Record] = [(None, b"small", []), (None, b"x" * 5_000, []), (None, b"small", [])]

    assert [batch.size for batch in record_batches(records, 1_000)] == [1, 1, 1]


def test_long_batches_and_values_have_long_lengths() -> None:
    """Numbers beyond the table of short encodings are right as well."""
    records: list[Record] = [*[(b"k", b"v", ())] * 20_000, (b"k", b"x" * 100_000, ())]
    (batch,) = record_batches(records, 10_000_000)
    read = _read(seal(batch, 0, producer_id=1, epoch=0, sequence=0, transactional=False))

    assert [each.offset for each in read] == list(range(20_001))
    assert len(read[-1].value) == 100_000
    assert len(batch.body) + BATCH_OVERHEAD == sum(
        map(len, seal(batch, 0, producer_id=1, epoch=0, sequence=0, transactional=False))
    )
