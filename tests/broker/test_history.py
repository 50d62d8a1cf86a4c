"""Member history on a real broker: what one claim can't tell is told, whatever happens to workers and their disks."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from rules.engine.examples import a_line, as_json, claim_content
from tests.kafka_broker import Cluster
from tests.worker_process import OUTPUTS, Pipeline, Worker, eventually, member_key, member_number
from worker.members import partition_of

pytestmark = pytest.mark.broker

_MEMBERS = 1_000
_CLAIMS_OF_A_MEMBER = 10
_CHUNK = 1_000
_SEED = 63685

Event = tuple[bytes | None, bytes | None]


def claim_of(member: int, number: int, code: str = "63685", day: str = "2026-08-03", **changes: Any) -> bytes:
    """A claim of a member; without changes, one that is cleared."""
    lines = [a_line(code, service_date=day, **changes.pop("line", {}))]
    names = {"claim_id": f"M{member}-{number}", "patient_control_number": f"PCN-{member}-{number}"}
    content = claim_content(**{**names, "lines": lines, "received_date": "2026-08-20", **changes})
    content["subscriber"]["member_number"] = member_number(member)
    return as_json(content).encode()


def _claims_of(member: int, moments: random.Random) -> Iterator[bytes]:
    """Trials, implants, visits, duplicates, corrections and redeliveries, as chance will have them."""
    sent: list[bytes] = []
    for number in range(_CLAIMS_OF_A_MEMBER):
        day = f"2026-08-{moments.randrange(1, 15):02}"
        match moments.randrange(6):
            case 0:
                raw = claim_of(member, number, "63650", day)
            case 1:
                raw = claim_of(member, number, "63685", day, line={"modifiers": ["58"]})
            case 2:
                raw = claim_of(member, number, "99213", day)
            case 3 if sent:
                raw = moments.choice(sent)  # the same event again
            case 4 if sent:
                content = json.loads(moments.choice(sent))  # the same claim again, as another event
                raw = as_json({**content, "claim_id": f"M{member}-{number}"}).encode()
            case 5 if sent:
                content = json.loads(moments.choice(sent))
                correction = {"frequency_code": moments.choice("78"), "original_reference_number": "ICN"}
                raw = as_json({**content, **correction, "claim_id": f"M{member}-{number}"}).encode()
            case _:
                raw = claim_of(member, number, "63685", day)
        sent.append(raw)
        yield raw


def _events() -> list[Event]:
    """Claims of all members in random order, each member's in their own; one member in ten comes under another key."""
    moments = random.Random(_SEED)
    claims = {member: _claims_of(member, moments) for member in range(_MEMBERS)}
    order = [member for member in range(_MEMBERS) for _ in range(_CLAIMS_OF_A_MEMBER)]
    moments.shuffle(order)
    return [(b"of another system" if member % 10 == 0 else None, next(claims[member])) for member in order]


def _first_of_each_partition(partitions: int) -> list[Event]:
    """Claims that begin the history of every partition: they say since when it is held."""
    firsts: dict[int, Event] = {}
    number = _MEMBERS
    while len(firsts) < partitions:
        raw = claim_of(number, 0, received_date="2025-01-10", day="2025-01-06")
        key = member_key(raw)
        assert key is not None
        firsts.setdefault(partition_of(key, partitions), (key, raw))
        number += 1
    return list(firsts.values())


def _decisions(pipeline: Pipeline) -> dict[str, list[tuple[str, bytes | None, bytes | None]]]:
    """Where an event came → what was published about it: topic, key and value."""
    found: dict[str, list[tuple[str, bytes | None, bytes | None]]] = {}
    outputs = pipeline.outputs()
    for name in OUTPUTS:
        for message in outputs[name]:
            event_id = dict(message.headers())["ce_id"].decode().removeprefix(pipeline.prefix)
            found.setdefault(event_id, []).append((name, message.key(), message.value()))
    return found


def test_decisions_are_those_of_an_undisturbed_run(kafka: Cluster, topic_prefix: str, tmp_path: Path) -> None:
    """Kills, a second worker that comes and goes, and a lost disk change no decision about any member."""
    events = _events()
    disturbed, undisturbed = (_pipeline(kafka, f"{topic_prefix}{name}-", tmp_path / name) for name in "ab")
    with undisturbed.worker(CLAIMSCRUB_DATA_DIRECTORY="state"):
        undisturbed.send(events)
        undisturbed.wait_for_all()
    moments = random.Random(_SEED)
    chunks = [events[start : start + _CHUNK] for start in range(0, len(events), _CHUNK)]
    worker: Worker | None = None
    for number, chunk in enumerate(chunks):
        if worker is None:
            worker = disturbed.worker(CLAIMSCRUB_DATA_DIRECTORY="state")
            worker.wait_until_ready()
        disturbed.send(chunk)
        time.sleep(moments.uniform(0, 0.5))
        if number == 4:
            with disturbed.worker(CLAIMSCRUB_DATA_DIRECTORY="other") as second:
                second.wait_until_ready()
                disturbed.send([])
        elif number % 2:
            worker.kill()
            worker = None
            if number == 5:
                shutil.rmtree(disturbed.folder / "state")
    assert worker is None
    with disturbed.worker(CLAIMSCRUB_DATA_DIRECTORY="state"):
        disturbed.wait_for_all()
        time.sleep(1)
    expected, found = _decisions(undisturbed), _decisions(disturbed)
    for each in (disturbed, undisturbed):
        each.close()

    assert len(expected) == len(events) + disturbed.partitions
    assert Counter(map(len, found.values())) == {1: len(expected)}
    assert found == expected
    rules = Counter(
        finding["rule_id"]
        for ((_, _, value),) in found.values()
        for finding in json.loads(value or b"")["decision"]["findings"]
    )
    assert rules["HIS001"] > 100
    assert rules["HIS010"] > 100


def _pipeline(kafka: Cluster, prefix: str, folder: Path) -> Pipeline:
    folder.mkdir()
    pipeline = Pipeline(kafka, prefix, folder, extra={"CLAIMSCRUB_BATCH_RECORDS": "200"})
    pipeline.create_topics()
    with pipeline.worker(CLAIMSCRUB_DATA_DIRECTORY="state"):
        pipeline.send(_first_of_each_partition(pipeline.partitions))
        pipeline.wait_for_all()
    return pipeline


@pytest.fixture
def remembering(pipeline: Pipeline) -> Pipeline:
    """A pipeline that has decided one claim of member 1, with its state in the folder `state`."""
    pipeline.extra["CLAIMSCRUB_DATA_DIRECTORY"] = "state"
    _decide(pipeline, claim_of(1, 1))
    return pipeline


def _decide(pipeline: Pipeline, *claims: bytes, key: bytes | None = None) -> None:
    """Have a worker decide claims."""
    pipeline.send([(key, raw) for raw in claims])
    with pipeline.worker():
        pipeline.wait_for_all()


def _findings(pipeline: Pipeline, claim_id: str) -> set[str]:
    """The rules with a finding about a claim."""
    ((_, _, value),) = [found for (found,) in _decisions(pipeline).values() if _claim_id(found) == claim_id]
    return {finding["rule_id"] for finding in json.loads(value or b"")["decision"]["findings"]}


def _claim_id(found: tuple[str, bytes | None, bytes | None]) -> str:
    decided: dict[str, Any] = json.loads(found[2] or b"")
    return str(decided["decision"]["claim_id"])


def test_history_outlives_workers_and_disks(remembering: Pipeline) -> None:
    """A worker that starts with its disk, and one that has lost it, know what was decided before."""
    _decide(remembering, claim_of(1, 2))
    shutil.rmtree(remembering.folder / "state")
    _decide(remembering, claim_of(1, 3), key=b"another")

    assert "HIS001" not in _findings(remembering, "M1-1")
    assert "HIS001" in _findings(remembering, "M1-2")
    assert "HIS001" in _findings(remembering, "M1-3")


def test_history_is_shown_without_saying_who_it_is(remembering: Pipeline) -> None:
    """Support sees claim ids, statuses, codes and dates by the key that stands on decisions, and nothing personal."""
    (message,) = remembering.outputs()["cleared"]
    key = message.key().decode()
    shown, as_json = remembering.run("history", "show", key), remembering.run("history", "show", "--json", key)
    unknown = remembering.run("history", "show", "nobody")

    for said in (shown, as_json):
        assert said.returncode == 0
        assert all(word in said.stdout for word in ("M1-1", "received", "63685", "2026-08-03"))
        assert not any(word in said.stdout for word in (member_number(1), "Example", "1955", "PCN", "M96.1"))
    assert json.loads(as_json.stdout)["claims"][0]["lines"][0]["procedure_code"] == "63685"
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "nothing is held of a member with the key nobody" in unknown.stderr


def test_partitions_are_added_with_their_members(remembering: Pipeline) -> None:
    """More partitions move members; their history goes along, and without that no worker starts."""
    admin = AdminClient({"bootstrap.servers": remembering.kafka.bootstrap_servers})
    wanted = [NewPartitions(name, 7) for name in remembering.topics.values()]
    for future in admin.create_partitions(wanted).values():
        future.result()
    remembering.kafka.wait_until_stable(*remembering.topics.values())
    remembering.grown_to(7)
    refused = remembering.run("worker")
    moved = remembering.run("topics", "create", "--add-partitions")
    again = remembering.run("topics", "create", "--add-partitions")
    _decide(remembering, *(claim_of(member, 2) for member in range(1, 20)))

    assert refused.returncode == 3
    assert "move them with: claimscrub topics create --add-partitions" in refused.stderr.splitlines()[-1]
    assert (moved.returncode, again.returncode) == (0, 0)
    assert "members moved" not in again.stderr
    assert "HIS001" in _findings(remembering, "M1-2")
    assert "HIS001" not in _findings(remembering, "M2-2")


def test_partitions_are_not_added_under_a_running_worker(remembering: Pipeline) -> None:
    """A worker would decide with a history that is on its way elsewhere."""
    with remembering.worker() as worker:
        worker.wait_until_ready()
        refused = remembering.run("topics", "create", "--add-partitions")

    assert refused.returncode == 3
    assert "stop them all first" in refused.stderr


def test_another_secret_is_refused(remembering: Pipeline) -> None:
    """Under another secret no member would be found, and every claim would look like a first one."""
    remembering.extra["CLAIMSCRUB_MEMBER_KEY_SECRET"] = "another"
    ended = remembering.run("worker")

    assert ended.returncode == 3
    assert "CLAIMSCRUB_MEMBER_KEY_SECRET is not the one" in ended.stderr.splitlines()[-1]


def test_a_disk_of_another_topic_is_refused(remembering: Pipeline) -> None:
    """A copy that is ahead of its topic is no copy of it."""
    remembering.topics["history"] += "-anew"
    remembering.create_topics()
    ended = remembering.run("worker")

    assert ended.returncode == 3
    assert "remove the folder" in ended.stderr.splitlines()[-1]


def test_a_lost_history_topic_is_rebuilt(remembering: Pipeline) -> None:
    """A group of its own decides everything again into topics nobody reads, and so fills a new history topic."""
    remembering.topics["history"] += "-anew"
    shutil.rmtree(remembering.folder / "state")
    kept = {name: remembering.topics[name] for name in ("submitted", "status", "overrides", "history")}
    scratch = {name: f"{topic}-rebuilt" for name, topic in remembering.topics.items() if name not in kept}
    rebuild = Pipeline(
        remembering.kafka,
        f"{remembering.prefix}rebuild-",
        remembering.folder,
        extra={"CLAIMSCRUB_X12_TOPIC": ""},
        topics=kept | scratch,
    )
    rebuild.create_topics()
    before = remembering.count()
    with rebuild.worker():
        eventually(lambda: rebuild.count() == 1)
    rebuild.close()
    assert remembering.count() == before
    _decide(remembering, claim_of(1, 2))

    assert "HIS001" in _findings(remembering, "M1-2")


def _status(pipeline: Pipeline, status: str, **more: str) -> bytes:
    """A status of claim 1 of member 1."""
    content = {"payer": {"key": "MEDICARE_FFS"}, "member_number": member_number(1), "claim_id": "M1-1"}
    return as_json({**content, "status": status, "status_date": "2026-08-25", **more}).encode()


def _settle(pipeline: Pipeline, counted: str, count: int) -> None:
    """Have a worker take statuses in."""
    with pipeline.worker() as worker:
        eventually(lambda: sum(line.get(counted, 0) for line in worker.events("claims")) >= count, 40)


def test_what_payers_answer_changes_what_counts(remembering: Pipeline) -> None:
    """A rejected claim may come again; once it is paid, the same is a duplicate."""
    path = remembering.folder / "statuses.json"
    path.write_bytes(_status(remembering, "rejected"))
    imported = [remembering.run("status", "import", str(path)) for _ in range(2)]
    _settle(remembering, "statuses", 1)
    _decide(remembering, claim_of(1, 2))
    remembering.send([(b"another", _status(remembering, "paid"))], "status")
    _settle(remembering, "statuses", 1)
    _decide(remembering, claim_of(1, 3))
    (message,) = [each for each in remembering.outputs()["cleared"] if b'"M1-2"' in each.value()]
    shown = json.loads(remembering.run("history", "show", "--json", message.key().decode()).stdout)

    assert [each.returncode for each in imported] == [0, 0]
    assert "HIS001" not in _findings(remembering, "M1-2")
    assert "HIS001" in _findings(remembering, "M1-3")
    assert [each["status"] for each in shown["claims"]] == ["paid", "received", "flagged"]


def test_a_status_that_can_not_be_read_is_a_dead_letter(remembering: Pipeline) -> None:
    """With the reason, and without a word of what stood there."""
    remembering.send([(b"k", b'{"status": "lost", "member_number": "SECRET"}')], "status")
    with remembering.worker():
        (letter,) = eventually(lambda: remembering.outputs()["deadletter"], 40)

    reason = dict(letter.headers())["__connect.errors.exception.message"].decode()
    assert reason.startswith("status: value not known; expected one of ")
    assert "SECRET" not in reason
    assert letter.value() == b'{"status": "lost", "member_number": "SECRET"}'
