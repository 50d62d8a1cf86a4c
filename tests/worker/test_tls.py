"""Both Kafka clients take TLS 1.2 and newer, with a certificate for the name they asked for, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from tests.kafka_broker import own_certificate
from worker.kafka import KafkaProblemError, aiokafka_config, partitions_by_topic
from worker.settings import Settings

_SECONDS = 3.0


@contextmanager
def _server(certificate: Path, key: Path, version: ssl.TLSVersion) -> Iterator[tuple[str, list[str]]]:
    """Something that speaks TLS of one version and then no more; its address, and the versions it agreed on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")  # or this side would refuse the old versions itself
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(certificate, key)
    agreed: list[str] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                connection, _ = listening.accept()
                with contextlib.suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1)  # a client that refuses our certificate says so only now
                    agreed.append(str(tls.version()))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}", agreed
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


async def _aiokafka(settings: Settings) -> None:
    client = AIOKafkaClient(**aiokafka_config(settings), request_timeout_ms=int(_SECONDS * 1000))
    try:
        with contextlib.suppress(KafkaError):
            await client.bootstrap()
    finally:
        await client.close()


def _confluent(settings: Settings) -> None:
    with contextlib.suppress(KafkaProblemError):
        partitions_by_topic(settings, 1.0)


@pytest.mark.parametrize(
    ("version", "name", "agreed"),
    [
        ("TLSv1_3", "127.0.0.1", {"TLSv1.3"}),
        ("TLSv1_2", "127.0.0.1", {"TLSv1.2"}),
        ("TLSv1_1", "127.0.0.1", set()),
        ("TLSv1_3", "another.example", set()),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("client", ["aiokafka", "confluent"])
def test_what_is_spoken(tmp_path: Path, client: str, version: str, name: str, agreed: set[str]) -> None:
    """An old version is not spoken, and a trusted certificate for another name does not do."""
    certificate, key = own_certificate(tmp_path, name)
    with _server(certificate, key, ssl.TLSVersion[version]) as (address, spoken):
        settings = Settings(bootstrap_servers=address, security_protocol="SSL", ssl_ca_file=certificate)
        if client == "aiokafka":
            asyncio.run(_aiokafka(settings))
        else:
            _confluent(settings)

    assert set(spoken) == agreed
