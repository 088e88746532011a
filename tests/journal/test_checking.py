"""What `check` finds in a journal that is damaged, and what it can mend."""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from journal.journals import OPEN
from journal.test_encryption import Cipher
from millstream.graph import START, MessagesState, StateGraph
from millstream.journal.checking import Fault, check
from millstream.journal.damage import DamagedRow
from millstream.journal.rows import (
    Batch,
    Commit,
    DropLines,
    DropParts,
    FindLines,
    PartRow,
    ReadParts,
    ReadRows,
    WritesRow,
)

LAST = (1 << 30) - 1
CONFIG: Any = {"configurable": {"thread_id": "thread"}}


class Damaged:
    """A journal, and ways to damage it."""

    def __init__(self, kind: str, address: str, **options: Any) -> None:
        self.kind = kind
        self.address = address
        self.journal = OPEN[kind](address, **options)

    def talk(self, thread_id: str = "thread", turns: int = 6) -> None:
        """Have a conversation in a thread."""
        builder = StateGraph(MessagesState)
        builder.add_node("answer", lambda state: {"messages": [("ai", "grind " * 100)]})
        graph = builder.add_edge(START, "answer").compile(checkpointer=self.journal)
        for turn in range(turns):
            config: Any = {"configurable": {"thread_id": thread_id}, "metadata": {"user": "Ida"}}
            graph.invoke({"messages": [("user", f"turn {turn} " * 30)]}, config)

    def ask(self, request: Any) -> Any:
        """Have the storage carry out a request."""
        return self.journal._storage.carry_out(request)

    def line(self, thread_id: str = "thread") -> Any:
        """Return the row of a thread."""
        [row] = self.ask(FindLines(thread_id))
        return row

    def write(self, **rows: Any) -> None:
        """Write to the line what no journal would."""
        line = self.line()
        assert self.ask(Commit([Batch(line, False, line.counter, 0, **rows)])) == [True]

    def execute(self, statement: str) -> None:
        """Change tables by hand; `@` stands for the beginning of their names."""
        if self.kind == "sqlite":
            with sqlite3.connect(self.address) as connection:
                connection.execute(statement.replace("@", "journal_"))
            connection.close()
        else:
            psycopg = pytest.importorskip("psycopg")
            with psycopg.connect(self.address, autocommit=True) as connection:
                connection.execute(statement.replace("@", "millstream.journal_"))

    def faults(self, **options: Any) -> list[Fault]:
        """Check it."""
        return list(check(self.journal, **options))


@pytest.fixture
def make(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[Callable[..., Damaged]]:
    """Give what makes a journal of a kind."""
    made: list[Damaged] = []

    def open(kind: str, **options: Any) -> Damaged:
        address = str(tmp_path / "threads.db")
        if kind == "postgres":
            address = request.getfixturevalue("postgres")
            psycopg = pytest.importorskip("psycopg")
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("DROP SCHEMA IF EXISTS millstream CASCADE")
        made.append(Damaged(kind, address, **options))
        return made[-1]

    yield open
    for each in made:
        each.journal.close()


@pytest.fixture(params=sorted(OPEN))
def damaged(request: pytest.FixtureRequest, make: Callable[..., Damaged]) -> Damaged:
    """Give a journal of each kind, with a thread and a copy of it."""
    damaged = make(request.param)
    damaged.talk()
    damaged.journal.copy_thread("thread", "copy")
    return damaged


@pytest.fixture(params=["postgres", "sqlite"])
def lasting(request: pytest.FixtureRequest, make: Callable[..., Damaged]) -> Damaged:
    """Give a journal of each kind that has tables, with a thread."""
    damaged = make(request.param)
    damaged.talk()
    return damaged


def test_nothing_is_wrong_with_what_journals_write(damaged: Damaged) -> None:
    damaged.journal.prune(["thread"])
    damaged.talk()
    damaged.journal.delete_thread("thread")
    assert damaged.faults() == []


def test_a_part_that_is_missing_is_named_with_all_who_name_it(damaged: Damaged) -> None:
    line = damaged.line()
    named = [row.number for row in damaged.ask(ReadRows(line.number, 0, LAST))]
    gone = next(n for n in range(1, line.counter) if _is_part(damaged, line.number, n))
    damaged.ask(DropParts(line.number, [(0, gone - 1), (gone + 1, LAST)]))

    faults = damaged.faults()

    assert {fault.thread_id for fault in faults} == {"thread", "copy"}
    assert all(f"part {gone} is not there" in fault.text for fault in faults)
    config = {**CONFIG["configurable"], "checkpoint_ns": "", "checkpoint_id": ""}
    for fault in faults:
        config |= {"thread_id": fault.thread_id, "checkpoint_id": fault.checkpoint_id}
        with pytest.raises(DamagedRow):
            damaged.journal.get_tuple({"configurable": config})
    assert 0 < len({fault.checkpoint_id for fault in faults}) <= len(named)
    assert [fault.is_repaired for fault in damaged.faults(repair=True)] == [False] * len(faults)


def _is_part(damaged: Damaged, line: int, number: int) -> bool:
    return bool(damaged.ask(ReadParts([(line, number, number)])))


def test_a_row_that_others_build_on_is_missed(damaged: Damaged) -> None:
    rows = damaged.ask(ReadRows(damaged.line().number, 0, LAST))
    after = [row for row in rows if row.root == rows[2].root and row.number > rows[2].number]
    damaged.write(dropped=[rows[2].number])

    faults = damaged.faults()

    assert [fault.checkpoint_id for fault in faults] == [row.id for row in after]
    assert all(f"difference to row {rows[2].number}" in faults[0].text for fault in faults[:1])


def test_bytes_that_make_no_sense_are_found(damaged: Damaged) -> None:
    line = damaged.line()
    row = damaged.ask(ReadRows(line.number, 0, LAST))[-1]
    damaged.write(filled=[row._replace(body=b"\0nonsense")])

    [fault] = damaged.faults(thread_ids=["thread"])
    assert (fault.thread_id, fault.checkpoint_id) == ("thread", row.id)
    assert damaged.faults(thread_ids=["copy"]) == []


def test_parts_that_nobody_names_are_removed(damaged: Damaged) -> None:
    damaged.write(parts=[PartRow(damaged.line().number, 0, b"\0left")])

    [fault] = damaged.faults()
    assert (fault.thread_id, fault.text) == ("thread", "nobody names 1 parts")
    [mended] = damaged.faults(repair=True)
    assert mended.is_repaired
    assert damaged.faults() == []


def test_parts_of_a_thread_that_is_gone_are_removed(damaged: Damaged) -> None:
    damaged.talk("other")
    damaged.ask(DropLines([damaged.line("other").number]))

    [fault] = damaged.faults()
    assert "left parts" in fault.text
    assert [each.is_repaired for each in damaged.faults(repair=True)] == [True]
    assert damaged.faults() == []


def test_a_counter_that_is_behind_is_moved(damaged: Damaged) -> None:
    line = damaged.line()
    ahead = line.counter + 40
    damaged.write(writes=[WritesRow(line.number, line.counter, ahead, line.number, b"\0\x90")])

    [fault] = damaged.faults()
    assert f"number {ahead}" in fault.text
    assert [each.is_repaired for each in damaged.faults(repair=True)] == [True]
    assert damaged.faults() == []
    assert damaged.line().counter > ahead


def test_metadata_leads_to_its_thread_again(lasting: Damaged) -> None:
    lasting.execute("DELETE FROM @labels WHERE name = 'user'")
    assert list(lasting.journal.list(None, filter={"user": "Ida"})) == []

    [fault] = lasting.faults()
    assert "user='Ida'" in fault.text
    assert [each.is_repaired for each in lasting.faults(repair=True)] == [True]
    assert lasting.faults() == []
    assert len(list(lasting.journal.list(None, filter={"user": "Ida"}))) > 6


def test_rows_of_a_thread_that_is_gone_are_removed(lasting: Damaged) -> None:
    lasting.talk("other")
    lasting.execute("DELETE FROM @lines WHERE thread_id = 'other'")

    faults = lasting.faults()
    assert ["left rows" in fault.text for fault in faults] == [True, False]
    assert all(fault.is_repaired for fault in lasting.faults(repair=True))
    assert lasting.faults() == []


def test_an_index_that_misses_rows_is_made_anew(make: Callable[..., Damaged]) -> None:
    damaged = make("sqlite")
    damaged.talk()
    damaged.journal.close()
    index = "ON journal_labels (line)"
    # As if the index were one of fewer rows, while a row is stored.
    _declare(damaged.address, f"CREATE INDEX journal_labels_of_lines {index} WHERE line < 0")
    damaged.execute("INSERT INTO @labels VALUES ('user', 'sBo', 1)")
    _declare(damaged.address, f"CREATE INDEX journal_labels_of_lines {index}")
    damaged.journal = OPEN["sqlite"](damaged.address)

    faults = damaged.faults()
    assert any("missing from index journal_labels_of_lines" in fault.text for fault in faults)
    assert all(fault.is_repaired for fault in damaged.faults(repair=True))
    assert damaged.faults() == []


def _declare(path: str, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("PRAGMA writable_schema = ON")
        query = "UPDATE sqlite_master SET sql = ? WHERE name = 'journal_labels_of_lines'"
        connection.execute(query, (statement,))
    connection.close()


def test_an_encrypted_journal_is_checked_with_its_key(make: Callable[..., Damaged]) -> None:
    damaged = make("memory", serde=EncryptedSerializer(Cipher(b"key")))
    damaged.talk()
    assert damaged.faults() == []
    damaged.journal.serde = EncryptedSerializer(Cipher(b"other"))
    assert {fault.thread_id for fault in damaged.faults()} == {"thread"}
