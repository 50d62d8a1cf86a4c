"""Insert into the text of a YAML file and leave everything else in it as it stands, comments included.

The place is found by the positions of the parsed nodes; what the text means afterwards is the caller's to check.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

import yaml

_Pair = tuple[yaml.Node, yaml.Node]


class PlaceError(ValueError):
    """The file is not laid out so that anything could be inserted; the message says how it is expected to be."""


def with_entry(text: str, name: str, block: str) -> str:
    """The text with one more entry at its top level: in its place where the entries are sorted, else at the end.

    Args:
        text: a mapping, or nothing but comments.
        name: the entry's key, which does not stand in the text.
        block: the entry as it is to stand, key included, with a line end.
    """
    entries = _pairs(yaml.compose(text), "the file")
    names = [key.value for key, _ in entries]
    place = bisect_left(names, name) if all(one < two for one, two in pairwise(names)) else len(names)
    if place < len(names):
        start = entries[place][0].start_mark.index
        return text[:start] + block + text[start:]
    return (text if not text or text.endswith("\n") else text + "\n") + block


def with_value(text: str, entry: str, key: str, value: str) -> str:
    """The text with a value under `values` of an entry, in the order of the keys; it replaces one of the same key.

    The value is on one line or more; further ones are indented as far as the value begins.
    """
    pairs = _pairs(_child(_child(yaml.compose(text), entry), "values"), f"values of {entry}")
    if not pairs:
        raise PlaceError(f"expected at least one value under values of {entry}")
    indent = " " * pairs[0][0].start_mark.column
    written = f"{key}: {value}".replace("\n", f"\n{indent}{' ' * (len(key) + 2)}")
    place = bisect_left([pair[0].value for pair in pairs], key)
    if place < len(pairs) and pairs[place][0].value == key:
        old_key, old_value = pairs[place]
        return text[: old_key.start_mark.index] + written + text[_end(text, old_value) :]
    if place == 0:
        start = pairs[0][0].start_mark.index
        return f"{text[:start]}{written}\n{indent}{text[start:]}"
    # After the line on which the value before it ends, which may close with a comment.
    end = text.find("\n", _end(text, pairs[place - 1][1]))
    before, after = (text, "") if end < 0 else (text[:end], text[end:])
    return f"{before}\n{indent}{written}{after or chr(10)}"


def with_scalar(text: str, path: Sequence[str], value: str) -> str:
    """The text with another scalar at a path of keys."""
    node = yaml.compose(text)
    for key in path:
        node = _child(node, key)
    assert node is not None
    return text[: node.start_mark.index] + value + text[node.end_mark.index :]


def _pairs(node: yaml.Node | None, what: str) -> list[_Pair]:
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        raise PlaceError(f"expected {what} as a mapping with each key on a line of its own")
    return list(node.value)


def _child(node: yaml.Node | None, name: str) -> yaml.Node:
    for key, value in _pairs(node, f"what holds {name}"):
        if key.value == name:
            return value
    raise PlaceError(f"expected {name}")


def _end(text: str, node: yaml.Node) -> int:
    """Where a node ends; the mark of a block stands behind the blank lines and comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    return node.start_mark.index + len(text[node.start_mark.index : node.end_mark.index].rstrip())
