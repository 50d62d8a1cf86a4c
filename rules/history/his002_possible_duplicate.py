"""A service that an earlier claim of the member may have billed already, with other modifiers, units or charge.

Biller, date and code agree; on professional claims who did it, on institutional ones the type of bill. Payers that look
at fewer fields than all take the second one for a duplicate.

Known limit: two services of one code and day that are truly two look the same; an assistant's line beside the
operator's, and the lines of two surgeons who both bill 62, are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.grouping import TWO_SURGEONS, is_assistant
from rules.engine.history import History, PriorLine
from rules.engine.rule import rule
from rules.history.matching import is_marked_as_repeated, is_same_service, standing
from rules.units.daily_limits import units_in_words


@rule(
    title="Possible duplicate of an earlier claim",
    severity=Severity.WARNING,
    reason="DUPLICATE",
    remedy="Compare with the earlier claim; send only if it is another service.",
    citations=("product-logic",),
    field="lines[].procedure_code",
    scope="history",
    concerns_claim=lambda key, policy: key.has_same_day and key.frequency == "1",  # noqa: ARG005
    lookback=0,
    yields_to=("HIS001",),
    clean=(
        a_claim(),
        with_history(a_claim(), earlier()),
        with_history(a_claim(lines=[a_line(modifiers=["80"])]), earlier()),
        with_history(a_claim(lines=[a_line(modifiers=["76"])]), earlier()),
    ),
    flagged=(
        with_history(a_claim(lines=[a_line(charge_amount="9000.00")]), earlier()),
        with_history(a_claim(lines=[a_line(modifiers=["58"])]), earlier(status="denied")),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag] | None:  # noqa: ARG001
    if not history.claims or claim.frequency != "1":
        return None
    flags = []
    for line in claim.lines:
        if is_marked_as_repeated(line):
            continue
        for prior in history.member_services:
            if is_same_service(claim, line, prior) and not _are_in_other_roles(line, prior.line):
                other = prior.claim
                flags.append(
                    Flag(
                        f"{line.procedure_code} on {line.service_date} stands on claim {other.claim_id} too"
                        f"{_difference(line, prior.line)} ({standing(other)})",
                        line=line,
                        remedy=f"Compare with claim {other.claim_id}; send only if it is another service.",
                    )
                )
                break
    return flags or None


def _difference(line: ServiceLine, prior: PriorLine) -> str:
    """In what two lines differ, in words."""
    there, here = [], []
    if set(line.modifiers) != set(prior.modifiers):
        there.append(_listed(prior.modifiers))
        here.append(_listed(line.modifiers))
    if line.units != prior.units:
        there.append(_unless_missing(prior.units, units_in_words, "no units"))
        here.append(_unless_missing(line.units, units_in_words, "no units"))
    if line.charge_amount != prior.charge_amount:
        there.append(_unless_missing(prior.charge_amount, "charge {:f}".format, "no charge"))
        here.append(_unless_missing(line.charge_amount, "charge {:f}".format, "no charge"))
    return f", there with {', '.join(there)}, here with {', '.join(here)}" if there else ""


def _listed(modifiers: Sequence[str]) -> str:
    return f"modifier{'s' if len(modifiers) > 1 else ''} {' '.join(modifiers)}" if modifiers else "no modifier"


def _unless_missing(amount: Decimal | None, words: Callable[[Decimal], str], missing: str) -> str:
    return missing if amount is None else words(amount)


def _are_in_other_roles(line: ServiceLine, prior: PriorLine) -> bool:
    return is_assistant(line) != is_assistant(prior) or (
        TWO_SURGEONS in line.modifiers and TWO_SURGEONS in prior.modifiers
    )
