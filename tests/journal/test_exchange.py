"""Threads go from LangGraph's tables into journals and back, and go on at each end."""

from __future__ import annotations

import json
import operator
import pathlib
import sqlite3
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Annotated, Any, Final

import langgraph.graph
import langgraph.types
import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from typing_extensions import TypedDict

import millstream.graph
import millstream.types
from interchange.old_threads import Programs, rows, thread
from journal.test_encryption import Cipher
from millstream.journal import MemoryJournal, SqliteJournal
from millstream.journal.checking import check
from millstream.journal.exchange import (
    ExchangeError,
    LeftOutError,
    Report,
    export_threads,
    import_threads,
)
from millstream.journal.exchange.importing import ARRIVING
from millstream.journal.exchange.packing import entries
from savers.test_old_formats import ASKING, RECORDINGS, names_in

ENGINES: Final = {
    "langgraph": (langgraph.graph, langgraph.types),
    "millstream": (millstream.graph, millstream.types),
}


class Log(TypedDict, total=False):
    """A state of more than one kind of value."""

    log: Annotated[list[Any], operator.add]
    number: int
    text: str


class Place:
    """Where a saver of LangGraph keeps its tables."""

    def __init__(self, kind: str, address: str) -> None:
        self.kind = kind
        self.address = address
        self.savers: list[Any] = []

    def saver(self, serde: Any = None) -> Any:
        """Return LangGraph's saver there."""
        if self.kind == "sqlite":
            connection: Any = sqlite3.connect(self.address, check_same_thread=False)
            saver: Any = SqliteSaver(connection, serde=serde)
        else:
            import psycopg
            from langgraph.checkpoint.postgres import PostgresSaver

            connection = psycopg.connect(
                self.address, autocommit=True, row_factory=psycopg.rows.dict_row
            )
            saver = PostgresSaver(connection, serde=serde)
        saver.setup()
        self.savers.append(connection)
        return saver

    def close(self) -> None:
        for each in self.savers:
            each.close()


@pytest.fixture(params=["postgres", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Place]:
    """Give tables of LangGraph in each database."""
    if request.param == "postgres":
        yield request.getfixturevalue("postgres_place")
        return
    place = Place("sqlite", str(tmp_path / "langgraph.db"))
    yield place
    place.close()


@pytest.fixture
def postgres_place(postgres: str) -> Iterator[Place]:
    """Give tables of LangGraph in PostgreSQL."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS exchanged CASCADE")
        connection.execute("CREATE SCHEMA exchanged")
    found = psycopg.conninfo.conninfo_to_dict(postgres)
    name = found.pop("dbname")
    found["options"] = "-csearch_path%3Dexchanged"
    address = f"postgresql:///{name}?" + "&".join(f"{k}={v}" for k, v in found.items())
    place = Place("postgres", address)
    yield place
    place.close()


@pytest.fixture
def journal(tmp_path: pathlib.Path) -> Iterator[SqliteJournal]:
    """Give a journal in a file."""
    with SqliteJournal(tmp_path / "threads.db") as journal:
        yield journal


def graph_of(engine: str, saver: Any) -> Any:
    """Return a graph that fans out, calls a nested one, and asks there."""
    module, types = ENGINES[engine]

    def ask(state: Log) -> Log:
        return {"log": [types.interrupt("?")]}

    inner = module.StateGraph(Log).add_node("ask", ask).add_edge("__start__", "ask").compile()
    builder = module.StateGraph(Log)
    builder.add_node("a", lambda s: {"log": ["a", (1, 2), None, {3: b"x"}], "number": 7})
    builder.add_node("w", lambda s: {"log": [f"w{s}"]})
    builder.add_node("sub", inner)
    builder.add_node("z", lambda s: {"log": ["z"], "text": "é"})
    builder.add_edge("__start__", "a")
    builder.add_conditional_edges("a", lambda s: [types.Send("w", 1), types.Send("w", 2)], ["w"])
    builder.add_edge("w", "sub").add_edge("sub", "z")
    builder.add_edge("z", "__end__")
    return builder.compile(checkpointer=saver)


def config_of(thread_id: str = "1") -> Any:
    return {"configurable": {"thread_id": thread_id}, "metadata": {"user": "Ida", "age": 7}}


def play(engine: str, saver: Any) -> None:
    """Leave threads: one that waits for an answer, one with branches, one that has ended."""
    graph = graph_of(engine, saver)
    command = ENGINES[engine][1].Command(resume="yes")
    for thread_id in ("waits", "branches", "ended"):
        graph.invoke({"log": []}, config_of(thread_id))
    graph.invoke(command, config_of("ended"))
    graph.invoke(command, config_of("branches"))
    past = list(graph.get_state_history(config_of("branches")))
    graph.update_state(past[-2].config, {"log": ["other"], "number": 8}, as_node="a")


def go_on(engine: str, saver: Any) -> Any:
    """Go on with each of the threads; return all that is there then."""
    graph = graph_of(engine, saver)
    command = ENGINES[engine][1].Command(resume="yes")
    results = {
        "waits": graph.invoke(command, config_of("waits")),
        "branches": graph.invoke(None, config_of("branches")),
        "ended": graph.invoke({"log": ["again"]}, config_of("ended")),
    }
    states = {name: graph.get_state(config_of(name)) for name in results}
    return {
        name: (
            result["log"],
            states[name].next,
            len(list(graph.get_state_history(config_of(name)))),
        )
        for name, result in results.items()
    }


def threads_in(saver: Any, *, is_exact: bool = True) -> Any:
    """Return all that a saver has, in its order."""
    found = []
    for each in saver.list(None):
        checkpoint = dict(each.checkpoint)
        if not is_exact:
            versions = checkpoint["channel_versions"]
            checkpoint["channel_versions"] = {n: _number(v) for n, v in versions.items()}
            checkpoint["versions_seen"] = {
                node: {n: _number(v) for n, v in seen.items()}
                for node, seen in checkpoint["versions_seen"].items()
            }
        found.append(
            (
                each.config["configurable"],
                each.parent_config and each.parent_config["configurable"],
                checkpoint,
                each.metadata,
                each.pending_writes,
            )
        )
    found.sort(key=lambda one: (one[0]["thread_id"], one[0]["checkpoint_ns"]))
    return found


def _number(version: Any) -> int:
    return int(str(version).split(".", 1)[0])


# -- import --------------------------------------------------------------------------------------


def test_what_is_imported_is_what_langgraph_reads(place: Place, journal: SqliteJournal) -> None:
    saver = place.saver()
    play("langgraph", saver)

    report = import_threads(journal, place.address)

    assert threads_in(journal) == threads_in(saver)
    assert report.threads == 3
    assert report.checkpoints == len(threads_in(saver)) > 20
    assert list(check(journal)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_an_imported_thread_is_gone_on_with(
    place: Place, journal: SqliteJournal, engine: str
) -> None:
    saver = place.saver()
    play("langgraph", saver)
    import_threads(journal, place.address)

    assert go_on(engine, journal) == go_on(engine, saver)


def test_a_second_import_adds_what_is_new(place: Place, journal: SqliteJournal) -> None:
    saver = place.saver()
    play("langgraph", saver)
    first = import_threads(journal, place.address)

    assert import_threads(journal, place.address) == Report(3, 0, 0, first.checkpoints)
    go_on("langgraph", saver)
    more = import_threads(journal, place.address)
    assert more.checkpoints > 3
    assert threads_in(journal) == threads_in(saver)


def _broken_off(done: int, total: int) -> None:
    if done > total // 2:
        raise KeyboardInterrupt


def test_an_import_that_broke_off_goes_on(
    place: Place, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under their names threads are there as a whole or not at all."""
    monkeypatch.setattr("millstream.journal.exchange.importing._TOGETHER", 3)
    saver = place.saver()
    play("langgraph", saver)
    whole = threads_in(saver)

    with pytest.raises(KeyboardInterrupt):
        import_threads(journal, place.address, told=_broken_off)

    stored = threads_in(journal)
    arriving = {one[0]["thread_id"] for one in stored if ARRIVING in one[0]["thread_id"]}
    there = {one[0]["thread_id"] for one in stored} - arriving
    assert len(arriving) == 1
    assert there
    assert [one for one in stored if one[0]["thread_id"] in there] == [
        one for one in whole if one[0]["thread_id"] in there
    ]
    report = import_threads(journal, place.address)
    assert threads_in(journal) == whole
    assert report.present == len(stored)
    assert report.present + report.checkpoints == len(whole)
    assert list(check(journal)) == []


def test_a_thread_that_was_begun_since_an_import_broke_off_is_added_to(
    place: Place, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millstream.journal.exchange.importing._TOGETHER", 3)
    play("langgraph", place.saver())
    with pytest.raises(KeyboardInterrupt):
        import_threads(journal, place.address, ["ended"], told=_broken_off)
    config = journal.put(*_checkpoint(1, "mine", "ended"))

    import_threads(journal, place.address, ["ended"])

    assert {one[0]["thread_id"] for one in threads_in(journal)} == {"ended"}
    saved = journal.get_tuple(config)
    assert saved is not None
    assert saved.checkpoint["channel_values"] == {"x": "mine"}
    ours = [one for one in threads_in(journal) if one[0]["checkpoint_id"] != "00000001"]
    assert ours == [one for one in threads_in(place.saver()) if one[0]["thread_id"] == "ended"]


def test_a_thread_that_is_begun_while_it_is_imported_is_added_to(
    place: Place, journal: SqliteJournal
) -> None:
    play("langgraph", place.saver())

    def told(done: int, total: int) -> None:
        journal.put(*_checkpoint(1, "mine", "ended"))

    report = import_threads(journal, place.address, ["ended", "ended"], told=told)

    found = {one[0]["checkpoint_id"] for one in threads_in(journal)}
    theirs = {
        one[0]["checkpoint_id"]
        for one in threads_in(place.saver())
        if one[0]["thread_id"] == "ended"
    }
    assert found == {*theirs, "00000001"}
    assert (report.threads, report.checkpoints, report.present) == (1, len(theirs), 0)


def test_some_threads_may_be_imported(place: Place, journal: SqliteJournal) -> None:
    play("langgraph", place.saver())
    assert import_threads(journal, place.address, ["ended"]).threads == 1
    assert {one[0]["thread_id"] for one in threads_in(journal)} == {"ended"}
    with pytest.raises(ExchangeError, match="'other'"):
        import_threads(journal, place.address, ["ended", "other"])


@pytest.mark.parametrize("recording", RECORDINGS)
def test_old_rows_are_imported_as_langgraph_reads_them(
    journal: SqliteJournal, tmp_path: pathlib.Path, recording: str
) -> None:
    path = _recorded(tmp_path, recording)

    import_threads(journal, path)

    with sqlite3.connect(path) as connection:
        assert threads_in(journal) == threads_in(SqliteSaver(connection))
    connection.close()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("recording", RECORDINGS)
def test_old_threads_are_gone_on_with(
    journal: SqliteJournal, tmp_path: pathlib.Path, recording: str, engine: str
) -> None:
    """Also after their questions are answered, and back in LangGraph's tables."""
    path = _recorded(tmp_path, recording)
    import_threads(journal, path)
    back = Place("sqlite", str(tmp_path / "back.db"))
    export_threads(journal, back.address)
    old = Place("sqlite", path)

    results = []
    for saver in (journal, back.saver(), old.saver()):
        graphs = Programs(*ENGINES[engine]).all()
        found: dict[str, Any] = {}
        for name in names_in(recording):
            graph = graphs[name](saver)
            found[name] = [graph.invoke(None, thread(name)).get("log")]
            if name in ASKING:
                questions = graph.get_state(thread(name)).interrupts
                resume = {question.id: "yes" for question in questions}
                answer = ENGINES[engine][1].Command(resume=resume)
                found[name].append(graph.invoke(answer, thread(name)).get("log"))
            found[name].append(graph.get_state(thread(name)).next)
        results.append(found)

    for place in (old, back):
        place.close()
    assert results[0] == results[1] == results[2]
    assert len(results[0]) > 10


def test_rows_of_json_are_imported_as_langgraph_reads_them(
    journal: SqliteJournal, tmp_path: pathlib.Path
) -> None:
    """Such as the first versions stored, with messages as what makes them."""
    source = Place("sqlite", str(tmp_path / "old.db"))
    saver = source.saver()
    message = HumanMessage("Hi é", id="m").to_json()
    for number in range(3):
        _, checkpoint, _, _ = _checkpoint(number, [message] * number)
        checkpoint["channel_values"] |= {"text": "é", "none": None}
        row = ("1", "", checkpoint["id"], None, "json", json.dumps(checkpoint).encode(), b"{}")
        source.savers[0].execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    source.savers[0].commit()

    import_threads(journal, source.address)
    back = Place("sqlite", str(tmp_path / "back.db"))
    export_threads(journal, back.address)

    expected = threads_in(saver)
    assert expected[0][2]["channel_values"]["x"] == [HumanMessage("Hi é", id="m")] * 2
    assert threads_in(journal) == expected
    assert threads_in(back.saver(), is_exact=False) == threads_in(saver, is_exact=False)
    for place in (source, back):
        place.close()


def _recorded(tmp_path: pathlib.Path, recording: str) -> str:
    path = str(tmp_path / "old.db")
    connection = sqlite3.connect(path)
    with rows(recording) as old:
        old.backup(connection)
    old.close()
    connection.close()
    return path


def test_old_rows_in_postgres_find_what_they_were_sent(
    place: Place, journal: SqliteJournal
) -> None:
    """They keep it with the step before, where those in SQLite have it in the checkpoint."""
    saver = place.saver()
    with rows("langgraph-0.3.34") as old:
        for saved in reversed(list(SqliteSaver(old).list(thread("sends")))):
            _store(saver, saved, with_sends=place.kind == "sqlite")
    old.close()

    import_threads(journal, place.address)

    graph = Programs(*ENGINES["millstream"]).all()["sends"](journal)
    assert graph.get_state(thread("sends")).next == ("w", "w")
    assert graph.invoke(None, thread("sends"))["log"] == ["a", "w1", "w2", "z"]


def _store(saver: Any, saved: Any, *, with_sends: bool) -> None:
    checkpoint = dict(saved.checkpoint)
    if not with_sends:
        checkpoint.pop("pending_sends")
    config: Any = {"configurable": dict(saved.config["configurable"])}
    parent = (saved.parent_config or {"configurable": {}})["configurable"].get("checkpoint_id")
    named = {**config["configurable"], "checkpoint_id": parent}
    saver.put({"configurable": named}, checkpoint, saved.metadata, checkpoint["channel_versions"])
    for task_id in {write[0] for write in saved.pending_writes}:
        writes = [write[1:] for write in saved.pending_writes if write[0] == task_id]
        saver.put_writes(config, writes, task_id)


def test_what_needs_code_to_be_read_is_refused(
    journal: SqliteJournal, tmp_path: pathlib.Path
) -> None:
    path = str(tmp_path / "langgraph.db")
    connection = sqlite3.connect(path)
    with connection:
        SqliteSaver(connection).setup()
        values = ("1", "", "id", None, "pickle", b"cos\nsystem\n(S'exit 1'\ntR.", b"{}")
        connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    connection.close()

    with pytest.raises(ExchangeError, match=r"checkpoint 'id' of thread '1' is stored as 'pickle'"):
        import_threads(journal, path)


def test_what_has_no_tables_is_named(journal: SqliteJournal, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ExchangeError, match=r"no file .*missing.db"):
        import_threads(journal, str(tmp_path / "missing.db"))
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    with pytest.raises(ExchangeError, match=r"empty.db' has no tables of LangGraph"):
        import_threads(journal, str(tmp_path / "empty.db"))
    with pytest.raises(ExchangeError, match="no thread '1' in the journal"):
        export_threads(journal, str(tmp_path / "target.db"), ["1"])
    assert not (tmp_path / "target.db").exists()


# -- export --------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_exported_is_what_the_journal_has(
    place: Place, journal: SqliteJournal, engine: str
) -> None:
    play(engine, journal)

    report = export_threads(journal, place.address)

    exported = threads_in(place.saver(), is_exact=False)
    assert exported == threads_in(journal, is_exact=False)
    assert report.checkpoints == len(exported)
    assert export_threads(journal, place.address) == Report(3, 0, 0, report.checkpoints)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_exported_thread_is_gone_on_with(
    place: Place, journal: SqliteJournal, engine: str
) -> None:
    play("millstream", journal)
    export_threads(journal, place.address)

    assert go_on(engine, place.saver()) == go_on(engine, journal)


def test_branches_with_the_same_versions_keep_their_values(
    place: Place, journal: SqliteJournal
) -> None:
    graph = graph_of("millstream", journal)
    graph.invoke({"log": []}, config_of())
    start = list(graph.get_state_history(config_of()))[-2].config
    for name in ("left", "right"):
        graph.update_state(start, {"log": [name], "number": 1}, as_node="a")

    export_threads(journal, place.address)

    copy = graph_of("langgraph", place.saver())
    logs = [state.values.get("log") for state in copy.get_state_history(config_of())]
    assert logs == [state.values.get("log") for state in graph.get_state_history(config_of())]
    assert logs[:2] == [["right"], ["left"]]


def test_a_text_that_json_of_postgres_cannot_hold_is_exported(
    place: Place, journal: SqliteJournal
) -> None:
    journal.put(*_checkpoint(1, "a\0b"))

    export_threads(journal, place.address)

    [found] = place.saver().list(None)
    assert found.checkpoint["channel_values"] == {"x": "a\0b"}


def test_there_and_back_the_bytes_are_the_same(
    journal: SqliteJournal, tmp_path: pathlib.Path
) -> None:
    """All but the order of the channels."""
    source = Place("sqlite", str(tmp_path / "a.db"))
    play("langgraph", source.saver())
    source.close()
    import_threads(journal, str(tmp_path / "a.db"))
    export_threads(journal, str(tmp_path / "b.db"))

    found = []
    for name in ("a.db", "b.db"):
        connection = sqlite3.connect(tmp_path / name)
        query = "SELECT * FROM checkpoints ORDER BY thread_id, checkpoint_ns, checkpoint_id"
        checkpoints = [
            (*row[:5], _entries(row[5]), row[6]) for row in connection.execute(query).fetchall()
        ]
        writes = connection.execute("SELECT * FROM writes").fetchall()
        found.append((checkpoints, sorted(writes, key=repr)))
        connection.close()
    assert found[0] == found[1]


def _entries(data: bytes) -> Any:
    checkpoint = list(entries(data))
    values = dict(checkpoint)["channel_values"]
    return [each for each in checkpoint if each[1] is not values], dict(entries(values))


def test_an_encrypted_thread_stays_encrypted(place: Place, tmp_path: pathlib.Path) -> None:
    serde = EncryptedSerializer(Cipher(b"key"))
    play("langgraph", place.saver(serde))
    with MemoryJournal(serde=serde) as journal:
        import_threads(journal, place.address)
        assert threads_in(journal) == threads_in(place.saver(serde))
        target = Place("sqlite", str(tmp_path / "copy.db"))
        export_threads(journal, target.address)
        assert threads_in(target.saver(serde)) == threads_in(journal)
        target.close()
        assert b"Send" not in (tmp_path / "copy.db").read_bytes()
    with MemoryJournal() as journal, pytest.raises(ExchangeError, match="encrypted"):
        import_threads(journal, place.address)


def _checkpoint(number: int, value: Any, thread_id: str = "1") -> tuple[Any, Any, Any, Any]:
    checkpoint = {"v": 4, "ts": "", "id": f"{number:08}", "channel_values": {"x": value}}
    checkpoint |= {"channel_versions": {"x": number}, "versions_seen": {}}
    config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    return config, checkpoint, {"step": number}, {"x": number}


# -- what fails ----------------------------------------------------------------------------------

NONSENSE: Final = {
    "no format": "UPDATE checkpoints SET type = NULL",
    "no bytes": "UPDATE checkpoints SET checkpoint = 7",
    "cut off": "UPDATE checkpoints SET checkpoint = substr(checkpoint, 1, length(checkpoint) - 3)",
    "no dict": "UPDATE checkpoints SET checkpoint = x'9107'",
    "no id": "UPDATE checkpoints SET checkpoint = x'81ae6368616e6e656c5f76616c75657380'",
    "odd metadata": "UPDATE checkpoints SET metadata = '[1]'",
    "no metadata": "UPDATE checkpoints SET metadata = '{'",
    "write without format": "UPDATE writes SET type = NULL",
    "write without bytes": "UPDATE writes SET value = 'text'",
}


@pytest.mark.parametrize("sql", NONSENSE.values(), ids=NONSENSE)
def test_a_thread_with_a_row_that_makes_no_sense_is_left_out(
    journal: SqliteJournal, tmp_path: pathlib.Path, sql: str
) -> None:
    """Nothing of it is there, and all of the others."""
    source = Place("sqlite", str(tmp_path / "langgraph.db"))
    saver = source.saver()
    play("langgraph", saver)
    rest = [one for one in threads_in(saver) if one[0]["thread_id"] != "branches"]
    last = "SELECT max(checkpoint_id) FROM writes WHERE thread_id = 'branches'"
    with source.savers[0] as connection:
        changed = connection.execute(f"{sql} WHERE checkpoint_id = ({last})")
    assert changed.rowcount >= 1

    with pytest.raises(LeftOutError, match=r"^1 of 3 threads .*thread 'branches'") as raised:
        import_threads(journal, source.address)

    assert threads_in(journal) == rest
    assert list(raised.value.reasons) == ["branches"]
    assert (raised.value.report.threads, raised.value.report.checkpoints) == (2, len(rest))
    source.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE checkpoints SET checkpoint = '[1]'",
        'UPDATE checkpoints SET checkpoint = checkpoint || \'{"id": "other"}\'',
        "UPDATE checkpoints SET checkpoint = checkpoint || '{\"versions_seen\": [1]}'",
        "UPDATE checkpoints SET metadata = '[1]'",
        "UPDATE checkpoint_blobs SET blob = '\\x', type = 'msgpack+other'",
    ],
)
def test_rows_of_postgres_that_make_no_sense_are_named(
    postgres_place: Place, journal: SqliteJournal, sql: str
) -> None:
    place = postgres_place
    place.saver().put(*_checkpoint(1, [1, 2], "other"))
    place.saver().put(*_checkpoint(1, [1, 2], "mine"))
    place.savers[0].execute(f"{sql} WHERE thread_id = 'mine'")

    with pytest.raises(ExchangeError, match="mine"):
        import_threads(journal, place.address)

    assert "mine" not in {one[0]["thread_id"] for one in threads_in(journal)}


def test_a_source_that_is_broken_is_named(journal: SqliteJournal, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "langgraph.db"
    place = Place("sqlite", str(source))
    play("langgraph", place.saver())
    place.close()
    whole = source.read_bytes()
    for name, data in (
        ("text.db", b"This is no database." * 99),
        ("cut.db", whole[: -len(whole) // 2]),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ExchangeError, match=rf"{name}' cannot be read: "):
            import_threads(journal, str(tmp_path / name))
    with pytest.raises(ExchangeError, match=r"no file .*/folder'"):
        import_threads(journal, str(tmp_path / "folder"))
    assert {one[0]["thread_id"] for one in threads_in(journal)} <= {
        *("waits", "branches", "ended"),
        *(f"{ARRIVING}{name}" for name in ("waits", "branches", "ended")),
    }


def test_without_langgraphs_saver_the_error_says_what_to_install(
    journal: SqliteJournal, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no file is made; reading its tables takes nothing of it."""
    journal.put(*_checkpoint(1, 1))
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, f"langgraph.checkpoint.{place.kind}", None)
        with pytest.raises(ImportError, match=rf"pip install 'millstream\[{place.kind}\]'"):
            export_threads(journal, place.address)
    assert not pathlib.Path(place.address).exists()
    place.saver().put(*_checkpoint(1, 1, "other"))
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, f"langgraph.checkpoint.{place.kind}", None)
        assert import_threads(journal, place.address).checkpoints == 1


def test_what_does_not_fit_is_left_out_and_all_else_exported(
    journal: SqliteJournal, tmp_path: pathlib.Path
) -> None:
    journal.serde = JsonPlusSerializer(pickle_fallback=True)
    for thread_id, value in (("1", 1), ("2", {1, object}), ("3", 3)):
        journal.put(*_checkpoint(1, value, thread_id))

    with pytest.raises(LeftOutError, match=r"^1 of 3 threads .*thread '2'") as raised:
        export_threads(journal, str(tmp_path / "target.db"))

    assert raised.value.report == Report(2, 2, 0, 0)
    target = Place("sqlite", str(tmp_path / "target.db"))
    assert [one[0]["thread_id"] for one in threads_in(target.saver())] == ["1", "3"]
    target.close()


def test_names_that_json_of_postgres_cannot_hold_are_refused(
    postgres_place: Place, journal: SqliteJournal
) -> None:
    place = postgres_place
    names = {"1": "fine", "2": "a\0b", "3": "\\u0000 in words"}
    for thread_id, name in names.items():
        config, checkpoint, metadata, _ = _checkpoint(1, 1, thread_id)
        checkpoint |= {"channel_values": {name: 1}, "channel_versions": {name: 1}}
        journal.put(config, checkpoint, metadata, {name: 1})

    with pytest.raises(LeftOutError, match=r"^1 of 3 threads .*thread '2' has the character NUL"):
        export_threads(journal, place.address)

    found = {one[0]["thread_id"]: one[2]["channel_values"] for one in threads_in(place.saver())}
    assert found == {"1": {names["1"]: 1}, "3": {names["3"]: 1}}


def test_a_full_disk_ends_an_import_which_goes_on_when_there_is_room(
    place: Place, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millstream.journal.exchange.importing._TOGETHER", 3)
    play("langgraph", place.saver())
    writer: Any = None

    def told(done: int, total: int) -> None:
        nonlocal writer
        if done > total // 2 and writer is None:
            writer = journal._storage._writer  # type: ignore[attr-defined]  # of its file
            [[pages]] = writer.execute("PRAGMA page_count").fetchall()
            writer.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    with pytest.raises(sqlite3.OperationalError, match="full"):
        import_threads(journal, place.address, told=told)
    names = {one[0]["thread_id"] for one in threads_in(journal)}
    assert any(name.startswith(ARRIVING) for name in names)
    writer.execute("PRAGMA max_page_count = 1000000").fetchall()
    import_threads(journal, place.address)
    assert threads_in(journal) == threads_in(place.saver())


def test_an_export_that_fails_goes_on(
    place: Place, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of checkpoints is there with its writes or not at all, and nothing twice."""
    monkeypatch.setattr("millstream.journal.exchange.exporting._PAGE", 3)
    play("millstream", journal)
    place.saver()
    connection = place.savers[0]
    for sql in FULL[place.kind]:
        connection.execute(sql)
    connection.commit()

    with pytest.raises(ExchangeError, match=r"cannot be written: .*full"):
        export_threads(journal, place.address)
    there = threads_in(place.saver(), is_exact=False)
    whole = threads_in(journal, is_exact=False)
    assert 0 < len(there) < len(whole)
    assert all(each in whole for each in there)
    connection.execute(
        "DROP TRIGGER full_disk" + " ON checkpoint_writes" * (place.kind != "sqlite")
    )
    connection.commit()
    report = export_threads(journal, place.address)

    assert threads_in(place.saver(), is_exact=False) == whole
    assert (report.present, report.checkpoints) == (len(there), len(whole) - len(there))


FULL: Final = {
    "sqlite": [
        "CREATE TRIGGER full_disk BEFORE INSERT ON writes "
        "WHEN (SELECT count(*) FROM writes) >= 20 "
        "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    ],
    "postgres": [
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (SELECT count(*) FROM checkpoint_writes) >= 20 THEN RAISE 'the disk is full'; END IF; "
        "RETURN NEW; END $$",
        "CREATE TRIGGER full_disk BEFORE INSERT ON checkpoint_writes "
        "FOR EACH ROW EXECUTE FUNCTION full_disk()",
    ],
}
"""What lets no more than twenty writes be stored."""


@pytest.mark.long
@pytest.mark.timeout(900)  # counting memory takes its time
def test_memory_does_not_grow_with_the_thread(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten thousand checkpoints no more is held than of one thousand."""
    # What a journal knows of a line is bounded, but by more parts than there are in the shorter.
    monkeypatch.setattr("millstream.journal.known._Parts.size", 512)
    peaks = []
    for count in (1_000, 10_000):
        source = Place("sqlite", str(tmp_path / f"a{count}.db"))
        source.saver()
        _fill(source.address, count)
        with SqliteJournal(tmp_path / f"{count}.db") as journal:
            tracemalloc.start()
            imported = import_threads(journal, source.address)
            exported = export_threads(journal, str(tmp_path / f"b{count}.db"))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert imported == exported == Report(1, count, count, 0)
        source.close()
    assert peaks[1] < 1.5 * peaks[0]


def _fill(path: str, count: int) -> None:
    serde = JsonPlusSerializer()
    connection = sqlite3.connect(path)
    with connection:
        for number in range(count):
            id, before = f"{number:08}", f"{number - 1:08}" if number else None
            _, checkpoint, _, _ = _checkpoint(number, f"{number} " * 200)
            row = ("1", "", id, before, *serde.dumps_typed(checkpoint), b"{}")
            connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            connection.execute(
                "INSERT INTO writes (thread_id, checkpoint_id, task_id, idx, channel, type, value) "
                "VALUES ('1', ?, 'task', 0, 'x', 'msgpack', ?)",
                (id, serde.dumps_typed("x" * 100)[1]),
            )
    connection.close()
