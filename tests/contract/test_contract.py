"""The contract of the topics: what docs/contract promises is what the code does, and stays so."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource

from rules import Claim, RuleSet
from tests.contract.compatibility import UnknownKeywordError, breaks_readers, breaks_senders
from tests.golden.corpus import THEMES, decide
from worker import asyncapi
from worker.cli import main
from worker.codec import decision_json, envelope
from worker.overrides import read_override
from worker.status import ClaimStatus

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "docs" / "contract"
HERE = Path(__file__).parent
DOCUMENT = yaml.safe_load((CONTRACT / "asyncapi.yaml").read_text())
SENT = ("claim", "status", "override")
PUBLISHED = ("decision", "deadletter")
_DIGEST = "sha256:" + "0" * 64


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((CONTRACT / f"{name}.schema.json").read_text())
    return schema


def _first(name: str) -> dict[str, Any]:
    """A schema as first published."""
    schema: dict[str, Any] = json.loads((HERE / "v1" / f"{name}.schema.json").read_text())
    return schema


# ---- what is generated


def test_docs_contract_is_what_the_code_says() -> None:
    """Schemas, AsyncAPI and examples in docs/contract are generated; `make schema` writes them anew."""
    there = {str(path.relative_to(CONTRACT)): path.read_text() for path in CONTRACT.rglob("*") if path.is_file()}
    readme = there.pop("README.md")

    assert there == asyncapi.files()
    assert all(Path(name).name in readme for name in there if "/" not in name)


def test_each_schema_is_printed(tmp_path: Path) -> None:
    """`claimscrub schema` prints each of them, and writes them all into a folder."""
    for name in (*SENT, *PUBLISHED):
        printed = CliRunner().invoke(main, ["schema", "--kind", name])
        assert printed.stdout == (CONTRACT / f"{name}.schema.json").read_text()
    document = CliRunner().invoke(main, ["schema", "--asyncapi"])
    assert document.stdout == (CONTRACT / "asyncapi.yaml").read_text()
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "of-another-version.json").write_text("{}")
    CliRunner().invoke(main, ["schema", "--out", str(tmp_path)], catch_exceptions=False)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(asyncapi.files())


def test_the_document_is_asyncapi() -> None:
    """asyncapi.yaml is valid by the AsyncAPI project's own schema, Kafka bindings included."""
    schema = json.loads((HERE / "asyncapi-3.0.0.schema.json").read_text())
    validator = validator_for(schema)(schema)
    broken = {**DOCUMENT, "channels": {"submitted": {"bindings": {"kafka": {"partitions": "twelve"}}}}}

    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(DOCUMENT)] == []
    assert list(validator.iter_errors(broken)) != []


def test_every_topic_of_the_settings_is_described() -> None:
    """A topic that is added to the settings can't be left out."""
    from worker.kafka import all_topics
    from worker.settings import Settings

    described = {channel["address"] for channel in DOCUMENT["channels"].values()}

    assert described == set(all_topics(Settings.model_construct()))


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    """Of a schema of the document, which may refer to the files beside it."""

    def retrieve(uri: str) -> Resource[Any]:
        name = uri.removeprefix("contract:/")
        return Resource.from_contents(json.loads((CONTRACT / name).read_text()))

    registry: Registry[Any] = Registry(retrieve=retrieve)  # type: ignore[call-arg]
    return Draft202012Validator({"$id": "contract:/asyncapi", **schema}, registry=registry)


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_examples_are_valid(name: str) -> None:
    """The example of each message, which the worker's own code has made, is what the document says."""
    message = DOCUMENT["components"]["messages"][name]
    example = json.loads((CONTRACT / "examples" / f"{name}.json").read_text())
    shown = message["examples"][0]

    assert (shown["headers"], shown["payload"]) == (example["headers"], example["value"])
    for what, content in (("headers", example["headers"]), ("payload", example["value"])):
        assert [error.message for error in _validator(message[what]).iter_errors(content)] == []


def test_examples_are_read_by_the_worker() -> None:
    """What the examples show may be sent as it stands."""

    def value(name: str) -> bytes:
        content = json.loads((CONTRACT / "examples" / f"{name}.json").read_text())["value"]
        return json.dumps(content, separators=(",", ":")).encode()

    assert Claim.from_json(value("claim")).claim_id == "CLM-2026-000117"
    assert ClaimStatus.from_json(value("status")).status == "accepted"
    assert read_override(value("override")).override.user == "erin.example"


# ---- what stays


def test_golden_decisions_are_what_the_first_consumers_expect(ruleset: RuleSet) -> None:
    """Every decision of the golden corpus is valid by today's schema and by that which was published first."""
    validators = [Draft202012Validator(schema) for schema in (_schema("decision"), _first("decision"))]
    wrong = []
    for theme in THEMES:
        for name, (decision, _) in decide(theme, ruleset).items():
            published = json.loads(envelope(b"{}", _published(decision)))
            wrong += [f"{name}: {e.json_path}" for each in validators for e in each.iter_errors(published)]

    assert wrong == []


def _published(decision: Any) -> bytes:
    return decision_json(decision, Claim.from_json('{"claim_id":"C","claim_type":"professional"}'), _DIGEST)


@pytest.mark.parametrize("name", ["cleared", "flagged", "released"])
def test_records_of_today_are_what_the_first_consumers_expect(name: str) -> None:
    """Cleared, flagged and released claims are valid by the schema that was published first."""
    content = json.loads((CONTRACT / "examples" / f"{name}.json").read_text())["value"]

    assert list(Draft202012Validator(_first("decision")).iter_errors(content)) == []


def test_claims_of_the_first_senders_are_read() -> None:
    """Claim events that were sent under the first schema are read, and valid by today's."""
    today = Draft202012Validator(_schema("claim"))
    claims = (HERE / "v1" / "claims.ndjson").read_text().splitlines()
    for line in claims:
        Claim.from_json(line)
        assert list(today.iter_errors(json.loads(line))) == []

    assert len(claims) > 20


@pytest.mark.parametrize("name", PUBLISHED)
def test_readers_are_not_broken(name: str) -> None:
    """What is published today is within what was promised first: nothing gone, nothing wider."""
    assert breaks_readers(_first(name), _schema(name)) == []


@pytest.mark.parametrize("name", SENT)
def test_senders_are_not_broken(name: str) -> None:
    """What could be sent first is taken in today: nothing needed that was not, nothing narrower, nothing ignored."""
    assert breaks_senders(_first(name), _schema(name)) == []


def _finding(schema: Any) -> Any:
    return schema["$defs"]["FindingContent"]["properties"]


_FOR_READERS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "gone": (lambda schema: _finding(schema).pop("remedy"), "$.decision.findings.remedy: it is gone"),
    "another type": (
        lambda schema: _finding(schema)["carc"].update(type="integer"),
        "$.decision.findings[].carc: integer instead of string",
    ),
    "may be null": (
        lambda schema: _finding(schema)["carc"].update(anyOf=[{"type": "string"}, {"type": "null"}]),
        "$.decision.findings[].carc: null instead of string",
    ),
    "may be absent": (
        lambda schema: schema["$defs"]["DecisionContent"]["required"].remove("payer"),
        "$.decision.payer: needed on one side, and may be absent on the other",
    ),
    "another word": (
        lambda schema: schema["$defs"]["Severity"]["enum"].append("fatal"),
        "$.decision.findings[].severity: ['fatal'] beside ['error', 'info', 'warning']",
    ),
}
_FOR_SENDERS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "gone": (lambda schema: schema["properties"].pop("status_date"), "$.status_date: it is gone"),
    "needed": (
        lambda schema: schema["required"].append("status_date"),
        "$.status_date: needed on one side, and may be absent on the other",
    ),
    "fewer words": (
        lambda schema: schema["properties"]["status"]["enum"].remove("voided"),
        "$.status: ['voided'] beside ['accepted', 'denied', 'paid', 'rejected', 'replaced']",
    ),
    "shorter": (
        lambda schema: schema["properties"]["patient_control_number"].update(maxLength=20),
        "$.patient_control_number: maxLength 1000 instead of 20",
    ),
}


@pytest.mark.parametrize("case", _FOR_READERS)
def test_what_would_break_readers_is_named(case: str) -> None:
    """Each way in which a change of the decision breaks a consumer is found, and said with its path."""
    change, said = _FOR_READERS[case]
    changed = copy.deepcopy(_first("decision"))
    change(changed)

    assert said in breaks_readers(_first("decision"), changed)


@pytest.mark.parametrize("case", _FOR_SENDERS)
def test_what_would_break_senders_is_named(case: str) -> None:
    """Each way in which a change of the status breaks a sender is found, and said with its path."""
    change, said = _FOR_SENDERS[case]
    changed = copy.deepcopy(_first("status"))
    change(changed)

    assert said in breaks_senders(_first("status"), changed)


def test_what_may_be_added_is_no_break() -> None:
    """A new field of a finding, and a new optional field of a status, break nobody."""
    decision, status = copy.deepcopy(_first("decision")), copy.deepcopy(_first("status"))
    _finding(decision)["weight"] = {"type": "integer"}
    status["properties"]["remark"] = {"type": "string"}

    assert breaks_readers(_first("decision"), decision) == []
    assert breaks_senders(_first("status"), status) == []


def test_a_keyword_that_is_not_compared_is_refused() -> None:
    """A schema that says more than the comparison understands does not pass by silence."""
    with pytest.raises(UnknownKeywordError, match="multipleOf"):
        breaks_senders(_first("status"), {"multipleOf": 3, **_first("status")})
