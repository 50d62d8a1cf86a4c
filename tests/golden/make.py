"""Write the golden corpus's 837 files and decisions anew, and name what changed: `make golden`."""

from __future__ import annotations

import json
from pathlib import Path

from rules import RuleSet
from tests.golden.corpus import THEMES, decide, decisions_file, pretty, read_theme, text_837


def make() -> list[str]:
    """Write all files.

    Returns:
        The claims whose decision changed, is new or is gone.
    """
    ruleset = RuleSet.load()
    changed = []
    for path in THEMES:
        if "as_837" in read_theme(path):
            path.with_suffix(".837").write_bytes(text_837(path).encode())
        decisions = {name: snapshot for name, (_, snapshot) in decide(path, ruleset).items()}
        file = decisions_file(path)
        before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        names = {**before, **decisions}
        changed += [f"{path.stem}: {name}" for name in names if before.get(name) != decisions.get(name)]
        file.write_text(pretty(decisions) + "\n", encoding="utf-8")
    _remove_left_over()
    return changed


def _remove_left_over() -> None:
    """Remove what belongs to a theme that is no more."""
    kept = {decisions_file(path) for path in THEMES}
    kept |= {path.with_suffix(".837") for path in THEMES if "as_837" in read_theme(path)}
    for folder in {path.parent for path in THEMES}:
        for file in (*folder.glob("*.decisions.json"), *folder.glob("*.837")):
            if file not in kept:
                Path(file).unlink()


if __name__ == "__main__":
    names = make()
    print("\n".join(names) or "No decision changed.")
    if names:
        print(f"\n{len(names)} decisions changed: say why in CHANGELOG.md, in a line under Rules.")
