"""The drop-in modes: a cleared claim that goes on as it came; monitor mode, in which every readable claim goes on."""

from __future__ import annotations

from rules import Disposition
from worker.codec import (
    MONITORED,
    SentHeaders,
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

    def applied(self, output: Output) -> Output:
        """An output with the envelope of a claim, as it is published; anything else stays as it is."""
        outcome = output.outcome
        if outcome.disposition is not Disposition.CLEARED:
            return output
        copy, mark = None, []
        if outcome.is_monitored:
            copy, mark = (
                output._replace(topic=self._flagged_topic, headers=monitored_headers(output.headers)),
                [MONITORED],
            )
        if self._sends_claims:
            output = _as_it_came(output)
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


def _as_it_came(output: Output) -> Output:
    """A claim with the key, the bytes and the headers that it had, in the partition where it was, and the decision.

    A release has none of these but the bytes: it goes where the flagged claim was, with the headers that this one had.
    """
    outcome, record, arrival = output.outcome, output.record, output.arrival
    assert outcome.value is not None
    claim, decision = parts_of(outcome.value)
    ours = claim_headers(outcome.claim_id, arrival.event_id, decision)
    if outcome.is_release:
        headers: SentHeaders = [header for header in output.headers if is_carried_on(header[0])]
        return output._replace(value=claim, headers=[*headers, *ours])
    key, headers = arrival.key_and_headers(record)
    return output._replace(partition=arrival.partition, key=key, value=claim, headers=[*headers, *ours])
