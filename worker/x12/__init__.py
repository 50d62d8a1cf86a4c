"""X12: claims (837P and 837I) and answers to claims (277CA, 835) in; acknowledgements (277CA, 999) and claims out."""

from worker.x12.errors import NoStatusError, X12Error
from worker.x12.events import Event, Place, places, read_events, read_with_ends
from worker.x12.segments import looks_like_x12
from worker.x12.sets import End
from worker.x12.statuses import StatusEvent, read_statuses

__all__ = [
    "End",
    "Event",
    "NoStatusError",
    "Place",
    "StatusEvent",
    "X12Error",
    "looks_like_x12",
    "places",
    "read_events",
    "read_statuses",
    "read_with_ends",
]
