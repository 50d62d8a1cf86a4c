"""A running console."""

from __future__ import annotations

import http.client
import socket
import subprocess
from contextlib import closing

from tests.worker_process import Pipeline

TOKEN = "a token of the tests only"


class Console:
    """A running console."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._log = pipeline.folder / "console.log"
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        settings = {"CLAIMSCRUB_CONSOLE_PORT": str(port), "CLAIMSCRUB_CONSOLE_TOKEN": TOKEN}
        with self._log.open("wb") as file:
            self.process = subprocess.Popen(
                pipeline.command("console"),
                env={**pipeline.environment, **settings}, cwd=pipeline.folder, stdout=file, stderr=file,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        with closing(connection):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False
