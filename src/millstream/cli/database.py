"""`millstream migrate`, `backup` and `restore`: what a server has stored, beside the server."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from millstream.cli.failures import DONE, FAILED, UsageError
from millstream.cli.output import Output, complain
from millstream.cli.serving import ConfigFile, DatabasePath, configure


def migrate(
    *,
    config: ConfigFile = None,
    database: DatabasePath = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only say what is missing; exit with 1 if something is."),
    ] = False,
) -> int:
    """Bring what an older version has stored up to date; a server does so when it starts, too."""
    known = configure(config, database=database, needs_graphs=False)
    with _refusals():
        from millstream.server.updating import missing, update

        found = missing(known) if check else update(known)
    _say_steps(found, "is missing" if check else "is done")
    return FAILED if check and found else DONE


def backup(
    target: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Made, with the backup.")],
    *,
    config: ConfigFile = None,
    database: DatabasePath = None,
) -> int:
    """Copy what a server has stored, which may go on meanwhile, as it is at one moment."""
    known = configure(config, database=database, needs_graphs=False)
    with _refusals():
        from millstream.server.storage.backup import back_up

        made = back_up(known, target)
    size = sum(made.files.values()) / 1e6
    _say(f"{target}: {', '.join(made.files)}, {size:.1f} MB; writing paused {made.paused:.3f} s")
    for key in made.elsewhere:
        complain(f"not in the backup: what {key} keeps; copy it yourself, at the same time")
    return DONE


def restore(
    source: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A backup.")],
    *,
    config: ConfigFile = None,
    database: DatabasePath = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Lose what is there now, and have the backup.")
    ] = False,
) -> int:
    """Put a backup where a server finds it that starts afterwards."""
    known = configure(config, database=database, needs_graphs=False)
    with _refusals():
        from millstream.server.storage.backup import restore

        for path in restore(known, source, replaces=replace):
            _say(f"{path}: restored")
    return DONE


@contextmanager
def _refusals() -> Iterator[None]:
    """Have what cannot be done said in one line."""
    from millstream.server.errors import ConfigError

    try:
        yield
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _say_steps(found: Mapping[str, Sequence[str]], what: str) -> None:
    if not found:
        _say("everything is up to date")
    for place, names in found.items():
        for name in names:
            _say(f"{place}: {name} {what}")


def _say(line: str) -> None:
    Output(sys.stdout).write(f"{line}\n")
