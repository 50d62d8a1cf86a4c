"""Cleared claims → 837 files: the claims' own segments unchanged; envelopes, hierarchy and counts made anew.

Claims with the same header, billing provider, subscriber or patient share its loop, wherever they stood in the batch.
A subscriber's own claims and those of dependents never share an HL 22: not every reader takes both under one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rules.engine.claim import X12Source
from worker.x12.envelope import (
    LARGEST_SET,
    ControlNumbers,
    OutgoingFile,
    Route,
    Written,
    file_name,
    interchange,
    read_envelopes,
    route_of,
    segments_of,
)

_LARGEST_PATIENT = 100
"""Claims of one patient under one HL: loop 2300 may stand so often."""
_KINDS = {"professional": "837p", "institutional": "837i"}
_VERSIONS = {"professional": "005010X222A1", "institutional": "005010X223A2"}
_BHT_ELEMENTS = 7


def export(envelopes: Iterable[Mapping[str, Any]], *, at: datetime, control_number: int) -> Written:
    """The 837 files for the cleared claims of a batch, one for each submitter, claim type, usage and encoding.

    Args:
        envelopes: `{"claim": {…}, "decision": {…}}`, as the cleared topic carries them; flagged ones are left out.
        at: the time of writing.
        control_number: ISA13 of the first interchange.

    Raises:
        ValueError: no control number from 1 to 999999999.
    """
    numbers = ControlNumbers(control_number)
    batch = read_envelopes(envelopes)
    cleared = [each for each in batch.answered if each.is_cleared]
    files: dict[tuple[str, ...], dict[tuple[Route, str], dict[str, list[X12Source]]]] = {}
    for answered in cleared:
        source, route = answered.source, route_of(answered.source)
        file = (route.sender_qualifier, route.sender_id, answered.claim_type, route.usage, source["encoding"])
        group = (route, source["version"] or _VERSIONS[answered.claim_type])
        header = _header(source, route, "", None)
        files.setdefault(file, {}).setdefault(group, {}).setdefault(route.terminator.join(header), []).append(source)
    written = []
    for (_, submitter, claim_type, _, encoding), groups in files.items():
        first, texts, count = numbers.following, [], 0
        for (route, version), headers in groups.items():
            number = numbers.take()
            sets: list[list[str]] = []
            for claims in headers.values():
                ordered = _in_order(claims)
                for start in range(0, len(ordered), LARGEST_SET):
                    some = ordered[start : start + LARGEST_SET]
                    reference = f"{number:09d}{len(sets) + 1:04d}"
                    sets.append(["837", *_header(some[0], route, reference, at), *_hierarchy(some, route)])
                count += len(claims)
            texts.append(interchange(route, "HC", version, sets, at=at, control_number=number))
        name = file_name(_KINDS[claim_type], submitter, first, "837")
        written.append(OutgoingFile(name, "".join(texts).encode(encoding), count))
    flagged = len(batch.answered) - len(cleared)
    return Written(tuple(written), tuple(batch.errors), flagged, batch.repeated, numbers.following)


def _header(source: X12Source, route: Route, reference: str, at: datetime | None) -> list[str]:
    """BHT with a reference and time of its own, and loops 1000A and 1000B as they were."""
    texts = []
    for elements in segments_of(source, source["header"]):
        if elements[0] == "BHT":
            made = (elements + [""] * _BHT_ELEMENTS)[:_BHT_ELEMENTS]
            made[3:6] = [reference, f"{at:%Y%m%d}", f"{at:%H%M}"] if at else ["", "", ""]
            texts.append(route.segment(*made))
        else:
            texts.append(route.element.join(elements))
    return texts


def _in_order(claims: Iterable[X12Source]) -> list[X12Source]:
    """The claims by billing provider, subscriber and patient, a subscriber's own claims first."""
    tree: dict[str, dict[str, dict[str, list[X12Source]]]] = {}
    for claim in claims:
        patients = tree.setdefault(claim["billing_provider"]["segments"], {}).setdefault(
            claim["subscriber"]["segments"], {"": []}
        )
        patients.setdefault(claim["patient"]["segments"] if claim["patient"] else "", []).append(claim)
    return [
        claim
        for subscribers in tree.values()
        for patients in subscribers.values()
        for some in patients.values()
        for claim in some
    ]


@dataclass(slots=True)
class _Level:
    """One HL with the segments of its loop and the claims right under it."""

    number: int
    parent: _Level | None
    code: str
    loop: str
    claims: list[str]
    has_children: bool = False


def _hierarchy(claims: Iterable[X12Source], route: Route) -> Iterator[str]:
    """The loops 2000A, 2000B, 2000C and 2300 of claims in order."""
    levels: list[_Level] = []
    opened: list[_Level] = []  # from the billing provider down to the patient of the claim before
    for claim in claims:
        path = [("20", claim["billing_provider"]), ("22", claim["subscriber"])]
        if claim["patient"] is not None:
            path.append(("23", claim["patient"]))
        shared = 0
        for level, (_, part) in zip(opened, path, strict=False):
            last = shared == len(path) - 1
            fits = not level.has_children and len(level.claims) < _LARGEST_PATIENT if last else not level.claims
            if level.loop != part["segments"] or not fits:
                break
            shared += 1
        del opened[shared:]
        for code, part in path[shared:]:
            parent = opened[-1] if opened else None
            if parent is not None:
                parent.has_children = True
            opened.append(_Level(len(levels) + 1, parent, code, part["segments"], []))
            levels.append(opened[-1])
        opened[-1].claims.append(claim["claim"]["segments"])
    for level in levels:
        parent_number = "" if level.parent is None else str(level.parent.number)
        yield route.segment("HL", str(level.number), parent_number, level.code, "1" if level.has_children else "0")
        for texts in (level.loop, *level.claims):
            yield from filter(None, texts.split(route.terminator))  # a loop may be empty
