"""Worker and console as the image and the compose file run them: an ordinary user, nothing to write to but its data.

There is no container here, but what makes one: the file systems of a process of its own, and no privileges.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from rules import RuleSet
from tests.kafka_broker import Cluster, free_ports
from tests.scraping import missing
from tests.worker_process import ROOT, Pipeline, claim_event, eventually

pytestmark = pytest.mark.broker

_USER = "10001"
_UNSHARE = ["unshare", "--mount", "--propagation=private"]
_PLACES = {"installed": "/opt", "data": "/mnt", "secrets": "/srv"}
"""Where folders of the test are seen: places that every Linux has, as a read-only file system gets no new ones."""
_LIBRARIES = "/media"
# The root and what is mounted below it read-only; then the data, and a /tmp in memory.
_CONTAINED = f"""
set -e
for place in {" ".join(_PLACES)}; do
    case $place in installed) at=/opt;; data) at=/mnt;; secrets) at=/srv;; esac
    mount --bind "$1/$place" $at
done
mount --bind {sysconfig.get_path("purelib")} {_LIBRARIES}
for at in / /opt /srv {_LIBRARIES}; do mount -o remount,bind,ro $at; done
mount -t tmpfs -o mode=1777,noexec,nosuid,nodev tmpfs /tmp
cd /mnt
shift
exec setpriv --reuid {_USER} --regid {_USER} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


@dataclass
class Contained(Pipeline):
    """A pipeline whose commands run contained, from an installed wheel."""

    @property
    def environment(self) -> dict[str, str]:
        """The libraries are those of the tests, claimscrub itself is not."""
        return {**super().environment, "PYTHONPATH": _LIBRARIES, "HOME": "/mnt"}

    def contained(self, *command: str) -> list[str]:
        """A command as the container would run it."""
        return [*_UNSHARE, "sh", "-c", _CONTAINED, "sh", str(self.folder), *command]

    def command(self, *arguments: str) -> list[str]:
        """The installed `claimscrub`."""
        return self.contained("/opt/bin/python", "/opt/bin/claimscrub", *arguments)


@pytest.fixture
def contained(kafka: Cluster, topic_prefix: str, tmp_path: Path) -> Contained:
    """The wheel installed, signed rules demanded, the secret in a file."""
    tried = shutil.which("unshare") and shutil.which("setpriv") and subprocess.run(
        [*_UNSHARE, "mount", "--bind", "/", "/"], capture_output=True, check=False
    )  # fmt: skip
    if not tried or tried.returncode:
        pytest.skip("only root on Linux may mount; tests/test_deployment.py looks at Dockerfile and compose file")
    for place in _PLACES:
        (tmp_path / place).mkdir()
    shutil.chown(tmp_path / "data", int(_USER), int(_USER))
    wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(wheel, cwd=ROOT, check=True, capture_output=True)
    environment = tmp_path / "installed"
    (built,) = tmp_path.glob("*.whl")
    for command in (
        ["venv", "--without-pip", str(environment)],
        ["pip", "--python", str(environment), "install", "--quiet", "--no-deps", "--no-index", str(built)],
    ):
        subprocess.run([sys.executable, "-m", *command], check=True)
    pipeline = Contained(kafka, topic_prefix, tmp_path)
    secret = tmp_path / "secrets" / "member-key-secret"
    secret.write_text(pipeline.environment["CLAIMSCRUB_MEMBER_KEY_SECRET"])
    for arguments in (("keys", "/mnt"), ("sign", "--key", "/mnt/rules-signing.key", "--out", "/mnt/rules.sig.json")):
        done = pipeline.run("rules", *arguments)
        assert done.returncode == 0, done.stderr
    for name in ("rules-signing.pub", "rules.sig.json"):
        (tmp_path / "data" / name).rename(tmp_path / "secrets" / name)
    pipeline.extra |= {
        "CLAIMSCRUB_MEMBER_KEY_SECRET": "",
        "CLAIMSCRUB_MEMBER_KEY_SECRET_FILE": "/srv/member-key-secret",
        "CLAIMSCRUB_RULES_PUBLIC_KEY_FILE": "/srv/rules-signing.pub",
        "CLAIMSCRUB_RULES_SIGNATURE_FILE": "/srv/rules.sig.json",
        "CLAIMSCRUB_DATA_DIRECTORY": "/mnt",
        "CLAIMSCRUB_CONSOLE_DIRECTORY": "/mnt/console",
    }
    return pipeline


def _tried(pipeline: Contained, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        pipeline.contained(*command), env=pipeline.environment, capture_output=True, text=True, check=False
    )


def test_it_works_with_nothing_to_write_to(contained: Contained) -> None:
    """From a wheel with the rules of the source tree: topics, worker, console, and the checks of their health."""
    writing = "touch /opt/x /srv/x /etc/x /usr/x /mnt/x /tmp/x; id -u"
    rights = "grep -E '^(NoNewPrivs|CapEff|CapBnd)' /proc/self/status"
    written = _tried(contained, "sh", "-c", f"{writing}; {rights}")
    assert sorted(re.findall(r"'(/\w+)/x'", written.stderr)) == ["/etc", "/opt", "/srv", "/usr"]
    assert written.stdout.split() == [
        _USER, "CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"
    ]  # fmt: skip
    assert f"digest {RuleSet.load().digest}\n" in contained.run("rules", "verify").stdout

    contained.create_topics()
    (port,) = free_ports(1)
    contained.extra["CLAIMSCRUB_CONSOLE_PORT"] = str(port)
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    console_check = [each.replace(":8063/", f":{port}/") for each in services["console"]["healthcheck"]["test"][1:]]
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found
    worker_check = json.loads(found[1])
    assert _tried(contained, *worker_check).returncode != 0
    with (
        contained.worker() as worker,
        (contained.folder / "console.log").open("wb") as log,
        subprocess.Popen(contained.command("console"), env=contained.environment, stdout=log, stderr=log) as console,
    ):
        try:
            contained.send([(None, claim_event(number, flagged=number < 3)) for number in range(10)])
            contained.wait_for_all()
            eventually(lambda: missing(port) == [])
            for check in (worker_check, ["/opt/bin/python", *console_check[1:]]):
                checked = _tried(contained, *check)
                assert checked.returncode == 0, checked.stderr
        finally:
            console.terminate()
        assert worker.terminate() == 0
    assert console.returncode == 0
    assert (contained.folder / "data" / "console" / "console.sqlite").exists()
    assert worker.events("rules")[0]["signed_by"].startswith("sha256:")
    contained.close()
