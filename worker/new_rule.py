"""A new rule's files: the rule with its blanks to be filled in, and its boundary cases.

The blanks are such that the engine refuses the rule until they are filled: nothing unfinished ever judges a claim.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import rules
from rules.engine.ids import RETIRED, next_id
from rules.engine.rule import ADVICE, FAMILIES, Scope

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+")
_LONGEST_NAME = 50
_RULE_FILE = re.compile(r"([a-z]{3}\d{3})_(\w+)")
_FILLED_IN = ("title", "reason", "remedy", "citations", "field", "clean", "flagged")

_RULE = '''\
""""""  # What is flagged, a sentence with a full stop. A blank line, then why. A blank line, then known limits.

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import {claim_import}
from rules.engine.decision import Severity
from rules.engine.examples import a_claim, a_line
{group_import}from rules.engine.rule import rule


@rule(
    title="",  # what is wrong, in at most 60 characters, without a full stop
    severity=Severity.WARNING,  # ERROR only where a confirmed fact is broken
    reason="",  # a category of rules/reference/x12/failure_categories.csv, such as UNITS_MUE
    remedy="",  # what to do, one imperative sentence
    citations=(),  # keys of rules/reference/citations.yaml
    field="",  # the field concerned as a path in the claim, such as lines[].units
{scope}    clean=(a_claim(),),
    flagged=(),  # claims that must be flagged, such as a_claim(lines=[a_line(units=2)])
)
def check({parameters}, policy: Mapping[str, Any]) -> str | None:
    return None  # or the fact with its numbers, without a full stop
'''
_CHECKS: Mapping[Scope, tuple[str, str, str]] = {
    "line": ("claim: Claim, line: ServiceLine", "Claim, ServiceLine", ""),
    "group": ("claim: Claim, group: LineGroup", "Claim", "from rules.engine.grouping import LineGroup\n"),
    "claim": ("claim: Claim", "Claim", ""),
    "history": ("claim: Claim, history: History", "Claim", "from rules.engine.history import History\n"),
}
_CASES = """\
# A case is the builders' clean claim with changes, and the findings of {id} it gets; none named, it must be silent.
# How a case is written: rules/engine/cases.py. At least four: every branch of the check, both sides of each limit, the
# day before and the day of each date, the payers where it differs.
- name: a clean claim
- name: a claim that has the defect
  lines: [{{procedure_code: "63685"}}]
  findings: [{{line: 1, severity: warning}}]
"""


class NewRuleError(ValueError):
    """A rule can't be made so; the message says why."""


def checkout() -> Path | None:
    """The root of the source tree that the rules are run from; None for an installed package."""
    root = Path(rules.__file__).parents[1]
    return root if cases_folder(root).is_dir() and (root / "pyproject.toml").exists() else None


def cases_folder(root: Path) -> Path:
    """Where the boundary cases are."""
    return root / "tests" / "rules" / "cases"


def family_prefix(family: str) -> str:
    """The prefix of a family that is given by its name or its prefix, for example COD.

    Raises:
        NewRuleError: it is not known.
    """
    prefixes = {folder: prefix for prefix, folder in FAMILIES.items()} | {prefix: prefix for prefix in FAMILIES}
    prefix = prefixes.get(family.lower()) or prefixes.get(family.upper())
    if prefix is None:
        raise NewRuleError(f"no family {family}; there are {', '.join(FAMILIES.values())}")
    return prefix


def make_rule(root: Path, family: str, name: str, scope: Scope) -> tuple[str, Path, Path]:
    """Write the files of a new rule.

    Args:
        root: the root of the source tree.
        family: a family's name or its prefix, for example coding or COD.
        name: what is wrong, as words joined by hyphens, for example units-over-daily-limit.
        scope: what the check is called with.

    Returns:
        The id, the rule's file, and the file of its cases.

    Raises:
        NewRuleError: the family is not known, or the name can't be.
    """
    prefix = family_prefix(family)
    built = {rule_id: _name_of(path) for rule_id, path in _rule_files(root)}
    _check_name(name, built)
    rule_id = next_id(prefix, built)
    path = root / "rules" / FAMILIES[prefix] / f"{rule_id.lower()}_{name.replace('-', '_')}.py"
    cases = cases_folder(root) / f"{rule_id.lower()}.yaml"
    parameters, claim_import, group_import = _CHECKS[scope]
    path.write_text(
        _RULE.format(
            parameters=parameters,
            claim_import=claim_import,
            group_import=group_import,
            scope="" if scope == "line" else f'    scope="{scope}",\n',
        ),
        encoding="utf-8",
    )
    cases.write_text(_CASES.format(id=rule_id), encoding="utf-8")
    return rule_id, path, cases


def rule_file(root: Path, rule_id: str) -> Path | None:
    """The file of a rule, whether or not the engine takes it yet."""
    return dict(_rule_files(root)).get(rule_id)


def blanks(path: Path) -> list[str]:
    """What of a rule's file is still to be filled in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = []
    if not (ast.get_docstring(tree) or "").split("\n\n")[0].endswith("."):
        missing.append("the docstring, whose first sentence says what is flagged")
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"):
        given = [keyword for call in function.decorator_list if isinstance(call, ast.Call) for keyword in call.keywords]
        missing += [each.arg for each in given if each.arg in _FILLED_IN and _is_blank(each.value)]
        if ast.unparse(function.body[-1]) == "return None" and len(function.body) == 1:
            missing.append("the check, which returns None for every claim")
    return missing


def _is_blank(value: ast.expr) -> bool:
    return ast.unparse(value) in {"''", "()", "[]"}


def _rule_files(root: Path) -> Iterator[tuple[str, Path]]:
    for family in FAMILIES.values():
        for path in sorted((root / "rules" / family).glob("*.py")):
            if found := _RULE_FILE.fullmatch(path.stem):
                yield found[1].upper(), path


def _name_of(path: Path) -> str:
    return path.stem.partition("_")[2].replace("_", "-")


def _check_name(name: str, built: Mapping[str, str]) -> None:
    if not _NAME.fullmatch(name):
        raise NewRuleError(
            f"{name}: a name is at least two words of small letters and digits, joined by hyphens, such as "
            "units-over-daily-limit"
        )
    if len(name) > _LONGEST_NAME:
        raise NewRuleError(f"{name}: a name has at most {_LONGEST_NAME} characters")
    if ADVICE.match(name):
        raise NewRuleError(f'{name}: a name states the defect and reads after "this claim has"; advice is the remedy')
    for rule_id, other in built.items():
        if other == name:
            raise NewRuleError(f"{name}: is the name of {rule_id}")
    for rule_id, (other, why) in RETIRED.items():
        if other == name:
            raise NewRuleError(f"{name}: is kept for {rule_id} ({why})")
