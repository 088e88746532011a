"""One server for each database: another one would take its runs for those of a dead process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millstream.server.errors import ConfigError


class InUseError(ConfigError):
    """Another process has the database."""


def being_restored(database: Path) -> Path:
    """Return the file that is there while a database is replaced by a backup."""
    return database.with_name(f"{database.name}-restoring")


@contextmanager
def owning(database: Path, *, restores: bool = False) -> Iterator[None]:
    """Own a database until the block ends; `ConfigError` if another server does.

    The operating system lets go of it when the process ends, however it does so. What is only half
    restored is for those who restore it.
    """
    if not database.name:
        raise ConfigError(
            f"the database {database} is no file: name one, as in {database}server.db"
        )
    path = database.with_name(f"{database.name}-owner")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"the database {database} cannot be made: {error.filename}: {error.strerror}; name "
            "another place with --database"
        ) from error
    try:
        try:
            _lock(file)
        except OSError as error:
            owner = os.pread(file, 32, 0).decode("ascii", "replace") if _HAS_PREAD else ""
            named = f" (process {owner})" if owner.isdecimal() else ""
            raise InUseError(
                f"the database {database} is in use by another server{named}: end that one, or "
                "name another database with --database"
            ) from error
        if not restores and being_restored(database).exists():
            raise ConfigError(
                f"the database {database} is only half restored: call `millstream restore` again"
            )
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        yield
    finally:
        os.close(file)


_HAS_PREAD = hasattr(os, "pread")

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        # A byte that nothing is written to, so that others can read what is in front of it.
        os.lseek(file, 1 << 20, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
