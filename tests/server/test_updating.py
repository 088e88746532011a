"""`millstream migrate`: what an older version has stored is brought up to date."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from millstream.cli import main
from millstream.journal import sqlite_schema
from millstream.server.storage import migrations
from millstream.server.storage.migrations import HEAD, steps
from millstream.server.storage.ownership import owning
from millstream.server.storage.postgres_indexes import INDEXES
from millstream.server.storage.sqlite import SqliteDatabase
from millstream.server.storage.tables import metadata
from server.fixtures import config_of, running
from server.graphs import make_graphs
from server.streams import thread

Run = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give what calls the command: its exit code, what it says of which file, its complaint."""

    def call(*arguments: str) -> tuple[int, list[str], str]:
        code = main(["migrate", *arguments])
        out, err = capsys.readouterr()
        return code, [line.rpartition("/")[2] for line in out.splitlines()], err

    return call


def make(database: Path, step: str) -> None:
    """Make a database as a version had it that knew no more than some steps."""
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    engine = create_engine(f"sqlite:///{database}")

    def taken(revision: object, _: object) -> object:
        return script._upgrade_revs(step, revision)  # type: ignore[arg-type]

    with (
        engine.begin() as connection,
        EnvironmentContext(Config(), script, fn=taken) as environment,
    ):
        environment.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        environment.run_migrations()
    engine.dispose()


def test_there_is_a_step_for_each_module_and_the_last_is_the_head() -> None:
    known = steps()

    assert list(known)[-1] == HEAD
    assert known["0001"] == "0001_first"
    assert [name[:4] for name in known.values()] == list(known)


def test_what_is_missing_is_said_and_then_done_once(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(here / "server.db", "0003")
    with monkeypatch.context() as before:
        before.setattr(sqlite_schema, "MIGRATIONS", sqlite_schema.MIGRATIONS[:1])
        with closing(sqlite3.connect(here / "server-threads.db")) as connection:
            sqlite_schema.prepare(connection, "server-threads.db")
            connection.commit()
    expected = [
        *(f"server.db: {name}" for number, name in steps().items() if number > "0003"),
        "server-threads.db: version 2",
    ]

    for _ in range(2):
        code, lines, _ = run("--check", "--database", "server.db")
        assert (code, lines) == (1, [f"{step} is missing" for step in expected])
    code, lines, _ = run("--database", "server.db")
    assert (code, lines) == (0, [f"{step} is done" for step in expected])
    for arguments in ((), ("--check",)):
        told = run("--database", "server.db", *arguments)
        assert told == (0, ["everything is up to date"], "")
    with running(config_of(make_graphs(), here, database="server.db")) as server:
        thread(server)


def test_a_check_makes_no_files(here: Path, run: Run) -> None:
    code, lines, _ = run("--check", "--database", "new.db")

    assert code == 1
    assert lines == [f"new.db: {name} is missing" for name in steps().values()]
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("in_files")
def test_a_running_server_is_up_to_date_and_not_disturbed(here: Path, run: Run) -> None:
    with running(config_of(make_graphs(), here)) as server:
        thread(server)
        for arguments in ((), ("--check",)):
            assert run(*arguments) == (0, ["everything is up to date"], "")


def test_a_server_that_is_older_has_to_end_first(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millstream.server.updating.PATIENCE", 0.0)
    database = here / "old.db"
    make(database, "0003")
    with owning(database):
        code, lines, told = run("--database", "old.db")

    assert (code, lines) == (2, [])
    assert "is in use by another server" in told


def test_a_newer_database_and_what_is_none_are_left_alone(here: Path, run: Run) -> None:
    database = SqliteDatabase(here / "newer.db")
    for change in ("alembic_version SET version_num", "usable_from SET step"):
        asyncio.run(
            database.write(lambda c, change=change: c.execute(text(f"UPDATE {change}='9'")))
        )
    database.close()
    (here / "text.db").write_text("this is no database, and long enough to be none" * 9)

    for name, told in (("newer.db", "newer version of millstream"), ("text.db", "cannot be read")):
        for arguments in ((), ("--check",)):
            code, lines, error = run("--database", name, *arguments)
            assert (code, lines) == (2, [])
            assert told in error


@pytest.mark.long
def test_several_at_once_wait_for_each_other(here: Path) -> None:
    make(here / "server.db", "0002")
    command = [sys.executable, "-m", "millstream.cli", "migrate", "--database", "server.db"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(5)]  # type: ignore[call-overload]
    told = [process.communicate(timeout=100) for process in processes]

    assert [process.returncode for process in processes] == [0] * 5, told
    done = [line for out, _ in told for line in out.splitlines() if line.endswith("is done")]
    assert [line.rpartition("/")[2] for line in done] == [
        f"server.db: {name} is done" for number, name in steps().items() if number > "0002"
    ]


def test_a_database_in_postgresql_is_brought_up_to_date_too(empty_database: str, run: Run) -> None:
    known = [*steps().values(), *(f"index {index.name}" for index in INDEXES)]
    code, lines, _ = run("--check", "--database", empty_database)
    assert (code, [line.partition(": ")[2] for line in lines]) == (
        1,
        [f"{name} is missing" for name in known],
    )
    code, lines, _ = run("--database", empty_database)
    assert (code, [line.partition(": ")[2] for line in lines]) == (
        0,
        [f"{name} is done" for name in known],
    )
    for arguments in ((), ("--check",)):
        told = run("--database", empty_database, *arguments)
        assert told == (0, ["everything is up to date"], "")
    assert main(["backup", "saved", "--database", empty_database]) == 2
