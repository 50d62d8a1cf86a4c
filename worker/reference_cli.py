"""The commands about reference data."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from worker.cms_files import Kind, ReferenceFileError
from worker.settings import PREFIX, load_settings
from worker.terminal import DAY, UNREADABLE, clear_errors, say, today


@click.group()
def reference() -> None:
    """The reference data: CMS's tables of a quarter."""


@reference.command("import")
@click.option("--effective", type=DAY, required=True, help="First day on which the files hold.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in Kind]),
    help="What the files hold, where no header line and no name says so.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help=f"The folder that gets the values; else that of {PREFIX}REFERENCE_FOLDER.",
)
@click.option("--citation", default="", metavar="KEY", help="Key of the source; one is made of table and quarter.")
@click.option("--verified-on", type=DAY, help="Day on which somebody looked; today for what is new in the folder.")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE..."
)
def import_command(
    *,
    files: tuple[Path, ...],
    effective: datetime,
    kind: str | None,
    into: Path | None,
    citation: str,
    verified_on: datetime | None,
) -> None:
    """Bring in a quarter of CMS's tables.

    FILE is a zip file as CMS publishes it, or the text file (.txt or .csv) in it; Excel workbooks are not read. Pairs
    of procedures (PTP), limits (MUE) and the relative value file are recognised; lists of codes need --kind. Give all
    parts of a table at once.

    Nothing is written unless all is right. Importing a file again changes nothing.

    Exit code: 0 written, 2 a file is refused, 3 the folder or a setting is not as it must be.
    """
    from worker.reference import import_files

    with clear_errors():
        folder = into or load_settings().reference_folder
        if folder is None:
            raise click.UsageError(f"name the folder with --into, or set {PREFIX}REFERENCE_FOLDER")
        try:
            imported = import_files(
                files,
                effective.date(),
                folder,
                today=today(),
                kind=None if kind is None else Kind(kind),
                citation=citation,
                verified_on=None if verified_on is None else verified_on.date(),
            )
        except ReferenceFileError as error:
            say(f"claimscrub: {error}")
            sys.exit(UNREADABLE)
    for table in imported:
        click.echo(
            f"{table.policy} from {table.effective}: {table.kept:,} of {table.read:,} rows kept, in {table.table}"
        )
        for note in table.notes:
            click.echo(f"  {note}")
