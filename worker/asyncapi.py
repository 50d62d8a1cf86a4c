"""The contract of the topics, as programs read it: AsyncAPI 3.0 with Kafka bindings, JSON Schemas, and an example of
each message that the worker itself has made. `make schema` writes it all into docs/contract.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic_core import to_json

from rules import Disposition, RuleSet, __version__, claim_schema
from rules.engine.examples import RECEIVED_DATE, a_line, as_json, claim_content
from worker.codec import JSON_TYPE, Arrival, Headers, claim_headers, cloud_event_headers
from worker.deadletter import error_headers
from worker.kafka import topic_config
from worker.overrides import Override, override_event, override_headers, override_schema, read_override
from worker.pipeline import handle
from worker.settings import Settings
from worker.status import status_schema
from worker.wire import bare_headers_schema, cloud_event_headers_schema, deadletter_schema, decision_schema

SCHEMAS: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "claim": claim_schema,
    "decision": decision_schema,
    "deadletter": deadletter_schema,
    "status": status_schema,
    "override": override_schema,
}
"""What there are JSON Schemas of."""
_JSON: Final = JSON_TYPE.decode()
_TRACEPARENT: Final = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
_KEY: Final = "kYy0c1Ue5zq3mFQp"
_X12_TEXT: Final = (
    "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260810*0930*^*00501*000000117*0*T*:~"
    "GS*HC*SENDER*RECEIVER*20260810*0930*1*X*005010X222A1~…"
)


class Example(NamedTuple):
    """A message as it stands on a topic.

    Attributes:
        value: JSON, or text.
    """

    key: str
    headers: Headers
    value: Any

    def content(self) -> dict[str, Any]:
        """As it is written down."""
        headers = {name: value.decode() for name, value in self.headers}
        return {"key": self.key, "headers": headers, "value": self.value}


def files() -> dict[str, str]:
    """Path below docs/contract → content, of everything that is generated there."""
    examples = _examples()
    written = {f"{kind}.schema.json": pretty(schema()) for kind, schema in SCHEMAS.items()}
    written |= {f"examples/{name}.json": pretty(example.content()) for name, example in examples.items()}
    written["asyncapi.yaml"] = asyncapi_text(examples)
    return written


def write(folder: Path) -> None:
    """Write all of it into a folder, and remove what is no longer made."""
    made = files()
    for name, content in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    for path in (folder / "examples").glob("*.json"):
        if f"examples/{path.name}" not in made:
            path.unlink()


def pretty(content: Mapping[str, Any]) -> str:
    """JSON to be read."""
    return to_json(content, indent=2).decode() + "\n"


def asyncapi_text(examples: Mapping[str, Example] | None = None) -> str:
    """The AsyncAPI document, in YAML."""
    document = _document(_examples() if examples is None else examples)
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return f"# Written by `make schema`.\n{text}"


# ---- examples, made by the code that makes the real ones


def _examples() -> dict[str, Example]:
    ruleset = RuleSet.load()
    settings = Settings.model_construct()
    received = datetime.combine(datetime.fromisoformat(RECEIVED_DATE), datetime.min.time(), UTC)
    arrival = Arrival(settings.submitted_topic, 3, 17, int(received.timestamp() * 1000))
    claims = {
        "cleared": as_json(claim_content(claim_id="CLM-2026-000116")).encode(),
        "flagged": as_json(claim_content(claim_id="CLM-2026-000117", lines=[a_line(units="2")])).encode(),
        "deadletter": as_json(claim_content(claim_id="CLM-2026-000118", lines=[a_line(units="two")])).encode(),
    }
    made = {"claim": Example(_KEY, [("content-type", JSON_TYPE), _TRACEPARENT], json.loads(claims["flagged"]))}
    values: dict[str, bytes] = {}
    for name, raw in claims.items():
        outcome = handle(raw, ruleset, arrival.timestamp)
        headers = cloud_event_headers(outcome.disposition, outcome.claim_id, arrival.event_id, [_TRACEPARENT])
        if outcome.error is not None:
            headers += error_headers(outcome.error, arrival.topic, arrival.partition, arrival.offset, settings.group_id)
        values[name] = outcome.value or b""
        made[name] = Example(_KEY, headers, _without_digest(values[name]))
    decision = to_json(made["cleared"].value["decision"])
    bare = [
        ("content-type", JSON_TYPE),
        _TRACEPARENT,
        *claim_headers("CLM-2026-000116", arrival.event_id, decision),
    ]
    made["cleared_bare"] = Example("of the sender", bare, json.loads(claims["cleared"]))
    made |= _release(values["flagged"], made["flagged"].headers, arrival)
    status = {
        "payer": {"key": "MEDICARE_FFS"},
        "member_number": claim_content()["subscriber"]["member_number"],
        "status": "accepted",
        "status_date": "2026-08-12",
        "claim_id": "CLM-2026-000116",
    }
    made["status"] = Example(_KEY, [("content-type", JSON_TYPE)], status)
    made["x12"] = Example("of the sender", [], _X12_TEXT)
    return made


def _release(flagged: bytes, headers: Headers, arrival: Arrival) -> dict[str, Example]:
    """A release, and what the worker makes of it."""
    released_at = datetime(2026, 8, 10, 14, 5, tzinfo=UTC)
    reason = "The payer has confirmed by phone that two devices are covered."
    override = Override("erin.example", reason, released_at, arrival.event_id)
    event = override_event(flagged, override)
    asked = [
        (name, b"claims.submitted-3-17-6f1c" if name == "ce_id" else value)
        for name, value in override_headers(override, "CLM-2026-000117", headers)
    ]
    said, read = read_override(event)
    answered = cloud_event_headers(Disposition.CLEARED, read.claim_id, "claims.overrides-3-0", [_TRACEPARENT])
    return {
        "override": Example(_KEY, asked, _without_digest(event)),
        "released": Example(_KEY, answered, _without_digest(read.released(said))),
    }


def _without_digest(raw: bytes) -> Any:
    """A value with a digest that stays when a rule changes."""
    content = json.loads(raw)
    for holder in (content, content.get("flagged", {})):
        if "decision" in holder:
            holder["decision"]["rule_set"] = {"version": __version__, "digest": "sha256:" + "0" * 64}
    return content


# ---- AsyncAPI


class _Channel(NamedTuple):
    """A topic.

    Attributes:
        messages: names of the messages.
        key: what its records are keyed by.
        action: what the worker does there, `receive` or `send`; blank for a topic between workers.
    """

    topic: str
    messages: tuple[str, ...]
    key: str
    action: str
    summary: str


_MEMBER: Final = "The member's key, or any: what comes under another one goes to its member's partition first."
_MEMBERS: Final = (
    "The member's key; a member's claims keep their order. Of a claim without a member number, as it came."
)


def _channels(settings: Settings) -> dict[str, _Channel]:
    return {
        "submitted": _Channel(settings.submitted_topic, ("claim",), _MEMBER, "receive", "Claim events to be decided."),
        "x12": _Channel(settings.x12_topic, ("x12",), "Any.", "receive", "X12 837 text, split into claim events."),
        "status": _Channel(settings.status_topic, ("status",), _MEMBER, "receive", "What payers answered."),
        "overrides": _Channel(
            settings.overrides_topic,
            ("override",),
            "That of the flagged record.",
            "receive",
            "Releases of flagged claims.",
        ),
        "cleared": _Channel(
            settings.cleared_topic,
            ("cleared", "released", "cleared_bare"),
            f"{_MEMBERS} With CLAIMSCRUB_CLEARED_FORMAT=claim, the input's own key.",
            "send",
            "Claims without an error, and released ones.",
        ),
        "flagged": _Channel(settings.flagged_topic, ("flagged",), _MEMBERS, "send", "Claims with an error."),
        "deadletter": _Channel(
            settings.deadletter_topic, ("deadletter",), "As it came.", "send", "What could not be read, as it came."
        ),
        "repartition": _Channel(
            settings.repartition_topic,
            (),
            "The member's key.",
            "",
            "Between workers: events on their way to their member's partition.",
        ),
        "history": _Channel(
            settings.history_topic, (), "The member's key.", "", "Between workers: the members' history."
        ),
    }


def _document(examples: Mapping[str, Example]) -> dict[str, Any]:
    settings = Settings.model_construct()
    channels = _channels(settings)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "claimscrub",
            "version": __version__,
            "description": "Real-time claims scrubber for CPT 63685. Operations are the worker's: it receives what you"
            " send, and sends what you receive.\n\nTopics have the names of the default settings. Readers of what it"
            " sends set isolation.level=read_committed, and take in properties and headers that they do not know.",
        },
        "defaultContentType": _JSON,
        "servers": {
            "kafka": {
                "host": settings.bootstrap_servers,
                "protocol": "kafka",
                "description": "Your brokers; CLAIMSCRUB_BOOTSTRAP_SERVERS, CLAIMSCRUB_SECURITY_PROTOCOL.",
            }
        },
        "channels": {name: _channel(settings, each) for name, each in channels.items()},
        "operations": {
            f"{each.action}_{name}": _operation(settings, name, each) for name, each in channels.items() if each.action
        },
        "components": {"messages": {name: _message(name, example) for name, example in examples.items()}},
    }


def _channel(settings: Settings, channel: _Channel) -> dict[str, Any]:
    config: dict[str, Any] = {
        name: [value] if name == "cleanup.policy" else int(value)
        for name, value in topic_config(settings, channel.topic).items()
        if name in {"cleanup.policy", "max.message.bytes", "retention.ms", "retention.bytes"}
    }
    return {
        "address": channel.topic,
        "summary": channel.summary,
        "description": f"Key: {channel.key}",
        **({} if channel.action else {"tags": [{"name": "internal"}]}),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in channel.messages},
        "bindings": {
            "kafka": {
                **({} if channel.topic == settings.x12_topic else {"partitions": settings.partitions}),
                "topicConfiguration": config,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation(settings: Settings, name: str, channel: _Channel) -> dict[str, Any]:
    group = settings.x12_group_id if name == "x12" else settings.group_id
    binding = {"groupId": {"type": "string", "const": group}} if channel.action == "receive" else {}
    return {
        "action": channel.action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": channel.summary,
        **({"bindings": {"kafka": {**binding, "bindingVersion": "0.5.0"}}} if binding else {}),
    }


_ANY_HEADERS: Final = {
    "type": "object",
    "description": "Any; they travel on to what is made of the message, but for content-type and ce_*.",
    "properties": {"traceparent": {"type": "string", "description": "W3C Trace Context."}},
}
_MESSAGES: Final[Mapping[str, tuple[str, str, Any, dict[str, Any]]]] = {
    "claim": ("Claim event", _JSON, "claim", _ANY_HEADERS),
    "x12": ("X12 837 text", "application/edi-x12", {"type": "string"}, _ANY_HEADERS),
    "status": ("Claim status event", _JSON, "status", _ANY_HEADERS),
    "override": ("Override event", _JSON, "override", cloud_event_headers_schema("override")),
    "cleared": ("Cleared claim", _JSON, "decision", cloud_event_headers_schema("cleared")),
    "released": ("Released claim", _JSON, "decision", cloud_event_headers_schema("cleared")),
    "cleared_bare": ("Cleared claim, as it came", _JSON, "claim", bare_headers_schema()),
    "flagged": ("Flagged claim", _JSON, "decision", cloud_event_headers_schema("flagged")),
    "deadletter": ("Dead letter", "application/octet-stream", {}, {"$ref": "./deadletter.schema.json"}),
}
"""Title, content type, schema of the value (the name of a published one, or itself), and of the headers."""


def _message(name: str, example: Example) -> dict[str, Any]:
    title, content_type, payload, headers = _MESSAGES[name]
    if isinstance(payload, str):
        payload = {"$ref": f"./{payload}.schema.json"}
    content = example.content()
    return {
        "name": name,
        "title": title,
        "contentType": content_type,
        "headers": headers,
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "examples": [example.key]}, "bindingVersion": "0.5.0"}},
        "examples": [{"name": name, "headers": content["headers"], "payload": content["value"]}],
    }
