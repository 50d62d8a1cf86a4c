"""Bytes of X12 → segments, in constant memory.

The separators are taken from each ISA anew; a lone transaction set (ST without ISA) says its own by where they stand.
A byte order mark, line breaks anywhere, blanks between segments and an ISA without its padding are tolerated. What lies
between interchanges and is not X12 is reported and skipped.

Text is decoded byte by byte (latin-1), so that nothing is lost whatever the bytes are; `worker.x12.loops` finds out
what a claim's encoding really is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from worker.x12.errors import X12Error

LONGEST_SEGMENT = 65_536
"""Characters. The longest segment of an 837 has about a thousand."""
_CHUNK = 262_144
_ISA_ELEMENTS = 16
_LONGEST_ISA = 512
_EXPECTED = "an X12 interchange (ISA) or transaction set (ST)"

# Not \s: some senders separate with control characters that Python takes for blanks.
_SEPARATOR = r"[^A-Za-z0-9 \t\r\n]"
_START = re.compile(rf"(?:ISA(?={_SEPARATOR})|ST(?=({_SEPARATOR})(?:277|835|837)\1))")
_ISA = re.compile(rf"ISA(?={_SEPARATOR})")
_LONE_SET = re.compile(
    rf"ST(?P<element>{_SEPARATOR})(?:277|835|837)(?P=element)[A-Za-z0-9]{{1,9}}(?:(?P=element)[A-Za-z0-9]{{0,35}})?"
    r"(?P=element)*(?P<terminator>[^A-Za-z0-9 ])[ \t\r\n]*(?:BHT|BPR)(?P=element)"
)
_LONGEST_START = 8
_UTF_8_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
BLANK = "\r\n\t \x00\x1a"


class Separators(NamedTuple):
    """The four separators of an interchange; the repetition separator is a blank where it has none."""

    element: str
    component: str
    repetition: str
    terminator: str


class Block(NamedTuple):
    """Some segments in a row that share their separators.

    Attributes:
        starts: the first of them begins an interchange, or a lone transaction set.
    """

    separators: Separators
    segments: list[str]
    starts: bool = False


class TooLong(NamedTuple):
    """A segment longer than `LONGEST_SEGMENT` was skipped; this is how it begins."""

    beginning: str


def looks_like_x12(beginning: bytes) -> bool:
    """Whether content that begins so is to be read as X12."""
    text = beginning.removeprefix(_UTF_8_MARK).decode("latin-1").lstrip(BLANK)
    return text.startswith("ISA") or _START.match(text) is not None


def read_segments(stream: BinaryIO) -> Iterator[Block | TooLong | X12Error]:
    """The segments of a stream, block by block.

    Raises:
        OSError: the stream can't be read.
    """
    source = _Source(stream)
    if source.is_utf_16:
        yield X12Error("UTF-16 text", "ASCII or UTF-8")
        return
    first = True
    while True:
        skipped, found = source.skip_to_start()
        if skipped:
            where = "before an ISA or ST" if found else "at the end" if not first else "in the input"
            yield X12Error(f"{skipped} characters {where} are not X12", _EXPECTED)
        elif first and not found:
            yield X12Error("empty", _EXPECTED)
        if not found:
            return
        first = False
        source.fill(_LONGEST_ISA if source.text.startswith("ISA") else LONGEST_SEGMENT)
        separators = separators_of(source.text)
        if separators is None:
            said = "ISA" if source.text.startswith("ISA") else "ST"
            yield X12Error(f"the {said} segment is incomplete or damaged, its separators can't be told", _EXPECTED)
            source.text = source.text[2:]
            source.skip_to_start()  # up to there it is all one damage
        else:
            yield from _interchange(source, separators)


class _Source:
    """What is read of a stream and not yet used up."""

    def __init__(self, stream: BinaryIO) -> None:
        self._read = getattr(stream, "read1", stream.read)  # read1 returns what there is: a pipe need not fill up first
        self.ended = False
        beginning = b""
        while len(beginning) < len(_UTF_8_MARK) and not self.ended:
            more = self._read(_CHUNK)
            self.ended = not more
            beginning += more
        self.is_utf_16 = beginning.startswith(_UTF_16_MARKS)
        self.text = beginning.removeprefix(_UTF_8_MARK).decode("latin-1")

    def more(self) -> str:
        """The next piece of text; nothing at the end."""
        content = self._read(_CHUNK)
        self.ended = not content
        return content.decode("latin-1")

    def fill(self, characters: int) -> None:
        """Read on until there are so many characters, or no more."""
        while len(self.text) < characters and not self.ended:
            self.text += self.more()

    def skip_to_start(self) -> tuple[int, bool]:
        """Drop what stands before the next ISA or ST.

        Returns:
            How many characters of it were not blank, and whether there is an ISA or ST.
        """
        skipped = 0
        while True:
            start = _START.search(self.text)
            if start is not None:
                skipped += _count(self.text[: start.start()])
                self.text = self.text[start.start() :]
                return skipped, True
            kept = 0 if self.ended else _LONGEST_START
            dropped = len(self.text) - kept
            if dropped > 0:
                skipped += _count(self.text[:dropped])
                self.text = self.text[dropped:]
            if self.ended:
                return skipped, False
            self.text += self.more()


def _interchange(source: _Source, separators: Separators) -> Iterator[Block | TooLong]:
    """The segments up to the next ISA, which stays in the source."""
    terminator = separators.terminator
    starts, too_long = True, False
    while True:
        following = _next_isa(source.text, terminator, 1 if starts else 0)
        cut = following is not None or source.ended
        text, after = (source.text, "") if following is None else (source.text[:following], source.text[following:])
        end = len(text) if cut else text.rfind(terminator) + 1
        text, rest = text[:end], text[end:]
        segments = _without_line_breaks(text, terminator).split(terminator)
        last = segments.pop()  # empty, or what stands behind the last terminator of the interchange
        if too_long and segments:
            del segments[0]  # the end of what was too long
            too_long = False
        if not too_long and last.strip(BLANK):
            segments.append(last)
        yield from _blocks(separators, segments, starts=starts)
        starts = False
        if cut:
            source.text = after
            return
        if len(rest) > LONGEST_SEGMENT:
            beginning = _without_line_breaks(rest, terminator)
            if not too_long and len(beginning) > LONGEST_SEGMENT:
                yield TooLong(beginning[:_LONGEST_START])
                too_long = True
        if too_long:
            rest = rest[-1:]  # only to see what stands before an ISA
        source.text = rest + source.more()


def _blocks(separators: Separators, segments: list[str], *, starts: bool) -> Iterator[Block | TooLong]:
    if not segments or max(map(len, segments)) <= LONGEST_SEGMENT:
        yield Block(separators, segments, starts)
        return
    some: list[str] = []
    for segment in segments:
        if len(segment) > LONGEST_SEGMENT:
            yield Block(separators, some, starts)
            yield TooLong(segment[:_LONGEST_START])
            some, starts = [], False
        else:
            some.append(segment)
    yield Block(separators, some, starts)


def _count(text: str) -> int:
    """How many characters are not blank."""
    return len(text) - sum(map(text.count, BLANK))


def _next_isa(text: str, terminator: str, position: int) -> int | None:
    """Where the next interchange begins: an ISA behind a terminator, or at the start of a line."""
    for match in _ISA.finditer(text, position):
        start = match.start()
        before = text[max(0, start - _LONGEST_ISA) : start]
        if not before.strip(BLANK) or before.rstrip(BLANK).endswith(terminator) or before[-1] in "\r\n":
            return start
    return None


def _without_line_breaks(text: str, terminator: str) -> str:
    """Line breaks are never data in X12, wherever a program has wrapped its lines."""
    for line_break in "\r\n":
        if line_break != terminator and line_break in text:
            text = text.replace(line_break, "")
    return text


def separators_of(text: str) -> Separators | None:
    """The separators of text that begins with an ISA or ST; None where they can't be told."""
    return _separators_of_isa(text) if text.startswith("ISA") else _separators_of_set(text)


def _separators_of_isa(text: str) -> Separators | None:
    """From ISA11, ISA16 and what follows it; found by counting elements, as padding gets lost on the way."""
    element = text[3]
    fields = text[:_LONGEST_ISA].split(element, _ISA_ELEMENTS)
    if len(fields) <= _ISA_ELEMENTS or len(fields[_ISA_ELEMENTS]) < 2:  # noqa: PLR2004
        return None
    repetition, component, terminator = fields[11], fields[16][0], fields[16][1]
    if terminator == "\r" and fields[16][2:3] == "\n":
        terminator = "\n"
    if terminator.isalnum() or component.isalnum() or len({element, component, terminator}) < 3:  # noqa: PLR2004
        return None
    usable = len(repetition) == 1 and not repetition.isalnum() and repetition not in (element, component, terminator)
    return Separators(element, component, repetition if usable else " ", terminator)


def _separators_of_set(text: str) -> Separators | None:
    match = _LONE_SET.match(text)
    if match is None:
        return None
    element, terminator = match["element"], match["terminator"]
    # The first diagnosis, procedure or claim status shows it, if it is not too far off.
    shown = rf"{re.escape(element)}(?:ABK|BK|HC)|STC{re.escape(element)}[A-Z][0-9A-Z](?!{re.escape(element)})"
    component = re.search(rf"(?:{shown})({_SEPARATOR})", text[:LONGEST_SEGMENT])
    return Separators(element, component[1] if component else ":", " ", terminator)
