"""Whose a claim is that names no payer key, by what an 837 says of its payer.

The order, which never guesses; `rules/payers/recognition.yaml` holds what is known, with sources and confidence:

1. A payer key that the claim names is the payer. Only without one is the rest looked at.
2. A filing indicator (SBR09) or a payer name (NM103) that speaks of another programme, such as Medicaid or workers'
   compensation, leaves the claim with no payer profile, whatever else it says.
3. The payer ID (NM109) gives the profiles that it belongs to; the name narrows them, or gives its own where the ID is
   not known. A name that is known only in part is not enough where the filing indicator is a general one (CI, HM…).
4. The filing indicator leaves those that are of its line of business: 60054 with CI is AETNA, with 16 is AETNA_MA.
   Where nothing else is known, MA and MB are Original Medicare, and 16 is a Medicare Advantage plan.
5. What contradicts (an Aetna name with MB), or leaves more than one profile (a Blue plan, whose rules are the home
   plan's), is not recognised. Neither is a name alone, or a payer ID alone that is not verified.
6. Not recognised: only the rules for every payer run, and the decision says why, with no more of the claim than SBR09.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from rules.engine.payer import ROOT, PayerProfile
from rules.engine.policy import Confidence, ReferenceDataError, read_yaml

_Keys = frozenset[str]
_Words = tuple[str, ...]
_LONGEST = 3  # words of a name that is looked up
_ENTRY_KEYS = {
    "payer_ids": {"words", "profiles"},
    "names": {"called", "profiles", "undecided"},
    "other_programs": {"called"},
    "filing_indicators": {"words", "profiles", "lines", "alone", "whole_name", "undecided"},
}
_VERIFIED = "verified_on"
_WORD = re.compile(r"[^\W_]+")


class _NotRecognisedError(Exception):
    """Why not; the message goes into the decision."""


@dataclass(frozen=True, slots=True)
class PayerId:
    """The profiles that a payer ID belongs to, and whether it needs nothing that agrees."""

    profiles: _Keys
    stands_alone: bool


@dataclass(frozen=True, slots=True)
class PayerName:
    """What a payer name says.

    Attributes:
        is_whole: all of its words are known.
        undecided: what to say where several profiles are left.
    """

    profiles: _Keys
    undecided: str
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class FilingIndicator:
    """What a claim filing indicator says.

    Attributes:
        profiles: those of its line of business, or None where it says nothing.
        alone: the profile where nothing else is known of the payer.
        needs_whole_name: a name that is known only in part says nothing beside it.
        undecided: what to say where several profiles are left.
    """

    profiles: _Keys | None
    alone: str
    needs_whole_name: bool
    undecided: str


_NO_INDICATOR = FilingIndicator(None, "", needs_whole_name=False, undecided="")


@dataclass(frozen=True, slots=True)
class Recognition:
    """What is known of payer IDs, names and filing indicators.

    Attributes:
        kin: payer key → it and what it extends, without the root.
        names: words of a name → what it stands for; None is another programme.
    """

    kin: Mapping[str, _Keys] = field(default_factory=dict)
    payer_ids: Mapping[str, PayerId] = field(default_factory=dict)
    names: Mapping[_Words, PayerName | None] = field(default_factory=dict)
    filing_indicators: Mapping[str, FilingIndicator] = field(default_factory=dict)
    citations: _Keys = frozenset()

    def recognise(self, payer_id: str, filing_indicator: str, name: str) -> tuple[str, str]:
        """The payer key and "", or "" and why there is none, as the second half of a sentence."""
        try:
            return self._recognise(payer_id, filing_indicator, name), ""
        except _NotRecognisedError as why:
            return "", str(why)

    def _recognise(self, payer_id: str, filing_indicator: str, name: str) -> str:
        code = f"filing indicator SBR09 {filing_indicator}"
        indicator = self._indicator(filing_indicator, code)
        called = self._called(name)
        by_id = self.payer_ids.get(payer_id)
        found = self._payers(by_id, called, indicator)
        if found is None:
            if indicator.alone:
                return indicator.alone
            name_known = "its payer ID is not known, and its payer name only in part"
            nothing_known = "neither its payer ID nor its payer name is known"
            raise _NotRecognisedError(indicator.undecided or (name_known if called else nothing_known))
        if indicator.profiles is not None:
            found &= indicator.profiles
        said = [
            *(["payer ID"] if by_id else []),
            *(["payer name"] if called else []),
            *([code] if indicator.profiles is not None else []),
        ]
        if not found:
            raise _NotRecognisedError(f"no payer profile fits its {' and its '.join(said)}")
        if len(found) > 1:
            several = f"more than one payer profile fits its {' and its '.join(said)}"
            raise _NotRecognisedError((called.undecided if called else "") or several)
        if len(said) == 1 and not (by_id and by_id.stands_alone):
            raise _NotRecognisedError(f"its {said[0]} alone is not enough to know the payer")
        return next(iter(found))

    def _indicator(self, filing_indicator: str, code: str) -> FilingIndicator:
        if not filing_indicator:
            return _NO_INDICATOR
        indicator = self.filing_indicators.get(filing_indicator)
        if indicator is None:  # not quoted: it may be anything
            raise _NotRecognisedError("its filing indicator SBR09 is not a code that is known")
        if indicator.profiles == frozenset():
            raise _NotRecognisedError(f"its {code} is that of a programme for which there is no payer profile")
        return indicator

    def _payers(self, by_id: PayerId | None, called: PayerName | None, indicator: FilingIndicator) -> _Keys | None:
        """The profiles that ID and name leave, or None where neither is known well enough."""
        if by_id is not None:
            return self._narrow(by_id.profiles, called.profiles) if called else by_id.profiles
        if called is None or (indicator.needs_whole_name and not called.is_whole):
            return None
        return called.profiles

    def _narrow(self, some: _Keys, others: _Keys) -> _Keys:
        """Those of either that are, or extend, one of the other: an Aetna plan that is Medicare Advantage, say."""
        return frozenset(
            key for one, other in ((some, others), (others, some)) for key in one if not self.kin[key].isdisjoint(other)
        )

    def _called(self, name: str) -> PayerName | None:
        """What a name says by the longest known words at each place, or None where it says nothing."""
        words = _words(name)
        found: PayerName | None = None
        known = position = 0
        while position < len(words):
            length = self._known_length(words, position)
            if length:
                one = self.names[words[position : position + length]]
                if one is None:
                    raise _NotRecognisedError(
                        "its payer name is that of a programme for which there is no payer profile"
                    )
                profiles = self._narrow(found.profiles, one.profiles) if found else one.profiles
                found = PayerName(profiles, one.undecided or (found.undecided if found else ""))
            known += length
            position += length or 1
        # A name that stands for many profiles on purpose says no less for the words beside it.
        return found and replace(found, is_whole=known == len(words) or bool(found.undecided))

    def _known_length(self, words: _Words, position: int) -> int:
        lengths = range(min(_LONGEST, len(words) - position), 0, -1)
        return next((length for length in lengths if words[position : position + length] in self.names), 0)


def _words(name: str) -> _Words:
    return tuple(_WORD.findall(name.replace("'", "").casefold()))


def load_recognition(path: Path, profiles: Mapping[str, PayerProfile]) -> Recognition:
    """Read what is known of payer IDs, names and filing indicators.

    Raises:
        ReferenceDataError: an entry has other keys, no source, or a profile that is not known; or the same payer ID,
            name or filing indicator stands in two entries.
    """
    content = read_yaml(path)
    if not isinstance(content, Mapping) or set(content) != {*_ENTRY_KEYS, _VERIFIED}:
        raise ReferenceDataError(f"{path.name}: expected the keys {', '.join(sorted({*_ENTRY_KEYS, _VERIFIED}))}")
    if type(content[_VERIFIED]) is not date:
        raise ReferenceDataError(f"{path.name}: {_VERIFIED}: expected a date (YYYY-MM-DD)")
    payer_ids: dict[str, PayerId] = {}
    names: dict[_Words, PayerName | None] = {}
    filing_indicators: dict[str, FilingIndicator] = {}
    citations: set[str] = set()
    for section in _ENTRY_KEYS:
        for entry in content[section]:
            where = f"{path.name}: {section}"
            _check_entry(section, entry, profiles, where)
            confidence = Confidence(entry.get("confidence", "confirmed"))
            citations.update(entry["citation"].split())
            keys = frozenset(entry.get("profiles", ()))
            undecided = entry.get("undecided", "")
            if section == "payer_ids":
                _add(payer_ids, entry["words"].split(), PayerId(keys, confidence is not Confidence.UNVERIFIED), where)
            elif section == "filing_indicators":
                _add(filing_indicators, entry["words"].split(), _filing_indicator(entry, profiles), where)
            else:
                one = PayerName(keys, undecided) if section == "names" else None
                _add(names, [_short(each, where) for each in entry["called"]], one, where)
    kin = {key: frozenset(profile.ancestors) - {ROOT} for key, profile in profiles.items()}
    return Recognition(kin, payer_ids, names, filing_indicators, frozenset(citations))


def _short(name: str, where: str) -> _Words:
    words = _words(name)
    if not 0 < len(words) <= _LONGEST:
        raise ReferenceDataError(f"{where}: {name}: expected one to {_LONGEST} words")
    return words


def _check_entry(section: str, entry: Any, profiles: Mapping[str, PayerProfile], where: str) -> None:
    required = {"citation", "called" if "called" in _ENTRY_KEYS[section] else "words"}
    keys = _ENTRY_KEYS[section] | required | {"confidence"}
    if not isinstance(entry, Mapping) or not required <= set(entry) <= keys:
        raise ReferenceDataError(f"{where}: expected entries with a citation, of the keys {', '.join(sorted(keys))}")
    if not isinstance(entry.get("words", ""), str) or entry.get("confidence", "confirmed") not in list(Confidence):
        raise ReferenceDataError(f"{where}: expected quoted words, and as confidence one of {', '.join(Confidence)}")
    unknown = {*entry.get("profiles", ()), entry.get("alone", ROOT)} - set(profiles)
    if unknown:
        raise ReferenceDataError(f"{where}: not a payer key: {', '.join(sorted(unknown))}")


def _filing_indicator(entry: Mapping[str, Any], profiles: Mapping[str, PayerProfile]) -> FilingIndicator:
    keys = None
    if "lines" in entry:
        keys = frozenset(key for key, profile in profiles.items() if profile.line in entry["lines"])
    elif "profiles" in entry:
        keys = frozenset(entry["profiles"])
    return FilingIndicator(
        keys, entry.get("alone", ""), bool(entry.get("whole_name", False)), entry.get("undecided", "")
    )


def _add(known: dict[Any, Any], them: Iterable[Any], what: Any, where: str) -> None:
    for each in them:
        if each in known:
            raise ReferenceDataError(f"{where}: {each} stands in two entries")
        known[each] = what
