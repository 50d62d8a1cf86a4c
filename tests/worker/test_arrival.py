"""Where and when an event came first: told by the record, or by what a worker wrote when it sent the event on."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.codec import Arrival, Headers, SentHeaders, cloud_event_headers, is_carried_on

SUBMITTED, REPARTITION = "claims.submitted", "claims.repartition"
CAME = Arrival(SUBMITTED, 3, 42, 1_786_000_000_000)


class Record(NamedTuple):
    """What Kafka's clients give, as far as it counts here."""

    topic: str = REPARTITION
    partition: int = 7
    offset: int = 9
    timestamp: int = 1_786_000_009_000
    headers: SentHeaders = []  # noqa: RUF012
    key: bytes | None = None


HERE = Arrival(*Record()[:4])


def test_an_event_that_was_not_sent_on_came_where_it_stands() -> None:
    """Topic, partition, offset and timestamp are the record's."""
    record = Record(SUBMITTED, 3, 42, 1_786_000_000_000)

    assert Arrival.of(record, REPARTITION) == CAME
    assert CAME.event_id == "claims.submitted-3-42"


@given(
    st.from_regex(r"[A-Za-z0-9._-]{1,249}", fullmatch=True),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(-1, 2**63 - 1),
)
def test_an_event_that_was_sent_on_came_where_its_header_says(
    topic: str, partition: int, offset: int, timestamp: int
) -> None:
    """Any place and time there may be in Kafka goes through the header."""
    came = Arrival(topic, partition, offset, timestamp)
    record = Record(headers=[("traceparent", b"00-abc"), *came.headers(b"key")])

    assert Arrival.of(record, REPARTITION) == came


def test_headers_of_other_topics_do_not_count() -> None:
    """A sender can't give an event another id, or another date of receipt."""
    record = Record(SUBMITTED, headers=CAME.headers(b"key"))

    assert Arrival.of(record, REPARTITION) == HERE._replace(topic=SUBMITTED)


def test_the_last_header_counts() -> None:
    """A worker writes it behind those of the sender, who can't give an event another id with one of its own."""
    other = CAME._replace(offset=43)

    assert Arrival.of(Record(headers=[*other.headers(b"key"), *CAME.headers(b"key")]), REPARTITION) == CAME
    assert Arrival.of(Record(headers=[*CAME.headers(b"key"), ("mine", b"1")]), REPARTITION) == HERE


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["mine", "ce_id", "claimscrub_key", "claimscrub_origin"]), st.none() | st.binary(max_size=3)
        )
    ),
    st.none() | st.binary(max_size=3),
)
def test_what_a_worker_adds_on_the_way_is_taken_away(headers: SentHeaders, key: bytes | None) -> None:
    """Key and headers come out as they were sent, whatever the sender calls its headers; no key is not an empty one."""
    record = Record(headers=[*headers, *CAME.headers(key)], key=b"member")

    assert Arrival.of(record, REPARTITION).key_and_headers(record) == (key, headers)


def test_an_event_that_an_earlier_version_sent_on() -> None:
    """It said nothing of the key, so the member's stays."""
    record = Record(headers=[("mine", b"1"), CAME.headers(None)[-1]], key=b"member")

    assert CAME.key_and_headers(record) == (b"member", [("mine", b"1")])
    direct = Record(SUBMITTED, headers=[("mine", b"1")], key=None)
    assert Arrival.of(direct, REPARTITION).key_and_headers(direct) == (None, [("mine", b"1")])


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"claims.submitted",
        b"claims.submitted 3 42",
        b"claims.submitted 3 42 1786000000000 more",
        b"claims.submitted 3 42 1786000000000\n",
        b" claims.submitted 3 42 1786000000000",
        b"claims.submitted x 42 1786000000000",
        b"claims.submitted -1 42 1786000000000",
        b"claims.submitted 3 42.0 1786000000000",
        b"claims.submitted 3 99999999999999999999 1786000000000",
        b"claims submitted 3 42 1786000000000",
        "claims.submitted ३ 42 1786000000000".encode(),
        b"\xff 3 42 1786000000000",
        b"a" * 250 + b" 3 42 1786000000000",
    ],
)
def test_a_header_that_says_no_place_does_not_count(said: bytes) -> None:
    """Where it is malformed the record itself is all that is known."""
    name, _ = CAME.headers(b"key")[-1]

    assert Arrival.of(Record(headers=[(name, said)]), REPARTITION) == HERE


def test_a_missing_header_does_not_count() -> None:
    """Nor does one without a value, as Kafka allows."""
    name, _ = CAME.headers(b"key")[-1]
    without_value: SentHeaders = [(name, None)]

    assert Arrival.of(Record(), REPARTITION) == HERE
    assert Arrival.of(Record(headers=without_value), REPARTITION) == HERE


def test_where_an_event_came_is_not_published() -> None:
    """The header is between workers; those of the sender go on."""
    headers: Headers = [("traceparent", b"00-abc")]
    headers += [(name, value or b"") for name, value in CAME.headers(b"key")]

    assert [name for name, _ in headers if is_carried_on(name)] == ["traceparent"]
    published = cloud_event_headers(None, None, CAME.event_id, headers)
    assert [name for name, _ in published if name.startswith("claimscrub")] == []
    assert ("ce_id", b"claims.submitted-3-42") in published
