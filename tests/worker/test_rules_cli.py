"""The commands about the rules, as a user meets them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import rules
from rules.engine.ids import RETIRED, next_id
from worker import rules_cli
from worker.cli import main

ROOT = Path(__file__).parents[2]


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments])


# ---- list and explain


def test_list_names_every_rule() -> None:
    """The list has each rule with severity and title, as a table or as JSON."""
    table = _run("list")
    lines = [json.loads(line) for line in _run("list", "--json").stdout.splitlines()]

    assert "units-over-daily-limit" in table.stdout
    assert {"id": "UNT001", "severity": "error"}.items() <= next(
        each for each in lines if each["id"] == "UNT001"
    ).items()
    assert [each["id"] for each in lines] == sorted(rules.RuleSet.load().rules)


def test_list_can_be_narrowed() -> None:
    """By family, by severity, and to those that speak for a payer, with the severity they have there."""

    def listed(*options: str) -> dict[str, str]:
        lines = [json.loads(line) for line in _run("list", "--json", *options).stdout.splitlines()]
        return {each["id"]: each["severity"] for each in lines}

    units, aetna = listed("--family", "units"), listed("--payer", "aetna")

    assert {rule_id[:3] for rule_id in units} == {"UNT"}
    assert listed("--family", "UNT") == units
    assert set(listed("--severity", "warning").values()) == {"warning"}
    assert "CMP005" not in aetna
    assert "CMP005" in listed("--payer", "MEDICARE_FFS")
    assert aetna["HIS008"] == "warning"
    assert listed()["HIS008"] == "error"


def test_list_of_what_is_not_there() -> None:
    """An unknown family or payer ends in one sentence that names those there are."""
    family, payer = _run("list", "--family", "moods"), _run("list", "--payer", "ACME")

    assert (family.exit_code, payer.exit_code) == (2, 2)
    assert "no family moods; there are completeness, coding" in family.stderr
    assert "no payer ACME; there are AETNA, " in payer.stderr


@pytest.mark.parametrize("wanted", ["UNT001", "unt001", "units-over-daily-limit"])
def test_explain_takes_id_or_name(wanted: str) -> None:
    """A rule is explained by its id or its name."""
    result = _run("explain", wanted)

    assert result.exit_code == 0
    assert result.stdout.startswith("# UNT001 units-over-daily-limit")


def test_explain_says_what_applies() -> None:
    """With a date, payer or claim type: whether the rule speaks, how severely, with which values from which source."""
    day_before = _run("explain", "UNT001", "--for-date", "2024-06-30", "--payer", "aetna").stdout
    first_day = _run("explain", "UNT001", "--for-date", "2024-07-01", "--payer", "AETNA").stdout

    assert "## Services of 2024-06-30: AETNA" in day_before
    assert "warning; error by itself, lowered because units.daily_limit is presumed" in day_before
    assert "- **Severity**: error" in first_day
    assert "`cms-mue-2024q3`" in first_day
    assert "It does not speak" in _run("explain", "CMP008", "--claim-type", "professional").stdout
    assert "MEDICARE_FFS" in _run("explain", "HIS008", "--for-date", "2026-08-03").stdout


def test_explain_says_what_applies_under_a_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the overlay changes, why, and what its own values are; an overlay that is not there is named."""
    monkeypatch.setenv("CLAIMSCRUB_CONTRACTS_FOLDER", str(ROOT / "docs" / "examples" / "contracts"))

    def told(rule_id: str, contract: str = "example-spine") -> Result:
        return _run("explain", rule_id, "--contract", contract, "--payer", "AETNA", "--for-date", "2026-08-03")

    silent, raised, own = told("FAC002").stdout, told("AUT001").stdout, told("HIS008").stdout
    nobody = told("FAC002", "nobody")

    assert "Its findings are put aside: Contract 2026-14, section 7" in silent
    assert "error instead of warning: Contract 2026-14, section 5" in raised
    assert "limit 60" in own
    assert "contract:example-spine" in own
    assert (nobody.exit_code, "no contract nobody; expected one of example-spine" in nobody.stderr) == (2, True)
    monkeypatch.delenv("CLAIMSCRUB_CONTRACTS_FOLDER")
    assert "overlays in the folder of CLAIMSCRUB_CONTRACTS_FOLDER" in told("FAC002").stderr


def test_an_unknown_rule_or_payer_is_named() -> None:
    """An unknown id ends in one sentence that says where to look; so does an unknown payer."""
    result = _run("explain", "ZZZ999")

    assert result.exit_code == 2
    assert result.stderr == "claimscrub: no rule ZZZ999; see: claimscrub rules list\n"
    assert "no payer ACME" in _run("explain", "UNT001", "--payer", "ACME").stderr
    assert _run("explain", "UNT001", "--for-date", "soon").exit_code == 2


# ---- test


def test_a_rule_is_tested_with_its_examples_and_cases() -> None:
    """A line for each example and case, and how many there were."""
    result = _run("test", "UNT001", "cod010")
    lines = result.stdout.splitlines()

    assert result.exit_code == 0
    assert lines[0] == "ok      UNT001 clean example 1"
    assert "ok      UNT001 flagged example 1" in lines
    assert "ok      COD010 case: 26 on a generator" in lines
    assert lines[-1] == f"{len(lines) - 1} ok, 0 failed"


def test_an_unknown_rule_can_t_be_tested() -> None:
    """It is named, with exit code 2."""
    assert _run("test", "ZZZ999").exit_code == 2


def test_elsewhere_only_the_examples_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package has no cases; that is said, and the examples are judged all the same."""
    monkeypatch.setattr(rules_cli, "checkout", lambda: None)
    result = _run("test", "UNT001")

    assert result.exit_code == 0
    assert "case:" not in result.stdout
    assert "only the rules' own examples" in result.stderr


# ---- in a source tree of its own


class Tree:
    """A copy of the source tree, whose rules can be changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for part in ("rules", "worker", "tests/rules/cases"):
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "CHANGELOG.md"):
            shutil.copy(ROOT / file, root / file)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; sys.path.insert(0, '.'); from worker.cli import main; main(prog_name='claimscrub')"
        return subprocess.run(
            [sys.executable, "-B", "-c", code, "rules", *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )

    def path(self, pattern: str) -> Path:
        (path,) = self.root.glob(pattern)
        return path


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


FILLED = {
    '""""""': '"""A line of more than ninety-nine units.\n\nNobody has so many.\n"""',
    'title=""': 'title="Too many units"',
    'reason=""': 'reason="UNITS_MUE"',
    'remedy=""': 'remedy="Correct the units."',
    "citations=()": 'citations=("cms-mue-2024q3",)',
    'field=""': 'field="lines[].units"',
    "flagged=()": 'flagged=(a_claim(lines=[a_line("C9999", units=100)]),)',
    "return None": 'return "too many" if line.units and line.units > 99 else None',
}


def test_a_new_rule_from_its_first_file_to_its_last_case(tree: Tree) -> None:
    """Files with the next id; the engine refuses them until they are filled in; what is missing is told."""
    made = tree.run("new", "units", "more-units-than-anyone-has")
    rule_id = made.stdout.split()[0]
    path = tree.path("rules/units/*_more_units_than_anyone_has.py")
    cases = tree.path(f"tests/rules/cases/{rule_id.lower()}.yaml")

    assert made.returncode == 0, made.stderr
    assert rule_id == next_id("UNT", rules.RuleSet.load().rules)
    assert path.name.startswith(rule_id.lower())
    for named in (path, cases):
        assert str(named.relative_to(tree.root)) in made.stdout
    assert f"claimscrub rules test {rule_id}" in made.stdout

    refused = tree.run("list")
    assert refused.returncode == 3
    assert path.name in refused.stderr
    missing = tree.run("test", rule_id)
    assert missing.returncode == 1
    assert f"FAILED  {rule_id} is not finished." in missing.stdout
    told = [line.strip() for line in missing.stdout.splitlines()[1:]]
    assert told[1:-1] == ["title", "reason", "remedy", "citations", "field", "flagged"]
    assert told[0].startswith("the docstring")
    assert told[-1].startswith("the check")

    text = path.read_text()
    for blank, filling in FILLED.items():
        assert text.count(blank) == 1
        text = text.replace(blank, filling)
    path.write_text(text)
    untested = tree.run("test", rule_id)
    assert untested.returncode == 1
    assert f"ok      {rule_id} flagged example 1" in untested.stdout
    assert (
        f"FAILED  {rule_id} case: a claim that has the defect\n        1 findings expected, 0 found" in untested.stdout
    )
    assert "at least 4 are expected, there are 2" in untested.stdout

    cases.write_text(
        "- name: clean\n"
        "- {name: ninety-nine, lines: [{procedure_code: C9999, units: 99}]}\n"
        "- {name: a hundred, lines: [{procedure_code: C9999, units: 100}], findings: [{line: 1, severity: warning}]}\n"
        "- {name: none, lines: [{procedure_code: C9999, units: null}]}\n"
    )
    finished = tree.run("test", rule_id)
    assert finished.returncode == 0, finished.stdout
    assert finished.stdout.endswith("6 ok, 0 failed\n")

    changelog = tree.root / "CHANGELOG.md"
    changelog.write_text(
        changelog.read_text().replace("## Unreleased", f"## Unreleased\n\n### Rules\n\n- {rule_id}\n", 1)
    )
    assert tree.run("docs", "pages").returncode == 0
    assert f"- Unreleased: {rule_id}" in tree.path(f"pages/{rule_id.lower()}_*.md").read_text()


def test_an_example_or_case_that_fails_is_told_and_the_rest_judged(tree: Tree) -> None:
    """A failing example, a failing case, and files of cases that are missing or broken, with what differs."""
    path = tree.path("rules/units/unt001_*.py")
    path.write_text(
        path.read_text().replace("    clean=(", '    clean=(\n        a_claim(lines=[a_line(units="2")]),', 1)
    )
    (tree.root / "tests/rules/cases/cmp010.yaml").unlink()
    (tree.root / "tests/rules/cases/cmp002.yaml").write_text("- nonsense")
    result = tree.run("test")

    assert result.returncode == 1
    assert "FAILED  UNT001 clean example 1\n        a finding: error: line 1: 2 units of 63685" in result.stdout
    assert "ok      UNT001 clean example 2" in result.stdout
    assert "FAILED  CMP010 cases in tests/rules/cases/cmp010.yaml\n        there is no such file" in result.stdout
    assert "FAILED  CMP002 cases in tests/rules/cases/cmp002.yaml\n        case 1: expected a name" in result.stdout
    assert result.stdout.endswith(" ok, 3 failed\n")


@pytest.mark.parametrize("scope", ["group", "claim", "history"])
def test_a_new_rule_of_another_scope(tree: Tree, scope: str) -> None:
    """The check has what a check of its scope is called with; it is refused for its blanks and for nothing else."""
    assert tree.run("new", "HIS", "strange-thing-before", "--scope", scope).returncode == 0
    path = tree.path("rules/history/*_strange_thing_before.py")
    text = path.read_text()

    assert path.name.startswith("his022_")
    assert f'scope="{scope}"' in text
    for blank, filling in FILLED.items():
        text = text.replace(blank, filling if "line." not in filling else "return None if claim else None")
    path.write_text(text.replace('a_claim(lines=[a_line("C9999", units=100)])', "a_claim()"))
    result = tree.run("test", "HIS022")
    assert "ok      HIS022 clean example 1" in result.stdout
    assert "FAILED  HIS022 flagged example 1\n        no finding" in result.stdout


@pytest.mark.parametrize(
    ("family", "name", "said"),
    [
        ("moods", "bad-mood", "no family moods; there are completeness, coding"),
        ("units", "units", "at least two words"),
        ("units", "Units-Over", "small letters"),
        ("units", "units_over", "joined by hyphens"),
        ("units", "-".join(["units"] * 12), "at most 50 characters"),
        ("units", "check-units", "states the defect"),
        ("coding", "units-over-daily-limit", "is the name of UNT001"),
        ("history", "exact-duplicate", "is the name of HIS001"),
    ],
)
def test_a_name_that_can_t_be_is_refused(family: str, name: str, said: str) -> None:
    """With the reason; nothing is written."""
    result = _run("new", family, name)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_new_rule_needs_the_source_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package is no place for a rule."""
    monkeypatch.setattr(rules_cli, "checkout", lambda: None)
    result = _run("new", "units", "units-out-of-bounds")

    assert result.exit_code == 2
    assert "needs the source tree" in result.stderr


def test_ids_that_are_kept_are_not_handed_out() -> None:
    """A retired id is nobody's, and the next free one lies beyond it and what is built."""
    built = rules.RuleSet.load().rules

    assert not set(built) & set(RETIRED)
    assert not {rule.name for rule in built.values()} & {name for name, _ in RETIRED.values()}
    assert next_id("HIS", built) == "HIS022"
    assert next_id("COV", ["COV001"]) == "COV002"
    assert next_id("UNT", []) == "UNT001"
