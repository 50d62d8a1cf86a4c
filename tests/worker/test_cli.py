"""The command line as a user meets it: output, error sentences, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rules.engine.examples import a_line, as_json, claim_content
from tests.worker_process import of_member
from worker.cli import main
from worker.settings import Settings, SettingsError, load_settings


def _claim(claim_id: str, units: str = "1", **changes: Any) -> str:
    """A claim of a member of its own."""
    content = claim_content(claim_id=claim_id, lines=[a_line(units=units)], **changes)
    return as_json(of_member(int.from_bytes(claim_id.encode()) % 1_000_000, content))


def _run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=stdin)


def _decisions(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_check_prints_a_decision_per_claim_in_order(tmp_path: Path) -> None:
    """NDJSON in, one decision a line out, in the order of the input; exit code 1 when something is flagged."""
    path = tmp_path / "claims.ndjson"
    path.write_text("\n".join([_claim("A"), "", _claim("B", units="2"), _claim("C")]))
    result = _run("check", str(path))

    assert result.exit_code == 1
    assert [(each["claim_id"], each["disposition"]) for each in _decisions(result)] == [
        ("A", "cleared"),
        ("B", "flagged"),
        ("C", "cleared"),
    ]
    (finding,) = (each for each in _decisions(result)[1]["findings"] if each["severity"] == "error")
    assert {"rule_id", "severity", "carc", "rarc", "line", "message", "remedy", "citations"} <= set(finding)
    assert "CMP021" in {each["rule_id"] for each in _decisions(result)[0]["not_evaluated"]}
    assert _decisions(result)[1]["source"] == f"{path}:3"


def test_check_of_clean_claims_exits_0(tmp_path: Path) -> None:
    """Nothing flagged and nothing unreadable is exit code 0."""
    path = tmp_path / "claim.json"
    path.write_text(json.dumps(json.loads(_claim("A")), indent=2))
    result = _run("check", str(path))

    assert result.exit_code == 0
    assert [each["claim_id"] for each in _decisions(result)] == ["A"]


@pytest.mark.parametrize(
    "text",
    [
        "[{a},{b}]",
        "[\n  {a},\n  {b}\n]\n",
        "{a}{b}",
        "{a}\n{b}",
        "{a}\r\n\r\n{b}\r\n",
        "\ufeff{a}\n{b}\n",
        "{pretty_a}\n{pretty_b}\n",
        "\n\n{pretty_a}{b}",
    ],
)
def test_check_reads_json_however_it_is_laid_out(tmp_path: Path, text: str) -> None:
    """An array, objects one after another, indented or one a line: all are read."""
    path = tmp_path / "claims.json"
    plain = {"a": _claim("A"), "b": _claim("B")}
    for name, claim in plain.items():
        text = text.replace(f"{{pretty_{name}}}", json.dumps(json.loads(claim), indent=1))
        text = text.replace(f"{{{name}}}", claim)
    path.write_text(text, encoding="utf-8")
    result = _run("check", str(path))

    assert result.stderr == ""
    assert [each["claim_id"] for each in _decisions(result)] == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "read", "said"),
    [
        ("{a}\nbroken\n{b}\n", ["A", "B"], ":2: $: not JSON"),
        ("broken\n{a}\n", ["A"], ":1: $: not JSON"),
        ('{a}\n{"claim_id":"X"}\n{b}\n', ["A", "B"], ":2: claim_type: missing; expected a value"),
        ("[{a}, broken, {b}]", ["A"], "what follows was not read"),
        ("[{a}", ["A"], None),
        ("", [], "empty"),
        ("   \n", [], "empty"),
        ("ISA*00*", [], "X12"),
        ("just words\n", [], "not JSON"),
        ("{a}\n[]\n", ["A"], ":2: $: not an object"),
        ("[" * 50_000, [], "nested too deep"),
    ],
)
def test_check_names_what_is_unreadable_and_reads_the_rest(
    tmp_path: Path, text: str, read: list[str], said: str | None
) -> None:
    """Each unreadable thing is one line on standard error with file, line, problem; the exit code is 2."""
    path = tmp_path / "claims.txt"
    path.write_text(text.replace("{a}", _claim("A")).replace("{b}", _claim("B")))
    result = _run("check", str(path))

    assert [each["claim_id"] for each in _decisions(result)] == read
    assert "Traceback" not in result.stderr
    if said is None:
        assert result.exit_code == 0
    else:
        assert said in result.stderr
        assert result.exit_code == 2


def test_unreadable_weighs_more_than_flagged(tmp_path: Path) -> None:
    """With both, the exit code is 2; a later file is still read."""
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_bytes(b"\xff\xfe")
    good.write_text(_claim("A", units="2"))
    result = _run("check", str(bad), str(tmp_path / "absent"), str(good))

    assert result.exit_code == 2
    assert "not UTF-8" in result.stderr
    assert "absent: No such file" in result.stderr
    assert [each["disposition"] for each in _decisions(result)] == ["flagged"]


def test_check_reads_standard_input() -> None:
    """A dash is standard input."""
    result = _run("check", "-", stdin=_claim("A"))

    assert result.exit_code == 0
    assert _decisions(result)[0]["source"] == "stdin:1"


def test_check_as_of_another_day(tmp_path: Path) -> None:
    """--as-of judges as if the claim had been received that day; a bad date is refused."""
    path = tmp_path / "claim.json"
    path.write_text(_claim("A"))
    late = _run("check", "--as-of", "2028-01-31", str(path))

    assert _decisions(late)[0]["received_date"] == "2028-01-31"
    assert "HIS008" in {finding["rule_id"] for finding in _decisions(late)[0]["findings"]}
    assert _run("check", "--as-of", "someday", str(path)).exit_code == 2


def test_settings_are_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting stands there with its variable, and no password is printed."""
    monkeypatch.setenv("CLAIMSCRUB_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("CLAIMSCRUB_SASL_USERNAME", "scrubber")
    monkeypatch.setenv("CLAIMSCRUB_SASL_PASSWORD", "hush-hush")
    result = _run("settings")

    for name in Settings.model_fields:
        assert f"CLAIMSCRUB_{name.upper()}" in result.stdout
    assert "scrubber" in result.stdout
    assert "hush" not in result.stdout


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CLAIMSCRUB_PARTITIONS": "many"}, "CLAIMSCRUB_PARTITIONS"),
        ({"CLAIMSCRUB_LOG_FORMAT": "xml"}, "CLAIMSCRUB_LOG_FORMAT"),
        (
            {"CLAIMSCRUB_SECURITY_PROTOCOL": "SASL_SSL"},
            "CLAIMSCRUB_SASL_USERNAME and CLAIMSCRUB_SASL_PASSWORD are needed",
        ),
        ({"CLAIMSCRUB_FLAGGED_TOPIC": "claims.cleared"}, "a name of its own"),
        ({"CLAIMSCRUB_X12_TOPIC": "claims.submitted"}, "a name of its own"),
        ({"CLAIMSCRUB_MAX_CLAIM_BYTES": "9000000"}, "CLAIMSCRUB_MAX_MESSAGE_BYTES must be larger"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str) -> None:
    """A setting that can't be is one sentence with the variable's name."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        load_settings()
    result = _run("settings")

    assert result.exit_code == 3
    assert said in result.stderr


OVERLAY = "name: Example Spine Clinic\nbilling_npis: ['1234567893']\npayers:\n  ANY:\n    rules:\n"


@pytest.fixture
def contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of contract overlays that the settings name."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    monkeypatch.setenv("CLAIMSCRUB_CONTRACTS_FOLDER", str(folder))
    return folder


def test_check_applies_the_contracts_and_shows_what_they_changed(contracts: Path) -> None:
    """A silenced finding is put aside, and stands in the decision with the reason."""
    (contracts / "spine.yaml").write_text(OVERLAY + "      UNT001: {silent: true, why: Two are agreed}\n")
    result = _run("check", "-", stdin=_claim("A", units="2"))
    (decision,) = _decisions(result)
    (silenced,) = decision["silenced"]

    assert result.exit_code == 0
    assert decision["contract"] == "spine"
    assert {"UNT001"} & {each["rule_id"] for each in decision["findings"]} == set()
    assert (silenced["rule_id"], silenced["line"], silenced["severity"]) == ("UNT001", 1, "error")
    assert (silenced["by"], silenced["why"]) == ("contract spine", "Two are agreed")


def test_check_shows_a_changed_severity(contracts: Path) -> None:
    """A lowered finding says what it would have been, by whom it was lowered, and why."""
    (contracts / "spine.yaml").write_text(OVERLAY + "      UNT001: {severity: info, why: Two are agreed}\n")
    (decision,) = _decisions(_run("check", "-", stdin=_claim("A", units="2")))
    (finding,) = [each for each in decision["findings"] if each["rule_id"] == "UNT001"]

    assert finding["severity"] == "info"
    assert finding["change"] == {"severity": "error", "by": "contract spine", "why": "Two are agreed"}


@pytest.mark.parametrize("command", [("check", "-"), ("rules", "list"), ("worker",)])
def test_a_bad_contract_stops_every_command_with_file_and_line(contracts: Path, command: tuple[str, ...]) -> None:
    """One sentence and exit code 3, before a claim is judged or a broker asked."""
    (contracts / "spine.yaml").write_text(OVERLAY + "      UNT999: {silent: true, why: w}\n")
    result = _run(*command, stdin=_claim("A"))

    assert result.exit_code == 3
    assert result.stdout == ""
    assert "claimscrub: spine.yaml:6: payers.ANY.rules.UNT999: no rule UNT999" in result.stderr


def test_a_contracts_folder_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that was not mounted is a mistake of the settings."""
    monkeypatch.setenv("CLAIMSCRUB_CONTRACTS_FOLDER", "/nowhere/contracts")
    result = _run("check", "-", stdin=_claim("A"))

    assert result.exit_code == 3
    assert "CLAIMSCRUB_CONTRACTS_FOLDER" in result.stderr
