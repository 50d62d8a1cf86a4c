"""Lines without a service date, which no rule about one date sees."""

from collections.abc import Container

from rules.engine.claim import Claim


def stands_undated(claim: Claim, codes: Container[str]) -> bool:
    """Whether a line without a date has one of the codes: it may belong to any date, so none can be said to lack it."""
    return any(line.service_date is None and line.procedure_code in codes for line in claim.lines)
