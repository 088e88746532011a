"""A path or an address as the saver of a graph."""

from __future__ import annotations

import gc
import os
import sqlite3
from pathlib import Path
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from forked_python import run_python
from millstream.func import entrypoint
from millstream.graph import START, StateGraph
from millstream.journal import PostgresJournal, SqliteJournal
from millstream.journal.storage import JournalClosedError

THREAD: Any = {"configurable": {"thread_id": "1"}}


def _add(left: int, right: int) -> int:
    return left + right


class Total(TypedDict, total=False):
    """What is counted."""

    n: Annotated[int, _add]


def _count(state: Total) -> Total:
    return {"n": 1}


def _counting(checkpointer: Any) -> Any:
    builder = StateGraph(Total).add_node("count", _count).add_edge(START, "count")
    return builder.compile(checkpointer=checkpointer)


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """Give the URL of a database without tables of ours."""
    psycopg = pytest.importorskip("psycopg")
    found = psycopg.conninfo.conninfo_to_dict(request.getfixturevalue("postgres"))
    with psycopg.connect(**found, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS millstream CASCADE")
    dbname = found.pop("dbname")
    found.pop("client_encoding", None)
    query = "&".join(f"{name}={value}" for name, value in found.items())
    return f"postgresql:///{dbname}?{query}"


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_path_is_a_journal_in_that_file(driver: Any, tmp_path: Path, as_path: Any) -> None:
    place = as_path(tmp_path / "threads.db")
    graph = _counting(place)
    assert isinstance(graph.checkpointer, SqliteJournal)
    driver.invoke(graph, {"n": 1}, THREAD)
    graph.checkpointer.close()
    assert driver.invoke(_counting(place), {"n": 1}, THREAD) == {"n": 4}


def test_an_address_is_a_journal_in_that_database(driver: Any, address: str) -> None:
    graph = _counting(address)
    assert isinstance(graph.checkpointer, PostgresJournal)
    assert _counting(address).checkpointer is graph.checkpointer
    driver.invoke(graph, {"n": 1}, THREAD)
    graph.checkpointer.close()
    again = _counting(address)
    assert driver.invoke(again, {"n": 1}, THREAD) == {"n": 4}
    again.checkpointer.close()


def test_workflows_take_a_path(driver: Any, tmp_path: Path) -> None:
    @entrypoint(checkpointer=tmp_path / "threads.db")
    def count(step: int, *, previous: int | None = None) -> int:
        return (previous or 0) + step

    @entrypoint(checkpointer=tmp_path / "threads.db")
    async def acount(step: int, *, previous: int | None = None) -> int:
        return (previous or 0) + step

    workflow = count if driver.name == "sync" else acount
    assert isinstance(workflow.checkpointer, SqliteJournal)
    driver.invoke(workflow, 2, THREAD)
    assert driver.invoke(workflow, 3, THREAD) == 5


def test_graphs_that_name_one_file_share_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink(tmp_path, tmp_path / "link")
    first = _counting("threads.db").checkpointer
    for place in ("./threads.db", tmp_path / "threads.db", "link/threads.db"):
        assert _counting(place).checkpointer is first
    assert _counting("other.db").checkpointer is not first
    assert _counting(":memory:").checkpointer is not _counting(":memory:").checkpointer


def test_a_journal_that_was_closed_is_not_shared_any_more(driver: Any, tmp_path: Path) -> None:
    old = _counting(tmp_path / "threads.db")
    old.checkpointer.close()
    driver.invoke(_counting(tmp_path / "threads.db"), {"n": 1}, THREAD)
    with pytest.raises(JournalClosedError, match=r"threads\.db"):
        driver.invoke(old, {"n": 1}, THREAD)


def _open_files(path: Path) -> list[str]:
    # A descriptor may be closed between the two calls, by another thread.
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return [each for each in found if each.startswith(str(path))]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_the_file_is_closed_when_the_last_graph_is_gone(driver: Any, tmp_path: Path) -> None:
    one, other = _counting(tmp_path / "threads.db"), _counting(tmp_path / "threads.db")
    driver.invoke(one, {"n": 1}, THREAD)
    del one
    gc.collect()
    assert _open_files(tmp_path)
    del other
    gc.collect()
    assert not _open_files(tmp_path)


def test_the_file_is_closed_at_the_end_of_the_interpreter(tmp_path: Path) -> None:
    program = (
        "from typing_extensions import TypedDict\n"
        "from millstream.graph import START, StateGraph\n"
        "S = TypedDict('S', {'n': int})\n"
        "builder = StateGraph(S).add_node('a', lambda s: {'n': 2}).add_edge(START, 'a')\n"
        "graph = builder.compile(checkpointer='threads.db')\n"
        "graph.invoke({'n': 1}, {'configurable': {'thread_id': '1'}})\n"
    )
    run_python("-c", program, cwd=tmp_path).check_returncode()
    # SQLite removes the log when the last connection is closed.
    assert os.listdir(tmp_path) == ["threads.db"]


@pytest.mark.parametrize("place", ["", "a\0b", "missing/threads.db", ".", "text.txt", b"t.db"])
def test_a_path_where_no_journal_can_be_is_named(
    place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("no database at all", encoding="utf-8")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(TypeError if isinstance(place, bytes) else ValueError) as failure:
        _counting(place)
    assert "bytes" in str(failure.value) or repr(place) in str(failure.value)
    assert sorted(os.listdir(tmp_path)) == before


def test_databases_of_other_programs_are_taken(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "app.db")
    connection.execute("CREATE TABLE own (x)")
    connection.close()
    assert _counting(tmp_path / "app.db").invoke({"n": 1}, THREAD) == {"n": 2}


@pytest.mark.parametrize(
    "url",
    ["mysql://me:hush@host/db", "postgresql://me:hush@[host/db", "sqlite:///threads.db"],
)
def test_an_address_of_nothing_we_know_is_named_without_its_password(url: str) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg")
    with pytest.raises(ValueError, match="address") as failure:
        _counting(url)
    assert url.replace("hush", "...") in str(failure.value)
    assert "hush" not in str(failure.value)
    assert failure.value.__cause__ is None
