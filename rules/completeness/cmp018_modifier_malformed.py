"""A modifier that is not two letters or digits, stands twice on a line, is the fifth or later, or is not valid.

A line holds four modifiers of two characters each. What is more or longer is cut off or refused, and a modifier said
twice is mostly another one mistyped. Validity on the date of service is looked up where a full list is loaded.

Known limit: whether a modifier suits the procedure is for other rules.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_line
from rules.engine.rule import rule


@rule(
    title="Modifier is malformed or not valid",
    severity=Severity.ERROR,
    reason="MOD_INVALID_DOS",
    remedy="Replace the modifier with a valid one.",
    citations=("x12-carc-rarc-2024-06",),
    field="lines[].modifiers",
    concerns=lambda codes, modifiers, policy: bool(modifiers),  # noqa: ARG005
    policy=("identifiers.modifier", "code_sets.modifiers"),
    clean=(a_claim(), a_claim(lines=[a_line(modifiers=["59", "GA", "KX", "SC"])])),
    flagged=(
        a_claim(lines=[a_line(modifiers=["5"])]),
        a_claim(lines=[a_line(modifiers=["59", "59"])]),
        a_claim(lines=[a_line(modifiers=["59", "GA", "KX", "SC", "Q6"])]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> list[Flag] | None:  # noqa: ARG001
    modifiers = line.modifiers
    if not modifiers:
        return None
    shape, valid = policy["identifiers.modifier"], policy["code_sets.modifiers"]
    problems = _problems(modifiers, shape["pattern"], shape["limit"])
    if valid is not None:
        unknown = {each: "is not in the code set of the date of service" for each in modifiers if each not in valid}
        problems = {**unknown, **problems}
    if not problems:
        return None
    return [
        Flag(
            f"modifier {modifier} {problem}",
            remedy=f"Replace modifier {modifier} on the line with a valid one, or remove it.",
            modifiers=(modifier,),
        )
        for modifier, problem in problems.items()
        if modifier
    ]


@lru_cache(maxsize=1_000)
def _problems(modifiers: tuple[str, ...], pattern: str, limit: int) -> Mapping[str, str]:
    """Modifier → what is wrong with it, whatever its meaning; a blank one does not count."""
    problems = {}
    present = [modifier for modifier in modifiers if modifier]
    for position, modifier in enumerate(present, 1):
        if not re.fullmatch(pattern, modifier):
            problems[modifier] = "is not two letters or digits"
        elif present.index(modifier) < position - 1:
            problems[modifier] = f"stands {present.count(modifier)} times"
        elif position > limit:
            problems[modifier] = f"is number {position}; a line holds {limit}"
    return problems
