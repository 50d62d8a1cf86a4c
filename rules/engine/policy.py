"""Dated values: what held when, and who says so.

One shape everywhere, in `rules/reference/` and in the payer profiles:

    daily_limit:
      title: Units of a code allowed per patient, provider and day
      verified_on: 2026-08-20
      values:
        2024-07-01: {table: mue-2024-07-01.csv, key: [code], integers: [practitioner], citation: cms-mue-2024q3}
        2027-01-01: null                      # an explicit end: from here on the policy is closed

A value is a scalar, a list or a mapping under `value`; a set of codes under `words`, separated by blanks; or a
published table under `table`, a CSV file beside the YAML.
"""

from __future__ import annotations

import csv
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml


class ReferenceDataError(ValueError):
    """A reference file is wrong; the message names the file, the entry and what is expected."""


class Confidence(StrEnum):
    """How sure a fact is. Only what is confirmed, or entered from the biller's own contract, may be an error."""

    CONFIRMED = "confirmed"
    CONTRACT = "contract"
    CONFIRMED_DATED = "confirmed-dated"
    SECONDARY = "secondary"
    UNVERIFIED = "unverified"
    CONFLICT = "conflict"
    PRESUMED = "presumed"
    """A data set applied to dates before the first date it is known to hold for."""

    @property
    def allows_error(self) -> bool:
        return self in (Confidence.CONFIRMED, Confidence.CONTRACT)


@dataclass(frozen=True, slots=True)
class DatedValue:
    """A value from one date on, until the next; `closed` when the policy ends there.

    Attributes:
        data_date: the date of the published data set the value comes from, where it is one.
    """

    start: date
    value: Any
    citations: tuple[str, ...]
    confidence: Confidence
    data_date: date | None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A named series of dated values, oldest first."""

    name: str
    title: str
    verified_on: date
    values: tuple[DatedValue, ...]

    def on(self, day: date) -> DatedValue | None:
        """The value in force on a date of service, or None before the first."""
        index = bisect_right(self.values, day, key=lambda value: value.start)
        return self.values[index - 1] if index else None

    @property
    def boundaries(self) -> tuple[date, ...]:
        """The dates on which the value changes."""
        return tuple(value.start for value in self.values)


_POLICY_KEYS = {"title", "verified_on", "values"}
_VALUE_KEYS = {"value", "words", "table", "key", "integers", "dates", "citation", "confidence", "data_date"}
_KINDS = {"value", "words", "table"}
_TABLE_FILE = r"\w[^/\\]*\.csv"
"""In the same folder, and not hidden: what decides must be part of the digest."""


def load_policies(path: Path, prefix: str) -> Iterator[Policy]:
    """Read every policy of one YAML file.

    Args:
        path: the file, for example `rules/reference/cms/units.yaml`.
        prefix: put before each entry's name with a dot, for example `units`.

    Raises:
        ReferenceDataError: the file is not in the shape above.
    """
    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise ReferenceDataError(f"{path.name}: a mapping of policies is expected")
    for name, entry in content.items():
        yield read_policy(f"{prefix}.{name}", entry, path)


def read_yaml(path: Path) -> Any:
    """A YAML file's content.

    Raises:
        ReferenceDataError: it is not YAML; the message names file, line and column.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506  (a safe one)
    except yaml.YAMLError as error:
        raise ReferenceDataError(f"{path.name}: not YAML: {error}") from None


# The C loader where PyYAML was built with it: starting a worker reads a few dozen files.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_policy(name: str, entry: Any, path: Path) -> Policy:
    """One policy from its YAML mapping."""
    if not isinstance(entry, Mapping) or set(entry) != _POLICY_KEYS:
        raise ReferenceDataError(f"{path.name}: {name}: expected the keys {', '.join(sorted(_POLICY_KEYS))}")
    if not isinstance(entry["values"], Mapping) or not entry["values"]:
        raise ReferenceDataError(f"{path.name}: {name}: expected values by date")
    values = []
    for start, value in entry["values"].items():
        if type(start) is not date:
            raise ReferenceDataError(f"{path.name}: {name}: {start!r} is not a date (YYYY-MM-DD)")
        values.append(_read_value(name, start, value, path))
    if [value.start for value in values] != sorted({value.start for value in values}):
        raise ReferenceDataError(f"{path.name}: {name}: dates must rise and not repeat")
    return Policy(name, entry["title"], entry["verified_on"], tuple(values))


def _read_value(name: str, start: date, entry: Any, path: Path) -> DatedValue:
    if entry is None:
        return DatedValue(start, None, (), Confidence.CONFIRMED, None, closed=True)
    where = f"{path.name}: {name}: {start}"
    if not isinstance(entry, Mapping) or not set(entry) <= _VALUE_KEYS or len(_KINDS & set(entry)) != 1:
        raise ReferenceDataError(f"{where}: expected one of value, words and table, with citation and confidence")
    if not entry.get("citation"):
        raise ReferenceDataError(f"{where}: no citation, no value")
    try:
        confidence = Confidence(entry.get("confidence", Confidence.CONFIRMED))
    except ValueError:
        raise ReferenceDataError(f"{where}: confidence must be one of {', '.join(Confidence)}") from None
    if "table" in entry:
        if not re.fullmatch(_TABLE_FILE, str(entry["table"])):
            raise ReferenceDataError(f"{where}: table: expected the name of a CSV file in the same folder")
        value: Any = read_table(
            path.parent / entry["table"],
            tuple(entry["key"]),
            frozenset(entry.get("integers", ())),
            frozenset(entry.get("dates", ())),
        )
    elif "words" in entry:
        value = frozenset(str(entry["words"]).split())
    else:
        value = _frozen(entry["value"])
    return DatedValue(start, value, tuple(str(entry["citation"]).split()), confidence, entry.get("data_date"))


def _frozen(value: Any) -> Any:
    """Lists as tuples, so that no check can change what another reads."""
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


@cache
def read_table(
    path: Path, key: tuple[str, ...], integers: frozenset[str], dates: frozenset[str]
) -> Mapping[Any, Mapping[str, Any]]:
    """A published table as a mapping from its key to its row.

    Args:
        path: a CSV file with a header line.
        key: the columns of the key; one column gives plain strings, more give tuples.
        integers: columns that hold whole numbers.
        dates: columns that hold dates (YYYY-MM-DD).

    Returns:
        Key → row; a blank cell is None.

    Raises:
        ReferenceDataError: the message names the file, the line and what is expected there.
    """
    table: dict[Any, Mapping[str, Any]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = {*key, *integers, *dates} - set(reader.fieldnames or ())
        if missing:
            raise ReferenceDataError(f"{path.name}: no column {', '.join(sorted(missing))}")
        for row in reader:
            where = f"{path.name}:{reader.line_num}"
            if None in row or None in row.values():
                raise ReferenceDataError(f"{where}: expected {len(reader.fieldnames or ())} cells")
            try:
                cells = {column: _cell(text, column, integers, dates) for column, text in row.items()}
            except ValueError as error:
                raise ReferenceDataError(f"{where}: {error}") from None
            identity = cells[key[0]] if len(key) == 1 else tuple(cells[column] for column in key)
            if identity in table:
                raise ReferenceDataError(f"{where}: {identity} stands twice")
            table[identity] = cells
    return table


def _cell(text: str, column: str, integers: frozenset[str], dates: frozenset[str]) -> Any:
    text = text.strip()
    if not text:
        return None
    if column in integers:
        return int(text)
    if column in dates:
        return date.fromisoformat(text)
    return text
