"""A claim decided on the spot, and what an edit of it changed. Nothing is published or remembered.

A flagged claim is edited without its member: what could say who that is stands in the editor as a mark, `(hidden 3)`,
and comes back from the original when the edited claim is decided. A mark may be moved, deleted, or replaced.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, NamedTuple

from rules import Claim, ClaimError, History, RuleSet, claim_schema
from rules.engine.claim import json_path
from worker.codec import decision_json
from worker.inputs import only_claim
from worker.pipeline import input_digest
from worker.terminal import today

Content = Mapping[str, Any]

WITHOUT_HISTORY = History(not_known="this is decided without the member's earlier claims")

_Path = tuple[str | int, ...]

_PERSON = "Person"
_PEOPLE = frozenset({"Subscriber", _PERSON})
_IDENTIFYING = frozenset(
    {
        "x12",  # the claim's own segments
        "member_number",
        "tax_number",  # a person's is the social security number
        "prior_authorization_number",
        "referral_number",
        "original_reference_number",
    }
)
_AUTHORIZATION_NUMBER = ("StoredAuthorization", "number")
_SHOWN_TEXT = frozenset(
    {("Payer", "name"), ("OtherPayer", "name"), ("Practice", "product"), ("EligibilityAnswer", "managed_medicare_plan")}
)
_LONGEST_CODE = 128
"""Text that may be longer is free text, in which anything may stand."""
_MARK = re.compile(r"\(hidden (\d{1,6})\)")
_SEVERITIES = ("error", "warning", "info")


class Comparison(NamedTuple):
    """A decision beside an earlier one.

    Attributes:
        before, after: decisions as they are published; before is None where there is none.
        gone, new, same: findings. One is the same if rule, line, field and severity are; its message may have changed,
            and is then the new one.
    """

    before: Content | None
    after: Content
    gone: Sequence[Content]
    new: Sequence[Content]
    same: Sequence[Content]


def decide(raw: bytes, ruleset: RuleSet, received: date | None = None) -> Content:
    """The decision about one claim, as it would be published; rules that read history are not evaluated.

    Args:
        raw: a claim event in JSON, or an 837 with one claim.
        ruleset: the rules that decide.
        received: its receipt date, if it names none itself; today if not said.

    Raises:
        ClaimError: it is no claim; the error names the field and what is expected.
    """
    item = only_claim(raw)
    claim = item.read()
    if claim.received_date is None:
        claim = claim.changed(received_date=received or today())
    decision = ruleset.evaluate(claim, WITHOUT_HISTORY)
    # The segments of the source say nothing about where an edited field would stand.
    content: Content = json.loads(decision_json(decision, claim.changed(x12=None), input_digest(item.raw)))
    return content


def compare(before: Content | None, after: Content) -> Comparison:
    """What has changed from one decision to another.

    Args:
        before: the decision on the claim as it was; None for a claim that was not there before.
        after: the decision on the claim as it is now.
    """
    were = Counter(map(_identity, before["findings"] if before is not None else ()))
    new, same = [], []
    for finding in after["findings"]:
        identity = _identity(finding)
        if were[identity] > 0:
            were[identity] -= 1
            same.append(finding)
        else:
            new.append(finding)
    gone = []
    for finding in before["findings"] if before is not None else ():
        identity = _identity(finding)
        if were[identity] > 0:
            were[identity] -= 1
            gone.append(finding)
    return Comparison(before, after, *map(_gravest_first, (gone, new, same)))


def _identity(finding: Content) -> tuple[Any, ...]:
    return finding["rule_id"], finding["line"], finding["field"], finding["severity"]


def _gravest_first(findings: list[Content]) -> list[Content]:
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding["severity"]))


# ---- who the claim is about


def shown(raw: bytes) -> str:
    """A claim event, laid out for an editor, with marks in the place of what could say who the member is.

    That is: subscriber and patient, member, account and authorization numbers, tax numbers, free text, the segments of
    the source, and every field that is not known, with its name. Codes, NPIs, amounts, dates of service and the case's
    facts are shown.

    Raises:
        ClaimError: it is no claim event.
    """
    Claim.from_json(raw)
    return json.dumps(_Hiding().content(json.loads(raw)), indent=2, ensure_ascii=False)


def restored(raw: bytes, edited: str) -> bytes:
    """The edited claim with what was hidden.

    Args:
        raw: the claim event of which `shown` was edited.
        edited: that.

    Raises:
        ClaimError: it is not JSON, or a mark is in it that stands for nothing.
    """
    try:
        content = json.loads(edited)
    except (ValueError, RecursionError) as error:
        said = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "nested too deep"
        raise ClaimError("$", f"not JSON: {said}", "one JSON object") from None
    if not isinstance(content, dict):
        raise ClaimError("$", "not an object", "one JSON object")
    hiding = _Hiding()
    hiding.content(json.loads(raw))
    return json.dumps(hiding.put_back(content), ensure_ascii=False).encode(errors="surrogatepass")


class _Hidden(NamedTuple):
    """What stands behind a mark.

    Attributes:
        owner: the model that it was a field of.
    """

    owner: str
    name: str
    value: Any

    @property
    def field(self) -> str:
        """For messages; a name that is not known may be anything."""
        return self.name if self.name in _schema_of(self.owner)["properties"] else "a field that is not known"


class _Hiding:
    """Hides what could identify a person; the same claim gets the same marks each time."""

    def __init__(self) -> None:
        self._hidden: list[_Hidden] = []

    def content(self, claim: Content) -> Any:
        return self._shown(claim, _schema_of("Claim"), "Claim")

    def _shown(self, value: Any, schema: Content, owner: str) -> Any:
        shown = {}
        for name, each in value.items():
            known = schema["properties"].get(name)
            if known is None:
                mark = self._mark(owner, name, each)
                shown[mark] = mark
            else:
                shown[name] = self._field(owner, name, each, known)
        return shown

    def _field(self, owner: str, name: str, value: Any, schema: Content) -> Any:
        if value in (None, "", [], {}):
            return value
        if name in _IDENTIFYING or owner in _PEOPLE or (owner, name) == _AUTHORIZATION_NUMBER:
            return self._mark(owner, name, value)
        return self._value(owner, name, value, schema)

    def _value(self, owner: str, name: str, value: Any, schema: Content) -> Any:
        if isinstance(value, list):
            items = _items(schema)
            if items is None:
                return self._mark(owner, name, value)
            return [self._value(owner, name, each, items) for each in value]
        if isinstance(value, dict):
            model = _model(schema)
            return self._mark(owner, name, value) if model is None else self._shown(value, _schema_of(model), model)
        if isinstance(value, str) and (_MARK.fullmatch(value) or not self._is_shown(owner, name, schema)):
            return self._mark(owner, name, value)
        return value

    def _is_shown(self, owner: str, name: str, schema: Content) -> bool:
        return (owner, name) in _SHOWN_TEXT or any(
            each.get("maxLength", 0) <= _LONGEST_CODE for each in _forms(schema) if each.get("type") == "string"
        )

    def _mark(self, owner: str, name: str, value: Any) -> str:
        self._hidden.append(_Hidden(_PERSON if owner in _PEOPLE else owner, name, value))
        return f"(hidden {len(self._hidden)})"

    def put_back(self, edited: Content) -> Any:
        """Whatever was hidden, in the place of its marks.

        Raises:
            ClaimError: a mark stands for nothing, or stands where something else belongs: moved into a field that is
                shown, it would give away what is hidden.
        """
        return self._put_back(edited, "Claim", ())

    def _put_back(self, part: Content, owner: str, path: _Path) -> dict[str, Any]:
        properties, made = _schema_of(owner)["properties"], {}
        for name, each in part.items():
            real_name = name
            if _MARK.fullmatch(name):
                real_name = self._of_mark(name, owner, None, (*path, name)).name
            made[real_name] = self._value_back(owner, real_name, each, properties.get(real_name, {}), (*path, name))
        return made

    def _value_back(self, owner: str, name: str, value: Any, schema: Content, path: _Path) -> Any:
        if isinstance(value, str) and _MARK.fullmatch(value):
            return self._of_mark(value, owner, name, path).value
        if isinstance(value, list):
            items = _items(schema) or {}
            return [self._value_back(owner, name, each, items, (*path, number)) for number, each in enumerate(value)]
        if isinstance(value, dict):
            model = _model(schema)
            return value if model is None else self._put_back(value, model, path)
        return value

    def _of_mark(self, mark: str, owner: str, name: str | None, path: _Path) -> _Hidden:
        """What a mark stands for; with a name, only if it comes from such a field."""
        match = _MARK.fullmatch(mark)
        number = int(match[1]) if match is not None else 0
        if not 0 < number <= len(self._hidden):
            raise ClaimError(json_path(path), f"{mark} stands for nothing", "a mark of this claim, or a value")
        hidden = self._hidden[number - 1]
        if hidden.owner != (_PERSON if owner in _PEOPLE else owner) or name not in (None, hidden.name):
            raise ClaimError(json_path(path), f"{mark} belongs to {hidden.field}", "it there, or a value here")
        return hidden


def _items(schema: Content) -> Content | None:
    """Of the elements, if a field is an array."""
    return next((each["items"] for each in _forms(schema) if "items" in each), None)


def _model(schema: Content) -> str | None:
    """Name of the model, if a field is an object."""
    return next((each["$ref"].rpartition("/")[2] for each in _forms(schema) if "$ref" in each), None)


def _forms(schema: Content) -> Iterator[Content]:
    """A field's schema, or each of its alternatives."""
    yield from schema.get("anyOf", (schema,))


@cache
def _schema() -> Content:
    return claim_schema()


def _schema_of(model: str) -> Content:
    """The JSON Schema of a part of a claim event."""
    found: Content = _schema() if model == "Claim" else _schema()["$defs"][model]
    return found
