"""837 files, folders and pipes on the command line, and the X12 that goes out again."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rules import ClaimError
from rules.engine.examples import a_line, as_json, claim_content
from tests.worker_process import of_member
from tests.x12.writer_837 import write_837
from worker.cli import main
from worker.inputs import read_stream
from worker.pipeline import input_digest

_SAMPLES = Path(__file__).parents[1] / "x12" / "samples"


def _run(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], input=stdin)


def _lines(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def _an_837(*units: str, **options: Any) -> str:
    """One interchange with a claim of another member for each number of units; more than one unit is flagged."""
    contents = [
        of_member(number, claim_content(patient_control_number=f"P{number}", lines=[a_line(units=each)]))
        for number, each in enumerate(units, 1)
    ]
    return write_837(contents, **options)


@pytest.fixture
def decided(tmp_path: Path) -> Callable[..., Path]:
    """Writes what `check --with-claim` says about an 837 to a file."""

    def decide(*units: str, **options: Any) -> Path:
        path = tmp_path / "decided.ndjson"
        path.write_text(_run("check", "--with-claim", "-", stdin=_an_837(*units, **options)).stdout)
        return path

    return decide


@pytest.mark.parametrize("name", ["claims.837", "claims.txt", "claims.json", "claims"])
def test_an_837_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    """Whatever its name, an 837 is judged claim by claim, and the source names the place in it."""
    path = tmp_path / name
    path.write_text("\ufeff\r\n" + _an_837("1", "2"), encoding="utf-8")
    result = _run("check", path)

    assert result.exit_code == 1
    assert [each["disposition"] for each in _lines(result)] == ["cleared", "flagged"]
    assert [each["claim_id"] for each in _lines(result)] == [f"SENDERID-000000905-1-0001-{n}" for n in (1, 2)]
    assert _lines(result)[1]["source"] == f"{path}: interchange 000000905, transaction 0001, claim 2"


def test_with_claim_prints_what_the_topics_carry(tmp_path: Path) -> None:
    """--with-claim prints claim, decision and source on one line: the claim's own bytes, however it was laid out."""
    (tmp_path / "a.json").write_text(json.dumps(json.loads(as_json(claim_content(claim_id="A"))), indent=2))
    (tmp_path / "b.837").write_text(_an_837("1"))
    (tmp_path / "c.ndjson").write_text(as_json(of_member(2, claim_content(claim_id="C"))))
    result = _run("check", "--with-claim", tmp_path)
    indented, from_x12, plain = result.stdout.splitlines()

    assert result.exit_code == 0
    assert json.loads(indented)["claim"]["claim_id"] == "A"
    assert json.loads(from_x12)["claim"]["x12"]["interchange_control_number"] == "000000905"
    claim, _ = plain.removeprefix('{"claim":').split(',"decision":')
    assert claim == as_json(of_member(2, claim_content(claim_id="C")))
    assert json.loads(plain)["decision"]["input_digest"] == input_digest(claim.encode())
    assert list(json.loads(plain)) == ["claim", "decision", "source"]


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    """A folder is read with what is below it, sorted, but hidden, unfinished, done and failed files are not."""
    for name in ("b.837", "a.json", "below/c.837", ".hidden", "d.tmp", "e.PART", "done/f.837", "failed/g.837"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(as_json(claim_content(claim_id="A")) if name == "a.json" else _an_837("1"))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.837").write_text(_an_837("1"))
    sources = [each["source"].split(":")[0] for each in _lines(_run("check", tmp_path))]

    assert sources == [str(tmp_path / name) for name in ("a.json", "b.837", "below/c.837")]


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    """A folder without files is one line and exit code 2, as an empty file is."""
    result = _run("check", tmp_path)

    assert result.exit_code == 2
    assert f"{tmp_path}: no files" in result.stderr


def test_unreadable_parts_are_one_line_each_and_the_rest_is_judged(tmp_path: Path) -> None:
    """A broken claim is named with interchange, transaction and segment; its neighbours and other files are judged."""
    path = tmp_path / "half.837"
    broken = _an_837("1", "1", "1").replace("CLM*P2*", "CLM*P2*not-a-number*", 1)
    path.write_text(broken)
    (tmp_path / "junk").write_bytes(b"\x7fELF\0\0\0" * 10)
    result = _run("check", path, tmp_path / "junk", _SAMPLES / "professional.837")

    assert result.exit_code == 2
    assert [each["claim_id"] for each in _lines(result)][:2] == [f"SENDERID-000000905-1-0001-{n}" for n in (1, 3)]
    assert len(_lines(result)) == 3
    said = result.stderr.splitlines()
    assert said[0].startswith(f"claimscrub: {path}: interchange 000000905, group 1, transaction 0001, segment ")
    assert "; expected " in said[0]
    assert "not-a-number" not in result.stderr
    assert f"claimscrub: {tmp_path / 'junk'}: $: binary content" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_pipe_is_judged_as_it_flows() -> None:
    """From a pipe each claim is decided when it is there, not only at the end."""
    command = [sys.executable, "-m", "worker.cli", "check", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(_an_837("1").encode())
        process.stdin.flush()
        first = json.loads(process.stdout.readline())
        process.stdin.write(_an_837("2", interchange_control_number="000000906").encode())
        process.stdin.close()
        second = json.loads(process.stdout.readline())

    assert first["source"] == "stdin: interchange 000000905, transaction 0001, claim 1"
    assert second["source"] == "stdin: interchange 000000906, transaction 0001, claim 1"


def test_memory_stays_the_same_however_long_the_pipe_is() -> None:
    """A hundred times as much X12 takes no more memory."""
    measured = (
        "import resource, sys; sys.argv = ['claimscrub', 'check', '-']\n"
        "from worker.cli import main\n"
        "try: main()\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    peaks = []
    for times in (20, 2_000):
        text = "".join([_an_837("1")] * times).encode()
        ended = subprocess.run([sys.executable, "-c", measured], input=text, capture_output=True, check=True)
        assert ended.stdout.count(b"\n") == times
        peaks.append(int(ended.stderr.split()[-1]))

    assert peaks[1] < peaks[0] * 1.15


def test_acknowledge_writes_277ca_interchanges(tmp_path: Path, decided: Callable[..., Path]) -> None:
    """Decisions of `check --with-claim` become 277CAs: on standard output, or as a file for each submitter."""
    path = decided("1", "2", "1")
    printed = _run("acknowledge", "--control-number", "7", path)
    saved = _run("acknowledge", "--control-number", "7", "--out", tmp_path / "out", "-", stdin=path.read_bytes())
    (name,) = saved.stdout.split()

    assert printed.exit_code == saved.exit_code == 0
    assert printed.stdout.startswith("ISA*")
    assert printed.stdout.count("*000000007*") == 1
    assert printed.stdout.count("STC*A1:") > 0
    assert "A7:476" in printed.stdout
    assert Path(name) == tmp_path / "out" / "277ca_SENDERID_000000007.edi"
    assert Path(name).read_text().count("STC*") == printed.stdout.count("STC*")


def test_export_writes_cleared_claims_as_an_837(decided: Callable[..., Path]) -> None:
    """What is exported can be checked again, with the claims' own segments; nothing flagged is in it."""
    result = _run("export", decided("1", "2", "1"))
    again = _run("check", "--with-claim", "-", stdin=result.stdout)

    assert result.exit_code == 0
    assert "flagged claims left out: 1" in result.stderr
    assert [each["claim"]["patient_control_number"] for each in _lines(again)] == ["P1", "P3"]
    before = _lines(_run("check", "--with-claim", "-", stdin=_an_837("1", "2", "1")))
    segments = [each["claim"]["x12"]["claim"]["segments"] for each in before]
    assert [each["claim"]["x12"]["claim"]["segments"] for each in _lines(again)] == [segments[0], segments[2]]


@pytest.mark.parametrize("command", ["acknowledge", "export"])
def test_what_is_no_decision_with_its_claim_is_named(command: str, decided: Callable[..., Path]) -> None:
    """A bare decision, an 837, other JSON and a claim that was not X12 are a line each; the rest is written."""
    good = decided("1").read_text()
    bare = _run("check", "-", stdin=_an_837("1")).stdout
    no_x12 = _run("check", "--with-claim", "-", stdin=as_json(claim_content(claim_id="J1"))).stdout
    result = _run(command, "-", stdin=bare + '{"x": 1}\n' + no_x12 + good)
    from_837 = _run(command, "-", stdin=_an_837("1"))

    assert result.exit_code == from_837.exit_code == 2
    assert result.stdout.count("ISA*") == 1
    assert "stdin:1: a decision without its claim; print both with: claimscrub check --with-claim" in result.stderr
    assert "claim J1:" in result.stderr
    assert len(result.stderr.splitlines()) == 3
    assert "claimscrub check --with-claim" in from_837.stderr


def test_acknowledge_syntax_writes_999s(tmp_path: Path) -> None:
    """--syntax answers the 837 itself: accepted, or rejected with what is wrong."""
    path = tmp_path / "bad.837"
    path.write_text(_an_837("1").replace("SE*", "SE*9", 1))
    good = _run("acknowledge", "--syntax", "-", stdin=_an_837("1"))
    bad = _run("acknowledge", "--syntax", path)

    assert good.exit_code == 0
    assert "AK9*A*1*1*1~" in good.stdout
    assert "AK9*A*" not in bad.stdout


def test_nothing_is_overwritten(tmp_path: Path, decided: Callable[..., Path]) -> None:
    """A file that is there already stays as it is; the error says so."""
    arguments = ("acknowledge", "--control-number", "7", "--out", tmp_path / "out", decided("1"))
    first, second = _run(*arguments), _run(*arguments)

    assert first.exit_code == 0
    assert second.exit_code == 3
    assert "is not overwritten" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["acknowledge"], "name the files to read, or --topics"),
        (["export", "--topics", "x"], "name the files to read, or --topics"),
        (["export", "--topics"], "--topics needs --out DIR"),
        (["export", "--follow", "1", "x"], "--follow goes with --topics"),
        (["acknowledge", "--syntax", "--topics", "--out", "x"], "--syntax takes 837 files"),
        (["submit"], "name the files to submit, or a folder with --watch"),
        (["submit", "--watch", "x", "y"], "name the files to submit, or a folder with --watch"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], said: str) -> None:
    """A wrong use is one sentence and exit code 2."""
    result = _run(*arguments)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_folder_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    """A missing folder ends in one sentence."""
    result = _run("submit", "--watch", tmp_path / "absent")

    assert result.exit_code == 3
    assert "no such folder" in result.stderr


def test_check_dates_a_receipt_that_nobody_dates() -> None:
    """An 837 has no date of receipt: it is judged as received today, or on the date that is named."""
    text = write_837([claim_content()])
    before = datetime.now(UTC).date().isoformat()
    received = [
        _lines(_run("check", *more, "-", stdin=text))[0]["received_date"] for more in ([], ["--as-of", "2026-08-10"])
    ]

    assert received[0] in {before, datetime.now(UTC).date().isoformat()}
    assert received[1] == "2026-08-10"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'[{"claim_id": ' + b"9" * 5_000 + b"}]", "not JSON: a number too long; what follows was not read"),
        (b"[" * 100_000, "not JSON: nested too deep; what follows was not read"),
        (b"\x1d", "not JSON: Expecting value in column 1; what follows was not read"),
    ],
    ids=["number", "depth", "separator"],
)
def test_what_python_does_not_read_is_named(raw: bytes, said: str) -> None:
    """Numbers of thousands of digits, brackets without end and blanks of another kind are one line each."""
    (item,) = read_stream(io.BytesIO(raw), "file")
    with pytest.raises(ClaimError, match=re.escape(said)):
        item.read()


def test_lines_of_an_array_are_counted() -> None:
    """Each claim of an array is named by the line on which it begins, however many stand before it."""
    items = list(read_stream(io.BytesIO(b"\n[{},\n\n{}, {},\n{}]"), "file"))
    assert [item.source for item in items] == ["file:2", "file:4", "file:4", "file:5"]
