"""Who publishes what was decided on one input partition: in transactions with the input's offset, or without.

Exactly once: each input partition has a transactional id of its own. Whoever takes the partition over calls `open`,
which ends the predecessor's transaction and shuts it out; only then the committed offset is read. From there on nobody
else can commit for this partition, so reading the offset after any doubt tells what has become of a transaction whose
end is not known. Steps: https://kafka.apache.org/protocol (InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn,
Produce, TxnOffsetCommit, EndTxn); requests that don't need each other's answer go out together. Where the cluster has
transaction.version 2 (Kafka 4.0, KIP-890) partitions and offsets join a transaction as they are written to: the two Add
requests fall away, and each transaction has an epoch of its own.

At least once: an idempotent producer, and whoever calls commits the offset afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import errors
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)

from worker.brokers import FINAL, LATER, MOVED, Brokers, Code, Node, Patience, RefusedError
from worker.protocol import (
    EndAndBumpRequest,
    JoiningOffsetRequest,
    JoiningProduceRequest,
    Place,
    ProduceRequest,
    StableOffsetsRequest,
    TransactionsRequest,
)
from worker.records import Record, RecordBatch, record_batches, seal
from worker.settings import Settings

TRANSACTION_SECONDS = 60.0
"""How long a dead worker's transaction may hold back readers, where nobody takes its partition over. Not less: it has
to outlast the restart of a broker. Kafka 4.3.1, when it aborts a transaction of its own accord while it comes up,
leaves out the markers in the partitions, and their records hold back readers for ever."""
_ACKNOWLEDGE_SECONDS = 10.0
_RECOVERIES = 8
_MEMBER_LOST = frozenset({Code.ILLEGAL_GENERATION, Code.UNKNOWN_MEMBER_ID, Code.FENCED_INSTANCE_ID})
_SHUT_OUT = frozenset({Code.INVALID_PRODUCER_EPOCH, Code.PRODUCER_FENCED})
_TOO_LARGE = frozenset({Code.MESSAGE_TOO_LARGE, Code.RECORD_LIST_TOO_LARGE})
_COMMITTED = frozenset({"PrepareCommit", "CompleteCommit"})
_SEQUENCES = 2**31
_Produced = tuple[int, int]
"""Error code, and offset of the first record."""

Offsets = Mapping[Place, int]


class LostPartitionError(Exception):
    """The partition is another worker's by now; whatever was not committed is decided there."""


class TooLargeError(Exception):
    """The brokers take no record batch of this size.

    Attributes:
        place: of the batch.
        record: index of the record, if the batch has no other; else None.
    """

    def __init__(self, place: Place, record: int | None) -> None:
        super().__init__(place[0])
        self.place = place
        self.record = record


class PartitionProducer:
    """Publishes for one input partition, one call after the other.

    Args:
        brokers: started.
        settings: names and limits.
        partition: the input partition, the same of all input topics.
        partitions: how many there are.
        member: generation and member id of this worker in the consumer group.

    Attributes:
        committed: input partition → committed offset, where there is one; with at least once only of own batches.
    """

    def __init__(
        self,
        brokers: Brokers,
        settings: Settings,
        partition: int,
        partitions: int,
        member: Callable[[], tuple[int, str]],
    ) -> None:
        self._brokers = brokers
        self._settings = settings
        self._partition = partition
        self._partitions = partitions
        self._member = member
        self._transactional = settings.delivery == "exactly_once"
        self._name = f"{settings.group_id}-{settings.submitted_topic}-{partition}"
        self._connection = f"{settings.submitted_topic}-{partition}"
        self._id, self._epoch = -1, -1
        self._sequences: dict[Place, int] = {}
        self._was_member = time.monotonic()
        self.committed: Offsets = {}
        self._ends: dict[Place, int] = {}

    # ---- taking over

    async def open(self) -> None:
        """Take the partition over.

        Raises:
            LostPartitionError: another worker has taken it over meanwhile.
        """
        try:
            await self._open()
        except RefusedError as error:
            if error.code in _SHUT_OUT:
                raise LostPartitionError from None
            raise

    async def _open(self) -> None:
        name = self._name if self._transactional else None
        committed = self._transactional and await self._was_committed()
        request = InitProducerIdRequest(name, int(TRANSACTION_SECONDS * 1000))
        find = self._transaction_coordinator if name else self._brokers.any_node
        answer = await self._ask(f"transactional id {self._name}", find, request, lambda found: [found.error_code])
        self._take_identity(answer)
        if self._transactional:
            await self._end_again(commit=committed)
            self.committed = await self._committed_offsets()

    async def _was_committed(self) -> bool:
        """Whether the last transaction was committed, or is just being."""

        def codes(answer: Any) -> list[int]:
            return [code for code, *_ in answer.transactions if code != Code.TRANSACTIONAL_ID_NOT_FOUND]

        request = TransactionsRequest(self._name)
        answer = await self._ask(f"transactional id {self._name}", self._transaction_coordinator, request, codes)
        return any(found[2] in _COMMITTED for found in answer.transactions)

    async def _end_again(self, *, commit: bool) -> None:
        """An empty transaction over all partitions, with the outcome of the last one.

        A broker that is killed, or comes up, may take a transaction for ended and have left out the end in some of its
        partitions (seen with Kafka 4.3.1). There the next end of this producer's transactions counts.
        """
        settings = self._settings
        places = [(topic, self._partition) for topic in (*settings.output_topics, settings.history_topic)]
        # Claims go on to whichever partition has the member.
        places += [(settings.repartition_topic, partition) for partition in range(self._partitions)]
        await self._begin(places)
        await self._end(EndTxnRequest(self._name, self._id, self._epoch, commit))

    async def _committed_offsets(self) -> Offsets:
        def codes(answer: Any) -> list[int]:
            return [answer.error_code, *(each[4] for _, found, _ in answer.topics for each in found)]

        group_id = self._settings.group_id
        places = [(topic, self._partition) for topic in self._settings.input_topics]
        request = StableOffsetsRequest(group_id, places)
        answer = await self._ask(f"group {group_id}", self._group_coordinator, request, codes)
        return {(topic, each[0]): each[1] for topic, found, _ in answer.topics for each in found if each[1] >= 0}

    # ---- publishing

    async def publish(
        self, outputs: Mapping[Place, Sequence[Record]], offsets: Offsets, most_bytes: Mapping[str, int]
    ) -> Offsets:
        """Publish, and wait until it stands: all of it with the offsets in one transaction, or at least all of it.

        Args:
            outputs: output partition → records in order.
            offsets: input partition → offset after the last record that this is about.
            most_bytes: topic → most bytes of a record batch.

        Returns:
            Output partition → offset after the last record, as far as the brokers have told.

        Raises:
            LostPartitionError: another worker has the partition.
            TooLargeError: the brokers don't take a record batch; nothing stands.
            RefusedError: the brokers refuse for good; nothing stands.
        """
        batches = {
            place: record_batches(records, most_bytes[place[0]], self._settings.compression)
            for place, records in outputs.items()
        }
        for attempt in range(_RECOVERIES + 1):
            self._ends = {}
            try:
                await (self._transact(batches, offsets) if self._transactional else self._produce(batches))
            except RefusedError as error:
                if error.code in FINAL or attempt == _RECOVERIES:
                    raise
                if await self._recover(offsets):
                    break
            except TooLargeError:
                if not await self._recover(offsets):
                    raise
                break
            else:
                break
        self.committed = {**self.committed, **offsets}
        return self._ends

    async def _transact(self, batches: Mapping[Place, list[RecordBatch]], offsets: Offsets) -> None:
        if not self._brokers.joining:
            await self._begin(batches)
        group_id = self._settings.group_id
        await _together(
            self._produce(batches),
            self._ask(
                f"group {group_id}",
                self._group_coordinator,
                self._offset_request(offsets),
                _partition_codes,
                [topic for topic, _ in offsets],
            ),
        )
        if self._brokers.joining:
            self._take_identity(await self._end(EndAndBumpRequest(self._name, (self._id, self._epoch), commit=True)))
        else:
            await self._end(EndTxnRequest(self._name, self._id, self._epoch, True))

    def _offset_request(self, offsets: Offsets) -> Any:
        group_id = self._settings.group_id
        if self._brokers.joining:
            return JoiningOffsetRequest(self._name, group_id, (self._id, self._epoch), offsets)
        listed = [(topic, [(partition, offset, "")]) for (topic, partition), offset in offsets.items()]
        return TxnOffsetCommitRequest(self._name, group_id, self._id, self._epoch, listed)

    async def _begin(self, places: Iterable[Place]) -> None:
        """Open a transaction over output partitions and the group's offsets."""
        group_id = self._settings.group_id
        identity = (self._name, self._id, self._epoch)
        topics: dict[str, list[int]] = {}
        for topic, partition in places:
            topics.setdefault(topic, []).append(partition)
        joining = [
            self._ask(
                f"group {group_id}",
                self._transaction_coordinator,
                AddOffsetsToTxnRequest(*identity, group_id),
                lambda answer: [answer.error_code],
            )
        ]
        if topics:
            partitions = self._ask(
                f"transactional id {self._name}",
                self._transaction_coordinator,
                AddPartitionsToTxnRequest(*identity, list(topics.items())),
                _partition_codes,
                list(topics),
            )
            joining.append(partitions)
        await _together(*joining)

    async def _end(self, request: Any) -> Any:
        return await self._ask(
            f"transactional id {self._name}",
            self._transaction_coordinator,
            request,
            lambda answer: [answer.error_code],
        )

    def _take_identity(self, answer: Any) -> None:
        """Take the identity that a broker gave; sequences begin anew."""
        self._id, self._epoch = answer.producer_id, answer.producer_epoch
        self._sequences.clear()

    async def _produce(self, batches: Mapping[Place, list[RecordBatch]]) -> None:
        """Produce record batches, in order for each partition; what a broker has already is not doubled."""
        waiting = {place: list(found) for place, found in batches.items()}
        patience = Patience(self._brokers, f"producing to {', '.join(sorted({topic for topic, _ in batches}))}")
        while waiting:
            await self._brokers.settled()
            moment = time.monotonic()
            await self._remain_member(moment)
            by_node: dict[Node | None, dict[Place, RecordBatch]] = {}
            for place, found in waiting.items():
                by_node.setdefault(self._brokers.leader(*place), {})[place] = found[0]
            failed: set[int] = set()
            trouble: Exception | None = None
            for answer in await asyncio.gather(*(self._produce_to(*each, moment) for each in by_node.items())):
                if isinstance(answer, Exception):
                    trouble = answer
                else:
                    failed |= self._take_off(waiting, answer)
            if trouble is not None:
                await patience.after_error(trouble)
            elif failed:
                await patience.after_codes(failed)

    def _take_off(self, waiting: dict[Place, list[RecordBatch]], answer: Mapping[Place, _Produced]) -> set[int]:
        """Take off what a broker has now; the error codes of the rest, which may be tried again."""
        failed = set()
        for place, (code, offset) in answer.items():
            batch = waiting[place][0]
            if code in _TOO_LARGE:
                raise TooLargeError(place, batch.first if batch.size == 1 else None)
            if code in (0, Code.DUPLICATE_SEQUENCE_NUMBER):
                self._sequences[place] = (self._sequences.get(place, 0) + batch.size) % _SEQUENCES
                if offset >= 0:
                    self._ends[place] = offset + batch.size
                else:  # a repeated batch may be acknowledged without its offset
                    self._ends.pop(place, None)
                waiting[place].pop(0)
                if not waiting[place]:
                    del waiting[place]
            elif code in MOVED | LATER:
                failed.add(code)
            else:
                raise RefusedError(code, f"topic {place[0]}", [place[0]])
        return failed

    async def _produce_to(
        self, node: Node | None, batches: Mapping[Place, RecordBatch], moment: float
    ) -> dict[Place, _Produced] | Exception:
        """Output partition → error code and offset; or why there was no answer. `moment`: when this was still ours."""
        if node is None:
            missing: Exception = errors.LeaderNotAvailableError()
            return missing
        now = int(time.time() * 1000)
        sealed = [
            (
                place,
                seal(
                    batch,
                    now,
                    producer_id=self._id,
                    epoch=self._epoch,
                    sequence=self._sequences.get(place, 0),
                    transactional=self._transactional,
                ),
            )
            for place, batch in batches.items()
        ]
        timeout_ms = int(_ACKNOWLEDGE_SECONDS * 1000)
        try:
            if self._transactional:
                kind = JoiningProduceRequest if self._brokers.joining else ProduceRequest
                answer = await self._brokers.send(node, kind(self._name, -1, timeout_ms, sealed), self._connection)
            else:
                answer = await self._brokers.produce(node, sealed, timeout_ms, moment)
        except (errors.KafkaError, OSError, TimeoutError) as error:
            trouble: Exception = error
            return trouble
        produced: dict[Place, _Produced] = {}
        for topic, partitions, *_ in answer.topics:
            produced.update(
                {(topic, found[0]): (found[1], found[2]) for found in partitions if (topic, found[0]) in batches}
            )
        return produced

    # ---- after a doubt

    async def _recover(self, offsets: Offsets) -> bool:
        """Find out what has become of a transaction that failed somewhere, as the only one who can still commit.

        Returns:
            Whether it was committed. If not, nothing of it stands and it may be tried again.

        Raises:
            LostPartitionError: another worker has the partition.
        """
        self._brokers.recoveries += 1
        if not self._transactional:
            await self.open()
            return False
        await self._require_membership()
        before = self.committed
        await self.open()
        if self.committed == before:
            return False
        if self.committed == {**before, **offsets}:
            return True
        raise LostPartitionError

    async def _remain_member(self, moment: float) -> None:
        """Without transactions nobody is shut out: who slept for long asks first, or would undo newer history."""
        if not self._transactional and moment - self._was_member > self._settings.session_timeout_seconds / 2:
            await self._require_membership()
            self._was_member = moment

    async def _require_membership(self) -> None:
        """Do not shut out whoever has the partition by now, as a worker that was frozen for a while would."""
        group_id = self._settings.group_id
        generation, member_id = self._member()
        request = HeartbeatRequest(group_id, generation, member_id)
        try:
            await self._ask(
                f"group {group_id}",
                self._group_coordinator,
                request,
                lambda answer: [code for code in [answer.error_code] if code != Code.REBALANCE_IN_PROGRESS],
            )
        except RefusedError as error:
            if error.code in _MEMBER_LOST:
                raise LostPartitionError from None
            raise

    # ---- asking

    async def _transaction_coordinator(self) -> Node:
        return await self._brokers.coordinator("transaction", self._name)

    async def _group_coordinator(self) -> Node:
        return await self._brokers.coordinator("group", self._settings.group_id)

    async def _ask(
        self,
        what: str,
        find: Callable[[], Awaitable[Node]],
        request: Any,
        codes: Callable[[Any], Iterable[int]],
        topics: Sequence[str] = (),
    ) -> Any:
        return await self._brokers.ask(what, find, request, codes, connection=self._connection, topics=topics)


def _partition_codes(answer: Any) -> list[int]:
    """The error codes of an answer that lists them by topic and partition."""
    return [code for _, found, *_ in answer.errors for _, code, *_ in found]


async def _together(*awaitables: Awaitable[Any]) -> None:
    """Await all of them, also where one fails: none must go on by itself. The first failure is raised."""
    for answer in await asyncio.gather(*awaitables, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
