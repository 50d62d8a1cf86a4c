"""Fuzzed messages through a real worker on a real broker, each of them accounted for: `python -m tests.fuzz.stream`.

Claim events, answers of payers, releases and X12 text, with keys and headers as odd as they come. Of each message it is
known beforehand whether it is answered: a claim event and a release once, an answer only where it can't be read, X12
text with as many claim events and dead letters as it holds. Each decision is as the contract has it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from pydantic import TypeAdapter, ValidationError

from rules import RuleSet
from rules.engine.claim import json_path
from tests.fuzz.mutations import Mutator
from tests.kafka_broker import Cluster, KafkaBroker
from tests.worker_process import MEMBERS, OUTPUTS, Pipeline, Worker, eventually
from worker.history import Memory
from worker.kafka import enqueue
from worker.pipeline import DEFAULT_LIMITS, take_status
from worker.splitter import Sizes, split
from worker.wire import DecidedClaim
from worker.x12 import Event

ROUND = 50_000
"""Inputs of one round, which has topics and a worker of its own."""
_SHARES = {"submitted": 70, "status": 8, "overrides": 7, "x12": 15}
_PARTITIONS = 4
_SIZES = Sizes(x12=10_485_760, claim=DEFAULT_LIMITS.claim)
_SLOW = ("Thread keepalive is not responding", "Heartbeat session expired")
"""What Faust and aiokafka say of a machine that has other work to do: no fault while every message is answered."""
_DECIDED = TypeAdapter(DecidedClaim)
_SECONDS_AN_INPUT = 0.02
"""So long a round may take, for each input, before it counts as a hang."""


class Sent(NamedTuple):
    """A message of which it is known what it gives.

    Attributes:
        events: claim events, of X12.
        answers: outputs.
    """

    events: int
    answers: int


def main() -> None:
    """Run, print a line for each round, and end with 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.stream", description=__doc__)
    parser.add_argument("--inputs", type=int, default=ROUND, help="how many messages (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=63685, help="of the first round; the next one has the next")
    options = parser.parse_args()
    ruleset = RuleSet.load()
    folder = Path(tempfile.mkdtemp(prefix="claimscrub-fuzz-"))
    total: Counter[str] = Counter()
    with KafkaBroker(folder / "broker") as broker:
        for number, begin in enumerate(range(0, options.inputs, ROUND)):
            inputs, seed = min(ROUND, options.inputs - begin), options.seed + number
            began = time.monotonic()
            counts, faults = run(broker, folder / f"round-{seed}", ruleset, inputs, seed)
            total += counts
            print(f"seed {seed}: {said(counts)}; {time.monotonic() - began:.0f} s", flush=True)
            if faults:
                print("\n".join(faults[:20]), f"logs are in {folder}", sep="\n", flush=True)
                sys.exit(1)
    shutil.rmtree(folder)
    print(f"fuzz: {said(total)}; each accounted for")


def said(counts: Counter[str]) -> str:
    """Counts in words."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def run(kafka: Cluster, folder: Path, ruleset: RuleSet, inputs: int, seed: int) -> tuple[Counter[str], list[str]]:
    """One round.

    Returns:
        What was sent and answered; and what is wrong.
    """
    folder.mkdir(parents=True)
    # A machine with other work to do may be slow; a rebalance is no fault, but would be logged as one.
    patience = {"CLAIMSCRUB_SESSION_TIMEOUT_SECONDS": "60"}
    extra = {"CLAIMSCRUB_DEADLETTER_RUN": "0", "CLAIMSCRUB_LOG_CLAIMS": "false", **patience}
    pipeline = Pipeline(kafka, f"fuzz{seed}-", folder, _PARTITIONS, extra)
    pipeline.create_topics()
    with ExitStack() as stack:
        stack.callback(_delete, pipeline)
        worker = stack.enter_context(pipeline.worker())
        sent = _send(pipeline, Mutator(seed, ruleset), ruleset, inputs)
        answers = sum(each.answers for each in sent.values()) + sum(each.events for each in sent.values())
        faults = _wait(pipeline, worker, answers, inputs * _SECONDS_AN_INPUT + 60)
        code = worker.terminate()
        faults += [f"the worker ended with {code}"] * (code != 0) + _complaints(worker)
        counts, wrong = _account(pipeline, sent)
        return counts, faults + wrong


def _send(pipeline: Pipeline, mutator: Mutator, ruleset: RuleSet, inputs: int) -> dict[str, Sent]:
    """Send messages; place of each one → what it must give."""
    producer = Producer(
        {"bootstrap.servers": pipeline.kafka.bootstrap_servers, "partitioner": "murmur2_random", "linger.ms": 5}
    )
    topics = {**pipeline.topics, "x12": pipeline.x12_topic}
    make = {"submitted": mutator.claim, "status": mutator.status, "overrides": mutator.override, "x12": mutator.x12}
    sent: dict[str, Sent] = {}

    def delivered(expected: Sent, error: Any, message: Any) -> None:
        assert error is None, error
        sent[f"{message.topic()}-{message.partition()}-{message.offset()}"] = expected

    kinds = mutator.random.choices(list(_SHARES), list(_SHARES.values()), k=inputs)
    for kind in kinds:
        raw: bytes | None = make[kind]()
        if mutator.random.random() < 0.002:
            raw = None
        expected = _expected(kind, raw, ruleset)
        enqueue(
            producer,
            topics[kind],
            raw,
            mutator.key(raw or b""),
            headers=mutator.headers(),
            on_delivery=lambda error, message, expected=expected: delivered(expected, error, message),
        )
        producer.poll(0)
    assert producer.flush(60) == 0
    return sent


def _expected(kind: str, raw: bytes | None, ruleset: RuleSet) -> Sent:
    if kind == "status":
        memory = Memory(MEMBERS, ruleset, {})
        memory.begin()
        return Sent(0, int(take_status(raw, memory).error is not None))
    if kind == "x12":
        items = split(raw, _SIZES)
        events = sum(isinstance(item, Event) for item in items)
        return Sent(events, len(items) - events)
    return Sent(0, 1)


def _wait(pipeline: Pipeline, worker: Worker, answers: int, seconds: float) -> list[str]:
    def done() -> bool:
        return pipeline.count() >= answers or worker.process.poll() is not None

    try:
        eventually(done, seconds)
    except AssertionError:
        return [f"{pipeline.count()} of {answers} answers after {seconds:.0f} s"]
    return []


def _complaints(worker: Worker) -> list[str]:
    """What the worker logged as an error, and what is no line of its log."""
    lines = [line for line in worker.log.splitlines() if line.strip()]
    structured = [json.loads(line) for line in lines if line.startswith("{")]
    errors = [
        json.dumps(line)
        for line in structured
        if line["level"] in {"error", "critical"} and not any(said in line["event"] for said in _SLOW)
    ]
    return [f"log: {line}" for line in errors + [line for line in lines if not line.startswith("{")]]


def _account(pipeline: Pipeline, sent: dict[str, Sent]) -> tuple[Counter[str], list[str]]:
    """Each event id stands once where it must, and nowhere where it must not."""
    submitted = pipeline.topics["submitted"]
    events = [f"{submitted}-{each.partition()}-{each.offset()}" for each in pipeline.kafka.read(submitted, 300)]
    split_off = [event for event in events if event not in sent]
    wanted = Counter({event: each.answers for event, each in sent.items() if each.answers})
    wanted += Counter(split_off)
    found: Counter[str] = Counter()
    counts: Counter[str] = Counter(inputs=len(sent))
    faults = []
    for name in OUTPUTS:
        for record in pipeline.kafka.read(pipeline.topics[name], 300):
            counts[name] += 1
            headers = record.headers() or []
            event_id = next(value for key, value in headers if key == "ce_id").decode()
            if event_id.startswith(f"{pipeline.x12_topic}-"):
                event_id = event_id.rpartition("-")[0]
            found[event_id] += 1
            reason = next((value for key, value in headers if key.endswith("exception.message")), b"")
            if b"the reader failed" in reason:
                faults.append(f"{event_id}: {reason.decode()}")
            if name != "deadletter":
                faults += [f"{event_id}: {wrong}" for wrong in _wrong(record.value())]
    expected_events = sum(each.events for each in sent.values())
    if len(split_off) != expected_events:
        faults.append(f"{len(split_off)} claim events of X12 instead of {expected_events}")
    faults += [
        f"{event}: {found[event]} outputs instead of {wanted[event]}" for event in (found - wanted) | (wanted - found)
    ]
    return counts, faults


def _wrong(value: bytes) -> list[str]:
    """What should not stand on the cleared or flagged topic, whatever was sent."""
    try:
        decision = _DECIDED.validate_json(value, strict=True)["decision"]
    except ValidationError as error:
        return [f"not as the contract has it: {json_path(error.errors()[0]['loc'])}"]
    return [each["message"] for each in decision["findings"] if each["rule_id"] == "rule-error"]


def _delete(pipeline: Pipeline) -> None:
    pipeline.close()
    admin = AdminClient({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    for future in admin.delete_topics([*pipeline.topics.values(), pipeline.x12_topic]).values():
        future.result()


if __name__ == "__main__":
    main()
