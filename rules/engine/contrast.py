"""A claim as what differs from the builders' clean claim: short enough to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from pydantic import TypeAdapter

from rules.engine.claim import Claim
from rules.engine.examples import a_claim, a_facility_claim
from rules.engine.explain import flow

_CLAIM: Final = TypeAdapter(Claim)
_BLANK: tuple[Any, ...] = (None, "", [], {})
# Which claim it is, is said in words; the id says nothing.
_APART = ("claim_id", "claim_type")
_MOST_ROWS = 8


def contrast(claim: Claim) -> str:
    """The fields that differ from the clean claim of the same kind and payer, as YAML; blank where none does.

    A service line shows its procedure code and what differs from the builder's line; `null` stands for what is absent.
    """
    own, clean = _content(claim), _content(_clean(claim))
    lines, clean_lines = own.pop("lines", []), clean.pop("lines")
    total = sum((line.get("charge_amount") or Decimal(0) for line in lines), Decimal(0))
    clean["total_charge_amount"] = total if lines else own.get("total_charge_amount")
    parts = _different(own, clean)
    if lines != clean_lines:
        by_code = {line["procedure_code"]: line for line in reversed(clean_lines)}
        parts["lines"] = [_line(line, by_code.get(line.get("procedure_code"), clean_lines[0])) for line in lines]
    return "\n".join(row for key, value in parts.items() for row in _rows(key, value))


def _clean(claim: Claim) -> Claim:
    return (a_claim if claim.is_professional else a_facility_claim)(claim.payer.key)


def _content(claim: Claim) -> dict[str, Any]:
    return {key: _plain(value) for key, value in claim.content("python").items() if key not in _APART}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def _different(own: Mapping[str, Any], clean: Mapping[str, Any]) -> dict[str, Any]:
    parts = {}
    for key in dict.fromkeys([*own, *clean]):
        mine, other = own.get(key), clean.get(key)
        if mine != other and not (mine in _BLANK and other in _BLANK):
            parts[key] = _different(mine, other) if isinstance(mine, dict) and isinstance(other, dict) else mine
    return parts


def _line(line: Mapping[str, Any], clean: Mapping[str, Any]) -> dict[str, Any]:
    return {"procedure_code": line.get("procedure_code", ""), **_different(line, {**clean, "procedure_code": None})}


def _rows(key: str, value: Any) -> Sequence[str]:
    if not isinstance(value, list) or not any(isinstance(each, dict) for each in value):
        return [f"{key}: {flow(value)}"]
    rows = [f"  - {flow(each)}" for each in value[:_MOST_ROWS]]
    more = [f"  # and {len(value) - _MOST_ROWS} more"] if len(value) > _MOST_ROWS else []
    return [f"{key}:", *rows, *more]
