"""The facts: sources, dated values, failure categories, and where a field stands in the 837.

They come from `rules/reference/`. A deployment may lay a folder of its own over it, in the same shape and with only
what it adds: the values of a policy are merged by date, and on the same date the folder's value wins. So a new quarter
of a published table needs no new release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import rules
from rules.engine.decision import Citation, FailureCategory
from rules.engine.files import files_of
from rules.engine.policy import Policy, ReferenceDataError, load_policies, read_yaml

PACKAGE = Path(rules.__file__).parent
CATEGORIES: Final = "failures.categories"
LOCATIONS: Final = "field_locations.places"
"""The values that the engine itself reads."""
_CITATION_KEYS = frozenset(Citation.__dataclass_fields__) - {"key"}


@dataclass(frozen=True, slots=True)
class Reference:
    """The facts: sources, dated values, failure categories, and where a field stands in the 837."""

    citations: Mapping[str, Citation]
    policies: Mapping[str, Policy]
    categories: Mapping[str, FailureCategory]
    locations: Mapping[str, Mapping[str, str]]

    @classmethod
    def load(cls, folder: Path = PACKAGE / "reference", over: Path | None = None) -> Self:
        """Read `rules/reference/`, and a folder of a deployment's own over it.

        Raises:
            ReferenceDataError: a file is wrong; the message names it and what is expected.
        """
        citations = _citations(folder / "citations.yaml")
        policies = _policies(folder)
        if over is not None:
            citations |= _citations(over / "citations.yaml") if (over / "citations.yaml").exists() else {}
            for name, policy in _policies(over).items():
                if name not in policies:
                    raise ReferenceDataError(f"{over}: {name} is no value of the rules; see: claimscrub rules explain")
                policies[name] = _merged(policies[name], policy)
        rows = policies[CATEGORIES].values[-1].value
        categories = {key: _failure_category(row) for key, row in rows.items()}
        return cls(citations, policies, categories, policies[LOCATIONS].values[-1].value)


def _citations(path: Path) -> dict[str, Citation]:
    citations = {}
    for key, entry in (read_yaml(path) or {}).items():
        if not isinstance(entry, Mapping) or set(entry) != _CITATION_KEYS:
            raise ReferenceDataError(f"{path.name}: {key}: expected the keys {', '.join(sorted(_CITATION_KEYS))}")
        citations[key] = Citation(key=key, **entry)
    return citations


def _policies(folder: Path) -> dict[str, Policy]:
    policies: dict[str, Policy] = {}
    for path in files_of(folder, "*/*.yaml"):
        for policy in load_policies(path, path.stem):
            if policy.name in policies:
                raise ReferenceDataError(f"{path}: {policy.name} stands in another file too")
            policies[policy.name] = policy
    return policies


def _merged(packaged: Policy, own: Policy) -> Policy:
    by_start = {value.start: value for value in (*packaged.values, *own.values)}
    return Policy(
        packaged.name,
        packaged.title,
        max(packaged.verified_on, own.verified_on),
        tuple(by_start[start] for start in sorted(by_start)),
    )


def _failure_category(row: Mapping[str, str | None]) -> FailureCategory:
    cells = {column: cell or "" for column, cell in row.items()}
    return FailureCategory(
        key=cells["category"],
        meaning=cells["own_meaning"],
        carc=cells["carc"],
        alternative_carc=_alternatives(cells["alt_carc"]),
        rarc=_alternatives(cells["rarc"]),
        group=cells["group"],
        status_category=cells["csc_category"],
        status_codes=_alternatives(cells["csc_status"]),
        entities=_alternatives(cells["entity"]),
    )


def _alternatives(cell: str) -> tuple[str, ...]:
    return tuple(part for part in cell.split(";") if part)
