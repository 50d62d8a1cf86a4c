"""Claim events in files: one JSON object, an array of them, objects one after another, or one a line (NDJSON)."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterator
from json.decoder import JSONDecodeError
from typing import BinaryIO, NamedTuple

from rules import ClaimError

_DECODER = json.JSONDecoder()
_BETWEEN = " \t\r\n,"


class Item(NamedTuple):
    """One thing found in a file.

    Attributes:
        source: file and line, for messages.
        raw: its bytes as they stand in the file.
        error: why nothing more can be made of it, or None.
    """

    source: str
    raw: bytes
    error: ClaimError | None = None


def read_file(path: str) -> Iterator[Item]:
    """Everything in a file, in order; `-` is the standard input.

    Raises:
        OSError: the file can't be opened or read.
    """
    if path == "-":
        yield from _read(sys.stdin.buffer, "stdin")
        return
    with open(path, "rb") as file:  # noqa: PTH123  (a path as the user typed it)
        yield from _read(file, path)


def _read(file: BinaryIO, name: str) -> Iterator[Item]:
    number, first = 0, b""
    for number, line in enumerate(file, 1):
        first = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if first.strip():
            break
    if not first.strip():
        yield Item(name, b"", ClaimError("$", "empty", "claim events in JSON"))
    elif first.startswith(b"ISA"):
        yield Item(name, b"", ClaimError("$", "an X12 interchange", "claim events in JSON"))
    elif first.lstrip()[:1] == b"{" and _is_json(first):
        yield from _lines(first, file, name, number)
    else:
        yield from _documents(first + file.read(), name, number)


def _lines(first: bytes, rest: BinaryIO, name: str, number: int) -> Iterator[Item]:
    yield Item(f"{name}:{number}", first.strip())
    for following, line in enumerate(rest, number + 1):
        if line.strip():
            yield Item(f"{name}:{following}", line.strip())


def _documents(content: bytes, name: str, number: int) -> Iterator[Item]:
    """Objects that span lines, or stand in an array; else lines of which the first is broken."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        yield Item(name, b"", ClaimError("$", f"not UTF-8 at byte {error.start}", "claim events in JSON, in UTF-8"))
        return
    position = len(text) - len(text.lstrip())
    in_array = text[position] == "["
    position += in_array
    found = False
    while True:
        while position < len(text) and text[position] in _BETWEEN:
            position += 1
        if position == len(text) or (in_array and text[position] == "]"):
            return
        where = f"{name}:{number + text.count(chr(10), 0, position)}"
        try:
            _, end = _DECODER.raw_decode(text, position)
        except (JSONDecodeError, RecursionError) as error:
            if not found and not in_array and any(_is_json(line) for line in content.splitlines()):
                for following, line in enumerate(content.splitlines(), number):
                    if line.strip():
                        yield Item(f"{name}:{following}", line.strip())
                return
            said = f"{error.msg} in column {error.colno}" if isinstance(error, JSONDecodeError) else "nested too deep"
            broken = number + (error.lineno - 1 if isinstance(error, JSONDecodeError) else 0)
            problem = ClaimError("$", f"not JSON: {said}; what follows was not read", "claim events in JSON")
            yield Item(f"{name}:{broken}", b"", problem)
            return
        found = True
        yield Item(where, text[position:end].encode())
        position = end


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
