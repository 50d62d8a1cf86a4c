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

from tests.supply_chain.locked import DEVELOPMENT, locked
from worker.console.access import Access
from worker.settings import PREFIX, Settings, load_settings
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
    assert worker["environment"][f"{PREFIX}MEMBER_KEY_SECRET_FILE"] == "/run/secrets/member-key-secret"


def test_nothing_is_open_to_other_machines() -> None:
    """What is published is so on the loopback address; where the console listens to more, it asks for a token."""
    services = COMPOSE["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    environment = services["console"]["environment"]
    token = SecretStr(_default(COMPOSE["secrets"]["console-token"]["file"]).read_text())
    Access(
        PlainTextResponse("a page"), Settings(console_host=environment[f"{PREFIX}CONSOLE_HOST"], console_token=token)
    )
    assert "ports" not in services["worker"]  # /metrics asks nobody who he is


def _default(variable: str) -> Path:
    """The file that stands for a variable that is not set."""
    found = re.fullmatch(r"\$\{\w+:-(.+)\}", variable)
    assert found is not None
    return ROOT / found[1]


def test_secrets_are_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret is in an environment, where anyone who may look at a container sees it; a service is given its own."""
    secret = {PREFIX + name.upper() for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    for service in COMPOSE["services"].values():
        environment = service.get("environment", {})
        assert secret & set(environment) == set()
        for variable in {f"{name}_FILE" for name in secret} & set(environment):
            given = Path(environment[variable]).name
            assert environment[variable] == f"/run/secrets/{given}"
            assert given in service["secrets"]
            monkeypatch.setenv(variable, str(_default(COMPOSE["secrets"][given]["file"])))
    settings = load_settings()
    assert settings.member_key_secret.get_secret_value() == "a first look"
    assert settings.console_token.get_secret_value() == "only-for-a-first-look"


def test_our_containers_can_do_no_more_than_they_must() -> None:
    """No capabilities, no way to another user, and only volumes and /tmp to write to."""
    ours = {name: each for name, each in COMPOSE["services"].items() if each.get("image") == "claimscrub"}

    assert set(ours) == {"topics", "worker", "console"}
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert [each.partition(":")[0] for each in service["tmpfs"]] == ["/tmp"]
        assert {"privileged", "user", "cap_add", "network_mode", "pid"} & set(service) == set()
        assert [each.rpartition(":")[2] for each in service.get("volumes", [])] in ([], ["/var/lib/claimscrub"])


def test_the_image_is_built_from_the_sources_alone() -> None:
    """What is copied into it is let through to the build, nothing else is, and no build argument carries a secret."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE) for name in line.split()
    }

    assert "*" in ignored
    assert {each.removeprefix("!") for each in ignored if each.startswith("!")} == copied
    assert re.search(r"^(ARG|ADD)\b", dockerfile, re.MULTILINE) is None


def test_every_setting_in_the_compose_file_exists() -> None:
    """A variable that no setting reads would do nothing without saying so."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {
        f"{PREFIX}{name.upper()}_FILE" for name, each in Settings.model_fields.items() if each.annotation is SecretStr
    }
    named = {
        name
        for service in COMPOSE["services"].values()
        for name in service.get("environment", {})
        if name.startswith(PREFIX)
    }

    assert named
    assert named <= known


def test_the_image_runs_as_an_ordinary_user_from_the_lock_file() -> None:
    """The last stage is not root, and what is installed, or builds what is, is what is locked."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    installs = [each.rstrip(" \\") for each in re.findall(r"pip install --no-cache-dir (.+)", dockerfile)]
    last_stage = dockerfile[dockerfile.rindex("\nFROM ") :]

    assert re.search(r"^USER claimscrub$", last_stage, re.MULTILINE)
    assert installs == [
        "--require-hashes -r requirements.lock",
        "--require-hashes -r requirements-build.lock",
        "--no-deps --no-index dist/*.whl",
    ]


def test_what_builds_the_image_is_what_builds_here() -> None:
    """The build tools are of the versions that develop claimscrub, which are audited and whose licences are judged."""
    build = locked(ROOT / "requirements-build.lock")

    assert "hatchling" in build
    assert build.items() <= locked(DEVELOPMENT).items()


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
