"""A deployment that demands signed rules takes those that were signed, and no others."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from rules.engine.examples import a_line, as_json, claim_content
from worker.cli import main
from worker.rulebook import load_rulebook
from worker.settings import load_settings

ROOT = Path(__file__).parents[2]
OVERLAY = "name: Example Spine Clinic\nbilling_npis: ['1234567893']\npayers: {}\n"
FACTS = """
npi:
  title: Shape of an NPI
  verified_on: 2026-10-01
  values:
    2026-10-01: {value: {pattern: "^[12][0-9]{9}$", prefix: "80840"}, citation: own-source}
"""
SOURCE = "own-source: {publisher: P, title: T, edition: E, url: U, seen: official}\n"
PUBLIC_KEY, SIGNATURE = "CLAIMSCRUB_RULES_PUBLIC_KEY_FILE", "CLAIMSCRUB_RULES_SIGNATURE_FILE"


def _run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, list(arguments), input=stdin)


class Release(NamedTuple):
    """A signed rule set with the folders laid over it, and the settings that demand it."""

    private: Path
    public: Path
    signature: Path
    reference: Path
    contracts: Path

    def sign(self) -> Result:
        """Sign what is there now."""
        return _run("rules", "sign", "--key", str(self.private), "--out", str(self.signature))

    def edit(self, **changes: object) -> None:
        """Change fields of the signature file."""
        self.signature.write_text(json.dumps({**json.loads(self.signature.read_text()), **changes}))


@pytest.fixture(scope="module")
def pipeline_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a release's pipeline has made: keys, folders, signature."""
    folder = tmp_path_factory.mktemp("release")
    made = _release(folder)
    (made.reference / "own").mkdir(parents=True)
    (made.reference / "own" / "identifiers.yaml").write_text(FACTS)
    (made.reference / "citations.yaml").write_text(SOURCE)
    made.contracts.mkdir()
    (made.contracts / "spine.yaml").write_text(OVERLAY)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLAIMSCRUB_REFERENCE_FOLDER", str(made.reference))
        environment.setenv("CLAIMSCRUB_CONTRACTS_FOLDER", str(made.contracts))
        assert _run("rules", "keys", str(made.private.parent)).exit_code == 0
        signed = made.sign()
        assert signed.exit_code == 0, signed.stderr
    return folder


def _release(folder: Path) -> Release:
    private = folder / "keys" / "rules-signing.key"
    return Release(
        private, private.with_suffix(".pub"), folder / "rules.sig.json", folder / "reference", folder / "contracts"
    )


@pytest.fixture
def release(pipeline_output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A copy of it in a deployment that demands it."""
    made = _release(Path(shutil.copytree(pipeline_output, tmp_path / "release")))
    monkeypatch.setenv("CLAIMSCRUB_BOOTSTRAP_SERVERS", "127.0.0.1:1")  # nobody: what is refused never gets there
    monkeypatch.setenv("CLAIMSCRUB_STARTUP_TIMEOUT_SECONDS", "0")
    monkeypatch.setenv("CLAIMSCRUB_REFERENCE_FOLDER", str(made.reference))
    monkeypatch.setenv("CLAIMSCRUB_CONTRACTS_FOLDER", str(made.contracts))
    monkeypatch.setenv(PUBLIC_KEY, str(made.public))
    monkeypatch.setenv(SIGNATURE, str(made.signature))
    return made


def _refused(*said: str) -> None:
    """Verifying and starting both say so in one sentence, each with its exit code."""
    verified, started = _run("rules", "verify"), _run("worker")

    assert verified.exit_code in {1, 3}
    assert started.exit_code == 3
    for each in (verified.stderr, started.stderr):
        assert each.startswith("claimscrub: ")
        assert each.count("\n") == 1
        assert all(words in each for words in said), each


def test_a_signed_rule_set_is_taken(release: Release) -> None:
    """It is shown with its digests and the key, decides as it does unsigned, and knows who signed it."""
    shown = dict(line.split(" ", 1) for line in _run("rules", "verify").stdout.splitlines())
    ruleset = load_rulebook(load_settings())
    signature = json.loads(release.signature.read_text())

    assert shown["digest"] == ruleset.digest == signature["digest"]
    assert {part: shown[part] for part in signature["parts"]} == signature["parts"]
    assert shown["version"] == signature["version"]
    assert shown["signature"] == f"good: key {ruleset.signed_by}, of {signature['signed_at']}"
    assert (shown["overlays"], set(ruleset.contracts.by_key)) == ("1", {"spine"})
    assert ruleset.digest == load_rulebook(load_settings().model_copy(update={"rules_public_key_file": None})).digest


@pytest.mark.parametrize("old", [OVERLAY, FACTS, SOURCE])
def test_any_byte_of_the_folders_counts(release: Release, old: str) -> None:
    """A byte that is changed, added or taken away in an overlay or in reference data is refused by its folder."""
    (path,) = (each for each in release.contracts.parent.rglob("*.yaml") if each.read_text() == old)
    folder = "CONTRACTS" if old is OVERLAY else "REFERENCE"
    for changed in (old.replace("e", "f", 1), old + " ", old[:-1], old.replace("\n", "\r\n")):
        path.write_bytes(changed.encode())
        _refused(f"CLAIMSCRUB_{folder}_FOLDER", "was signed", "claimscrub rules sign")
    path.write_text(old)

    assert _run("rules", "verify").exit_code == 0


def test_files_that_come_go_or_change_their_name_count(release: Release) -> None:
    """One more overlay, one less, and one with another name are other rule sets; what is not read is none."""
    spine, other = release.contracts / "spine.yaml", release.contracts / "other.yaml"
    (release.contracts / "README").write_text("Not read.")
    assert _run("rules", "verify").exit_code == 0
    other.write_text(OVERLAY.replace("1234567893", "1999999992"))
    _refused("CLAIMSCRUB_CONTRACTS_FOLDER")
    other.unlink()
    spine.rename(other)
    _refused("CLAIMSCRUB_CONTRACTS_FOLDER")
    other.rename(spine)
    assert _run("rules", "verify").exit_code == 0


def test_folders_that_are_not_laid_over_count(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doing without a folder, or with one in the other's place, is refused."""
    monkeypatch.delenv("CLAIMSCRUB_REFERENCE_FOLDER")
    _refused("reference data", "none is here")
    monkeypatch.setenv("CLAIMSCRUB_REFERENCE_FOLDER", str(release.contracts))
    _refused("reference data")


def test_a_folder_as_kubernetes_mounts_it_is_the_same(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links into hidden folders whose names change with each mount make no other rule set, and nothing twice."""
    mounted = release.contracts.parent / "mounted"
    versions = mounted / "..2026_11_28_06_30_00.1234567"
    (versions / "contracts").mkdir(parents=True)
    shutil.copytree(release.reference / "own", versions / "own")
    shutil.copy(release.reference / "citations.yaml", versions)
    (mounted / "..data").symlink_to(versions.name)
    for name in ("own", "citations.yaml"):
        (mounted / name).symlink_to(Path("..data", name))
    monkeypatch.setenv("CLAIMSCRUB_REFERENCE_FOLDER", str(mounted))

    assert _run("rules", "verify").exit_code == 0
    (versions / "own" / "identifiers.yaml").write_text(FACTS.replace("[12]", "[123]"))
    _refused("CLAIMSCRUB_REFERENCE_FOLDER")


def test_it_does_not_matter_how_a_folder_is_named(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is no part of the rule set."""
    monkeypatch.chdir(release.reference)
    monkeypatch.setenv("CLAIMSCRUB_REFERENCE_FOLDER", ".")

    assert _run("rules", "verify").exit_code == 0


def test_a_table_stands_beside_its_file(release: Release) -> None:
    """A table somewhere else would decide without being part of the digest."""
    table = "fees: {title: T, verified_on: 2026-10-01, values: {2026-10-01: {table: ../a.csv, key: [a], citation: c}}}"
    (release.reference / "own" / "more.yaml").write_text(table)
    refused = release.sign()

    assert refused.exit_code == 3
    assert "more.yaml: more.fees: 2026-10-01: table: expected the name of a CSV file" in refused.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "9.9.9"}, "not genuine"),
        ({"signed_at": "2030-01-01T00:00:00Z"}, "not genuine"),
        ({"digest": f"sha256:{'0' * 64}"}, "not genuine"),
        ({"signature": base64.b64encode(bytes(64)).decode()}, "not genuine"),
        ({"signature": "§"}, "not genuine"),
        ({"key_id": f"sha256:{'0' * 64}"}, "trusted here: sha256:"),
        ({"version": "1\ndigest x"}, "version: String should match"),
        ({"format": "v2"}, "format: Input should be"),
        ({"more": 1}, "more: Extra inputs"),
    ],
)
def test_a_signature_that_was_changed_is_refused(release: Release, changes: dict[str, object], said: str) -> None:
    """No field of the signature file can be changed."""
    release.edit(**changes)
    _refused(str(release.signature), said)


def test_a_signature_of_parts_that_were_exchanged_is_refused(release: Release) -> None:
    """The digests of the parts are signed, each in its place."""
    parts = json.loads(release.signature.read_text())["parts"]
    release.edit(parts={**parts, "reference": parts["contracts"], "contracts": parts["reference"]})
    _refused("not genuine")


def test_a_missing_signature_is_refused(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not there, is something else, or is not named stops the start."""
    release.signature.write_text("nothing")
    _refused(str(release.signature), "not a signature of a rule set", "claimscrub rules sign")
    release.signature.write_bytes(bytes(100_000))
    _refused(str(release.signature), "too large")
    release.signature.unlink()
    _refused(str(release.signature), "No such file")
    monkeypatch.delenv(SIGNATURE)
    _refused(PUBLIC_KEY, SIGNATURE)


def test_a_signature_that_nothing_checks_is_refused(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a signature and forgets the key is not left in the belief that it is checked."""
    monkeypatch.delenv(PUBLIC_KEY)
    _refused(f"{SIGNATURE} is checked with {PUBLIC_KEY}, which is not set")


@pytest.mark.parametrize(
    "command",
    [
        ("check", "-"), ("rules", "list"), ("rules", "explain", "UNT001"), ("worker",), ("worker", "--workers", "2"),
        ("submit", "-"), ("console",), ("history", "key", "-"), ("status", "import", "-"),
    ],
)  # fmt: skip
def test_every_command_that_needs_the_rules_refuses(release: Release, command: tuple[str, ...]) -> None:
    """Nothing is decided, published or shown by rules that were not signed."""
    (release.contracts / "spine.yaml").write_text(OVERLAY + "# changed\n")
    refused = _run(*command, stdin=as_json(claim_content(lines=[a_line()])))

    assert refused.exit_code == 3, refused.output
    assert refused.stdout == ""
    assert "CLAIMSCRUB_CONTRACTS_FOLDER" in refused.stderr


def test_keys_are_exchanged_in_turn(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While both keys are trusted, a signature of either is good; then one of the old key is refused."""
    _run("rules", "keys", str(tmp_path / "new"))
    new = tmp_path / "new" / "rules-signing.pub"
    both = tmp_path / "both.pub"
    both.write_text(f"# the old one\n{release.public.read_text()}\n# the new one\n{new.read_text()}")
    monkeypatch.setenv(PUBLIC_KEY, str(both))
    assert _run("rules", "verify").exit_code == 0
    monkeypatch.setenv(PUBLIC_KEY, str(new))
    _refused("trusted here")
    assert release._replace(private=new.with_suffix(".key")).sign().exit_code == 0
    assert _run("rules", "verify").exit_code == 0
    monkeypatch.setenv(PUBLIC_KEY, str(both))
    assert _run("rules", "verify").exit_code == 0


def _rsa(path: Path) -> Path:
    key = generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(private if path.suffix == ".key" else public)
    return path


def test_a_key_that_is_none_is_named(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of another kind, private ones among the public, and files that hold something else are refused by name."""
    for path in (release.private, _rsa(tmp_path / "rsa.pub"), release.signature):
        monkeypatch.setenv(PUBLIC_KEY, str(path))
        _refused(str(path), "Ed25519 public key")
    monkeypatch.setenv(PUBLIC_KEY, str(release.public))
    for path in (release.public, _rsa(tmp_path / "rsa.key"), release.signature):
        refused = release._replace(private=path).sign()
        assert (refused.exit_code, "not an Ed25519 private key" in refused.stderr) == (3, True)


def test_a_private_key_is_kept_from_others(release: Release) -> None:
    """Only its owner may read it, and keys that are there are not overwritten."""
    refused = _run("rules", "keys", str(release.private.parent))

    assert stat.S_IMODE(release.private.stat().st_mode) == 0o600
    assert refused.exit_code == 3
    assert f"{release.private}: File exists" in refused.stderr


def test_a_key_may_have_a_password(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It signs with the password from the environment or a file; without or with a wrong one the sentence says so."""
    monkeypatch.setenv("CLAIMSCRUB_SIGNING_KEY_PASSWORD", "MARKED-1")
    _run("rules", "keys", str(tmp_path / "locked"))
    locked = release._replace(private=tmp_path / "locked" / "rules-signing.key")
    assert b"ENCRYPTED" in locked.private.read_bytes()
    assert locked.sign().exit_code == 0
    monkeypatch.setenv("CLAIMSCRUB_SIGNING_KEY_PASSWORD", "MARKED-2")
    wrong = locked.sign()
    monkeypatch.delenv("CLAIMSCRUB_SIGNING_KEY_PASSWORD")
    without = locked.sign()
    (tmp_path / "password").write_text("MARKED-1\n")
    monkeypatch.setenv("CLAIMSCRUB_SIGNING_KEY_PASSWORD_FILE", str(tmp_path / "password"))

    assert locked.sign().exit_code == 0
    for refused in (wrong, without):
        assert refused.exit_code == 3
        assert "CLAIMSCRUB_SIGNING_KEY_PASSWORD" in refused.stderr
        assert "MARKED" not in refused.output


def test_a_digest_may_be_expected(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys, the digest that a release names is compared."""
    monkeypatch.delenv(PUBLIC_KEY)
    monkeypatch.delenv(SIGNATURE)
    digest = json.loads(release.signature.read_text())["digest"]
    as_expected, other = (_run("rules", "verify", "--expect", each) for each in (digest, "sha256:0"))

    assert as_expected.exit_code == 0
    assert as_expected.stdout.endswith("signature none demanded\n")
    assert other.exit_code == 1
    assert other.stderr == f"claimscrub: the digest is {digest}, not sha256:0 as expected\n"


def test_options_go_before_settings(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release pipeline verifies with the files it names."""
    monkeypatch.delenv(PUBLIC_KEY)
    monkeypatch.delenv(SIGNATURE)
    good = _run("rules", "verify", "--signature", str(release.signature), "--public-key", str(release.public))

    assert good.exit_code == 0
    assert "signature good: key sha256:" in good.stdout
    assert _run("rules", "verify", "--signature", str(release.signature)).exit_code == 2


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("jq")), reason="openssl or jq is not installed")
def test_the_signature_is_an_ordinary_one(release: Release) -> None:
    """As the guide shows, openssl alone verifies the signature, and finds the key's id."""
    folder = release.signature.parent
    guide = (ROOT / "docs" / "signing.md").read_text()
    script = guide[guide.index("# with jq and openssl") :].split("```")[0]
    shutil.copy(release.public, folder)
    shown = subprocess.run(["sh", "-e", "-c", script], cwd=folder, capture_output=True, text=True, check=False)

    assert "Signature Verified Successfully" in shown.stdout, shown.stderr
    assert json.loads(release.signature.read_text())["key_id"].removeprefix("sha256:") in shown.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the installed packages, signed; its compiled Python too is there."""
    folder = tmp_path_factory.mktemp("installed")
    for name in ("rules", "worker"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for arguments in (("rules", "keys", "."), SIGN):
        done = _installed(folder, *arguments, demands=False)
        assert done.returncode == 0, done.stderr
    return folder


SIGN = ("rules", "sign", "--key", "rules-signing.key", "--out", "rules.sig.json")


def _installed(folder: Path, *arguments: str, demands: bool = True) -> subprocess.CompletedProcess[str]:
    """A command of the copy, which demands signed rules."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLAIMSCRUB_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    demanded = {PUBLIC_KEY: "rules-signing.pub", SIGNATURE: "rules.sig.json"} if demands else {}
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", *arguments],
        env={**environment, **demanded, "PYTHONPATH": str(folder)}, cwd=folder,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_any_byte_of_the_package_counts(installed: Path) -> None:
    """A changed rule, engine, fact or payer profile of the installed package is refused."""
    for name, old, new in (
        ("units/unt001_units_over_daily_limit.py", "import", "import "),
        ("engine/policy.py", "import", "import "),
        ("reference/cms/mue-2024-07-01.csv", "63685,1,", "63685,9,"),
        ("reference/citations.yaml", "title", "title "),
        ("payers/aetna.yaml", "\n", "\r\n"),
    ):
        path = installed / "rules" / name
        content = path.read_bytes()
        assert old.encode() in content
        path.write_bytes(content.replace(old.encode(), new.encode(), 1))
        refused = _installed(installed, "rules", "list")
        path.write_bytes(content)

        assert refused.returncode == 3, refused.stderr
        assert refused.stdout == ""
        assert "the installed package: sha256:" in refused.stderr
    assert _installed(installed, "rules", "list").returncode == 0


def test_a_file_that_is_added_to_the_package_is_not_run(installed: Path) -> None:
    """Source or compiled, one more module is refused before it is imported."""
    for name in ("unt009_added.py", "unt009_added.pyc", "unt009_added.so", "notes.txt"):
        added = installed / "rules" / "units" / name
        added.write_text("print('RUN')\n")
        refused = _installed(installed, "rules", "list")
        added.unlink()

        assert (refused.returncode, "the installed package" in refused.stderr) == (3, True)
        assert "RUN" not in refused.stdout


def test_compiled_python_of_another_source_is_refused(installed: Path) -> None:
    """A rule that was replaced by one of the same size, its time kept, does not go on deciding from the cache."""
    rule = installed / "rules" / "units" / "unt001_units_over_daily_limit.py"
    good, before = rule.read_text(), rule.stat()
    shutil.rmtree(rule.parent / "__pycache__")
    for text in (good.replace("Correct the units", "Korrect the units"), good):
        rule.write_text(text)
        os.utime(rule, ns=(before.st_atime_ns, before.st_mtime_ns))
        done = _installed(installed, "rules", "list", "--json", demands=False)
        assert "Korrect the units" in done.stdout  # the trap: without a signature nothing tells
    refused = _installed(installed, "rules", "verify")

    assert refused.returncode == 1, refused.stdout
    assert "is not what unt001_units_over_daily_limit.py compiles to; remove it" in refused.stderr
    shutil.rmtree(rule.parent / "__pycache__")
    assert _installed(installed, "rules", "verify").returncode == 0


def test_there_is_one_way_to_the_rules() -> None:
    """What decides, publishes or shows takes them from `load_rulebook`; what loads them itself works on the release."""
    others = {
        "asyncapi": "describes the packaged rules",
        "demo": "decides invented claims",
        "rules_cli": "tests and documents the source tree",
        "signing_cli": "signs",
    }
    loading = {path.stem for path in (ROOT / "worker").rglob("*.py") if "RuleSet.load(" in path.read_text()}

    assert loading - set(others) == {"rulebook"}
