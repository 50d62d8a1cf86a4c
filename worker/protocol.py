"""Requests that aiokafka has not, or that it encodes too slowly; fields as in https://kafka.apache.org/protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any, ClassVar, TypeVar

from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
    UnsignedVarInt32,
)

Place = tuple[str, int]
"""Topic and partition."""
Sealed = tuple[bytes, bytes]
"""A record batch as it goes over the wire, in two parts."""
Producer = tuple[int, int]
"""Producer id and epoch."""

_T = TypeVar("_T", bound=RequestStruct)

_COMPACT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)
_NO_TAGS = b"\x00"


def _compact_array(*fields: tuple[str, Any]) -> CompactArray:
    return CompactArray(*fields, _TAGS)


class _Fields(Request[_T]):  # type: ignore[misc]
    """A request of one version, made of its fields in order."""

    API_KEY = -1

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[_T]) -> _T:
        made: _T = request_struct_class(*self._fields)
        return made


# ---- Produce


class _ProduceStruct(ProduceRequest_v7):  # type: ignore[misc]
    """A Produce request that joins its parts once; aiokafka's would copy the records at each level."""

    RESPONSE_TYPE: ClassVar[type[Response]] = ProduceResponse_v7

    def encode(self) -> bytes:
        parts = [
            String("utf-8").encode(self.transactional_id),
            Int16.encode(self.required_acks),
            Int32.encode(self.timeout),
            Int32.encode(len(self.topics)),
        ]
        for (topic, partition), sealed in self.topics:
            parts += (String("utf-8").encode(topic), Int32.encode(1), Int32.encode(partition))
            parts += (Int32.encode(sum(map(len, sealed))), *sealed)
        return b"".join(parts)


class ProduceRequest(_Fields[_ProduceStruct]):
    """Transactional id or None, acknowledgements, time-out in ms, and places with a record batch (in parts) each."""

    API_KEY = 0


class _JoiningProduceResponse(Response):  # type: ignore[misc]
    API_KEY = 0
    API_VERSION = 12
    SCHEMA = Schema(
        (
            "topics",
            _compact_array(
                ("topic", _COMPACT),
                (
                    "partitions",
                    _compact_array(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("offset", Int64),
                        ("timestamp", Int64),
                        ("log_start_offset", Int64),
                        ("record_errors", _compact_array(("index", Int32), ("message", _COMPACT))),
                        ("message", _COMPACT),
                    ),
                ),
            ),
        ),
        ("throttle_time_ms", Int32),
        _TAGS,
    )


class _JoiningProduceStruct(_ProduceStruct):
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _JoiningProduceResponse

    def encode(self) -> bytes:
        compact_array = UnsignedVarInt32.encode
        parts = [
            _COMPACT.encode(self.transactional_id),
            Int16.encode(self.required_acks),
            Int32.encode(self.timeout),
            compact_array(len(self.topics) + 1),
        ]
        for (topic, partition), sealed in self.topics:
            parts += (_COMPACT.encode(topic), compact_array(2), Int32.encode(partition))
            parts += (compact_array(sum(map(len, sealed)) + 1), *sealed, _NO_TAGS, _NO_TAGS)
        parts.append(_NO_TAGS)
        return b"".join(parts)


class JoiningProduceRequest(_Fields[_JoiningProduceStruct]):
    """Produce 12, with which a partition joins the transaction as it is written to (KIP-890); fields as before."""

    API_KEY = 0


# ---- offsets


class _StableOffsetsResponse(Response):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            _compact_array(
                ("topic", _COMPACT),
                (
                    "partitions",
                    _compact_array(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _COMPACT),
                        ("error_code", Int16),
                    ),
                ),
            ),
        ),
        ("error_code", Int16),
        _TAGS,
    )


class _StableOffsetsStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _StableOffsetsResponse
    SCHEMA = Schema(
        ("group_id", _COMPACT),
        ("topics", _compact_array(("topic", _COMPACT), ("partitions", CompactArray(Int32)))),
        ("require_stable", Boolean),
        _TAGS,
    )


class StableOffsetsRequest(_Fields[_StableOffsetsStruct]):
    """OffsetFetch 7, the first that waits for offsets of a transaction that is still completing (KIP-447)."""

    API_KEY = 9

    def __init__(self, group_id: str, places: Iterable[Place]) -> None:
        super().__init__(group_id, [(topic, [partition], {}) for topic, partition in places], True, {})


class _JoiningOffsetResponse(Response):  # type: ignore[misc]
    API_KEY = 28
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "errors",
            _compact_array(
                ("topic", _COMPACT),
                ("partition_errors", _compact_array(("partition", Int32), ("error_code", Int16))),
            ),
        ),
        _TAGS,
    )


class _JoiningOffsetStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 28
    API_VERSION = 5
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _JoiningOffsetResponse
    SCHEMA = Schema(
        ("transactional_id", _COMPACT),
        ("group_id", _COMPACT),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation", Int32),
        ("member_id", _COMPACT),
        ("instance_id", _COMPACT),
        (
            "topics",
            _compact_array(
                ("topic", _COMPACT),
                (
                    "partitions",
                    _compact_array(
                        ("partition", Int32), ("offset", Int64), ("leader_epoch", Int32), ("metadata", _COMPACT)
                    ),
                ),
            ),
        ),
        _TAGS,
    )


class JoiningOffsetRequest(_Fields[_JoiningOffsetStruct]):
    """TxnOffsetCommit 5, with which the group's offsets join the transaction (KIP-890).

    The epoch fences here, not the membership: a partition's new owner has shut everybody else out.
    """

    API_KEY = 28

    def __init__(self, transactional_id: str, group_id: str, producer: Producer, offsets: Mapping[Place, int]) -> None:
        topics: Any = [(topic, [(partition, offset, -1, "", {})], {}) for (topic, partition), offset in offsets.items()]
        super().__init__(transactional_id, group_id, *producer, -1, "", None, topics, {})


# ---- transactions


class _EndAndBumpResponse(Response):  # type: ignore[misc]
    API_KEY = 26
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("error_code", Int16), ("producer_id", Int64), ("producer_epoch", Int16), _TAGS
    )


class _EndAndBumpStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 26
    API_VERSION = 5
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _EndAndBumpResponse
    SCHEMA = Schema(
        ("transactional_id", _COMPACT),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("committed", Boolean),
        _TAGS,
    )


class EndAndBumpRequest(_Fields[_EndAndBumpStruct]):
    """EndTxn 5, which answers with the identity for the next transaction (KIP-890)."""

    API_KEY = 26

    def __init__(self, transactional_id: str, producer: Producer, *, commit: bool) -> None:
        super().__init__(transactional_id, *producer, commit, {})


class _TransactionsResponse(Response):  # type: ignore[misc]
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transactions",
            _compact_array(
                ("error_code", Int16),
                ("transactional_id", _COMPACT),
                ("state", _COMPACT),
                ("timeout_ms", Int32),
                ("start_time_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                ("topics", _compact_array(("topic", _COMPACT), ("partitions", CompactArray(Int32)))),
            ),
        ),
        _TAGS,
    )


class _TransactionsStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 65
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TransactionsResponse
    SCHEMA = Schema(("transactional_ids", CompactArray(_COMPACT)), _TAGS)


class TransactionsRequest(_Fields[_TransactionsStruct]):
    """DescribeTransactions: how the last transaction of a transactional id has ended (KIP-664)."""

    API_KEY = 65

    def __init__(self, transactional_id: str) -> None:
        super().__init__([transactional_id], {})


# ---- what a cluster can do

_FINALIZED_FEATURES_TAG = 2
_FINALIZED_FEATURES = _compact_array(("name", _COMPACT), ("level", Int16), ("least_level", Int16))


class _FeaturesResponse(Response):  # type: ignore[misc]
    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        ("versions", _compact_array(("api_key", Int16), ("least", Int16), ("most", Int16))),
        ("throttle_time_ms", Int32),
        _TAGS,
    )


class _FeaturesStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _FeaturesResponse
    SCHEMA = Schema(("client_name", _COMPACT), ("client_version", _COMPACT), _TAGS)

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        return ResponseHeader_v0.decode(read_buffer)  # of this request alone the header never has tags


class FeaturesRequest(_Fields[_FeaturesStruct]):
    """ApiVersions 3, for the features that the cluster has agreed on (KIP-584)."""

    API_KEY = 18

    def __init__(self, client_name: str, client_version: str) -> None:
        super().__init__(client_name, client_version, {})


def feature_level(answer: Any, name: str) -> int:
    """The level of a feature, from the answer to a `FeaturesRequest`; 0 if the cluster has it not."""
    encoded = answer.tags.get(_FINALIZED_FEATURES_TAG)
    found: Sequence[Any] = (_FINALIZED_FEATURES.decode(BytesIO(encoded)) if encoded else None) or ()
    return next((level for each, level, *_ in found if each == name), 0)
