"""The shapes of what is published, for those who read it: types that `worker.codec` is held to, and their JSON Schemas.

The schemas are open: readers must take in properties, headers and rule ids that they do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from rules.engine.claim import published_schema
from rules.engine.decision import Severity

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
LineNumber = Annotated[int | None, Field(ge=1, description="Service line, from 1; null for the claim as a whole.")]


class CitationContent(TypedDict):
    """A source that a finding rests on."""

    key: Annotated[str, Field(description="Its key in the register of sources.")]
    publisher: str
    title: str
    edition: Annotated[str, Field(description="Which edition was read, in the publisher's words.")]
    url: str


class ChangeContent(TypedDict):
    """Who changed the severity of a finding, and why."""

    severity: Annotated[Severity, Field(description="What it would have been.")]
    by: Annotated[str, Field(description="Payer key, or the name of the contract overlay.")]
    why: str


class FindingContent(TypedDict):
    """One defect of the claim."""

    rule_id: Annotated[str, Field(description="Permanent, for example UNT001; rule-error where a rule failed.")]
    name: Annotated[str, Field(description="The rule's name, which states the defect.")]
    title: str
    severity: Annotated[Severity, Field(description="Only error flags the claim.")]
    category: Annotated[str, Field(description="Failure category, the key of the codes below.")]
    carc: Annotated[str, Field(description="Likely claim adjustment reason code; blank for none.")]
    alternative_carc: Annotated[Sequence[str], Field(description="Others that are seen.")]
    rarc: Annotated[str, Field(description="Likely remittance advice remark code; blank for none.")]
    alternative_rarc: Annotated[Sequence[str], Field(description="Others that are seen.")]
    group: Annotated[str, Field(description="Likely claim adjustment group code.")]
    status: Annotated[str, Field(description="Category, status and entity of STC01 on a 277CA, joined by colons.")]
    line: LineNumber
    field: Annotated[str, Field(description="JSON path of the field in the claim event.")]
    location: Annotated[str, Field(description="Its loop and segment in the 837.")]
    segment: Annotated[
        int | None, Field(ge=1, description="Its segment in the transaction set, ST being 1; null for JSON claims.")
    ]
    message: Annotated[str, Field(description="The fact with its numbers.")]
    remedy: Annotated[str, Field(description="What to do.")]
    citations: list[CitationContent]
    effective_from: Annotated[date | None, Field(description="First date of service that it holds for.")]
    effective_to: Annotated[date | None, Field(description="The day after the last; null for no end.")]
    change: Annotated[ChangeContent | None, Field(description="Null where the severity is the rule's own.")]


class UnevaluatedContent(TypedDict):
    """A rule that could not tell."""

    rule_id: str
    name: str
    line: LineNumber
    reason: str


class SilencedContent(TypedDict):
    """A finding that a payer's profile or a contract overlay put aside."""

    rule_id: str
    name: str
    line: LineNumber
    severity: Annotated[Severity, Field(description="What it would have been.")]
    message: str
    by: Annotated[str, Field(description="Payer key, or the name of the contract overlay.")]
    why: str


class HistoryContent(TypedDict):
    """What of the member's earlier claims was looked at."""

    claims: Annotated[int, Field(ge=0, description="How many.")]
    held_since: Annotated[date | None, Field(description="Since when claims are held; null for none.")]
    not_known: Annotated[str, Field(description="Why none could be looked up; blank if they were.")]


class RuleSetContent(TypedDict):
    """The rules that decided."""

    version: str
    digest: Annotated[Digest, Field(description="Over rules, reference data, payer profiles and contract overlays.")]


class OverrideContent(TypedDict):
    """Who released a flagged claim, and why."""

    user: str
    reason: str
    released_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    flagged_event_id: Annotated[str, Field(description="Event id of the flagged record.")]


class LeftOutContent(TypedDict):
    """How many there were."""

    findings: Annotated[int, Field(ge=0)]
    not_evaluated: Annotated[int, Field(ge=0)]
    silenced: Annotated[int, Field(ge=0)]


class DecisionContent(TypedDict):
    """The answer to one claim: the same claim, history and rule set give the same, byte for byte."""

    claim_id: str
    disposition: Literal["cleared", "flagged"]
    payer: Annotated[str, Field(description="Key of the payer profile that was applied; OTHER for none.")]
    received_date: date | None
    findings: Annotated[list[FindingContent], Field(description="By line, then rule id; claim-wide ones first.")]
    not_evaluated: list[UnevaluatedContent]
    contract: Annotated[str, Field(description="The contract overlay that was applied; blank for none.")]
    silenced: list[SilencedContent]
    history: Annotated[HistoryContent | None, Field(description="Null where the claim was judged for itself.")]
    rule_set: RuleSetContent
    input_digest: Annotated[Digest, Field(description="Of the claim event's bytes.")]
    override: NotRequired[Annotated[OverrideContent, Field(description="Only in decisions of released claims.")]]
    mode: NotRequired[
        Annotated[Literal["monitor"], Field(description="Only in monitor mode: the claim went on whatever was found.")]
    ]
    left_out: NotRequired[
        Annotated[
            LeftOutContent,
            Field(description="Only in monitor mode, of a decision too large to be published: its lists are empty."),
        ]
    ]


class DecidedClaim(TypedDict):
    """A claim with its decision."""

    claim: Annotated[dict[str, Any], Field(description="The claim event, its own bytes: see claim.schema.json.")]
    decision: DecisionContent


def decision_schema() -> dict[str, Any]:
    """The JSON Schema of a value on the cleared and flagged topics."""
    return published_schema(TypeAdapter(DecidedClaim))


# ---- headers

CONNECT_ERRORS: Final = "__connect.errors."
"""What the headers of a dead letter begin with, as in Kafka Connect's dead-letter queue."""
X12_FAULTS: Final = "claimscrub.x12."
"""What those begin with that say where in X12 text the fault is."""
_TRACE: Final = {
    "traceparent": {
        "type": "string",
        "description": "W3C Trace Context, as the input had it, or of the worker's span.",
    },
    "tracestate": {"type": "string", "description": "W3C Trace Context."},
}
_RESUBMITTED: Final = {
    "claimscrub_resubmitted": {
        "type": "string",
        "pattern": r"^\S+ \d+ \d+$",
        "description": "Topic, partition and offset of the dead letter that was sent again.",
    },
    "claimscrub_resubmitted_by": {"type": "string", "description": "Who sent it again."},
}
_INPUT: Final = {
    "type": "string",
    "contentMediaType": "application/json",
    "description": "Where cleared claims go on as they came: partition, key and headers of the input, bytes in base64,"
    " so that a release goes on so too.",
}


def cloud_event_headers_schema(kind: str, content_type: str = "application/json") -> dict[str, Any]:
    """Headers of one kind of output: CloudEvents 1.0 in Kafka's binary mode, and what the sender's carried on.

    Args:
        kind: last word of the event's type: cleared, flagged, deadletter, override.
        content_type: of the value.
    """
    own = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "minLength": 1, "description": "The same for every delivery of one input."},
        "ce_source": {"const": "claimscrub"},
        "ce_type": {"const": f"claimscrub.claim.{kind}.v1"},
        "ce_subject": {"type": "string", "description": "Claim id; absent where it could not be read."},
        "content-type": {"const": content_type},
    }
    mode = {"claimscrub_mode": {"const": "monitor", "description": "Only in monitor mode."}}
    more = mode if kind in {"cleared", "flagged"} else {}
    if kind in {"flagged", "override"}:
        more = more | {"claimscrub_input": _INPUT}
    return {
        "type": "object",
        "description": "The sender's other headers travel on.",
        "properties": own | _TRACE | _RESUBMITTED | more,
        "required": [name for name in own if kind != "deadletter" or name != "ce_subject"],
    }


def bare_headers_schema() -> dict[str, Any]:
    """What stands behind the original headers of a cleared claim that goes on as it came."""
    own = {
        "claimscrub_id": {"type": "string", "minLength": 1, "description": "What is ce_id in an envelope's headers."},
        "claimscrub_type": {"const": "claimscrub.claim.cleared.v1"},
        "claimscrub_subject": {"type": "string", "description": "Claim id."},
        "claimscrub_decision": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "The decision, as in the envelope.",
        },
    }
    return {
        "type": "object",
        "description": "The claim event's own headers, unchanged and in their order, then these.",
        "properties": {**own, "claimscrub_mode": {"const": "monitor", "description": "Only in monitor mode."}},
        "required": list(own),
    }


def deadletter_schema() -> dict[str, Any]:
    """The JSON Schema of a dead letter's headers; its value is the input's own bytes, whatever they are."""
    schema = cloud_event_headers_schema("deadletter", "application/octet-stream")
    numbers = {"partition", "offset", "task.id"}
    why = {
        "topic": "Topic of the input.",
        "partition": "Its partition.",
        "offset": "Its offset.",
        "connector.name": "Consumer group of the workers.",
        "task.id": "Always 0.",
        "stage": "Always VALUE_CONVERTER.",
        "class.name": "What could not read it.",
        "exception.class.name": "Kind of the fault.",
        "exception.message": "JSON path, what is wrong, what is expected; never a value of the claim.",
    }
    where = {
        "interchange": "Control number of the interchange, ISA13.",
        "group": "Control number of the group, GS06.",
        "transaction": "Control number of the transaction set, ST02.",
        "segment": "Number of the segment in the transaction set, ST being 1.",
        "segment_id": "Its identifier.",
        "reason": "What is wrong, and what is expected.",
    }
    text = {"type": "string"}
    headers = {
        CONNECT_ERRORS + name: {**text, **({"pattern": r"^\d+$"} if name in numbers else {}), "description": said}
        for name, said in why.items()
    }
    places = {X12_FAULTS + name: {**text, "description": said} for name, said in where.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Headers of a dead letter",
        **schema,
        "description": "The value is the input's own bytes. Where the X12 headers are, it was X12 text.",
        "properties": {**schema["properties"], **headers, **places},
        "required": [*schema["required"], *headers],
    }
