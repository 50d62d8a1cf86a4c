"""The README's commands do what it says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from worker.cli import main
from worker.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [block.split("\n", 1) for block in re.findall(r"```console\n\$ claimscrub (.*?)```", README, re.DOTALL)]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CLAIMSCRUB_{name.upper()}", raising=False)


@pytest.mark.parametrize(("command", "shown"), COMMANDS)
def test_command(command: str, shown: str) -> None:
    """A command of the README runs and prints the lines shown there, in that order."""
    result = CliRunner().invoke(main, shlex.split(command))
    lines = iter([line.strip() for line in result.stdout.splitlines()])

    assert result.exit_code in {0, 1}
    for line in shown.splitlines():
        assert any(line.strip() == printed for printed in lines), f"not printed, or not in this order: {line}"


def test_the_decision_shown_is_the_decision_made() -> None:
    """The decision in the README is what `check` prints, but for digests and the citations left out."""
    (shown,) = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)]
    printed = json.loads(CliRunner().invoke(main, ["check", "docs/examples/claim.json"]).stdout)

    assert _shortened(printed) == shown


def _shortened(decision: dict[str, Any]) -> dict[str, Any]:
    decision["input_digest"] = decision["rule_set"]["digest"] = "sha256:…"
    for finding in decision["findings"]:
        finding["citations"] = finding["citations"][:1]
    return decision


def test_every_command_and_setting_of_the_readme_exists() -> None:
    """No command and no setting is named that is not there."""
    commands = set(re.findall(r"`claimscrub ([a-z]+)", README))
    settings = set(re.findall(r"CLAIMSCRUB_([A-Z_]+[A-Z])\b(?!…)", README))
    secrets = {f"{name.upper()}_FILE" for name, field in Settings.model_fields.items() if field.annotation is SecretStr}

    assert commands <= set(main.commands)
    assert settings - {"SSL"} - secrets <= {name.upper() for name in Settings.model_fields}


def test_links_lead_somewhere() -> None:
    """Every relative link of the documents points to a file."""
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
