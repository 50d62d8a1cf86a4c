"""Whether everything that one JSON Schema allows is allowed by another, for the keywords that our schemas have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_NO_CONSTRAINT = frozenset(
    {"$schema", "$defs", "title", "description", "default", "examples", "format", "contentMediaType", "$ref"}
)
_LOWER = frozenset({"minimum", "minLength", "minItems", "exclusiveMinimum"})
_UPPER = frozenset({"maximum", "maxLength", "maxItems", "exclusiveMaximum"})
_COMPARED = (
    frozenset({"type", "properties", "required", "items", "anyOf", "enum", "const", "pattern"}) | _LOWER | _UPPER
)


class UnknownKeywordError(ValueError):
    """A schema has a keyword that this comparison does not know."""


def breaks_readers(published: Schema, today: Schema) -> list[str]:
    """What a consumer that was made for `published` would not take in of what is sent `today`."""
    return [
        *_not_within((today, today), (published, published), "$"),
        *(f"{path}: it is gone" for path in _properties(published, published, "$") - _properties(today, today, "$")),
    ]


def breaks_senders(published: Schema, today: Schema) -> list[str]:
    """What a sender that was made for `published` may send that is not read `today`."""
    return [
        *_not_within((published, published), (today, today), "$"),
        *(f"{path}: it is gone" for path in _properties(published, published, "$") - _properties(today, today, "$")),
    ]


Within = tuple[Schema, Schema]
"""A schema, and the whole that its references are looked up in."""


def _resolved(schema: Schema, whole: Schema) -> Schema:
    while "$ref" in schema:
        target: Any = whole
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        schema = target
    unknown = set(schema) - _NO_CONSTRAINT - _COMPARED
    if schema.get("additionalProperties") is True:
        unknown -= {"additionalProperties"}
    if unknown:
        raise UnknownKeywordError(f"teach tests/contract/compatibility.py the keywords {', '.join(sorted(unknown))}")
    return schema


def _properties(schema: Schema, whole: Schema, path: str) -> set[str]:
    """Paths of all properties."""
    schema = _resolved(schema, whole)
    found = set()
    for name, each in schema.get("properties", {}).items():
        below = f"{path}.{name}"
        found |= {below, *_properties(each, whole, below)}
    for each in (*schema.get("anyOf", ()), *filter(None, [schema.get("items")])):
        found |= _properties(each, whole, path)
    return found


def _not_within(narrow: Within, wide: Within, path: str) -> Iterator[str]:
    """Why `narrow` allows more than `wide`; nothing if it does not."""
    one, other = _resolved(*narrow), _resolved(*wide)
    named = [{"required": [name]} for name in one.get("required", ())]
    if "anyOf" in one and not _only_required(one):
        for each in one["anyOf"]:
            yield from _not_within((each, narrow[1]), (other, wide[1]), path)
        return
    if "anyOf" in other and not _only_required(other):
        tried = [list(_not_within((one, narrow[1]), (each, wide[1]), path)) for each in other["anyOf"]]
        if all(tried):
            yield min(tried, key=len)[0]
        return
    if "anyOf" in other and one.get("anyOf") != other["anyOf"] and not any(each in other["anyOf"] for each in named):
        yield f"{path}: one of several properties is needed that was not"
    yield from _not_within_alone(one, other, path)
    known = one.get("properties", {})
    for name, each in other.get("properties", {}).items():
        if name in known:
            yield from _not_within((known[name], narrow[1]), (each, wide[1]), f"{path}.{name}")
    if "items" in other and "items" in one:
        yield from _not_within((one["items"], narrow[1]), (other["items"], wide[1]), f"{path}[]")


def _only_required(schema: Schema) -> bool:
    """Whether its alternatives only say which of its properties are needed."""
    return all("required" in each for each in schema["anyOf"])


def _not_within_alone(one: Schema, other: Schema, path: str) -> Iterator[str]:
    """The same of what does not lie below."""
    values, wide_values = _values(one), _values(other)
    types, allowed = one.get("type"), other.get("type")
    by_values = types is None and bool(values) and all(_is(value, allowed) for value in values)
    if allowed is not None and types not in {allowed, "integer" if allowed == "number" else allowed} and not by_values:
        yield f"{path}: {types or 'anything'} instead of {allowed}"
    for name in set(other.get("required", ())) - set(one.get("required", ())):
        yield f"{path}.{name}: needed on one side, and may be absent on the other"
    if wide_values and not values:
        yield f"{path}: any value instead of one of {sorted(wide_values)}"
    elif wide_values and values - wide_values:
        yield f"{path}: {sorted(values - wide_values)} beside {sorted(wide_values)}"
    if "pattern" in other and one.get("pattern") != other["pattern"] and not values:
        yield f"{path}: pattern {one.get('pattern')} instead of {other['pattern']}"
    yield from _beyond_limits(one, other, path)


def _beyond_limits(one: Schema, other: Schema, path: str) -> Iterator[str]:
    for keyword in (_LOWER | _UPPER) & set(other):
        limit, own = other[keyword], one.get(keyword)
        if own is None or (own < limit if keyword in _LOWER else own > limit):
            yield f"{path}: {keyword} {own} instead of {limit}"


def _values(schema: Schema) -> set[Any]:
    """The only values that it allows; empty where there is no such list."""
    return {schema["const"]} if "const" in schema else set(schema.get("enum", ()))


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, {"string": str, "integer": int, "boolean": bool}.get(kind, object))
