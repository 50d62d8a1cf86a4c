"""A line control number that another line has too, or that is longer than 30 characters.

The remittance gives the number back, so that each payment finds its line; twice the same leaves two lines that cannot
be told apart.

Known limit: a blank number is no defect; the payer then gives back the line's position.
"""

from collections.abc import Mapping
from typing import Any

from rules.engine.claim import Claim
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule


@rule(
    title="Line control number is repeated or too long",
    severity=Severity.ERROR,
    reason="LACKS_INFO_GENERIC",
    remedy="Give every line its own control number of at most 30 characters.",
    citations=("stedi-claim-edits-2026",),
    field="lines[].line_control_number",
    scope="claim",
    policy=("claim_edits.line_control_number_limit",),
    clean=(a_claim(), a_claim(lines=[a_line(line_control_number="1"), a_line("63650", line_control_number="2")])),
    flagged=(
        a_claim(lines=[a_line(line_control_number="1"), a_line("63650", line_control_number="1")]),
        a_claim(lines=[a_line(line_control_number="2026-08-03-EXAMPLE-CLINIC-00001")]),
    ),
)
def check(claim: Claim, policy: Mapping[str, Any]) -> list[Flag] | None:
    for line in claim.lines:
        if line.line_control_number:
            return _judge(claim, policy["claim_edits.line_control_number_limit"])
    return None


def _judge(claim: Claim, limit: int) -> list[Flag] | None:
    numbers = [number for line in claim.lines if (number := line.line_control_number)]
    if len(set(numbers)) == len(numbers) and len(max(numbers, key=len)) <= limit:
        return None
    flags = []
    first_line: dict[str, int] = {}
    for position, line in enumerate(claim.lines, 1):
        number = line.line_control_number  # not quoted: it is the biller's own and may be anything
        if not number:
            continue
        first = first_line.setdefault(number, position)
        if first != position:
            flags.append(Flag(f"line {first} has the same line control number", line=line))
        if len(number) > limit:
            flags.append(Flag(f"the line control number has {len(number)} characters; {limit} are allowed", line=line))
    return flags
