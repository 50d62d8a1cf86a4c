"""What the pages show: the shapes of the projection's answers. Nothing in them says who a member is.

Times are in UTC; amounts are in cents. Of a claim its latest decision counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

State = Literal["open", "released", "sent again", "monitored"]
"""Of a flagged claim: it waits; somebody released it; another event of the same claim id was decided since; in monitor
mode it has gone on."""


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Filter:
    """Which flagged claims; what is blank or None does not narrow.

    Attributes:
        text: part of a claim id, NPI, code, rule id or rule name.
        provider: NPI of the billing or of a rendering provider.
        flagged_from, flagged_to: days on which it was decided, both inclusive.
        least_amount, most_amount: of the claim's charge.
        state: None for all.
    """

    text: str = ""
    payer: str = ""
    rule_id: str = ""
    category: str = ""
    severity: str = ""
    provider: str = ""
    submitter: str = ""
    code: str = ""
    flagged_from: date | None = None
    flagged_to: date | None = None
    least_amount: int | None = None
    most_amount: int | None = None
    state: State | None = "open"


class FlaggedRow(NamedTuple):
    """A flagged claim in a table.

    Attributes:
        number: of the row; grows with time, so that `before` pages through.
        event_id: the decision's `ce_id`; the claim's page has it in its address.
        at: when it was decided.
        amount: charge of the claim.
        codes: procedure codes of its lines.
        rule_ids: of its findings that are errors; others where it has none.
        message: of the first of them.
        findings: how many it has in all.
    """

    number: int
    event_id: str
    claim_id: str
    at: datetime
    payer: str
    submitter: str
    billing_npi: str
    claim_type: str
    amount: int
    codes: tuple[str, ...]
    rule_ids: tuple[str, ...]
    message: str
    findings: int
    state: State


@dataclass(frozen=True)
class ClaimView:
    """A flagged claim's page.

    Attributes:
        decision: as it was published.
        place: of the flagged record, from which the claim itself can be read.
        service_from, service_to: days of service.
        headers: those of the record that say where it came from (CloudEvents, trace context).
        later: event id, time and disposition of later decisions about the same claim id, oldest first.
    """

    row: FlaggedRow
    decision: dict[str, Any]
    place: Place
    rendering_npis: tuple[str, ...]
    service_from: date | None
    service_to: date | None
    headers: dict[str, str]
    later: tuple[tuple[str, datetime, str], ...] = ()


class Point(NamedTuple):
    """One step of a chart.

    Attributes:
        at: its beginning.
        cleared_amount, flagged_amount: charges.
        monitored, monitored_amount: of the cleared ones those that would have been flagged.
    """

    at: datetime
    cleared: int
    flagged: int
    deadletters: int
    cleared_amount: int
    flagged_amount: int
    monitored: int = 0
    monitored_amount: int = 0


class Share(NamedTuple):
    """One payer, submitter or rule beside the others.

    Attributes:
        claims: that were decided; for a rule those that it found something in.
        flagged: of these, also where monitor mode has let them pass.
        amount: charges of those flagged.
    """

    key: str
    claims: int
    flagged: int
    amount: int


@dataclass(frozen=True)
class NowView:
    """What happens now.

    Attributes:
        claims_per_second: over the last minute.
        flag_rate: share of decided claims that were flagged, in the window; None where none were decided.
        clean_amount_rate: share of charges that were cleared, in the window; None where there were none.
        waiting, waiting_amount: flagged claims that are open, whenever they were flagged, and their charges.
        monitored, monitored_amount: of the cleared ones in the window those that would have been flagged.
        latest: when the newest output was decided.
        points: of the window, oldest first, without gaps.
    """

    claims_per_second: float
    claims: int
    flag_rate: float | None
    clean_amount_rate: float | None
    deadletters: int
    waiting: int
    waiting_amount: int
    monitored: int
    monitored_amount: int
    latest: datetime | None
    points: tuple[Point, ...]
    by_payer: tuple[Share, ...]
    by_submitter: tuple[Share, ...]
    by_rule: tuple[Share, ...]


@dataclass(frozen=True)
class Backlog:
    """What the workers have not decided yet, asked of the brokers.

    Attributes:
        lag: records of the workers' input topics after their committed offsets.
        oldest: when the oldest of them came; None where there are none.
        partitions: (topic, partition) → lag, where it is not 0.
        problem: why it is not known; blank where it is.
    """

    lag: int
    oldest: datetime | None
    partitions: dict[tuple[str, int], int] = field(default_factory=dict)
    problem: str = ""


class Cluster(NamedTuple):
    """Flagged claims of one cause.

    Attributes:
        rule_id, provider, payer, code: what they have in common; the provider is the billing one.
        claims, amount: open ones, and their charges.
        claims_ever: with those that are not open any more, in the window.
        trend: flagged claims a step, oldest first.
        started: when the rate jumped, if it did within the trend.
    """

    rule_id: str
    name: str
    provider: str
    payer: str
    code: str
    claims: int
    amount: int
    claims_ever: int
    first_seen: datetime
    last_seen: datetime
    trend: tuple[int, ...]
    started: datetime | None
    message: str


class Alarm(NamedTuple):
    """A rule or a submitter whose share of flagged claims has jumped above its own baseline.

    Attributes:
        kind: what `key` is: a rule id, a submitter id, a payer key.
        since: when it jumped.
        rate, baseline: flagged claims of 100 decided ones, since then and before.
        claims, amount: flagged since then.
        over: when it fell back; None while it lasts.
    """

    kind: Literal["rule", "submitter", "payer"]
    key: str
    since: datetime
    rate: float
    baseline: float
    claims: int
    amount: int
    over: datetime | None


class RuleHits(NamedTuple):
    """How often a rule spoke.

    Attributes:
        flagged: claims that it flagged: findings that are errors.
        noted: claims that it only noted something about: warnings and information.
        would_have_flagged: claims that it would have flagged were it no preview, or the mode not monitor.
        amount: charges of the claims that it flagged, or would have.
        last_at: when it last spoke.
    """

    rule_id: str
    flagged: int
    noted: int
    would_have_flagged: int
    amount: int
    last_at: datetime | None


class DeadLetterRow(NamedTuple):
    """A dead letter.

    Attributes:
        number: of the row; grows with time.
        place: on the dead-letter topic.
        origin: where the input stood, if its headers say so.
        reason: what is wrong and what was expected; never what it held.
        resubmitted: event id of what a resubmission has become; blank while nothing has.
        outcome: of that: cleared, flagged or deadletter.
    """

    number: int
    at: datetime
    event_id: str
    claim_id: str
    place: Place
    origin: Place | None
    error_class: str
    reason: str
    size: int
    resubmitted: str = ""
    outcome: str = ""


class OverrideRow(NamedTuple):
    """A release in the audit trail; nothing changes or removes one.

    Attributes:
        place: of the event on the topic of overrides.
        at: when the event was written, by the broker's record.
        outcome: released, refused, or pending while no worker has answered; unknown where the answer is older than the
            days that are shown.
        problem: why it was refused.
    """

    number: int
    at: datetime
    place: Place
    event_id: str
    claim_id: str
    user: str
    reason: str
    flagged_event_id: str
    rule_ids: tuple[str, ...]
    amount: int
    outcome: Literal["pending", "released", "refused", "unknown"]
    problem: str = ""


@dataclass(frozen=True)
class Choices:
    """What there is to filter by."""

    payers: tuple[str, ...]
    submitters: tuple[str, ...]
    rule_ids: tuple[str, ...]
    categories: tuple[str, ...]
