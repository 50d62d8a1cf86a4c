"""What a worker tells of itself over HTTP: numbers that are those of the topics, and whether it is ready."""

from __future__ import annotations

import json

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families

from tests.kafka_broker import free_ports
from tests.scraping import get, missing, scraped, total
from tests.worker_process import Pipeline, claim_event, eventually
from worker.metrics import METRICS

pytestmark = pytest.mark.broker


def test_the_numbers_are_those_of_the_topics(pipeline: Pipeline) -> None:
    """Claims, charges, findings, dead letters, repeated scrapes and lag agree with what stands on the topics."""
    (port,) = free_ports(1)
    events: list[tuple[bytes | None, bytes | None]] = [
        (None if number % 2 else b"other", claim_event(number, flagged=number % 5 == 0)) for number in range(300)
    ]
    junk: list[tuple[bytes | None, bytes | None]] = [(b"k", b"junk"), (b"k", b'{"claim_id":"J"}')]
    pipeline.send([*events[:150], *junk])
    with pipeline.worker(CLAIMSCRUB_METRICS_PORT=str(port)) as worker:
        eventually(lambda: missing(port) == [])
        assert get(port, "/healthz") == (200, "ok\n")
        assert get(port, "/else")[0] == 404
        pipeline.send(events[150:])
        pipeline.wait_for_all()
        lines = eventually(lambda: len(worker.events("flagged")) == 60 and worker.events("flagged"))
        samples = scraped(port)
        openmetrics = get(port, "/metrics", "application/openmetrics-text; version=1.0.0")[1]
    outputs = pipeline.outputs()

    decisions = [json.loads(each.value())["decision"] for name in ("cleared", "flagged") for each in outputs[name]]
    for disposition in ("cleared", "flagged"):
        assert total(samples, "claimscrub_claims_total", disposition=disposition) == len(outputs[disposition])
    charges = sum(float(json.loads(each.value())["claim"]["total_charge_amount"]) for each in outputs["flagged"])
    assert total(samples, "claimscrub_claim_charges_dollars_total", disposition="flagged") == pytest.approx(charges)
    for rule_id in {finding["rule_id"] for decision in decisions for finding in decision["findings"]}:
        found = sum(finding["rule_id"] == rule_id for decision in decisions for finding in decision["findings"])
        assert total(samples, "claimscrub_findings_total", rule_id=rule_id) == found
    not_evaluated = sum(len(decision["not_evaluated"]) for decision in decisions)
    assert total(samples, "claimscrub_not_evaluated_total") == not_evaluated
    assert total(samples, "claimscrub_deadletters_total", source="claim", reason="whole") == 1
    assert total(samples, "claimscrub_deadletters_total", source="claim", reason="field") == 1
    sent_on = len(pipeline.kafka.read_all(pipeline.topics["repartition"]))
    assert total(samples, "claimscrub_repartitioned_total") == sent_on > 0
    assert total(samples, "claimscrub_latency_seconds_count") == 302
    assert total(samples, "claimscrub_decision_seconds_count") == 302 + sent_on
    assert total(samples, "claimscrub_history_writes_total") >= 300
    assert {name: value for (name, _), value in samples.items() if name in _SETTLED} == _SETTLED
    assert total(samples, "claimscrub_lag_records") == 0
    assert {line["event_id"] for line in lines} == {
        dict(message.headers())["ce_id"].decode() for message in outputs["flagged"]
    }
    families = {family.name: family for family in openmetrics_families(openmetrics)}  # type: ignore[no-untyped-call]
    table = {name.removesuffix("_total"): each for name, each in METRICS.items() if "worker" in each.where}
    assert families.keys() <= table.keys()
    assert {name: each.type for name, each in families.items()} == {name: table[name].kind for name in families}
    assert all(
        set(sample.labels) - {"le"} == set(table[name].labels)
        for name, family in families.items()
        for sample in family.samples
    )


_SETTLED = {
    "claimscrub_ready": 1,
    "claimscrub_partitions_assigned": 4,
    "claimscrub_partitions_restored": 4,
    "claimscrub_partitions_lost_total": 0,
    "claimscrub_in_flight_records": 0,
    "claimscrub_oldest_undecided_age_seconds": 0,
    "claimscrub_x12_records_total": 0,
}
