"""The drop-in modes: a cleared claim that goes on as it came; monitor mode, in which every readable claim goes on."""

from __future__ import annotations

from rules import Disposition
from worker.codec import (
    MONITORED,
    Input,
    claim_headers,
    envelope,
    is_carried_on,
    monitored_headers,
    parts_of,
    shortened,
    with_decision,
)
from worker.lanes import Output
from worker.settings import Settings


class Modes:
    """What becomes of a claim that goes on, where it is not just published in an envelope.

    Args:
        settings: the modes, and the topics.
    """

    def __init__(self, settings: Settings) -> None:
        self.monitors = settings.mode == "monitor"
        self._sends_claims = settings.cleared_format == "claim"
        self._flagged_topic = settings.flagged_topic
        self.are_usual = not self.monitors and not self._sends_claims

    def applied(self, output: Output, partitions: int) -> Output:
        """An output with the envelope of a claim, as it is published; anything else stays as it is.

        Args:
            output: as in the usual modes.
            partitions: of each topic.
        """
        outcome = output.outcome
        if outcome.disposition is Disposition.FLAGGED and self._sends_claims:
            key, headers = output.arrival.key_and_headers(output.record)
            came = Input(output.arrival.partition, key, headers)
            return output._replace(headers=[*output.headers, came.header()])
        if outcome.disposition is not Disposition.CLEARED or not (self._sends_claims or outcome.is_monitored):
            return output
        copy, mark = None, []
        if outcome.is_monitored:
            copy = output._replace(topic=self._flagged_topic, headers=monitored_headers(output.headers))
            mark = [MONITORED]
        if self._sends_claims:
            output = _as_it_came(output, partitions)
        return output._replace(headers=[*output.headers, *mark], copy=copy)

    def shorter(self, output: Output) -> Output | None:
        """With less of the decision, so that the claim goes on; None where nothing can be left out."""
        outcome = output.outcome
        if not self.monitors or outcome.decision is None or outcome.value is None:
            return None
        claim, decision = parts_of(outcome.value)
        short = shortened(decision)
        if short == decision:
            return None
        value = envelope(claim, short)
        outcome = outcome._replace(value=value)
        copy = None if output.copy is None else output.copy._replace(value=value, outcome=outcome)
        if self._sends_claims:
            return output._replace(headers=with_decision(output.headers, short), outcome=outcome, copy=copy)
        return output._replace(value=value, outcome=outcome, copy=copy)


def _as_it_came(output: Output, partitions: int) -> Output:
    """A claim with the key, the bytes and the headers that it had, in the partition where it was, and the decision.

    Of a claim that is released its override tells these, unless it was flagged while envelopes were published: then it
    goes where the flagged record was, with the headers that travelled on.
    """
    outcome, record, arrival = output.outcome, output.record, output.arrival
    assert outcome.value is not None
    claim, decision = parts_of(outcome.value)
    ours = claim_headers(outcome.claim_id, arrival.event_id, decision)
    if not outcome.is_release:
        key, headers = arrival.key_and_headers(record)
        return output._replace(partition=arrival.partition, key=key, value=claim, headers=[*headers, *ours])
    came = Input.of(record.headers)
    if came is None or not 0 <= came.partition < partitions:
        headers = [header for header in output.headers if is_carried_on(header[0])]
        return output._replace(value=claim, headers=[*headers, *ours])
    return output._replace(partition=came.partition, key=came.key, value=claim, headers=[*came.headers, *ours])
