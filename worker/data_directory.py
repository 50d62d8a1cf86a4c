"""A worker's own folder: made and tried when it starts, with signs of life in it while it runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from worker.settings import PREFIX, Settings, SettingsError

log = structlog.get_logger("claimscrub.worker")


@contextmanager
def data_directory(settings: Settings) -> Iterator[Path]:
    """The folder of CLAIMSCRUB_DATA_DIRECTORY, or a temporary one that goes afterwards.

    Raises:
        SettingsError: it can't be made, or not written to.
    """
    try:
        if settings.data_directory is None:
            folder = Path(tempfile.mkdtemp(prefix="claimscrub-"))
        else:
            folder = settings.data_directory
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"tried")
    except OSError as error:
        where = settings.data_directory or "no temporary folder"
        said = f"{PREFIX}DATA_DIRECTORY: {where}: {error.strerror}; it must be a folder that can be written to"
        raise SettingsError(said) from None
    try:
        yield folder
    finally:
        if settings.data_directory is None:
            shutil.rmtree(folder, ignore_errors=True)


class Sign:
    """A file by which others see how a worker is. Where it can't be written, that costs a warning and no more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._complained = False

    def show(self) -> None:
        """Make the file, or make it young again."""
        self._try(self._path.touch)

    def hide(self) -> None:
        """Remove it."""
        self._try(lambda: self._path.unlink(missing_ok=True))

    def _try(self, change: Callable[[], None]) -> None:
        try:
            change()
        except OSError as error:
            if not self._complained:
                log.warning("sign not written", reason=f"{self._path}: {error.strerror}")
            self._complained = True
        else:
            self._complained = False
