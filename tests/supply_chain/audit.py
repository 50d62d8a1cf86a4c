"""Known vulnerabilities of what is locked, as pip-audit's service knows them.

Where the service can't be reached this is said, and is no failure, unless CLAIMSCRUB_AUDIT=required. What it says holds
for a day, as long as the lock files stay what they are; where an audit is required, only a whole answer does.
PIP_AUDIT_VULNERABILITY_SERVICE and PIP_AUDIT_OSV_URL name another service, as for pip-audit itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.supply_chain.locked import DEVELOPMENT, ROOT, RUNTIME

ACCEPTED = Path(__file__).with_name("accepted_vulnerabilities.yaml")
ANSWERS = ROOT / "build" / "audit"
REQUIRED = "CLAIMSCRUB_AUDIT"
_SERVICE = ("PIP_AUDIT_VULNERABILITY_SERVICE", "PIP_AUDIT_OSV_URL")
_TIMEOUT_SECONDS = 5


class Audit(NamedTuple):
    """What an audit says.

    Attributes:
        audited: how many packages the service knows.
        vulnerable: a sentence for each vulnerability.
        missing: why packages could not be audited; empty if all were.
    """

    audited: int
    vulnerable: list[str]
    missing: str

    def said(self, *, required: bool) -> tuple[str, bool]:
        """In words, and whether it is a failure."""
        if self.vulnerable:
            return "\n".join(["known vulnerabilities:", *self.vulnerable]), True
        if self.missing:
            known = f"only {self.audited} packages were" if self.audited else "nothing was"
            return f"the audit for known vulnerabilities could not be made, {known} audited: {self.missing}", required
        return f"{self.audited} packages, no known vulnerability", False


def audit(
    locks: tuple[Path, ...] = (RUNTIME, DEVELOPMENT),
    *,
    required: bool = False,
    answers: Path = ANSWERS,
    accepted_in: Path = ACCEPTED,
) -> Audit:
    """Ask the service, or take its answer of today.

    Args:
        locks: what is locked.
        required: ask again where the last answer had gaps.
        answers: the folder of the day's answers.
        accepted_in: the vulnerabilities that are not told.
    """
    accepted = yaml.safe_load(accepted_in.read_text(encoding="utf-8")) or {}
    today = datetime.now(UTC).date().isoformat()
    asked = [today, *(os.environ.get(name, "") for name in _SERVICE), *sorted(accepted)]
    digest = sha256(json.dumps(asked).encode() + b"".join(path.read_bytes() for path in locks)).hexdigest()
    kept = answers / f"{digest[:16]}.json"
    if kept.exists():
        found = Audit(**json.loads(kept.read_text(encoding="utf-8")))
        if not (found.missing and required):
            return found
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    command += ["--format=json", "--desc=off", f"--timeout={_TIMEOUT_SECONDS}"]
    command += [f"--requirement={path}" for path in locks] + [f"--ignore-vuln={each}" for each in sorted(accepted)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = read(json.loads(ended.stdout))
    except ValueError:
        found = Audit(0, [], (ended.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1])
    answers.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found._asdict()), encoding="utf-8")
    return found


def read(answer: dict[str, Any]) -> Audit:
    """pip-audit's JSON."""
    dependencies = {(each["name"], each.get("version", "")): each for each in answer["dependencies"]}.values()
    skipped = [each["skip_reason"] for each in dependencies if "skip_reason" in each]
    vulnerable = [
        f"  {each['name']} {each['version']}: {known['id']}"
        + (f" ({', '.join(known['aliases'])})" if known.get("aliases") else "")
        + (f", mended in {', '.join(known['fix_versions'])}" if known["fix_versions"] else ", not mended yet")
        for each in dependencies
        for known in each.get("vulns", ())
    ]
    missing = f"{len(skipped)} were not, first: {skipped[0]}" if skipped else ""
    return Audit(len(dependencies) - len(skipped), vulnerable, missing)
