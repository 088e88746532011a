"""A PostgreSQL server that is measured: its own, and what its processes have used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import conninfo, sql

_TICK: Final = os.sysconf("SC_CLK_TCK")
NAME: Final = "millstream_scale"


@contextmanager
def database() -> Iterator[str]:
    """Give the address of a database that is made for this."""
    server = os.environ["MILLSTREAM_TEST_POSTGRES"]
    name = sql.Identifier(NAME)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    try:
        yield conninfo.make_conninfo(server, dbname=NAME)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def set_durable(is_durable: bool) -> None:
    """Have the server wait for its disk at each commit, or not."""
    with psycopg.connect(os.environ["MILLSTREAM_TEST_POSTGRES"], autocommit=True) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            value = sql.SQL("on" if is_durable else "off")
            setting = sql.Identifier(name)
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(setting, value))
        connection.execute("SELECT pg_reload_conf()")


def cpu_of(connection: psycopg.Connection[Any]) -> float:
    """Return the seconds of a processor that the server has used for a connection."""
    return cpu_of_process(connection.info.backend_pid)


def cpu_of_process(pid: int) -> float:
    """Return the seconds of a processor that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICK


def wal_of(connection: psycopg.Connection[Any]) -> int:
    """Return how many bytes the server's log has."""
    row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    assert row is not None
    return int(row[0])
