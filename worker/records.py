"""Records as Kafka stores them: encoded once, in record batches (format 2) that are ready to be sent.

aiokafka's own builder is for one producer's queue and copies each record a dozen times on its way; here a record is
encoded where it is needed and copied twice. Format: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import google_crc32c
from aiokafka import codec

Headers = Sequence[tuple[str, bytes | None]]
Record = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers."""

_BEFORE_CHECKSUM = struct.Struct(">qiibI")
"""Base offset, length, leader epoch, format, checksum."""
_AFTER_CHECKSUM = struct.Struct(">hiqqqhii")
"""Attributes, last offset delta, first and last timestamp, producer id and epoch, base sequence, number of records."""
_NOT_IN_LENGTH = 12
_FORMAT = 2
_TRANSACTIONAL = 0x10
_COMPRESSION: dict[str, tuple[int, Callable[[bytes], bytes] | None]] = {
    "none": (0, None),
    "gzip": (1, codec.gzip_encode),
    "snappy": (2, codec.snappy_encode),
    "lz4": (3, codec.lz4_encode),
    "zstd": (4, codec.zstd_encode),
}
BATCH_OVERHEAD = _BEFORE_CHECKSUM.size + _AFTER_CHECKSUM.size


class RecordBatch(NamedTuple):
    """Encoded records of one topic and partition, still without the producer's identity.

    Attributes:
        first: index of its first record among those it was made of.
        size: number of records.
        body: the records, compressed if so wanted.
        attributes: the codec.
    """

    first: int
    size: int
    body: bytes
    attributes: int


def record_batches(records: Iterable[Record], most_bytes: int, compression: str = "none") -> list[RecordBatch]:
    """Encode records.

    Args:
        records: in order.
        most_bytes: of a batch before compression; a batch of a single record may have more.
        compression: none, gzip, snappy, lz4 or zstd.

    Returns:
        Batches of at least one record each.
    """
    attributes, compress = _COMPRESSION[compression]
    batches: list[RecordBatch] = []
    parts: list[bytes] = []
    size, first, count = BATCH_OVERHEAD, 0, 0

    def close() -> None:
        body = b"".join(parts)
        batches.append(RecordBatch(first, count, compress(body) if compress else body, attributes))

    for record in records:
        encoded, length = _encoded(count, record)
        if count and size + length > most_bytes:
            close()
            first += count
            parts, size, count = [], BATCH_OVERHEAD, 0
            encoded, length = _encoded(0, record)
        parts += encoded
        size += length
        count += 1
    if parts:
        close()
    return batches


def seal(
    batch: RecordBatch, timestamp_ms: int, *, producer_id: int, epoch: int, sequence: int, transactional: bool
) -> tuple[bytes, bytes]:
    """A batch as it goes over the wire, in two parts, so that the records need not be copied."""
    attributes = batch.attributes | _TRANSACTIONAL if transactional else batch.attributes
    head = _AFTER_CHECKSUM.pack(
        attributes, batch.size - 1, timestamp_ms, timestamp_ms, producer_id, epoch, sequence, batch.size
    )
    checksum = google_crc32c.extend(google_crc32c.value(head), batch.body)
    length = BATCH_OVERHEAD - _NOT_IN_LENGTH + len(batch.body)
    return _BEFORE_CHECKSUM.pack(0, length, -1, _FORMAT, checksum) + head, batch.body


def _varint(number: int) -> bytes:
    """A number of zero or more in zigzag encoding."""
    number <<= 1
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_SMALL = tuple(_varint(number) for number in range(16_384))
_NULL = b"\x01"  # the length -1
_UNCHANGED = b"\x00\x00"  # no attributes; the timestamp is the batch's
_names: dict[str, bytes] = {}
"""Header names as they are encoded: few, and the same for ever."""
_MOST_NAMES = 1_000


def _name(name: str) -> bytes:
    raw = name.encode()
    encoded = _varint(len(raw)) + raw
    if len(_names) < _MOST_NAMES:
        _names[name] = encoded
    return encoded


def _encoded(offset_delta: int, record: Record) -> tuple[list[bytes], int]:
    """The parts of a record, which are joined once for the whole batch, and their size."""
    key, value, headers = record
    # Lengths are written out, as a call for each of them would take longer than the rest.
    small, most, names = _SMALL, len(_SMALL), _names
    parts = [b"", _UNCHANGED, small[offset_delta] if offset_delta < most else _varint(offset_delta)]
    for each in (key, value):
        if each is None:
            parts.append(_NULL)
        else:
            size = len(each)
            parts += (small[size] if size < most else _varint(size), each)
    parts.append(small[len(headers)] if len(headers) < most else _varint(len(headers)))
    for name, content in headers:
        if content is None:
            parts += (names.get(name) or _name(name), _NULL)
        else:
            size = len(content)
            parts += (names.get(name) or _name(name), small[size] if size < most else _varint(size), content)
    size = sum(map(len, parts))
    parts[0] = small[size] if size < most else _varint(size)
    return parts, size + len(parts[0])
