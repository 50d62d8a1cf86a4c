"""Member history: what is kept of each member's claims, on disk for each partition, and rebuilt from its topic.

The history topic is the truth: compacted, one record for each member, written in the transaction that publishes the
decisions. The disk is a copy of it that is quick to read, and knows how far it has come. It is written after the
transaction, so it may be behind, and catches up before the partition's claims are decided; it is never ahead.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog
from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from rules import Claim, ClaimError, Decision, Disposition, History, RuleSet
from rules.engine.claim import Payer
from rules.engine.record import (
    MOST_LINES,
    NO_RECORD,
    Answer,
    MemberRecord,
    bounded,
    delivered_before,
    history_of,
    not_to_be_released,
    released_by,
    with_answer,
    with_claim,
    with_release,
)
from worker.members import Members, partition_of
from worker.settings import PREFIX

META_KEY: Final = b"\0"
"""Key of the record that says what the partition's history rests on; no member's, which are longer."""
_POSITION_KEY: Final = b"\1"
_VERSION: Final = 1
_CACHE_BYTES: Final = 33_554_432
_WRITE_BUFFER_BYTES: Final = 8_388_608
_BLOOM_BITS: Final = 10
_BY_MONITOR: Final = "(sent on in monitor mode)"
_MOST_BYTES: Final = 2_097_152
DIGEST: Final = slice(7, 31)
"""Of `sha256:` and its hexadecimal digits: enough to tell the deliveries of one claim id apart."""

Change = tuple[bytes, bytes]
"""A record of the history topic: key and value."""

log = structlog.get_logger("claimscrub.worker")


class HistoryError(RuntimeError):
    """The history can't be used as it is; the message says why, and what to do."""


# ---- a member's record as bytes

_encode = msgspec.msgpack.Encoder().encode
_READERS: Final[Mapping[int, msgspec.msgpack.Decoder[MemberRecord]]] = {1: msgspec.msgpack.Decoder(MemberRecord)}
"""Version byte → what reads such bytes. A later version reads the earlier ones, and each record is written anew in the
latest with the member's next claim; fields added at the end, with a default, need no new version."""


def encoded(record: MemberRecord) -> bytes:
    """A member's record: the version byte, then MessagePack."""
    # Few members have releases: the records of all others stay as earlier versions of claimscrub read them.
    return bytes((_VERSION,)) + _encode(record if record.releases else record[:-1])


def decoded(raw: bytes) -> MemberRecord:
    """A member's record.

    Raises:
        HistoryError: another version has written it.
    """
    reader = _READERS.get(raw[0]) if raw else None
    if reader is None:
        raise HistoryError(
            f"history was written by another version of claimscrub (format {raw[:1].hex() or 'none'}, known: "
            f"{', '.join(map(str, _READERS))}); run that version or a later one"
        )
    try:
        return reader.decode(raw[1:])
    except msgspec.MsgspecError as error:
        raise HistoryError(f"a record of the history can't be read: {error}") from None


class Meta(NamedTuple):
    """What a partition's history rests on.

    Attributes:
        held_since: receipt date of its first claim.
        secret: fingerprint of the secret that its keys are made with.
        partitions: how many there are; another number, and each member would be looked for elsewhere.
    """

    held_since: date | None
    secret: str
    partitions: int


def meta_bytes(meta: Meta) -> bytes:
    """As the record of `META_KEY`."""
    held_since = None if meta.held_since is None else meta.held_since.isoformat()
    return json.dumps({**meta._asdict(), "held_since": held_since}).encode()


def read_meta(raw: bytes | None) -> Meta | None:
    """From the record of `META_KEY`; None where there is none."""
    if raw is None:
        return None
    content = json.loads(raw)
    held_since = content["held_since"]
    day = None if held_since is None else date.fromisoformat(held_since)
    return Meta(day, content["secret"], content["partitions"])


# ---- what a partition remembers


class Store(Protocol):
    """Where a partition's records are; a dict for a run of one process."""

    def get(self, key: bytes, /) -> bytes | None: ...


class _Staged(NamedTuple):
    """A record that is decided and not yet known to stand."""

    record: MemberRecord
    raw: bytes


class Looked(NamedTuple):
    """What was looked up for a claim.

    Attributes:
        key: the member's.
        record: the member's.
        claim: the claim, with its receipt date.
        digest: of its bytes, as it is kept.
        received: day on which its event came, as far as that is known.
        history: what of the record counts for the claim.
    """

    key: bytes
    record: MemberRecord
    claim: Claim
    digest: str
    received: date | None
    history: History


class Memory:
    """What one partition remembers of its members: what stands, and over it what was decided since.

    Args:
        members: makes the keys.
        ruleset: says which lines are worth keeping.
        store: what stands.
        most_lines: of service lines and claims to keep of one member.
        place: number of the partition, and how many there are; a memory that has every member is the first of one.
        most_bytes: of a member's record, which is one message.
    """

    def __init__(
        self,
        members: Members,
        ruleset: RuleSet,
        store: Store,
        most_lines: int = MOST_LINES,
        place: tuple[int, int] = (0, 1),
        *,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._members = members
        self._store = store
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._partition, self._partitions = place
        self._codes: Container[str] = ruleset.named
        self._lifetime: Container[str] = ruleset.lifetime_codes
        self._staged: dict[bytes, _Staged] = {}
        self._meta: Meta | None = None

    def begin(self) -> None:
        """Take up what stands.

        Raises:
            HistoryError: the keys were made with another secret, or partitions were added without moving the members.
        """
        self._meta = read_meta(self._store.get(META_KEY))
        if self._meta is None:
            return
        if self._meta.partitions != self._partitions:
            raise HistoryError(
                f"the history was kept in {self._meta.partitions} partitions and there are {self._partitions}: members"
                " would be looked for where they are not; stop all workers, and move them with:"
                " claimscrub topics create --add-partitions"
            )
        if self._meta.secret != self._members.fingerprint:
            raise HistoryError(
                f"{PREFIX}MEMBER_KEY_SECRET is not the one that the history was written with: none of its members would"
                " be found; set that one, or start anew with another history topic"
            )

    def key_of_claim(self, claim: Claim) -> bytes | None:
        """The key of a claim's member; None without a member number."""
        return self._members.key_of_claim(claim)

    def key_of(self, payer: Payer, member_number: str) -> bytes | None:
        """The key of a member; None without a member number."""
        return self._members.key_of(payer, member_number)

    def has(self, key: bytes) -> bool:
        """Whether the member is one of this partition."""
        return self.partition_of(key) == self._partition

    def partition_of(self, key: bytes) -> int:
        """The partition that has the member."""
        return 0 if self._partitions == 1 else partition_of(key, self._partitions)

    @property
    def partitions(self) -> int:
        """How many there are."""
        return self._partitions

    def record(self, key: bytes) -> MemberRecord:
        """What is remembered of a member."""
        staged = self._staged.get(key)
        if staged is not None:
            return staged.record
        raw = self._store.get(key)
        return NO_RECORD if raw is None else decoded(raw)

    def look_up(self, key: bytes, claim: Claim, digest: str, received: date | None) -> Looked:
        """A member's history for a claim under review.

        Args:
            key: the member's.
            claim: the claim.
            digest: of its bytes, `sha256:…`.
            received: its receipt date, if it names none itself.
        """
        record = self.record(key)
        digest = digest[DIGEST]
        claim = dated(record, claim, digest, received)
        history = history_of(record, claim, digest, self._members.patient_of(claim), self._held_since(claim))
        return Looked(key, record, claim, digest, received, history)

    def remember(self, looked: Looked, decision: Decision, *, goes_on: bool = False) -> tuple[Change, ...]:
        """Add a claim that was decided to what is remembered; the records that have changed.

        Args:
            looked: what was looked up for it.
            decision: about it.
            goes_on: it is sent on also if it was flagged.
        """
        key, record, claim, digest, received, _ = looked
        changed = self._added(
            record, looked, decision, goes_on=goes_on, counted_from=received, most_lines=self._most_lines
        )
        if goes_on and changed is record:
            changed = _gone_on(record, claim.claim_id, digest)
        begun = () if self._meta is not None and self._meta.held_since is not None else self._begun(claim.received_date)
        return begun if changed is record else (*begun, self._stage(key, changed))

    def _added(
        self,
        record: MemberRecord,
        looked: Looked,
        decision: Decision,
        *,
        goes_on: bool,
        counted_from: date | None = None,
        most_lines: int = MOST_LINES,
    ) -> MemberRecord:
        """A record with a claim that was decided, as `with_claim` keeps it."""
        return with_claim(
            record,
            looked.claim,
            looked.digest,
            payer=decision.payer,
            patient=looked.history.patient,
            is_flagged=decision.disposition is Disposition.FLAGGED and not goes_on,
            codes=self._codes,
            lifetime=self._lifetime,
            counted_from=counted_from,
            most_lines=most_lines,
        )

    def _held_since(self, claim: Claim) -> date | None:
        """Since when history is held for a claim, which may be the first."""
        meta = self._meta
        return claim.received_date if meta is None or meta.held_since is None else meta.held_since

    def _begun(self, held_since: date | None) -> tuple[Change, ...]:
        """Say what the partition's history rests on."""
        self._meta = Meta(held_since, self._members.fingerprint, self._partitions)
        return ((META_KEY, meta_bytes(self._meta)),)

    def answered(self, key: bytes, answer: Answer) -> tuple[Change, ...]:
        """Add an answer to what is remembered; the records that have changed, none if no claim was meant."""
        record = self.record(key)
        changed = with_answer(record, answer)
        return () if changed is None or changed is record else (self._stage(key, changed),)

    def release(self, key: bytes, claim_id: str, digest: str, event_id: str) -> tuple[Change, ...]:
        """Add the release of a flagged claim to what is remembered; the records that have changed.

        Args:
            key: the member's.
            claim_id: of the claim event.
            digest: of its bytes, `sha256:…`.
            event_id: of the override; delivered again, it changes nothing.

        Raises:
            ClaimError: the claim must not be released; says why.
        """
        record, digest = self.record(key), digest[DIGEST]
        if released_by(record, claim_id, digest) == event_id:
            return ()
        problem = not_to_be_released(record, claim_id, digest)
        if problem:
            raise ClaimError("flagged", problem, "a flagged claim that waits", claim_id)
        begun = () if self._meta is not None else self._begun(None)
        return (*begun, self._stage(key, with_release(record, claim_id, digest, event_id)))

    def _stage(self, key: bytes, record: MemberRecord) -> Change:
        raw, most_lines = encoded(record), self._most_lines
        while len(raw) > self._most_bytes and most_lines > 1:  # claims with very long numbers
            most_lines //= 2
            record = bounded(record, self._lifetime, most_lines)
            raw = encoded(record)
        self._staged[key] = _Staged(record, raw)
        return key, raw

    def stands(self, changes: Mapping[bytes, bytes]) -> None:
        """Forget what was decided about these as far as it stands by now."""
        for key, raw in changes.items():
            staged = self._staged.get(key)
            if staged is not None and staged.raw is raw:
                del self._staged[key]


def dated(record: MemberRecord, claim: Claim, digest: str, received: date | None) -> Claim:
    """The claim with a receipt date: its own, else that of its first delivery, else the day on which it came."""
    if claim.received_date is not None:
        return claim
    before = delivered_before(record, claim.claim_id, digest)
    return claim.changed(received_date=received if before is None else before.claim.received_date)


def _gone_on(record: MemberRecord, claim_id: str, digest: str) -> MemberRecord:
    """The record with a claim that was held back when it was delivered before, and is not now."""
    stored = delivered_before(record, claim_id, digest)
    if stored is None or stored.claim.status != "flagged" or released_by(record, claim_id, digest):
        return record
    return with_release(record, claim_id, digest, _BY_MONITOR)


# ---- on disk


class Shelf:
    """A partition's history on disk.

    Args:
        path: of its folder.
        cache: shared by all partitions.
        is_lasting: what is written stands even if the process is killed; else it is read from the topic again.

    Attributes:
        reads: how often a key was looked up.

    Raises:
        HistoryError: another process has the folder.
    """

    def __init__(self, path: Path, cache: Cache, *, is_lasting: bool = False) -> None:
        self.path = path
        self.reads = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._rows = self._open(cache)
        except Exception as error:  # noqa: BLE001  (rocksdict has no class of its own for them)
            if "lock" in str(error).lower():
                raise HistoryError(
                    f"another worker uses {path}; give each its own folder with {PREFIX}DATA_DIRECTORY"
                ) from None
            log.warning("history rebuilt", reason=f"{path} can't be read: {error}")
            shutil.rmtree(path, ignore_errors=True)
            self._rows = self._open(cache)
        self._writing = WriteOptions()
        # What a crash takes from memory is in the topic: a log of its own would only be written twice.
        self._writing.disable_wal = not is_lasting  # type: ignore[method-assign,assignment]

    def _open(self, cache: Cache) -> Rdict:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_keep_log_file_num(1)
        blocks = BlockBasedOptions()
        blocks.set_block_cache(cache)
        blocks.set_bloom_filter(_BLOOM_BITS, False)
        options.set_block_based_table_factory(blocks)
        return Rdict(str(self.path), options)

    @property
    def position(self) -> int | None:
        """Offset in the history topic up to which this is a copy of it; None for nothing."""
        raw = self._rows.get(_POSITION_KEY)
        return None if raw is None else int.from_bytes(raw, "big")

    def get(self, key: bytes) -> bytes | None:
        """The value that stands for a key.

        Raises:
            HistoryError: the disk has lost what was written.
        """
        self.reads += 1
        try:
            raw: bytes | None = self._rows.get(key)
        except Exception as error:  # noqa: BLE001
            raise HistoryError(
                f"{self.path} can't be read: {error}; remove the folder, and the history is read from its topic again"
            ) from None
        return raw

    def write(self, changes: Iterable[tuple[bytes, bytes | None]], position: int | None) -> None:
        """Take over what stands in the topic: all of it or, after a crash, nothing.

        Args:
            changes: key and value; None deletes.
            position: the offset that is reached with it; None if it is not known.

        Raises:
            HistoryError: the disk takes nothing.
        """
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        if position is not None:
            batch.put(_POSITION_KEY, position.to_bytes(8, "big"))
        try:
            self._rows.write(batch, self._writing)
        except Exception as error:  # noqa: BLE001
            raise HistoryError(f"{self.path} can't be written to, nothing is lost: {error}") from None

    def close(self) -> None:
        """Put everything to disk and let go of the folder; what the disk does not take is read again from the topic."""
        try:
            self._rows.flush()
        except Exception as error:  # noqa: BLE001
            log.warning("history not kept on disk", reason=f"{self.path}: {error}")
        with suppress(Exception):  # the same again
            self._rows.close()


class Shelves:
    """A worker's shelves: those of partitions that it has had lately stay open."""

    def __init__(self, folder: Path, *, are_lasting: bool = False) -> None:
        self._folder = folder
        self._are_lasting = are_lasting
        self._cache = Cache(_CACHE_BYTES)
        self._open: dict[int, Shelf] = {}
        self._reads_before = 0

    @property
    def reads(self) -> int:
        """How often keys were looked up, on shelves that are closed by now too."""
        return self._reads_before + sum(shelf.reads for shelf in list(self._open.values()))

    def shelf(self, partition: int) -> Shelf:
        """The shelf of a partition.

        Raises:
            HistoryError: another process has the folder.
        """
        shelf = self._open.get(partition)
        if shelf is None:
            shelf = self._open[partition] = Shelf(
                self._folder / str(partition), self._cache, is_lasting=self._are_lasting
            )
        return shelf

    def keep(self, partitions: Container[int]) -> None:
        """Close all others."""
        for partition in [each for each in self._open if each not in partitions]:
            shelf = self._open.pop(partition)
            self._reads_before += shelf.reads
            shelf.close()
