"""What the parts of a claim's way cost, without Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from rules import Claim, Disposition, RuleSet
from worker.pipeline import handle

_T = TypeVar("_T")
_PASSES = 7
_CLAIMS = 200


def measure_parts(ruleset: RuleSet, pool: dict[Disposition, list[bytes]]) -> dict[str, dict[str, float]]:
    """Part → kind of claim → µs a claim."""
    parts: dict[str, dict[str, float]] = {"decode": {}, "evaluate": {}, "handle": {}}
    for kind, raws in pool.items():
        some = raws[:_CLAIMS]
        parts["decode"][kind.value] = _best_us(Claim.from_json, some)
        parts["evaluate"][kind.value] = _best_us(ruleset.evaluate, [Claim.from_json(raw) for raw in some])
        parts["handle"][kind.value] = _best_us(lambda raw: handle(raw, ruleset), some)
    return parts


def _best_us(function: Callable[[_T], object], items: Sequence[_T]) -> float:
    """µs an item in the fastest of several passes: what disturbs can only slow down."""
    best = float("inf")
    for _ in range(_PASSES):
        began = time.perf_counter()
        for item in items:
            function(item)
        best = min(best, time.perf_counter() - began)
    return best / len(items) * 1e6
