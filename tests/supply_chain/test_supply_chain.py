"""What claimscrub rests on is watched: licences that nobody judged and known vulnerabilities fail the check."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.supply_chain.audit import Audit, audit
from tests.supply_chain.licences import POLICY, check, page, problems
from tests.supply_chain.locked import DEVELOPMENT, RUNTIME, locked

POLICY_HERE: dict[str, Any] = {
    "runtime": {"MIT": "Permissive."},
    "development": {"MPL-2.0": "Not handed on."},
    "spellings": {},
    "packages": {},
}


def test_the_licences_are_allowed_and_listed() -> None:
    """Everything that is locked has a licence that somebody judged, and docs/licences.md is what is locked."""
    assert check(write=False) == []


def test_what_is_run_is_what_is_developed_with() -> None:
    """The lock files name the same versions, so that tests run what an image holds."""
    assert locked(RUNTIME).items() <= locked(DEVELOPMENT).items()
    assert len(locked(RUNTIME)) > 50


@pytest.mark.parametrize(
    ("runtime", "development", "said"),
    [
        ({"a": "MIT"}, {"b": "MPL-2.0"}, []),
        ({"a": "AGPL-3.0-only"}, {}, ["a: AGPL-3.0-only is not among the allowed licences"]),
        ({"a": "MPL-2.0"}, {"a": "MPL-2.0"}, ["a: MPL-2.0 is not among the allowed licences"]),
        ({"a": "UNKNOWN"}, {"b": "UNKNOWN"}, ["b: its licence is not known", "a: its licence is not known"]),
    ],
)
def test_a_licence_that_nobody_judged_is_named(
    runtime: dict[str, str], development: dict[str, str], said: list[str]
) -> None:
    """With the package, and stricter for what is handed on than for what is not."""
    found = problems(runtime, development, POLICY_HERE)

    assert len(found) == len(said)
    assert all(sentence.startswith(start) for sentence, start in zip(found, said, strict=True))


def test_a_judgement_of_nothing_is_named() -> None:
    """A package that is locked no more is taken out of the list."""
    policy = {**POLICY_HERE, "packages": {"gone": {"licence": "MIT", "why": "…"}}}

    assert problems({}, {}, policy) == ["gone: judged, but no lock file names it; take it out"]


def test_the_page_names_every_package() -> None:
    """Name, version and licence of each, and why the licence may be used."""
    text = page({"b": "2.0", "a": "1.0"}, {"a": "MIT", "b": "MIT"}, POLICY_HERE)

    assert "| MIT | 2 | Permissive. |" in text
    assert text.index("| a | 1.0 | MIT |") < text.index("| b | 2.0 | MIT |")
    assert all(each["why"] for each in yaml.safe_load(POLICY.read_text())["packages"].values())


class _Osv(BaseHTTPRequestHandler):
    """Answers as the OSV API does (`POST /v1/query`): it knows of one vulnerability, in click."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        assert (asked["package"]["ecosystem"], set(asked)) == ("PyPI", {"package", "version"})
        events = [{"introduced": "0"}, {"fixed": "99.1"}]
        affected = {"package": asked["package"], "ranges": [{"type": "ECOSYSTEM", "events": events}]}
        known = {
            "schema_version": "1.7.0", "id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "summary": "Invented.",
            "modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z", "affected": [affected],
        }  # fmt: skip
        content = json.dumps({"vulns": [known]} if name == "click" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def osv(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A service of vulnerabilities on this machine."""
    monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "osv")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Osv) as server:
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{server.server_port}/v1/query")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file of two packages."""
    blocks = re.split(r"^(?=[a-z])", RUNTIME.read_text(), flags=re.MULTILINE)
    path = tmp_path / "requirements.lock"
    path.write_text("".join(block for block in blocks if block.startswith(("click==", "six=="))))
    return path


def test_a_vulnerability_fails_the_check(osv: ThreadingHTTPServer, lock: Path, tmp_path: Path) -> None:
    """It is named with package, version and remedy; accepted with a reason, it is told no more."""
    found = audit((lock,), answers=tmp_path)
    said, failed = found.said(required=False)

    assert failed
    assert said == (
        f"known vulnerabilities:\n  click {locked(lock)['click']}: PYSEC-2026-1 (CVE-2026-1), mended in 99.1"
    )
    accepted = tmp_path / "accepted.yaml"
    accepted.write_text("PYSEC-2026-1: Not called.")
    found = audit((lock,), answers=tmp_path, accepted_in=accepted)
    assert found.said(required=True) == ("2 packages, no known vulnerability", False)
    osv.shutdown()
    osv.server_close()
    assert audit((lock,), answers=tmp_path, accepted_in=accepted) == found  # today's answer


def test_an_audit_that_cannot_be_made_is_no_silent_pass(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a service it says so; that fails the check where an audit is required."""
    monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "osv")
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:1/v1/query")
    found = audit((lock,), answers=tmp_path)

    for required in (False, True):
        said, failed = found.said(required=required)
        assert "could not be made, nothing was audited: " in said
        assert failed is required


def test_gaps_are_told() -> None:
    """Packages that the service does not know are no packages without vulnerabilities."""
    said, failed = Audit(138, [], "1 were not, first: no such package").said(required=True)

    assert failed
    assert said.endswith("could not be made, only 138 packages were audited: 1 were not, first: no such package")
