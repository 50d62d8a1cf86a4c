"""`claimscrub submit --watch`: a folder whose files are submitted as they appear, each claim exactly once.

    DIR/claims.837 → DIR/submitting/<id>/claims.837 → DIR/done/claims.837 or DIR/failed/claims.837

A file is new as long as it lies in the folder itself. Taking it up moves it to a place with an id of its own, the id of
the submission. Claims are published in transactions, and each transaction records, in Kafka, how far which submission
has come. Whoever finds a file under `submitting` goes on where Kafka says; so neither a crash nor a lost answer of the
brokers submits a claim twice, and the same content dropped again is a new submission.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rules import ClaimError
from worker.folder import FolderError, Stop, flush_folder, only_one, rename_durably, write_durably
from worker.inputs import is_passed_over, read_stream
from worker.kafka import require_topics
from worker.members import Members
from worker.settings import Settings
from worker.submit import Progress, ResumableSubmitter, TransactionLostError
from worker.x12 import X12Error

LOCK_FILE = ".claimscrub-watch"
_SUBMITTING, _DONE, _FAILED = "submitting", "done", "failed"
_SCAN_SECONDS = 1.0
_QUICKEST_SCAN_SECONDS = 0.1
_RETRY_SECONDS = 1.0
_SAY_EVERY_SECONDS = 5.0
_EMPTY_FILE_PATIENCE = 10
"""An empty file is given so many times longer: it is mostly one that somebody has only just begun."""
_MOST_CLAIMS = 5_000
_MOST_BYTES = 32_000_000
_MOST_SECONDS = 1.0
"""Of a transaction: readers do not see past one that is open."""
_REMEMBERED_SECONDS = 86_400
"""Brokers keep what a group without members has committed for at least so long."""
_MOST_REASONS = 10_000
_MOST_BROKEN_BYTES = 32_000_000
"""Of broken claims that are kept apart; the file itself has them all."""
_LONGEST_NAME = 200
"""Bytes; what is appended to a name must fit into the 255 that a file system takes."""


def watch(
    folder: Path, settings: Settings, members: Members, settle_seconds: float, say: Callable[[str], None]
) -> None:
    """Submit the files that are in the folder and those that come, until SIGTERM or SIGINT.

    Args:
        folder: where files appear.
        settings: the brokers and the submitted topic.
        members: makes the keys.
        settle_seconds: how long a file's size and time must stand still before it is taken up.
        say: called with each line of progress.

    Raises:
        FolderError: another process watches the folder, or files can't be moved in it.
        KafkaProblemError: the brokers refuse, or another process has taken over.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder}: no such folder; make it, or name another")
    with Stop().on_signals() as stop, only_one(folder / LOCK_FILE, "claimscrub submit --watch") as identity:
        for name in (_SUBMITTING, _DONE, _FAILED):
            _make_folder(folder / name)
        require_topics(settings, [settings.submitted_topic])
        _Watch(folder, settings, members, identity, settle_seconds=settle_seconds, stop=stop, say=say).run()


class _StoppedError(Exception):
    """The stop was requested; what is not committed will be submitted by the next process."""


class _Submission(NamedTuple):
    """A file that was taken up, and the id of taking it up."""

    submission: str
    path: Path


class _Signature(NamedTuple):
    """Tells whether a file was written to."""

    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Signature:
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class _Reasons:
    """What could not be read of a file, one line each, and the broken claims of an 837 that can be mended."""

    def __init__(self) -> None:
        self.count = 0
        self.broken = b""
        self._broken_count = 0
        self._lines: list[str] = []

    def add(self, source: str, error: Exception | str) -> None:
        self.count += 1
        if self.count <= _MOST_REASONS:
            self._lines.append(f"{source}: {error}")
        raw = error.raw if isinstance(error, X12Error) else b""
        if raw and len(self.broken) + len(raw) <= _MOST_BROKEN_BYTES:
            self.broken += raw + b"\n"
            self._broken_count += 1

    def text(self, claims: int, broken_name: str) -> str:
        """The file of reasons; the same for the same file, however often it is begun."""
        said = f"Unreadable parts of the file: {self.count}."
        if claims:
            said += f" Claims that were submitted: {claims}; send only what is named here again."
        if self.broken:
            said += f" Broken claims that stand in {broken_name}, to be mended and submitted: {self._broken_count}."
        more = [f"... and {self.count - _MOST_REASONS} more"] if self.count > _MOST_REASONS else []
        return "\n".join([said, *self._lines, *more]) + "\n"


class _Watch:
    """The loop."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        members: Members,
        identity: str,
        *,
        settle_seconds: float,
        stop: Stop,
        say: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._members = members
        self._settle_seconds = settle_seconds
        self._stop = stop
        self._say = say
        self._said_waiting = 0.0
        self._seen: dict[str, tuple[_Signature, float]] = {}
        self._submitter = ResumableSubmitter(settings, f"{settings.group_id}-submit-{identity}", self._waiting)

    def run(self) -> None:
        """Until the stop is requested."""
        self._say(f"watching {self._folder} for claims to publish to {self._settings.submitted_topic}")
        try:
            while not self._stop.requested():
                try:
                    self._run_connected()
                except TransactionLostError as lost:
                    self._waiting(str(lost))
                    self._stop.wait(_RETRY_SECONDS)
        except _StoppedError:
            self._say("a file is not finished; the next start goes on with it")
        finally:
            self._submitter.close()
        self._say("stopped")

    def _run_connected(self) -> None:
        """Until the stop is requested or a transaction is lost: what was begun first, then what is new."""
        progress = self._submitter.open()
        known = None if progress is None else progress.submission
        # The one that Kafka knows comes first: the next one takes its place there.
        for begun in sorted(self._begun(forgotten=progress is None), key=lambda each: each.submission != known):
            progress = self._submit(begun, progress)
        while not self._stop.requested():
            for name, signature in self._ready():
                if self._stop.requested():
                    return
                taken = self._take_up(name, signature)
                if taken is not None:
                    progress = self._submit(taken, progress)
            self._stop.wait(max(_QUICKEST_SCAN_SECONDS, min(self._settle_seconds, _SCAN_SECONDS)))

    def _waiting(self, reason: str) -> None:
        since = self._stop.since
        if since is not None and time.monotonic() - since > self._settings.stop_timeout_seconds:
            raise _StoppedError
        if time.monotonic() - self._said_waiting >= _SAY_EVERY_SECONDS:
            self._said_waiting = time.monotonic()
            self._say(f"waiting for the brokers at {self._settings.bootstrap_servers}: {reason}")

    # ---- which files

    def _begun(self, *, forgotten: bool) -> Iterator[_Submission]:
        """What an earlier process took up and did not finish; `forgotten` if Kafka knows of no submission at all."""
        for place in sorted((self._folder / _SUBMITTING).iterdir()):
            files = sorted(place.iterdir()) if place.is_dir() else []
            if files:
                if forgotten and time.time() - place.stat().st_mtime > _REMEMBERED_SECONDS:
                    raise FolderError(
                        f"{files[0]} was begun more than a day ago, and Kafka holds no record of how far it came: it"
                        " was forgotten (offsets.retention.minutes), or CLAIMSCRUB_GROUP_ID is another now; find out"
                        f" which of its claims are on the topic, then move it out of {_SUBMITTING}"
                    )
                yield _Submission(place.name, files[0])
            elif place.is_dir():
                place.rmdir()

    def _ready(self) -> list[tuple[str, _Signature]]:
        """New files that nobody writes to any more, oldest first."""
        seen: dict[str, tuple[_Signature, float]] = {}
        ready = []
        now = time.monotonic()
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if is_passed_over(entry.name) or not entry.is_file(follow_symlinks=False):
                        continue
                    try:
                        signature = _Signature.of(entry.stat(follow_symlinks=False))
                    except FileNotFoundError:
                        continue
                    before = self._seen.get(entry.name)
                    since = before[1] if before is not None and before[0] == signature else now
                    seen[entry.name] = (signature, since)
                    if now - since >= self._settle_seconds * (1 if signature.size else _EMPTY_FILE_PATIENCE):
                        ready.append((entry.name, signature))
        except OSError as error:
            raise FolderError(f"{self._folder}: {error.strerror}; the folder must be readable") from None
        self._seen = seen
        return sorted(ready, key=lambda each: (each[1].modified, each[0]))

    def _take_up(self, name: str, signature: _Signature) -> _Submission | None:
        """Move a new file to a place with an id of its own; None where it is gone or was written to."""
        self._seen.pop(name, None)
        path = self._folder / name
        try:
            if _Signature.of(path.lstat()) != signature:
                return None
            submission = secrets.token_hex(8)
            place = self._folder / _SUBMITTING / submission
            place.mkdir()
            # The move must be on the disk before Kafka hears of the submission: else a power failure could put the
            # file back among the new ones.
            flush_folder(place.parent)
            rename_durably(path, place / name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderError(f"{path} can't be moved to {_SUBMITTING}: {error.strerror}") from None
        return _Submission(submission, place / name)

    # ---- one file

    def _submit(self, submission: _Submission, progress: Progress | None) -> Progress:
        """Publish what is not published of a file, then move it away; how far it came."""
        began = time.monotonic()
        before = progress if progress is not None and progress.submission == submission.submission else None
        name = submission.path.name
        if before is not None and before.complete and not before.unreadable:
            finished, reasons = before, _Reasons()
        else:
            if before is not None and before.claims and not before.complete:
                self._say(f"{name}: going on after {before.claims} claims that were submitted before")
            finished, reasons = self._publish(submission, before or Progress(submission.submission), began)
        where = self._move_away(submission, reasons, finished.claims)
        self._say(f"{name}: {_counted(finished.claims, reasons)} in {time.monotonic() - began:.1f} s; now {where}")
        return finished

    def _publish(self, submission: _Submission, before: Progress, began: float) -> tuple[Progress, _Reasons]:
        reasons = _Reasons()
        name = submission.path.name
        now = before
        claims = pending = pending_bytes = 0
        said = began
        try:
            with submission.path.open("rb") as file:
                signature = _Signature.of(os.fstat(file.fileno()))
                for claim_id, key, raw in self._claims(file, name, reasons):
                    claims += 1
                    if claims <= before.claims:
                        self._require_the_same(submission, before, claims, claim_id)
                    else:
                        self._submitter.submit(key, raw)
                        now = now._replace(claims=claims, last_claim_id=claim_id)
                        pending, pending_bytes = pending + 1, pending_bytes + len(raw)
                    full = pending >= _MOST_CLAIMS or pending_bytes >= _MOST_BYTES
                    if pending and (full or self._submitter.seconds_open >= _MOST_SECONDS or self._stop.requested()):
                        self._submitter.commit(now)
                        pending = pending_bytes = 0
                    if self._stop.requested():
                        raise _StoppedError
                    if time.monotonic() - said >= _SAY_EVERY_SECONDS:
                        said = time.monotonic()
                        part = f"{file.tell() / max(signature.size, 1):.0%} of the file"
                        self._say(f"{name}: {_counted(claims, reasons)} after {said - began:.0f} s, {part}")
                changed = _Signature.of(os.fstat(file.fileno())) != signature
        except OSError as error:
            reasons.add(name, f"{error.strerror}; expected a file that can be read")
            changed = False
        if changed:
            reasons.add(name, "written to while it was read; expected a file that is complete when it appears")
        if claims < before.claims:
            self._require_the_same(submission, before, before.claims, "")
        now = now._replace(unreadable=reasons.count, complete=True)
        if now != before:
            self._submitter.commit(now)
        return now, reasons

    def _claims(self, file: BinaryIO, name: str, reasons: _Reasons) -> Iterator[tuple[str, bytes, bytes]]:
        """Id, key and bytes of each claim event that can be submitted."""
        limit = self._settings.max_claim_bytes
        for item in read_stream(file, name):
            try:
                claim = item.read()
            except ClaimError as error:
                reasons.add(item.source, error)
                continue
            if len(item.raw) > limit:
                expected = f"at most {limit} bytes (CLAIMSCRUB_MAX_CLAIM_BYTES)"
                reasons.add(item.source, ClaimError("$", f"a claim event of {len(item.raw)} bytes", expected))
            else:
                yield claim.claim_id, self._members.event_key(claim), item.raw

    def _require_the_same(self, submission: _Submission, before: Progress, claims: int, claim_id: str) -> None:
        """The claim up to which the file was submitted must still be the one that it was."""
        if claims == before.claims and claim_id != before.last_claim_id:
            raise FolderError(
                f"{submission.path}: {before.claims} claims of it were submitted, up to {before.last_claim_id}, and now"
                " it reads differently: the file was changed, or begun by another version of claimscrub; move it out of"
                f" {_SUBMITTING}, and submit what is missing"
            )

    def _move_away(self, submission: _Submission, reasons: _Reasons, claims: int) -> str:
        """Move a finished file to done or failed, under a name that is free there."""
        path = submission.path
        folder = self._folder / (_FAILED if reasons.count else _DONE)
        try:
            target = _free_path(folder, path.name, reasons, claims)
            if reasons.count:
                report, broken = _beside(target)
                write_durably(report, _report(reasons, claims, broken))
                if reasons.broken:
                    write_durably(broken, reasons.broken)
            # On the disk before the next submission takes the place of this one in Kafka's memory.
            rename_durably(path, target)
            path.parent.rmdir()
        except OSError as error:
            raise FolderError(
                f"{path} can't be moved to {folder}: {error.strerror}; its {claims} claims were submitted, and the next"
                " start only moves it"
            ) from None
        where = f"{folder.name}/{target.name}"
        return f"{where}, reasons in {folder.name}/{_beside(target)[0].name}" if reasons.count else where


def _counted(claims: int, reasons: _Reasons) -> str:
    return f"claims submitted: {claims}, unreadable parts: {reasons.count}"


def _free_path(folder: Path, name: str, reasons: _Reasons, claims: int) -> Path:
    """A path that nothing has in the folder, nor what stands beside it."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    number = 1
    while True:
        target = folder / (name if number == 1 else f"{stem}-{number}{suffix}")
        report, broken = _beside(target)
        # Reasons without their file were written by a process that was killed before it moved the file.
        left_by_us = os.path.lexists(report) and report.read_bytes() == _report(reasons, claims, broken)
        taken = os.path.lexists(target) or os.path.lexists(report) or os.path.lexists(broken)
        if not os.path.lexists(target) and (not taken or not reasons.count or left_by_us):
            return target
        number += 1


def _beside(target: Path) -> tuple[Path, Path]:
    """The paths of the reasons, and of the broken claims, of a file that failed."""
    return target.with_name(f"{target.name}.errors.txt"), target.with_name(f"{target.name}.broken.837")


def _report(reasons: _Reasons, claims: int, broken: Path) -> bytes:
    return reasons.text(claims, broken.name).encode("utf-8", "surrogateescape")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
        probe = folder / f".{secrets.token_hex(4)}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FolderError(f"{folder}: {error.strerror}; files must be able to be moved there") from None
