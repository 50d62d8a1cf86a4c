"""The golden corpus through a worker on a real broker: what is published is what is on file."""

import json

import pytest

from rules import Disposition
from rules.engine.examples import as_json
from tests.golden.corpus import content_of, decisions_file, goldens, read_theme, reduced
from tests.worker_process import Pipeline

pytestmark = pytest.mark.broker


def test_golden_claims_get_their_decisions_from_a_worker(pipeline: Pipeline) -> None:
    """Every golden claim event comes out on the topic of its disposition, with the decision on file."""
    events = [golden for golden in goldens() if "as_837" not in read_theme(golden.theme)]
    on_file = {
        name: decision
        for path in {golden.theme for golden in events}
        for name, decision in json.loads(decisions_file(path).read_text(encoding="utf-8")).items()
    }
    pipeline.send([(golden.name.encode(), as_json(content_of(golden)).encode()) for golden in events])
    with pipeline.worker():
        pipeline.wait_for_all()
    published = {}
    for topic, messages in pipeline.outputs().items():
        for message in messages:
            decision = json.loads(message.value())["decision"]
            assert Disposition(topic).value == decision["disposition"]
            published[message.key().decode()] = reduced(decision)

    assert len(published) == len(events)
    assert published == {golden.name: on_file[golden.name] for golden in events}
