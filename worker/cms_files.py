"""The files that CMS publishes each quarter: recognised by their header line, read row by row, and checked.

A table of pairs has two million rows, so a file is read as a stream and never held. The layouts, and where they are
known from, are in docs/reference-data.md.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, TextIO

from rules.engine.policy import ReferenceDataError


class ReferenceFileError(ReferenceDataError):
    """A file can't be imported; the message names it, the line, and what is expected there."""


class Kind(StrEnum):
    """What a file holds."""

    PTP_PRACTITIONER = "ptp-practitioner"
    PTP_OUTPATIENT = "ptp-outpatient"
    MUE_PRACTITIONER = "mue-practitioner"
    MUE_OUTPATIENT = "mue-outpatient"
    MUE_DME = "mue-dme"
    FEE_SCHEDULE = "fee-schedule"
    PROCEDURE_CODES = "procedure-codes"
    MODIFIER_CODES = "modifier-codes"
    DIAGNOSIS_CODES = "diagnosis-codes"


class PairRow(NamedTuple):
    """A pair of procedures.

    Attributes:
        deleted_on: its last day; None while it is in force.
    """

    line: int
    column_one: str
    column_two: str
    effective_on: date
    deleted_on: date | None
    indicator: str
    rationale: str


class LimitRow(NamedTuple):
    """The units of a code that are allowed a day, and the adjudication indicator of the limit."""

    line: int
    code: str
    units: int
    adjudication: str


class FeeRow(NamedTuple):
    """What the fee schedule says of a code; with a modifier, of that part of it.

    Attributes:
        indicators: the payment policy indicators, in the order of `INDICATORS`.
        relative_values: in the order of `RELATIVE_VALUES`; that outside a facility is blank where there is none.
    """

    line: int
    code: str
    modifier: str
    indicators: tuple[str, ...]
    relative_values: tuple[str, ...]


INDICATORS = (
    "status",
    "professional_technical",
    "global_period",
    "pre",
    "intra",
    "post",
    "multiple",
    "bilateral",
    "assistant",
    "cosurgeon",
    "team",
    "office_value",
)
RELATIVE_VALUES = ("work", "facility_total", "nonfacility_total")


# ---- files


@dataclass(frozen=True, slots=True)
class Source:
    """A text: a file, or a member of a zip file."""

    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """As messages name it."""
        return f"{self.path.name}/{self.member}" if self.member else self.path.name

    def error(self, what: str, line: int | None = None) -> ReferenceFileError:
        """What is wrong with it, where."""
        return ReferenceFileError(f"{self.name}{f':{line}' if line else ''}: {what}")

    @contextmanager
    def text(self) -> Iterator[TextIO]:
        """Its text; in Latin-1, in which no byte is wrong: what is read of it is ASCII, or refused."""
        try:
            if not self.member:
                with self.path.open(encoding="latin-1") as text:
                    yield text
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as raw:
                    yield io.TextIOWrapper(raw, encoding="latin-1")
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise self.error(f"a damaged zip file ({error}); download it again") from None
        except OSError as error:
            raise self.error(str(error.strerror or error)) from None


_EXCEL = (
    "an Excel workbook, which is not read; expected the text file (.txt or .csv) that stands beside it in CMS's zip"
)


def sources_in(path: Path) -> list[Source]:
    """The texts of a file: itself, or those in it where it is a zip.

    Raises:
        ReferenceFileError: it can't be read, or there is no text in it.
    """
    whole = Source(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if start.startswith(b"\xd0\xcf\x11\xe0"):
            raise whole.error(_EXCEL)
        if not zipfile.is_zipfile(path):
            return [whole]
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except OSError as error:
        raise whole.error(str(error.strerror or error)) from None
    except zipfile.BadZipFile as error:
        raise whole.error(f"a damaged zip file ({error}); download it again") from None
    if any(member.filename == "xl/workbook.xml" for member in members):
        raise whole.error(_EXCEL)
    texts = [member for member in members if member.filename.lower().endswith((".txt", ".csv"))]
    if not texts:
        found = ", ".join(member.filename for member in members) or "nothing"
        raise whole.error(f"no text file in it ({found}); expected CMS's .txt or .csv, as Excel workbooks are not read")
    if any(member.flag_bits & 0x1 for member in texts):
        raise whole.error("encrypted; expected the zip file as CMS publishes it")
    return [Source(path, member.filename) for member in texts]


# ---- recognising


class _Layout(NamedTuple):
    """How a table with a header is laid out.

    Attributes:
        columns: for each column that is read, what its heading is, capitals and digits alone.
        above, below: rows of the heading above and below the row it is recognised by.
        expected: the heading in words.
    """

    columns: tuple[str, ...]
    above: int
    below: bool
    expected: str


_PAIRS = _Layout(
    ("COLUMN1", "COLUMN2", "INEXISTENCE.*", "EFFECTIVE.*", "DELETION.*", "MODIFIER.*", "PTPEDITRATIONALE"),
    above=0,
    below=True,
    expected="Column 1, Column 2, *=in existence prior to 1996, Effective Date, Deletion Date, Modifier, "
    "PTP Edit Rationale",
)
_LIMITS = _Layout(
    ("HCPCSCPTCODE", "(?:PRACTITIONER|OUTPATIENTHOSPITAL|DMESUPPLIER)SERVICESMUEVALUES?", "MUEADJUDICATIONINDICATOR"),
    above=0,
    below=False,
    expected="HCPCS/CPT Code, Practitioner (or Outpatient Hospital, DME Supplier) Services MUE Values, "
    "MUE Adjudication Indicator, MUE Rationale",
)
_FEES = _Layout(
    (
        "HCPCS",
        "MOD",
        "STATUSCODE",
        "PCTCIND",
        "GLOBDAYS",
        "PREOP",
        "INTRAOP",
        "POSTOP",
        "MULTPROC",
        "BILATSURG",
        "ASSTSURG",
        "COSURG",
        "TEAMSURG",
        "NONFACNAINDICATOR",
        "WORKRVU",
        "FACILITYTOTAL",
        "NONFACILITYTOTAL",
    ),
    above=3,
    below=False,
    expected="HCPCS, MOD, STATUS CODE, PCTC IND, GLOB DAYS, PRE OP, INTRA OP, POST OP, MULT PROC, BILAT SURG, "
    "ASST SURG, CO- SURG, TEAM SURG, NON-FAC NA INDICATOR, WORK RVU, FACILITY TOTAL, NON-FACILITY TOTAL",
)
_LAYOUTS = {
    Kind.PTP_PRACTITIONER: _PAIRS,
    Kind.PTP_OUTPATIENT: _PAIRS,
    Kind.MUE_PRACTITIONER: _LIMITS,
    Kind.MUE_OUTPATIENT: _LIMITS,
    Kind.MUE_DME: _LIMITS,
    Kind.FEE_SCHEDULE: _FEES,
}
_SETTINGS = {
    "PRACTITIONER": Kind.MUE_PRACTITIONER,
    "OUTPATIENTHOSPITAL": Kind.MUE_OUTPATIENT,
    "DMESUPPLIER": Kind.MUE_DME,
}
_HEAD_CHARACTERS = 65_536
_HEAD_RECORDS = 60


def recognise(source: Source, named: Kind | None = None) -> Kind | None:
    """What a text holds, by its header line; None where it has none that is known.

    Args:
        source: the text.
        named: which table of pairs it is, where it is one.

    Raises:
        ReferenceFileError: a table of pairs, and neither its name nor that of its zip says of which kind.
    """
    header = _header(source)
    if header is None:
        return None
    layout, _, cells = header
    if layout is _FEES:
        return Kind.FEE_SCHEDULE
    if layout is _LIMITS:
        return next(
            (kind for name in cells for setting, kind in _SETTINGS.items() if _squeezed(name).startswith(setting)), None
        )
    if named in (Kind.PTP_PRACTITIONER, Kind.PTP_OUTPATIENT):
        return named
    # Nothing in a table of pairs says of which kind it is, but CMS's names do: ccipra-v323r0-f1.txt, ccioph-….
    for name in (Path(source.member).name.lower(), source.path.name.lower()):
        if "ccipra" in name or "practitioner" in name:
            return Kind.PTP_PRACTITIONER
        if "ccioph" in name or "hospital" in name:
            return Kind.PTP_OUTPATIENT
    raise source.error(
        "which table of pairs it is does not stand in it; expected --kind ptp-practitioner or -outpatient"
    )


def _header(source: Source) -> tuple[_Layout, str, list[str]] | None:
    """The layout of a text, its delimiter, and the row it is recognised by."""
    with source.text() as text:
        head = text.read(_HEAD_CHARACTERS)
    for delimiter in (",", "\t"):
        try:
            for cells in islice(csv.reader(io.StringIO(head), delimiter=delimiter), _HEAD_RECORDS):
                layout = _layout(cells)
                if layout is not None:
                    return layout, delimiter, cells
        except csv.Error:  # a text of another kind
            continue
    return None


def _layout(cells: Sequence[str]) -> _Layout | None:
    names = [_squeezed(cell) for cell in cells[:3]]
    if names[:2] == ["COLUMN1", "COLUMN2"]:
        return _PAIRS
    if names[:1] == ["HCPCSCPTCODE"]:
        return _LIMITS
    return _FEES if names[:2] == ["HCPCS", "MOD"] else None


def _squeezed(heading: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", heading.upper())


# ---- tables


def read_pairs(source: Source) -> Iterator[PairRow]:
    """The rows of a table of pairs.

    Raises:
        ReferenceFileError: as for the other readers, a row is not as it should be; the message says what is expected.
    """
    for line, (one, two, _, effective, deletion, indicator, rationale) in _rows(source, _PAIRS):
        for code in (one, two):
            _expect(source, line, code, _PROCEDURE)
        effective_on = _day(effective)
        if effective_on is None:
            raise source.error(f"effective date {effective!r}; expected YYYYMMDD", line)
        deleted_on = None if deletion in ("", "*") else _day(deletion)
        if deleted_on is None and deletion not in ("", "*"):
            raise source.error(f"deletion date {deletion!r}; expected YYYYMMDD, or * for none", line)
        if indicator not in ("0", "1", "9"):
            raise source.error(f"modifier indicator {indicator!r}; expected 0, 1 or 9", line)
        yield PairRow(line, one, two, effective_on, deleted_on, indicator, rationale)


def read_limits(source: Source) -> Iterator[LimitRow]:
    """The rows of a table of medically unlikely edits."""
    for line, (code, units, adjudication) in _rows(source, _LIMITS):
        _expect(source, line, code, _PROCEDURE)
        if not re.fullmatch(r"[0-9]{1,6}", units):
            raise source.error(f"MUE value {units!r}; expected a whole number", line)
        if not re.match(r"[123]\b", adjudication):
            raise source.error(f"adjudication indicator {adjudication!r}; expected 1, 2 or 3 and its text", line)
        yield LimitRow(line, code, int(units), adjudication[0])


def read_fees(source: Source) -> Iterator[FeeRow]:
    """The rows of a relative value file."""
    for line, (code, modifier, *cells) in _rows(source, _FEES):
        _expect(source, line, code, _PROCEDURE)
        if modifier:
            _expect(source, line, modifier, _MODIFIER)
        for name, cell, shape in zip((*INDICATORS, *RELATIVE_VALUES), cells, _SHAPES, strict=True):
            if not re.fullmatch(shape.pattern, cell):
                raise source.error(f"{name.replace('_', ' ')} {cell!r}; expected {shape.words}", line)
        indicators, (work, facility, outside) = cells[: len(INDICATORS)], cells[len(INDICATORS) :]
        has_office_value = indicators[-1] != "NA"
        yield FeeRow(
            line,
            code,
            modifier,
            tuple(_plain(cell) for cell in indicators),
            (work, "" if facility == "NA" else facility, outside if has_office_value and outside != "NA" else ""),
        )


def read_codes(source: Source, kind: Kind) -> Iterator[tuple[int, str]]:
    """The codes of a list, and the line of each: the first word of each line.

    Of the ICD-10-CM order file, whose lines begin with a running number, the codes that are complete. Diagnosis codes
    come without the dot.
    """
    shape = {Kind.PROCEDURE_CODES: _PROCEDURE, Kind.MODIFIER_CODES: _MODIFIER}.get(kind, _DIAGNOSIS)
    with source.text() as text:
        for line, given in enumerate(text, 1):
            ordered = _ORDERED.match(given) if kind is Kind.DIAGNOSIS_CODES else None
            if ordered:
                if ordered["complete"] == "0":
                    continue
                code = ordered["code"]
            else:
                content = given.removeprefix(_BYTE_ORDER_MARK).strip(' \t\n"\x1a')
                code = re.split(r'[\s,;|"]', content, maxsplit=1)[0]
                if kind is Kind.DIAGNOSIS_CODES:
                    code = code.replace(".", "")
            if not code or code.startswith("#"):
                continue
            _expect(source, line, code, shape)
            yield line, code


class _Shape(NamedTuple):
    pattern: str
    words: str


_PROCEDURE = _Shape(r"[0-9A-Z][0-9]{3}[0-9A-Z]", "a procedure code of five characters")
_MODIFIER = _Shape(r"[0-9A-Z]{2}", "a modifier of two characters")
_DIAGNOSIS = _Shape(r"[A-Z][0-9][0-9A-Z]{1,5}", "an ICD-10-CM code of three to seven characters")
_SHARE = _Shape(r"[0-9]*\.?[0-9]+", "a share such as 0.10")
_DIGIT = _Shape(r"[0-9]", "a digit")
_SHAPES = (
    _Shape(r"[A-Z]", "a letter"),
    _DIGIT,
    _Shape(r"000|010|090|MMM|XXX|YYY|ZZZ", "000, 010, 090, MMM, XXX, YYY or ZZZ"),
    *(_SHARE,) * 3,
    *(_DIGIT,) * 5,
    _Shape(r"(NA)?", "NA or nothing"),
    *(_Shape(r"[0-9]+(\.[0-9]+)?|NA", "a relative value such as 5.19"),) * 3,
)
_BYTE_ORDER_MARK = "\xef\xbb\xbf"  # as it reads in Latin-1
_ORDERED = re.compile(r"\d{5} (?P<code>[0-9A-Z]{3,7}) +(?P<complete>[01]) ")


def _expect(source: Source, line: int, text: str, shape: _Shape) -> None:
    if not re.fullmatch(shape.pattern, text):
        raise source.error(f"{text!r}; expected {shape.words}", line)


@cache
def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])) if re.fullmatch(r"[0-9]{8}", text) else None
    except ValueError:
        return None


def _plain(cell: str) -> str:
    """A share as the tables have it: 0.10 is 0.1."""
    return (cell.rstrip("0").rstrip(".") or "0") if "." in cell else cell


def _rows(source: Source, layout: _Layout) -> Iterator[tuple[int, list[str]]]:
    """The rows below the heading, each with its line and the cells of the layout's columns in their order."""
    header = _header(source)
    if header is None or header[0] is not layout:
        raise source.error(f"no header line of this kind; expected {layout.expected}")
    _, delimiter, recognised = header
    records = _records(source, delimiter)
    above: deque[list[str]] = deque(maxlen=layout.above)
    for _, cells in records:
        if _layout(cells) is layout:
            break
        above.append(cells)
    below: list[list[str]] = []
    first: tuple[tuple[int, list[str]], ...] = ()
    if layout.below:
        for line, cells in records:
            if any(cells[:2]):
                first = ((line, cells),)
                break
            below.append(cells)
    width = len(recognised)
    positions = _positions(source, layout, (*above, recognised, *below), width)
    for line, cells in chain(first, records):
        if not any(cells) or cells == ["\x1a"]:
            continue
        if len(cells) != width:
            raise source.error(f"{len(cells)} cells; expected {width}, as in the header line", line)
        yield line, [cells[position] for position in positions]


def _positions(source: Source, layout: _Layout, heading: Sequence[Sequence[str]], width: int) -> list[int]:
    """Where the columns of a layout stand; a heading may run over several rows."""
    names = [_squeezed("".join(row[column] for row in heading if column < len(row))) for column in range(width)]
    positions = []
    for column in layout.columns:
        found = next((position for position, name in enumerate(names) if re.fullmatch(column, name)), None)
        if found is None:
            raise source.error(f"a column is missing in the header lines; expected {layout.expected}")
        positions.append(found)
    return positions


def _records(source: Source, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    with source.text() as text:
        reader = csv.reader(text, delimiter=delimiter)
        try:
            for cells in reader:
                yield reader.line_num, [cell.strip() for cell in cells]
        except csv.Error as error:
            raise source.error(f"no text table ({error}); expected CMS's .txt or .csv file", reader.line_num) from None


# ---- what a name says


def edition_of(name: str) -> date | None:
    """The first day on which a file holds, where its name says so.

    `ccipra-v323r0-f1.txt` is version 32.3, the fourth quarter of 2026; `MCR_MUE_…_Eff_10-01-2026.csv` and
    `PPRRVU2026_Oct_nonQPP.csv` speak for themselves.
    """
    if found := re.search(r"cci(?:pra|oph)-v(\d\d)([0-3])r", name, re.IGNORECASE):
        return date(1994 + int(found[1]), 3 * int(found[2]) + 1, 1)
    if found := re.search(r"eff_(0[1-9]|1[0-2])-(0[1-9]|[12]\d)-(\d{4})", name, re.IGNORECASE):
        return date(int(found[3]), int(found[1]), int(found[2]))
    if found := re.search(r"pprrvu(?:20)?(\d\d)_([a-z]{3})", name, re.IGNORECASE):
        month = _MONTHS.find(found[2].lower()) // 3 + 1
        return date(2000 + int(found[1]), month, 1) if month else None
    return None


_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"


def part_of(name: str) -> int | None:
    """The number of a part of a table that is published in parts: 2 of `ccipra-v323r0-f2.txt`."""
    found = re.search(r"cci(?:pra|oph)-v\d+r\d+-f(\d+)", name, re.IGNORECASE)
    return int(found[1]) if found else None
