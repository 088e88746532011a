"""`millstream threads`: what a journal keeps, read and changed from a terminal."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from typing_extensions import TypedDict

from cli.conftest import Millstream
from journal.test_encryption import Cipher
from millstream.cli.threads import opening
from millstream.graph import START, StateGraph
from millstream.journal import PostgresJournal, SqliteJournal
from millstream.journal.exchange.sqlite import SqliteTables

EVIL = "\x1b]0;owned\x07"
"""Sets the title of a terminal."""


class State(TypedDict, total=False):
    """What a thread has."""

    x: int
    said: str


def _step(state: State) -> State:
    return {"x": state["x"] + 1}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, folder: Path) -> str:
    """Give a journal with the threads `1`, of two runs, and one of an evil name."""
    journal: Any
    address = "threads.db"
    if request.param == "postgres":
        psycopg = pytest.importorskip("psycopg")
        found = psycopg.conninfo.conninfo_to_dict(request.getfixturevalue("postgres"))
        with psycopg.connect(**found, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS millstream CASCADE")
        name = found.pop("dbname")
        address = f"postgresql:///{name}?" + "&".join(f"{k}={v}" for k, v in found.items())
        journal = PostgresJournal(address)
    else:
        journal = SqliteJournal(address)
    with journal:
        builder = StateGraph(State).add_node("step", _step).add_edge(START, "step")
        graph = builder.compile(checkpointer=journal)
        for thread_id in ("1", "1", EVIL):
            graph.invoke({"x": 1, "said": EVIL}, {"configurable": {"thread_id": thread_id}})
    return address


def _put(journal: Any, thread_id: str, ns: str, number: int) -> None:
    checkpoint = {**empty_checkpoint(), "id": f"{number:08}", "channel_values": {"x": number}}
    checkpoint["channel_versions"] = {"x": number}
    config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}}
    journal.put(config, checkpoint, {"step": number}, {"x": number})


def _rows(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_threads_are_listed_with_their_newest_checkpoint(
    millstream: Millstream, database: str
) -> None:
    rows = _rows(millstream("threads", "list", database, "--json").out)
    assert [(row["thread_id"], row["step"]) for row in rows] == [("1", 4), (EVIL, 1)]
    shown = millstream("threads", "show", database, "1", "--json")
    assert _rows(shown.out)[0]["checkpoint_id"] == rows[0]["checkpoint_id"]


def test_the_history_is_as_long_as_it_is_asked_for(millstream: Millstream, database: str) -> None:
    rows = _rows(millstream("threads", "history", database, "1", "--json").out)
    assert [row["step"] for row in rows] == [4, 3, 2, 1, 0, -1]
    assert [row["parent_id"] for row in rows] == [
        *(row["checkpoint_id"] for row in rows[1:]),
        None,
    ]
    some = millstream("threads", "history", database, "1", "--limit", "2", "--json")
    assert _rows(some.out) == rows[:2]


def test_a_checkpoint_is_shown_with_its_values(millstream: Millstream, database: str) -> None:
    rows = _rows(millstream("threads", "history", database, "1", "--json").out)
    older = millstream(
        "threads", "show", database, "1", "--checkpoint", rows[-2]["checkpoint_id"], "--json"
    )
    assert _rows(older.out)[0]["values"]["x"] == 1
    newest = _rows(millstream("threads", "show", database, "1", "--json").out)[0]
    assert newest["values"] == {"x": 2, "said": EVIL}


def test_text_of_threads_does_not_reach_the_terminal_raw(
    millstream: Millstream, database: str
) -> None:
    for command in (["list"], ["show", "1"], ["history", EVIL], ["copy", EVIL, f"{EVIL}2"]):
        name, *rest = command
        for flags in ([], ["--json"]) if name != "copy" else ([],):
            outcome = millstream("threads", name, database, *rest, *flags)
            assert outcome.code == 0
            assert outcome.out
            assert "\x1b" not in outcome.out
            assert "\x07" not in outcome.out
    missing = millstream("threads", "show", database, f"no{EVIL}").complaint
    assert "\x1b" not in missing


MAKER = """
from dataclasses import dataclass
from typing import Any
from typing_extensions import TypedDict
from millstream.graph import START, StateGraph

@dataclass
class Loud:
    x: int
    def __post_init__(self):
        print("made")

S = TypedDict("S", {"value": Any})
"""


def test_classes_of_a_thread_are_neither_made_nor_named_on_stderr(
    start: Callable[..., subprocess.Popen[str]], folder: Path
) -> None:
    (folder / "maker.py").write_text(MAKER, encoding="utf-8")
    program = (
        "import maker\n"
        "b = maker.StateGraph(maker.S).add_node('a', lambda s: {'value': maker.Loud(7)})\n"
        "g = b.add_edge(maker.START, 'a').compile(checkpointer='threads.db')\n"
        "g.invoke({'value': 1}, {'configurable': {'thread_id': '1'}})\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    out, err = start("threads", "show", "threads.db", "1").communicate()
    assert "'x': 7" in out
    assert "made" not in out
    assert err == ""


def test_a_copy_has_what_the_thread_has(millstream: Millstream, database: str) -> None:
    assert _rows(millstream("threads", "copy", database, "1", "2", "--json").out) == [
        {"copied": "1", "to": "2"}
    ]
    both = [millstream("threads", "history", database, id, "--json").out for id in ("1", "2")]
    assert both[0] == both[1]
    assert "exists already" in millstream("threads", "copy", database, "1", "2").complaint
    assert "'3'" in millstream("threads", "copy", database, "3", "4").complaint


def test_prune_keeps_the_newest_checkpoint(millstream: Millstream, database: str) -> None:
    before = millstream("threads", "show", database, "1", "--json").out
    young = millstream("threads", "prune", database, "--older-than", "1", "--json")
    assert _rows(young.out) == [{"pruned": 2}]
    assert len(_rows(millstream("threads", "history", database, "1", "--json").out)) == 6
    assert "'3'" in millstream("threads", "prune", database, "1", "3").complaint
    assert _rows(millstream("threads", "prune", database, "1", "--json").out) == [{"pruned": 1}]
    assert len(_rows(millstream("threads", "history", database, "1", "--json").out)) == 1
    assert len(_rows(millstream("threads", "history", database, EVIL, "--json").out)) == 3
    assert millstream("threads", "show", database, "1", "--json").out == before


def test_what_is_no_journal_is_named_and_left_as_it_is(
    millstream: Millstream, folder: Path
) -> None:
    assert "missing.db" in millstream("threads", "list", "missing.db").complaint
    connection = sqlite3.connect("other.db")
    connection.execute("CREATE TABLE own (x)")
    connection.close()
    before = Path("other.db").read_bytes()
    assert "other.db" in millstream("threads", "list", "other.db").complaint
    assert "graphs.py" in millstream("threads", "list", "graphs.py").complaint
    assert "mysql" in millstream("threads", "list", "mysql://host/db").complaint
    assert Path("other.db").read_bytes() == before
    assert sorted(os.listdir()) == ["graphs.py", "other.db"]


def test_lists_are_read_in_pages(
    millstream: Millstream, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millstream.journal.catalog._PAGE", 5)
    with SqliteJournal("threads.db") as journal:
        for number in range(12):
            _put(journal, f"t{number}", "", 1)
        _put(journal, "t0", "inner", 1)

    ids = [
        row["thread_id"] for row in _rows(millstream("threads", "list", "threads.db", "--json").out)
    ]
    page = millstream("threads", "list", "threads.db", "--after", "t9", "--limit", "2", "--json")
    assert ids == [f"t{number}" for number in range(12)]
    assert [row["thread_id"] for row in _rows(page.out)] == ["t10", "t11"]
    assert "'u'" in millstream("threads", "list", "threads.db", "--after", "u").complaint


def test_history_goes_on_before_a_checkpoint(millstream: Millstream, database: str) -> None:
    rows = _rows(millstream("threads", "history", database, "1", "--json").out)
    older = millstream(
        "threads", "history", database, "1", "--before", rows[3]["checkpoint_id"], "--json"
    )
    assert _rows(older.out) == rows[4:]
    first = millstream("threads", "history", database, "1", "--before", rows[-1]["checkpoint_id"])
    assert len(first.out.splitlines()) == 1  # the names of the columns


def test_a_thread_that_has_only_nested_graphs_is_found(
    millstream: Millstream, folder: Path
) -> None:
    with SqliteJournal("threads.db") as journal:
        _put(journal, "1", "inner:7", 3)

    [row] = _rows(millstream("threads", "list", "threads.db", "--json").out)
    assert (row["step"], row["checkpoint_ns"]) == (3, "inner:7")
    assert "inner:7" in millstream("threads", "show", "threads.db", "1").complaint
    shown = millstream("threads", "show", "threads.db", "1", "--ns", "inner:7", "--json")
    assert _rows(shown.out)[0]["values"] == {"x": 3}


def test_ids_are_whole_however_narrow_the_terminal_is(
    millstream: Millstream, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    name = "thread-" * 20
    with SqliteJournal("threads.db") as journal:
        _put(journal, name, "", 1)

    assert name in millstream("threads", "list", "threads.db").out
    assert "00000001" in millstream("threads", "history", "threads.db", name).out


def test_an_encrypted_journal_takes_its_key(
    millstream: Millstream, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(inner: Any) -> EncryptedSerializer:
        return EncryptedSerializer(Cipher(os.environ["LANGGRAPH_AES_KEY"].encode()), inner)

    monkeypatch.setattr(EncryptedSerializer, "from_pycryptodome_aes", make)
    monkeypatch.setenv("LANGGRAPH_AES_KEY", "0123456789abcdef")
    with SqliteJournal("threads.db", serde=make(JsonPlusSerializer())) as journal:
        _put(journal, "1", "", 1)

    shown = millstream("threads", "show", "threads.db", "1", "--encrypted", "--json")
    assert _rows(shown.out)[0]["values"] == {"x": 1}
    assert "--encrypted" in millstream("threads", "list", "threads.db").complaint


def test_a_schema_may_be_named(millstream: Millstream, folder: Path, postgres: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    found = psycopg.conninfo.conninfo_to_dict(postgres)
    name = found.pop("dbname")
    address = f"postgresql:///{name}?" + "&".join(f"{k}={v}" for k, v in found.items())
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS chosen CASCADE")
        connection.execute("DROP SCHEMA IF EXISTS bare CASCADE")
        connection.execute("CREATE SCHEMA bare")
    with PostgresJournal(address, schema="chosen") as journal:
        _put(journal, "1", "", 1)

    rows = _rows(millstream("threads", "list", address, "--schema", "chosen", "--json").out)
    assert [row["thread_id"] for row in rows] == ["1"]
    assert "'bare'" in millstream("threads", "list", address, "--schema", "bare").complaint
    with psycopg.connect(postgres) as connection:
        query = "SELECT count(*) FROM pg_tables WHERE schemaname = 'bare'"
        assert connection.execute(query).fetchone() == (0,)


def test_a_prune_that_is_interrupted_has_pruned_threads_whole(
    millstream: Millstream, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = PostgresJournal if "://" in database else SqliteJournal
    prune = kind.prune
    pruned: list[str] = []

    def interrupted(self: Any, ids: list[str], **options: Any) -> None:
        if pruned:
            raise KeyboardInterrupt
        pruned.extend(ids)
        prune(self, ids, **options)

    monkeypatch.setattr(kind, "prune", interrupted)
    outcome = millstream("threads", "prune", database)
    assert (outcome.code, outcome.out) == (130, "")
    assert len(_rows(millstream("threads", "history", database, "1", "--json").out)) == 1
    assert len(_rows(millstream("threads", "history", database, EVIL, "--json").out)) == 3


def test_diff_tells_what_a_step_has_changed(millstream: Millstream, database: str) -> None:
    rows = _rows(millstream("threads", "history", database, "1", "--json").out)
    [step] = _rows(millstream("threads", "diff", database, "1", "--json").out)
    assert (step["from"], step["to"]) == (rows[1]["checkpoint_id"], rows[0]["checkpoint_id"])
    assert {"channel": "x", "change": "changed", "how": "1 -> 2"} in step["differences"]
    first = rows[-1]["checkpoint_id"]
    [begun] = _rows(millstream("threads", "diff", database, "1", "--to", first, "--json").out)
    assert begun["from"] is None
    assert [each["change"] for each in begun["differences"]] == ["added"]
    shown = millstream("threads", "diff", database, "1", "--from", first)
    assert "x" in shown.out
    assert "\x1b" not in shown.out


def test_diff_compares_threads(millstream: Millstream, database: str) -> None:
    [same] = _rows(millstream("threads", "diff", database, "1", EVIL, "--json").out)
    assert same["differences"] == []
    assert "no difference" in millstream("threads", "diff", database, "1", EVIL).out
    assert "'3'" in millstream("threads", "diff", database, "1", "3").complaint


def test_diff_says_that_what_it_compares_with_is_gone(
    millstream: Millstream, database: str
) -> None:
    millstream("threads", "prune", database, "1")
    assert "not kept any more" in millstream("threads", "diff", database, "1").complaint


def test_check_says_what_is_wrong_and_ends_with_1(millstream: Millstream, folder: Path) -> None:
    with SqliteJournal("threads.db") as journal:
        for number in range(3):
            _put(journal, "1", "", number)
    assert "nothing is wrong" in millstream("threads", "check", "threads.db").out
    with sqlite3.connect("threads.db") as connection:
        connection.execute("UPDATE journal_checkpoints SET body = x'0001' WHERE id = '00000002'")
        connection.execute("DELETE FROM journal_labels")
        connection.execute("INSERT INTO journal_labels VALUES ('user', 'sBo', 77)")
    connection.close()

    found = millstream("threads", "check", "threads.db", "--json")
    assert found.code == 1
    rows = _rows(found.out)
    assert [row["checkpoint_id"] for row in rows] == [None, "00000002"]
    mended = millstream("threads", "check", "threads.db", "--repair")
    assert (mended.code, mended.err) == (1, "")
    assert [
        row["repaired"] for row in _rows(millstream("threads", "check", "threads.db", "--json").out)
    ] == [False]
    assert millstream("threads", "check", "threads.db", "2").complaint == "there is no thread '2'"


def test_threads_come_from_langgraph_and_go_back(millstream: Millstream, folder: Path) -> None:
    for name in ("source.db", "target.db"):
        with SqliteSaver.from_conn_string(name) as saver:
            saver.setup()
            builder = StateGraph(State).add_node("step", _step).add_edge(START, "step")
            if name == "source.db":
                graph = builder.compile(checkpointer=saver)
                graph.invoke({"x": 1, "said": EVIL}, {"configurable": {"thread_id": EVIL}})

    taken = millstream("threads", "import", "threads.db", "source.db", "--json")
    assert _rows(taken.out) == [{"threads": 1, "checkpoints": 3, "writes": 4, "present": 0}]
    given = millstream("threads", "export", "threads.db", "target.db", EVIL)
    assert given.out.splitlines() == ["threads: 1", "checkpoints: 3", "writes: 4", "present: 0"]
    assert (taken.err, given.err) == ("", "")
    with SqliteSaver.from_conn_string("target.db") as saver:
        assert len(list(saver.list(None))) == 3


def test_a_thread_that_is_left_out_is_named_and_the_others_are_there(
    millstream: Millstream, folder: Path
) -> None:
    with SqliteSaver.from_conn_string("source.db") as saver:
        for thread_id in ("1", EVIL, "3"):
            _put(saver, thread_id, "", 1)
        saver.conn.execute("UPDATE checkpoints SET type = 'pickle' WHERE thread_id = ?", (EVIL,))
        saver.conn.commit()

    outcome = millstream("threads", "import", "threads.db", "source.db", "--json")

    assert outcome.code == 1
    assert _rows(outcome.out) == [{"threads": 2, "checkpoints": 2, "writes": 0, "present": 0}]
    (line,) = outcome.err.splitlines()
    assert line.startswith("millstream: left out: checkpoint '00000001' of thread")
    assert "\x1b" not in line
    rows = _rows(millstream("threads", "list", "threads.db", "--json").out)
    assert [row["thread_id"] for row in rows] == ["1", "3"]


def test_an_import_that_is_interrupted_goes_on(
    millstream: Millstream, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C leaves nothing under the thread's name, and says nothing of the inside."""
    with SqliteSaver.from_conn_string("source.db") as saver:
        for number in range(5):
            _put(saver, "1", "", number)
    monkeypatch.setattr("millstream.journal.exchange.importing._TOGETHER", 2)
    page = SqliteTables._record

    def interrupted(self: Any, thread_id: str, ns: str, row: Any) -> Any:
        if row[0] == f"{3:08}":
            raise KeyboardInterrupt
        return page(self, thread_id, ns, row)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteTables, "_record", interrupted)
        outcome = millstream("threads", "import", "threads.db", "source.db")
    assert (outcome.code, outcome.out) == (130, "")
    assert "Traceback" not in outcome.err
    assert millstream("threads", "show", "threads.db", "1").complaint
    again = millstream("threads", "import", "threads.db", "source.db", "--json")
    assert _rows(again.out) == [{"threads": 1, "checkpoints": 3, "writes": 0, "present": 2}]
    rows = _rows(millstream("threads", "list", "threads.db", "--json").out)
    assert [(row["thread_id"], row["step"]) for row in rows] == [("1", 4)]


def test_what_cannot_be_exchanged_is_said_in_a_line(millstream: Millstream, folder: Path) -> None:
    Path("empty.db").touch()
    with SqliteJournal("threads.db") as journal:
        _put(journal, "1", "", 1)
    for arguments in (
        ("import", "threads.db", "missing.db"),
        ("import", "threads.db", "empty.db"),
        ("import", "threads.db", "graphs.py"),
        ("export", "missing.db", "target.db"),
        ("export", "threads.db", "target.db", "2"),
        ("export", "threads.db", "graphs.py"),
        ("export", "threads.db", "nowhere/target.db"),
    ):
        assert millstream("threads", *arguments).complaint
    assert not Path("target.db").exists()


def test_a_database_that_says_nothing_is_not_waited_for_without_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    psycopg = pytest.importorskip("psycopg")
    asked: list[str] = []

    def connect(address: str, **options: Any) -> None:
        asked.append(address)
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(psycopg, "connect", connect)
    with pytest.raises(psycopg.OperationalError):
        opening._has_journal("postgresql://nobody@localhost/none", "millstream")
    assert "connect_timeout=10" in asked[0]
