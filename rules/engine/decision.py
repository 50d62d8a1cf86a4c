"""What the engine answers: findings, what could not be evaluated, and the decision that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from rules.engine.claim import ServiceLine
from rules.engine.history import History


class Severity(StrEnum):
    """How much a finding weighs. Only `ERROR` flags the claim; the others travel with the decision."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Disposition(StrEnum):
    """Where the claim goes."""

    CLEARED = "cleared"
    FLAGGED = "flagged"


@dataclass(frozen=True, slots=True)
class Flag:
    """A check's answer when the rule's own line, field or wording does not fit; else a check returns just its message.

    Attributes:
        message: the fact with its numbers; no member's name, number or date of birth.
        line: the service line concerned.
        field: the field concerned as a path in the claim: `billing_provider.npi`, `lines[].units`, `diagnoses[2].code`.
        remedy: what to do, when it depends on the case.
        severity, category: where they depend on the case.
        modifiers: the modifiers the finding is about, if it is about some: an error of the CMS base layer silences the
            warning of another family about the same modifiers of the same line.
        carc, rarc, status_code, entity: where the category's first is not the likeliest; blank for none.
    """

    message: str
    line: ServiceLine | None = None
    field: str | None = None
    remedy: str | None = None
    severity: Severity | None = None
    category: str | None = None
    modifiers: tuple[str, ...] = ()
    carc: str | None = None
    rarc: str | None = None
    status_code: str | None = None
    entity: str | None = None


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """A check's answer when it could not tell: published as such, never passed off as clean."""

    reason: str
    line: ServiceLine | None = None


Answer = None | str | Flag | NotEvaluated | Sequence[Flag | NotEvaluated]
"""What a check returns: None or nothing in it is clean, a string is a message."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A source, as `reference/citations.yaml` registers it."""

    key: str
    publisher: str
    title: str
    edition: str
    url: str
    seen: str


@dataclass(frozen=True, slots=True)
class FailureCategory:
    """What goes wrong at the payer, with the standard codes it is likely to be answered with.

    Attributes:
        carc, rarc: the likeliest claim adjustment reason and remark code; the `alternative_` ones are seen too.
        group: claim adjustment group code.
        status_category, status_code, entity: the parts of STC01 on a 277CA.
    """

    key: str
    meaning: str
    carc: str
    alternative_carc: tuple[str, ...]
    rarc: tuple[str, ...]
    group: str
    status_category: str
    status_codes: tuple[str, ...]
    entities: tuple[str, ...]


class Change(NamedTuple):
    """A severity that is not the rule's own.

    Attributes:
        severity: what it would have been.
        by: payer key, or the name of the contract.
    """

    severity: Severity
    by: str
    why: str


class Finding(NamedTuple):
    """One defect of one claim.

    Attributes:
        line: position of the service line, from 1; None for the claim as a whole.
        path: JSON path of the field in the claim event.
        location: loop and segment of the field in the 837.
        carc, rarc, group: the likely denial, before adjudication; never a statement of the payer.
        status: category, status and entity of STC01 on a 277CA, joined by colons.
        effective_from, effective_to: dates of service for which the rule and the values it used hold.
        change: who changed the severity, and why; None where it is the rule's own.
    """

    rule_id: str
    name: str
    title: str
    severity: Severity
    category: str
    carc: str
    alternative_carc: tuple[str, ...]
    rarc: str
    alternative_rarc: tuple[str, ...]
    group: str
    status: str
    line: int | None
    path: str
    location: str
    message: str
    remedy: str
    citations: tuple[Citation, ...]
    effective_from: date | None
    effective_to: date | None
    change: Change | None


class Unevaluated(NamedTuple):
    """A rule that could not tell, with the reason."""

    rule_id: str
    name: str
    line: int | None
    reason: str


class Silenced(NamedTuple):
    """A finding that was put aside, and by whom.

    Attributes:
        severity: what it would have been.
        by: payer key, or the name of the contract.
    """

    rule_id: str
    name: str
    line: int | None
    severity: Severity
    message: str
    by: str
    why: str


class Considered(NamedTuple):
    """What of the member's earlier claims could be looked at.

    Attributes:
        claims: how many: those that count, and those of the account of the claim under review.
        held_since: receipt date of the first claim that was ever recorded; None for none.
        not_known: why none could be looked up; blank if they were.
    """

    claims: int
    held_since: date | None
    not_known: str

    @classmethod
    def of(cls, history: History) -> Considered:
        """From the history that a claim is judged with."""
        claims, account = history.claims, history.account
        count = len({each.claim_id for each in (*claims, *account)}) if account else len(claims)
        return cls(count, history.held_since, history.not_known)


class Decision(NamedTuple):
    """The answer to one claim: a pure function of the claim, its member's history and the rule set.

    Attributes:
        payer: key of the payer profile that was applied.
        findings: ordered by line, then rule id; claim-wide ones first.
        not_evaluated: what could not be told, in the same order.
        contract: name of the contract overlay that was applied; blank for none.
        silenced: findings that a payer's profile or the contract put aside, in the same order.
        rule_set_version, rule_set_digest: the rule set that decided.
        history: what of the member's earlier claims could be looked at; None where the claim was judged for itself.
    """

    claim_id: str
    disposition: Disposition
    payer: str
    received_date: date | None
    findings: tuple[Finding, ...]
    not_evaluated: tuple[Unevaluated, ...]
    contract: str
    silenced: tuple[Silenced, ...]
    rule_set_version: str
    rule_set_digest: str
    history: Considered | None = None
