"""Rule ids that are not to be handed out, though no rule has them.

An id and its name are kept for good: whoever reads old decisions finds one meaning. A reservation goes when its rule is
built; a rule that is removed leaves its id in `RETIRED`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

_NEEDS_HISTORY: Final = "needs the member's earlier claims"

RESERVED: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        rule_id: (name, _NEEDS_HISTORY)
        for rule_id, name in (
            ("HIS001", "exact-duplicate"),
            ("HIS002", "possible-duplicate"),
            ("HIS003", "correction-sent-as-original"),
            ("HIS004", "replacement-of-rejected-claim"),
            ("HIS005", "replacement-out-of-sequence"),
            ("HIS006", "original-reference-not-on-file"),
            ("HIS009", "corrected-claim-window-passed"),
            ("HIS018", "ptp-pair-across-claims"),
            ("HIS019", "units-over-limit-across-claims"),
        )
    }
)
"""Id → the name it is kept for, and why it is not built."""

RETIRED: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({})
"""Id → the name it had, and what replaced it."""


def next_id(prefix: str, taken: Iterable[str]) -> str:
    """The next free id of a family: one beyond the highest that is built, reserved or retired."""
    numbers = [int(each[3:]) for each in {*taken, *RESERVED, *RETIRED} if each.startswith(prefix)]
    return f"{prefix}{max(numbers, default=0) + 1:03d}"
