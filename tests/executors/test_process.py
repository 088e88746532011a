"""Nodes in worker processes: the caller sees what it would see if they ran here."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from executors import acting
from executors.acting import Context, State, graph_of
from millstream.errors import (
    GraphDrained,
    NodeTimeoutError,
    UnpicklableError,
    WorkerDiedError,
)
from millstream.executors import InlineExecutor, ProcessExecutor
from millstream.graph import END, START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode
from millstream.types import CachePolicy, Command, RetryPolicy, Send, TimeoutPolicy

EMPTY: State = {"log": []}
MODES = ["values", "updates", "custom", "messages", "tools", "tasks"]
THREAD = {"configurable": {"thread_id": "1"}}
AT_ONCE = {"initial_interval": 0.0, "jitter": False}


def without_ids(items: list[Any]) -> list[Any]:
    """Return stream items without what differs from run to run."""
    shown = []
    for mode, payload in items:
        if mode == "messages":
            message, metadata = payload
            shown.append((mode, message.content, metadata["langgraph_node"]))
        elif mode == "tasks":
            shown.append((mode, payload["name"], payload.get("result")))
        elif mode == "tools":
            shown.append((mode, payload["event"], str(payload.get("output"))))
        else:
            shown.append((mode, str(payload)))
    return shown


@pytest.mark.parametrize(
    "node", ["log", "write", "talk", "use_tool", "push", "call_graph", "decorated"]
)
def test_a_stream_is_as_it_is_without_an_executor(
    driver: Any, executor: ProcessExecutor, node: str
) -> None:
    func = getattr(acting, node)

    seen = driver.stream(graph_of(func, executor=executor), EMPTY, stream_mode=MODES)

    expected = driver.stream(graph_of(func), EMPTY, stream_mode=MODES)
    assert without_ids(seen) == without_ids(expected)


@pytest.mark.parametrize("node", ["alog", "awrite", "atalk"])
def test_a_stream_of_an_async_node_is_as_it_is_without_an_executor(
    executor: ProcessExecutor, node: str
) -> None:
    func = getattr(acting, node)

    def seen(graph: Any) -> list[Any]:
        async def read() -> list[Any]:
            return [item async for item in graph.astream(EMPTY, stream_mode=MODES)]

        return without_ids(asyncio.run(read()))

    assert seen(graph_of(func, executor=executor)) == seen(graph_of(func))


def test_a_node_in_a_process_fits_a_small_buffer(driver: Any, executor: ProcessExecutor) -> None:
    graph = graph_of(acting.count_up, executor=executor)

    assert driver.stream(graph, EMPTY, stream_mode="custom", max_buffered=1) == list(range(200))


def test_tokens_are_blocks_of_a_run_stream(executor: ProcessExecutor) -> None:
    def said(graph: Any) -> list[str]:
        with graph.stream_events(EMPTY, version="v3") as run:
            return [str(message.text) for message in run.messages]

    assert said(graph_of(acting.talk, executor=executor)) == said(graph_of(acting.talk)) != []


def test_streams_show_the_graphs_that_a_node_calls(driver: Any, executor: ProcessExecutor) -> None:
    def seen(where: Any) -> list[Any]:
        graph = graph_of(acting.call_graph, executor=where)
        modes = ["values", "updates", "custom"]
        items = driver.stream(graph, EMPTY, stream_mode=modes, subgraphs=True)
        return [
            ([name.partition(":")[0] for name in namespace], mode, str(payload))
            for namespace, mode, payload in items
        ]

    assert seen(executor) == seen(None)
    assert (["n0"], "updates", "{'inner': {'log': ['inner']}}") in seen(executor)


# -- where the node sends the run ----------------------------------------------------------------


def routed(executor: Any, *, nested: bool = False) -> Any:
    builder = StateGraph(State)
    first: Any = acting.go
    if nested:
        inside = StateGraph(State).add_node("leave", acting.leave, executor=executor)
        first = inside.add_edge(START, "leave").compile()
        builder.add_node("first", first)
    else:
        builder.add_node("first", first, executor=executor)
    builder.add_node("one", acting.one, executor=executor)
    builder.add_node("two", acting.two, executor=executor)
    return builder.add_edge(START, "first").compile()


@pytest.mark.parametrize("nested", [False, True])
def test_commands_and_sends_lead_where_they_say(
    driver: Any, executor: ProcessExecutor, nested: bool
) -> None:
    expected = driver.invoke(routed(None, nested=nested), EMPTY)

    assert driver.invoke(routed(executor, nested=nested), EMPTY) == expected


def test_conditional_edges_are_asked_here(driver: Any, executor: ProcessExecutor) -> None:
    asked: list[int] = []

    def path(state: State) -> str:
        asked.append(os.getpid())
        return END

    builder = StateGraph(State).add_node("n", acting.log, executor=executor).add_edge(START, "n")
    graph = builder.add_conditional_edges("n", path).compile()

    assert driver.invoke(graph, EMPTY)["log"] == ["logged"]
    assert asked == [os.getpid()]


def test_two_hundred_tasks(driver: Any, executor: ProcessExecutor) -> None:
    builder = StateGraph(State).add_node("one", acting.one, executor=executor)
    builder.add_conditional_edges(START, lambda _: [Send("one", {"count": n}) for n in range(200)])

    result = driver.invoke(builder.compile(), EMPTY)

    assert result["log"] == [("one", number) for number in range(200)]


# -- questions -----------------------------------------------------------------------------------


def test_questions_are_answered_one_after_the_other(driver: Any, executor: ProcessExecutor) -> None:
    graph = graph_of(acting.ask, executor=executor, saver=InMemorySaver())

    first = driver.invoke(graph, EMPTY, THREAD)["__interrupt__"]
    second = driver.invoke(graph, Command(resume="a"), THREAD)["__interrupt__"]
    last = driver.invoke(graph, Command(resume="b"), THREAD)

    here = graph_of(acting.ask, saver=InMemorySaver())
    assert [each.value for each in (*first, *second)] == ["first", "second"]
    assert driver.invoke(here, EMPTY, THREAD)["__interrupt__"][0].value == first[0].value
    assert last == {"log": ["a", "b"]}


def test_an_async_node_asks(executor: ProcessExecutor) -> None:
    graph = graph_of(acting.aask, executor=executor, saver=InMemorySaver())

    async def run() -> Any:
        await graph.ainvoke(EMPTY, THREAD)
        await graph.ainvoke(Command(resume="a"), THREAD)
        return await graph.ainvoke(Command(resume="b"), THREAD)

    assert asyncio.run(run()) == {"log": ["a", "b"]}


def test_tasks_that_ask_side_by_side_get_their_own_answers(
    driver: Any, executor: ProcessExecutor
) -> None:
    builder = StateGraph(State).add_node("ask", acting.ask_one, executor=executor)
    builder.add_conditional_edges(START, lambda _: [Send("ask", {"count": n}) for n in range(3)])
    graph = builder.compile(InMemorySaver())

    asked = driver.invoke(graph, EMPTY, THREAD)["__interrupt__"]
    answers = {each.id: f"answer {each.value}" for each in asked}

    result = driver.invoke(graph, Command(resume=answers), THREAD)
    assert result["log"] == [(number, f"answer {number}") for number in range(3)]


def test_an_answer_that_does_not_fit_leaves_the_question_open(
    driver: Any, executor: ProcessExecutor
) -> None:
    graph = graph_of(acting.ask_number, executor=executor, saver=InMemorySaver())
    driver.invoke(graph, EMPTY, THREAD)

    with pytest.raises(Exception, match="valid integer"):
        driver.invoke(graph, Command(resume="many"), THREAD)

    assert driver.invoke(graph, Command(resume="3"), THREAD)["log"] == [3]


def test_a_graph_that_the_node_calls_may_not_ask(driver: Any, executor: ProcessExecutor) -> None:
    graph = graph_of(acting.call_asking_graph, executor=executor, saver=InMemorySaver())

    with pytest.raises(RuntimeError, match="ask in the node itself"):
        driver.invoke(graph, EMPTY, THREAD)


def test_tools_that_ask_side_by_side_get_their_own_answers(
    driver: Any, executor: ProcessExecutor
) -> None:
    questions = ["sow?", "reap?", "mill?"]
    calls = [
        {"name": "confirm", "args": {"question": question}, "id": f"c{index}", "type": "tool_call"}
        for index, question in enumerate(questions)
    ]
    node = ToolNode([acting.confirm, acting.weigh])
    builder = StateGraph(MessagesState).add_node("tools", node, executor=executor)
    graph = builder.add_edge(START, "tools").compile(InMemorySaver())
    given: Any = {"messages": [AIMessage("", tool_calls=calls)]}

    asked = driver.invoke(graph, given, THREAD)["__interrupt__"]
    while asked:
        answers = {each.id: f"{each.value[:-1]}!" for each in asked}
        result = driver.invoke(graph, Command(resume=answers), THREAD)
        asked = result.get("__interrupt__")

    said = [message.content for message in result["messages"][1:]]
    assert said == ["sow? sow!", "reap? reap!", "mill? mill!"]


def test_a_node_may_raise_its_question(driver: Any, executor: ProcessExecutor) -> None:
    graph = graph_of(acting.interrupt_the_old_way, executor=executor, saver=InMemorySaver())

    assert [each.value for each in driver.invoke(graph, EMPTY, THREAD)["__interrupt__"]] == ["old"]


# -- what the node is given ----------------------------------------------------------------------


def test_config_context_and_metadata_travel(driver: Any, executor: ProcessExecutor) -> None:
    config = {**THREAD, "metadata": {"mine": 1}, "tags": ["t"]}

    def seen(where: Any) -> Any:
        graph = graph_of(acting.see, executor=where, saver=InMemorySaver())
        return driver.invoke(graph, EMPTY, config, context=Context("Ada"))["log"]

    assert seen(executor) == seen(None)


@pytest.mark.parametrize("name", ["remember", "aremember"])
def test_the_store_is_the_one_of_the_run(executor: ProcessExecutor, name: str) -> None:
    store = InMemoryStore()
    builder = StateGraph(State).add_node("n", getattr(acting, name), executor=executor)
    graph = builder.add_edge(START, "n").compile(store=store)

    result = asyncio.run(graph.ainvoke(EMPTY))

    assert result["log"] == [{"count": 3}, ["sacks"]]
    assert store.get(("mill",), "sacks") is not None


def test_the_run_can_be_asked_to_stop(driver: Any, executor: ProcessExecutor) -> None:
    graph = graph_of(acting.drain, acting.log, executor=executor, saver=InMemorySaver())

    with pytest.raises(GraphDrained, match="enough"):
        driver.invoke(graph, EMPTY, THREAD)

    assert graph.get_state(THREAD).values == {"log": ["drained"]}


def test_a_call_of_a_task_says_that_it_cannot_be(driver: Any, executor: ProcessExecutor) -> None:
    with pytest.raises(RuntimeError, match=r"Task 'double' cannot be called in node 'n0'"):
        driver.invoke(graph_of(acting.call_task, executor=executor), EMPTY)


# -- failures ------------------------------------------------------------------------------------


def test_an_error_is_the_one_that_was_raised(driver: Any, executor: ProcessExecutor) -> None:
    with pytest.raises(acting.Broken) as raised:
        driver.invoke(graph_of(acting.fail, executor=executor), EMPTY)

    assert (raised.value.part, raised.value.count) == ("wheel", 2)
    assert "in fail" in str(raised.value.__cause__)  # where it was raised


def test_an_error_that_cannot_be_read_is_told(driver: Any, executor: ProcessExecutor) -> None:
    with pytest.raises(RuntimeError, match="Unreadable in node 'n0': wheel broke 2 times"):
        driver.invoke(graph_of(acting.fail_unreadably, executor=executor), EMPTY)


def test_failures_are_tried_again(driver: Any, executor: ProcessExecutor) -> None:
    policy = RetryPolicy(max_attempts=3, **AT_ONCE)
    graph = graph_of(acting.fail_twice, executor=executor, retry_policy=policy)

    items = driver.stream(graph, EMPTY, stream_mode=["custom", "values"])

    assert items[1:-1] == [("custom", 1), ("custom", 2), ("custom", 3)]
    assert items[-1] == ("values", {"log": [3]})


def test_handlers_are_given_the_failure(driver: Any, executor: ProcessExecutor) -> None:
    builder = StateGraph(State).add_node("n", acting.fail, error_handler=acting.handle)
    graph = builder.add_edge(START, "n").compile(executor=executor)

    items = driver.stream(graph, EMPTY, stream_mode=["custom", "values"], subgraphs=True)

    assert items[1:] == [
        ((), "custom", "n"),
        ((), "values", {"log": [("n", "Broken", "wheel broke 2 times")]}),
    ]


def test_handlers_are_told_what_an_error_said_that_cannot_be_sent(
    driver: Any, executor: ProcessExecutor
) -> None:
    builder = StateGraph(State).add_node("n", acting.fail_unreadably, executor=InlineExecutor())
    builder.set_node_defaults(error_handler=acting.handle)
    graph = builder.add_edge(START, "n").compile(executor=executor)

    said = "Unreadable in node 'n': wheel broke 2 times"
    assert driver.invoke(graph, EMPTY)["log"] == [("n", "RuntimeError", said)]


def test_code_that_outlives_its_task_is_not_heard_in_another(driver: Any) -> None:
    with ProcessExecutor(1) as executor:
        graph = graph_of(acting.outlive, acting.look_back, executor=executor)

        items = driver.stream(graph, EMPTY, stream_mode=["custom", "values"])

    assert items[-2:] == [
        ("custom", "mine"),
        ("values", {"log": ["left", "RunAbandoned"]}),
    ]


def test_a_worker_that_dies_is_an_error_that_names_the_node(
    driver: Any, executor: ProcessExecutor
) -> None:
    with pytest.raises(WorkerDiedError, match="node 'n0' has died with signal 9") as raised:
        driver.invoke(graph_of(acting.die, executor=executor), EMPTY)

    assert (raised.value.node, raised.value.exit_code) == ("n0", -9)


def test_a_worker_that_dies_is_tried_again(driver: Any, executor: ProcessExecutor) -> None:
    policy = RetryPolicy(max_attempts=2, **AT_ONCE)
    graph = graph_of(acting.die_once, executor=executor, retry_policy=policy)

    assert driver.invoke(graph, EMPTY)["log"] == [2]


def test_a_worker_that_dies_takes_no_other_with_it(driver: Any, executor: ProcessExecutor) -> None:
    builder = StateGraph(State).add_node("one", acting.one, executor=executor)
    policy = RetryPolicy(max_attempts=2, **AT_ONCE)
    builder.add_node("die", acting.die_once, executor=executor, retry_policy=policy)
    sends = [Send("die", {}), *(Send("one", {"count": n}) for n in range(20))]
    builder.add_conditional_edges(START, lambda _: sends)

    result = driver.invoke(builder.compile(), EMPTY)

    assert result["log"] == [2, *(("one", number) for number in range(20))]


def test_results_are_kept_in_a_cache(driver: Any, executor: ProcessExecutor) -> None:
    builder = StateGraph(State)
    builder.add_node("n", acting.where, executor=executor, cache_policy=CachePolicy())
    graph = builder.add_edge(START, "n").compile(cache=InMemoryCache())

    first = driver.invoke(graph, EMPTY)

    assert driver.stream(graph, EMPTY, stream_mode="updates")[0]["__metadata__"] == {"cached": True}
    assert driver.invoke(graph, EMPTY) == first


class Told(BaseCallbackHandler):
    """Keeps what it is told of runs."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.said.append(("start", kwargs["name"]))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.said.append(("end", outputs))


def test_handlers_are_told_of_the_node(driver: Any, executor: ProcessExecutor) -> None:
    def said(where: Any) -> list[Any]:
        told = Told()
        driver.invoke(graph_of(acting.log, executor=where), EMPTY, {"callbacks": [told]})
        return told.said

    assert said(executor) == said(None)


# -- being stopped -------------------------------------------------------------------------------


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "marks"


def test_a_timeout_cancels_the_node(executor: ProcessExecutor, file: Path) -> None:
    graph = graph_of(acting.log, executor=executor)
    asyncio.run(graph.ainvoke(EMPTY))  # a process has started
    graph = graph_of(acting.sleep_long, executor=executor, timeout=1.0)

    with pytest.raises(NodeTimeoutError):
        asyncio.run(graph.ainvoke({"log": [], "file": str(file)}))

    assert lines(file) == ["began", "stopped"]


def test_signs_of_life_keep_a_node_from_being_idle(executor: ProcessExecutor) -> None:
    policy = TimeoutPolicy(idle_timeout=0.7, refresh_on="heartbeat")
    asyncio.run(graph_of(acting.log, executor=executor).ainvoke(EMPTY))

    graph = graph_of(acting.beat, executor=executor, timeout=policy)

    assert asyncio.run(graph.ainvoke(EMPTY))["log"] == ["beat"]


def test_a_cancelled_run_cancels_the_node(executor: ProcessExecutor, file: Path) -> None:
    graph = graph_of(acting.sleep_long, executor=executor)

    async def run() -> None:
        running = asyncio.create_task(graph.ainvoke({"log": [], "file": str(file)}))
        while not lines(file):  # noqa: ASYNC110  # another process writes it
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(run())

    assert lines(file) == ["began", "stopped"]


def test_leaving_a_stream_stops_the_node_where_it_emits(
    driver: Any, executor: ProcessExecutor, file: Path
) -> None:
    graph = graph_of(acting.emit_long, executor=executor)
    given = {"log": [], "file": str(file)}

    async def leave() -> None:
        async with aclosing(graph.astream(given, stream_mode="custom")) as items:
            async for item in items:
                if item == 3:
                    break

    if driver.name == "async":
        asyncio.run(leave())
    else:
        with closing(graph.stream(given, stream_mode="custom")) as items:
            assert [next(items) for _ in range(4)] == [0, 1, 2, 3]

    assert lines(file) == ["stopped"]


def has_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_node_that_does_not_stop_has_its_process_killed(driver: Any) -> None:
    with ProcessExecutor(1, grace=0.1) as executor:
        graph = graph_of(acting.ignore_all, executor=executor)

        async def leave() -> int:
            async with aclosing(graph.astream(EMPTY, stream_mode="custom")) as items:
                pid: int = await anext(items)
                return pid

        if driver.name == "async":
            pid = asyncio.run(leave())
        else:
            with closing(graph.stream(EMPTY, stream_mode="custom")) as items:
                pid = next(items)

        assert not has_process(pid)
        assert driver.invoke(graph_of(acting.log, executor=executor), EMPTY)["log"] == ["logged"]


def test_no_process_outlives_its_executor(driver: Any) -> None:
    before = {process.pid for process in multiprocessing.active_children()}
    with ProcessExecutor(2) as executor:
        pid = driver.invoke(graph_of(acting.where, executor=executor), EMPTY)["log"][0]
        assert has_process(pid)

    assert not has_process(pid)
    assert {process.pid for process in multiprocessing.active_children()} <= before
    with pytest.raises(RuntimeError, match="executor of node 'n0' is closed"):
        driver.invoke(graph_of(acting.where, executor=executor), EMPTY)


def test_closing_an_executor_stops_what_runs(file: Path) -> None:
    executor = ProcessExecutor(1)
    graph = graph_of(acting.emit_long, executor=executor)
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(graph.invoke({"log": [], "file": str(file)}))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with closing(graph.stream({"log": [], "file": str(file)}, stream_mode="custom")):
        executor.close()
    thread.join(30)

    assert not thread.is_alive()
    assert isinstance(ended[0], BaseException)


def test_an_executor_that_nobody_refers_to_is_closed(driver: Any) -> None:
    executor = ProcessExecutor(1)
    pid = driver.invoke(graph_of(acting.where, executor=executor), EMPTY)["log"][0]

    del executor
    gc.collect()

    assert is_gone(pid)


def test_processes_end_with_a_program_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from executors.acting import graph_of, ignore_all\n"
        "from millstream.executors import ProcessExecutor\n"
        "if __name__ == '__main__':\n"
        "    graph = graph_of(ignore_all, executor=ProcessExecutor(1))\n"
        "    for pid in graph.stream({'log': []}, stream_mode='custom'):\n"
        "        print(pid, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        running.kill()

    assert is_gone(pid)


def test_ctrl_c_ends_a_run_and_what_it_waits_for(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from executors.acting import emit_long, graph_of\n"
        "from millstream.executors import ProcessExecutor\n"
        "if __name__ == '__main__':\n"
        "    with ProcessExecutor(1) as executor:\n"
        "        graph = graph_of(emit_long, executor=executor)\n"
        f"        given = {{'log': [], 'file': {str(tmp_path / 'marks')!r}}}\n"
        "        for item in graph.stream(given, stream_mode='custom'):\n"
        "            print(item, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)

    assert said.endswith("KeyboardInterrupt\n")
    assert lines(tmp_path / "marks") == ["stopped"]


def is_gone(pid: int) -> bool:
    """Say whether a process has ended, or does so soon."""
    end = time.monotonic() + 20
    while has_process(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not has_process(pid)


def test_a_node_that_ends_the_program_ends_it(executor: ProcessExecutor) -> None:
    with pytest.raises(SystemExit):
        graph_of(acting.leave_program, executor=executor).invoke(EMPTY)


# -- what cannot travel --------------------------------------------------------------------------


@pytest.fixture
def lock() -> Any:
    return threading.Lock()


def test_a_node_that_cannot_be_pickled_is_named_when_it_is_compiled(
    executor: ProcessExecutor, lock: Any
) -> None:
    def guarded(state: State) -> State:
        with lock:
            return {}

    with pytest.raises(UnpicklableError, match=r"Node 'n0' .*its variable 'lock'.*_thread.lock"):
        graph_of(guarded, executor=executor)
    with pytest.raises(UnpicklableError, match=r"Node 'n0' .*\.held .*_thread.lock"):
        graph_of(acting.Holder(lock), executor=executor)
    with pytest.raises(UnpicklableError, match="is not at the top of a module"):
        graph_of(lambda state: {}, executor=executor)


def test_a_state_that_cannot_be_pickled_is_named(
    driver: Any, executor: ProcessExecutor, lock: Any
) -> None:
    graph = graph_of(acting.log, executor=executor)

    with pytest.raises(UnpicklableError, match=r"\.input\['log'\]\[0\] .*_thread.lock"):
        driver.invoke(graph, {"log": [lock]})


@pytest.mark.parametrize(
    ("node", "what"),
    [
        (acting.return_lambda, r"what it returns\['log'\]\[0\]"),
        (acting.write_lambda, r"what it emits\.event\.item\['how'\]"),
    ],
)
def test_what_a_node_gives_and_cannot_be_pickled_is_named(
    driver: Any, executor: ProcessExecutor, node: Any, what: str
) -> None:
    with pytest.raises(UnpicklableError, match=f"Node 'n0' runs .*{what}"):
        driver.stream(graph_of(node, executor=executor), EMPTY, stream_mode="custom")


# -- which executor ------------------------------------------------------------------------------


def test_a_graphs_executor_is_for_nodes_that_name_none(
    driver: Any, executor: ProcessExecutor
) -> None:
    inside = StateGraph(State).add_node("deep", lambda state: {"log": [os.getpid()]})
    builder = StateGraph(State).add_node("there", acting.where)
    builder.add_node("here", acting.where, executor=InlineExecutor())
    builder.add_node("nested", inside.add_edge(START, "deep").compile())
    builder.add_edge(START, "there").add_edge("there", "here").add_edge("here", "nested")

    there, here, *nested = driver.invoke(builder.compile(executor=executor), EMPTY)["log"]

    assert there != os.getpid()
    assert here == os.getpid() == nested[-1]
