"""Which of the two databases it is, and that no other server has it if it is a file."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from millstream.server.storage.ownership import owning
from millstream.server.storage.sqlite import SqliteDatabase

if TYPE_CHECKING:
    import threading

    from millstream.server.clock import Clock
    from millstream.server.config import ServerConfig
    from millstream.server.encryption.sealer import Sealer
    from millstream.server.storage.database import Database


def open_database(
    config: ServerConfig,
    sealer: Sealer | None,
    clock: Clock | None = None,
    *,
    is_left: threading.Event | None = None,
) -> Database:
    """Open the database that a configuration names; its tables are up to date then.

    Once `is_left` is set, it does not wait any more for others that bring them up to date.
    """
    if config.postgres is None:
        return SqliteDatabase(config.database_path, sealer, clock=clock)
    from millstream.server.storage.postgres import PostgresDatabase
    from millstream.server.storage.postgres_engine import Address

    address = Address(config.postgres, config.lease_seconds)
    return PostgresDatabase(address, sealer, clock=clock, is_left=is_left)


def owning_database(config: ServerConfig) -> AbstractContextManager[None]:
    """Own the database of a configuration until the block ends, if it is a file.

    Servers share one in PostgreSQL: see `replicas`.
    """
    return nullcontext() if config.postgres else owning(config.database_path)
