"""The worker against a broker that demands TLS, a user, or both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka_broker import Cluster, SecureKafkaBroker
from tests.worker_process import Pipeline, claim_event

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
    pipeline.extra = {
        "CLAIMSCRUB_BOOTSTRAP_SERVERS": broker.secure_servers[protocol],
        "CLAIMSCRUB_SECURITY_PROTOCOL": protocol,
        "CLAIMSCRUB_SSL_CA_FILE": str(broker.ca_file),
        "CLAIMSCRUB_SASL_USERNAME": broker.user,
        "CLAIMSCRUB_SASL_PASSWORD": broker.password,
        "CLAIMSCRUB_STARTUP_TIMEOUT_SECONDS": "30",
        **extra,
    }
    return pipeline


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [("SSL", "PLAIN"), ("SASL_PLAINTEXT", "PLAIN"), ("SASL_SSL", "PLAIN"), ("SASL_SSL", "SCRAM-SHA-256")],
)
def test_claims_are_decided_over_a_secure_connection(
    broker: SecureKafkaBroker, topic_prefix: str, tmp_path: Path, protocol: str, mechanism: str
) -> None:
    """With TLS, SASL or both, submit and worker do their work as without, and no password is logged."""
    pipeline = _pipeline(broker, topic_prefix, tmp_path, protocol, CLAIMSCRUB_SASL_MECHANISM=mechanism)
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


@pytest.mark.parametrize(
    ("protocol", "variable", "value"),
    [
        ("SASL_SSL", "CLAIMSCRUB_SASL_PASSWORD", "not-the-password"),
        ("SSL", "CLAIMSCRUB_SSL_CA_FILE", "another-ca.pem"),
    ],
)
def test_a_refusal_is_one_sentence_at_once(  # noqa: PLR0917
    broker: SecureKafkaBroker, topic_prefix: str, tmp_path: Path, protocol: str, variable: str, value: str
) -> None:
    """A wrong password or certificate ends the worker with a sentence that names the settings, without a long wait."""
    (tmp_path / "another-ca.pem").write_text(ANOTHER_CA)
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
