"""What servers need of the PostgreSQL that they share: connections, rights, no session."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

import waiting
from pooling import PROGRAM, pooled
from server.fixtures import Running
from server.streams import names, parse, start, thread
from server.test_recovery import COUNT, Gate
from server.test_replicas import (
    held,
    known,
    own,
    seen,
    serving,
    status,
)

psycopg = pytest.importorskip("psycopg")
pytestmark = [
    pytest.mark.real_time(reason="leases end by the clock of the database"),
    pytest.mark.usefixtures("impatient"),
]

MOST: Final = 26
"""Connections that one server has, as docs/deploy.md says."""
TRACKED: Final = {
    "DateStyle", "TimeZone", "application_name", "client_encoding", "default_transaction_read_only",
    "in_hot_standby", "integer_datetimes", "is_superuser", "server_encoding", "server_version",
    "session_authorization", "standard_conforming_strings", "transaction_isolation",
    "transaction_read_only",
}  # fmt: skip
"""Settings that PgBouncer gives each client its own of, and those of a transaction."""


def ask(address: str, query: str) -> list[Any]:
    """Return what the database says."""
    with psycopg.connect(address, autocommit=True, prepare_threshold=None) as connection:
        return list(connection.execute(query).fetchall())


def states(address: str) -> list[str]:
    """Return what each connection of others does."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    return [
        state for (state,) in ask(address, f"SELECT state FROM pg_stat_activity WHERE {others}")
    ]


def busy(server: Running, count: int) -> None:
    """Have everything of a server asked for at once: threads, runs, the store."""

    def go_round(number: int) -> None:
        item = {"namespace": ["x"], "key": f"{number}", "value": {"n": number}}
        assert server.http.put("/store/items", json=item).status_code == 204
        found = server.http.get("/store/items", params={"namespace": "x", "key": f"{number}"})
        assert found.json()["value"] == {"n": number}
        body = {"assistant_id": "steps", "input": {}, "stream_resumable": True}
        at = thread(server, metadata={"number": number})
        said = server.http.post(f"/threads/{at}/runs/stream", json=body)
        assert names(parse(said.text))[-1] == "values", said.text
        assert seen(server, at) == list(range(COUNT))

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(go_round, range(count)))


@pytest.mark.timeout(180)
def test_streams_that_wait_have_no_connection_to_the_database(
    new_database: str, tmp_path: Path
) -> None:
    """However many there are; and a server that is asked for everything has its number of them."""
    count = 500

    async def open_streams(server: Running, ats: list[str]) -> list[Any]:
        host, port = server.url.removeprefix("http://").split(":")
        opened = []
        for number in range(count):
            reader, writer = await asyncio.open_connection(host, int(port))
            path = f"/threads/{ats[number % len(ats)]}/stream"
            writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
            opened.append((reader, writer))
        for reader, _ in opened:
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        return opened

    async def main(server: Running) -> None:
        ats = [thread(server) for _ in range(10)]
        opened = await open_streams(server, ats)
        assert server.service.metrics.streams == count
        assert await waiting.auntil(lambda: set(states(new_database)) == {"idle"})
        pool = server.service.db.engine.pool
        assert await waiting.auntil(lambda: pool.checkedout() == 0)
        assert len(states(new_database)) <= MOST
        # Others are answered as before, and nobody has waited for a connection.
        await asyncio.to_thread(busy, server, 4)
        assert len(states(new_database)) <= MOST
        assert server.service.metrics.streams == count
        for _, writer in opened:
            writer.close()
        assert await waiting.auntil(lambda: server.service.metrics.streams == 0)

    with serving(new_database, tmp_path / "a") as server:
        busy(server, 24)
        assert len(states(new_database)) <= MOST
        asyncio.run(main(server))


@contextmanager
def app_role(address: str, *, makes_schema: bool) -> Iterator[str]:
    """Give the address of a database for a role that may do little there."""
    name = f"app_{uuid.uuid4().hex}"
    database = psycopg.conninfo.conninfo_to_dict(address)["dbname"]
    password = "made-for-a-test"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN NOSUPERUSER PASSWORD '{password}'")
        connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
        connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {name}")
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        connection.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
        if makes_schema:
            connection.execute(f"GRANT CREATE ON DATABASE {database} TO {name}")
        else:
            connection.execute(f"CREATE SCHEMA millstream AUTHORIZATION {name}")
        try:
            yield psycopg.conninfo.make_conninfo(address, user=name, password=password)
        finally:
            connection.execute(f"DROP OWNED BY {name} CASCADE")
            connection.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("makes_schema", [True, False])
def test_servers_need_no_rights_but_to_their_own_tables(
    empty_database: str, tmp_path: Path, *, makes_schema: bool
) -> None:
    with app_role(empty_database, makes_schema=makes_schema) as conninfo, ExitStack() as stack:
        parts = psycopg.conninfo.conninfo_to_dict(conninfo)
        address = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**parts)
        one, two = (stack.enter_context(serving(address, tmp_path / name)) for name in "ab")
        # They hear each other, and see that each is connected.
        assert waiting.until(lambda: bool(one.service.membership.others))
        assert waiting.until(lambda: one.service.membership.others[0].is_connected)
        assert waiting.until(lambda: one.service.bell.is_listening)
        busy(one, 3)
        at = thread(one)
        run_id = start(two, at, "steps", {})["run_id"]
        assert waiting.until(lambda: status(one, at, run_id) == "success")
        [[is_superuser]] = ask(
            conninfo, "SELECT usesuper FROM pg_user WHERE usename = current_user"
        )
        assert is_superuser is False
        schemas = "SELECT DISTINCT schemaname FROM pg_tables WHERE tableowner = current_user"
        assert {name for (name,) in ask(conninfo, schemas)} == {"millstream", parts["user"]}


def left_in_sessions(address: str, count: int) -> dict[str, Any]:
    """Return what is kept in the sessions that a pooler lends, all of them."""
    queries = {
        "settings": "SELECT name FROM pg_settings WHERE source = 'session'",
        "prepared": "SELECT statement FROM pg_prepared_statements",
        "listening": "SELECT pg_listening_channels()",
        "locks": "SELECT objid FROM pg_locks WHERE pid = pg_backend_pid() AND classid > 0",
        "tables": "SELECT relname FROM pg_class WHERE relpersistence = 't'",
        "path": "SELECT 1 WHERE current_setting('search_path') <> '\"$user\", public'",
    }
    found: dict[str, set[Any]] = {name: set() for name in queries}
    processes = set()
    together = threading.Barrier(count)

    def look() -> None:
        with psycopg.connect(address, prepare_threshold=None) as connection:
            processes.add(connection.execute("SELECT pg_backend_pid()").fetchone())
            for name, query in queries.items():
                found[name] |= {value for (value,) in connection.execute(query)}
            # In a transaction each has a session of its own.
            together.wait(timeout=60)

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(look) for _ in range(count)]:
            done.result()
    assert len(processes) == count
    found["settings"] -= TRACKED
    return {name: kept for name, kept in found.items() if kept}


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer")
def test_servers_behind_pgbouncer_keep_nothing_in_a_session(
    new_database: str, tmp_path: Path
) -> None:
    """Each transaction may be in another one: all of a server goes through it but for its ear."""
    gate = Gate(3)
    with ExitStack() as stack:
        pooler = stack.enter_context(pooled_at(new_database, tmp_path))
        options = {"listen_database": new_database}
        leaving = stack.enter_context(ExitStack())
        one = leaving.enter_context(serving(pooler, tmp_path / "a", gate, **options))
        two = stack.enter_context(serving(pooler, tmp_path / "b", **options))
        for server in (one, two):
            assert waiting.until(lambda server=server: server.service.bell.is_listening)
            assert waiting.until(lambda server=server: bool(server.service.membership.others))
            assert waiting.until(
                lambda server=server: server.service.membership.others[0].is_connected
            )
        for _ in range(3):
            busy(two, 8)
        at = thread(two)
        run_id = start(one, at, "steps", {})["run_id"]
        assert waiting.until(lambda: gate.is_reached)
        assert held(two, run_id) == (own(one), 1)
        gate.is_open = True
        assert waiting.until(lambda: status(two, at, run_id) == "success")
        assert left_in_sessions(pooler, 4) == {}
        leaving.close()
        assert known(two) == {own(two)}
        busy(two, 8)
        assert left_in_sessions(pooler, 4) == {}


@contextmanager
def pooled_at(address: str, folder: Path) -> Iterator[str]:
    """Have a PgBouncer before a database, and give its address as servers are told."""
    with pooled(address, folder) as conninfo:
        parts = psycopg.conninfo.conninfo_to_dict(conninfo)
        yield "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**parts)
