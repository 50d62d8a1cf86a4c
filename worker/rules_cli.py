"""The commands about the rules: list, explain, test, new, docs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import cast

import click
from pydantic_core import to_json
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from rules import RuleSet, Severity
from rules.engine.cases import FEWEST_CASES, CaseError, case_differences, example_differences, read_cases
from rules.engine.explain import explain, explain_for
from rules.engine.pack import compile_rule
from rules.engine.pages import MARK, pages
from rules.engine.rule import PARAMETERS, Rule, Scope
from worker.new_rule import NewRuleError, blanks, cases_folder, checkout, family_prefix, make_rule, rule_file
from worker.rulebook import load_rulebook
from worker.settings import PREFIX, load_settings
from worker.terminal import DAY, FLAGGED, clear_errors, console, refusal, say, today

_CLAIM_TYPES = click.Choice(["professional", "institutional"])
_WIDEST_TEXT = 110


class _Untested(RuleSet):
    """A rule set that is taken although an example of a rule may fail: `rules test` tells which."""

    def check_examples(self) -> None:
        """Leave it to the command."""


def load_rules() -> RuleSet:
    """The rules as this deployment has them."""
    return load_rulebook(load_settings())


@click.group("rules")
def rules_group() -> None:
    """The rules: what there is, what applies, and how to add one."""


@rules_group.command("list")
@click.option("--family", metavar="FAMILY", help="Only those of a family: coding or COD.")
@click.option("--severity", type=click.Choice([each.value for each in Severity]), help="Only those of a severity.")
@click.option("--payer", metavar="KEY", help="Only those that speak for a payer today, with its severity.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")
def rules_list(family: str | None, severity: str | None, payer: str | None, as_json: bool) -> None:
    """Every rule with its severity and what it finds."""
    with clear_errors():
        ruleset = load_rules()
        severities = _severities(ruleset, payer)
        prefix = None
        if family is not None:
            try:
                prefix = family_prefix(family)
            except NewRuleError as error:
                raise refusal(str(error)) from None
        chosen = [
            rule
            for rule in ruleset.rules.values()
            if rule.id in severities
            and (prefix is None or rule.id.startswith(prefix))
            and (severity is None or severities[rule.id] == severity)
        ]
        if as_json:
            for rule in chosen:
                fields = ("id", "name", "family", "status", "reason", "title", "remedy")
                content = {field: getattr(rule, field) for field in fields} | {"severity": severities[rule.id]}
                click.echo(to_json(content).decode())
            return
        table = Table("rule", "name", "severity", "finds", box=None, pad_edge=False)
        for rule in chosen:
            table.add_row(rule.id, rule.name, severities[rule.id].value, rule.title)
        console().print(table)


@rules_group.command("explain")
@click.argument("rule_id", metavar="ID")
@click.option("--for-date", type=DAY, metavar="DATE", help="What applies to services of this date; else of today.")
@click.option("--payer", metavar="KEY", help="What applies for this payer; else for each.")
@click.option("--claim-type", type=_CLAIM_TYPES, help="What applies to claims of this type.")
@click.option("--contract", metavar="NAME", help="What applies to claims of this contract overlay.")
def rules_explain(
    rule_id: str, for_date: datetime | None, payer: str | None, claim_type: str | None, contract: str | None
) -> None:
    """What a rule finds and why, its values with their dates, its sources. ID is UNT001 or units-over-daily-limit.

    With a date, payer, claim type or contract: whether it speaks there, and if not, why not; how severely, and with
    which values, since when, from which source.
    """
    with clear_errors():
        ruleset = load_rules()
        rule = _wanted(rule_id, ruleset)
        if contract is not None:
            ruleset = _under(contract, ruleset)
        if for_date is None and payer is None and claim_type is None and contract is None:
            text = explain(rule, ruleset)
        else:
            payers = sorted(ruleset.profiles) if payer is None else [known_payer(payer, ruleset)]
            day = for_date.date() if for_date else today()
            text = explain_for(rule, ruleset, day, payers, claim_type)
        if sys.stdout.isatty():
            Console(width=min(Console().width, _WIDEST_TEXT)).print(Markdown(text))
        else:
            click.echo(text)


@rules_group.command("test")
@click.argument("rule_ids", nargs=-1, metavar="[ID...]")
def rules_test(rule_ids: tuple[str, ...]) -> None:
    """Judge a rule's own examples and its boundary cases; every rule's, if none is named.

    The cases are those of tests/rules/cases, where there is a source tree.

    Exit code: 0 all as expected, 1 something is not, 2 no such rule.
    """
    with clear_errors():
        root = checkout()
        unfinished = [rule_id for rule_id in rule_ids if root is not None and _tell_blanks(root, rule_id.upper())]
        if unfinished:
            sys.exit(FLAGGED)
        ruleset = _Untested.load()
        wanted = [_wanted(rule_id, ruleset) for rule_id in rule_ids] or list(ruleset.rules.values())
        if root is None:
            say("claimscrub: no source tree here, so only the rules' own examples are judged")
        count = failed = 0
        for rule in wanted:
            for what, differences in _judged(rule, ruleset, root):
                count += 1
                failed += bool(differences)
                click.echo(f"{'FAILED' if differences else 'ok':6}  {rule.id} {what}")
                for difference in differences:
                    click.echo(f"        {difference}")
        click.echo(f"{count - failed} ok, {failed} failed")
        if failed:
            sys.exit(FLAGGED)


@rules_group.command("new")
@click.argument("family", metavar="FAMILY")
@click.argument("name", metavar="NAME")
@click.option("--scope", type=click.Choice([*PARAMETERS]), default="line", show_default=True, help="What it looks at.")
def rules_new(family: str, name: str, scope: str) -> None:
    """Make the files of a new rule, with the next free id.

    FAMILY is coding or COD; NAME says what is wrong, such as units-over-daily-limit. The engine refuses the rule, and
    with it every command that needs the rules, until its blanks are filled in; claimscrub rules test ID tells what is
    missing.
    """
    root = checkout()
    if root is None:
        raise refusal("rules new needs the source tree of claimscrub; here it is an installed package")
    try:
        rule_id, path, cases = make_rule(root, family, name, cast("Scope", scope))
    except NewRuleError as error:
        raise refusal(str(error)) from None
    click.echo(
        f"{rule_id} {name}\n"
        f"1. Fill in the blanks of {path.relative_to(root)}\n"
        f"2. Write its boundary cases: {cases.relative_to(root)}\n"
        f"3. Facts it rests on go to rules/reference, each with date, source and confidence\n"
        f"4. claimscrub rules test {rule_id}\n"
        f"5. A line in CHANGELOG.md under Rules, then: make docs test"
    )


@rules_group.command("docs")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
def rules_docs(folder: Path) -> None:
    """Write the documentation of all rules: a page for each, indexes by code and payer, the reference data.

    Pages in DIR that an earlier run wrote and that are no more are removed; other files there are left alone.
    """
    with clear_errors():
        root = checkout()
        made = pages(RuleSet.load(), (root / "CHANGELOG.md").read_text(encoding="utf-8") if root else "")
        folder.mkdir(parents=True, exist_ok=True)
        foreign = [name for name in made if (folder / name).exists() and not _is_written(folder / name)]
        if foreign:
            raise refusal(f"{folder / foreign[0]} was not written by this command, and is not overwritten")
        stale = [path for path in folder.glob("*.md") if path.name not in made and _is_written(path)]
        for path in stale:
            path.unlink()
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
        click.echo(f"{len(made)} pages written to {folder}" + (f", {len(stale)} removed" if stale else ""))


def _severities(ruleset: RuleSet, payer: str | None) -> dict[str, Severity]:
    """Rule id → severity, of all rules or of those that speak for a payer today."""
    if payer is None:
        return {rule.id: rule.severity for rule in ruleset.rules.values()}
    profile = ruleset.profiles[known_payer(payer, ruleset)]
    severities = {}
    for rule in ruleset.rules.values():
        compiled = compile_rule(rule, profile, ruleset.reference, today())
        if not isinstance(compiled, str) and not (compiled.change and compiled.change.silent):
            severities[rule.id] = compiled.severity()
    return severities


def _judged(rule: Rule, ruleset: RuleSet, root: Path | None) -> Iterator[tuple[str, list[str]]]:
    for kind, examples in (("clean", rule.clean), ("flagged", rule.flagged)):
        for number, example in enumerate(examples, 1):
            yield f"{kind} example {number}", example_differences(rule.id, kind, example, ruleset)
    if root is None:
        return
    path = cases_folder(root) / f"{rule.id.lower()}.yaml"
    try:
        cases = read_cases(path.read_text(encoding="utf-8"))
    except OSError:
        yield f"cases in {path.relative_to(root)}", ["there is no such file"]
        return
    except CaseError as error:
        yield f"cases in {path.relative_to(root)}", [str(error)]
        return
    for case in cases:
        yield f"case: {case['name']}", case_differences(case, rule.id, ruleset)
    if len(cases) < FEWEST_CASES:
        yield f"cases in {path.relative_to(root)}", [f"at least {FEWEST_CASES} are expected, there are {len(cases)}"]


def _tell_blanks(root: Path, rule_id: str) -> bool:
    """Whether a rule is unfinished; what is missing is printed."""
    path = rule_file(root, rule_id)
    missing = blanks(path) if path else []
    if path and missing:
        click.echo(f"FAILED  {rule_id} is not finished. Still to be filled in in {path.relative_to(root)}:")
        for each in missing:
            click.echo(f"        {each}")
    return bool(missing)


def _wanted(rule_id: str, ruleset: RuleSet) -> Rule:
    for rule in ruleset.rules.values():
        if rule_id.upper() == rule.id or rule_id.lower() == rule.name:
            return rule
    raise refusal(f"no rule {rule_id}; see: claimscrub rules list")


def _under(contract: str, ruleset: RuleSet) -> RuleSet:
    held = sorted(ruleset.contracts.by_key)
    if contract not in held:
        expected = f"one of {', '.join(held)}" if held else f"overlays in the folder of {PREFIX}CONTRACTS_FOLDER"
        raise refusal(f"no contract {contract}; expected {expected}")
    return ruleset.under(contract)


def known_payer(key: str, ruleset: RuleSet) -> str:
    """A payer key as the rule set has it, however it is written; ends the command if there is none."""
    if key.upper() in ruleset.profiles:
        return key.upper()
    raise refusal(f"no payer {key}; there are {', '.join(sorted(ruleset.profiles))}")


def _is_written(path: Path) -> bool:
    return path.read_text(encoding="utf-8", errors="replace").startswith(MARK)
