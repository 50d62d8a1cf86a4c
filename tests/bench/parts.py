"""What the parts of a claim's way cost, without Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rules import Claim, RuleSet
from tests.bench.claims import CLEAN_CLAIMS, Pool
from worker.history import Memory
from worker.pipeline import handle

_PASSES = 7
_CLAIMS = 200


def measure_parts(ruleset: RuleSet, pool: Pool) -> dict[str, dict[str, float]]:
    """Part → kind of claim → µs a claim. Handled are the first claims of members, which are remembered."""

    def handle_first(raw: bytes) -> None:
        memory = Memory(pool.members, ruleset, {})
        memory.begin()
        handle(raw, ruleset, memory=memory)

    parts: dict[str, dict[str, float]] = {"decode": {}, "evaluate": {}, "handle": {}}
    for kind, drawn in pool.drawn.items():
        some = [each.raw for each in drawn[:_CLAIMS]]
        parts["decode"][kind.value] = _best_us(some, Claim.from_json)
        parts["evaluate"][kind.value] = _best_us(some, ruleset.evaluate, Claim.from_json)
        parts["handle"][kind.value] = _best_us(some, handle_first)
    return parts


def measure_catalogue(ruleset: RuleSet) -> dict[str, dict[str, float]]:
    """Clean claim of four lines → µs to decode it, µs to evaluate every rule on it, and their ratio.

    Raises:
        RuntimeError: a claim is no longer clean.
    """
    figures = {}
    for name, raw in CLEAN_CLAIMS.items():
        decision = ruleset.evaluate(Claim.from_json(raw))
        if decision.findings:
            found = ", ".join(finding.rule_id for finding in decision.findings)
            raise RuntimeError(f"{name}: no longer clean: {found}")
        raws = [raw] * _CLAIMS
        decode, evaluate = _best_us(raws, Claim.from_json), _best_us(raws, ruleset.evaluate, Claim.from_json)
        figures[name] = {"decode": decode, "evaluate": evaluate, "ratio": evaluate / decode}
    return figures


def _best_us(
    raws: Sequence[bytes], function: Callable[[Any], object], prepare: Callable[[bytes], Any] = lambda raw: raw
) -> float:
    """µs an item in the fastest of several passes: what disturbs can only slow down.

    Each pass has freshly prepared items, as a claim keeps some of what rules have asked of it.
    """
    best = float("inf")
    for _ in range(_PASSES):
        items = [prepare(raw) for raw in raws]
        began = time.perf_counter()
        for item in items:
            function(item)
        best = min(best, time.perf_counter() - began)
    return best / len(raws) * 1e6
