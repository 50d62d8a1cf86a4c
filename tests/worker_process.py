"""A worker as a process, as a deployment runs it, on topics of its own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from rules import Claim, ClaimError, RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from tests.kafka_broker import Cluster
from worker.members import Members, partition_of
from worker.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
OUTPUTS = ("cleared", "flagged", "deadletter")
BETWEEN = ("repartition", "status", "overrides", "history")
SECRET = "only for tests"
MEMBERS = Members(SECRET, RuleSet.load().recognised)


def claim_event(number: int, *, flagged: bool = False, member: int | None = None) -> bytes:
    """A small claim event with the id `C<number>`, of a member of its own if none is named."""
    lines = [a_line(units="2" if flagged else "1")]
    content = claim_content(claim_id=f"C{number}", patient_control_number=f"PCN-{number}", lines=lines)
    return as_json(of_member(number if member is None else member, content)).encode()


def of_member(number: int, content: dict[str, Any]) -> dict[str, Any]:
    """The content of a claim event, of a member with this number."""
    return {**content, "subscriber": {**content["subscriber"], "member_number": member_number(number)}}


def claim_events_of(partition: int, partitions: int, count: int) -> list[bytes]:
    """Claim events like those of `claim_event`, of members that one partition has, each with a claim of its own."""
    events = (claim_event(number) for number in itertools.count())
    there = (event for event in events if partition_of(member_key(event) or b"", partitions) == partition)
    return list(itertools.islice(there, count))


def member_number(number: int) -> str:
    """A Medicare number in the form that such numbers have; another one for each of four millions."""
    letters, digits = "ACDEFGHJKMNPQRTUVWXY", f"{number % 10_000:04}"
    first, second = divmod(number // 10_000, len(letters))
    return f"1EG{digits[0]}{letters[first]}{letters[second]}{digits[1]}MK{digits[2:]}"


def member_key(raw: bytes | None) -> bytes | None:
    """The key of a claim event's member; None for what is no claim event."""
    try:
        return MEMBERS.key_of_claim(Claim.from_json(raw or b""))
    except ClaimError:
        return None


def eventually(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until a condition holds and return its value; fail with its last value."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s; the last value was {value!r}"
        time.sleep(0.05)
    return value


@dataclass
class Pipeline:
    """Topics of its own, a consumer group, and the environment of a worker on them."""

    kafka: Cluster
    prefix: str
    folder: Path
    partitions: int = 4
    extra: dict[str, str] = field(default_factory=dict)
    topics: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.topics = self.topics or {name: f"{self.prefix}claims.{name}" for name in ("submitted", *OUTPUTS, *BETWEEN)}
        self.x12_topic = f"{self.prefix}claims.x12"
        self.sent = 0
        self._counter: Any = None
        self._counted = 0

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "CLAIMSCRUB_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "CLAIMSCRUB_GROUP_ID": f"{self.prefix}group",
            "CLAIMSCRUB_SESSION_TIMEOUT_SECONDS": "2",
            "CLAIMSCRUB_PARTITIONS": str(self.partitions),
            "CLAIMSCRUB_LOG_FORMAT": "json",
            "CLAIMSCRUB_MEMBER_KEY_SECRET": SECRET,
            "CLAIMSCRUB_X12_TOPIC": self.x12_topic,
            **{f"CLAIMSCRUB_{name.upper()}_TOPIC": topic for name, topic in self.topics.items()},
            **self.extra,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLAIMSCRUB_")}
        return {**inherited, **own, "PYTHONPATH": str(ROOT)}

    @property
    def settings(self) -> Settings:
        """Those of the environment, for code that runs in the tests."""
        own = {name.removeprefix(PREFIX).lower(): value for name, value in self.environment.items() if PREFIX in name}
        return Settings.model_validate(own)

    def command(self, *arguments: str) -> list[str]:
        """The `claimscrub` command that is tested."""
        return [sys.executable, "-m", "worker.cli", *arguments]

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """A `claimscrub` command to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment, cwd=self.folder, timeout=timeout, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def create_topics(self) -> None:
        made = self.run("topics", "create")
        assert made.returncode == 0, made.stderr

    def send(
        self,
        events: list[tuple[bytes | None, bytes | None]],
        topic: str = "submitted",
        headers: Sequence[tuple[str, bytes]] = (),
        /,
        **config: Any,
    ) -> None:
        """Publish (key, value) pairs, all with these headers, to an input topic and wait until the broker has them.

        A key of None stands for the member's, as `claimscrub submit` would make it.
        """
        servers = {"bootstrap.servers": self.kafka.bootstrap_servers, "partitioner": "murmur2_random"}
        producer = Producer({**servers, "linger.ms": 5, **config})
        failures: list[Any] = []
        for key, value in events:
            producer.produce(
                self.x12_topic if topic == "x12" else self.topics[topic],
                value,
                member_key(value) if key is None else key,
                headers=list(headers),
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
            producer.poll(0)
        assert producer.flush(30) == 0
        assert failures == []
        if topic == "submitted":
            self.sent += len(events)

    def outputs(self) -> dict[str, list[Message]]:
        """What stands on each output topic."""
        return {name: self.kafka.read_all(self.topics[name]) for name in OUTPUTS}

    def count(self) -> int:
        """How many committed records stand on the output topics; end offsets would count the ends of transactions."""
        if self._counter is None:
            self._counter = Consumer(
                {
                    "bootstrap.servers": self.kafka.bootstrap_servers,
                    "group.id": "tests-count",  # required, but nothing joins or commits: the partitions are assigned
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "fetch.wait.max.ms": 20,
                }
            )
            self._counter.assign(
                [TopicPartition(self.topics[name], each, 0) for name in OUTPUTS for each in range(self.partitions)]
            )
        while messages := self._counter.consume(10_000, 0.1):
            self._counted += sum(message.error() is None for message in messages)
        return self._counted

    def grown_to(self, partitions: int) -> None:
        """The topics have more partitions now."""
        self.close()
        self.partitions, self._counter, self._counted = partitions, None, 0

    def close(self) -> None:
        """Let go of the cluster."""
        if self._counter is not None:
            self._counter.close()

    def wait_for_all(self, seconds: float = 60.0) -> None:
        """Wait until there are as many outputs as events were sent."""
        eventually(lambda: self.count() >= self.sent, seconds)

    def worker(self, *options: str, log: IO[bytes] | None = None, **extra: str) -> Worker:
        """`claimscrub worker` in the pipeline's environment and `extra`; its log goes to `log`, or to a file."""
        return Worker(self, options, log, extra)

    def decided(self) -> Counter[str]:
        """How often each input was answered, by the id of the event."""
        outputs = self.outputs()
        return Counter(dict(message.headers())["ce_id"].decode() for name in OUTPUTS for message in outputs[name])


class Worker:
    """A running worker; leaving the context stops it."""

    def __init__(
        self, pipeline: Pipeline, options: tuple[str, ...], log: IO[bytes] | None, extra: dict[str, str]
    ) -> None:
        self._log_path = pipeline.folder / f"worker-{time.monotonic_ns()}.log"
        with self._log_path.open("wb") as file:
            self.process = subprocess.Popen(
                pipeline.command("worker", *options),
                env={**pipeline.environment, **extra}, cwd=pipeline.folder, stdout=log or file, stderr=log or file,
            )  # fmt: skip

    @property
    def name(self) -> str:
        return self._log_path.stem

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The log lines so far."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}")]

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one kind."""
        return [line for line in self.lines() if line["event"] == event]

    def wait_until_ready(self, seconds: float = 40.0) -> None:
        eventually(lambda: self.events("ready") or self.process.poll() is not None, seconds)
        assert self.process.poll() is None, self.log

    def terminate(self, seconds: float = 20.0) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(10)

    def wait(self, seconds: float = 60.0) -> int:
        return self.process.wait(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.terminate()
        if error is not None:
            print(self.log[-4000:], file=sys.stderr)


def kill_at_work(pipeline: Pipeline, seconds: float) -> None:
    """Start a worker, and kill it so many seconds after its first output."""
    worker = pipeline.worker()
    before = pipeline.count()
    eventually(lambda: pipeline.count() > before, 40)
    time.sleep(seconds)
    worker.kill()
