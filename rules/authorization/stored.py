"""The authorizations that the sender has on file for the numbers on a claim, and how far they fit it.

A number may stand on the claim or, where it is another, on a line. Several records can have the same number: one for
each code, or of different payers. Those that contradict the claim least are the ones that are meant.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rules.completeness.eligibility import plain_member_number
from rules.engine.claim import Claim, ServiceLine, StoredAuthorization
from rules.engine.decision import NotEvaluated
from rules.engine.grouping import is_assistant

NO_RECORD = NotEvaluated("the authorization number has no stored record")


class NumberUse(NamedTuple):
    """A number on the claim with the lines it stands for, and the records that are meant by it.

    Attributes:
        line: the line that has the number; None where it is the claim's.
        contradictions: the parts in which each of the records contradicts the claim; the same for all of them.
    """

    number: str
    line: ServiceLine | None
    lines: Sequence[ServiceLine]
    records: Sequence[StoredAuthorization]
    contradictions: Sequence[str]

    @property
    def field(self) -> str:
        """Where the number stands."""
        return "prior_authorization_number" if self.line is None else "lines[].prior_authorization_number"

    def records_for(self, line: ServiceLine) -> list[StoredAuthorization]:
        """The records that list a line's code, or that list none."""
        return [
            record
            for record in self.records
            if not record.procedure_codes or line.procedure_code in record.procedure_codes
        ]


def without_records(claim: Claim) -> NotEvaluated | list[NotEvaluated] | None:
    """What can be said of the numbers of a claim for which no authorization is on file: most claims come by here."""
    number = claim.prior_authorization_number
    for line in claim.lines:
        if line.prior_authorization_number and line.prior_authorization_number != number:
            return [NotEvaluated(NO_RECORD.reason, use.line) for use in number_uses(claim)]
    return NO_RECORD if number else None


def number_uses(claim: Claim) -> list[NumberUse]:
    """Every number on the claim, each once; the claim's own first."""
    of_claim = claim.prior_authorization_number
    holders: dict[str, ServiceLine | None] = {of_claim: None} if of_claim else {}
    members: dict[str, list[ServiceLine]] = {}
    for line in claim.lines:
        number = line.prior_authorization_number or of_claim
        if number:
            holders.setdefault(number, line)
            members.setdefault(number, []).append(line)
    return [_use(claim, number, line, members.get(number, [])) for number, line in holders.items()]


def _use(claim: Claim, number: str, line: ServiceLine | None, lines: Sequence[ServiceLine]) -> NumberUse:
    least: Sequence[str] = ()
    meant: list[StoredAuthorization] = []
    for record in claim.authorizations:
        if record.number != number:
            continue
        parts = _contradictions(claim, record, lines)
        if not meant or len(parts) < len(least):
            least, meant = parts, [record]
        elif parts == least and record not in meant:
            meant.append(record)
    return NumberUse(number, line, lines, meant, least)


def _contradictions(claim: Claim, record: StoredAuthorization, lines: Sequence[ServiceLine]) -> list[str]:
    """Which of payer, member, provider and facility is another one; what is not known contradicts nothing."""
    compared = {
        "payer": (record.payer_key, {claim.payer.key}),
        "member": (plain_member_number(record.member_number), {plain_member_number(claim.subscriber.member_number)}),
        "provider": (record.provider_npi, _providers(claim, lines)),
        "facility": (record.facility_npi, _facilities(claim)),
    }
    return [part for part, (stored, known) in compared.items() if stored and known - {""} and stored not in known]


def _providers(claim: Claim, lines: Sequence[ServiceLine]) -> set[str]:
    """Everybody on the claim an authorization can have been given to; nobody where only assistants bill."""
    if lines and all(is_assistant(line) for line in lines):
        return set()
    providers = [
        claim.billing_provider,
        claim.rendering_provider,
        claim.attending_provider,
        claim.operating_provider,
        *(line.rendering_provider for line in lines),
    ]
    return {provider.npi for provider in providers if provider is not None}


def _facilities(claim: Claim) -> set[str]:
    """The facilities of the claim; the biller is one on its own claim, and on a surgery center's."""
    facilities = [claim.service_facility, *(line.service_facility for line in claim.lines)]
    known = {facility.npi for facility in facilities if facility is not None and facility.npi}
    if known or not claim.is_professional or claim.practice.ambulatory_surgery_center:
        known.add(claim.billing_provider.npi)
    return known
