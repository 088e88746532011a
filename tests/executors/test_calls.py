"""Nodes in worker processes call tasks: these belong to their superstep as if all ran here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver

from executors import calling
from executors.acting import State, graph_of
from executors.apart import Threads
from millstream.channels import EphemeralValue, LastValue
from millstream.errors import UnpicklableError, WorkerDiedError
from millstream.executors import Executor, ProcessExecutor
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from millstream.pregel import NodeBuilder, Pregel
from millstream.types import Command, RetryPolicy
from waiting import until

EMPTY: State = {"log": []}
MODES = ["values", "updates", "custom", "messages", "tasks"]
THREAD = {"configurable": {"thread_id": "1"}}
DURABILITIES = ["sync", "async", "exit"]


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "marks")


def marks(file: str) -> list[str]:
    return Path(file).read_text().splitlines()


def shown(items: list[Any]) -> list[Any]:
    """Return stream items without what differs from run to run, those of each mode in order.

    Calls that run side by side end in any order.
    """
    kept: dict[str, list[Any]] = {}
    for mode, payload in items:
        if mode == "messages":
            message, metadata = payload
            what: Any = (message.content, metadata["langgraph_node"], metadata["langgraph_step"])
        elif mode == "tasks":
            what = (payload["name"], str(payload.get("input")), str(payload.get("result")))
        else:
            what = str(payload)
        kept.setdefault(mode, []).append(what)
    kept["tasks"].sort()
    kept["updates"].sort()
    return [(mode, kept[mode]) for mode in sorted(kept)]


@pytest.mark.parametrize("node", ["call_some", "call_telling"])
def test_a_stream_with_calls_is_as_it_is_without_an_executor(
    driver: Any, apart: Executor, node: str
) -> None:
    func = getattr(calling, node)

    seen = driver.stream(graph_of(func, executor=apart), EMPTY, stream_mode=MODES)

    assert shown(seen) == shown(driver.stream(graph_of(func), EMPTY, stream_mode=MODES))


@pytest.mark.parametrize("node", ["acall_some", "call_async"])
def test_nodes_in_an_event_loop_await_calls(apart: Executor, node: str) -> None:
    def seen(where: Any) -> Any:
        return asyncio.run(graph_of(getattr(calling, node), executor=where).ainvoke(EMPTY))

    assert seen(apart) == seen(None)


def test_an_async_task_is_refused_in_a_sync_run(apart: Executor) -> None:
    with pytest.raises(RuntimeError, match="async tasks cannot be called"):
        graph_of(calling.call_async, executor=apart).invoke(EMPTY)


@pytest.fixture
def lone() -> Iterator[ProcessExecutor]:
    """Give the test one worker process."""
    with ProcessExecutor(1, grace=20.0) as made:
        yield made


def test_calls_run_where_their_task_says(
    driver: Any, lone: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling.place_elsewhere, "executor", lone)

    node, here, elsewhere = driver.invoke(graph_of(calling.places, executor=lone), EMPTY)["log"]

    # The one process waits for what it calls, so there is another one, for as long as it does.
    assert here == os.getpid()
    assert len({node, here, elsewhere}) == 3
    assert until(lambda: not Path(f"/proc/{elsewhere}").exists())
    assert Path(f"/proc/{node}").exists()


def test_tasks_in_processes_call_tasks_in_processes(
    driver: Any, lone: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling.place_elsewhere, "executor", lone)
    monkeypatch.setattr(calling.place_of_both, "executor", lone)

    log = driver.invoke(graph_of(calling.places_of_both, executor=lone), EMPTY)["log"]

    assert len({os.getpid(), *log}) == 4


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("node", ["count_and_ask", "acount_and_ask"])
def test_a_call_that_has_ended_is_not_made_again(
    driver: Any, apart: Executor, file: str, durability: str, node: str
) -> None:
    if driver.name == "sync" and node.startswith("a"):
        node = "count_and_ask"
    graph = graph_of(getattr(calling, node), executor=apart, saver=InMemorySaver())

    driver.invoke(graph, {"file": file}, THREAD, durability=durability)
    result = driver.invoke(graph, Command(resume="yes"), THREAD, durability=durability)

    assert result["log"] == ["first", "yes", "second"]
    assert marks(file) == ["first", "second"]


@pytest.mark.parametrize(
    "durability", ["sync", "exit", pytest.param("async", marks=pytest.mark.long)]
)
def test_what_a_call_returned_outlives_the_process_of_its_caller(
    driver: Any, executor: ProcessExecutor, file: str, durability: str
) -> None:
    graph = graph_of(calling.count_and_die, executor=executor, saver=InMemorySaver())

    with pytest.raises(WorkerDiedError):
        driver.invoke(graph, {"file": file}, THREAD, durability=durability)
    result = driver.invoke(graph, None, THREAD, durability=durability)

    assert result["log"] == ["first"]
    assert marks(file) == ["first"]


def test_calls_ask(driver: Any, apart: Executor) -> None:
    graph = graph_of(calling.ask_in_calls, executor=apart, saver=InMemorySaver())

    first = driver.invoke(graph, EMPTY, THREAD)["__interrupt__"]
    second = driver.invoke(graph, Command(resume="a"), THREAD)["__interrupt__"]
    last = driver.invoke(graph, Command(resume="b"), THREAD)

    assert [each.value for each in (*first, *second)] == ["sow?", "reap?"]
    assert last["log"] == ["sow? a", "reap? b"]


def test_calls_of_threads_get_their_own_answers(driver: Any, apart: Executor) -> None:
    graph = graph_of(calling.ask_side_by_side, executor=apart, saver=InMemorySaver())

    asked = driver.invoke(graph, EMPTY, THREAD)["__interrupt__"]
    while asked:
        answers = {each.id: f"{each.value[:-1]}!" for each in asked}
        result = driver.invoke(graph, Command(resume=answers), THREAD)
        asked = result.get("__interrupt__")

    assert result["log"] == ["sow? sow!", "reap? reap!", "mill? mill!"]


def test_the_error_of_a_call_is_its_callers(driver: Any, apart: Executor) -> None:
    assert driver.invoke(graph_of(calling.catch, executor=apart), EMPTY)["log"] == [
        "KeyError('no')"
    ]
    with pytest.raises(KeyError, match="no"):
        driver.invoke(graph_of(calling.pass_on, executor=apart), EMPTY)


def test_policies_of_a_task_count_where_it_runs(driver: Any, apart: Executor, file: str) -> None:
    graph = graph_of(calling.insist, executor=apart)

    assert driver.invoke(graph, {"file": file})["log"] == [3]


def test_calls_are_found_in_the_cache_of_the_run(driver: Any, apart: Executor, file: str) -> None:
    builder = StateGraph(State).add_node("n", calling.ask_cache, executor=apart)
    graph = builder.add_edge(START, "n").compile(cache=InMemoryCache())

    assert driver.invoke(graph, {"file": file})["log"] == ["kept", "kept"]
    assert marks(file) == ["kept"]


def test_a_call_is_cancelled_with_its_future(apart: Executor, file: str) -> None:
    graph = graph_of(calling.give_up, executor=apart)

    assert asyncio.run(graph.ainvoke({"file": file}))["log"] == ["gave up"]
    assert marks(file) == ["cancelled"]


def test_who_is_told_of_the_end_of_a_call_may_emit(driver: Any, apart: Executor) -> None:
    items = driver.stream(
        graph_of(calling.listen, executor=apart), EMPTY, stream_mode=["custom", "updates"]
    )

    assert [item for mode, item in items if mode == "custom"] == list(range(100))
    assert items[-1] == ("updates", {"n0": {"log": [2]}})


def test_a_task_that_cannot_be_sent_is_named(driver: Any, executor: ProcessExecutor) -> None:
    with pytest.raises(UnpicklableError, match=r"its call of task 'local'.*call_a_local_one"):
        driver.invoke(graph_of(calling.call_a_local_one, executor=executor), EMPTY)


def test_a_result_that_cannot_be_read_there_is_an_error_of_its_call(
    driver: Any, executor: ProcessExecutor
) -> None:
    graph = graph_of(calling.call_for_what_is_unreadable, executor=executor)

    [said] = driver.invoke(graph, EMPTY)["log"]

    assert "of another version" in said


# -- functional graphs, and raw ones -------------------------------------------------------------


def test_an_entrypoint_runs_where_it_says(
    driver: Any, executor: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = entrypoint(InMemorySaver(), executor=executor)(calling.flow.__wrapped__)  # type: ignore[attr-defined]

    there, doubled, here = driver.invoke(twin, 2, THREAD)

    assert there != os.getpid() == here
    assert doubled == 4


def test_a_decorator_may_be_given_an_executor_where_it_is_written(
    executor: ProcessExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "written.py").write_text(
        "import os\n"
        "from millstream.executors import Executor, ProcessExecutor\n"
        "from millstream.func import entrypoint, task\n"
        "executor = ProcessExecutor(1)\n"
        "@task(executor=executor)\n"
        "def place() -> int:\n"
        "    return os.getpid()\n"
        "@entrypoint(executor=executor)\n"
        "def flow(_: int) -> list[int]:\n"
        "    return [os.getpid(), place().result()]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    import written  # type: ignore[import-not-found]

    with written.executor:
        places = written.flow.invoke(0)

    assert len({os.getpid(), *places}) == 3


def test_a_function_that_never_gets_its_name_is_refused_when_it_is_called(
    driver: Any, executor: ProcessExecutor
) -> None:
    with pytest.raises(UnpicklableError, match="is not at the top of a module"):
        entrypoint(executor=executor)(lambda number: number)

    @entrypoint()
    def calls(number: int) -> Any:
        return task(executor=executor)(lambda: number)().result()

    with pytest.raises(UnpicklableError, match="is not at the top of a module"):
        driver.invoke(calls, 1)


def test_a_node_that_is_built_runs_where_it_says(driver: Any, executor: ProcessExecutor) -> None:
    node = NodeBuilder().subscribe_only("a").do(calling.pid_of).write_to("b")
    graph: Any = Pregel(
        nodes={"n": node.set_executor(executor)},
        channels={"a": EphemeralValue(int), "b": LastValue(int)},
        input_channels="a",
        output_channels="b",
    )

    assert driver.invoke(graph, 1) != os.getpid()


@pytest.mark.parametrize("items", range(28, 34))
def test_a_call_is_dropped_though_its_turn_is_to_wait(items: int) -> None:
    """Now and then a node waits until what it said has been carried out: also a drop."""
    graph = graph_of(calling.talk_and_drop, executor=Threads())

    async def run() -> list[Any]:
        given: Any = {"log": [str(items)]}
        return [item async for item in graph.astream(given, stream_mode="custom")]

    assert asyncio.run(run()) == list(range(items))


def test_calls_of_an_attempt_that_ran_out_of_time_end_with_it() -> None:
    """Before the next attempt begins, which may call the same."""
    seen: list[str] = []

    @task
    async def last(attempt: int) -> None:
        seen.append(f"call {attempt}")
        try:
            if attempt == 1:
                await asyncio.Event().wait()
        finally:
            seen.append(f"end {attempt}")

    async def node(state: State) -> State:
        attempt = sum(one.startswith("attempt") for one in seen) + 1
        seen.append(f"attempt {attempt}")
        await last(attempt)
        return {"log": ["done"]}

    policy = RetryPolicy(max_attempts=2, initial_interval=0.01, jitter=False, retry_on=Exception)
    graph = graph_of(node, executor=Threads(), timeout=0.5, retry_policy=policy)

    assert asyncio.run(graph.ainvoke(EMPTY)) == {"log": ["done"]}
    assert seen == ["attempt 1", "call 1", "end 1", "attempt 2", "call 2", "end 2"]
