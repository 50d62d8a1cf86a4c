"""Hostile input of every kind that the worker reads: what is valid, with something wrong at random. Seeded."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, Final

from rules import Disposition, RuleSet
from rules.engine.examples import as_json
from tests.golden.corpus import content_of, goldens
from tests.worker_process import member_key, member_number, of_member
from worker.overrides import Override, override_event
from worker.pipeline import handle

_SAMPLES: Final = Path(__file__).parents[1] / "x12" / "samples"
_MEMBERS: Final = 5_000
_MOST_BYTES: Final = 20_000
_TEXTS: Final = (
    "",
    " ",
    "\x00",
    "\ufeff",
    "\ud800",
    "\u202e",
    "é" * 40,
    "\U0001d7de\U0001d7db\U0001d7de\U0001d7e0\U0001d7dd",
    "63685",
    "0",
    "-1",
    "1e999",
    "1e-999",
    "NaN",
    "2026-02-30",
    "0001-01-01",
    "9999-12-31",
    "2026-08-03T00:00:00Z",
    "[]",
    "null",
    "A" * 300,
    "A" * 5_000,
    "~*:^",
    "ISA*",
    "\r\n",
    "{}",
)
_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**40,
    1e308,
    -0.0,
    1.5,
    [],
    {},
    [[]],
    [None],
    {"": None},
    [{}] * 50,
)
_RAW_VALUES: Final = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999999999",
    b"-0",
    b"0" * 30,
    b"9" * 4_000,
    b'"\\ud800"',
    b'"\\u0000"',
    b"[" * 400,
)
_BYTES: Final = (
    b"",
    b"\x00",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"~",
    b"*",
    b":",
    b"^",
    b'"',
    b"{",
    b"}",
    b"]",
    b",",
    b"\\",
    b"\n",
    b"\xef\xbb\xbf",
)
_KEYS: Final = (None, b"", b"\x00", b"\xff\xfe", b"a key of the sender", b"k" * 2_000)
_HEADERS: Final[tuple[tuple[str, bytes | None], ...]] = (
    ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("traceparent", b"\xff"),
    ("traceparent", None),
    ("traceparent", b"0" * 5_000),
    ("ce_id", b"forged"),
    ("ce_type", b"claimscrub.claim.cleared.v1"),
    ("CE_Subject", b"X"),
    ("content-type", b"text/plain"),
    ("claimscrub_origin", b"claims.submitted 0 0 0"),
    ("claimscrub_resubmitted", b"\xff\xff"),
    ("claimscrub_decision", b"{}"),
    ("claimscrub_mode", b"monitor"),
    ("__connect.errors.topic", b"forged"),
    ("", b"no name"),
    ("x" * 300, b"long name"),
    ("naïve", "é".encode()),
    ("b", b"\x00" * 100),
    ("b", None),
    ("trace", b""),
)

Headers = list[tuple[str, bytes | None]]


class Mutator:
    """Makes messages.

    Args:
        seed: the same seed, rules and samples give the same messages.
        ruleset: decides the claims whose releases are made up.
    """

    def __init__(self, seed: int, ruleset: RuleSet) -> None:
        self.random = Random(seed)
        self._ruleset = ruleset
        self._number = 0

    def begin(self, random: Random) -> None:
        """Make what follows of another source of chance."""
        self.random, self._number = random, 0

    # ---- what they are made of

    @cached_property
    def _claims(self) -> list[dict[str, Any]]:
        return [json.loads(as_json(content_of(golden))) for golden in goldens()]

    @cached_property
    def _texts(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(_SAMPLES.glob("*.837"))]

    @cached_property
    def _answers(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted([*_SAMPLES.glob("*.277ca"), *_SAMPLES.glob("*.835")])]

    @cached_property
    def _flagged(self) -> list[bytes]:
        outcomes = (
            handle(json.dumps(claim).encode(), self._ruleset, 1_786_000_000_000) for claim in self._claims[:200]
        )
        return [each.value or b"" for each in outcomes if each.disposition is Disposition.FLAGGED]

    # ---- messages

    def claim(self) -> bytes:
        """A claim event, or what is left of it."""
        self._number += 1
        content = of_member(self.random.randrange(_MEMBERS), copy.deepcopy(self.random.choice(self._claims)))
        content["claim_id"] = (
            f"F{self._number}" if self.random.random() < 0.9 else self.random.choice(("F1", "F2", "é", ""))
        )
        return self.broken(content)

    def status(self) -> bytes:
        """A claim status event, or what is left of it."""
        words = ("accepted", "rejected", "paid", "denied", "replaced", "voided")
        content = {
            "payer": {"key": self.random.choice(("MEDICARE_FFS", "AETNA", "", "NOBODY"))},
            "member_number": member_number(self.random.randrange(_MEMBERS)),
            "status": self.random.choice(words),
            "status_date": "2026-08-12",
            "claim_id": f"F{self.random.randrange(1, self._number + 2)}",
        }
        return self.broken(content)

    def override(self) -> bytes:
        """An override event, or what is left of it."""
        flagged = self.random.choice(self._flagged)
        if self.random.random() < 0.5:
            override = Override(
                "erin.example", "known to the payer", datetime(2026, 8, 10, tzinfo=UTC), "claims.submitted-0-0"
            )
            event = override_event(flagged, override)
            return self.damaged(event) if self.random.random() < 0.7 else event
        return self.broken({"override": {"user": "e", "reason": "r"}, "flagged": json.loads(flagged)})

    def x12(self) -> bytes:
        """X12 837 text, or what is left of it."""
        return self.broken_x12(self.random.choice(self._texts))

    def answer(self) -> bytes:
        """A 277CA or 835, or what is left of it."""
        return self.broken_x12(self.random.choice(self._answers))

    def key(self, raw: bytes) -> bytes | None:
        """The member's key mostly, else any."""
        return member_key(raw) if self.random.random() < 0.7 else self.random.choice(_KEYS)

    def headers(self) -> Headers:
        """A few of a sender's headers, some of them forged or odd."""
        return self.random.sample(_HEADERS, self.random.choice((0, 0, 0, 1, 1, 2, 5)))

    # ---- what goes wrong

    def broken(self, content: dict[str, Any]) -> bytes:
        """Nothing, a few values, or the bytes."""
        for _ in range(self.random.choice((0, 0, 1, 1, 1, 2, 3))):
            self._change(content)
        raw = json.dumps(content, ensure_ascii=self.random.random() < 0.5).encode(errors="surrogatepass")
        return self.damaged(raw) if self.random.random() < 0.25 else raw

    def _change(self, content: dict[str, Any]) -> None:
        holder: Any = content
        while True:
            places = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not places:
                return
            place = self.random.choice(places)
            below = holder[place]
            if isinstance(below, (dict, list)) and below and self.random.random() < 0.8:
                holder = below
                continue
            break
        self.random.choice(_CHANGES)(self.random, holder, place)

    def damaged(self, raw: bytes) -> bytes:
        """Any bytes with some of them changed."""
        changed = bytearray(raw)
        for _ in range(self.random.choice((1, 1, 1, 2, 8))):
            start = self.random.randrange(len(changed) + 1)
            end = min(len(changed), start + self.random.choice((0, 1, 1, 2, 10, 200)))
            match self.random.randrange(5):
                case 0:
                    changed[start:end] = self.random.choice(_BYTES)
                case 1:
                    changed[start:end] = self.random.choice(_RAW_VALUES)
                case 2:
                    changed[start:end] = changed[start:end] * self.random.choice((0, 2, 20))
                case 3:
                    del changed[start:]
                case _:
                    changed[start:end] = self.random.randbytes(end - start)
        return bytes(changed[:_MOST_BYTES])

    def broken_x12(self, raw: bytes) -> bytes:
        """X12 text with nothing, a few segments or elements, or its bytes changed."""
        separator, element = raw[105:106], raw[3:4]
        segments = raw.split(separator)
        for _ in range(self.random.choice((0, 1, 1, 2, 4))):
            place = self.random.randrange(len(segments))
            match self.random.randrange(6):
                case 0:
                    del segments[place]
                case 1:
                    segments.insert(place, self.random.choice(segments))
                case 2:
                    other = self.random.randrange(len(segments))
                    segments[place], segments[other] = segments[other], segments[place]
                case _:
                    elements = segments[place].split(element)
                    which = self.random.randrange(len(elements))
                    texts = (*_TEXTS, "HL", "CLM", "ISA", "SE", "63685", "HC:63685:58:58:58:58:58")
                    elements[which] = self.random.choice(texts).encode(errors="surrogatepass")
                    segments[place] = element.join(elements)
            if not segments:
                return b""
        text = separator.join(segments)
        return self.damaged(text) if self.random.random() < 0.3 else text[:_MOST_BYTES]


def _put_text(random: Random, holder: Any, place: Any) -> None:
    holder[place] = random.choice(_TEXTS)


def _put_value(random: Random, holder: Any, place: Any) -> None:
    holder[place] = copy.deepcopy(random.choice(_VALUES))


def _take_out(_: Random, holder: Any, place: Any) -> None:
    del holder[place]


def _repeat(random: Random, holder: Any, place: Any) -> None:
    if isinstance(holder, list):
        holder.extend([copy.deepcopy(holder[place])] * random.choice((1, 3, 60)))
    else:
        holder[f"{place}_"] = holder[place]


def _nest(random: Random, holder: Any, place: Any) -> None:
    for _ in range(random.choice((1, 2, 150))):
        holder[place] = [holder[place]] if random.random() < 0.5 else {"a": holder[place]}


_CHANGES: Final[Sequence[Callable[[Random, Any, Any], None]]] = (
    _put_text,
    _put_text,
    _put_value,
    _put_value,
    _take_out,
    _repeat,
    _nest,
)
