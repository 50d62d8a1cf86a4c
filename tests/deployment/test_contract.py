"""What stands on the topics of a real broker is what docs/contract promises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from confluent_kafka.admin import AdminClient, ConfigResource
from jsonschema import Draft202012Validator

from tests.worker_process import OUTPUTS, ROOT, Pipeline, claim_event, eventually
from worker.overrides import Override, override_event

pytestmark = pytest.mark.broker

_CONTRACT = ROOT / "docs" / "contract"
_DOCUMENT = yaml.safe_load((_CONTRACT / "asyncapi.yaml").read_text())
_TRACE = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("tracestate", b"vendor=1")]


def _wrong(schema: Mapping[str, Any], content: Any) -> list[str]:
    if "$ref" in schema:
        schema = json.loads((_CONTRACT / schema["$ref"]).read_text())
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(content)]


def test_topics_are_made_as_described(pipeline: Pipeline) -> None:
    """`topics create` gives each topic the partitions and settings of asyncapi.yaml."""
    admin = AdminClient({"bootstrap.servers": pipeline.kafka.bootstrap_servers})
    for name, channel in _DOCUMENT["channels"].items():
        topic = pipeline.topics.get(name, pipeline.x12_topic)
        ((_, future),) = admin.describe_configs([ConfigResource("topic", topic)]).items()
        real = {key: entry.value for key, entry in future.result().items()}
        for key, said in channel["bindings"]["kafka"]["topicConfiguration"].items():
            assert real[key] == (",".join(said) if isinstance(said, list) else str(said)), f"{topic}: {key}"


def test_outputs_are_as_described(pipeline: Pipeline) -> None:
    """Headers and values of cleared, flagged and released claims and of dead letters are valid by the contract."""
    pipeline.send([(None, claim_event(1)), (None, claim_event(2, flagged=True))], "submitted", _TRACE)
    pipeline.send([(b"any", b"{"), (b"any", b"\xff\x00")], "submitted", _TRACE)
    pipeline.send([(b"x12", b"ISA*00*broken~")], "x12", _TRACE)
    with pipeline.worker():
        eventually(lambda: pipeline.count() >= 5)
        (flagged,) = pipeline.outputs()["flagged"]
        headers = dict(flagged.headers())
        override = Override(
            "erin.example", "Two devices are covered.", datetime(2026, 8, 10, tzinfo=UTC), headers["ce_id"].decode()
        )
        pipeline.send([(flagged.key(), override_event(flagged.value(), override))], "overrides")
        eventually(lambda: pipeline.count() >= 6)

    outputs = pipeline.outputs()
    messages = _DOCUMENT["components"]["messages"]
    assert {name: len(outputs[name]) for name in OUTPUTS} == {"cleared": 2, "flagged": 1, "deadletter": 3}
    for name in OUTPUTS:
        for record in outputs[name]:
            headers = {key: value.decode() for key, value in record.headers()}
            assert _wrong(messages[name]["headers"], headers) == []
            if name != "deadletter":
                assert _wrong(messages[name]["payload"], json.loads(record.value())) == []
    traced = [dict(record.headers()).get("traceparent") for name in OUTPUTS for record in outputs[name]]
    assert traced.count(_TRACE[0][1]) == 5  # the release was asked for outside of the trace
