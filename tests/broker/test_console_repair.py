"""What the console publishes, beside a real worker: dead letters sent again, and releases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rules import ClaimError
from rules.engine.examples import a_line, as_json, claim_content
from tests.worker_process import MEMBERS, Pipeline, claim_event, eventually, member_key
from worker.console.repair import release, resubmit, suggestion, with_field
from worker.console.views import Place
from worker.kafka import KafkaProblemError

pytestmark = pytest.mark.broker


def _outputs(pipeline: Pipeline, name: str, count: int) -> list[Any]:
    """What stands on an output topic, once there is so much."""
    found: list[Any] = eventually(lambda: each if len(each := pipeline.outputs()[name]) >= count else None)
    return found


def _place(message: Any) -> Place:
    return Place(message.topic(), message.partition(), message.offset())


def test_a_repaired_dead_letter_is_decided_and_a_flagged_claim_released(pipeline: Pipeline) -> None:
    """The worker's answers are a cleared claim that names its dead letter, and one that names who released it, why."""
    settings = pipeline.settings
    broken = as_json(claim_content(claim_id="C1", lines=[a_line(units="one")])).encode()
    pipeline.send([(b"k", broken), (b"k", b'{"claim_id": "S1"}')], "submitted")
    pipeline.send([(None, claim_event(2, flagged=True))])
    pipeline.send([(b"k", b"no answer of a payer")], "status")
    with pipeline.worker() as worker:
        letters = {message.value(): message for message in _outputs(pipeline, "deadletter", 3)}
        letter = letters[broken]
        path = suggestion(dict(letter.headers())["__connect.errors.exception.message"].decode())
        assert path is not None
        repaired = with_field(letter.value(), path, '"1"')
        assert resubmit(settings, MEMBERS, _place(letter), repaired, "kim") == "C1"
        (flagged,) = _outputs(pipeline, "flagged", 1)
        assert release(settings, _place(flagged), "kim", "the payer agreed by telephone") == "C2"
        cleared = {dict(each.headers())["ce_subject"]: each for each in _outputs(pipeline, "cleared", 2)}
        worker.terminate()

    headers = dict(cleared[b"C1"].headers())
    assert headers["claimscrub_resubmitted"].decode() == " ".join(map(str, _place(letter)))
    assert headers["claimscrub_resubmitted_by"] == b"kim"
    assert not {name for name in headers if name.startswith("__connect")}
    assert cleared[b"C1"].key() == member_key(repaired)
    override = json.loads(cleared[b"C2"].value())["decision"]["override"]
    assert (override["user"], override["reason"]) == ("kim", "the payer agreed by telephone")
    assert override["flagged_event_id"] == dict(flagged.headers())["ce_id"].decode()

    # What can't be done is said, and nothing is published.
    answer = letters[b"no answer of a payer"]
    with pytest.raises(ClaimError, match="claimscrub status import"):
        resubmit(settings, MEMBERS, _place(answer), claim_event(3), "kim")
    subscriber = json.loads(flagged.value())["claim"]["subscriber"]
    named = f"{subscriber['last_name']}, {subscriber['first_name']} called"
    for reason in (f"checked {subscriber['member_number']}", named, f"born {subscriber['birth_date']}"):
        with pytest.raises(ClaimError, match="reason: it holds ") as refused:
            release(settings, _place(flagged), "kim", reason)
        assert subscriber["member_number"] not in str(refused.value)
    with pytest.raises(ClaimError, match="reason"):
        release(settings, _place(flagged), "kim", " ")
    with pytest.raises(KafkaProblemError, match="no record at offset 1000"):
        release(settings, _place(flagged)._replace(offset=1000), "kim", "a good reason")
    assert len(pipeline.kafka.read_all(settings.overrides_topic)) == 1
    assert len(pipeline.kafka.read_all(settings.submitted_topic)) == 4
