"""Dead letters: what is not a claim, kept as it came, with the reason in headers; and the limit that stops a flood.

The headers are those of Kafka Connect's dead-letter queue, so that its tools read ours. They name topic, partition,
offset and the fault (a JSON path, what is wrong, what is expected), never a value of the event.
"""

from __future__ import annotations

from collections import deque

from rules import ClaimError
from worker.codec import Headers
from worker.wire import CONNECT_ERRORS, X12_FAULTS
from worker.x12.errors import X12Error


class DeadLetterFloodError(RuntimeError):
    """So many dead letters that a broken sender, or a broken deploy, is the likelier cause."""


def error_headers(
    error: ClaimError, topic: str, partition: int, offset: int, group_id: str, *, reader: str = "worker.codec"
) -> Headers:
    """Why an event is a dead letter, and where it stood; `reader` is what could not read it."""
    fields = {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "connector.name": group_id,
        "task.id": 0,
        "stage": "VALUE_CONVERTER",
        "class.name": reader,
        "exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
        "exception.message": error,
    }
    return [(CONNECT_ERRORS + name, str(value).encode()) for name, value in fields.items()]


def x12_headers(error: ClaimError) -> Headers:
    """Where in X12 text the fault is, as far as it is known, and what it is."""
    fields = (
        {
            "interchange": error.interchange,
            "group": error.group,
            "transaction": error.transaction,
            "segment": error.segment,
            "segment_id": error.segment_id,
        }
        if isinstance(error, X12Error)
        else {}
    )
    fields["reason"] = f"{error.problem}; expected {error.expected}"
    return [(X12_FAULTS + name, str(value).encode()) for name, value in fields.items() if value not in (None, "")]


class DeadLetterLimit:
    """Looks back at the last events, and finds too many dead letters among them.

    Args:
        run: how many events are looked back at; 0 for no limit.
        share: the share of dead letters among them that is too much.
    """

    def __init__(self, run: int, share: float) -> None:
        self._run = run
        self._share = share
        self._number = 0
        self._deadletters: deque[int] = deque()

    def readable(self) -> None:
        """An event was a claim."""
        self._number += 1

    def deadletter(self) -> None:
        """An event was a dead letter.

        Raises:
            DeadLetterFloodError: it was one too many; nothing of its batch may be committed.
        """
        self._number += 1
        if not self._run:
            return
        self._deadletters.append(self._number)
        while self._deadletters[0] <= self._number - self._run:
            self._deadletters.popleft()
        if len(self._deadletters) >= self._run * self._share:
            raise DeadLetterFloodError(
                f"{len(self._deadletters)} of the last {self._run} events are not claims; the worker stops"
                " before they all become dead letters. Repair the sender, or let them pass with a higher"
                " CLAIMSCRUB_DEADLETTER_SHARE or CLAIMSCRUB_DEADLETTER_RUN=0"
            )
