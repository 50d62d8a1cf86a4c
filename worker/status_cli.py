"""The command that takes in the answers to claims: status import."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import click

from rules import ClaimError, RuleSet
from rules.engine.claim import Payer
from worker.inputs import STATUSES, Item, read_paths
from worker.rulebook import load_rulebook, members_of
from worker.rules_cli import known_payer
from worker.settings import load_settings
from worker.status import ClaimStatus, with_payer_key
from worker.terminal import CLEARED, UNREADABLE, clear_errors, say
from worker.x12 import NoStatusError


@click.group("status")
def status_group() -> None:
    """The answers to claims: what payers and clearinghouses say has become of them."""


@status_group.command("import")
@click.option("--payer", metavar="KEY", help="Payer key for claims whose payer is not named, or not recognised.")
@click.option("--dry-run", is_flag=True, help="Print the claim status events, one a line, and publish nothing.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def status_import(files: tuple[str, ...], payer: str | None, dry_run: bool) -> None:
    """Publish the answers in files as claim status events.

    FILE is a 277CA, an 835, JSON or NDJSON, told by its content; a folder stands for all files in it, - for standard
    input. The history of the member is changed by them, so that duplicates and packages are judged by what was
    rejected, paid or denied.

    What names no claim, as a 999, is named on standard error and passed over. A claim without member number or payer
    is named too, and not published.

    Exit code: 0 all published, 2 something unreadable (the rest is published), 3 the brokers failed.
    """
    with clear_errors():
        settings = load_settings()
        ruleset = load_rulebook(settings)
        read = Reading(ruleset, None if payer is None else known_payer(payer, ruleset))
        if dry_run:
            for found in read.statuses(files):
                sys.stdout.buffer.write(found.raw + b"\n")
                sys.stdout.buffer.flush()
            say(f"{read.given.total()} claim statuses, not published{read.summary}")
        else:
            from worker.submit import StatusPublisher

            with StatusPublisher(settings) as publisher:
                read.publish(files, members_of(settings, ruleset).key_of, publisher.publish)
            say(f"{publisher.count} claim statuses published to {publisher.topic}{read.summary}")
    sys.exit(UNREADABLE if read.unreadable else CLEARED)


class Found(NamedTuple):
    """A claim status in a file; the event may have got its payer from the command line."""

    source: str
    status: ClaimStatus
    raw: bytes


class Reading:
    """Files being read, and what was found in them.

    Attributes:
        given: how many there are of each status.
        unreadable: what could not be read.
    """

    def __init__(self, ruleset: RuleSet, payer: str | None) -> None:
        self.given: Counter[str] = Counter()
        self.unreadable = 0
        self._ruleset = ruleset
        self._payer = payer
        self._passed_over = 0

    def statuses(self, paths: Iterable[str]) -> Iterator[Found]:
        """Each claim status of some files; a line on standard error for what is none."""
        for item, status in read_paths(paths, STATUSES, Item.read_status, say):
            if status is not None:
                yield from self._with_payer(Found(item.source, status, item.raw.translate(None, b"\r\n")))
            elif isinstance(item.error, NoStatusError):
                self._passed_over += 1
            else:
                self.unreadable += 1

    def publish(
        self,
        paths: Iterable[str],
        key_of: Callable[[Payer, str], bytes | None],
        publish: Callable[[bytes, bytes, str], None],
    ) -> None:
        """Publish each claim status of some files.

        Args:
            paths: the files.
            key_of: gives the key of a payer's member, or None.
            publish: takes key, event and source.
        """
        for found in self.statuses(paths):
            key = key_of(found.status.payer, found.status.member_number)
            if key is None:
                self.given[found.status.status] -= 1
                self._name(found, _NO_KEY)
            else:
                publish(key, found.raw, found.source)

    @property
    def summary(self) -> str:
        """How many of what, as the rest of a line."""
        counts = [f"{status} {number}" for status, number in sorted(self.given.items()) if number]
        parts = [f": {', '.join(counts)}"] if counts else [""]
        if self._passed_over:
            parts.append(f"passed over: {self._passed_over}")
        if self.unreadable:
            parts.append(f"unreadable: {self.unreadable}")
        return "; ".join(parts)

    def _with_payer(self, found: Found) -> Iterator[Found]:
        why = self._not_recognised(found.status)
        if why and self._payer is None:
            self._name(found, ClaimError("payer", f"not recognised: {why}", "a payer key; give one with --payer KEY"))
            return
        if why and self._payer is not None:
            raw = with_payer_key(found.raw, self._payer)
            found = found._replace(raw=raw, status=ClaimStatus.from_json(raw))
        self.given[found.status.status] += 1
        yield found

    def _not_recognised(self, status: ClaimStatus) -> str:
        """Why it is not known whose claim it is; blank if it is."""
        payer = status.payer
        if payer.key:
            return "" if payer.key in self._ruleset.profiles else "its payer key is not known"
        _, why = self._ruleset.recognition.recognise(payer.payer_id, payer.filing_indicator, payer.name)
        return why

    def _name(self, found: Found, error: ClaimError) -> None:
        self.unreadable += 1
        say(f"claimscrub: {found.source}: {error}")


_NO_KEY = ClaimError("member_number", "no key can be made of it", "the member number of the claim")
