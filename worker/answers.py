"""Decisions in files become X12 files: `claimscrub acknowledge FILE` and `claimscrub export FILE`."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rules import ClaimError
from worker.folder import FolderError, write_durably
from worker.inputs import files_in, open_file, read_file
from worker.x12 import read_with_ends
from worker.x12.envelope import LAST_CONTROL_NUMBER, OutgoingFile, Written

MOST_CLAIMS = 20_000
MOST_BYTES = 32_000_000
"""Of a batch: the writers hold it in memory, where it takes ten times as much."""

Envelope = Mapping[str, Any]


class Writer(Protocol):
    """One of `worker.x12`'s writers of decisions."""

    def __call__(self, envelopes: Iterable[Envelope], *, at: datetime, control_number: int) -> Written: ...


class Found(NamedTuple):
    """An envelope in a file, or why there is none."""

    source: str
    envelope: Envelope | None
    error: str = ""
    size: int = 0


def clock_control_number() -> int:
    """A control number of the moment, for whoever keeps no count: another one each second for 31 years."""
    return int(time.time()) % LAST_CONTROL_NUMBER + 1


def read_envelopes(paths: Iterable[str]) -> Iterator[Found]:
    """The envelopes in files (JSON or NDJSON; - for standard input; a folder for its files)."""
    for path in itertools.chain.from_iterable(map(files_in, paths)):
        try:
            for item in read_file(path):
                if item.error is not None:
                    yield Found(item.source, None, str(item.error))
                elif item.claim is not None:
                    yield Found(item.source, None, "an 837, not decisions; use: claimscrub check --with-claim FILE")
                    break
                else:
                    yield _found(item.source, item.raw)
        except OSError as error:
            yield Found(path, None, error.strerror or str(error))


def _found(source: str, raw: bytes) -> Found:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return Found(source, None, "not JSON; expected lines as claimscrub check --with-claim prints them")
    if not isinstance(content, dict) or not isinstance(content.get("claim"), dict):
        return Found(source, None, "a decision without its claim; print both with: claimscrub check --with-claim")
    return Found(source, content, size=len(raw))


def write_envelopes(
    found: Iterable[Found], write: Writer, control_number: int, error: Callable[[str], None]
) -> Iterator[Written]:
    """What is written of one batch after the other, so that any number of envelopes can be.

    Args:
        found: what was read.
        write: the writer.
        control_number: of the first interchange.
        error: called with each line about what can't be written.
    """
    source = iter(found)
    while True:
        batch: list[Envelope] = []
        size = 0
        for each in source:
            if each.envelope is None:
                error(f"{each.source}: {each.error}")
                continue
            batch.append(each.envelope)
            size += each.size
            if len(batch) >= MOST_CLAIMS or size >= MOST_BYTES:
                break
        if not batch:
            return
        written = write(batch, at=datetime.now().astimezone(), control_number=control_number)
        control_number = written.next_control_number
        yield written


def write_syntax(
    paths: Iterable[str], write: Callable[..., Written], control_number: int, error: Callable[[str], None]
) -> Written:
    """The acknowledgements of the syntax of 837 files."""

    def items() -> Iterator[Any]:
        for path in itertools.chain.from_iterable(map(files_in, paths)):
            try:
                with open_file(path) as file:
                    yield from read_with_ends(file)
            except OSError as problem:
                error(f"{path}: {problem.strerror or problem}")

    return write(items(), at=datetime.now().astimezone(), control_number=control_number)


def save(files: Iterable[OutgoingFile], folder: Path) -> Iterator[Path]:
    """Put files into a folder, each whole or not at all.

    Raises:
        FolderError: a name is taken, or the folder can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            path = folder / file.name
            require_free(path)
            write_durably(path, file.content)
            yield path
    except OSError as error:
        raise FolderError(f"{folder}: {error.strerror}; the folder must be one that can be written to") from None


def described(error: ClaimError) -> str:
    """A claim that can't be written, in a sentence."""
    return f"claim {error.claim_id}: {error}" if error.claim_id else str(error)


def notes(written: Written) -> Iterator[str]:
    """What was left out of a batch on purpose."""
    if written.flagged_left_out:
        yield f"flagged claims left out: {written.flagged_left_out}"
    if written.repeated:
        yield f"repeated decisions left out: {written.repeated}"


def require_free(path: Path) -> None:
    if os.path.lexists(path):
        raise FolderError(f"{path} is there already and is not overwritten; move it away, or give a --control-number")
