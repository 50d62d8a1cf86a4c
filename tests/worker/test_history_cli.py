"""`claimscrub history key`: the keys that claim events have to come under. `history show` is tested on a broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rules import RuleSet
from rules.engine.examples import a_claim, as_json, claim_content
from worker.cli import main
from worker.members import Members


def _keys(*files: str) -> Result:
    return CliRunner().invoke(main, ["history", "key", *files])


def test_keys_are_those_of_the_settings_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim id and key, a line for each claim, under the secret of the settings."""
    monkeypatch.setenv("CLAIMSCRUB_MEMBER_KEY_SECRET", "secret")
    path = tmp_path / "claims.json"
    path.write_text("\n".join(as_json(claim_content("AETNA", claim_id=f"C{number}")) for number in range(2)))
    key = Members("secret", RuleSet.load().recognised).key_of_claim(a_claim("AETNA"))
    assert key is not None

    found = _keys(str(path))

    assert (found.exit_code, found.stdout) == (0, f"C0 {key.decode()}\nC1 {key.decode()}\n")


def test_what_has_no_key_is_named(tmp_path: Path) -> None:
    """A claim without a member number, what is no claim, and a file that is not there; the rest gets its key."""
    path = tmp_path / "claims.json"
    contents = [claim_content(subscriber={}, claim_id="NOBODY"), {"claim_type": "professional"}, claim_content()]
    path.write_text("\n".join(map(as_json, contents)))

    found = _keys(str(path), str(tmp_path / "missing"))

    assert found.exit_code == 2
    assert [line.split()[0] for line in found.stdout.splitlines()] == ["EXAMPLE-1"]
    assert found.stderr.splitlines() == [
        f"claimscrub: {path}:1: claim NOBODY has no member number",
        f"claimscrub: {path}:2: claim_id: missing; expected a value",
        f"claimscrub: {tmp_path / 'missing'}: No such file or directory",
    ]
