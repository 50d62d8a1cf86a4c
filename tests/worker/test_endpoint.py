"""The worker's endpoint over real HTTP: what it answers, whom it hangs up on, and where it can't listen."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import pytest

from tests.kafka_broker import free_ports
from tests.scraping import get
from worker import endpoint as module
from worker.endpoint import endpoint
from worker.monitor import Monitor
from worker.settings import Settings, SettingsError
from worker.transport import Heard


@pytest.fixture
def port() -> int:
    (port,) = free_ports(1)
    return port


@pytest.fixture
def monitor(port: int) -> Iterator[Monitor]:
    """Of a worker that has only begun, served at `port`."""
    settings = Settings(metrics_port=port)
    monitor = Monitor(settings)
    with endpoint(settings, monitor):
        yield monitor


def test_a_worker_that_begins_is_alive_and_not_ready(monitor: Monitor, port: int) -> None:
    """Before anything else is there, each path is answered, and the answer says how far the worker is."""
    monitor.stage = "loading the rules"

    assert get(port, "/healthz") == (200, "ok\n")
    status, body = get(port, "/readyz?verbose")
    assert (status, json.loads(body)) == (503, {"ready": False, "missing": ["worker: loading the rules"]})
    status, text = get(port, "/metrics")
    assert status == 200
    assert "\nclaimscrub_ready 0.0\n" in text
    assert get(port, "/") == (404, "/metrics, /healthz or /readyz\n")


def test_an_event_loop_that_hangs_is_told(monitor: Monitor, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the loop turns the process is alive; where it is blocked /healthz says so, and so does /readyz."""
    monkeypatch.setattr("worker.monitor._LOOP_SECONDS", 0.2)
    loop = asyncio.new_event_loop()
    turning = threading.Thread(target=loop.run_forever)
    turning.start()
    monitor.runs_in(loop, dict[tuple[str, int], Heard])
    blocked = threading.Event()
    try:
        assert get(port, "/healthz") == (200, "ok\n")
        loop.call_soon_threadsafe(blocked.wait)
        assert get(port, "/healthz") == (503, "event loop: has not turned for 0.2 s\n")
        assert json.loads(get(port, "/readyz")[1])["missing"] == ["event loop: has not turned for 0.2 s"]
        blocked.set()
        assert get(port, "/healthz") == (200, "ok\n")
    finally:
        blocked.set()
        loop.call_soon_threadsafe(loop.stop)
        turning.join()
        loop.close()
    assert get(port, "/healthz") == (200, "ok\n")  # the worker is at its end


def test_a_head_has_no_body_and_a_post_is_refused(monitor: Monitor, port: int) -> None:
    """HEAD is answered as GET without the body; other methods are not taken."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("HEAD", "/metrics")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 1_000
    connection.request("POST", "/metrics")
    assert connection.getresponse().status == 501
    connection.close()


def test_who_says_nothing_is_hung_up_on(monitor: Monitor, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent connections end by themselves, and no number of them keeps others out for long."""
    monkeypatch.setattr(module._Handler, "timeout", 0.3)
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(module._MOST_CONNECTIONS + 3)]
    deadline = time.monotonic() + 10
    while get(port, "/healthz")[0] != 200:
        assert time.monotonic() < deadline
    for each in silent:
        with closing(each):
            each.settimeout(5)
            assert each.recv(1) == b""


@pytest.mark.parametrize(("host", "said"), [("127.0.0.1", "Address already in use"), ("203.0.113.1", "Cannot assign")])
def test_where_it_can_t_listen_is_one_sentence(host: str, said: str, port: int) -> None:
    """A port that is taken, or an address that this machine has not: the settings are named, and nothing starts."""
    served = endpoint(Settings(metrics_host=host, metrics_port=port), Monitor(Settings()))
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(
            SettingsError, match=f"CLAIMSCRUB_METRICS_HOST and CLAIMSCRUB_METRICS_PORT: {host}:{port}: {said}"
        ),
        served,
    ):
        pass


def test_without_a_port_nothing_is_served() -> None:
    """Port 0, the default, opens nothing."""
    before = threading.active_count()
    with endpoint(Settings(), Monitor(Settings())):
        assert threading.active_count() == before
