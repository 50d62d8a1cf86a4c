"""A quarter's files from CMS as reference data: cut to the codes of our tables, and written as one more dated value.

What is written is a folder in the layout of `rules/reference/`: a deployment's own, which is laid over the packaged
facts, or `rules/reference/` itself, whose text is otherwise left as it stands. Nothing is written unless all is right.
"""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rules.engine.policy import load_policies
from rules.engine.reference import Reference
from worker.cms_files import (
    INDICATORS,
    RELATIVE_VALUES,
    Kind,
    ReferenceFileError,
    Source,
    edition_of,
    part_of,
    read_codes,
    read_fees,
    read_limits,
    read_pairs,
    recognise,
    sources_in,
)
from worker.folder import rename_durably, write_to_disk
from worker.yaml_text import PlaceError, with_entry, with_scalar, with_value


class Imported(NamedTuple):
    """One table that was imported.

    Attributes:
        policy: the name of the dated value.
        read, kept: rows of the files, and of our table.
        notes: what else is to be known of it.
    """

    policy: str
    effective: date
    table: Path
    read: int
    kept: int
    notes: tuple[str, ...]


class _Publication(NamedTuple):
    publisher: str
    title: str
    url: str


_HCPCS_PAGE = "https://www.cms.gov/medicare/coding-billing/healthcare-common-procedure-system/quarterly-update"


@dataclass(frozen=True, slots=True)
class _Target:
    """A table of ours, and the entry that names it.

    Attributes:
        file: the YAML file of the entry; the table stands beside it.
        table: how the name of the table's file begins.
        source: how the key of its source begins.
        publication: what it is published as; that of the entry's earlier values where not given.
    """

    file: str
    table: str
    source: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    integers: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    publication: _Publication | None = None


_PAIR_COLUMNS = ("column_one", "column_two", "indicator", "reason", "effective_on", "deleted_on")
_SETTINGS = {
    Kind.MUE_PRACTITIONER: "practitioner",
    Kind.MUE_OUTPATIENT: "outpatient",
    Kind.MUE_DME: "dme",
}
_INDICATORS = "fee_schedule.indicators"
_RELATIVE_VALUES = "fee_schedule.relative_values"
_POLICIES = {
    Kind.PTP_PRACTITIONER: ("ncci.pairs_practitioner",),
    Kind.PTP_OUTPATIENT: ("ncci.pairs_outpatient",),
    Kind.MUE_PRACTITIONER: ("units.daily_limit",),
    Kind.MUE_OUTPATIENT: ("units.daily_limit",),
    Kind.MUE_DME: ("units.daily_limit",),
    Kind.FEE_SCHEDULE: (_INDICATORS, _RELATIVE_VALUES),
    Kind.PROCEDURE_CODES: ("code_sets.procedures",),
    Kind.MODIFIER_CODES: ("code_sets.modifiers",),
    Kind.DIAGNOSIS_CODES: ("code_sets.diagnoses",),
}
_TARGETS = {
    "ncci.pairs_practitioner": _Target(
        "cms/ncci.yaml",
        "ptp-practitioner",
        "cms-ncci-ptp-practitioner",
        _PAIR_COLUMNS,
        key=("column_one", "column_two"),
        dates=("effective_on", "deleted_on"),
    ),
    "ncci.pairs_outpatient": _Target(
        "cms/ncci.yaml",
        "ptp-outpatient",
        "cms-ncci-ptp-outpatient",
        _PAIR_COLUMNS,
        key=("column_one", "column_two"),
        dates=("effective_on", "deleted_on"),
    ),
    "units.daily_limit": _Target(
        "cms/units.yaml",
        "mue",
        "cms-mue",
        ("code", *(f"{setting}{part}" for setting in _SETTINGS.values() for part in ("", "_adjudication"))),
        key=("code",),
        integers=tuple(_SETTINGS.values()),
    ),
    _INDICATORS: _Target(
        "cms/fee_schedule.yaml",
        "fee-schedule",
        "cms-mpfs",
        ("code", "modifier", *INDICATORS),
        key=("code", "modifier"),
    ),
    _RELATIVE_VALUES: _Target(
        "cms/fee_schedule.yaml", "relative-values", "cms-mpfs", ("code", *RELATIVE_VALUES), key=("code",)
    ),
    "code_sets.procedures": _Target(
        "claim/code_sets.yaml",
        "procedure-codes",
        "procedure-codes",
        ("code",),
        key=("code",),
        publication=_Publication("AMA and CMS", "Procedure codes: CPT, and HCPCS level II", _HCPCS_PAGE),
    ),
    "code_sets.modifiers": _Target(
        "claim/code_sets.yaml",
        "modifier-codes",
        "modifier-codes",
        ("code",),
        key=("code",),
        publication=_Publication("AMA and CMS", "Modifiers: CPT, and HCPCS level II", _HCPCS_PAGE),
    ),
    "code_sets.diagnoses": _Target(
        "claim/code_sets.yaml",
        "diagnosis-codes",
        "icd10cm",
        ("code",),
        key=("code",),
        publication=_Publication(
            "CMS", "ICD-10-CM, the complete codes", "https://www.cms.gov/medicare/coding-billing/icd-10-codes"
        ),
    ),
}

_QUARTERLY = frozenset(_SETTINGS) | {Kind.PTP_PRACTITIONER, Kind.PTP_OUTPATIENT}
_SURGICAL = "modifiers.family_surgical"
_FAMILY = "modifiers.family"
_CITATIONS = "citations.yaml"
_HEADER = "# Written by: claimscrub reference import. More may be added by hand.\n\n"

# Of a pair's rationale the tables hold a label of our own; one that is not known is left out.
_REASONS = {
    "anesthesia": "ANES",
    "manual": "INSTR",
    "code definition": "CODEDEF",
    "misuse": "MISUSE",
    "mutually exclusive": "MUTEX",
    "more extensive": "MOREEXT",
    "separate procedure": "SEPP",
    "standards of medical": "STDPRAC",
}


def import_files(
    paths: Sequence[Path],
    effective: date,
    into: Path,
    *,
    today: date,
    kind: Kind | None = None,
    citation: str = "",
    verified_on: date | None = None,
) -> list[Imported]:
    """Read files of CMS and write what concerns our codes as values that hold from a date on.

    Args:
        paths: texts, or zip files of them.
        effective: the first day on which they hold.
        into: the folder that gets the values.
        today: `verified_on` of an entry that is new in the folder, where none is given.
        kind: what the files hold; recognised where not given.
        citation: key of the source, for files of one table; one is made where not given.
        verified_on: the day on which somebody looked, for the entries written; an earlier one is replaced.

    Raises:
        ReferenceDataError: something is not as it should be; nothing has been written.
    """
    reference = _facts(into)
    tables = _tables(_by_kind(paths, kind), effective, reference)
    if citation and len({_TARGETS[policy].source for policy in tables}) > 1:
        raise ReferenceFileError(f"{', '.join(sorted(tables))}: expected --citation with the files of one table only")
    changes: dict[Path, str] = {}
    imported = []
    for policy, table in tables.items():
        target = _TARGETS[policy]
        key = citation or _citation_key(target, effective)
        path = into / target.file
        table_path = path.with_name(f"{target.table}-{effective}.csv")
        changes[table_path] = _csv(target.columns, table.rows)
        changes[into / _CITATIONS] = _with_citation(
            _current(into / _CITATIONS, changes), key, _citation(key, policy, effective, reference)
        )
        changes[path] = _with_policy(
            _current(path, changes),
            path,
            policy,
            effective,
            _value(target, table_path.name, effective, key),
            title=reference.policies[policy].title,
            verified_on=verified_on,
            today=today,
        )
        imported.append(Imported(policy, effective, table_path, table.read, len(table.rows), tuple(table.notes)))
    _prove(changes)
    _write(changes)
    return imported


# ---- from files to rows


class _Table(NamedTuple):
    rows: list[tuple[str, ...]]
    read: int
    notes: list[str]


def _facts(into: Path) -> Reference:
    """The facts in force: those of the folder where it is a whole reference, else the packaged with the folder's."""
    if (into / "x12").is_dir():
        return Reference.load(into)
    return Reference.load(over=into if into.is_dir() else None)


def _by_kind(paths: Sequence[Path], kind: Kind | None) -> dict[Kind, list[Source]]:
    found: dict[Kind, list[Source]] = defaultdict(list)
    for path in paths:
        sources = sources_in(path)
        if kind is None:
            known = [(source, recognised) for source in sources if (recognised := recognise(source)) is not None]
        elif len(sources) == 1:
            known = [(sources[0], _confirmed(sources[0], kind))]
        else:
            known = [(source, kind) for source in sources if recognise(source, kind) is kind]
        if not known:
            names = ", ".join(source.name for source in sources)
            raise ReferenceFileError(
                f"{names}: no header line of a table of pairs, of limits (MUE) or of the fee schedule; "
                "expected one of CMS's text files, or a list of codes, unzipped and with --kind"
            )
        for source, recognised in _without_twins(known):
            found[recognised].append(source)
    return found


def _confirmed(source: Source, kind: Kind) -> Kind:
    """The kind that was named, which a header line must not contradict."""
    recognised = recognise(source, kind)
    if recognised not in (None, kind):
        raise source.error(f"by its header line it is {recognised}; expected the file of --kind {kind}")
    return kind


def _without_twins(known: list[tuple[Source, Kind]]) -> list[tuple[Source, Kind]]:
    """Of the two relative value files of a zip, which differ in the conversion factor alone, the general one."""
    fees = [source for source, kind in known if kind is Kind.FEE_SCHEDULE]
    general = [source for source in fees if "nonqpp" in source.name.lower()]
    if len(fees) < 2 or len(general) != 1:  # noqa: PLR2004
        return known
    return [(source, kind) for source, kind in known if kind is not Kind.FEE_SCHEDULE or source in general]


def _tables(sources: Mapping[Kind, list[Source]], effective: date, reference: Reference) -> dict[str, _Table]:
    for kind, of_kind in sources.items():
        if kind in _QUARTERLY and (effective.day != 1 or effective.month % 3 != 1):
            raise of_kind[0].error(
                f"{effective} is not the first day of a quarter; expected --effective "
                f"{effective.year}-01-01, -04-01, -07-01 or -10-01"
            )
        for source in of_kind:
            edition = edition_of(source.name)
            if edition is not None and (edition.year, edition.month) != (effective.year, effective.month):
                raise source.error(f"by its name it holds from {edition} on; expected the file of {effective}")
    tables = {}
    for policy in _TARGETS:
        of_policy = {kind: found for kind, found in sources.items() if policy in _POLICIES[kind]}
        if of_policy:
            tables[policy] = _table(policy, of_policy, effective, reference)
    return tables


def _table(policy: str, sources: Mapping[Kind, list[Source]], effective: date, reference: Reference) -> _Table:
    (kind, found), *_ = sources.items()
    if kind in (Kind.PTP_PRACTITIONER, Kind.PTP_OUTPATIENT):
        return _pairs(policy, found, effective, reference)
    if kind in _SETTINGS:
        return _limits(policy, sources, effective, reference)
    if kind is Kind.FEE_SCHEDULE:
        return _fees(policy, found, effective, reference)
    return _codes(kind, found, reference)


def _pairs(policy: str, sources: list[Source], effective: date, reference: Reference) -> _Table:
    """The pairs with a surgical code of the family, and those among the companions that the present tables pair."""
    parts = {part: source for source in sources if (part := part_of(source.name)) is not None}
    missing = set(range(1, max(parts, default=0))) - set(parts)
    if missing:
        names = ", ".join(f"f{part}" for part in sorted(missing))
        raise parts[max(parts)].error(f"part {names} is not among the files; expected all parts of the table at once")
    family = _words(reference, _SURGICAL)
    held = [pair for value in reference.policies[policy].values for pair in value.value or ()]
    companions = {code for pair in held if family.isdisjoint(pair) for code in pair}
    kept: dict[tuple[str, str], tuple[str, ...]] = {}
    lines: dict[tuple[str, str], str] = {}
    first_codes: set[str] = set()
    read = ended = 0
    for source in sources:
        for row in read_pairs(source):
            read += 1
            pair = (row.column_one, row.column_two)
            if family.isdisjoint(pair) and not companions.issuperset(pair):
                continue
            first_codes.add(row.column_one)
            if row.indicator == "9" or (row.deleted_on is not None and row.deleted_on < effective):
                ended += 1
                continue
            if row.effective_on >= _next_quarter(effective):
                raise source.error(
                    f"a pair that begins on {row.effective_on}; expected the file of {effective}", row.line
                )
            if row.deleted_on is not None and row.deleted_on < row.effective_on:
                raise source.error("a deletion date before the effective date; expected one after it", row.line)
            if pair in kept:
                raise source.error(
                    f"{pair[0]} with {pair[1]} stands in {lines[pair]} too, both after {effective}; expected one",
                    row.line,
                )
            lines[pair] = f"{source.name}:{row.line}"
            kept[pair] = (
                *pair,
                row.indicator,
                _reason(row.rationale),
                str(row.effective_on),
                "" if row.deleted_on is None else str(row.deleted_on),
            )
    lost = sorted(family & {pair[0] for pair in held} - first_codes)
    if lost:
        raise sources[-1].error(
            f"no pair with {' '.join(lost)} in column 1; expected all parts of the table at once, such as f1 to f4"
        )
    notes = [f"{ended} pairs of our codes left out, deleted or withdrawn before that day"] if ended else []
    before = _before(reference, policy, effective)
    active = {pair for pair, row in before.items() if row["deleted_on"] is None or row["deleted_on"] >= effective}
    gone = {code for pair in active for code in pair} - {code for pair in kept for code in pair}
    return _Table([kept[pair] for pair in sorted(kept)], read, [*notes, *_gone(gone)])


def _limits(policy: str, sources: Mapping[Kind, list[Source]], effective: date, reference: Reference) -> _Table:
    for needed in (Kind.MUE_PRACTITIONER, Kind.MUE_OUTPATIENT):
        if needed not in sources:
            (source, *_), *_ = sources.values()
            raise source.error(
                "expected the practitioner and the outpatient hospital table in one import: they make one table of ours"
            )
    wanted = _held_codes(reference, policy) | _words(reference, _FAMILY)
    cells: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    read = 0
    for kind, setting in _SETTINGS.items():
        seen: dict[str, str] = {}
        for source in sources.get(kind, ()):
            for row in read_limits(source):
                read += 1
                _once(seen, row.code, source, row.line)
                if row.code in wanted:
                    cells[row.code][setting] = (str(row.units), row.adjudication)
        if kind in sources and not any(setting in row for row in cells.values()):
            raise _no_code_of_ours(sources[kind][-1])
    rows = [
        (code, *(cell for setting in _SETTINGS.values() for cell in cells[code].get(setting, ("", ""))))
        for code in sorted(cells)
    ]
    notes = [] if Kind.MUE_DME in sources else ["no DME supplier table among the files: its limits are left blank"]
    return _Table(rows, read, [*notes, *_gone(set(_before(reference, policy, effective)) - set(cells))])


def _fees(policy: str, sources: list[Source], effective: date, reference: Reference) -> _Table:
    """The indicators, or the relative values, which are kept for whole codes only."""
    wanted = _held_codes(reference, policy) | _words(reference, _FAMILY)
    seen: dict[str, str] = {}
    rows: list[tuple[str, ...]] = []
    read = 0
    for source in sources:
        for row in read_fees(source):
            read += 1
            _once(seen, f"{row.code} {row.modifier}".rstrip(), source, row.line)
            if row.code not in wanted:
                continue
            if policy == _INDICATORS:
                rows.append((row.code, row.modifier, *row.indicators))
            elif not row.modifier:
                rows.append((row.code, *row.relative_values))
    if not rows:
        raise _no_code_of_ours(sources[-1])
    gone = _codes_of(_before(reference, policy, effective)) - {row[0] for row in rows}
    return _Table(sorted(rows), read, _gone(gone))


def _codes(kind: Kind, sources: list[Source], reference: Reference) -> _Table:
    seen: dict[str, str] = {}
    for source in sources:
        for line, code in read_codes(source, kind):
            _once(seen, code, source, line)
    ours = _words(reference, _FAMILY) if kind is Kind.PROCEDURE_CODES else frozenset(seen)
    if ours.isdisjoint(seen):
        raise _no_code_of_ours(sources[-1])
    return _Table([(code,) for code in sorted(seen)], len(seen), _gone(ours - set(seen)))


def _once(seen: dict[str, str], what: str, source: Source, line: int) -> None:
    if what in seen:
        raise source.error(f"{what} stands in {seen[what]} too; expected each once", line)
    seen[what] = f"{source.name}:{line}"


def _no_code_of_ours(source: Source) -> ReferenceFileError:
    return source.error("no code of ours in it; expected a whole table, with 63685 and its companions")


def _gone(codes: Iterable[str]) -> list[str]:
    missing = " ".join(sorted(codes))
    return [f"codes of ours that are not in it (any more): {missing}"] if missing else []


def _words(reference: Reference, policy: str) -> frozenset[str]:
    words: frozenset[str] = reference.policies[policy].values[-1].value
    return words


def _held_codes(reference: Reference, policy: str) -> set[str]:
    return {code for value in reference.policies[policy].values for code in _codes_of(value.value or ())}


def _codes_of(keys: Iterable[Any]) -> set[str]:
    return {key if isinstance(key, str) else key[0] for key in keys}


def _before(reference: Reference, policy: str, effective: date) -> Mapping[Any, Any]:
    """The table in force until the import, which the new one is compared with."""
    value = reference.policies[policy].on(effective - timedelta(days=1))
    return (value.value if value is not None else None) or {}


def _reason(rationale: str) -> str:
    words = rationale.lower().replace('"', "").replace("'", "")
    return next((label for part, label in _REASONS.items() if part in words), "")


def _next_quarter(day: date) -> date:
    return date(day.year + day.month // 10, (day.month + 2) % 12 + 1, 1)


# ---- from rows to texts


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _value(target: _Target, table: str, effective: date, citation: str) -> dict[str, Any]:
    lists = {"key": target.key, "integers": target.integers, "dates": target.dates}
    return {
        "table": table,
        **{name: list(columns) for name, columns in lists.items() if columns},
        "data_date": effective,
        "citation": citation,
    }


def _flow(value: Mapping[str, Any]) -> str:
    """A value as the reference files have it: in braces, on two lines."""
    parts = {key: f"[{', '.join(each)}]" if isinstance(each, list) else str(each) for key, each in value.items()}
    texts = [f"{key}: {part}" for key, part in parts.items()]
    first = ", ".join(text for text in texts if not text.startswith(("dates", "data_date", "citation")))
    rest = ", ".join(text for text in texts if text.startswith(("dates", "data_date", "citation")))
    return f"{{{first},\n {rest}}}"


def _citation_key(target: _Target, effective: date) -> str:
    """As the sources are named: cms-mue-2026q4, cms-mpfs-2026-10."""
    quarterly = target.source.startswith(("cms-ncci", "cms-mue"))
    return f"{target.source}-{effective:%Y}{f'q{(effective.month + 2) // 3}' if quarterly else f'-{effective:%m}'}"


def _citation(key: str, policy: str, effective: date, reference: Reference) -> dict[str, str]:
    """The source: the publication of the values before, in its new edition."""
    if key in reference.citations:
        known = reference.citations[key]
        return {name: getattr(known, name) for name in ("publisher", "title", "edition", "url", "seen")}
    keys = [value.citations[0] for value in reference.policies[policy].values if value.citations]
    like = _TARGETS[policy].publication or reference.citations[keys[-1]]
    return {
        "publisher": like.publisher,
        "title": like.title,
        "edition": f"effective {effective}",
        "url": like.url,
        "seen": "official",
    }


def _current(path: Path, changes: Mapping[Path, str]) -> str:
    if path in changes:
        return changes[path]
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _with_citation(text: str, key: str, entry: Mapping[str, str]) -> str:
    if key in _meaning(text):
        return text
    block = yaml.safe_dump({key: dict(entry)}, sort_keys=False, allow_unicode=True, width=1000)
    return _checked(with_entry(text or _HEADER, key, block), {**_meaning(text), key: dict(entry)}, _CITATIONS)


def _with_policy(
    text: str,
    path: Path,
    policy: str,
    effective: date,
    value: Mapping[str, Any],
    *,
    title: str,
    verified_on: date | None,
    today: date,
) -> str:
    """The text of a reference file with one more dated value, and nothing else in it changed."""
    name = policy.partition(".")[2]
    expected = _meaning(text)
    try:
        if name not in expected:
            verified = verified_on or today
            block = (
                f"  title: {yaml.safe_dump(title, width=1000).removesuffix('...' + chr(10))}  verified_on: {verified}\n"
            )
            written = _flow(value).replace("\n", "\n" + " " * 16)
            gap = "\n" if expected else ""
            text = f"{text or _HEADER}{gap}{name}:\n{block}  values:\n    {effective}: {written}\n"
            expected[name] = {"title": title, "verified_on": verified, "values": {effective: dict(value)}}
            return _checked(text, expected, path.name)
        entry = expected[name]
        sharing = [
            f"{other} from {start}"
            for other, each in expected.items()
            for start, held in each["values"].items()
            if held and held.get("table") == value["table"] and (other, start) != (name, effective)
        ]
        if sharing:
            raise ReferenceFileError(
                f"{path.name}: {value['table']} belongs to {sharing[0]} too; expected a later --effective"
            )
        if entry["values"].get(effective) != value:
            text = with_value(text, name, str(effective), _flow(value))
            entry["values"][effective] = dict(value)
        if verified_on is not None and verified_on > entry["verified_on"]:
            text = with_scalar(text, (name, "verified_on"), str(verified_on))
            entry["verified_on"] = verified_on
    except PlaceError as error:
        raise ReferenceFileError(f"{path.name}: {error}") from None
    return _checked(text, expected, path.name)


def _meaning(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text) or {})


def _checked(text: str, expected: Mapping[str, Any], name: str) -> str:
    """The text, which must mean what it is expected to."""
    if _meaning(text) != expected:
        raise ReferenceFileError(
            f"{name}: not laid out so that a value can be inserted; expected each key on its own line"
        )
    return text


# ---- to the disk


def _prove(changes: Mapping[Path, str]) -> None:
    """Load what is to be written, elsewhere; the error is that of a start of the worker."""
    with tempfile.TemporaryDirectory(prefix="claimscrub-") as name:
        stage = Path(name)
        for path, text in changes.items():
            (stage / path.name).write_text(text, encoding="utf-8")
        for path, text in changes.items():
            if path.suffix != ".yaml" or path.name == _CITATIONS:
                continue
            for table in _named_tables(text):
                if not (stage / table).exists():
                    try:
                        shutil.copyfile(path.with_name(table), stage / table)
                    except OSError as error:
                        raise ReferenceFileError(f"{path.with_name(table)}: {error.strerror}") from None
            list(load_policies(stage / path.name, path.stem))


def _named_tables(text: str) -> Iterator[str]:
    for entry in _meaning(text).values():
        for value in entry["values"].values():
            if value and "table" in value:
                yield value["table"]


def _write(changes: Mapping[Path, str]) -> None:
    """All files under temporary names, and then all of them to their places, the tables before what names them."""
    order = sorted(changes, key=lambda path: (path.suffix != ".csv", path.name != _CITATIONS, path))
    made: list[tuple[Path, Path]] = []
    try:
        for path in order:
            content = changes[path].encode()
            if path.exists() and path.read_bytes() == content:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            made.append((path.with_name(f".{path.name}.tmp"), path))
            write_to_disk(made[-1][0], content)
        for temporary, path in made:
            rename_durably(temporary, path)
    except OSError as error:
        for temporary, _ in made:
            temporary.unlink(missing_ok=True)
        raise ReferenceFileError(f"{error.filename or order[0].parent}: {error.strerror}") from None
