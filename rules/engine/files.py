"""Which files decide, and one digest over them: the same on every machine that has the same files.

The rule set is three parts: the package `rules`, a deployment's own reference data, its contract overlays. Each has a
digest over the names and bytes of its files, and the rule set's is over those three. A name that starts with a dot is
no part of anything, for reader and digest alike: a folder that Kubernetes mounts holds each file a second time in one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from rules.engine.policy import ReferenceDataError

OVERLAYS: Final = ("*.yaml", "*.csv")
"""The files of a folder of contract overlays."""
FACTS: Final = ("citations.yaml", "*/*.yaml", "*/*.csv")
"""The files of a folder of reference data."""
_BYTECODE = "__pycache__"
NO_FOLDER: Final = "none"


class PartDigests(NamedTuple):
    """The digest of each part of a rule set, `sha256:…`; `none` where a deployment has no such folder."""

    package: str
    reference: str
    contracts: str

    @property
    def statement(self) -> str:
        """A line for each part."""
        return "".join(f"{part} {digest}\n" for part, digest in zip(self._fields, self, strict=True))

    @property
    def digest(self) -> str:
        """The rule set's own."""
        return _named(sha256(f"claimscrub rule set\n{self.statement}".encode()).hexdigest())


def part_digests(package: Path, reference: Path | None, contracts: Path | None) -> PartDigests:
    """The digests of what stands in the folders now.

    Args:
        package: the folder of the package `rules`; every file of it counts, but for compiled Python.
        reference: the folder of a deployment's own reference data.
        contracts: the folder of its contract overlays.

    Raises:
        ReferenceDataError: a file can't be read.
    """
    return PartDigests(
        _digest(package, _all_files(package)),
        NO_FOLDER if reference is None else _digest(reference, files_of(reference, *FACTS)),
        NO_FOLDER if contracts is None else _digest(contracts, files_of(contracts, *OVERLAYS)),
    )


def files_of(folder: Path, *patterns: str) -> list[Path]:
    """The files of a folder, ordered by name."""
    paths = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return [path for path in _sorted(folder, paths) if not _is_hidden(path.relative_to(folder).parts)]


def _all_files(folder: Path) -> list[Path]:
    """Whatever stands there could be imported or read, so all of it counts."""
    paths = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [each for each in folders if each != _BYTECODE and not _is_hidden([each])]
        paths += [Path(parent, name) for name in names if not _is_hidden([name])]
    return _sorted(folder, paths)


def _is_hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def _sorted(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """By name as text: paths themselves compare otherwise on another system."""
    return sorted(paths, key=lambda path: path.relative_to(folder).as_posix())


def _digest(folder: Path, paths: list[Path]) -> str:
    """Over names and contents with their lengths, so that nothing can pass from one to the other unseen."""
    digest = sha256()
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ReferenceDataError(f"{path}: {error.strerror or error}") from None
        for each in (path.relative_to(folder).as_posix().encode(), content):
            digest.update(len(each).to_bytes(8) + each)
    return _named(digest.hexdigest())


def _named(hexadecimal: str) -> str:
    return f"sha256:{hexadecimal}"
