"""Bringing in a quarter of CMS's tables; the files here are written by the tests, in CMS's layouts."""

from __future__ import annotations

import csv
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from rules import RuleSet
from rules.engine.examples import a_claim, a_line
from rules.engine.reference import Reference
from worker.cli import main
from worker.cms_files import Kind, Source, edition_of, part_of, read_codes, read_pairs
from worker.reference import import_files
from worker.yaml_text import PlaceError, with_entry, with_scalar, with_value

PACKAGED = Path(__file__).parents[2] / "rules" / "reference"
QUARTER = date(2026, 10, 1)
TODAY = date(2026, 10, 2)

PAIR_HEADING = (
    "CPT only copyright 2025 American Medical Association.  All rights reserved.\t\t\t\t\t\t\n"
    "Column1/Column2 Edits\t\t\t\t\t\t\n"
    "Column 1\tColumn 2\t*=in existence\tEffective\tDeletion\tModifier\tPTP Edit Rationale\n"
    "\t\tprior to 1996\tDate\tDate\t0=not allowed\t\n"
    "\t\t\t\t*=no data\t1=allowed\t\n"
    "\t\t\t\t\t9=not applicable\t\n"
)
FAMILY = ("63650", "63655", "63661", "63662", "63663", "63664", "63685", "63688")
# A pair of each surgical code, as a whole table has; and one that concerns none of our codes.
PAIRS = [
    *(f"{code}\t69990\t\t20020101\t*\t0\tMisuse of Column Two code with Column One code" for code in FAMILY),
    "0001U\t0030U\t\t20180701\t*\t1\tMutually exclusive procedures",
    "63685\t63688\t\t20050101\t*\t1\tCPT Manual or CMS manual coding instruction",
    "63685\t99203\t\t20261001\t*\t0\tA rationale of a new kind",
    '63685\t63610\t*\t19960101\t20261231\t0\tCPT "separate procedure" definition',
    "63688\t63685\t\t20020101\t20041231\t0\tMore extensive procedure",
    "63685\t92012\t\t20130701\t20130701\t9\tStandards of medical/surgical practice",
    "95971\t95970\t\t20190101\t*\t1\tHCPCS/CPT procedure code definition",
]
LIMIT_PREAMBLE = (
    '"Current Procedural Terminology (CPT) codes are copyright.\n\nCPT\xae is a trademark.",,,\n"HCPCS/\nCPT Code",'
)
LIMITS = {
    "practitioner": f"{LIMIT_PREAMBLE}Practitioner Services MUE Values,MUE Adjudication Indicator,MUE Rationale\n"
    "0001U,1,2 Date of Service Edit: Policy,Code Descriptor / CPT Instruction\n"
    "63685,2,3 Date of Service Edit: Clinical,Clinical: Data\n"
    "L8678,1,2 Date of Service Edit: Policy,CMS Policy\n",
    "outpatient": f"{LIMIT_PREAMBLE}Outpatient Hospital Services MUE Values,MUE Adjudication Indicator,MUE Rationale\n"
    "63685,1,3 Date of Service Edit: Clinical,Clinical: Data\n"
    "L8680,0,3 Date of Service Edit: Clinical,CMS Policy\n",
    "dme": f"{LIMIT_PREAMBLE}DME Supplier Services MUE Values,MUE Adjudication Indicator,MUE Rationale\n"
    "L8678,1,2 Date of Service Edit: Policy,CMS Policy\n",
}
FEES = (
    ",,2026 National Physician Fee Schedule Relative Value File October Release" + "," * 29 + "\n"
    ",,CPT codes and descriptions only are copyright 2026 American Medical Association." + "," * 29 + "\n"
    + "," * 31 + "\n"
    ",,,,NOT USED,,,,,,,,,,,,,,,,,,,,,,PHYSICIAN,,DIAGNOSTIC,PE USED,PE USED,MP USED\n"
    ",,,,FOR,,,NON-FAC,,FACILITY,,,,,,,,,,,,,,,,,SUPERVISION OF,,IMAGING,FOR OPPS,FOR OPPS,FOR OPPS\n"
    ",,,STATUS,MEDICARE,WORK,NON-FAC,NA,FACILITY,NA,MP,NON-FACILITY,FACILITY,PCTC,GLOB,PRE,INTRA,POST,MULT,BILAT,ASST,"
    "CO-,TEAM,PRIC,ENDO,CONV,DIAGNOSTIC,CALCULATION,FAMILY,PAYMENT,PAYMENT,PAYMENT\n"
    "HCPCS,MOD,DESCRIPTION,CODE,PAYMENT,RVU,PE RVU,INDICATOR,PE RVU,INDICATOR,RVU,TOTAL,TOTAL,IND,DAYS,OP,OP,OP,PROC,"
    "SURG,SURG,SURG,SURG,IND,BASE,FACTOR,PROCEDURES,FLAG,INDICATOR,AMOUNT,AMOUNT,AMOUNT\n"
    "00100,,Words,J,,0.00,0.00,,0.00,,0.00,0.00,0.00,9,XXX,0.00,0.00,0.00,9,9,9,9,9,9,,33.4009,09,0,99,0.00,0.00,0.00\n"
    '63650,,"Words, more",A,,7.15,60.10,,4.20,,1.05,68.30,12.40,0,010,0.10,0.80,0.10,2,0,1,0,0,0,,33.4009,09,0,99,0.00,'
    "0.00,0.00\n"
    "63685,,Words,A,,5.19,4.00,NA,4.00,,1.09,10.28,10.28,0,010,0.10,0.80,0.10,2,0,2,1,0,0,,33.4009,09,0,99,0.00,0.00,0.00\n"
    "76000,26,Words,A,,0.30,0.10,,0.10,,0.02,0.42,0.42,1,XXX,0.00,0.00,0.00,0,0,0,0,0,0,,33.4009,09,0,99,0.00,0.00,0.00\n"
)  # fmt: skip

LISTS = {"procedure-codes": "procedures", "modifier-codes": "modifiers", "diagnosis-codes": "diagnoses"}


def _pairs(folder: Path, *rows: str, name: str = "ccipra-v323r0-f1.txt") -> Path:
    path = folder / name
    path.write_text(PAIR_HEADING + "\n".join(rows or PAIRS) + "\n", encoding="latin-1")
    return path


def _limits(folder: Path, *settings: str) -> list[Path]:
    paths = []
    for setting in settings:
        paths.append(folder / f"limits-{setting}.csv")
        paths[-1].write_text(LIMITS[setting], encoding="latin-1")
    return paths


def _text(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="latin-1")
    return path


def _zip(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content.encode("latin-1"))
    return path


def _import(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["reference", "import", *map(str, arguments)])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _bytes(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A deployment's folder, not there yet."""
    return tmp_path / "own"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of rules/reference."""
    return shutil.copytree(PACKAGED, tmp_path / "reference")


# ---- what is written


def test_a_quarter_of_pairs_is_one_command(tmp_path: Path, own: Path) -> None:
    """The pairs of our codes are kept, with their dates; the folder says where they are from."""
    result = _import(_pairs(tmp_path), "--effective", "2026-10-01", "--into", own)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("ncci.pairs_practitioner from 2026-10-01: 12 of 15 rows kept, in ")
    assert "2 pairs of our codes left out, deleted or withdrawn before that day" in result.stdout
    assert "codes of ours that are not in it (any more): " in result.stdout
    rows = {(row["column_one"], row["column_two"]): row for row in _rows(own / "cms/ptp-practitioner-2026-10-01.csv")}
    assert set(rows) == {
        *((code, "69990") for code in FAMILY),
        ("63685", "63688"),
        ("63685", "99203"),
        ("63685", "63610"),
        ("95971", "95970"),
    }
    assert rows["63685", "63610"] == {
        "column_one": "63685",
        "column_two": "63610",
        "indicator": "0",
        "reason": "SEPP",
        "effective_on": "1996-01-01",
        "deleted_on": "2026-12-31",
    }
    assert [rows[pair]["reason"] for pair in (("63685", "63688"), ("63685", "99203"))] == ["INSTR", ""]
    entry = yaml.safe_load((own / "cms/ncci.yaml").read_text())["pairs_practitioner"]
    assert entry["values"][QUARTER]["citation"] == "cms-ncci-ptp-practitioner-2026q4"
    source = yaml.safe_load((own / "citations.yaml").read_text())["cms-ncci-ptp-practitioner-2026q4"]
    assert (source["publisher"], source["edition"], source["seen"]) == ("CMS", "effective 2026-10-01", "official")
    assert "medicare-ncci-procedure-procedure-ptp-edits" in source["url"]


def test_the_folder_is_laid_over_the_packaged_facts(tmp_path: Path, own: Path) -> None:
    """From the quarter on its values hold, before it the packaged ones; and a claim is judged by them."""
    import_files([_pairs(tmp_path)], QUARTER, own, today=TODAY)
    pairs = Reference.load(over=own).policies["ncci.pairs_practitioner"]
    before, after = pairs.on(date(2026, 9, 30)), pairs.on(QUARTER)

    assert before is not None
    assert after is not None
    assert (before.data_date, after.data_date) == (date(2024, 7, 1), QUARTER)
    assert after.value["63685", "63688"]["effective_on"] == date(2005, 1, 1)
    ruleset = RuleSet.load(reference=own)

    def findings(day: str) -> set[str]:
        lines = [a_line(service_date=day), a_line("99203", service_date=day)]
        return {each.message for each in ruleset.evaluate(a_claim(lines=lines)).findings if each.rule_id == "COD001"}

    assert findings("2026-09-30") == set()
    (message,) = findings("2026-10-01")
    assert "2026-10-01" in message


def test_what_is_imported_again_changes_nothing(tmp_path: Path, own: Path, repository: Path) -> None:
    """The same files give the same bytes, on another day too, in a folder and in the repository."""
    files = [_pairs(tmp_path), *_limits(tmp_path, "practitioner", "outpatient"), _text(tmp_path, "fees.csv", FEES)]
    for into in (own, repository):
        import_files(files, QUARTER, into, today=TODAY)
        once = _bytes(into)
        import_files(files, QUARTER, into, today=date(2026, 11, 1))

        assert _bytes(into) == once


def test_a_mended_file_takes_the_place_of_the_first(tmp_path: Path, own: Path) -> None:
    """Another file for the same date replaces table and value; the values of other quarters stay."""
    import_files([_pairs(tmp_path)], QUARTER, own, today=TODAY)
    more = _pairs(tmp_path, *PAIRS, "63650\t63661\t\t20260101\t*\t0\tMutually exclusive procedures")
    (first,) = import_files([more], QUARTER, own, today=TODAY, citation="our-file", verified_on=date(2026, 12, 1))
    later = _pairs(tmp_path, name="ccipra-v330r0-f1.txt")
    earlier = _pairs(tmp_path, *[row for row in PAIRS if "20261001" not in row], name="ccipra-v322r0-f1.txt")
    import_files([later], date(2027, 1, 1), own, today=TODAY)
    import_files([earlier], date(2026, 7, 1), own, today=TODAY)
    entry = yaml.safe_load((own / "cms/ncci.yaml").read_text())["pairs_practitioner"]

    assert first.kept == 13
    assert list(entry["values"]) == [date(2026, 7, 1), QUARTER, date(2027, 1, 1)]
    assert entry["values"][QUARTER]["citation"] == "our-file"
    assert entry["verified_on"] == date(2026, 12, 1)


def test_the_text_of_the_repository_stays_as_it_is(tmp_path: Path, repository: Path) -> None:
    """Comments and layout are left alone: only lines are added, and the values mean what they meant."""
    before = _bytes(repository)
    files = [
        _pairs(tmp_path),
        _pairs(tmp_path, name="ccioph-v323r0-f1.txt"),
        *_limits(tmp_path, "practitioner", "outpatient", "dme"),
        _text(tmp_path, "PPRRVU2026_Oct_nonQPP.csv", FEES),
    ]
    result = _import(*files, "--effective", "2026-10-01", "--into", repository)

    assert result.exit_code == 0, result.stderr
    for path, content in before.items():
        old, new = content.decode().splitlines(), (repository / path).read_text(encoding="utf-8").splitlines()
        added = iter(new)
        assert all(line in added for line in old), path  # the old lines stand in the new, in their order
        assert len(new) == len(old) or path.name in {"ncci.yaml", "units.yaml", "fee_schedule.yaml", "citations.yaml"}
    Reference.load(repository)
    for policy in ("ncci.pairs_practitioner", "ncci.pairs_outpatient", "units.daily_limit", "fee_schedule.indicators"):
        file, _, name = policy.partition(".")
        values = yaml.safe_load((repository / "cms" / f"{file}.yaml").read_text())[name]["values"]
        packaged = yaml.safe_load((PACKAGED / "cms" / f"{file}.yaml").read_text())[name]["values"]
        assert {start: value for start, value in values.items() if start != QUARTER} == packaged


def test_limits_of_the_settings_make_one_table(tmp_path: Path, own: Path) -> None:
    """A code has the limit of each table that has one; a code of ours that none has any more is named."""
    result = _import(
        *_limits(tmp_path, "practitioner", "outpatient", "dme"), "--effective", "2026-10-01", "--into", own
    )
    rows = {row["code"]: list(row.values())[1:] for row in _rows(own / "cms/mue-2026-10-01.csv")}

    assert rows == {
        "63685": ["2", "3", "1", "3", "", ""],
        "L8678": ["1", "2", "", "", "1", "2"],
        "L8680": ["", "", "0", "3", "", ""],
    }
    assert "codes of ours that are not in it (any more): 0587T " in result.stdout
    limits = Reference.load(over=own).policies["units.daily_limit"].on(QUARTER)
    assert limits is not None
    assert limits.value["L8680"]["outpatient"] == 0


def test_limits_without_the_supplier_table_say_so(tmp_path: Path, own: Path) -> None:
    """What is not among the files is left blank, and it is said."""
    result = _import(*_limits(tmp_path, "practitioner", "outpatient"), "--effective", "2026-10-01", "--into", own)

    assert "no DME supplier table among the files" in result.stdout


def test_the_fee_schedule_comes_from_the_zip(tmp_path: Path, own: Path) -> None:
    """Of a zip the general relative value file is read; files beside it, and its twin, are left aside."""
    path = _zip(
        tmp_path / "rvu26d.zip",
        **{
            "PPRRVU2026_Oct_nonQPP.csv": FEES,
            "PPRRVU2026_Oct_QPP.csv": FEES,
            "GPCI2026.csv": "ADDENDUM E,,,\n",
            "PPRRVU2026_Oct_nonQPP.txt": "HDR fixed width\n",
            "RVU26D.pdf": "%PDF",
        },
    )
    result = _import(path, "--effective", "2026-10-01", "--into", own)

    assert result.exit_code == 0, result.stderr
    assert list(_rows(own / "cms/fee-schedule-2026-10-01.csv")[1].values()) == [
        "63685", "", "A", "0", "010", "0.1", "0.8", "0.1", "2", "0", "2", "1", "0", "NA",
    ]  # fmt: skip
    assert [tuple(row.values()) for row in _rows(own / "cms/relative-values-2026-10-01.csv")] == [
        ("63650", "7.15", "12.40", "68.30"),
        ("63685", "5.19", "10.28", ""),
    ]
    assert set(yaml.safe_load((own / "citations.yaml").read_text())) == {"cms-mpfs-2026-10"}


@pytest.mark.parametrize(
    ("kind", "content", "codes"),
    [
        (
            "procedure-codes",
            "63685 words\n\n# ours\n95970,more\n0784T\tx\n",
            {"63685", "95970", "0784T"},
        ),
        ("modifier-codes", "\xef\xbb\xbfLT Left\n59\n", {"LT", "59"}),
        ("diagnosis-codes", "G894    Words\nT85.112A\n\x1a", {"G894", "T85112A"}),
        (
            "diagnosis-codes",
            "00001 G89     0 Words                    Words\n00002 G894    1 Words                    Words\n",
            {"G894"},
        ),
    ],
)
def test_lists_of_codes(tmp_path: Path, own: Path, kind: str, content: str, codes: set[str]) -> None:
    """The first word of each line is a code; the ICD-10-CM order file gives its complete codes."""
    path = _text(tmp_path, "codes.txt", content)
    result = _import(path, "--effective", "2026-10-01", "--into", own, "--kind", kind)

    assert result.exit_code == 0, result.stderr
    value = Reference.load(over=own).policies[f"code_sets.{LISTS[kind]}"].on(QUARTER)
    assert value is not None
    assert set(value.value) == codes


def test_parts_and_zips_make_one_table(tmp_path: Path, own: Path) -> None:
    """The parts of a table, each in a zip of its own, are imported together."""
    parts = [PAIRS[:4], PAIRS[4:]]
    paths = [
        _zip(
            tmp_path / f"medicare-ncci-2026q4-hospital-ptp-edits-ccioph-v323r0-f{number}.zip",
            **{
                f"ccioph-v323r0-f{number}.TXT": PAIR_HEADING + "\n".join(rows),
                f"ccioph-v323r0-f{number}.xlsx": "PK",
            },
        )
        for number, rows in enumerate(parts, 1)
    ]
    result = _import(*paths, "--effective", "2026-10-01", "--into", own)

    assert result.exit_code == 0, result.stderr
    assert "ncci.pairs_outpatient from 2026-10-01: 12 of 15 rows kept" in result.stdout


def test_a_table_of_pairs_may_be_separated_by_commas_and_named_by_hand(tmp_path: Path, own: Path) -> None:
    """A sheet saved as CSV is read too; --kind says which table it is where no name does."""
    lines = (PAIR_HEADING + "\n".join(PAIRS)).splitlines()
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(line.split("\t") for line in lines)
    refused = _import(path, "--effective", "2026-10-01", "--into", own)
    result = _import(path, "--effective", "2026-10-01", "--into", own, "--kind", "ptp-outpatient")

    assert "expected --kind ptp-practitioner or -outpatient" in refused.stderr
    assert "ncci.pairs_outpatient from 2026-10-01: 12 of 15" in result.stdout


def test_the_folder_of_the_settings_is_the_default(tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --into the values go where the worker reads them; without either there is an error."""
    path = _pairs(tmp_path)
    refused = _import(path, "--effective", "2026-10-01")
    own.mkdir()
    monkeypatch.setenv("CLAIMSCRUB_REFERENCE_FOLDER", str(own))
    result = _import(path, "--effective", "2026-10-01")

    assert refused.exit_code == 2
    assert "--into" in refused.stderr
    assert "CLAIMSCRUB_REFERENCE_FOLDER" in refused.stderr
    assert result.exit_code == 0
    assert (own / "cms/ncci.yaml").exists()


# ---- what is refused

_Make = Callable[[Path], list[Path]]


def _with(row: str) -> _Make:
    return lambda folder: [_pairs(folder, *PAIRS, row)]


def _limit(row: str) -> _Make:
    def make(folder: Path) -> list[Path]:
        one, two = _limits(folder, "practitioner", "outpatient")
        one.write_text(LIMITS["practitioner"] + row + "\n", encoding="latin-1")
        return [one, two]

    return make


def _fee(old: str, new: str) -> _Make:
    return lambda folder: [_text(folder, "fees.csv", FEES.replace(old, new))]


def _file(name: str, content: str) -> _Make:
    return lambda folder: [_text(folder, name, content)]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (_with("6368\t63688\t\t20050101\t*\t1\tx"), "f1.txt:22: '6368'; expected a procedure code of five characters"),
        (_with("63685\tx\t\t20050101\t*\t1\tx"), "f1.txt:22: 'x'; expected a procedure code"),
        (_with("63685\t63662\t\t20051301\t*\t1\tx"), "f1.txt:22: effective date '20051301'; expected YYYYMMDD"),
        (_with("63685\t63662\t\t20050101\t2005-01-01\t1\tx"), "deletion date '2005-01-01'; expected YYYYMMDD, or *"),
        (_with("63685\t63662\t\t20050101\t*\t2\tx"), "modifier indicator '2'; expected 0, 1 or 9"),
        (_with("63685\t63662\t\t20050101\t*\t1\tx\t"), "f1.txt:22: 8 cells; expected 7, as in the header line"),
        (_with("63685\t63662\t\t20050101\t*"), "f1.txt:22: 5 cells; expected 7"),
        (
            _with("63685\t63688\t\t20200101\t*\t0\tx"),
            "f1.txt:22: 63685 with 63688 stands in ccipra-v323r0-f1.txt:16 too",
        ),
        (
            _with("63685\t63662\t\t20270101\t*\t1\tx"),
            "a pair that begins on 2027-01-01; expected the file of 2026-10-01",
        ),
        (_with("63685\t63662\t\t20261130\t20261031\t1\tx"), "a deletion date before the effective date"),
        (lambda folder: [_pairs(folder, *PAIRS[:4])], "no pair with 63663 63664 63685 63688 in column 1; expected all"),
        (lambda folder: [_pairs(folder, name="ccipra-v323r0-f2.txt")], "part f1 is not among the files"),
        (
            lambda folder: [_pairs(folder, name="ccipra-v322r0-f1.txt")],
            "by its name it holds from 2026-07-01 on; expected the file of 2026-10-01",
        ),
        (
            _file("ccipra.txt", PAIR_HEADING.replace("Deletion", "Removal")),
            "a column is missing in the header lines; expected Column 1, Column 2, *=in existence",
        ),
        (_limit("6368,1,3 Date,x"), "limits-practitioner.csv:9: '6368'; expected a procedure code"),
        (_limit("63688,one,3 Date,x"), "limits-practitioner.csv:9: MUE value 'one'; expected a whole number"),
        (_limit("63688,1,Date of Service Edit,x"), "adjudication indicator 'Date of Service Edit'; expected 1, 2 or 3"),
        (_limit("63685,1,3 Date,x"), "63685 stands in limits-practitioner.csv:7 too; expected each once"),
        (_limit("63688,1,3 Date,x,y"), "5 cells; expected 4"),
        (lambda folder: _limits(folder, "practitioner"), "expected the practitioner and the outpatient hospital table"),
        (
            lambda folder: [
                *_limits(folder, "outpatient"),
                _text(folder, "p.csv", LIMITS["practitioner"].partition("63685")[0]),
            ],
            "p.csv: no code of ours in it",
        ),
        (_fee("63685,,Words,A", "6368,,Words,A"), "fees.csv:10: '6368'; expected a procedure code"),
        (_fee("76000,26,", "76000,2,"), "'2'; expected a modifier of two characters"),
        (
            _fee(",0,010,0.10,0.80,0.10,2,0,2,", ",0,011,0.10,0.80,0.10,2,0,2,"),
            "global period '011'; expected 000, 010",
        ),
        (_fee("5.19,4.00,NA,", "5.19,4.00,N,"), "office value 'N'; expected NA or nothing"),
        (_fee("63650,,", "63685,,"), "63685 stands in fees.csv:9 too"),
        (_fee("GLOB,PRE", "DAYS,PRE"), "fees.csv: a column is missing in the header lines; expected HCPCS, MOD"),
        (
            lambda folder: [_text(folder, "fees.csv", "".join(FEES.splitlines(keepends=True)[:8]))],
            "fees.csv: no code of ours in it; expected a whole table",
        ),
        (lambda folder: [_text(folder, "PPRRVU2026_Jul_nonQPP.csv", FEES)], "by its name it holds from 2026-07-01 on"),
        (_file("codes.txt", "63685\n95970\n"), "codes.txt: no header line of a table of pairs"),
        (_file("empty.txt", ""), "empty.txt: no header line"),
        (_file("quote.txt", '"' + "x" * 200_000), "quote.txt: no header line"),
        (
            lambda folder: [_zip(folder / "t.xlsx", **{"xl/workbook.xml": "<x/>", "a.txt": ""})],
            "t.xlsx: an Excel workbook, which is not read; expected the text file",
        ),
        (_file("t.xls", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "t.xls: an Excel workbook, which is not read"),
        (lambda folder: [_zip(folder / "t.zip", **{"t.xlsx": "PK"})], "t.zip: no text file in it (t.xlsx); expected"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_written(tmp_path: Path, own: Path, make: _Make, error: str) -> None:
    """Each error names the file, the line, and what is expected."""
    result = _import(*make(tmp_path), "--effective", "2026-10-01", "--into", own)

    assert result.exit_code == 2
    assert error in result.stderr
    assert not own.exists()


@pytest.mark.parametrize("day", ["2026-10-02", "2026-11-01"])
def test_quarterly_tables_begin_with_a_quarter(tmp_path: Path, own: Path, day: str) -> None:
    """Pairs and limits are refused for another day; the fee schedule is not."""
    for files in ([_pairs(tmp_path)], _limits(tmp_path, "practitioner", "outpatient")):
        result = _import(*files, "--effective", day, "--into", own)
        assert f"{day} is not the first day of a quarter; expected --effective 2026-01-01, -04-01" in result.stderr
    assert not own.exists()
    assert _import(_text(tmp_path, "f.csv", FEES), "--effective", day, "--into", own).exit_code == 0


@pytest.mark.parametrize(
    ("kind", "content", "error"),
    [
        ("procedure-codes", "63685\nx\n", "codes.txt:2: 'x'; expected a procedure code"),
        ("procedure-codes", "99213\n", "no code of ours in it"),
        ("procedure-codes", "", "no code of ours in it"),
        ("modifier-codes", "LT\n59\nLT\n", "codes.txt:3: LT stands in codes.txt:1 too"),
        ("diagnosis-codes", "63685\n", "codes.txt:1: '63685'; expected an ICD-10-CM code"),
        ("procedure-codes", FEES, "by its header line it is fee-schedule; expected the file of --kind procedure-codes"),
        ("mue-practitioner", LIMITS["outpatient"], "by its header line it is mue-outpatient"),
        ("ptp-outpatient", "63685\n", "no header line of this kind; expected Column 1, Column 2"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, own: Path, kind: str, content: str, error: str) -> None:
    """A list has codes of its kind, each once; a header line is not contradicted."""
    path = _text(tmp_path, "codes.txt", content)
    result = _import(path, "--effective", "2026-10-01", "--into", own, "--kind", kind)

    assert result.exit_code == 2
    assert error in result.stderr
    assert not own.exists()


def test_a_zip_of_lists_is_to_be_unzipped(tmp_path: Path, own: Path) -> None:
    """Which of several texts is the list cannot be told."""
    path = _zip(
        tmp_path / "icd.zip", **{"icd10cm_codes_2027.txt": "G894 x\n", "icd10cm_order_2027.txt": "00001 G89 0 x\n"}
    )
    result = _import(path, "--effective", "2026-10-01", "--into", own, "--kind", "diagnosis-codes")

    assert result.exit_code == 2
    assert "unzipped and with --kind" in result.stderr


def test_a_damaged_zip_is_refused(tmp_path: Path, own: Path) -> None:
    """A download that broke off or changed on the way is no table, even where rows of it can be read."""
    path = _zip(tmp_path / "ccipra-v323r0-f1.zip", **{"ccipra-v323r0-f1.txt": PAIR_HEADING + "\n".join(PAIRS * 50)})
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    result = _import(path, "--effective", "2026-10-01", "--into", own)

    assert result.exit_code == 2
    assert "damaged" in result.stderr
    assert not own.exists()


def test_one_citation_is_for_one_table(tmp_path: Path, own: Path) -> None:
    """A key of one's own cannot stand for two publications."""
    files = [_pairs(tmp_path), _pairs(tmp_path, name="ccioph-v323r0-f1.txt")]
    result = _import(*files, "--effective", "2026-10-01", "--into", own, "--citation", "mine")

    assert result.exit_code == 2
    assert "expected --citation with the files of one table only" in result.stderr


def test_a_table_that_another_value_uses_is_not_replaced(tmp_path: Path, repository: Path) -> None:
    """The packaged table of July 2024 is also that of the time before; its shape may not change under it."""
    path = _pairs(tmp_path, *[row for row in PAIRS if "20261001" not in row], name="ccipra-v302r0-f1.txt")
    before = _bytes(repository)
    result = _import(path, "--effective", "2024-07-01", "--into", repository)

    assert result.exit_code == 2
    assert "ptp-practitioner-2024-07-01.csv belongs to pairs_practitioner from 0001-01-01 too" in result.stderr
    assert _bytes(repository) == before


def test_a_folder_in_disorder_is_named(tmp_path: Path, own: Path) -> None:
    """What the folder already holds must load, and be laid out so that a value can be inserted."""
    path = _pairs(tmp_path)
    import_files([path], QUARTER, own, today=TODAY)
    text = (own / "cms/ncci.yaml").read_text()
    content = yaml.safe_load(text)
    (own / "cms/ncci.yaml").write_text(yaml.safe_dump(content, default_flow_style=True))
    later = _pairs(tmp_path, name="ccipra-v330r0-f1.txt")
    result = _import(later, "--effective", "2027-01-01", "--into", own)

    assert result.exit_code == 2
    assert (
        "ncci.yaml: expected what holds values as a mapping" in result.stderr or "ncci.yaml: expected" in result.stderr
    )
    (own / "cms/ncci.yaml").write_text("pairs_practitioner: [")
    result = _import(later, "--effective", "2027-01-01", "--into", own)
    assert result.exit_code == 3
    assert "ncci.yaml: not YAML" in result.stderr


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """An error of the disk is a sentence, and leaves no temporary file."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "cms").write_text("a file where a folder should be")
    result = _import(_pairs(tmp_path), "--effective", "2026-10-01", "--into", tmp_path / "own")

    assert result.exit_code == 2
    assert "own" in result.stderr
    assert not list((tmp_path / "own").glob(".*"))


# ---- large files


def test_a_large_table_streams(tmp_path: Path, own: Path) -> None:
    """A table of 300,000 rows is read in the memory of what is kept of it."""
    path = tmp_path / "ccipra-v323r0-f1.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("ccipra-v323r0-f1.txt", "w") as file:
        file.write((PAIR_HEADING + "\n".join(PAIRS) + "\n").encode())
        for number in range(300_000):
            file.write(f"{10000 + number // 30:05}\t{70000 + number % 30:05}\t\t20200101\t*\t1\tx\r\n".encode())
    source = Source(path, "ccipra-v323r0-f1.txt")
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_pairs(source))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (imported,) = import_files([path], QUARTER, own, today=TODAY)

    assert (count, imported.read, imported.kept) == (300_015, 300_015, 12)
    assert peak < 2_000_000


# ---- names


@pytest.mark.parametrize(
    ("name", "edition"),
    [
        ("ccipra-v323r0-f1.txt", date(2026, 10, 1)),
        ("medicare-ncci-2026q1-hospital-ptp-edits-ccioph-v320r0-f1.zip/x.txt", date(2026, 1, 1)),
        ("MCR_MUE_PractitionerServices_Eff_10-01-2026.csv", date(2026, 10, 1)),
        ("PPRRVU24_JAN.csv", date(2024, 1, 1)),
        ("PPRRVU2026_Jul_nonQPP.csv", date(2026, 7, 1)),
        ("PPRRVU2026_new.csv", None),
        ("pairs.txt", None),
    ],
)
def test_editions_by_name(name: str, edition: date | None) -> None:
    """CMS's names say from when on a file holds."""
    assert edition_of(name) == edition


def test_parts_by_name() -> None:
    """A table in parts has numbered names."""
    assert part_of("ccipra-v323r0-f4.txt") == 4
    assert part_of("pairs.txt") is None


def test_codes_are_read_with_their_lines(tmp_path: Path) -> None:
    """A line without a code counts as a line."""
    path = _text(tmp_path, "codes.txt", "\n63685\r\n\n95970\n")

    assert list(read_codes(Source(path), Kind.PROCEDURE_CODES)) == [(2, "63685"), (4, "95970")]


# ---- YAML texts

TEXT = """\
# A comment.
one:
  title: One
  values:
    2024-01-01: {value: 1}  # why

    # A comment on what follows.
    2026-01-01:
      value:
        - 1
        - 2

two:
  title: Two
  values:
    2024-01-01:
      words: >-
        a b
        c
# The end."""


@pytest.mark.parametrize(
    ("entry", "key", "after"),
    [
        ("one", "2023-01-01", "  values:\n    2023-01-01: {value: 9}\n    2024-01-01: {value: 1}  # why\n"),
        ("one", "2025-01-01", "2024-01-01: {value: 1}  # why\n    2025-01-01: {value: 9}\n\n    # A comment on"),
        ("one", "2024-01-01", "  values:\n    2024-01-01: {value: 9}  # why\n\n"),
        ("one", "2026-01-01", "    # A comment on what follows.\n    2026-01-01: {value: 9}\n\ntwo:"),
        ("one", "2027-01-01", "        - 2\n    2027-01-01: {value: 9}\n\ntwo:"),
        ("two", "2027-01-01", "        c\n    2027-01-01: {value: 9}\n# The end."),
    ],
)
def test_a_value_goes_where_its_date_belongs(entry: str, key: str, after: str) -> None:
    """Before, between, behind and in the place of others, whatever their style; all else stays."""
    text = with_value(TEXT, entry, key, "{value: 9}")
    expected = yaml.safe_load(TEXT)
    expected[entry]["values"][date.fromisoformat(key)] = {"value": 9}

    assert after in text
    assert yaml.safe_load(text) == expected
    assert with_value(text, entry, key, "{value: 9}") == text


def test_values_that_cannot_be_inserted_into() -> None:
    """A layout with all on one line, and an entry that is not there, are named."""
    for text in (
        "one: {values: {2024-01-01: 1}}",
        "one:\n  values: {2024-01-01: 1}",
        "two: 1",
        "",
        "one:\n  values:\n",
    ):
        with pytest.raises(PlaceError, match="expected"):
            with_value(text, "one", "2025-01-01", "1")


@pytest.mark.parametrize(
    ("text", "name", "after"),
    [
        ("a: 1\nc: 3\n", "b", "a: 1\nb: 9\nc: 3\n"),
        ("a: 1\nc: 3", "d", "a: 1\nc: 3\nd: 9\n"),
        ("c: 1\na: 3\n", "b", "c: 1\na: 3\nb: 9\n"),
        ("# Nothing yet.\n\n", "b", "# Nothing yet.\n\nb: 9\n"),
        ("", "b", "b: 9\n"),
    ],
)
def test_an_entry_keeps_the_order(text: str, name: str, after: str) -> None:
    """In its place where the entries are sorted, at the end where not."""
    assert with_entry(text, name, f"{name}: 9\n") == after


def test_a_scalar_is_replaced() -> None:
    """Only its own characters change."""
    assert with_scalar(TEXT, ("two", "title"), "Three") == TEXT.replace("title: Two", "title: Three")
