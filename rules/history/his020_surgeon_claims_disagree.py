"""A stimulator procedure that another practitioner has billed for the patient and day, and nothing says in which role.

Two surgeons who share a procedure both bill 62, an assistant bills 80, 81, 82 or AS, and a repeat by another bills 77.
Without, the second claim is denied.

Known limits: only earlier claims are compared, not lines of one claim, and a denied one says nothing. A claim that
names no rendering provider, or is a surgery center's own, is nobody's here.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from rules.coding.billers import is_surgery_center, was_surgery_center
from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line, earlier, with_history
from rules.engine.grouping import ASSISTANT_MODIFIERS, TWO_SURGEONS
from rules.engine.history import History
from rules.engine.rule import rule

_ROLES = frozenset({*ASSISTANT_MODIFIERS, "77"})
_ANOTHER = {"npi": "1003004502", "taxonomy": "207T00000X"}


@rule(
    title="Claims of two surgeons do not settle their roles",
    severity=Severity.WARNING,
    reason="ASSISTANT_NOT_PAYABLE",
    remedy="Settle the roles: 62 on both, or an assistant modifier on one.",
    citations=("noridian-modifiers-2024-06",),
    field="lines[].modifiers",
    scope="history",
    concerns=lambda codes, modifiers, policy: not policy["modifiers.family"].isdisjoint(codes),  # noqa: ARG005
    concerns_claim=lambda key, policy: key.has_same_day,  # noqa: ARG005
    claim_types=("professional",),
    policy=("modifiers.family",),
    lookback=0,
    clean=(
        a_claim(),
        with_history(a_claim(lines=[a_line(modifiers=["80"])]), earlier(rendering_provider=_ANOTHER)),
        with_history(
            a_claim(lines=[a_line(modifiers=["62"])]),
            earlier(rendering_provider=_ANOTHER, lines=[a_line(modifiers=["62"])]),
        ),
    ),
    flagged=(
        with_history(a_claim(), earlier(rendering_provider=_ANOTHER)),
        with_history(a_claim(lines=[a_line(modifiers=["62"])]), earlier(rendering_provider=_ANOTHER)),
    ),
)
def check(claim: Claim, history: History, policy: Mapping[str, Any]) -> list[Flag] | None:
    if not history.claims or is_surgery_center(claim):
        return None
    flags = []
    for line in claim.lines:
        npi = claim.rendering_npi_on(line)
        if line.procedure_code not in policy["modifiers.family"] or line.service_date is None or not npi:
            continue
        for prior, its_line in history.package_services:
            if (
                its_line.procedure_code == line.procedure_code
                and its_line.service_date == line.service_date
                and its_line.rendering_npi not in ("", npi)
                and prior.is_professional
                and not was_surgery_center(prior)
                and not _are_settled(line.modifiers, its_line.modifiers)
            ):
                flags.append(
                    Flag(
                        f"{line.procedure_code} on {line.service_date} is on claim {prior.claim_id} too, by another "
                        f"rendering provider{_modifiers(line.modifiers, its_line.modifiers)}",
                        line=line,
                    )
                )
                break
    return flags or None


def _are_settled(here: Iterable[str], there: Iterable[str]) -> bool:
    return not _ROLES.isdisjoint([*here, *there]) or (TWO_SURGEONS in here and TWO_SURGEONS in there)


def _modifiers(here: Iterable[str], there: Iterable[str]) -> str:
    if not here and not there:
        return ", and neither line has a modifier"
    return f", there {_with(there)} and here {_with(here)}"


def _with(modifiers: Iterable[str]) -> str:
    return f"with {', '.join(modifiers)}" if modifiers else "without a modifier"
