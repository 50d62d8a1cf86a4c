"""Claims with marked people go through everything, and the marks are found nowhere but where claims are.

Real workers, a supervisor, the splitter, a console with a browser, and the commands run on one corpus: good claims,
faults in marked fields, X12, answers and overrides. What each of them says and keeps is a channel in the table below.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner
from confluent_kafka import Message, Producer
from playwright.sync_api import Browser, WebSocket, expect

from tests.browser import visit
from tests.collector import Collector
from tests.console.process import TOKEN, Console
from tests.kafka_broker import Cluster
from tests.privacy.corpus import Corpus
from tests.privacy.marks import marks_in, nowhere
from tests.worker_process import OUTPUTS, Pipeline, Worker, eventually
from worker.cli import main
from worker.codec import published
from worker.overrides import Override, override_event, override_headers

pytestmark = pytest.mark.broker

PAGES = ("/", "/flagged", "/causes", "/rules", "/rules/UNT001", "/what-if", "/dead-letters", "/overrides")


class Channel(NamedTuple):
    """Where something is said or kept.

    Attributes:
        speaks: what stands there in any case, so that an empty channel proves nothing.
        accounts: numbers of accounts may stand there, names, member numbers and birth dates not.
    """

    speaks: str
    accounts: bool = False


CHANNELS = {
    "worker log, JSON, debug": Channel("deadletter"),
    "supervisor and worker log, for a terminal, debug": Channel("deadletter"),
    "worker /metrics, /healthz, /readyz": Channel("claimscrub_claims_total"),
    "supervisor /metrics, /healthz, /readyz": Channel("claimscrub_"),
    "spans": Channel("scrub"),
    "decisions": Channel("MARKED-"),
    "headers of ours on what is published": Channel("claimscrub.claim.flagged.v1"),
    "claims.history": Channel("MARKED-", accounts=True),
    "data directory": Channel("MARKED-", accounts=True),
    "console log": Channel("console"),
    "console SQLite": Channel("MARKED-"),
    "console /metrics, /healthz, /readyz": Channel("claimscrub_console_open_claims"),
    "console pages over HTTP": Channel("claimscrub"),
    "console pages in a browser": Channel("MARKED-"),
    "console websocket": Channel("MARKED-"),
    "check": Channel("UNT001"),
    "submit": Channel("claims published to"),
    "submit --watch": Channel("claims"),
    "files beside failed ones": Channel("expected"),
    "status import": Channel("published"),
    "acknowledge and export, beside their files": Channel("did not come as X12"),
    "watch": Channel("MARKED-"),
    "watch --json": Channel("MARKED-"),
    "replay": Channel("claims"),
    "replay's folder": Channel("MARKED-"),
    "diff": Channel("claims"),
    "diff --json": Channel("MARKED-"),
    "diff's report": Channel("MARKED-"),
    "history show": Channel("MARKED-"),
    "history key": Channel("MARKED-"),
    "usage errors": Channel("Usage"),
}
CLAIM_TOPICS = ("submitted", "repartition", "status", "overrides", *OUTPUTS)
"""Where claims are, and so marks; beside them the X12 topic."""


class Ran:
    """What everything said and kept, by channel."""

    def __init__(self) -> None:
        self.said: dict[str, list[bytes]] = {name: [] for name in CHANNELS}
        self.topics: dict[str, list[Message]] = {}

    def add(self, channel: str, *said: bytes | str) -> None:
        self.said[channel] += [each.encode() if isinstance(each, str) else each for each in said]


def _send(pipeline: Pipeline, topic: str, key: bytes | None, value: bytes | None, headers: Any = ()) -> None:
    producer = _producer(pipeline)
    producer.produce(topic, value, key, headers=list(headers))
    producer.poll(0)


_producers: dict[str, Any] = {}


def _producer(pipeline: Pipeline) -> Any:
    servers = pipeline.kafka.bootstrap_servers
    return _producers.setdefault(servers, Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random"}))


def _free_ports(count: int) -> int:
    """The first of some ports in a row that are free now."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))).getsockname()[1]
            try:
                for port in range(first + 1, first + count):
                    stack.enter_context(closing(socket.create_server(("127.0.0.1", port))))
            except OSError:
                continue
            return int(first)


def _served(port: int) -> Iterator[bytes]:
    for path in ("metrics", "healthz", "readyz", "nothing"):
        try:
            with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                yield answer.read()
        except HTTPError as error:
            yield error.read()


class _Run:
    """One run of everything."""

    def __init__(self, pipeline: Pipeline, browser: Browser) -> None:
        self.pipeline = pipeline
        self.browser = browser
        self.ran = Ran()
        self.corpus = Corpus()
        self.folder = pipeline.folder

    def run(self) -> Ran:
        pipeline, ran = self.pipeline, self.ran
        ports = _free_ports(3)
        debug = {"CLAIMSCRUB_LOG_LEVEL": "debug", "CLAIMSCRUB_DEADLETTER_RUN": "0"}
        collector = Collector()
        first = {
            **debug,
            "CLAIMSCRUB_METRICS_PORT": str(ports),
            "CLAIMSCRUB_DATA_DIRECTORY": str(self.folder / "one"),
            "CLAIMSCRUB_TRACING": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        }
        second = {
            **debug,
            "CLAIMSCRUB_METRICS_PORT": str(ports + 1),
            "CLAIMSCRUB_DATA_DIRECTORY": str(self.folder / "two"),
            "CLAIMSCRUB_LOG_FORMAT": "console",
            "CLAIMSCRUB_MODE": "monitor",
            "CLAIMSCRUB_CLEARED_FORMAT": "claim",
        }
        inbox = self._write_files()
        pipeline.extra["CLAIMSCRUB_CONSOLE_DIRECTORY"] = str(self.folder / "console")
        with ExitStack() as stack:
            stack.callback(collector.close)
            console = Console(pipeline)
            stack.callback(console.process.wait)
            stack.callback(console.process.kill)
            one = stack.enter_context(pipeline.worker(log=None, **first))
            two = stack.enter_context(pipeline.worker("--workers", "1", log=None, **second))
            watching = self._watching(inbox)
            stack.callback(watching.wait)
            stack.callback(watching.kill)
            self._files()
            one.wait_until_ready()
            eventually(lambda: re.search(r"\] ready .*partitions=1", two.log), 60)  # so that both have their share
            self._send_all()
            self._settled()
            self._overrides()
            self._settled()
            ran.add("worker /metrics, /healthz, /readyz", *_served(ports), *_served(ports + 2))
            ran.add("supervisor /metrics, /healthz, /readyz", *_served(ports + 1))
            self._topics()
            eventually(console.is_ready, 30)
            self._pages(console)
            self._commands()
            watching.terminate()
            watching.wait(20)
            ran.add("submit --watch", (self.folder / "watching.log").read_bytes())
            self._stopped(one, two)
            ran.add("spans", *collector.bodies)
            ran.add("console log", console.log)
        for path in (self.folder / "console").rglob("*"):
            if path.is_file():
                ran.add("console SQLite", path.name, path.read_bytes())
        for path in (*(self.folder / "one").rglob("*"), *(self.folder / "two").rglob("*")):
            if path.is_file():
                ran.add("data directory", str(path.relative_to(self.folder)), path.read_bytes())
        return ran

    def _write_files(self) -> Path:
        """Files for the commands; the folder that is watched."""
        corpus = self.corpus
        inbox = self.folder / "inbox"
        for name in ("inbox", "claims", "answers"):
            (self.folder / name).mkdir()
        faulty = [value for _, value in corpus.faulty_claims()]
        whole = [value for value in faulty if b"\n" not in value and b"\0" not in value]
        good = [value for _, value, _ in corpus.claims()]
        for folder in (inbox, self.folder / "claims"):
            (folder / "lines.ndjson").write_bytes(b"\n".join([*good[-3:], *whole]))
            (folder / "good.837").write_text(corpus.x12(2))
            for number, value in enumerate([*(value for _, value in corpus.faulty_x12()), *faulty[-14:]]):
                (folder / f"file-{number}").write_bytes(value)
        for number, (_, value) in enumerate((*corpus.answers(), *corpus.statuses())):
            (self.folder / "answers" / f"file-{number}").write_bytes(value)
        return inbox

    def _watching(self, inbox: Path) -> subprocess.Popen[bytes]:
        with (self.folder / "watching.log").open("wb") as file:
            return subprocess.Popen(
                self.pipeline.command("submit", "--watch", str(inbox), "--settle", "0.1"),
                env=self.pipeline.environment, stdout=file, stderr=file,
            )  # fmt: skip

    def _send_all(self) -> None:
        pipeline, corpus = self.pipeline, self.corpus
        topics = pipeline.topics
        for key, value, headers in corpus.claims():
            _send(pipeline, topics["submitted"], key, value, headers)
        for _, value in corpus.faulty_claims():
            _send(pipeline, topics["submitted"], corpus.marks.mark().encode(), value, [("from", corpus.marks.mark())])
        _send(pipeline, topics["submitted"], corpus.marks.mark().encode(), None)
        for _, value in corpus.statuses():
            _send(pipeline, topics["status"], corpus.marks.mark().encode(), value)
        for _, value in (("", corpus.x12(3).encode()), *corpus.faulty_x12()):
            _send(pipeline, pipeline.x12_topic, corpus.marks.mark().encode(), value, [("from", corpus.marks.mark())])
        assert _producer(pipeline).flush(30) == 0

    def _overrides(self) -> None:
        pipeline = self.pipeline
        flagged = pipeline.outputs()["flagged"]
        topic = pipeline.topics["overrides"]
        one = next(each for each in flagged if each.key() and dict(each.headers())["ce_subject"].startswith(b"MARKED-"))
        headers = dict(one.headers())
        override = Override("erin.example", "Confirmed by phone.", datetime.now(UTC), headers["ce_id"].decode())
        event = override_event(one.value(), override)
        carried = override_headers(override, headers["ce_subject"].decode(), one.headers())
        for _ in range(2):
            _send(pipeline, topic, one.key(), event, carried)
        for _, value in self.corpus.faulty_overrides(one.value()):
            _send(pipeline, topic, self.corpus.marks.mark().encode(), value, carried)
        assert _producer(pipeline).flush(30) == 0

    def _settled(self) -> None:
        """Until nothing more is published for a second."""
        before, since = -1, time.monotonic()

        def is_quiet() -> bool:
            nonlocal before, since
            count = self.pipeline.count()
            if count != before or not count:
                before, since = count, time.monotonic()
            return time.monotonic() - since > 1

        eventually(is_quiet, 60)

    def _topics(self) -> None:
        pipeline, ran = self.pipeline, self.ran
        names = {**pipeline.topics, "x12": pipeline.x12_topic}
        ran.topics = {name: pipeline.kafka.read_all(topic) for name, topic in names.items()}
        for message in (*ran.topics["cleared"], *ran.topics["flagged"]):
            ran.add("decisions", published(message.value(), message.headers()).decision)
        for output in OUTPUTS:
            for message in ran.topics[output]:
                ran.add("headers of ours on what is published", *_ours(message))
        for message in ran.topics["history"]:
            ran.add("claims.history", message.key() or b"", message.value() or b"")

    def _files(self) -> None:
        """Commands that read files: what they say, and the decisions that they print."""
        claims, answers = str(self.folder / "claims"), str(self.folder / "answers")
        self._command("check", "check", claims)
        self._command("submit", "submit", claims)
        self._command("status import", "status", "import", answers)
        self._command("history key", "history", "key", claims)
        self._command(
            "acknowledge and export, beside their files", "acknowledge", "--syntax", "--out", self._at("999"), claims
        )

    def _commands(self) -> None:
        """Commands that read topics, or what others have written."""
        held = self.ran.topics["history"]
        key = next(each.key() or b"" for each in held if b"MARKED-" in (each.value() or b"")).decode()
        beside = "acknowledge and export, beside their files"
        newest = ("--since", "1d", "--until-now", "--deadletters")
        self._command("watch", "watch", *newest)
        self._command("watch --json", "watch", *newest, "--json")
        self._command("history show", "history", "show", key)
        self._command(beside, "acknowledge", "--topics", "--out", self._at("277ca"))
        self._command(beside, "export", "--topics", "--out", self._at("837"))
        self._command("replay", "replay", "--out", self._at("replayed"), "--without", "UNT001")
        self._command("diff", "diff", self._at("replayed"), "--html", self._at("report.html"))
        self._command("diff --json", "diff", self._at("replayed"), "--json")
        self._command("usage errors", "check", "--no-such-option", "x")
        self.ran.add("diff's report", (self.folder / "report.html").read_bytes())
        for path in (self.folder / "replayed").rglob("*"):
            if path.is_file():
                self.ran.add("replay's folder", path.name, path.read_bytes())

    def _at(self, name: str) -> str:
        return str(self.folder / name)

    def _command(self, channel: str, *arguments: str) -> None:
        """A command in this process, as far as it says something."""
        ended = CliRunner(env=self.pipeline.environment).invoke(main, arguments)
        assert isinstance(ended.exception, SystemExit | None), ended.stderr
        self.ran.add(channel, ended.stdout, ended.stderr)

    def _pages(self, console: Console) -> None:
        ran = self.ran
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for path in ("/metrics", "/healthz", "/readyz"):
            ran.add("console /metrics, /healthz, /readyz", console.get(path, **bearer)[1])
        frames: list[bytes | str] = []

        def keep(frame: bytes | str) -> None:
            frames.append(frame)

        def listen(socket: WebSocket) -> None:
            socket.on("framereceived", keep)

        with visit(self.browser, console.url) as visitor:
            page = visitor.page
            page.on("websocket", listen)
            page.goto("/login")
            page.get_by_label("Token").fill(TOKEN)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url("**/")
            paths = [*PAGES, "/no-such-page", f"/flagged?text={self.corpus.marks.mark()[:3]}"]
            page.goto("/flagged")
            expect(page.locator(".ledger tbody tr").first).to_be_visible()
            rows = page.locator("a.whole").evaluate_all("all => all.map(each => each.getAttribute('href'))")
            page.goto("/flagged?text=SENDERID")
            expect(page.locator(".ledger tbody tr").first).to_be_visible()
            rows[:2] = page.locator("a.whole").evaluate_all("all => all.map(each => each.getAttribute('href'))")[:1]
            page.goto("/dead-letters")
            expect(page.locator(".ledger tbody tr").first).to_be_visible()
            letters = page.locator("a.whole").evaluate_all("all => all.map(each => each.getAttribute('href'))")
            for path in (*paths, *rows[:2], *letters[::40]):
                page.goto(path)
                expect(page.locator("#content")).to_be_visible()
                if path == rows[0]:  # of a claim that came as an 837
                    for name in ("Decision as JSON", "277CA"):
                        page.get_by_role("button", name=name).click()
                        expect(page.locator("pre code")).to_be_visible()
                        ran.add("console pages in a browser", page.content())
                        page.keyboard.press("Escape")
                        expect(page.locator("pre code")).to_have_count(0)
                ran.add("console pages in a browser", page.content())
                cookie = "; ".join(f"{each['name']}={each['value']}" for each in page.context.cookies())
                ran.add("console pages over HTTP", console.get(path, Cookie=cookie)[1])
            page.goto("/flagged?text=SENDERID")
            expect(page.locator(".ledger tbody tr").first).to_be_visible()
            page.locator("a.whole").first.click()
            page.get_by_role("link", name="What if").last.click()
            expect(page.locator(".cm-content")).to_contain_text("(hidden 1)")
            ran.add("console pages in a browser", page.content())
        ran.add("console websocket", *frames)

    def _stopped(self, one: Worker, two: Worker) -> None:
        assert one.terminate() == 0
        assert two.terminate() == 0
        self.ran.add("worker log, JSON, debug", one.log)
        self.ran.add("supervisor and worker log, for a terminal, debug", two.log)
        for path in (self.folder / "inbox" / "failed").rglob("*.errors.txt"):
            self.ran.add("files beside failed ones", path.name, path.read_bytes())


def _ours(message: Message) -> Iterator[bytes]:
    """The values of the headers that we make; those of a claim that goes on as it came have names of their own."""
    headers = message.headers()
    names: tuple[str, ...] = ("claimscrub_id", "claimscrub_type", "claimscrub_subject", "claimscrub_decision")
    if "claimscrub_type" not in dict(headers):
        names = ("ce_", "__connect.errors.", "claimscrub_mode")
    for name, value in headers:
        if name.startswith(names):
            yield value


@pytest.fixture(scope="module")
def ran(kafka: Cluster, tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Ran]:
    """Everything has run, once for all the tests here."""
    pipeline = Pipeline(kafka, f"t{uuid.uuid4().hex[:8]}-", tmp_path_factory.mktemp("privacy"), partitions=2)
    pipeline.create_topics()
    try:
        yield _Run(pipeline, browser).run()
    finally:
        pipeline.close()


@pytest.mark.parametrize("name", CHANNELS)
def test_no_mark_gets_out(ran: Ran, name: str) -> None:
    """Nothing that is logged, shown, served, or kept beside the claims says who anybody is."""
    channel, said = CHANNELS[name], ran.said[name]
    assert channel.speaks.encode() in b"\n".join(said), said[:3]
    nowhere(((name, each) for each in said), accounts=not channel.accounts)


@pytest.mark.parametrize("name", [*CLAIM_TOPICS, "x12"])
def test_marks_are_where_claims_are(ran: Ran, name: str) -> None:
    """The topics of claims hold them as they came: so they must be read by those only who may."""
    assert any(marks_in(each.value() or b"") for each in ran.topics[name])
