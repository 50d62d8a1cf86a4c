"""What all writers share: envelopes of decisions in, X12 interchanges and files out.

Writers are pure: the time of writing and the control numbers are given to them. They hold a batch of claims in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

from pydantic import TypeAdapter, ValidationError

from rules import ClaimError, Disposition
from rules.engine.claim import X12Part, X12Source
from worker.x12.errors import safe_control_number

LARGEST_SET = 5_000
"""Claims in one transaction set: what the implementation guide of the 837 recommends as the most."""
LAST_CONTROL_NUMBER = 999_999_999
_ISA_ID_LENGTH = 15
_NM1_ELEMENTS = 10
_TO_NOBODY = "missing: the claim did not come as X12"
_ClaimType = Literal["professional", "institutional"]
_SOURCE: TypeAdapter[X12Source] = TypeAdapter(X12Source)


class OutgoingFile(NamedTuple):
    """A file to be sent: one or more interchanges.

    Attributes:
        name: letters, digits, `.`, `_` and `-` only.
        claims: claims in it.
    """

    name: str
    content: bytes
    claims: int


class Written(NamedTuple):
    """What a writer made of a batch.

    Attributes:
        errors: what could not be written; each names the claim where it is known.
        flagged_left_out: flagged claims that were left out, as only cleared ones go out again.
        repeated: claims that stood in the batch before with the same answer; they are written once.
        next_control_number: the first control number for the next batch.
    """

    files: tuple[OutgoingFile, ...]
    errors: tuple[ClaimError, ...]
    flagged_left_out: int
    repeated: int
    next_control_number: int


class Answered(NamedTuple):
    """A claim with its decision, as they stand in JSON, and where it came from."""

    claim_id: str
    claim_type: _ClaimType
    claim: Mapping[str, Any]
    decision: Mapping[str, Any]
    source: X12Source

    @property
    def is_cleared(self) -> bool:
        """The claim goes on: nothing flagged it, or it was not held back."""
        return bool(self.decision["disposition"] == Disposition.CLEARED or self.decision.get("mode") == "monitor")


class Batch(NamedTuple):
    """The claims of a batch that can be answered, each once, and what is wrong with the others."""

    answered: list[Answered]
    errors: list[ClaimError]
    repeated: int


class ControlNumbers:
    """Control numbers of interchanges, one after the other; after 999999999 comes 1."""

    def __init__(self, first: int) -> None:
        if not 1 <= first <= LAST_CONTROL_NUMBER:
            raise ValueError(f"control number {first}: expected 1 to {LAST_CONTROL_NUMBER}")
        self.following = first

    def take(self) -> int:
        number = self.following
        self.following = number % LAST_CONTROL_NUMBER + 1
        return number


class Route(NamedTuple):
    """From whom to whom an interchange goes, and how it is written."""

    separators: str
    usage: str
    sender_qualifier: str
    sender_id: str
    receiver_qualifier: str
    receiver_id: str
    group_sender: str
    group_receiver: str

    @classmethod
    def of(
        cls,
        separators: Sequence[str],
        usage: str,
        sender: tuple[str, str],
        receiver: tuple[str, str],
        group: tuple[str, str],
    ) -> Self:
        """The way on which something came.

        Without a repetition separator it gets one, as ISA11 must hold one; nothing we write repeats an element.

        Args:
            separators: element, component, repetition and terminator.
            usage: ISA15; production if it is neither P nor T.
            sender: qualifier and id; ZZ if the qualifier is blank.
            receiver: likewise.
            group: GS02 and GS03; the ids of the interchange if blank.
        """
        element, component, repetition, terminator = tuple(separators)
        if repetition == " " or repetition.isalnum():
            repetition = next(each for each in "^!|`" if each not in separators)
        ids = [each[1].strip()[:_ISA_ID_LENGTH] for each in (sender, receiver)]
        qualifiers = [each[0].strip() or "ZZ" for each in (sender, receiver)]
        return cls(
            element + component + repetition + terminator,
            usage if usage in ("P", "T") else "P",
            *(qualifiers[0], ids[0], qualifiers[1], ids[1]),
            *(group[0] or ids[0], group[1] or ids[1]),
        )

    @property
    def element(self) -> str:
        return self.separators[0]

    @property
    def component(self) -> str:
        return self.separators[1]

    @property
    def terminator(self) -> str:
        return self.separators[3]

    def back(self) -> Route:
        """The way of an answer."""
        return self._replace(
            sender_qualifier=self.receiver_qualifier,
            sender_id=self.receiver_id,
            receiver_qualifier=self.sender_qualifier,
            receiver_id=self.sender_id,
            group_sender=self.group_receiver,
            group_receiver=self.group_sender,
        )

    def segment(self, *elements: str) -> str:
        """A segment without the empty elements at its end."""
        return self.element.join(elements).rstrip(self.element)

    def composite(self, *components: str) -> str:
        """A composite without the empty components at its end."""
        return self.component.join(components).rstrip(self.component)

    def words(self, text: str) -> str:
        """Our own words, without what has a meaning in this interchange and without what is not ASCII."""
        printable = re.sub(r"[^ -~]", " ", text)
        return " ".join(printable.translate({ord(each): " " for each in self.separators}).split())


def read_envelopes(envelopes: Iterable[Mapping[str, Any]]) -> Batch:
    """The claims of a batch of envelopes that came as X12."""
    seen = set()
    batch = Batch([], [], 0)
    repeated = 0
    for envelope in envelopes:
        try:
            answered = _answered(envelope)
        except ClaimError as error:
            batch.errors.append(error)
            continue
        findings = [
            (each.get("rule_id"), each.get("status"), each.get("line")) for each in errors_of(answered.decision)
        ]
        source = tuple(each["segments"] if isinstance(each, dict) else each for each in answered.source.values())
        answer = (answered.claim_id, source, answered.is_cleared, str(findings))
        if answer in seen:
            repeated += 1
        else:
            seen.add(answer)
            batch.answered.append(answered)
    return batch._replace(repeated=repeated)


def route_of(source: X12Source) -> Route:
    """The way on which a claim came; for a lone transaction set by the ids of its submitter and receiver."""
    sender_id = source["sender_id"].strip() or named(source, source["header"], "41")[9]
    receiver_id = source["receiver_id"].strip() or named(source, source["header"], "40")[9]
    return Route.of(
        source["separators"],
        source["usage"],
        (source["sender_qualifier"], sender_id),
        (source["receiver_qualifier"], receiver_id),
        (source["group_sender"].strip(), source["group_receiver"].strip()),
    )


def segments_of(source: X12Source, part: X12Part) -> Iterator[list[str]]:
    """The segments of a part, each as its elements; element 0 is the segment's id."""
    for text in part["segments"].split(source["separators"][3]):
        if text:  # a part may be empty
            yield text.split(source["separators"][0])


def named(source: X12Source, part: X12Part, entity: str) -> list[str]:
    """The elements of the first NM1 of an entity, as many as there may be; all blank if the part has none."""
    for elements in segments_of(source, part):
        if elements[0] == "NM1" and elements[1:2] == [entity]:
            return (elements + [""] * _NM1_ELEMENTS)[:_NM1_ELEMENTS]
    return ["NM1", entity, *[""] * (_NM1_ELEMENTS - 2)]


def interchange(
    route: Route, functional_id: str, version: str, sets: Sequence[Sequence[str]], *, at: datetime, control_number: int
) -> str:
    """An interchange of one functional group.

    Args:
        route: from whom to whom.
        functional_id: GS01, for example HN.
        version: GS08 and ST03.
        sets: what stands between ST and SE of each transaction set, the ST01 of each first: `["277", "BHT…", …]`.
        at: the time of writing.
        control_number: ISA13 and GS06.
    """
    segment = route.segment
    number = str(control_number)
    addresses = [
        *(route.sender_qualifier.ljust(2)[:2], route.sender_id.ljust(_ISA_ID_LENGTH)[:_ISA_ID_LENGTH]),
        *(route.receiver_qualifier.ljust(2)[:2], route.receiver_id.ljust(_ISA_ID_LENGTH)[:_ISA_ID_LENGTH]),
    ]
    times = [f"{at:%y%m%d}", f"{at:%H%M}", route.separators[2], "00501", f"{control_number:09d}", "0", route.usage]
    security = ["00", " " * 10, "00", " " * 10]
    texts = [segment("ISA", *security, *addresses, *times) + route.element + route.component]
    group = [route.group_sender, route.group_receiver, f"{at:%Y%m%d}", f"{at:%H%M}", number, "X", version]
    texts.append(segment("GS", functional_id, *group))
    for position, (transaction, *content) in enumerate(sets, 1):
        texts.append(segment("ST", transaction, f"{position:04d}", version))
        texts += content
        texts.append(segment("SE", str(len(content) + 2), f"{position:04d}"))
    texts.append(segment("GE", str(len(sets)), number))
    texts.append(segment("IEA", "1", f"{control_number:09d}"))
    return "".join(text + route.terminator for text in texts)


def errors_of(decision: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings that flag the claim."""
    findings = decision.get("findings")
    some = findings if isinstance(findings, list) else []
    return [each for each in some if isinstance(each, Mapping) and each.get("severity") == "error"]


def file_name(kind: str, submitter: str, control_number: int, suffix: str) -> str:
    """A file's name of the submitter's id and the first control number in it."""
    safe = safe_control_number(submitter).strip(".") or "unknown"
    return f"{kind}_{safe}_{control_number:09d}.{suffix}"


def _answered(envelope: Any) -> Answered:
    claim, decision = (_object(envelope, name) for name in ("claim", "decision"))
    claim_id = claim.get("claim_id")
    if not isinstance(claim_id, str):
        raise ClaimError("claim.claim_id", "missing", "the id of the claim event")
    if claim.get("x12") is None:
        raise ClaimError("claim.x12", _TO_NOBODY, "a claim read from an 837", claim_id)
    if decision.get("disposition") not in [each.value for each in Disposition]:
        raise ClaimError("decision.disposition", "value not known", "cleared or flagged", claim_id)
    claim_type = claim.get("claim_type")
    if claim_type not in ("professional", "institutional"):
        raise ClaimError("claim.claim_type", "value not known", "professional or institutional", claim_id)
    try:
        source = _SOURCE.validate_python(claim["x12"])
        for part in (
            source["header"],
            source["billing_provider"],
            source["subscriber"],
            source["patient"],
            source["claim"],
        ):
            if part is not None:
                part["segments"].encode(source["encoding"])
    except (ValidationError, UnicodeEncodeError):
        raise ClaimError("claim.x12", "damaged", "x12 as it was read from an 837", claim_id) from None
    return Answered(claim_id, claim_type, claim, decision, source)


def _object(envelope: Any, name: str) -> Mapping[str, Any]:
    content = envelope.get(name) if isinstance(envelope, Mapping) else None
    if not isinstance(content, Mapping):
        raise ClaimError(name, "not an object", 'an envelope {"claim": {…}, "decision": {…}}')
    return content
