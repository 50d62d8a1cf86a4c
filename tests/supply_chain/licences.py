"""Licences of what is installed: those that `licences.yaml` allows, and the list in docs/licences.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.supply_chain.locked import DEVELOPMENT, ROOT, RUNTIME, locked

POLICY = Path(__file__).with_name("licences.yaml")
PAGE = ROOT / "docs" / "licences.md"
_UNKNOWN = "UNKNOWN"
_HEAD = """\
# Licences

What `requirements.lock` names, and so what an image of claimscrub holds beside Python. `make docs` writes this page,
and `make check` refuses a licence that nobody has judged. The packages hold the texts of their licences.

"""


def installed() -> dict[str, str]:
    """Package → licence as its metadata say it, of this environment."""
    shown = subprocess.run(
        [sys.executable, "-m", "piplicenses", "--with-system", "--from=mixed", "--format=json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {re.sub(r"[-_.]+", "-", each["Name"]).lower(): each["License"] for each in json.loads(shown.stdout)}


def licences(names: Mapping[str, str], said: Mapping[str, str], policy: Mapping[str, Any]) -> dict[str, str]:
    """Package → licence as SPDX names it, where the policy knows."""
    judged = {name: each["licence"] for name, each in policy["packages"].items()}
    found = {name: judged.get(name) or said.get(name, _UNKNOWN) for name in names}
    return {name: policy["spellings"].get(licence, licence) for name, licence in found.items()}


def problems(runtime: Mapping[str, str], development: Mapping[str, str], policy: Mapping[str, Any]) -> list[str]:
    """A sentence for each package whose licence is not allowed where it is used."""
    found = []
    for name, licence in {**development, **runtime}.items():
        allowed = policy["runtime"] if name in runtime else {**policy["runtime"], **policy["development"]}
        if licence == _UNKNOWN:
            found.append(f"{name}: its licence is not known; look it up and name it under packages")
        elif licence not in allowed:
            found.append(f"{name}: {licence} is not among the allowed licences; judge it, or do without the package")
    unused = set(policy["packages"]) - set(runtime) - set(development)
    return [*found, *(f"{name}: judged, but no lock file names it; take it out" for name in sorted(unused))]


def page(versions: Mapping[str, str], runtime: Mapping[str, str], policy: Mapping[str, Any]) -> str:
    """The list of the runtime's licences, and why each is allowed."""
    counts = Counter(runtime.values())
    packages = "".join(f"| {name} | {version} | {runtime[name]} |\n" for name, version in sorted(versions.items()))
    kinds = "".join(f"| {each} | {counts[each]} | {policy['runtime'].get(each, '')} |\n" for each in sorted(counts))
    return (
        f"{_HEAD}| Licence | Packages | Why it may be used |\n|---|---|---|\n{kinds}\n"
        f"| Package | Version | Licence |\n|---|---|---|\n{packages}"
    )


def check(*, write: bool) -> list[str]:
    """Every problem there is with licences; the page is written anew or compared."""
    policy = yaml.safe_load(POLICY.read_text(encoding="utf-8"))
    said = installed()
    versions = locked(RUNTIME)
    runtime, development = (licences(each, said, policy) for each in (versions, locked(DEVELOPMENT)))
    made = page(versions, runtime, policy)
    if write:
        PAGE.write_text(made, encoding="utf-8")
    found = [f"{POLICY.relative_to(ROOT)}: {each}" for each in problems(runtime, development, policy)]
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != made:
        found.append(f"{PAGE.relative_to(ROOT)} is not what the lock file says; write it anew with: make docs")
    return found
