"""What commands that work on a folder have in common: one process at a time, durable files, an orderly stop."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_STEP_SECONDS = 0.1


class FolderError(RuntimeError):
    """A folder can't be used as it is; the message names it, the fault and what mends it."""


class Stop:
    """Set by SIGTERM or SIGINT; a second signal ends the process at once."""

    def __init__(self) -> None:
        self.since: float | None = None

    def requested(self) -> bool:
        """Whether the process is to end."""
        return self.since is not None

    @contextmanager
    def on_signals(self) -> Iterator[Stop]:
        """Listen to the signals."""
        before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def request(number: int, _: FrameType | None) -> None:
            self.since = time.monotonic()
            signal.signal(number, signal.SIG_DFL)

        for number in before:
            signal.signal(number, request)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def wait(self, seconds: float) -> bool:
        """Sleep, but not longer than until the stop is requested; whether it is."""
        deadline = time.monotonic() + seconds
        while not self.requested() and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _STEP_SECONDS))
        return self.requested()


@contextmanager
def only_one(path: Path, what: str) -> Iterator[str]:
    """Hold a lock file, so that no second process works in its folder, and give the folder's identity.

    The identity is made once and kept in the lock file: it stays the folder's wherever the folder is moved or mounted.

    Raises:
        FolderError: another process holds the lock, or the file can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise FolderError(f"{path.parent}: {error.strerror}; the folder must be one that can be written to") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FolderError(f"another {what} is at work in {path.parent}; stop it first") from None
        identity = os.read(descriptor, 64).decode("ascii", "replace").strip()
        if not identity.isalnum():
            identity = secrets.token_hex(8)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, identity.encode() + b"\n", 0)
            os.fsync(descriptor)
            flush_folder(path.parent)
        yield identity
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_to_disk(path: Path, content: bytes) -> None:
    """Write a file, and wait until its content is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_durably(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, by way of a temporary name, and wait until it is on the disk."""
    temporary = path.with_name(f".{path.name}.tmp")
    write_to_disk(temporary, content)
    rename_durably(temporary, path)


def rename_durably(source: Path, target: Path) -> None:
    """Rename, replacing what has the name, and wait until it is on the disk."""
    source.rename(target)
    flush_folder(target.parent)
    if source.parent != target.parent:
        flush_folder(source.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a file that a user has named, whole or not at all.

    Raises:
        FolderError: it can't be written.
    """
    try:
        write_durably(path, content)
    except OSError as error:
        raise FolderError(f"{path} can't be written: {error.strerror}") from None
