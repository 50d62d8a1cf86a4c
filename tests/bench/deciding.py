"""What every loop of the benchmark does with a record: the worker's own function, topics, headers, dead letters.

A claim is judged with its member's history, and remembered, as in the worker: all candidates do the same deciding work.
A loop keeps the history in a dict, which is gone when it ends; the worker alone publishes it, keeps it on disk, and
looks up which partition a member belongs to.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import NamedTuple

from rules import Disposition
from worker.codec import Headers, cloud_event_headers
from worker.deadletter import error_headers
from worker.history import Memory
from worker.pipeline import Limits, handle
from worker.rulebook import load_rulebook, members_of
from worker.settings import Settings


class Output(NamedTuple):
    """What is to be published of one record, under its key, to the partition that it came from."""

    topic: str
    value: bytes | None
    headers: Headers


class Deciding:
    """The rules, what is remembered of members, and where decisions go."""

    def __init__(self, settings: Settings) -> None:
        self._ruleset = load_rulebook(settings)
        self._records: dict[bytes, bytes] = {}
        self._memory = Memory(members_of(settings, self._ruleset), self._ruleset, self._records, settings.history_lines)
        self._memory.begin()
        self._limits = Limits(settings.max_claim_bytes, settings.max_message_bytes)
        self._submitted = settings.submitted_topic
        self._group_id = settings.group_id
        self._topics: dict[Disposition | None, str] = {
            Disposition.CLEARED: settings.cleared_topic,
            Disposition.FLAGGED: settings.flagged_topic,
            None: settings.deadletter_topic,
        }

    @property
    def output_topics(self) -> tuple[str, ...]:
        """Every topic that an output may go to."""
        return tuple(self._topics.values())

    def decide(
        self,
        value: bytes | None,
        timestamp_ms: int,
        received: Iterable[tuple[str, bytes]] | None,
        partition: int,
        offset: int,
    ) -> Output:
        """Judge one record of the submitted topic; `received` is its headers."""
        outcome = handle(value, self._ruleset, timestamp_ms, self._memory, self._limits)
        changes = dict(outcome.changes)
        self._records |= changes
        self._memory.stands(changes)
        event_id = f"{self._submitted}-{partition}-{offset}"
        headers = cloud_event_headers(outcome.disposition, outcome.claim_id, event_id, received or ())
        if outcome.error is not None:
            headers += error_headers(outcome.error, self._submitted, partition, offset, self._group_id)
        return Output(self._topics[outcome.disposition], outcome.value, headers)


def stopping_on_sigterm() -> list[int]:
    """A list that is empty until SIGTERM."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    return stopping
