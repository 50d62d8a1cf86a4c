"""What may be said of a failure: its words only where they are known to repeat nothing of a claim.

The words of an exception that nobody foresaw may quote whatever it failed at, as `KeyError` and `ValueError` do.
"""

from __future__ import annotations

import traceback
from pathlib import Path

_WHOSE_WORDS_ARE_SAID = ("worker", "rules", "aiokafka", "cimpl")
"""Packages whose own exceptions name settings, topics, files and fields, and no value; `cimpl` is confluent-kafka's."""


def repeats_nothing(error: BaseException) -> bool:
    """Whether what the failure says of itself may be logged and shown."""
    kind = type(error)
    return issubclass(kind, OSError) or kind.__module__.partition(".")[0] in _WHOSE_WORDS_ARE_SAID


def kind_and_place(error: BaseException) -> str:
    """`KeyError at agents.py:80`."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "a place not known"
    return f"{type(error).__name__} at {where}"


def said_of(error: BaseException) -> str:
    """A failure's kind with its words, or with its place where those may not be said."""
    return f"{type(error).__name__}: {error}" if repeats_nothing(error) else kind_and_place(error)


def way_to(error: BaseException) -> str:
    """The lines of code that led to a failure, as in a traceback, without its words and those of what caused it."""
    return "".join(traceback.format_tb(error.__traceback__)) + kind_and_place(error)
