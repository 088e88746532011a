"""Backups of servers that go on, and what is made of them."""

from __future__ import annotations

import json
import operator
import sqlite3
import subprocess
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

import waiting
from forked_python import run_python
from millstream.cli import main
from millstream.graph import START, StateGraph
from millstream.server.config import CheckpointerConfig, ServerConfig, StoreConfig
from millstream.server.errors import ConfigError
from millstream.server.storage.backup import BackupError, back_up, files_of, one_moment, restore
from millstream.server.storage.ownership import being_restored, owning
from server.databases import empty_postgres
from server.fixtures import Running, config_of, running
from server.streams import start, thread

pytestmark = pytest.mark.usefixtures("in_files")

COUNT = 5
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
"""Where PostgreSQL's programs are."""


class Steps(TypedDict, total=False):
    gate: str
    seen: Annotated[list[int], operator.add]


class Gates:
    """Where runs wait at their third step, if their input says so."""

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self.is_open = False

    async def step(self, state: Steps) -> dict[str, Any]:
        done = len(state.get("seen", ()))
        gate = state.get("gate")
        if done == 2 and gate:
            self.reached.add(gate)
            await waiting.auntil(lambda: self.is_open)
        return {"seen": [done]}

    def graphs(self) -> dict[str, Any]:
        """Return a graph that takes `COUNT` steps."""
        builder = StateGraph(Steps).add_node("step", self.step).add_edge(START, "step")
        builder.add_conditional_edges(
            "step", lambda state: "step" if len(state["seen"]) < COUNT else "__end__"
        )
        return {"steps": builder.compile()}


def ended(server: Running, at: str, run_id: str) -> tuple[str, Any]:
    """Return how a run has ended when it has, and what its thread has seen."""
    path = f"/threads/{at}/runs/{run_id}"
    server.http.get(f"{path}/join")
    seen = server.http.get(f"/threads/{at}/state").json()["values"]["seen"]
    return server.http.get(path).json()["status"], seen


def used(server: Running) -> str:
    """Have a run to its end, and return its thread."""
    at = thread(server)
    assert ended(server, at, start(server, at, "steps", {})["run_id"]) == ALL
    return at


def busy(server: Running) -> Any:
    """Return the threads on which something runs or waits."""
    return server.http.post("/threads/search", json={"status": "busy"}).json()


def content(path: Path) -> list[str]:
    """Return everything that a file has."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


ALL = ("success", list(range(COUNT)))


@contextmanager
def restored(config: ServerConfig, source: Path, here: Path, gates: Gates) -> Iterator[Running]:
    """Serve what a backup has, at another place."""
    other = config_of(gates.graphs(), here)
    restore(other, source, replaces=False)
    for name, path in files_of(other).items():
        assert content(path) == content(source / name)
    with running(other) as server:
        yield server


def test_a_backup_is_the_server_at_that_moment_and_its_runs_go_on(tmp_path: Path) -> None:
    gates = Gates()
    config = config_of(gates.graphs(), tmp_path / "first", n_jobs_per_worker=1)
    item = {"namespace": ["a"], "key": "k", "value": {"v": 1}}
    with running(config) as server:
        done = thread(server)
        first = start(server, done, "steps", {})
        assert ended(server, done, first["run_id"]) == ALL
        server.http.put("/store/items", json=item)
        midway, behind = thread(server), thread(server)
        second = start(server, midway, "steps", {"gate": "here"})
        assert waiting.until(lambda: gates.reached == {"here"})
        third = start(server, behind, "steps", {})

        made = back_up(config, tmp_path / "backup")

        assert sorted(made.files) == ["server.db", "store.db", "threads.db"]
        assert made.elsewhere == []
        later = thread(server)
        server.http.put("/store/items", json={**item, "value": {"v": 2}})
        gates.is_open = True
        for at, run in ((midway, second), (behind, third)):
            assert ended(server, at, run["run_id"]) == ALL
    with restored(config, tmp_path / "backup", tmp_path / "second", gates) as server:
        for at, run in ((done, first), (midway, second), (behind, third)):
            assert ended(server, at, run["run_id"]) == ALL
        found = server.http.get("/store/items", params={"namespace": "a", "key": "k"}).json()
        assert found["value"] == {"v": 1}
        assert server.http.get(f"/threads/{later}").status_code == 404
        assert busy(server) == []


def test_who_copies_sees_one_moment_and_holds_nobody_up(tmp_path: Path) -> None:
    config = config_of(Gates().graphs(), tmp_path)

    def counts(connections: Sequence[sqlite3.Connection]) -> list[int]:
        tables = ("threads", "journal_checkpoints", "store")
        return [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table, connection in zip(tables, connections, strict=True)
        ]

    with running(config) as server:

        def use(key: str) -> None:
            used(server)
            item = {"namespace": ["a"], "key": key, "value": {}}
            assert server.http.put("/store/items", json=item).status_code == 204

        use("one")
        files = list(files_of(config).values())
        with one_moment(files) as (readers, _):
            before = counts(readers)
            use("two")
            assert counts(readers) == before
        with one_moment(files) as (readers, _):
            assert [new > old for new, old in zip(counts(readers), before, strict=True)] == [
                True
            ] * 3


class Load:
    """Clients that ask for runs, one after another, until they are stopped."""

    def __init__(self, server: Running, clients: int) -> None:
        self.acknowledged: list[tuple[str, str]] = []
        self._server = server
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for one in self._threads:
            one.start()

    def _ask(self) -> None:
        while not self._stop.is_set():
            at = thread(self._server)
            run = start(self._server, at, "steps", {})
            self.acknowledged.append((at, run["run_id"]))

    def stop(self) -> None:
        """Have them end."""
        self._stop.set()
        for one in self._threads:
            one.join()


@pytest.mark.parametrize("count", [1, pytest.param(6, marks=pytest.mark.long)])
def test_a_backup_under_load_has_every_run_that_was_acknowledged(
    count: int, tmp_path: Path
) -> None:
    gates = Gates()
    config = config_of(gates.graphs(), tmp_path / "first")
    known: list[list[tuple[str, str]]] = []
    with running(config) as server:
        load = Load(server, clients=2)
        try:
            for n in range(count):
                wanted = 8 * (n + 1)
                assert waiting.until(lambda wanted=wanted: len(load.acknowledged) >= wanted)
                known.append(list(load.acknowledged))
                made = back_up(config, tmp_path / f"backup {n}")
                assert made.paused < 5
        finally:
            load.stop()
    for n, acknowledged in enumerate(known):
        with restored(config, tmp_path / f"backup {n}", tmp_path / str(n), gates) as server:
            for at, run_id in acknowledged:
                assert ended(server, at, run_id) == ALL
            assert waiting.until(lambda server=server: busy(server) == [])
            threads = server.http.post("/threads/search", json={"limit": 1000}).json()
            assert len(threads) >= len(acknowledged)
            # Those that have a run have all of it, the others nothing.
            seen = [one["values"]["seen"] for one in threads if one["values"]]
            assert seen == [list(range(COUNT))] * len(seen)


def test_what_own_code_keeps_is_said_to_be_missing(tmp_path: Path) -> None:
    with running(config_of(Gates().graphs(), tmp_path)) as server:
        used(server)
    own = config_of(
        {},
        tmp_path,
        checkpointer=CheckpointerConfig(path="./own.py:saver"),
        store=StoreConfig(path="./own.py:store"),
    )

    made = back_up(own, tmp_path / "backup")

    assert list(made.files) == ["server.db"]
    assert made.elsewhere == ["checkpointer.path", "store.path"]
    back_up(config_of({}, tmp_path), tmp_path / "whole")
    with pytest.raises(BackupError, match=r"has threads\.db, and the configuration names another"):
        restore(own, tmp_path / "whole", replaces=True)


@pytest.fixture
def backup(tmp_path: Path) -> tuple[ServerConfig, Path]:
    """Give a server's configuration, and a backup of what it has."""
    config = config_of(Gates().graphs(), tmp_path / "first")
    with running(config) as server:
        used(server)
    back_up(config, tmp_path / "backup")
    return config, tmp_path / "backup"


def test_what_is_wrong_with_a_backup_is_said_before_anything_changes(
    backup: tuple[ServerConfig, Path], tmp_path: Path
) -> None:
    config, source = backup
    before = {path: content(path) for path in files_of(config).values()}

    def refused(told: str, *, replaces: bool = True) -> None:
        with pytest.raises(ConfigError, match=told):
            restore(config, source, replaces=replaces)
        assert {path: content(path) for path in files_of(config).values()} == before
        assert [
            path for path in config.database_path.parent.iterdir() if "resto" in path.name
        ] == []

    refused("is there already; --replace takes the backup", replaces=False)
    with owning(config.database_path):
        refused("is in use by another server")
    manifest = source / "backup.json"
    text = manifest.read_text()
    for wrong, told in (
        (text.replace('"format": 1', '"format": 2'), "newer version of millstream"),
        (text.replace('"revision": "0', '"revision": "9'), "newer version of millstream"),
        ("{", "is no backup"),
        ("[]", "is no backup"),
    ):
        manifest.write_text(wrong)
        refused(told)
    manifest.write_text(text)
    with (source / "threads.db").open("r+b") as file:
        file.seek(5000)
        file.write(b"\0\1")
    refused("is not the file that was written")
    (source / "threads.db").unlink()
    refused("No such file")


def test_no_backup_is_made_of_what_is_none_or_over_what_is_there(
    backup: tuple[ServerConfig, Path], tmp_path: Path
) -> None:
    config, made = backup
    nothing = config_of({}, tmp_path / "nothing")
    other = config_of({}, tmp_path, database="other.db")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE x (y)")

    # Not in a directory.
    with pytest.raises(BackupError, match=r"no backup was made: .*other\.db"):
        back_up(config, tmp_path / "other.db" / "backups" / "new")
    for given, target, told in (
        (nothing, "new", "there is no database"),
        (config, "backup", "is there already"),
        (other, "new", "is no database of a server"),
    ):
        with pytest.raises(BackupError, match=told):
            back_up(given, tmp_path / target)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "first", "other.db"]
    assert (made / "backup.json").exists()


KILLED = """
import json, os, sqlite3, sys
from pathlib import Path
from millstream.server.config import ServerConfig
from millstream.server.errors import ConfigError
from millstream.server.storage.backup import back_up, files_of, restore
from millstream.server.storage.ownership import owning

here = Path(sys.argv[1])
config = ServerConfig(directory=here, database="server.db")
STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "shutil.copyfile", "sqlite3.connect"}


def killed(at, act):
    # Dies before what would be its step `at`; returns whether it came so far.
    if (pid := os.fork()) == 0:
        steps = [at]
        def step(event, arguments):
            if event in STEPS and str(here) in str(arguments[0]):
                steps[0] -= 1
                if steps[0] < 0:
                    os._exit(9)
        sys.addaudithook(step)
        act()
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9), code
    return code == 9


def write(value):
    # As a process leaves its files that is killed: with a log beside them.
    if (pid := os.fork()) == 0:
        for path in files_of(config).values():
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num)")
            connection.execute("DELETE FROM alembic_version")
            connection.execute("INSERT INTO alembic_version VALUES (?)", (value,))
        os._exit(0)
    os.waitpid(pid, 0)


def read():
    found = set()
    for path in files_of(config).values():
        connection = sqlite3.connect(path)
        found |= set(connection.execute("SELECT version_num FROM alembic_version"))
        connection.close()
    return sorted(value for value, in found)


def state():
    try:
        with owning(config.database_path):
            return read()
    except ConfigError as error:
        return str(error)
"""


def run_killed(here: Path, program: str) -> Any:
    """Run a program that is killed again and again, and return what it tells."""
    done = run_python("-c", KILLED + textwrap.dedent(program), str(here))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
def test_a_restore_that_is_killed_at_any_step_leaves_all_or_nothing_or_is_done_again(
    tmp_path: Path,
) -> None:
    states = run_killed(
        tmp_path,
        """
        write("0001")
        back_up(config, here / "backup")
        states = []
        for at in range(1000):
            write("0002")
            was_killed = killed(at, lambda: restore(config, here / "backup", replaces=True))
            states.append(state())
            if not was_killed:
                break
            restore(config, here / "backup", replaces=isinstance(states[-1], list))
            assert read() == ["0001"], read()
        print(json.dumps(states))
        """,
    )

    assert len(states) > 15
    refused = next(state for state in states if isinstance(state, str))
    assert "is only half restored: call `millstream restore` again" in refused
    first, last = states.index(refused), len(states) - states[::-1].index(refused)
    assert states[:first] == [["0002"]] * first
    assert states[first:last] == [refused] * (last - first)
    assert states[last:] == [["0001"]] * (len(states) - last)
    assert states[-1] == ["0001"]


@pytest.mark.long
def test_a_backup_that_is_killed_at_any_step_is_whole_or_not_there(tmp_path: Path) -> None:
    there = run_killed(
        tmp_path,
        """
        write("0001")
        there = []
        for at in range(1000):
            target = here / f"backup{at}"
            was_killed = killed(at, lambda: back_up(config, target))
            assert state() == ["0001"]
            there.append(target.exists())
            if there[-1]:
                write("0002")
                restore(config, target, replaces=True)
                assert state() == ["0001"]
            if not was_killed:
                break
        print(json.dumps(there))
        """,
    )

    assert len(there) > 10
    assert there[-1] is True
    assert there == sorted(there)


def test_a_server_does_not_start_on_what_is_half_restored(
    backup: tuple[ServerConfig, Path], tmp_path: Path
) -> None:
    config, source = backup
    being_restored(config.database_path).touch()

    with (
        pytest.raises(ConfigError, match="half restored: call `millstream restore` again"),
        owning(config.database_path),
    ):
        pass
    with pytest.raises(BackupError, match="is only half restored"):
        back_up(config, tmp_path / "new")
    restore(config, source, replaces=False)
    with running(config) as server:
        assert len(server.http.post("/threads/search", json={}).json()) == 1


def test_the_commands_tell_what_they_have_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        server = stack.enter_context(running(config_of(Gates().graphs(), tmp_path)))
        at = used(server)
        assert main(["backup", "saved"]) == 0
        told = capsys.readouterr().out
        assert told.startswith("saved: server.db, threads.db, store.db, ")
        assert main(["restore", "saved", "--replace"]) == 2
        assert "is in use by another server" in capsys.readouterr().err
    assert main(["restore", "saved", "--database", "other.db"]) == 0
    told = capsys.readouterr().out
    assert [line.rpartition("/")[2] for line in told.splitlines()] == [
        "other.db: restored",
        "other-threads.db: restored",
        "other-store.db: restored",
    ]
    with running(config_of(Gates().graphs(), tmp_path, database="other.db")) as server:
        assert server.http.get(f"/threads/{at}").status_code == 200


@pytest.mark.long
@pytest.mark.skipif(not PROGRAMS, reason="there are no programs of PostgreSQL")
def test_a_dump_of_postgresql_is_the_server_at_that_moment_too(
    new_database: str, tmp_path: Path
) -> None:
    gates = Gates()
    dump = str(tmp_path / "dump")
    config = config_of(gates.graphs(), tmp_path, database=new_database)
    item = {"namespace": ["a"], "key": "k", "value": {"v": 1}}
    with running(config) as server:
        done = used(server)
        server.http.put("/store/items", json=item)
        midway = thread(server)
        run = start(server, midway, "steps", {"gate": "here"})
        assert waiting.until(lambda: gates.reached == {"here"})
        command = [str(PROGRAMS[-1] / "pg_dump"), "--format=custom", f"--file={dump}"]
        subprocess.run([*command, new_database], check=True)
        gates.is_open = True
        assert ended(server, midway, run["run_id"]) == ALL
    with empty_postgres() as other:
        command = [str(PROGRAMS[-1] / "pg_restore"), "--no-owner", f"--dbname={other}"]
        subprocess.run([*command, dump], check=True)
        config = config_of(gates.graphs(), tmp_path, database=other)
        with running(config) as server:
            assert ended(server, midway, run["run_id"]) == ALL
            [of_before] = server.http.get(f"/threads/{done}/runs").json()
            assert ended(server, done, of_before["run_id"]) == ALL
            found = server.http.get("/store/items", params={"namespace": "a", "key": "k"}).json()
            assert found["value"] == {"v": 1}
            assert busy(server) == []
