"""What eligibility answers on file say about the days of a claim."""

from collections.abc import Iterator
from datetime import date

from rules.engine.claim import Claim, EligibilityAnswer, ServiceLine


def answers_about(claim: Claim) -> list[EligibilityAnswer]:
    """The answers of this claim's payer about its member; a blank on either side contradicts nothing."""
    key, number = claim.payer.key, plain_member_number(claim.subscriber.member_number)
    return [
        answer
        for answer in claim.eligibility
        if _agree(answer.payer_key, key) and _agree(plain_member_number(answer.member_number), number)
    ]


def speaks_of(answer: EligibilityAnswer, day: date) -> bool:
    """Whether a day lies within those that an answer is about."""
    return (answer.from_date is None or answer.from_date <= day) and (
        answer.through_date is None or day <= answer.through_date
    )


def days_of(line: ServiceLine) -> Iterator[date]:
    """The first and, if it is another, the last day of a line; nothing for a line without a date."""
    start, through = line.service_date, line.service_date_through
    if start is not None:
        yield start
    if through is not None and through != start:
        yield through


def _agree(one: str, other: str) -> bool:
    return not one or not other or one == other


def plain_member_number(member_number: str) -> str:
    """A member number without the dashes and blanks with which a card may show it."""
    return member_number.replace("-", "").replace(" ", "")
