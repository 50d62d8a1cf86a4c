"""One run: claims come in, everything happens to those who decide them, and in the end each claim is counted."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.admin import AdminClient

from tests.chaos.crew import Crew
from tests.chaos.load import Load, Sent
from tests.chaos.mayhem import SESSION_SECONDS, Mayhem
from tests.chaos.verdict import Verdict, judge, read_answers, read_history
from tests.kafka_broker import Cluster, KafkaBroker
from tests.worker_process import OUTPUTS, Pipeline, eventually

PARTITIONS = 8
_SETTLE_SECONDS = 60.0
_SHOWN = 100
"""Most ids that are listed of each kind."""


@dataclasses.dataclass
class Outcome:
    """What a run did, and what came of it.

    Attributes:
        holds: whether the delivery kept its promise, and no worker did what it should not have done.
        claims: how many events were sent, poison included.
        counts: how often what happened, as `Mayhem` counts it.
        verdict: the events for which the promise is broken.
    """

    holds: bool
    claims: int
    counts: Counter[str]
    verdict: Verdict

    def __str__(self) -> str:
        done = self.counts
        return (
            f"chaos: {self.claims} claims, {done['kills']} kills, {done['rebalances']} rebalances,"
            f" {done['broker kills'] + done['broker stops']} broker restarts, {done['zombies']} zombies: {self.verdict}"
        )


def run(folder: Path, seconds: float, seed: int, delivery: str = "exactly_once") -> Outcome:
    """Chaos for so many seconds on a broker of its own.

    Logs and the broker's data stay in `folder` if the promise is broken, and are removed if it holds.
    """
    random = Random(seed)
    print(f"chaos for {seconds:g} s, seed {seed}, {delivery}, logs in {folder}", flush=True)
    folder.mkdir(parents=True)
    with KafkaBroker(folder / "broker") as broker:
        extra = {"CLAIMSCRUB_DELIVERY": delivery, "CLAIMSCRUB_SESSION_TIMEOUT_SECONDS": f"{SESSION_SECONDS:g}"}
        pipeline = Pipeline(broker, "chaos-", folder, PARTITIONS, extra)
        pipeline.create_topics()
        load = Load(broker, pipeline.topics["submitted"], PARTITIONS, Random(seed))
        with Mayhem(broker, pipeline, random) as mayhem:
            crew = mayhem.crew
            try:
                mayhem.run(seconds, lambda now: print(f"{now:5.0f} s: {_progress(load, mayhem)}", flush=True))
            finally:
                load.stop()
            print(f"  end: {_progress(load, mayhem)}; now the rest is decided in peace", flush=True)
            crew.drain(len(load.sent))
            crew.end()
        faults = crew.faults + _problems_of_input(pipeline, len(load.acknowledged)) + _open_transactions(pipeline)
        undisturbed, reference, more_faults = _undisturbed(pipeline, load.sent)
        faults += more_faults + _differences_of_history(pipeline, undisturbed)
        verdict = judge(load.sent, read_answers(broker, pipeline.topics), reference)
        holds = verdict.holds(delivery) and not faults
        if not holds:
            _explain(pipeline, verdict, load.sent)
    if holds:
        shutil.rmtree(folder)
    else:
        for fault in faults:
            print(f"fault: {fault}")
        print(f"seed {seed}; logs and the broker's data are in {folder}", flush=True)
    return Outcome(holds, len(load.sent), mayhem.counts, verdict)


def _undisturbed(pipeline: Pipeline, sent: Mapping[str, Sent]) -> tuple[Pipeline, dict[str, bytes], list[str]]:
    """What one worker to which nothing happens makes of the same events: event id → digest; and what is wrong with it.

    It runs in the same group, whose offsets are forgotten first, as dead letters name the group.
    """
    group_id = pipeline.environment["CLAIMSCRUB_GROUP_ID"]
    eventually(lambda: _forget(pipeline.kafka, group_id))
    own = {name: f"undisturbed-{pipeline.topics[name]}" for name in (*OUTPUTS, "repartition", "history")}
    topics = pipeline.topics | own
    folder = pipeline.folder / "undisturbed"
    folder.mkdir()
    undisturbed = dataclasses.replace(pipeline, topics=topics, folder=folder)
    undisturbed.create_topics()
    with Crew(undisturbed, lambda: False) as crew:
        crew.join()
        crew.drain(len(sent))
        crew.end()
    answers = list(read_answers(pipeline.kafka, topics))
    digests = {answer.event_id: answer.digest for answer in answers}
    faults = crew.faults
    if crew.own_ends:
        faults.append("the worker of the undisturbed run ended by itself")
    if not judge(sent, answers, digests).holds("exactly_once"):
        faults.append("the undisturbed run has no answer, or more than one, to some events: it proves nothing")
    if not any(_is_flagged_by_history(each) for each in undisturbed.kafka.read(topics["flagged"])):
        faults.append("no claim was flagged for what came before it: the run proves nothing of the history")
    return undisturbed, digests, faults


def _is_flagged_by_history(message: Message) -> bool:
    findings = json.loads(message.value() or b"")["decision"]["findings"]
    return any(finding["rule_id"].startswith("HIS0") for finding in findings)


def _differences_of_history(pipeline: Pipeline, undisturbed: Pipeline) -> list[str]:
    """Whether each member is remembered as an undisturbed worker does."""
    found, expected = (read_history(each.kafka, each.topics["history"]) for each in (pipeline, undisturbed))
    differing = [key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)]
    return [f"the history of {len(differing)} members is not the undisturbed one"] if differing else []


def _forget(kafka: Cluster, group_id: str) -> bool:
    """Delete a group's offsets; False while the group still has members."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    try:
        admin.delete_consumer_groups([group_id])[group_id].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
            raise
        return False
    return True


def _problems_of_input(pipeline: Pipeline, sent: int) -> list[str]:
    """Whether the topic holds what the broker acknowledged: otherwise there would be nothing to count by."""
    held = sum(pipeline.kafka.end_offsets(pipeline.topics["submitted"]).values())
    return [] if held == sent else [f"{sent} events were acknowledged, but the topic holds {held}"]


def _open_transactions(pipeline: Pipeline) -> list[str]:
    """Wait until nothing that was written is undecided, so that read_committed shows all that will ever be seen."""
    written = (*OUTPUTS, "repartition", "history")
    try:
        pipeline.kafka.wait_until_stable(*(pipeline.topics[name] for name in written), timeout=_SETTLE_SECONDS)
    except TimeoutError as error:
        return [str(error)]
    return []


def _progress(load: Load, mayhem: Mayhem) -> str:
    crew = mayhem.crew
    counts = ", ".join(f"{count} {name}" for name, count in sorted(mayhem.counts.items()))
    ended = f"{crew.own_ends} workers ended by themselves"
    return f"{len(load.acknowledged)} claims sent, {crew.consumed()} done; {counts}; {ended}"


def _explain(pipeline: Pipeline, verdict: Verdict, sent: Mapping[str, Sent]) -> None:
    """Name what the promise is broken for, and where its answers stand."""
    shown = {name: sorted(event_ids)[:_SHOWN] for name, event_ids in dataclasses.asdict(verdict).items()}
    places: dict[str, list[str]] = {event_id: [] for event_ids in shown.values() for event_id in event_ids}
    for answer in read_answers(pipeline.kafka, pipeline.topics):
        if answer.event_id in places:
            places[answer.event_id].append(answer.place)
    for name, event_ids in shown.items():
        for event_id in event_ids:
            print(f"{name}: {event_id} ({sent.get(event_id)}), answers: {'; '.join(places[event_id])}")
