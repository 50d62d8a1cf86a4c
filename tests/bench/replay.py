"""Replays of many claims on a real broker: without a change nothing differs; without a rule, exactly its claims do.

    python -m tests.bench.replay --claims 100000

The claims are those of the benchmark, but of few members, so that history matters, and with what makes it hard to look
back at: claims sent again as they were, sent again with another content under the same id, and sent under a wrong key.
What has to differ is worked out from the published decisions alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from confluent_kafka.admin import AdminClient

from rules import RuleSet
from tests.bench.claims import SEED, UNREADABLE_EVERY, Drawn, claim_pool
from tests.kafka_broker import KafkaBroker
from tests.worker_process import Pipeline
from worker.codec import published

_EVENTS_PER_MEMBER = 8
"""A member number is one member with each of half a dozen payers."""
_AGAIN, _OTHERWISE, _ELSEWHERE = 0.02, 0.02, 0.02
_CHUNK = 2_000
_APART = _CHUNK
"""Events between two about one claim: what comes under a wrong key is decided out of order while a worker is behind."""
_RECENT = 500
_SECONDS = 1_200.0


class _Sent(NamedTuple):
    key: bytes
    raw: bytes
    number: int
    member: int
    drawn: Drawn


def replay_events(ruleset: RuleSet, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each claim event; one in a thousand is cut off and so unreadable."""
    pool, random = claim_pool(ruleset), Random(SEED)
    sent: dict[int, _Sent] = {}
    apart = min(_APART, count // 10)
    for number in range(count):
        way = random.random()
        earlier = list(sent)[: len(sent) - apart] if way < _AGAIN + _OTHERWISE else []
        before = sent[random.choice(earlier)] if earlier else None
        if before is not None and way < _AGAIN:
            event = before
        else:
            drawn = pool.some(random)
            while before is not None and drawn.payer != before.drawn.payer:
                drawn = pool.some(random)
            member = random.randrange(max(1, count // _EVENTS_PER_MEMBER)) if before is None else before.member
            id_ = number if before is None else before.number
            event = _Sent(*drawn.event(id_, member, pool.members), id_, member, drawn)
        is_readable = number % UNREADABLE_EVERY != 0
        if is_readable:
            sent.pop(event.number, None)
            sent[event.number] = event
        while len(sent) > apart + _RECENT:
            del sent[next(iter(sent))]
        key = b"another-%d" % number if random.random() < _ELSEWHERE else event.key
        yield key, event.raw if is_readable else event.raw[:-1]


class Answer(NamedTuple):
    """What a worker has said of a claim event.

    Attributes:
        errors: rules of which a finding is an error.
        rules: all that have found something.
    """

    errors: frozenset[str]
    rules: frozenset[str]


def answers(pipeline: Pipeline) -> dict[str, Answer]:
    """Event id → what was published about it, in whichever form; without the marked copies of what went on."""
    found = {}
    for name, messages in pipeline.outputs().items():
        for message in messages:
            if name == "deadletter":
                found[dict(message.headers())["ce_id"].decode()] = Answer(frozenset(), frozenset())
                continue
            said = published(message.value(), message.headers())
            findings = json.loads(said.decision)["findings"]
            errors = frozenset(each["rule_id"] for each in findings if each["severity"] == "error")
            found[said.event_id] = Answer(errors, frozenset(each["rule_id"] for each in findings))
    return {event_id: each for event_id, each in found.items() if not event_id.endswith("-monitor")}


def expected_without(rule_id: str, decided: dict[str, Answer]) -> dict[str, set[str]]:
    """Kind of difference → events that have to show it if a rule is left out."""
    concerned = {event_id: each for event_id, each in decided.items() if rule_id in each.rules}
    cleared = {event_id for event_id, each in concerned.items() if each.errors == {rule_id}}
    return {"newly cleared": cleared, "reasons changed": set(concerned) - cleared}


def differences(pipeline: Pipeline, *arguments: str) -> tuple[dict[str, set[str]], dict[str, Any]]:
    """What `claimscrub diff` finds: kind of difference → events; and all that it says."""
    ended = pipeline.run("diff", "--json", *arguments, timeout=_SECONDS)
    assert ended.returncode in (0, 1), ended.stderr
    said = json.loads(ended.stdout)
    found: dict[str, set[str]] = {}
    for each in said["claims"]:
        found.setdefault(each["kind"], set()).add(each["event_id"])
    assert ended.returncode == bool(found)
    return found, said


def traces(pipeline: Pipeline) -> tuple[object, ...]:
    """What a replay must leave as it is: the records of each topic, and the groups of the cluster."""
    admin = AdminClient({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    groups = sorted(each.group_id for each in admin.list_consumer_groups().result().valid)
    return groups, {name: pipeline.kafka.end_offsets(topic) for name, topic in pipeline.topics.items()}


def _spent() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run it, and print what was found and how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--claims", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="folder for the replays and the report, which then stay")
    options = parser.parse_args()
    ruleset = RuleSet.load()
    with tempfile.TemporaryDirectory() as temporary, KafkaBroker() as kafka:
        pipeline = Pipeline(kafka, "replay-", Path(temporary), partitions=8)
        pipeline.create_topics()
        with pipeline.worker():
            events = replay_events(ruleset, options.claims)
            while chunk := list(islice(events, _CHUNK)):
                pipeline.send([*chunk])
                pipeline.wait_for_all(_SECONDS)
        print(f"{options.claims:,} claims decided by a worker", flush=True)
        folder = options.keep or Path(temporary)
        decided = answers(pipeline)
        counts = Counter(rule_id for each in decided.values() if len(each.errors) == 1 for rule_id in each.errors)
        (rule_id, _), *_ = counts.most_common()
        before = traces(pipeline)
        is_right = True
        for name, without in (("same", ()), ("without", ("--without", rule_id))):
            began, spent = time.monotonic(), _spent()
            ended = pipeline.run("replay", "--out", str(folder / name), *without, timeout=_SECONDS)
            seconds, spent = time.monotonic() - began, _spent() - spent
            assert ended.returncode == 0, ended.stderr
            print(
                f"{ended.stdout}in {seconds:.1f} s, {options.claims / seconds:,.0f} a second;"
                f" {spent / options.claims * 1e6:.0f} µs of CPU a claim, start and copy included",
                flush=True,
            )
            wanted = expected_without(rule_id, decided) if without else {}
            began = time.monotonic()
            found, said = differences(pipeline, str(folder / name))
            is_same = found == {kind: events for kind, events in wanted.items() if events}
            is_right &= is_same and said["compared"]["claims"] == options.claims
            print(
                f"diff in {time.monotonic() - began:.1f} s: {said['compared']['claims']:,} compared,"
                f" {({kind: len(each) for kind, each in found.items()}) or 'none'} different; expected:"
                f" {({kind: len(each) for kind, each in wanted.items()}) or 'none'}; {'as' if is_same else 'NOT as'}"
                " expected",
                flush=True,
            )
        is_untouched = traces(pipeline) == before
        print(f"topics and groups are {'as before' if is_untouched else 'NOT as before'}")
        pipeline.close()
    sys.exit(not (is_right and is_untouched))


if __name__ == "__main__":
    main()
