"""X12: claims in (837P and 837I), acknowledgements (277CA, 999) and claims (837) out."""

from worker.x12.errors import X12Error
from worker.x12.events import Event, Place, places, read_events, read_with_ends
from worker.x12.segments import looks_like_x12
from worker.x12.sets import End

__all__ = ["End", "Event", "Place", "X12Error", "looks_like_x12", "places", "read_events", "read_with_ends"]
