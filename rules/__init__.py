"""The rules for claims that hold CPT 63685, and the engine that applies them: a pure, importable core.

from rules import Claim, RuleSet

decision = RuleSet.load().evaluate(Claim.from_json(raw))
"""

__version__ = "0.1.0"

from rules.engine.claim import Claim, ClaimError, ServiceLine, claim_schema
from rules.engine.decision import Decision, Disposition, Finding, Flag, NotEvaluated, Severity, Unevaluated
from rules.engine.grouping import LineGroup
from rules.engine.history import NO_HISTORY, History, Patient, PriorClaim, PriorLine, StatusChange
from rules.engine.record import Answer, MemberRecord
from rules.engine.rule import rule
from rules.engine.ruleset import RuleSet

__all__ = [
    "NO_HISTORY",
    "Answer",
    "Claim",
    "ClaimError",
    "Decision",
    "Disposition",
    "Finding",
    "Flag",
    "History",
    "LineGroup",
    "MemberRecord",
    "NotEvaluated",
    "Patient",
    "PriorClaim",
    "PriorLine",
    "RuleSet",
    "ServiceLine",
    "Severity",
    "StatusChange",
    "Unevaluated",
    "__version__",
    "claim_schema",
    "rule",
]
