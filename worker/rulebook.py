"""The rules as this deployment has them: the installed ones, with its own reference data and contracts laid over."""

from __future__ import annotations

import importlib.util
import marshal
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rules
from rules import RuleSet
from rules.engine.files import FACTS, OVERLAYS, PartDigests, files_of, part_digests
from rules.engine.policy import ReferenceDataError
from rules.engine.reference import PACKAGE
from worker import signing
from worker.members import Members
from worker.settings import PREFIX, Settings
from worker.signing import RulesMismatchError, Signature, SignatureProblemError

_PUBLIC_KEY, _SIGNATURE = f"{PREFIX}RULES_PUBLIC_KEY_FILE", f"{PREFIX}RULES_SIGNATURE_FILE"
_HEADER_BYTES = 16


def load_rulebook(settings: Settings) -> RuleSet:
    """The rule set that decides; where a signature is demanded, only one that is signed.

    Raises:
        RuleDefinitionError, ReferenceDataError: what is wrong, and in which file.
        SignatureProblemError, RulesMismatchError: it is not the rule set that was signed, or there is no signature.
    """
    if settings.rules_public_key_file is None:
        return RuleSet.load(reference=settings.reference_folder, contracts=settings.contracts_folder)
    # What is checked is what is read: nobody can change the copies in between.
    with _copied(settings.reference_folder, FACTS) as reference, _copied(settings.contracts_folder, OVERLAYS) as laid:
        signature = _checked(settings, part_digests(PACKAGE, reference, laid))
        ruleset = RuleSet.load(reference=reference, contracts=laid)
    if ruleset.digest != signature.digest:
        raise RulesMismatchError("the rules changed while they were read; start again when the new release is complete")
    _check_bytecode()
    ruleset.signed_by = signature.key_id
    return ruleset


def require_signature(settings: Settings) -> None:
    """Make sure that what stands in the folders now is signed, where a signature is demanded.

    Raises:
        ReferenceDataError, SignatureProblemError, RulesMismatchError: as `load_rulebook`.
    """
    if settings.rules_public_key_file is not None:
        _checked(settings, parts_of(settings))


def parts_of(settings: Settings) -> PartDigests:
    """The digests of what stands in this deployment's folders now."""
    return part_digests(PACKAGE, settings.reference_folder, settings.contracts_folder)


def _checked(settings: Settings, parts: PartDigests) -> Signature:
    assert settings.rules_public_key_file is not None
    path = settings.rules_signature_file
    if path is None:
        raise SignatureProblemError(f"{_PUBLIC_KEY} demands signed rules; name the signature in {_SIGNATURE}")
    signature = Signature.read(path)
    try:
        signing.check(signature, signing.read_public_keys(settings.rules_public_key_file), rules.__version__, parts)
    except RulesMismatchError as error:
        raise RulesMismatchError(
            f"the rules are not as signed in {path}: {error}. Install what was signed, or sign what is here with:"
            " claimscrub rules sign"
        ) from None
    return signature


@contextmanager
def _copied(folder: Path | None, patterns: tuple[str, ...]) -> Iterator[Path | None]:
    """A copy of a folder of the deployment, for as long as it is read; what does not load was never signed."""
    if folder is None:
        yield None
        return
    try:
        temporary_folder = tempfile.TemporaryDirectory(prefix="claimscrub-rules-")
    except OSError as error:
        raise SignatureProblemError(
            f"no temporary folder to check the rules in: {error.strerror}; set TMPDIR"
        ) from None
    with temporary_folder as temporary:
        copy = Path(temporary, "copy")
        copy.mkdir()
        for path in files_of(folder, *patterns):
            target = copy / path.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            try:
                shutil.copyfile(path, target)
            except OSError as error:
                raise ReferenceDataError(f"{path}: {error.strerror or error}") from None
        yield copy


def _check_bytecode() -> None:
    """Make sure that the compiled Python beside the rules is that of the rules.

    Python takes it by the time and size of the source alone: a file that was replaced by one of the same size, with its
    time kept, would go on deciding as before.
    """
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] != rules.__name__ or module.__spec__ is None or not module.__spec__.has_location:
            continue
        source, cached = Path(str(module.__spec__.origin)), module.__spec__.cached
        if cached is None or not Path(cached).is_file():
            continue
        content = Path(cached).read_bytes()
        if not _is_used(content, source):
            continue
        compiled = compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
        if marshal.loads(content[_HEADER_BYTES:]) != compiled:  # noqa: S302  (what Python itself has just run)
            raise RulesMismatchError(f"{cached} is not what {source.name} compiles to; remove it and start again")


def _is_used(content: bytes, source: Path) -> bool:
    """Whether Python would take compiled code by its header (PEP 552): of this Python, and of the source's time."""
    stat = source.stat()
    stamp = struct.pack("<2I", int(stat.st_mtime) & 0xFFFF_FFFF, stat.st_size & 0xFFFF_FFFF)
    magic, flags, time_and_size = content[:4], content[4:8], content[8:_HEADER_BYTES]
    return magic == importlib.util.MAGIC_NUMBER and (flags != bytes(4) or time_and_size == stamp)


def members_of(settings: Settings, ruleset: RuleSet) -> Members:
    """Who makes the keys of this deployment's members."""
    return Members(settings.member_key_secret.get_secret_value(), ruleset.recognised)
