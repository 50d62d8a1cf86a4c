"""The golden corpus: invented claims, each with the decision that the rule set gives it.

# tests/golden/claims/<theme>.yaml, or tests/golden/known_clean/<theme>.yaml
about: ...                     # what the theme is
as_837: {received_date: ...}   # the theme stands as <theme>.837 and is read from there; other keys go to the 837 writer
shared: ...                    # place for YAML anchors
claims:
  second-unit:                 # claim id, unique in the corpus; in an 837 the patient control number
    why: ...                   # what the claim is an example of
    payer: AETNA               # default MEDICARE_FFS
    claim: facility            # a base of `BASES`; default professional
    with: {subscriber: {birth_date: ""}}   # what differs from the base: an object goes into the base's own
    lines: ["63685 58", {procedure_code: "63685", units: 2}]   # code and modifiers, or what differs from the builder's
    expects: [UNT001, COV002 info]         # all rules that have a finding, with the severity where it matters
    not_evaluated: [FAC003]                # rules that must say that they could not tell
    held_since: 2024-01-01       # first day of which claims are on file; default 2000-01-01
    earlier:                     # claims on file of the same member, oldest first; [] where there are none
      - claim: facility          # payer (default the entry's), claim, with and lines as above; ids are other ones
        lines: [{procedure_code: "63650", service_date: 2026-07-27}]
        is_flagged: true         # by this scrubber
        answers: [{status: paid, status_date: 2026-08-07, payer_claim_control_number: ICN1}]   # in order

A claim with neither `earlier` nor `held_since` is judged without a history, as every claim of an 837 theme is.
`expects` is written from the rule catalogue, so that a snapshot never just records a fault. The decisions as a whole
are in <theme>.decisions.json, which `make golden` writes.

A base is in order: the five criteria of the national determination are recorded, and any payer but Original Medicare
has authorized the procedure and its site.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rules import Claim, Decision, RuleSet
from rules.engine.cases import example_of
from rules.engine.examples import (
    SERVICE_DATE,
    Example,
    a_facility_line,
    a_line,
    as_json,
    claim_content,
    facility_claim_content,
)
from tests.x12.carried import Content
from tests.x12.writer_837 import write_837
from worker.codec import decision_json
from worker.x12 import Event, read_events

ROOT = Path(__file__).parent
THEMES = sorted([*ROOT.glob("claims/*.yaml"), *ROOT.glob("known_clean/*.yaml")])
CLAIM_KEYS = {"why", "payer", "claim", "with", "lines", "expects", "not_evaluated", "earlier", "held_since"}
_THEME_KEYS = {"about", "as_837", "shared", "claims"}
_REGENERATED = {"rule_set", "input_digest"}  # they change with every rule, and say nothing about the answer

_PAYER = "MEDICARE_FFS"
_CRITERIA = ("ncd_late_resort", "ncd_other_therapies", "ncd_screening", "ncd_facilities", "ncd_trial_relief")
_ORDERLY_CASE = {"case_facts": dict.fromkeys(_CRITERIA, True)}
_AUTHORIZED = {
    "prior_authorization_number": "AUTH0001",
    "authorizations": [{"number": "AUTH0001", "places_of_service": ["19", "21", "22", "24", "013X", "083X"]}],
}
_CENTER = {"name": "Example Surgery Center", "entity_type": "organization", "npi": "1555012347"}
_AMBULATORY = {
    "billing_provider": {**_CENTER, "tax_number": "009876543", "taxonomy": "261QA1903X"},
    "practice": {"ambulatory_surgery_center": True},
}
# Base → whether it is built on the facility builder, and what differs from it.
BASES: Mapping[str, tuple[bool, Content]] = {
    "professional": (False, {}),
    "facility": (True, {}),
    # What a surgery center bills for itself: on the professional form, and to a commercial payer as a facility too.
    "center": (False, {**_AMBULATORY, "place_of_service": "24", "service_facility": _CENTER}),
    "center-facility": (True, {**_AMBULATORY, "type_of_bill": "0831"}),
    "inpatient": (
        True,
        {
            "type_of_bill": "0111",
            "statement_from_date": "2026-08-02",
            "statement_through_date": "2026-08-05",
            "admission_date": "2026-08-02",
            "admission_type": "3",
            "admission_source": "1",
            "patient_status": "01",
            "discharge_hour": "11",
            "diagnosis_related_group": "029",
            "diagnoses": [{"code": "M96.1", "kind": "principal", "present_on_admission": "Y"}],
            "inpatient_procedures": [
                {"code": "0JH80DZ", "procedure_date": SERVICE_DATE},
                {"code": "00HU3MZ", "procedure_date": SERVICE_DATE},
            ],
            "lines": [
                a_facility_line("", revenue_code="0120", units="3", charge_amount="6000.00", service_date=None),
                a_facility_line("", revenue_code="0360", charge_amount="42000.00", service_date=None),
                a_facility_line("", revenue_code="0278", units="3", charge_amount="33000.00", service_date=None),
            ],
        },
    ),
}


class Golden(NamedTuple):
    """One claim of the corpus as its theme describes it."""

    theme: Path
    name: str
    entry: Mapping[str, Any]

    @property
    def is_known_clean(self) -> bool:
        return self.theme.parent.name == "known_clean"

    @property
    def has_history(self) -> bool:
        return not self.entry.keys().isdisjoint(("earlier", "held_since"))

    @property
    def expected(self) -> dict[str, str]:
        """Rule id → severity, blank for any."""
        pairs = (each.partition(" ") for each in self.entry.get("expects", ()))
        return {rule_id: severity for rule_id, _, severity in pairs}


def goldens() -> list[Golden]:
    """All claims, by theme and in its order."""
    return [Golden(path, name, entry) for path in THEMES for name, entry in read_theme(path)["claims"].items()]


@cache
def read_theme(path: Path) -> dict[str, Any]:
    """A theme; `claims` holds what is on each."""
    theme: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    unknown = set(theme) - _THEME_KEYS
    unknown.update(*(set(entry) - CLAIM_KEYS for entry in theme["claims"].values()))
    assert not unknown, f"{path.name}: {unknown}; see the docstring of {Path(__file__).name}"
    return theme


# ---- from a theme to claims


def content_of(golden: Golden) -> Content:
    """The claim event of a golden claim."""
    base = {"claim_id": golden.name}
    if "as_837" in read_theme(golden.theme):
        base["patient_control_number"] = golden.name
    return _content(golden.entry, base)


def earlier_contents(golden: Golden) -> list[Content]:
    """The claim events that are on file for a golden claim, oldest first; ids that nobody names are blank."""
    return [_earlier_content(golden, each) for each in golden.entry.get("earlier") or ()]


def _earlier_content(golden: Golden, earlier: Mapping[str, Any]) -> Content:
    payer = {"payer": golden.entry.get("payer", _PAYER)}
    return _content({**payer, **earlier}, {"claim_id": "", "patient_control_number": ""})


def _content(entry: Mapping[str, Any], base: Content) -> Content:
    payer = entry.get("payer", _PAYER)
    is_facility, changes = BASES[entry.get("claim", "professional")]
    base = {**base, **_ORDERLY_CASE, **changes}
    if payer != _PAYER:
        base |= _AUTHORIZED
    if "lines" in entry:
        base["lines"] = [_line(each, is_facility=is_facility) for each in entry["lines"]]
    content = (facility_claim_content if is_facility else claim_content)(payer, **base)
    return _merged(content, entry.get("with", {}))


def _line(line: str | Content, *, is_facility: bool) -> Content:
    if isinstance(line, str):
        code, *modifiers = line.split()
        line = {"procedure_code": code, "modifiers": modifiers}
    if not is_facility:
        return a_line(**line)
    is_device = line.get("procedure_code", "").startswith(("C", "L"))
    return a_facility_line(**{**({"revenue_code": "0278", "charge_amount": "21000.00"} if is_device else {}), **line})


def _merged(base: Content, changes: Content) -> Content:
    """The base with the changes; an object goes into an object, anything else replaces."""
    result = dict(base)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = _merged(result[name], value) if both else value
    return result


def text_837(path: Path) -> str:
    """The 837 text of a theme that stands as one."""
    options = {name: value for name, value in read_theme(path)["as_837"].items() if name != "received_date"}
    return write_837([content_of(golden) for golden in goldens() if golden.theme == path], **options)


def examples_of(path: Path) -> Iterator[tuple[str, Example]]:
    """The name and the claim of each golden claim of a theme, as a worker would read it, with what is on file."""
    theme = read_theme(path)
    if "as_837" not in theme:
        for golden in goldens():
            if golden.theme == path:
                claim = Claim.from_json(as_json(content_of(golden)))
                yield golden.name, example_of(claim, golden.entry, partial(_earlier_content, golden))
        return
    for item in read_events(io.BytesIO(path.with_suffix(".837").read_bytes())):
        assert isinstance(item, Event), str(item)
        claim = Claim.from_json(item.raw)
        received = {"received_date": theme["as_837"]["received_date"]}
        yield claim.patient_control_number, Example(claim.changed(**received))


# ---- decisions


def decide(path: Path, ruleset: RuleSet) -> dict[str, tuple[Decision, Content]]:
    """Name → the decision of each claim of a theme, and what of it is kept as a snapshot."""
    decisions = {}
    for name, example in examples_of(path):
        decision = ruleset.evaluate(*example)
        decisions[name] = decision, snapshot(decision, example.claim)
    return decisions


def snapshot(decision: Decision, claim: Claim) -> Content:
    """What of a decision is kept."""
    return reduced(json.loads(decision_json(decision, claim, "")))


def reduced(content: Content) -> Content:
    """A decision as it is published, with the citations reduced to their keys, and without digests."""
    for finding in content["findings"]:
        finding["citations"] = [citation["key"] for citation in finding["citations"]]
    return {name: value for name, value in content.items() if name not in _REGENERATED}


def decisions_file(path: Path) -> Path:
    """Where the snapshots of a theme are."""
    return path.with_suffix(".decisions.json")


def pretty(value: Any, indent: str = "") -> str:
    """JSON that reads well in a diff: a finding's fields on a line each, and what holds no list on one line."""
    inner = indent + "  "
    if isinstance(value, dict) and any(isinstance(each, dict | list) for each in value.values()):
        fields = [f"{inner}{json.dumps(name)}: {pretty(each, inner)}" for name, each in value.items()]
        return "{\n" + ",\n".join(fields) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return "[\n" + ",\n".join(inner + pretty(each, inner) for each in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)
