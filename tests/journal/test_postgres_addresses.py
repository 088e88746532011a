"""Which addresses of PostgreSQL are taken, and that nobody reads their passwords."""

from __future__ import annotations

import logging
import socket
import traceback
from pathlib import Path
from typing import Any

import pytest

from journal.journals import DRIVERS, new_config
from journal.states import States, Thread
from journal.test_postgres import ask
from millstream.journal import PostgresJournal
from millstream.journal.exchange.postgres import PostgresTables
from millstream.journal.postgres_connections import Connections, checked_address, greeting
from pooling import PROGRAM, pooled

psycopg = pytest.importorskip("psycopg")

BAD = [
    "postgresql://me:hush@[host/db",
    "postgresql://me:hush%@host/db",
    "postgresql://me:hush@host:port/db",
    "postgresql://me:1/hush@host/db",
    "postgresql://me:a@hush@host/db",
    "postgresql://me:a/hush@host/db",
    "postgresql://me:a?hush@hush@host/db",
    "postgresql:/me:hush@host/db",
    "me:hush@host/db",
    "host=h pasword=hush",
    "host=h password='hush",
    "host=h port=hush",
]


@pytest.mark.parametrize("address", BAD)
@pytest.mark.parametrize(
    "opens", [PostgresJournal, lambda a: PostgresTables(a, None, is_target=False)]
)
def test_what_is_no_address_is_refused_without_its_password(address: str, opens: Any) -> None:
    """Before anything is connected to: libpq's own words have what it takes for a host."""
    with pytest.raises(ValueError, match="write %40 for @") as failure:
        opens(address)
    assert "hush" not in "".join(traceback.format_exception(failure.value))


@pytest.mark.parametrize("where", [{"password": "hush"}, b"password=hush", 42])
def test_what_cannot_be_an_address_is_named_by_its_type(where: Any) -> None:
    with pytest.raises(TypeError, match=type(where).__name__) as failure:
        PostgresJournal(where)
    assert "hush" not in str(failure.value)


def test_a_password_that_is_wrong_is_in_no_error_and_no_log(
    postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = psycopg.conninfo.make_conninfo(postgres, password="hush hush")
    with caplog.at_level(logging.DEBUG), PostgresJournal(wrong) as journal:
        storage: Any = journal._storage
        assert "hush" not in f"{journal!r} {storage!r} {journal} {vars(journal)}"
        with pytest.raises(psycopg.OperationalError, match="password authentication") as failure:
            journal.get_tuple(new_config("thread"))
    assert "hush" not in "".join(traceback.format_exception(failure.value))
    assert "hush" not in caplog.text


def options_of(journal: PostgresJournal) -> dict[str, str]:
    """Return with which options a journal is connected."""
    storage: Any = journal._storage
    with storage._opened().connection() as connection:
        options: dict[str, str] = connection.info.get_parameters()
    return options


@pytest.mark.parametrize("is_url", [True, False])
def test_all_that_libpq_knows_is_passed_on(postgres: str, is_url: bool) -> None:
    """In either form; what an address does not say of a network that is gone is said for it."""
    given = psycopg.conninfo.conninfo_to_dict(postgres)
    if is_url:
        login = f"{given['user']}:{given['password']}@{given['host']}:{given['port']}"
        address = (
            f"postgresql://{login}/{given['dbname']}"
            "?application_name=mill&keepalives_idle=7&sslmode=disable"
        )
    else:
        address = f"{postgres} application_name=mill keepalives_idle=7 sslmode=disable"
    with PostgresJournal(address) as journal:
        options = options_of(journal)
        journal.put(*Thread(States(1), "thread").next())
    assert options["application_name"] == "mill"
    assert options["sslmode"] == "disable"
    assert options["keepalives_idle"] == "7"
    assert options["tcp_user_timeout"] == "30000"


def test_a_network_without_a_sign_counts_as_gone_when_it_is_said() -> None:
    address = checked_address("postgresql://host/database?keepalives_count=9", 15)
    options = psycopg.conninfo.conninfo_to_dict(address)
    assert [options[f"keepalives_{name}"] for name in ("idle", "interval", "count")] == list("539")
    assert options["tcp_user_timeout"] == "15000"
    assert checked_address(address) == checked_address(address, 99) == address


def test_a_server_is_told_when_a_client_counts_as_gone() -> None:
    assert greeting(checked_address("postgresql://host/database", 15)) == (
        "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 3; "
        "SET tcp_keepalives_count = 3; SET tcp_user_timeout = 15000"
    )
    assert greeting(checked_address("postgresql://host/database?keepalives=0")) == ""


def test_each_connection_has_the_server_notice_that_it_is_gone(postgres: str) -> None:
    with PostgresJournal(postgres) as journal:
        journal.put(*Thread(States(1), "thread").next())
        pool = journal._storage._pool
        with pool.connection() as first, pool.connection() as second:
            for connection in (first, second):
                found = connection.execute("SHOW tcp_keepalives_idle").fetchone()
                assert found == ("20",)


@pytest.mark.usefixtures("no_collector")
def test_a_connection_that_takes_too_long_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        address = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/database?connect_timeout=2"
        connections = Connections(address, most=1, timeout=60)
        with pytest.raises(psycopg.errors.ConnectionTimeout), connections.connection():
            pass
        accepted, _ = silent.accept()
        with accepted:
            accepted.settimeout(60)
            while accepted.recv(4096):
                pass


def test_a_server_without_tls_is_not_spoken_to_where_tls_is_wanted(postgres: str) -> None:
    address = psycopg.conninfo.make_conninfo(postgres, sslmode="require")
    with (
        PostgresJournal(address) as journal,
        pytest.raises(psycopg.OperationalError, match="SSL"),
    ):
        journal.get_tuple(new_config("thread"))


def test_how_long_it_is_waited_for_a_connection_may_be_said_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = "postgresql://host/database"
    assert psycopg.conninfo.conninfo_to_dict(checked_address(address))["connect_timeout"] == "10"
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")
    assert "connect_timeout" not in psycopg.conninfo.conninfo_to_dict(checked_address(address))


@pytest.mark.long
@pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer")
@pytest.mark.parametrize("driver", DRIVERS)
def test_behind_pgbouncer_a_journal_is_what_it_is_elsewhere(
    postgres: str, tmp_path: Path, driver: str
) -> None:
    """In transaction mode, with several connections, and requests of one and of many statements."""
    ask(postgres, "DROP SCHEMA IF EXISTS millstream CASCADE")
    with pooled(postgres, tmp_path) as address, DRIVERS[driver]("postgres", address) as calls:
        journal, other = calls.open(), calls.open()
        threads = [Thread(States(number), f"thread{number}") for number in range(3)]
        for _ in range(4):
            for thread in threads:
                calls.call(journal.put, *thread.next())
        calls.call(journal.put_together, [("put", thread.next()) for thread in threads])
        calls.call(other.copy_thread, "thread0", "copy")
        calls.call(other.prune, ["thread1"])
        counts = [len(calls.list(other, new_config(f"thread{number}"))) for number in range(3)]
        assert counts == [5, 1, 5]
        assert len(calls.list(journal, new_config("copy"))) == 5
        assert journal._storage._prepares is False
