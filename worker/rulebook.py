"""The rules as this deployment has them: the installed ones, with its own reference data and contracts laid over."""

from __future__ import annotations

from rules import RuleSet
from worker.settings import Settings


def load_rulebook(settings: Settings) -> RuleSet:
    """The rule set that decides.

    Raises:
        RuleDefinitionError, ReferenceDataError: what is wrong, and in which file.
    """
    return RuleSet.load(reference=settings.reference_folder, contracts=settings.contracts_folder)
