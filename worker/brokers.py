"""One client of the brokers for all that the worker publishes: who leads, who coordinates, and asking until answered.

aiokafka's producer knows one transaction at a time and asks one thing after the other; what is needed here is a
transaction for each input partition, side by side, over one client. So its client and its protocol classes are used,
and the conversation is our own (`worker.producer`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, Literal

import structlog
from aiokafka import errors
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.structs import TopicPartition

from rules import __version__
from worker.kafka import aiokafka_config
from worker.protocol import FeaturesRequest, Place, ProduceRequest, Sealed, feature_level
from worker.settings import PREFIX, Settings

Coordination = Literal["group", "transaction"]
Node = int

_KINDS = {"group": CoordinationType.GROUP, "transaction": CoordinationType.TRANSACTION}
_REQUEST_SECONDS = 20.0
"""A connection that is silent for so long is given up."""
_FIRST_PAUSE, _LONGEST_PAUSE, _RECONNECT_PAUSE = 0.002, 0.5, 0.1
"""Between two attempts, in seconds. A transaction that still completes delays the next one by a few milliseconds."""
_COMPLAINT_SECONDS = 5.0
_SETTLE_SECONDS = 2.0
"""How long all partitions have to be led, after a connection was lost, before transactions go on. A broker answers when
it is still coming up; asked to end a transaction then, it may say that it did and leave out the markers in the
partitions (seen with Kafka 4.3.1), and their records stay invisible."""
_GATHERED_BYTES = 1_048_576
"""Of record batches that share a request: it saves nothing where they are large."""
_JOINING_LEVEL = 2
"""Of the cluster's transaction.version."""


class Code(IntEnum):
    """Error codes of the protocol, as far as they make a difference here."""

    UNKNOWN_TOPIC_OR_PARTITION = 3
    LEADER_NOT_AVAILABLE = 5
    NOT_LEADER_OR_FOLLOWER = 6
    REQUEST_TIMED_OUT = 7
    REPLICA_NOT_AVAILABLE = 9
    MESSAGE_TOO_LARGE = 10
    NETWORK_EXCEPTION = 13
    COORDINATOR_LOAD_IN_PROGRESS = 14
    COORDINATOR_NOT_AVAILABLE = 15
    NOT_COORDINATOR = 16
    INVALID_TOPIC = 17
    RECORD_LIST_TOO_LARGE = 18
    NOT_ENOUGH_REPLICAS = 19
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20
    ILLEGAL_GENERATION = 22
    UNKNOWN_MEMBER_ID = 25
    REBALANCE_IN_PROGRESS = 27
    TOPIC_AUTHORIZATION_FAILED = 29
    GROUP_AUTHORIZATION_FAILED = 30
    CLUSTER_AUTHORIZATION_FAILED = 31
    UNSUPPORTED_VERSION = 35
    INVALID_REQUEST = 42
    POLICY_VIOLATION = 44
    DUPLICATE_SEQUENCE_NUMBER = 46
    INVALID_PRODUCER_EPOCH = 47
    INVALID_TRANSACTION_TIMEOUT = 50
    CONCURRENT_TRANSACTIONS = 51
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
    STORAGE_ERROR = 56
    FENCED_LEADER_EPOCH = 74
    UNKNOWN_LEADER_EPOCH = 75
    UNSUPPORTED_COMPRESSION_TYPE = 76
    FENCED_INSTANCE_ID = 82
    INVALID_RECORD = 87
    UNSTABLE_OFFSET_COMMIT = 88
    THROTTLING_QUOTA_EXCEEDED = 89
    PRODUCER_FENCED = 90
    TRANSACTIONAL_ID_NOT_FOUND = 105


MOVED = frozenset(
    {
        Code.UNKNOWN_TOPIC_OR_PARTITION,
        Code.LEADER_NOT_AVAILABLE,
        Code.NOT_LEADER_OR_FOLLOWER,
        Code.REPLICA_NOT_AVAILABLE,
        Code.COORDINATOR_NOT_AVAILABLE,
        Code.NOT_COORDINATOR,
        Code.STORAGE_ERROR,
        Code.FENCED_LEADER_EPOCH,
        Code.UNKNOWN_LEADER_EPOCH,
    }
)
"""Another broker has to be asked."""
LATER = frozenset(
    {
        Code.REQUEST_TIMED_OUT,
        Code.NETWORK_EXCEPTION,
        Code.COORDINATOR_LOAD_IN_PROGRESS,
        Code.NOT_ENOUGH_REPLICAS,
        Code.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        Code.CONCURRENT_TRANSACTIONS,
        Code.UNSTABLE_OFFSET_COMMIT,
        Code.THROTTLING_QUOTA_EXCEEDED,
    }
)
"""It is too early: something loads, replicas are missing, or the last transaction still completes."""
FINAL = frozenset(
    {
        Code.INVALID_TOPIC,
        Code.TOPIC_AUTHORIZATION_FAILED,
        Code.GROUP_AUTHORIZATION_FAILED,
        Code.CLUSTER_AUTHORIZATION_FAILED,
        Code.UNSUPPORTED_VERSION,
        Code.INVALID_REQUEST,
        Code.POLICY_VIOLATION,
        Code.INVALID_TRANSACTION_TIMEOUT,
        Code.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        Code.UNSUPPORTED_COMPRESSION_TYPE,
        Code.INVALID_RECORD,
    }
)
"""Neither another attempt nor a new producer mends it."""

log = structlog.get_logger("claimscrub.worker")


class RefusedError(errors.KafkaError):  # type: ignore[misc]
    """A broker answered with an error that asking again does not mend.

    Attributes:
        code: the protocol's error code.
        __cause__: aiokafka's own error for that code; of topics, if it is about them.
    """

    def __init__(self, code: int, what: str, topics: Sequence[str] = ()) -> None:
        self.code = code
        kind = errors.for_code(code)
        super().__init__(f"{what}: {kind.__name__} ({code})")
        self.__cause__ = kind(list(topics)) if topics else kind()


class _Gathering:
    """Record batches of several lanes that go out together."""

    answer: asyncio.Future[Any]

    def __init__(self, moment: float) -> None:
        self.moment = moment
        self.sealed: list[tuple[Place, Sealed]] = []
        self.size = 0


class Brokers:
    """The client, with what is known of leaders and coordinators.

    Attributes:
        joining: partitions join a transaction as they are written to; else they have to be added before.
        recoveries: how often a producer had to find out what has become of a batch.
    """

    def __init__(self, settings: Settings) -> None:
        self.joining = False
        self.recoveries = 0
        self._settings = settings
        self._client: Any = None
        self._gatherings: dict[Node, _Gathering] = {}
        self._coordinators: dict[tuple[Coordination, str], Node] = {}
        self._complained = 0.0
        self._topics: list[str] = []
        self._unsettled = False
        self._settling = asyncio.Lock()

    async def start(self, topics: Iterable[str]) -> None:
        """Connect, and learn who leads the partitions of `topics`.

        Raises:
            aiokafka.errors.KafkaError: no broker answered within the start-up time.
        """
        deadline = time.monotonic() + self._settings.startup_timeout_seconds
        while True:
            self._client = AIOKafkaClient(
                client_id=f"{self._settings.group_id}-producer",
                request_timeout_ms=int(_REQUEST_SECONDS * 1000),
                **aiokafka_config(self._settings),
            )
            try:
                await self._client.bootstrap()
                break
            except errors.KafkaConnectionError:
                self._unsettled = True
                await self._client.close()
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(_LONGEST_PAUSE)
        self._topics = list(topics)
        await self._client.set_topics(self._topics)
        self._unsettled |= not self._all_led()
        if self._settings.delivery == "exactly_once":
            request = FeaturesRequest("claimscrub", __version__)
            answer = await self.ask(
                "features", self.any_node, request, lambda found: [found.error_code], connection="features"
            )
            self.joining = feature_level(answer, "transaction.version") >= _JOINING_LEVEL

    async def stop(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return len(self._client.cluster.partitions_for_topic(topic) or ())

    def leader(self, topic: str, partition: int) -> Node | None:
        """The broker that leads a partition, as far as it is known."""
        node = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
        return None if node == -1 else node

    async def coordinator(self, kind: Coordination, name: str) -> Node:
        """The broker that coordinates a group or a transactional id."""
        found = self._coordinators.get((kind, name))
        if found is None:
            found = await self._client.coordinator_lookup(_KINDS[kind], name)
            if self._client.cluster.broker_metadata(found) is None:
                await self._client.force_metadata_update()
            self._coordinators[kind, name] = found
        return found

    async def any_node(self) -> Node:
        """Some broker."""
        node: Node | None = self._client.get_random_node()
        if node is None:
            raise errors.NodeNotReadyError
        return node

    async def send(self, node: Node, request: Any, connection: str) -> Any:
        """Send a request and wait for the response; requests of one `connection` are answered in their order."""
        try:
            return await self._client.send(node, request, group=connection)
        except KeyError:
            # Of two requests that time out together, the second finds that the connection has been removed already.
            raise errors.KafkaConnectionError("the connection was closed") from None
        except NotImplementedError as error:
            said = f"{error}; exactly once needs Kafka 3.0 or newer, or set {PREFIX}DELIVERY=at_least_once"
            raise errors.IncompatibleBrokerVersion(said) from None

    async def produce(self, node: Node, sealed: Sequence[tuple[Place, Sealed]], timeout_ms: int, moment: float) -> Any:
        """Send record batches that are of no transaction, in one request with others of the same moment.

        Args:
            node: the broker.
            sealed: at most one batch for a partition.
            timeout_ms: for the broker.
            moment: on the monotonic clock, from which on there is half a session to send them.

        Raises:
            TimeoutError: this process was asleep for longer.
        """
        size = sum(len(part) for _, parts in sealed for part in parts)
        places = {place for place, _ in sealed}
        gathering = self._gatherings.get(node)
        # Of two batches for one partition in a request, a broker takes one and acknowledges both.
        if (
            gathering is None
            or gathering.size + size > _GATHERED_BYTES
            or not places.isdisjoint(place for place, _ in gathering.sealed)
        ):
            gathering = self._gatherings[node] = _Gathering(moment)
            gathering.answer = asyncio.ensure_future(self._produce_gathered(node, gathering, timeout_ms))
        gathering.moment = min(gathering.moment, moment)
        gathering.sealed += sealed
        gathering.size += size
        return await asyncio.shield(gathering.answer)

    async def _produce_gathered(self, node: Node, gathering: _Gathering, timeout_ms: int) -> Any:
        await asyncio.sleep(0)  # whoever is ready by now has joined
        if self._gatherings.get(node) is gathering:
            del self._gatherings[node]
        if time.monotonic() - gathering.moment > self._settings.session_timeout_seconds / 2:
            raise TimeoutError("asleep")
        return await self.send(node, ProduceRequest(None, -1, timeout_ms, gathering.sealed), "produce")

    async def look_again(self) -> None:
        """Leaders and coordinators are not what they were thought to be."""
        self._coordinators.clear()
        await asyncio.wait({self._client.force_metadata_update()}, timeout=1.0)

    def lost(self) -> None:
        """A connection is gone, and maybe the broker."""
        self._unsettled = True

    async def settled(self) -> None:
        """Wait until the brokers have been up for a while, if one of them was lost."""
        if not self._unsettled:
            return
        async with self._settling:
            since = None
            while self._unsettled:
                await self.look_again()
                now = time.monotonic()
                if not self._all_led():
                    since = None
                    self.complain("not every partition has a leader")
                elif since is None:
                    since = now
                elif now - since >= _SETTLE_SECONDS:
                    self._unsettled = False
                    return
                await asyncio.sleep(_RECONNECT_PAUSE)

    def _all_led(self) -> bool:
        cluster = self._client.cluster
        return all(
            (partitions := cluster.partitions_for_topic(topic))
            and all(self.leader(topic, partition) is not None for partition in partitions)
            for topic in self._topics
        )

    async def ask(
        self,
        what: str,
        find: Callable[[], Awaitable[Node]],
        request: Any,
        codes: Callable[[Any], Iterable[int]],
        *,
        connection: str,
        topics: Sequence[str] = (),
    ) -> Any:
        """Ask until there is an answer, however long brokers are away; only for what may be asked twice.

        Args:
            what: the kind of request and the resource, for errors.
            find: finds the broker to ask.
            request: of aiokafka's protocol.
            codes: the error codes in a response.
            connection: see `send`.
            topics: that it is about.

        Raises:
            RefusedError: a broker refused, and would do so again.
        """
        patience = Patience(self, what, topics)
        while True:
            await self.settled()
            try:
                response = await self.send(await find(), request, connection)
            except (errors.KafkaError, OSError, TimeoutError) as error:
                await patience.after_error(error)
                continue
            failed = {code for code in codes(response) if code}
            if not failed:
                return response
            await patience.after_codes(failed)

    def complain(self, reason: str) -> None:
        """Say, every few seconds and not more, that brokers keep the worker waiting."""
        if time.monotonic() - self._complained >= _COMPLAINT_SECONDS:
            self._complained = time.monotonic()
            log.warning("waiting", reason=reason)


class Patience:
    """Pauses between attempts, longer and longer."""

    def __init__(self, brokers: Brokers, what: str, topics: Sequence[str] = ()) -> None:
        self._brokers = brokers
        self._what = what
        self._topics = topics
        self._pause = _FIRST_PAUSE
        self._quiet_until = time.monotonic() + _COMPLAINT_SECONDS

    async def after_error(self, error: BaseException) -> None:
        """No answer, and it is not known whether the request arrived.

        Raises:
            RefusedError: the error is an answer, and final.
        """
        code = getattr(error, "errno", None)
        if isinstance(error, errors.BrokerResponseError) and code is not None:
            await self.after_codes({code})
            return
        if isinstance(error, errors.IncompatibleBrokerVersion | errors.AuthenticationFailedError):
            raise error
        self._pause = max(self._pause, _RECONNECT_PAUSE)
        self._brokers.lost()
        await self._wait(f"{type(error).__name__} {error}".strip(), look_again=True)

    async def after_codes(self, failed: set[int]) -> None:
        """An answer with errors.

        Raises:
            RefusedError: one of them is final.
        """
        for code in failed - MOVED - LATER:
            raise RefusedError(code, self._what, self._topics)
        names = ", ".join(sorted(Code(code).name for code in failed))
        await self._wait(names, look_again=bool(failed & MOVED))

    async def _wait(self, reason: str, *, look_again: bool) -> None:
        if time.monotonic() >= self._quiet_until:
            self._brokers.complain(f"{self._what}: {reason}")
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 1.5, _LONGEST_PAUSE)
        if look_again:
            await self._brokers.look_again()
