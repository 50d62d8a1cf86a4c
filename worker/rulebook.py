"""The rules as this deployment has them: the installed ones, with its own reference data and contracts laid over."""

from __future__ import annotations

from rules import RuleSet
from worker.members import Members
from worker.settings import Settings


def load_rulebook(settings: Settings) -> RuleSet:
    """The rule set that decides.

    Raises:
        RuleDefinitionError, ReferenceDataError: what is wrong, and in which file.
    """
    return RuleSet.load(reference=settings.reference_folder, contracts=settings.contracts_folder)


def members_of(settings: Settings, ruleset: RuleSet) -> Members:
    """Who makes the keys of this deployment's members."""
    return Members(settings.member_key_secret.get_secret_value(), ruleset.recognised)
