"""Two who go on with one thread at once: the slower one is told, before it has stored anything."""

from __future__ import annotations

import importlib
import operator
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from journal.journals import AsyncCalls, SyncCalls, new_config
from journal.states import States, Thread
from millstream.core.checkpoints import UNKNOWN
from millstream.errors import ThreadBusyError
from millstream.graph import START, StateGraph
from millstream.journal import MemoryJournal
from millstream.journal.lanes import _Job, _work
from millstream.journal.rows import Commit, DropParts
from millstream.journal.saver import Journal
from millstream.journal.writing import store

CONFIG: Any = {"configurable": {"thread_id": "shared"}}


class State(TypedDict):
    items: Annotated[list[str], operator.add]


def adding(journal: Any, meeting: threading.Barrier | None = None) -> Any:
    """Return a graph that adds one item; with a meeting, two runs are in it at once."""

    def add(state: State) -> State:
        if meeting is not None:
            with suppress(threading.BrokenBarrierError):
                meeting.wait(30)
        return {"items": [f"{state['items'][-1]}, added"]}

    builder = StateGraph(State).add_node("add", add).add_edge(START, "add")
    return builder.compile(checkpointer=journal)


def seen_by_both(calls: SyncCalls) -> tuple[Any, Any, Any, Any]:
    """Return two journals that have read the same newest checkpoint, and what each stores next."""
    one = calls.open()
    other = one if calls.kind == "memory" else calls.open()
    thread = Thread(States(1), "shared")
    calls.call(one.put, *thread.next())
    nexts = []
    for journal in (one, other):
        own = Thread(States(2), "shared")
        own.load(calls.call(journal.get_tuple, CONFIG))
        nexts.append(own.next())
    return one, other, *nexts


def test_who_stores_second_is_refused(calls: SyncCalls) -> None:
    """A saver is not told who calls it, but it knows what it has given as the newest."""
    one, other, first, second = seen_by_both(calls)
    calls.call(one.put, *first)
    with pytest.raises(ThreadBusyError) as raised:
        calls.call(other.put, *second)
    assert raised.value.thread_id == "shared"
    assert raised.value.newest == first[1]["id"]
    assert raised.value.known == second[0]["configurable"]["checkpoint_id"]
    assert len(calls.list(other, CONFIG)) == 2
    loaded = calls.call(other.get_tuple, CONFIG)
    assert loaded.checkpoint["id"] == first[1]["id"]
    own = Thread(States(3), "shared")
    own.load(loaded)
    calls.call(other.put, *own.next())
    assert len(calls.list(one, CONFIG)) == 3


def test_nobody_is_refused_for_what_a_journal_remembers(calls: SyncCalls) -> None:
    """What it remembers may be older than what whoever stores goes on from."""
    one = calls.open()
    thread = Thread(States(1), "shared")
    calls.call(one.put, *thread.next())
    other = calls.fresh(one)
    calls.call(other.get_tuple, CONFIG)
    calls.call(one.put, *thread.next())
    expects = ("", thread.parent)

    calls.call(other.put_together, [("put", thread.next())], expects=expects)

    assert next(found.checkpoint["id"] for found in calls.list(one, CONFIG)) == thread.parent
    with pytest.raises(ThreadBusyError):
        calls.call(one.put_together, [("put", thread.next())], expects=expects)


def test_nobody_is_refused_for_what_a_late_reader_leaves_behind(calls: SyncCalls) -> None:
    """So it is where nobody says what is expected, as LangGraph does not."""
    one = calls.open()
    thread = Thread(States(1), "shared")
    calls.call(one.put, *thread.next())
    other = calls.fresh(one)
    calls.call(other.get_tuple, CONFIG)
    before = other._memory.lines["shared", ""]
    calls.call(one.put, *thread.next())
    calls.call(other.get_tuple, CONFIG)
    other._memory.lines["shared", ""] = before

    calls.call(other.put, *thread.next())

    assert next(found.checkpoint["id"] for found in calls.list(one, CONFIG)) == thread.parent


def test_who_names_an_old_checkpoint_begins_a_branch(calls: SyncCalls) -> None:
    """Asked for by its id, a checkpoint may be gone on from whatever is newer."""
    one, other, first, second = seen_by_both(calls)
    calls.call(one.put, *first)
    calls.call(other.get_tuple, second[0])
    calls.call(other.put, *second)
    found = calls.list(one, CONFIG)
    assert len(found) == 3
    assert found[0].parent_config == found[1].parent_config


def test_a_journal_may_let_everybody_fork(calls: SyncCalls) -> None:
    """`on_conflict="fork"` is what LangGraph's savers do."""
    journal = calls.open(on_conflict="fork")
    thread = Thread(States(1), "shared")
    calls.call(journal.put, *thread.next())
    for seed in (2, 3):
        own = Thread(States(seed), "shared")
        own.load(calls.call(journal.get_tuple, new_config("shared", thread.parent)))
        calls.call(journal.put, *own.next())
    assert len(calls.list(journal, CONFIG)) == 3


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_of_two_runs_at_once_one_fails_and_the_thread_has_the_other(
    calls: SyncCalls, driver: Any, durability: Any
) -> None:
    """No update is lost in silence: the run that is refused says so, and can be run again."""
    journal = calls.open()
    driver.invoke(adding(journal), {"items": ["zero"]}, CONFIG)
    meeting = threading.Barrier(2)
    graph = adding(journal, meeting)

    def run(name: str) -> Any:
        try:
            return driver.invoke(graph, {"items": [name]}, CONFIG, durability=durability)
        except ThreadBusyError as error:
            meeting.abort()  # the other need not wait for this one
            return error

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, ("one", "other")))
    errors = [result for result in results if isinstance(result, ThreadBusyError)]
    [done] = [result for result in results if not isinstance(result, ThreadBusyError)]
    assert len(errors) == 1
    assert graph.get_state(CONFIG).values == done
    states = list(graph.get_state_history(CONFIG))
    parents = [state.parent_config for state in states]
    ids = [each["configurable"]["checkpoint_id"] for each in parents if each is not None]
    assert len(ids) == len(set(ids)), "the thread has a branch"


def run_theirs(calls: SyncCalls, journal: Any, node: Any, given: Any, config: Any) -> Any:
    """Run a graph of langgraph with one node."""
    from langgraph.graph import StateGraph as TheirGraph

    graph: Any = TheirGraph(State).add_node("node", node).add_edge("__start__", "node")
    graph = graph.compile(checkpointer=journal)
    if isinstance(calls, AsyncCalls):
        running = graph.ainvoke(given, config, durability="sync")
        return calls.loop.run_until_complete(running)
    return graph.invoke(given, config, durability="sync")


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("look", ["by id", "at the newest", "not"])
@pytest.mark.parametrize("is_fresh", [False, True])
def test_a_run_of_langgraph_is_refused_whoever_has_looked_at_what_it_goes_on_from(
    calls: SyncCalls, look: str, is_fresh: bool, is_first: bool
) -> None:
    """Its own steps too, not only the first of them, and if there was no checkpoint before."""
    journal = calls.open()
    other = calls.fresh(journal) if is_fresh else journal
    if not is_first:
        run_theirs(calls, journal, lambda state: {}, {"items": ["zero"]}, CONFIG)

    def meanwhile() -> None:
        newest = journal.get_tuple(CONFIG)
        if look == "by id":
            journal.get_tuple(newest.config)
        with SyncCalls(calls.kind, calls.address) as others:
            run_theirs(others, other, lambda state: {}, {"items": ["other"]}, CONFIG)

    def node(state: State) -> Any:
        if look == "at the newest":
            journal.get_tuple(CONFIG)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(meanwhile).result()
        return {"items": ["lost"]}

    with pytest.raises(ThreadBusyError):
        run_theirs(calls, journal, node, {"items": ["one"]}, CONFIG)
    found = calls.list(journal, CONFIG)
    parents = [each.parent_config["configurable"]["checkpoint_id"] for each in found[:-1]]
    assert len(set(parents)) == len(parents), "the thread has a branch"
    assert found[0].checkpoint["channel_values"]["items"][-1] == "other"
    run_theirs(calls, journal, lambda state: {}, {"items": ["again"]}, CONFIG)


def test_a_run_of_langgraph_may_begin_a_branch(calls: SyncCalls) -> None:
    """From a checkpoint that it names, whoever has read that as the newest one."""
    journal = calls.open()
    run_theirs(calls, journal, lambda state: {}, {"items": ["zero"]}, CONFIG)
    old = calls.call(journal.get_tuple, CONFIG).config
    run_theirs(calls, journal, lambda state: {}, {"items": ["one"]}, CONFIG)
    result = run_theirs(calls, journal, lambda state: {}, {"items": ["branch"]}, old)
    assert result == {"items": ["zero", "branch"]}


@pytest.mark.parametrize("engine", ["millstream", "langgraph"])
def test_a_checkpoint_is_copied_by_who_has_read_what_is_before_it(engine: str) -> None:
    """The copy stands beside it, which nobody does by mistake."""
    graphs, config = importlib.import_module(f"{engine}.graph"), new_config("shared")
    builder = graphs.StateGraph(State).add_node("add", lambda state: {"items": ["added"]})
    graph = builder.add_edge(START, "add").compile(checkpointer=MemoryJournal())
    graph.invoke({"items": []}, config)
    for text in ("one", "two"):
        graph.update_state(config, {"items": [text]}, as_node="add")

    graph.update_state(config, None, as_node="__copy__")

    copy, original = graph.get_state_history(config, limit=2)
    assert (copy.values, copy.metadata["source"]) == (original.values, "fork")
    assert copy.parent_config == original.parent_config


def test_two_first_runs_of_langgraph_are_told_apart(calls: SyncCalls) -> None:
    """Both have read that there is nothing."""
    journal = calls.open()
    put = [Thread(States(seed), "shared").next() for seed in (1, 2)]

    other = calls.fresh(journal)

    async def aread_and_store() -> None:
        assert await journal.aget_tuple(CONFIG) is None
        other.put(*put[0])
        await journal.aput(*put[1])

    def read_and_store() -> None:
        if isinstance(calls, AsyncCalls):
            calls.loop.run_until_complete(aread_and_store())
            return
        assert journal.get_tuple(CONFIG) is None
        other.put(*put[0])
        journal.put(*put[1])

    with pytest.raises(ThreadBusyError, match="checkpoint None"):
        read_and_store()
    assert len(calls.list(journal, CONFIG)) == 1


@pytest.mark.parametrize("is_copied", [False, True])
def test_what_another_process_stores_while_parts_are_thrown_away_is_kept(
    lasting: SyncCalls, is_copied: bool
) -> None:
    """Which parts nobody names is found out before they go, and others do not wait for that."""
    one, other = lasting.open(), lasting.open()
    thread = Thread(States(1), "shared")
    for _ in range(20):
        lasting.call(one.put, *thread.next())
    if is_copied:
        lasting.call(one.copy_thread, "shared", "copy")
    storage, dropped = one._storage, []

    def carry_out(request: Any, **options: Any) -> Any:
        if isinstance(request, DropParts):
            dropped.append(request)
            own = Thread(States(len(dropped)), "shared")
            own.load(other.get_tuple(CONFIG))
            for _ in range(5):
                other.put(*own.next())
        return type(storage).carry_out(storage, request, **options)

    storage.carry_out = carry_out
    if is_copied:
        lasting.call(one.delete_thread, "copy")
    else:
        lasting.call(one.prune, ["shared"])
    assert dropped
    found = lasting.list(lasting.open(), CONFIG)
    assert len(found) == (20 if is_copied else 1) + 5 * len(dropped)


def test_of_jobs_that_wait_for_one_line_none_is_written_without_the_one_before(
    calls: SyncCalls,
) -> None:
    """Somebody else may move the counter to just where the job that is refused would have."""
    one = calls.open(on_conflict="fork")
    other = Journal(one._storage, on_conflict="fork")
    thread = Thread(States(1), "shared")
    calls.call(one.put, *thread.next())
    config = new_config("shared", thread.parent)

    def job(text: str) -> Any:
        write = (config, [("channel", text * 300)], text)
        handover = one._handover([("put_writes", write)], UNKNOWN)
        return _Job(lambda: store(one._memory, handover))

    calls.call(one.put_writes, config, [("channel", 1)], "first")
    jobs = [job(text) for text in "aba"]
    steps, answer, commits = _work(jobs), None, []
    with suppress(StopIteration):
        while True:
            request = steps.send(answer)
            if isinstance(request, Commit):
                commits.append([batch.line.number for batch in request.batches])
                if len(commits) == 1:
                    other.put_writes(config, [("channel", "o" * 300)], "o")
            answer = one._storage.carry_out(request)
    assert [each.outcome() for each in jobs] == [None] * 3
    assert all(len(lines) == len(set(lines)) for lines in commits)
    found = calls.call(calls.open().get_tuple if calls.kind != "memory" else one.get_tuple, CONFIG)
    written = {task: value for task, _, value in found.pending_writes}
    assert written == {"first": 1, **{text: text * 300 for text in "abo"}}


def test_many_jobs_of_one_line_are_all_written_whoever_is_refused(calls: SyncCalls) -> None:
    """Each round the first of them goes on, and the others make theirs after it."""
    one = calls.open(on_conflict="fork")
    other = Journal(one._storage, on_conflict="fork")
    thread = Thread(States(1), "shared")
    calls.call(one.put, *thread.next())
    config = new_config("shared", thread.parent)
    calls.call(one.put_writes, config, [("channel", 1)], "first")

    def job(number: int) -> Any:
        handover = one._handover([("put_writes", (config, [("c", number)], f"{number}"))], UNKNOWN)
        return _Job(lambda: store(one._memory, handover))

    jobs = [job(number) for number in range(40)]
    steps, answer, is_first = _work(jobs), None, True
    with suppress(StopIteration):
        while True:
            request = steps.send(answer)
            if isinstance(request, Commit) and is_first:
                is_first = False
                for name in range(50):
                    other.put_writes(config, [("c", 1)], f"o{name}")
            answer = one._storage.carry_out(request)
    assert [each.outcome() for each in jobs] == [None] * 40
    assert len(calls.call(one.get_tuple, CONFIG).pending_writes) == 91
