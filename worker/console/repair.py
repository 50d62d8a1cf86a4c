"""What the console publishes: dead letters that are sent again, and releases of flagged claims.

What a dead letter or a claim holds is read here, on the server, and leaves only for Kafka.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from rules import Claim, ClaimError
from worker.codec import RESUBMITTED, RESUBMITTED_BY, Headers, event_id_of, is_carried_on, published
from worker.console.records import read_record
from worker.console.views import Place
from worker.inputs import Item, only_claim
from worker.members import Members
from worker.overrides import Override, override_event, override_headers
from worker.settings import PREFIX, Settings
from worker.submit import publish_one
from worker.wire import CONNECT_ERRORS, X12_FAULTS

_STEP: Final = re.compile(r"(?:^|\.)([A-Za-z_]\w*)|\[(\d{1,4})\]")
_PATH: Final = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d{1,4}\])*): ")
_FIELDS: Final = frozenset(Claim.__annotations__)
_OF_DEAD_LETTERS: Final = (CONNECT_ERRORS, X12_FAULTS, "claimscrub_")
_ORIGIN: Final = f"{CONNECT_ERRORS}topic"
_LONGEST_NAME: Final = 100


class _Placed(Protocol):
    @property
    def topic(self) -> str: ...


# ---- dead letters


def suggestion(reason: str) -> str | None:
    """The field of a claim event that a dead letter's reason names, as a JSON path; None where it names none."""
    match = _PATH.match(reason)
    return match[1] if match is not None and _steps(match[1])[0] in _FIELDS else None


def advice(origin: _Placed | None, settings: Settings) -> str:
    """What to do about a dead letter that can't be sent again as a claim; blank where it can.

    Args:
        origin: where the input stood.
        settings: for the names of topics.
    """
    topic = origin.topic if origin is not None else ""
    if topic == settings.status_topic:
        return (
            "This is a payer's answer, not a claim. Mend it where it comes from, and send it to"
            f" {topic} again: claimscrub status import FILE."
        )
    if topic == settings.overrides_topic:
        return "This is a release that was refused, not a claim. Release the claim anew on its own page."
    return ""


def with_field(raw: bytes, path: str, value_json: str) -> bytes:
    """An event with another value in one field; everything else stays.

    Args:
        raw: one JSON object.
        path: of the field, as `suggestion` gives it; it may be missing, what it is part of may not.
        value_json: the value, as JSON.

    Raises:
        ClaimError: the event is no JSON object, has no such place, or the value is no JSON; no value is in the message.
    """
    content = _parsed(raw, "$", "an event that is one JSON object; put another event in its place")
    if not isinstance(content, dict):
        raise ClaimError("$", "not a JSON object", "one; put another event in its place")
    value = _parsed(value_json, path, 'a JSON value, such as 2, "0131", true or null')
    if not _steps(path):
        raise _nowhere(path)
    *above, last = _steps(path)
    part: Any = content
    for step in above:
        part = _below(part, step, path)
    is_there = isinstance(part, dict) if isinstance(last, str) else isinstance(part, list) and last < len(part)
    if not is_there:
        raise _nowhere(path)
    part[last] = value
    return json.dumps(content, allow_nan=False).encode()


def _steps(path: str) -> list[str | int]:
    return [name or int(number) for name, number in _STEP.findall(path)]


def _below(part: Any, step: str | int, path: str) -> Any:
    try:
        return part[step]
    except (KeyError, IndexError, TypeError):
        raise _nowhere(path) from None


def _nowhere(path: str) -> ClaimError:
    return ClaimError(
        path, "no such place in the event", "a field whose parent is there; put another event in its place"
    )


def _parsed(text: bytes | str, path: str, expected: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise ClaimError(path, "not JSON", expected) from None


def _refuse(_: str) -> Any:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    return number if abs(number) < float("inf") else _refuse(text)


def checked(raw: bytes, settings: Settings) -> str:
    """The id of the claim that a text is now.

    Args:
        raw: a claim event in JSON, or an 837 with one claim.
        settings: for the largest size of an event.

    Raises:
        ClaimError: it is none, or is too large.
    """
    return _claim_of(raw, settings).read().claim_id


def _claim_of(raw: bytes, settings: Settings) -> Item:
    item = only_claim(raw)
    if len(item.raw) > settings.max_claim_bytes:
        expected = f"at most {settings.max_claim_bytes} bytes ({PREFIX}MAX_CLAIM_BYTES)"
        raise ClaimError("$", f"{len(item.raw)} bytes", expected)
    return item


def resubmit(settings: Settings, members: Members, place: Place, raw: bytes, user: str) -> str:
    """Send a dead letter again, as it was or repaired; its sender's headers travel on, and say which it was.

    Args:
        settings: the brokers and topics.
        members: makes the keys.
        place: of the dead letter.
        raw: a claim event in JSON, or an 837 with one claim.
        user: who sends it again.

    Returns:
        The claim's id.

    Raises:
        ClaimError: it is no claim, or can't be sent again as one; the message names the field and what mends it.
        KafkaProblemError: the brokers do not answer or refuse.
    """
    user = _named(user)
    if place.topic != settings.deadletter_topic:
        raise ClaimError("place", f"of topic {place.topic}", f"a record of {settings.deadletter_topic}")
    item = _claim_of(raw, settings)
    claim = item.read()
    headers = read_record(settings, place).headers
    topic = next((value.decode(errors="replace") for name, value in headers if name == _ORIGIN), "")
    hint = advice(Place(topic, 0, 0), settings)
    if hint:
        raise ClaimError("$", "it was no claim", f"a dead letter of claims. {hint}")
    sent = [
        *_of_the_sender(headers),
        (RESUBMITTED, " ".join(map(str, place)).encode()),
        (RESUBMITTED_BY, user.encode()),
    ]
    publish_one(settings, settings.submitted_topic, members.event_key(claim), item.raw, sent)
    return claim.claim_id


def _of_the_sender(headers: Iterable[tuple[str, bytes]]) -> Headers:
    return [(name, value) for name, value in headers if is_carried_on(name) and not name.startswith(_OF_DEAD_LETTERS)]


def _named(user: str) -> str:
    user = user.strip()
    if not 0 < len(user) <= _LONGEST_NAME or not user.isprintable():
        raise ClaimError(
            "user", "blank, too long or not printable", f"your name, in at most {_LONGEST_NAME} characters"
        )
    return user


# ---- releases


def release(settings: Settings, place: Place, user: str, reason: str) -> str:
    """Publish that somebody releases a flagged claim; a worker then clears it.

    Args:
        settings: the brokers and topics.
        place: of the flagged record.
        user: who releases it.
        reason: why.

    Returns:
        The claim's id.

    Raises:
        ClaimError: something is missing, or names the member; the message says what.
        KafkaProblemError: the record is gone, or the brokers do not answer or refuse.
    """
    user, reason = _named(user), reason.strip()
    if place.topic != settings.flagged_topic:
        raise ClaimError("place", f"of topic {place.topic}", f"a record of {settings.flagged_topic}")
    record = read_record(settings, place)
    flagged = record.value or b""
    override = Override(user, reason, datetime.now(UTC), event_id_of(dict(record.headers)))
    event = override_event(flagged, override)
    claim = Claim.from_json(published(flagged, record.headers).claim)
    _check_names_nobody(f"{reason} {user}", claim)
    headers = override_headers(override, claim.claim_id, record.headers)
    publish_one(settings, settings.overrides_topic, record.key, event, headers)
    return claim.claim_id


def _check_names_nobody(text: str, claim: Claim) -> None:
    """Keep out of what is kept for good who the claim is about, as far as it is easily told.

    Raises:
        ClaimError: a member number, a birth date, or a first name with its last name is in it.
    """
    found = text.casefold()
    words = set(re.findall(r"\w+", found))
    number = claim.subscriber.member_number.casefold()
    said = "the member's number" if number and number in found else ""
    for person in filter(None, (claim.subscriber, claim.patient)):
        names = [set(re.findall(r"\w+", name.casefold())) for name in (person.first_name, person.last_name)]
        if all(each and each <= words for each in names):
            said = "a person's name"
        born = person.birth_date
        if born is not None and any(each in found for each in (f"{born}", f"{born:%m/%d/%Y}", f"{born:%Y%m%d}")):
            said = "a birth date"
    if said:
        raise ClaimError("reason", f"it holds {said}", "a reason without it: it is kept for good and read by many")
