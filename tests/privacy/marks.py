"""Marks: values that stand nowhere but in the fields that say who a person is, and a search for them in any writing."""

from __future__ import annotations

import base64
import html
import re
from calendar import month_abbr, month_name
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, get_args, get_type_hints
from urllib.parse import quote, unquote

from rules.engine import claim as models
from tests.privacy.register import ACCOUNT, IDENTIFYING

PERSON_STEM, ACCOUNT_STEM = "QZXPVK", "QZXNVK"
"""What marks begin with: `QZXNVK` in numbers that history may hold, `QZXPVK` in everything else."""
MEMBER_NUMBERS = ("9QX7WF4HJ81", "9QX7WF4HJ82", "9QX7WF4HJ83")
"""In the form of Medicare's, which no mark with a stem has."""
BIRTH_DATES = (date(1931, 7, 19), date(1932, 11, 23), date(1987, 10, 29))
DEATH_DATE = date(2026, 2, 28)


def member_number(number: int) -> str:
    return MEMBER_NUMBERS[number % len(MEMBER_NUMBERS)]


class Marked:
    """Gives marks, each once."""

    def __init__(self) -> None:
        self._count = 0

    def mark(self, why: str = "") -> str:
        self._count += 1
        return f"{ACCOUNT_STEM if why == ACCOUNT else PERSON_STEM}{self._count:05}"

    def content(self, content: dict[str, Any], model: Any = models.Claim, number: int = 0) -> dict[str, Any]:
        """A claim event's content with a mark in every identifying field that it has, and in some that no model has.

        Args:
            content: as JSON gives it.
            model: what it is read as.
            number: of the member.
        """
        hints = get_type_hints(model)
        marked = dict(content)
        for name, value in content.items():
            part = _model_in(hints.get(name))
            if isinstance(value, dict) and part is not None:
                marked[name] = self.content(value, part, number)
            elif isinstance(value, list) and part is not None:
                marked[name] = [self.content(each, part, number) for each in value]
        for kind in reversed(model.__mro__):
            for name, why in IDENTIFYING.get(kind, {}).items():
                marked[name] = self._value(name, why, content.get(name), number)
        marked.pop("x12", None)
        marked["not_of_the_schema"] = {"street": self.mark(), "telephone": self.mark(), "died": str(DEATH_DATE)}
        return marked

    def _value(self, name: str, why: str, before: Any, number: int) -> Any:
        if before == "":
            return before
        if name == "birth_date":
            return str(BIRTH_DATES[number % len(BIRTH_DATES)])
        if name == "member_number":
            return member_number(number)
        if name == "fixed_format":
            return [self.mark(why)]
        return self.mark(why)


def _model_in(hint: Any) -> Any:
    """The model that a field's type names, in a tuple or beside None too."""
    if isinstance(hint, type) and hint in _PARTS:
        return hint
    return next(filter(None, map(_model_in, get_args(hint))), None)


_PARTS = tuple(each for each in vars(models).values() if isinstance(each, type) and each.__module__ == models.__name__)


_FORMS = ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%m/%d/%y", "%Y/%m/%d")


def written(day: date) -> set[str]:
    """A date as people and programs write it."""
    month, short = month_name[day.month], month_abbr[day.month]
    forms = {f"{day:{form}}" for form in _FORMS}
    forms |= {f"{day.day} {name} {day.year}" for name in (month, short)} | {f"{month} {day.day}, {day.year}"}
    return forms | {f"{day.year}, {day.month}, {day.day}", f"{day.month}/{day.day}/{day.year}"}


_ANY_STEM = re.compile(f"(?:{PERSON_STEM}|{ACCOUNT_STEM})[0-9]{{0,5}}", re.IGNORECASE)
_PERSON_STEM = re.compile(f"{PERSON_STEM}[0-9]{{0,5}}", re.IGNORECASE)
_DATES = sorted(set().union(*map(written, (*BIRTH_DATES, DEATH_DATE))))
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")


def marks_in(content: bytes | str, *, accounts: bool = True) -> set[str]:
    """The marks that stand in something, in any case and in the encodings that programs put text in.

    Args:
        content: what is searched.
        accounts: whether numbers of accounts are looked for too.
    """
    raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    text = raw.decode("latin-1")
    found: set[str] = set()
    for each in _decodings(text):
        found |= set((_ANY_STEM if accounts else _PERSON_STEM).findall(each))
        upper = each.upper()
        found |= {value for value in (*MEMBER_NUMBERS, *_DATES) if value.upper() in upper}
    stems = (PERSON_STEM, ACCOUNT_STEM) if accounts else (PERSON_STEM,)
    for value in (*stems, *MEMBER_NUMBERS, *_DATES):
        found |= {f"{value} as {name}" for name, form in _encoded(value) if form in raw}
    return found


def _decodings(text: str) -> Iterator[str]:
    yield text
    if "\\" in text:
        yield _ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)), text)
    if "%" in text:
        yield unquote(text)
    if "&" in text:
        yield html.unescape(text)
    if "\0" in text:
        yield text.replace("\0", "")  # UTF-16 and UTF-32


def _encoded(value: str) -> Iterator[tuple[str, bytes]]:
    """A value in base64, wherever it begins in what was encoded, and in hexadecimal; in both cases."""
    for variant in {value, value.lower()}:
        raw = variant.encode()
        for before in range(3):
            shifted = base64.b64encode(b"\0" * before + raw + b"\0" * (-(before + len(raw)) % 3))
            # The characters that hold bits of the neighbours too tell nothing.
            first = (before * 8 + 5) // 6
            last = (before + len(raw)) * 8 // 6
            whole = shifted[first:last]
            yield "base64", whole
            yield "base64", whole.translate(bytes.maketrans(b"+/", b"-_"))
        yield "hexadecimal", raw.hex().encode()
        yield "hexadecimal", raw.hex().upper().encode()


def url_encoded(value: str) -> str:
    """Each character of a value as `%XX`."""
    return "".join(f"%{ord(each):02X}" for each in quote(value, safe=""))


def nowhere(channels: Iterable[tuple[str, bytes | str]], *, accounts: bool = True) -> None:
    """Assert that no mark stands in any of some named things."""
    leaks = {name: sorted(found) for name, content in channels if (found := marks_in(content, accounts=accounts))}
    if leaks:
        raise AssertionError(f"marks have got out: {leaks}")
