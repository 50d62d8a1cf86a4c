"""Headers whose name is not UTF-8: the brokers take them, and each client fails on them in its own way.

One such record would stop every worker that comes upon it, for good. So bytes that are none become U+FFFD, as far as
the client lets us see them at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, SupportsIndex, overload

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


def headers_of(message: Any) -> list[tuple[str, Any]]:
    """The headers of a message of confluent-kafka; none where the name of one can't be read, which loses them all."""
    try:
        return list(message.headers() or ())
    except (SystemError, UnicodeDecodeError):
        message.set_headers([])  # asked a second time, it would end the process
        return []


def read_any_header_names() -> None:
    """Have aiokafka read them, in this process."""
    fetcher.MemoryRecords = _Records


class _Records:
    """What was fetched of a partition, batch by batch: aiokafka's own, unless a name can't be read."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._records = MemoryRecords(raw)
        self._batches = 0
        self.size_in_bytes = self._records.size_in_bytes
        self.has_next = self._records.has_next

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        self._batches += 1
        return batch if batch is None or batch.is_control_batch else _Batch(batch, self._raw, self._batches)


class _Batch:
    def __init__(self, batch: Any, raw: bytes, number: int) -> None:
        self._batch = batch
        self._raw = raw
        self._number = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        count = 0
        try:
            for count, record in enumerate(self._batch, 1):  # noqa: B007  (counts those that could be read)
                yield record
        except (CorruptRecordException, UnicodeDecodeError) as error:
            if "UnicodeDecodeError" not in repr(error):
                raise
            yield from islice(self._leniently(), count, None)

    def _leniently(self) -> Iterator[Any]:
        records = _MemoryRecordsPy(self._raw)
        for _ in range(1, self._number):
            records.next_batch()
        batch = _DefaultRecordBatchPy(records._next_slice)  # noqa: SLF001
        batch._maybe_uncompress()  # noqa: SLF001
        batch._buffer = _LenientBytes(batch._buffer)  # noqa: SLF001
        return iter(batch)


class _LenientBytes(bytes):
    """Bytes of which all are text."""

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> _LenientBytes: ...
    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _LenientBytes(found) if isinstance(key, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)
