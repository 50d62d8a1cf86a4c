"""The generated documentation: it is what the rules and their data say now, whole, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from rules import RuleSet
from rules.engine.pages import MARK, anchor, page_name, pages
from worker.cli import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "rules"


@pytest.fixture(scope="module")
def made(ruleset: RuleSet) -> dict[str, str]:
    return pages(ruleset, (ROOT / "CHANGELOG.md").read_text())


def test_the_pages_are_those_of_the_rules(tmp_path: Path) -> None:
    """What stands in docs/rules is what `make docs` would write now."""
    assert CliRunner().invoke(main, ["rules", "docs", str(tmp_path)]).exit_code == 0
    fresh = {path.name: path.read_text() for path in tmp_path.iterdir()}
    held = {path.name: path.read_text() for path in DOCS.glob("*")}
    differing = sorted(name for name in {*fresh, *held} if fresh.get(name) != held.get(name))

    assert not differing, f"docs/rules is not what the rules say: run `make docs` ({', '.join(differing[:5])} …)"


def test_they_are_the_same_each_time(made: dict[str, str]) -> None:
    """The same rules give the same pages, in another order of sets too."""
    assert pages(RuleSet.load(), (ROOT / "CHANGELOG.md").read_text()) == made


def test_every_rule_has_a_page_with_all_there_is_to_know(ruleset: RuleSet, made: dict[str, str]) -> None:
    """Each page has the rule's words, codes, remedy, sources, examples of both kinds, and is in the index."""
    for rule in ruleset.rules.values():
        page = made[page_name(rule)]
        category = ruleset.reference.categories[rule.reason]
        flagged, _, clean = page.partition("## Clean")
        assert page.startswith(f"{MARK}\n\n# {rule.id} {rule.name}\n\n{rule.documentation}")
        assert rule.remedy in page
        assert f"CARC {category.carc}" in page
        assert flagged.count("[clean ") == len(rule.flagged)
        assert clean.count("[clean ") == len(rule.clean)
        assert "\n> **" in flagged
        assert "\n> **error" not in clean
        assert all(f"reference.md#{key}" in page for key in rule.citations)
        assert all(f"`{name}`" in page for name in rule.policy)
        assert f"]({page_name(rule)})" in made["README.md"]


def test_claims_on_file_are_shown(ruleset: RuleSet, made: dict[str, str]) -> None:
    """Each example shows every claim on file, also one that doesn't count, and how it differs from a clean claim."""
    for rule in ruleset.rules.values():
        on_file = [each for example in (*rule.flagged, *rule.clean) for each in example.on_file]
        assert made[page_name(rule)].count("\n- Claim EARLIER-") == len(on_file)
    page = made[page_name(ruleset.rules["HIS001"])]
    assert "received on 2026-08-10, rejected: 63685 on 2026-08-03, place of service 22, 1 unit, 9500.00\n" in page
    page = made[page_name(ruleset.rules["HIS021"])]
    assert "no answer on file, biller 1003004502, no tax number, biller's taxonomy 261QA1903X: 63685" in page
    assert "9500.00, no rendering provider\n" in page
    page = made[page_name(ruleset.rules["HIS005"])]
    assert "account PCN-1, frequency 8, original reference ICN1, received on 2026-08-10, voided\n" in page


def test_all_links_lead_somewhere(made: dict[str, str]) -> None:
    """Every link is to a page and a heading or source that are there, or to a file of the source tree."""
    anchors = {
        name: {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
        | set(re.findall(r'<a id="([^"]+)">', text))
        for name, text in made.items()
    }
    for name, text in made.items():
        for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", text):
            page, _, place = target.partition("#")
            if page.startswith("../"):
                assert (DOCS / page).resolve().exists(), f"{name}: {target}"
            else:
                assert (page or name) in made, f"{name}: {target}"
                assert not place or place in anchors[page or name], f"{name}: {target}"


def test_no_heading_is_there_twice(made: dict[str, str]) -> None:
    """A link to a heading is to that heading, and not to another of the same name."""
    for name, text in made.items():
        outside_code = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        headings = [anchor(heading) for heading in re.findall(r"^#+ (.+)$", outside_code, re.MULTILINE)]
        assert len(headings) == len(set(headings)), name


def test_tables_are_whole(made: dict[str, str]) -> None:
    """Every row of a table has the cells of its head, whatever characters a cell holds."""
    for name, text in made.items():
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
            assert len(widths) == 1, f"{name}: {table[:200]}"


def test_indexes_name_codes_payers_and_values(ruleset: RuleSet, made: dict[str, str]) -> None:
    """Each payer, value and source has its place, and the generator's code leads to its rules."""
    assert all(f"\n## {key}\n" in made["by-payer.md"] for key in ruleset.profiles)
    assert all(f"\n## `{name}`\n" in made["reference.md"] for name in ruleset.reference.policies)
    assert all(f'<a id="{key}">' in made["reference.md"] for key in ruleset.reference.citations)
    (row,) = re.findall(r"^\| 63685 \|.*$", made["by-code.md"], re.MULTILINE)
    assert "[FAC001]" in row
    assert "[UNT003]" in row
    by_modifier = made["by-code.md"].partition("## By modifier")[2].partition("## ")[0]
    (row,) = re.findall(r"^\| [^|]*\b59\b[^|]*\|.*$", by_modifier, re.MULTILINE)
    assert "[COD008]" in row
    assert "UNITS_MUE" in made["by-code.md"]


CHANGES = """
## Unreleased

### Added

- UNT001 in a section that is not about rules.

### Rules

- Coding: COD001 to COD003,
  and COD005-COD006.
- Tables of July.

## 0.1.0

### Rules

- Units: UNT001.
- COD001 again.
"""


def test_the_history_of_a_rule_is_what_the_changelog_says_of_it(ruleset: RuleSet) -> None:
    """Entries under Rules that name a rule, or a range it is in, are on its page with their version."""
    made = pages(ruleset, CHANGES)

    def changes(rule_id: str) -> list[str]:
        text = made[page_name(ruleset.rules[rule_id])].partition("## Changes\n")[2].partition("\nThe rule is")[0]
        return text.strip().splitlines()

    coding = "- Unreleased: Coding: COD001 to COD003, and COD005-COD006."
    assert changes("COD001") == [coding, "- 0.1.0: COD001 again."]
    assert changes("COD002") == changes("COD006") == [coding]
    assert changes("COD004") == []
    assert changes("UNT001") == ["- 0.1.0: Units: UNT001."]


def test_pages_that_are_no_more_are_removed_and_other_files_left(tmp_path: Path) -> None:
    """A stale page goes; a file that was not generated stays, and is never overwritten."""
    (tmp_path / "old001_gone.md").write_text(f"{MARK}\n\n# Gone\n")
    (tmp_path / "notes.md").write_text("# Ours\n")
    result = CliRunner().invoke(main, ["rules", "docs", str(tmp_path)])

    assert result.stdout.endswith(", 1 removed\n")
    assert not (tmp_path / "old001_gone.md").exists()
    assert (tmp_path / "notes.md").read_text() == "# Ours\n"
    (tmp_path / "by-code.md").write_text("# Ours too\n")
    result = CliRunner().invoke(main, ["rules", "docs", str(tmp_path)])

    assert result.exit_code == 2
    assert "by-code.md was not written by this command" in result.stderr
    assert (tmp_path / "by-code.md").read_text() == "# Ours too\n"
