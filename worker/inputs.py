"""Claims in files: an 837, or claim events in JSON: one object, several, an array of them, or one a line (NDJSON).

Likewise the answers to claims: a 277CA, an 835, or claim statuses in JSON. What a file is, is told by how it begins,
whatever its name. X12 is read in constant memory, from a pipe too.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from json.decoder import JSONDecodeError
from typing import Any, BinaryIO, NamedTuple, TypeVar, cast

from rules import Claim, ClaimError
from worker.status import ClaimStatus
from worker.x12 import StatusEvent, X12Error, looks_like_x12, read_events, read_statuses
from worker.x12.errors import safe_control_number

RESERVED_FOLDERS = frozenset({"done", "failed", "submitting"})
"""Folders in which `claimscrub submit --watch` keeps files that are not new any more."""

_DECODER = json.JSONDecoder()
_BETWEEN = " \t\r\n,"
_UNFINISHED = (".tmp", ".part")
_TELLING_BYTES = 16
_MOST_BLANKS = 65_536
_BUFFER_BYTES = 262_144
_Read = TypeVar("_Read")


class Item(NamedTuple):
    """One thing found in a file.

    Attributes:
        source: file and line, or place in the X12, for messages.
        raw: the event's bytes: as they stand in the file, or made from X12.
        error: why nothing more can be made of it, or None.
        claim: the claim, where reading has made it already.
    """

    source: str
    raw: bytes
    error: ClaimError | None = None
    claim: Claim | None = None

    def read(self) -> Claim:
        """The claim.

        Raises:
            ClaimError: it is none.
        """
        if self.error is not None:
            raise self.error
        return self.claim or Claim.from_json(self.raw)

    def read_status(self) -> ClaimStatus:
        """The claim status.

        Raises:
            ClaimError: it is none.
        """
        if self.error is not None:
            raise self.error
        return ClaimStatus.from_json(self.raw)


class Kind(NamedTuple):
    """What files are read for.

    Attributes:
        x12: the items of a stream of X12 that is called so.
        in_x12, in_json: what they are then, for messages.
    """

    x12: Callable[[BinaryIO, str], Iterator[Item]]
    in_x12: str
    in_json: str


def is_passed_over(name: str) -> bool:
    """Whether a file's name says that it is hidden, or not complete yet."""
    return name.startswith(".") or name.lower().endswith(_UNFINISHED)


def files_in(path: str) -> Iterator[str]:
    """The path itself; of a folder all files in it and below, sorted, without hidden, unfinished and reserved ones."""
    if not os.path.isdir(path):  # noqa: PTH112  (a path as the user typed it, - for standard input)
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each not in RESERVED_FOLDERS)
        for name in sorted(names):
            file = os.path.join(folder, name)  # noqa: PTH118
            if not is_passed_over(name) and os.path.isfile(file):  # noqa: PTH113
                yield file


def read_paths(
    paths: Iterable[str], kind: Kind, read: Callable[[Item], _Read], say: Callable[[str], None]
) -> Iterator[tuple[Item, _Read | None]]:
    """Everything in some files and folders, with what is read of it; None, and a line that is said, where it is not.

    Args:
        paths: as the user typed them; `-` is the standard input.
        kind: what they are read for.
        read: reads an item; raises ClaimError.
        say: takes each line.
    """
    for given in paths:
        nothing = True
        for path in files_in(given):
            nothing = False
            try:
                for item in read_file(path, kind):
                    try:
                        yield item, read(item)
                    except ClaimError as error:
                        say(f"claimscrub: {item.source}: {error}")
                        yield item, None
            except OSError as error:
                say(f"claimscrub: {path}: {error.strerror or error}")
                yield Item(path, b""), None
        if nothing:
            say(f"claimscrub: {given}: no files in this folder; expected {kind.in_x12}, or {kind.in_json}")
            yield Item(given, b""), None


def read_file(path: str, kind: Kind | None = None) -> Iterator[Item]:
    """Everything in a file, in order; `-` is the standard input.

    Args:
        path: the file's name.
        kind: what it is read for; claims, if not said.

    Raises:
        OSError: the file can't be opened or read.
    """
    with open_file(path) as file:
        yield from read_stream(file, "stdin" if path == "-" else path, kind)


@contextmanager
def open_file(path: str) -> Iterator[BinaryIO]:
    """The bytes of a file; `-` is the standard input.

    Raises:
        OSError: the file can't be opened.
    """
    if path == "-":
        yield sys.stdin.buffer
        return
    with open(path, "rb") as file:  # noqa: PTH123  (a path as the user typed it)
        yield file


def read_stream(file: BinaryIO, name: str, kind: Kind | None = None) -> Iterator[Item]:
    """Everything in a stream, in order.

    Args:
        file: what is read, to its end; it need not be seekable.
        name: what to call it in messages.
        kind: what it is read for; claims, if not said.

    Raises:
        OSError: the stream can't be read.
    """
    kind = kind or CLAIMS
    beginning = _beginning(file)
    whole = cast("BinaryIO", io.BufferedReader(_Rejoined(beginning, file), _BUFFER_BYTES))
    if looks_like_x12(beginning):
        yield from kind.x12(whole, name)
    elif b"\0" in beginning:
        # Not read on: it may be of any size, and have no line that ends.
        expected = f"{kind.in_x12}, or {kind.in_json}, in UTF-8"
        yield Item(name, b"", ClaimError("$", "binary content", expected))
    else:
        yield from _json(whole, name, kind)


def only_claim(raw: bytes) -> Item:
    """The one claim of a text: a claim event in JSON, or an 837.

    Raises:
        ClaimError: it is none, or holds more than one.
    """
    items = list(itertools.islice(read_stream(io.BytesIO(raw), "text"), 2))
    for item in items:
        item.read()
    if len(items) != 1:
        raise ClaimError("$", "more than one claim", "one; a file of several goes in with: claimscrub submit FILE")
    return items[0]


def _beginning(file: BinaryIO) -> bytes:
    """Enough bytes to tell what a stream holds; of a pipe no more than it has to give."""
    read = getattr(file, "read1", file.read)
    beginning = b""
    while len(beginning.removeprefix(codecs.BOM_UTF8).lstrip()) < _TELLING_BYTES and len(beginning) < _MOST_BLANKS:
        more = read(_MOST_BLANKS)
        if not more:
            break
        beginning += more
    return beginning


class _Rejoined(io.RawIOBase):
    """A stream with the bytes in front that were read ahead."""

    def __init__(self, beginning: bytes, rest: BinaryIO) -> None:
        self._beginning = beginning
        self._read = getattr(rest, "read1", rest.read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._beginning[: len(buffer)] or self._read(len(buffer))
        self._beginning = self._beginning[len(buffer) :]
        buffer[: len(content)] = content
        return len(content)


def _claims_in_x12(file: BinaryIO, name: str) -> Iterator[Item]:
    for found in read_events(file):
        if isinstance(found, X12Error):
            yield Item(name, found.raw, found)
            continue
        where = found.claim.x12
        assert where is not None  # every claim that came from X12 has it
        numbers = (where["interchange_control_number"], where["transaction_control_number"], where["claim_number"])
        yield Item(_source(name, *numbers), found.raw, None, found.claim)


def _statuses_in_x12(file: BinaryIO, name: str) -> Iterator[Item]:
    for found in read_statuses(file):
        if isinstance(found, StatusEvent):
            interchange = safe_control_number(found.transaction.interchange.control_number)
            transaction = safe_control_number(found.transaction.control_number)
            yield Item(_source(name, interchange, transaction, found.number), found.raw)
        else:
            yield Item(name, b"", found)


def _source(name: str, interchange: str, transaction: str, claim: int) -> str:
    enclosing = f"interchange {interchange}, " if interchange else ""
    return f"{name}: {enclosing}transaction {transaction}, claim {claim}"


CLAIMS = Kind(_claims_in_x12, "an 837", "claim events in JSON")
STATUSES = Kind(_statuses_in_x12, "a 277CA, an 835", "claim statuses in JSON")


def _json(file: BinaryIO, name: str, kind: Kind) -> Iterator[Item]:
    number, first = 0, b""
    for number, line in enumerate(file, 1):
        first = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if first.strip():
            break
    if not first.strip():
        yield Item(name, b"", ClaimError("$", "empty", f"{kind.in_x12}, or {kind.in_json}"))
    elif first.lstrip()[:1] == b"{" and _is_json(first):
        yield from _lines(first, file, name, number)
    else:
        yield from _documents(first + file.read(), name, number, kind.in_json)


def _lines(first: bytes, rest: BinaryIO, name: str, number: int) -> Iterator[Item]:
    yield Item(f"{name}:{number}", first.strip())
    for following, line in enumerate(rest, number + 1):
        if line.strip():
            yield Item(f"{name}:{following}", line.strip())


def _documents(content: bytes, name: str, number: int, expected: str) -> Iterator[Item]:
    """Objects that span lines, or stand in an array; else lines of which the first is broken."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        yield Item(name, b"", ClaimError("$", f"not UTF-8 at byte {error.start}", f"{expected}, in UTF-8"))
        return
    position = len(content) - len(content.lstrip())  # of text more counts as blank than of bytes
    in_array = text[position] == "["
    position += in_array
    found = False
    line_number, counted = number, 0
    while True:
        while position < len(text) and text[position] in _BETWEEN:
            position += 1
        if position == len(text) or (in_array and text[position] == "]"):
            return
        line_number, counted = line_number + text.count("\n", counted, position), position
        try:
            _, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            if not found and not in_array and any(_is_json(line) for line in content.splitlines()):
                for following, line in enumerate(content.splitlines(), number):
                    if line.strip():
                        yield Item(f"{name}:{following}", line.strip())
                return
            said, broken = "nested too deep" if isinstance(error, RecursionError) else "a number too long", line_number
            if isinstance(error, JSONDecodeError):
                said, broken = f"{error.msg} in column {error.colno}", number + error.lineno - 1
            problem = ClaimError("$", f"not JSON: {said}; what follows was not read", expected)
            yield Item(f"{name}:{broken}", b"", problem)
            return
        found = True
        yield Item(f"{name}:{line_number}", text[position:end].encode())
        position = end


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
