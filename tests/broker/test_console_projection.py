"""The console's projection beside a real worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from rules import RuleSet
from tests.kafka_broker import Cluster
from tests.worker_process import Pipeline, claim_event, eventually
from worker.console.backlog import backlog
from worker.console.follow import Follower
from worker.console.projection import Projection
from worker.console.records import read_record
from worker.console.views import Filter, Place
from worker.kafka import KafkaProblemError
from worker.settings import Settings

pytestmark = pytest.mark.broker
HOUR = timedelta(hours=1)


def test_follows_the_topics(pipeline: Pipeline, ruleset: RuleSet, tmp_path: Path) -> None:
    """Each output is counted once, over restarts of the console; what waits is known while no worker runs."""
    settings = settings_of(pipeline)
    assert backlog(settings).lag == 0
    pipeline.send([(None, claim_event(number, flagged=number < 3)) for number in range(20)])
    pipeline.send([(b"k", b"not a claim")])
    waiting = backlog(settings)
    assert (waiting.lag, waiting.problem) == (21, "")
    assert waiting.oldest is not None
    path = tmp_path / "console.sqlite"
    with pipeline.worker() as worker:
        with followed(settings, path, ruleset) as projection:
            eventually(lambda: projection.now(HOUR).claims == 20)
            eventually(lambda: projection.dead_letters(10))
            rows = projection.flagged(Filter(), 10)
            assert {row.claim_id for row in rows} == {"C0", "C1", "C2"}
            view = projection.claim(rows[0].event_id)
            assert view is not None
            record = read_record(settings, view.place)
            assert json.loads(record.value or b"")["claim"]["claim_id"] == rows[0].claim_id
            with pytest.raises(KafkaProblemError, match="no record at offset 1000"):
                read_record(settings, Place(view.place.topic, view.place.partition, 1000))
        pipeline.send([(None, claim_event(number, flagged=True)) for number in range(20, 25)])
        with followed(settings, path, ruleset) as projection:
            eventually(lambda: projection.now(HOUR).claims == 25)
            assert projection.flagged_total(Filter())[0] == 8
        worker.terminate()
    assert backlog(settings).lag == 0


def test_topic_made_anew(pipeline: Pipeline, kafka: Cluster, ruleset: RuleSet, tmp_path: Path) -> None:
    """A projection of a topic that has gone is emptied and made of the one that is there."""
    settings = settings_of(pipeline)
    path = tmp_path / "console.sqlite"
    with followed(settings, path, ruleset) as projection:
        pipeline.send([(b"k", b"a dead letter")] * 3, "deadletter")
        eventually(lambda: len(projection.dead_letters(10)) == 3)
        topic, admin = pipeline.topics["deadletter"], kafka._admin()
        admin.delete_topics([topic])[topic].result()
        eventually(lambda: topic not in admin.list_topics(timeout=10).topics)
        kafka.create_topics({topic: pipeline.partitions})
        pipeline.send([(b"k", b"another")], "deadletter")
        eventually(lambda: len(projection.dead_letters(10)) == 1, 60)


@contextmanager
def followed(settings: Settings, path: Path, ruleset: RuleSet) -> Iterator[Projection]:
    """A projection that has caught up with the topics."""
    projection = Projection(path, ruleset, settings.console_days)
    follower = Follower(settings, projection)
    follower.start()
    try:
        eventually(lambda: follower.caught_up)
        yield projection
        assert (follower.problem, follower.unreadable) == ("", "")
    finally:
        follower.stop()
        projection.close()


def settings_of(pipeline: Pipeline) -> Settings:
    """The settings of the pipeline's worker."""
    fields = {
        name.removeprefix("CLAIMSCRUB_").lower(): value
        for name, value in pipeline.environment.items()
        if name.startswith("CLAIMSCRUB_")
    }
    return Settings.model_validate(fields)
