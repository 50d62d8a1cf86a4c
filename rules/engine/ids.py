"""Rule ids that are not to be handed out, though no rule has them.

An id and its name are kept for good: whoever reads old decisions finds one meaning. A rule that is removed leaves its
id in `RETIRED`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

RETIRED: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({})
"""Id → the name it had, and what replaced it."""


def next_id(prefix: str, taken: Iterable[str]) -> str:
    """The next free id of a family: one beyond the highest that is built or retired."""
    numbers = [int(each[3:]) for each in {*taken, *RETIRED} if each.startswith(prefix)]
    return f"{prefix}{max(numbers, default=0) + 1:03d}"
