"""Which kind of input comes next, and what it looks like."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

from tests.fuzz.mutations import Mutator
from tests.fuzz.targets import RULESET
from worker.x12 import Event, looks_like_x12, read_events

SEEDS = Path(__file__).parent / "seeds"
_SAMPLES = Path(__file__).parents[1] / "x12" / "samples"
_ISA_BYTES = 106
_WEIGHTS = {"claim": 40, "status": 8, "override": 6, "flagged": 4, "x12": 22, "answers": 8, "file": 6, "record": 6}


@cache
def _mutator() -> Mutator:
    """One for all inputs: what its messages are made of is read only once."""
    return Mutator(0, RULESET)


@cache
def _events_of_x12() -> list[dict[str, object]]:
    """Claim events that came as X12, which hold where they stood."""
    found = []
    for path in sorted(_SAMPLES.glob("*.837")):
        with path.open("rb") as stream:
            found += [json.loads(item.raw) for item in read_events(stream) if isinstance(item, Event)]
    return found


@cache
def _seeds(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((SEEDS / target).glob("*"))]


class Kinds:
    """One input.

    Args:
        random: the same one makes the same input.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._mutator = _mutator()
        self._mutator.begin(random)

    def one(self, target: str | None = None) -> tuple[str, bytes]:
        """A target's name, and an input for it."""
        name = target or self._random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        seeds = _seeds(name)
        if seeds and self._random.random() < 0.1:
            return name, self._mutator.damaged(self._random.choice(seeds))
        make: dict[str, Callable[[], bytes]] = {
            "claim": self._claim,
            "status": self._mutator.status,
            "override": self._mutator.override,
            "flagged": self._claim,
            "x12": self._mutator.x12,
            "answers": self._mutator.answer,
            "file": self._file,
            "record": self._record,
        }
        return name, make[name]()

    def changed(self, raw: bytes) -> bytes:
        """An input with something else wrong."""
        try:
            content = json.loads(raw)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict) and content:
            return self._mutator.broken(content)
        if looks_like_x12(raw[:64]) and len(raw) > _ISA_BYTES:
            return self._mutator.broken_x12(raw)
        return self._mutator.damaged(raw)

    def _claim(self) -> bytes:
        if self._random.random() < 0.25:
            return self._mutator.broken(json.loads(json.dumps(self._random.choice(_events_of_x12()))))
        return self._mutator.claim()

    def _file(self) -> bytes:
        claims = [self._any()() for _ in range(self._random.choice((1, 1, 2, 5, 20)))]
        begin, between, end = self._random.choice(
            ((b"", b"\n", b""), (b"[", b",\n", b"]"), (b"\xef\xbb\xbf", b"\r\n", b"\x1a"))
        )
        text = begin + between.join(claims) + end
        return self._mutator.damaged(text) if self._random.random() < 0.3 else text

    def _any(self) -> Callable[[], bytes]:
        kinds = (self._claim, self._claim, self._mutator.status, self._mutator.x12, self._mutator.answer)
        return self._random.choice(kinds)

    def _record(self) -> bytes:
        value = self._any()()
        lines = [self._mutator.key(value) or b""]
        for name, said in self._mutator.headers():
            lines.append(name.encode() + (b"" if said is None else b"=" + said))
        return b"\n".join(lines) + b"\n\n" + value
