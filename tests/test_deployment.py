"""What is deployed hangs together: compose file, image, lock files."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from starlette.responses import PlainTextResponse

from worker.console.access import Access
from worker.settings import PREFIX, Settings
from worker.supervisor import GRACE_SECONDS

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_compose_is_valid() -> None:
    """The compose tool itself accepts the file."""
    tool = shutil.which("docker-compose")
    if tool is None:
        pytest.skip("docker-compose is not installed; the other tests look at the file by themselves")
    shown = subprocess.run([tool, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert shown.returncode == 0, shown.stderr


def test_services_wait_for_what_they_need_and_are_watched() -> None:
    """Kafka is healthy before topics are made, they are made before worker and console start, and all are watched."""
    services = COMPOSE["services"]

    assert services["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    for name in ("worker", "console"):
        assert services[name]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}
    assert {"kafka", "worker", "console"} <= {
        name for name, service in services.items() if "test" in service.get("healthcheck", {})
    }


def test_a_container_is_given_the_time_to_stop() -> None:
    """Compose waits longer than a worker, or the supervisor of several, takes to stop."""
    grace = COMPOSE["services"]["worker"]["stop_grace_period"]

    assert int(grace.removesuffix("s")) > Settings.model_fields["stop_timeout_seconds"].default + GRACE_SECONDS


def test_the_worker_keeps_its_history_and_knows_its_members() -> None:
    """The copy of the history outlives the container, where the image has its data directory; the keys are secret."""
    worker = COMPOSE["services"]["worker"]
    folder = re.search(r"CLAIMSCRUB_DATA_DIRECTORY=(\S+)", (ROOT / "Dockerfile").read_text())

    assert folder is not None
    volumes = dict(reversed(each.split(":")) for each in worker["volumes"])
    assert volumes[folder[1]] in COMPOSE["volumes"]
    assert worker["environment"][f"{PREFIX}MEMBER_KEY_SECRET"].startswith("${")


def test_nothing_is_open_to_other_machines() -> None:
    """What is published is so on the loopback address; where the console listens to more, it asks for a token."""
    services = COMPOSE["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    environment = services["console"]["environment"]
    token = SecretStr(_default(environment[f"{PREFIX}CONSOLE_TOKEN"]))
    Access(
        PlainTextResponse("a page"), Settings(console_host=environment[f"{PREFIX}CONSOLE_HOST"], console_token=token)
    )
    assert "ports" not in services["worker"]  # /metrics asks nobody who he is


def _default(variable: str) -> str:
    found = re.fullmatch(r"\$\{\w+:-(.+)\}", variable)
    assert found is not None
    return found[1]


def test_every_setting_in_the_compose_file_exists() -> None:
    """A variable that no setting reads would do nothing without saying so."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    named = {
        name
        for service in COMPOSE["services"].values()
        for name in service.get("environment", {})
        if name.startswith(PREFIX)
    }

    assert named
    assert named <= known


def test_the_image_runs_as_an_ordinary_user_from_the_lock_file() -> None:
    """The last stage is not root, and what is installed is what is locked."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    last_stage = dockerfile[dockerfile.rindex("\nFROM ") :]

    assert re.search(r"^USER claimscrub$", last_stage, re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in dockerfile


@pytest.mark.parametrize(("lock", "groups"), [("requirements.lock", []), ("requirements-dev.lock", ["dev"])])
def test_every_dependency_is_locked_with_hashes(lock: str, groups: list[str]) -> None:
    """Each dependency, those of extras too, is in the lock file with version and hashes; `make lock` writes it anew."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *(each for extra in project["project"]["optional-dependencies"].values() for each in extra),
        *(each for name in groups for each in project["dependency-groups"][name]),
    ]
    names = {re.split(r"[^A-Za-z0-9._-]", each, maxsplit=1)[0].lower().replace("_", "-") for each in wanted}
    text = (ROOT / lock).read_text()
    locked = {name.lower() for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}

    assert names <= locked
    assert "://" not in text
    for block in re.split(r"^(?=[A-Za-z0-9._-]+(?:==|\[))", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block
