"""The worker against a broker that demands TLS, a user, or both."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.kafka_broker import Cluster, SecureKafkaBroker, free_ports
from tests.scraping import missing
from tests.worker_process import Pipeline, claim_event, eventually
from tests.x12.writer_837 import write_837

pytestmark = pytest.mark.broker

# A certificate that has signed nothing: the broker's is not trusted by whoever trusts only this one.
ANOTHER_CA = """
-----BEGIN CERTIFICATE-----
MIIBOzCB4qADAgECAgkAu7JQMkgGvYEwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAxMH
YW5vdGhlcjAeFw0yNjExMjQwODQyMjJaFw0zNjExMjEwODQyMjJaMBIxEDAOBgNV
BAMTB2Fub3RoZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQIhNPKC0fulyEg
dzELTTMgzezJESSSrLl4YSaoozQ+tbjoMGQrnkNszCUmsD9wEU0smnUng0BZMrAG
lO81ZwnxoyEwHzAdBgNVHQ4EFgQU6RZKygx3OBH81yTdq0OVpBOkI/4wCgYIKoZI
zj0EAwIDSAAwRQIhAIxZ48gLfzHhuk8351EnlvqKu7n4NBTpzCkT4ThMB/eDAiAO
eLkBVlRe8qEYxAaEYM2EYi3wDFuYh64MRWnX2G4aEQ==
-----END CERTIFICATE-----
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafkaBroker]:
    """A broker with TLS and SASL listeners."""
    with SecureKafkaBroker(tmp_path_factory.mktemp("secure")) as broker:
        yield broker


def _pipeline(broker: SecureKafkaBroker, prefix: str, folder: Path, protocol: str, **extra: str) -> Pipeline:
    """Topics on the broker's plain listener, and a worker's environment for a secure one."""
    pipeline = Pipeline(Cluster(broker.bootstrap_servers), prefix, folder)
    pipeline.create_topics()
    password = folder / "password"
    password.write_text(broker.password + "\n")
    pipeline.extra = {
        "CLAIMSCRUB_BOOTSTRAP_SERVERS": broker.secure_servers[protocol],
        "CLAIMSCRUB_SECURITY_PROTOCOL": protocol.replace("MUTUAL", "SSL"),
        "CLAIMSCRUB_SSL_CA_FILE": str(broker.ca_file),
        "CLAIMSCRUB_SASL_USERNAME": broker.user,
        "CLAIMSCRUB_SASL_PASSWORD_FILE": str(password),
        "CLAIMSCRUB_STARTUP_TIMEOUT_SECONDS": "30",
        **extra,
    }
    return pipeline


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [
        ("SSL", "PLAIN"),
        ("MUTUAL", "PLAIN"),
        ("SASL_PLAINTEXT", "PLAIN"),
        ("SASL_SSL", "SCRAM-SHA-256"),
    ],
)
def test_claims_are_decided_over_a_secure_connection(
    broker: SecureKafkaBroker, topic_prefix: str, tmp_path: Path, protocol: str, mechanism: str
) -> None:
    """With TLS, certificates of both sides, SASL or both, submit and worker work as without; no password is logged."""
    pipeline = _pipeline(broker, topic_prefix, tmp_path, protocol, CLAIMSCRUB_SASL_MECHANISM=mechanism)
    if protocol == "MUTUAL":
        pipeline.extra |= _client(broker)
    path = tmp_path / "claims.ndjson"
    path.write_bytes(b"\n".join(claim_event(number, flagged=number == 0) for number in range(20)))
    submitted = pipeline.run("submit", str(path))
    assert submitted.returncode == 0, submitted.stderr
    pipeline.sent = 20
    with pipeline.worker() as worker:
        pipeline.wait_for_all()

    assert {name: len(found) for name, found in pipeline.outputs().items()} == {
        "cleared": 19,
        "flagged": 1,
        "deadletter": 0,
    }
    assert broker.password not in worker.log


def _client(broker: SecureKafkaBroker) -> dict[str, str]:
    certificate, key = broker.client
    return {
        "CLAIMSCRUB_SSL_CERTIFICATE_FILE": str(certificate),
        "CLAIMSCRUB_SSL_KEY_FILE": str(key),
        "CLAIMSCRUB_SSL_KEY_PASSWORD": broker.password,
    }


def test_everything_works_over_a_secure_connection(
    broker: SecureKafkaBroker, topic_prefix: str, tmp_path: Path
) -> None:
    """With TLS, SASL and the password in a file: the splitter, supervised workers, and all that read the outputs.

    The password stands in no log, no output, and in no process's command.
    """
    (port,) = free_ports(1)
    data = {"CLAIMSCRUB_DATA_DIRECTORY": str(tmp_path / "data"), "CLAIMSCRUB_CONSOLE_PORT": str(port)}
    pipeline = _pipeline(broker, topic_prefix, tmp_path, "SASL_SSL", CLAIMSCRUB_SASL_MECHANISM="SCRAM-SHA-512", **data)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    producer.produce(pipeline.x12_topic, write_837([json.loads(claim_event(number)) for number in range(3)]))
    assert producer.flush(30) == 0
    pipeline.sent = 3
    pipeline.send([(None, claim_event(9, flagged=True))])
    said = []
    with (
        pipeline.worker("--workers", "1") as supervisor,
        (tmp_path / "console.log").open("wb") as log,
        subprocess.Popen(
            pipeline.command("console"), env=pipeline.environment, cwd=tmp_path, stdout=log, stderr=log
        ) as console,
    ):
        try:
            pipeline.wait_for_all()
            eventually(lambda: missing(port) == [])
            watched = pipeline.run("watch", "--since", "1h", "--until-now", "--json")
            exported = pipeline.run("export", "--topics", "--out", "exported")
            worker = supervisor.events("worker started")[0]["pid"]
            said += [
                Path(f"/proc/{each}/cmdline").read_text() for each in (supervisor.process.pid, worker, console.pid)
            ]
        finally:
            console.terminate()
    said += [watched.stdout, watched.stderr, exported.stdout, exported.stderr, supervisor.log]
    said += [path.read_text() for path in (tmp_path / "exported").iterdir()] + [(tmp_path / "console.log").read_text()]

    assert (watched.returncode, watched.stdout.count("\n")) == (0, 1), watched.stderr
    assert exported.returncode == 0, exported.stderr
    assert not any(broker.password in each for each in said)


def test_who_shows_no_certificate_or_asks_for_another_name_is_refused(
    broker: SecureKafkaBroker, topic_prefix: str, tmp_path: Path
) -> None:
    """Where the broker demands a certificate, or has one for another name than the settings', a sentence says so."""
    nobody = _pipeline(broker, topic_prefix, tmp_path, "MUTUAL", CLAIMSCRUB_STARTUP_TIMEOUT_SECONDS="3")
    other = broker.secure_servers["SSL"].replace("127.0.0.1", "localhost")
    for pipeline in (nobody, replace(nobody, extra=nobody.extra | {"CLAIMSCRUB_BOOTSTRAP_SERVERS": other})):
        ended = pipeline.run("worker")
        assert ended.returncode == 3
        assert "CLAIMSCRUB_S" in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("protocol", "variable", "value"),
    [
        ("SASL_SSL", "CLAIMSCRUB_SASL_PASSWORD_FILE", "another-password"),
        ("SSL", "CLAIMSCRUB_SSL_CA_FILE", "another-ca.pem"),
    ],
)
def test_a_refusal_is_one_sentence_at_once(  # noqa: PLR0917
    broker: SecureKafkaBroker, topic_prefix: str, tmp_path: Path, protocol: str, variable: str, value: str
) -> None:
    """A wrong password or certificate ends the worker with a sentence that names the settings, without a long wait."""
    (tmp_path / "another-ca.pem").write_text(ANOTHER_CA)
    (tmp_path / "another-password").write_text("not-the-password")
    ended = _pipeline(broker, topic_prefix, tmp_path, protocol, **{variable: value}).run("worker", timeout=60)
    last = ended.stderr.strip().splitlines()[-1]

    assert ended.returncode == 3
    assert "refuses" in last
    assert variable[:14] in last
    assert "Traceback" not in ended.stderr
    assert "not-the-password" not in ended.stderr


def test_a_certificate_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere is one sentence that names the setting."""
    pipeline = Pipeline(Cluster("127.0.0.1:1"), "x-", tmp_path)
    pipeline.extra = {"CLAIMSCRUB_SECURITY_PROTOCOL": "SSL", "CLAIMSCRUB_SSL_CA_FILE": str(tmp_path / "absent.pem")}
    ended = pipeline.run("topics", "create")

    assert ended.returncode == 3
    assert ended.stderr == "claimscrub: CLAIMSCRUB_SSL_CA_FILE: Path does not point to a file\n"
