"""Nodes in worker processes: the caller sees what it would see if they ran here."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from executors import acting
from executors.acting import Context, State, graph_of
from millstream.errors import (
    GraphDrained,
)
from millstream.executors import ProcessExecutor
from millstream.graph import END, START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode
from millstream.types import Command, Send

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
