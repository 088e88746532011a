"""Copies of the files of a server, as they are at one moment, and back again.

While the moment is chosen, for some milliseconds, this process holds the locks for writing of all
files; nobody else has to know. Each file is then copied from a transaction that began in that
moment, while others go on writing. So a backup is what a server leaves that is killed, and whoever
starts on it goes on as after that.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from millstream.server.config import ServerConfig
from millstream.server.errors import ConfigError
from millstream.server.storage.migrations import steps
from millstream.server.storage.ownership import being_restored, owning
from millstream.version import __version__

MANIFEST: Final = "backup.json"
_FORMAT: Final = 1
_LOCKED: Final = 30.0
"""Seconds that somebody else may go on writing before the moment comes."""
_CHUNK: Final = 1 << 20


class BackupError(ConfigError):
    """A backup that cannot be made or taken back; nothing has changed."""


@dataclass(frozen=True)
class Backup:
    """What was copied."""

    files: Mapping[str, int]
    """How large each file is."""
    paused: float
    """Seconds for which nobody could write."""
    elsewhere: Sequence[str]
    """The keys of the configuration by which something is kept where it is not copied from."""


def files_of(config: ServerConfig) -> dict[str, Path]:
    """Return the files in which the server keeps everything, by their names in a backup."""
    if config.postgres is not None:
        raise BackupError(
            "the database is in PostgreSQL: pg_dump copies it as it is at one moment, and "
            "pg_restore puts it back, while no server runs"
        )
    files = {"server.db": config.database_path}
    if config.checkpointer.path is None:
        files["threads.db"] = config.file_beside("threads")
    if config.store.path is None:
        files["store.db"] = config.file_beside("store")
    return files


def back_up(config: ServerConfig, target: Path) -> Backup:
    """Copy the files of a server, which may go on meanwhile, into a new directory.

    The directory is there when all of it is. `BackupError` says why there is none.
    """
    files = files_of(config)
    if not files["server.db"].exists():
        raise BackupError(f"there is no database {files['server.db']}")
    if being_restored(files["server.db"]).exists():
        raise BackupError(f"the database {files['server.db']} is only half restored")
    if target.exists():
        raise BackupError(f"{target} is there already; name a directory that is not")
    there = {name: path for name, path in files.items() if path.exists()}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(".partial", f"{target.name}.", target.parent))
    except OSError as error:
        raise BackupError(f"no backup was made: {error}") from error
    try:
        taken_at = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        with one_moment(list(there.values())) as (sources, paused):
            revision = _revision(sources[0], files["server.db"])
            for name, source in zip(there, sources, strict=True):
                _copy(source, partial / name)
        sizes = {name: (partial / name).stat().st_size for name in there}
        manifest = {
            "format": _FORMAT,
            "millstream": __version__,
            "taken_at": taken_at,
            "revision": revision,
            "files": {
                name: {"bytes": size, "sha256": _digest(partial / name)}
                for name, size in sizes.items()
            },
        }
        _write(partial / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        _flush(partial)
        partial.rename(target)
        _flush(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"no backup was made: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    elsewhere = [
        f"{key}.path"
        for key, part in (("checkpointer", config.checkpointer), ("store", config.store))
        if part.path is not None
    ]
    return Backup(sizes, paused, elsewhere)


def restore(config: ServerConfig, source: Path, *, replaces: bool) -> list[Path]:
    """Put the files of a backup where a server finds them; return where that is.

    What is there already is lost, if it `replaces` that, and otherwise refused. If it is broken
    off, no server starts until it is done again.
    """
    files = files_of(config)
    known = _read_manifest(source)
    for name in known:
        if name not in files:
            raise BackupError(
                f"{source} has {name}, and the configuration names another place for what is in it "
                "(checkpointer.path or store.path)"
            )
    database = files["server.db"]
    marker = being_restored(database)
    with owning(database, restores=True):
        taken = [path for path in files.values() if path.exists()]
        if taken and not replaces and not marker.exists():
            raise BackupError(
                f"{taken[0]} is there already; --replace takes the backup instead of what is there"
            )
        copies = {name: path.with_name(f"{path.name}-restored") for name, path in files.items()}
        try:
            for name, expected in known.items():
                _take(source / name, copies[name], expected)
        except (OSError, sqlite3.Error) as error:
            for copy in copies.values():
                with suppress(OSError):
                    copy.unlink()
            raise BackupError(f"{source} cannot be restored: {error}") from error
        # From here on there is either all of it or the marker, which servers stop at.
        _write(marker, str(source.absolute()).encode())
        _flush(database.parent)
        for name, path in files.items():
            for end in ("-wal", "-shm", "-journal", ""):
                path.with_name(path.name + end).unlink(missing_ok=True)
            if name in known:
                copies[name].replace(path)
        _flush(database.parent)
        marker.unlink()
        _flush(database.parent)
    return [files[name] for name in known]


@contextmanager
def one_moment(paths: Sequence[Path]) -> Iterator[tuple[list[sqlite3.Connection], float]]:
    """Lend connections that see files as they are at one moment; with the pause that this makes."""
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(_connect(path))) for path in paths]
        with ExitStack() as pause:
            writers = [pause.enter_context(closing(_connect(path))) for path in paths]
            began = time.monotonic()
            for writer in writers:
                writer.execute("BEGIN IMMEDIATE")
            for reader in readers:
                reader.execute("BEGIN")
                # A transaction sees the file as it is when it reads for the first time.
                reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            for writer in writers:
                writer.execute("ROLLBACK")
            paused = time.monotonic() - began
        yield readers, paused


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=_LOCKED, isolation_level=None)


def _revision(connection: sqlite3.Connection, path: Path) -> str:
    """Return the last step that the tables have taken."""
    try:
        [(found,)] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except (sqlite3.Error, ValueError) as error:
        raise BackupError(f"{path} is no database of a server") from error
    return str(found)


def _copy(source: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
        _check(copy, path)
    _flush(path)


def _take(source: Path, path: Path, expected: Mapping[str, Any]) -> None:
    """Copy a file of a backup, and see that it is what was written."""
    shutil.copyfile(source, path)
    if _digest(path) != expected["sha256"]:
        raise OSError(f"{source} is not the file that was written")
    _flush(path)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    [(found,), *_] = connection.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise OSError(f"{path.name} is damaged: {found}")


def _read_manifest(source: Path) -> dict[str, Any]:
    path = source / MANIFEST
    try:
        manifest = orjson.loads(path.read_bytes())
        format, revision, files = (manifest[key] for key in ("format", "revision", "files"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{source} is no backup: {path} cannot be read ({error})") from error
    if format != _FORMAT or revision not in steps():
        raise BackupError(
            f"{source} was made by a newer version of millstream ({manifest.get('millstream')}); "
            "restore it with that one"
        )
    found: dict[str, Any] = files
    return found


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _flush(path)


def _flush(path: Path) -> None:
    """Have a file, or the names in a directory, on the disk."""
    if os.name == "nt" and path.is_dir():  # which has no such thing
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
