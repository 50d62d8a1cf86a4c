"""pyx12 as an oracle: an independent reading of X12, and its maps of what a transaction set may contain."""

from __future__ import annotations

import functools
import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pyx12.errors
import pyx12.map_if
import pyx12.params
import pyx12.segment
import pyx12.x12file
import pyx12.x12n_document

# Versions of the 837 that pyx12 has no map for, and the one beside it that it has.
_KNOWN = {"222": "005010X222A1", "223": "005010X223A2"}

_PARAMETERS = pyx12.params.ParamsBase()

# Reading a map takes most of pyx12's time, and it keeps none.
pyx12.map_if.load_map_file = functools.cache(pyx12.map_if.load_map_file)

# What it logs is in its report too.
logging.getLogger("pyx12").addHandler(logging.NullHandler())


def problems(text: str) -> list[str]:
    """What is wrong with these interchanges according to pyx12's maps; empty if nothing is."""
    return [problem for interchange in interchanges(text) for problem in _problems(interchange)]


def segments(text: str) -> Iterator[pyx12.segment.Segment]:
    """The segments of these interchanges as pyx12 reads them."""
    for interchange in interchanges(text):
        yield from pyx12.x12file.X12Reader(io.StringIO(interchange))


def interchanges(text: str) -> Iterator[str]:
    """The interchanges one by one: pyx12 takes the separators of the first for all."""
    while text := text.lstrip():
        element, terminator = text[3], text[105]
        trailer = re.compile(f"{re.escape(terminator)}\\s*IEA{re.escape(element)}[^{re.escape(terminator)}]*")
        found = trailer.search(text)
        end = len(text) if found is None else found.end() + 1
        yield text[:end]
        text = text[end:]


def with_known_version(text: str) -> str:
    """A copy in which each version of the 837 is the one that pyx12 has a map for."""
    return re.sub(r"005010X(222|223)(?:A\d)?", lambda found: _KNOWN[found[1]], text)


def _problems(interchange: str) -> list[str]:
    output = io.StringIO()
    try:
        valid = pyx12.x12n_document.x12n_document(_PARAMETERS, io.StringIO(interchange), None, None, fd_json=output)
    except (pyx12.errors.EngineError, pyx12.errors.X12Error) as error:
        return [str(error)]
    found = list(_lines(json.loads(output.getvalue() or "{}"), ""))
    return found or ([] if valid else ["not valid: an element of ISA, GS, ST or BHT"])


def _lines(part: Any, place: str) -> Iterator[str]:
    """The errors in a part of pyx12's report and in what it contains, each with its place."""
    if isinstance(part, list):
        for each in part:
            yield from _lines(each, place)
        return
    names = ("isa_trn_set_id", "gs_control_num", "trn_set_control_num", "seg_id", "ele_ref_num")
    for name in names:
        if name in part:
            number = f" (segment {part['seg_count']})" if name == "seg_id" else ""
            place = f"{place} {part[name]}{number}".lstrip()
    for error in part.get("errors", ()):
        yield f"{place}: {error['err_str']}"
    for name in ("interchanges", "groups", "transactions", "segments", "elements"):
        yield from _lines(part.get(name, []), place)
