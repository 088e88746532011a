"""Code of one task that runs side by side: each part gets what is its own, whoever comes first."""

from __future__ import annotations

import asyncio
import contextvars
import importlib.util
import operator
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from millstream.drivers.current_strand import CALLERS
from millstream.func import entrypoint, task
from millstream.graph import START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode
from millstream.types import Command, interrupt

pytestmark = pytest.mark.timeout(20)

PATIENCE = 10.0
"""Seconds after which a test that waits for something gives up."""
THREAD: Any = {"configurable": {"thread_id": "1"}}
ORDERS = [("ab", "ba"), ("ba", "ab")]
"""Who comes first in the first run, and in those that follow."""


class State(TypedDict, total=False):
    out: Annotated[list[Any], operator.add]


class Turns:
    """Lets threads and asyncio tasks go on in a chosen order, whatever becomes of them."""

    def __init__(self, first: str, later: str) -> None:
        self.orders = [first, later]
        self.passed: list[threading.Event] = []
        self.order = ""

    def begin(self) -> None:
        """Begin the next run."""
        self.order = self.orders.pop(0) if len(self.orders) > 1 else self.orders[0]
        self.passed = [threading.Event() for _ in self.order]

    @contextmanager
    def taken(self, name: str) -> Iterator[None]:
        """Wait for one's turn in this thread; it is the next one's after the block."""
        place = self.order.index(name)
        if place:
            assert self.passed[place - 1].wait(PATIENCE)
        try:
            yield
        finally:
            self.passed[place].set()

    async def wait(self, name: str) -> None:
        """Wait for one's turn in this asyncio task."""
        place = self.order.index(name)
        while place and not self.passed[place - 1].is_set():  # noqa: ASYNC110  # threads set it
            await asyncio.sleep(0)

    def leave(self, name: str) -> None:
        """Let the next one go on."""
        self.passed[self.order.index(name)].set()


def graph_of(node: Callable[..., Any], saver: Any = None) -> Any:
    builder = StateGraph(State).add_node("node", node).add_edge(START, "node")
    return builder.compile(checkpointer=saver or InMemorySaver())


def by_value(result: Any) -> dict[Any, str]:
    """Return the ids of what a run asked at its end, by what was asked."""
    return {question.value: question.id for question in result["__interrupt__"]}


def side_by_side(driver: Any, work: Callable[[str], Any], turns: Turns) -> Callable[[State], Any]:
    """Return a node that calls `work` for `a` and `b` at once, each in its turn.

    In threads with the sync driver, in asyncio tasks with the async one.
    """

    def work_in_turn(name: str) -> Any:
        with turns.taken(name):
            return work(name)

    def node(state: State) -> Any:
        turns.begin()
        with ThreadPoolExecutor(2) as pool:
            contexts = [contextvars.copy_context() for _ in "ab"]
            futures = [
                pool.submit(c.run, work_in_turn, n) for c, n in zip(contexts, "ab", strict=True)
            ]
        return {"out": [future.result() for future in futures]}

    async def awork_in_turn(name: str) -> Any:
        await turns.wait(name)
        try:
            return await work(name)
        finally:
            turns.leave(name)

    async def anode(state: State) -> Any:
        turns.begin()
        return {"out": await all_of(*map(awork_in_turn, "ab"))}

    return node if driver.name == "sync" else anode


async def all_of(*work: Any) -> list[Any]:
    """Await everything at once to its end; raise the first error."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def both(driver: Any, func: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return the function for the sync driver, a coroutine function for the async one."""

    async def afunc(name: str) -> Any:
        return func(name)

    return func if driver.name == "sync" else afunc


@pytest.mark.parametrize("orders", ORDERS, ids="-".join)
@pytest.mark.parametrize("is_together", [True, False], ids=["together", "one by one"])
def test_each_question_gets_its_own_answer(driver: Any, orders: Any, is_together: bool) -> None:
    node = side_by_side(driver, both(driver, lambda name: interrupt(f"{name}?")), Turns(*orders))
    graph = graph_of(node)

    result = driver.invoke(graph, {}, THREAD)
    ids = by_value(result)
    assert sorted(ids) == ["a?", "b?"]
    if is_together:
        answers = {ids["a?"]: "A", ids["b?"]: "B"}
        result = driver.invoke(graph, Command(resume=answers), THREAD)
    else:
        result = driver.invoke(graph, Command(resume={ids["b?"]: "B"}), THREAD)
        assert by_value(result) == {"a?": ids["a?"]}
        assert by_value(driver.invoke(graph, None, THREAD)) == {"a?": ids["a?"]}
        result = driver.invoke(graph, Command(resume="A"), THREAD)

    assert result == {"out": ["A", "B"]}


@pytest.mark.parametrize("orders", ORDERS, ids="-".join)
def test_the_same_question_is_asked_for_each_argument(driver: Any, orders: Any) -> None:
    """What tells them apart is who asks."""

    def ask(name: str) -> Any:
        return interrupt("sure?")

    graph = graph_of(side_by_side(driver, both(driver, ask), Turns(*orders)))
    asked = [question.id for question in driver.invoke(graph, {}, THREAD)["__interrupt__"]]
    results = [driver.invoke(graph, Command(resume={asked[0]: 0}), THREAD)]
    results.append(driver.invoke(graph, Command(resume={asked[1]: 1}), THREAD))

    assert results[1] == {"out": [0, 1]}


@pytest.mark.parametrize("orders", ORDERS, ids="-".join)
def test_functions_without_arguments_are_told_by_what_they_ask(driver: Any, orders: Any) -> None:
    turns = Turns(*orders)

    def ask_a() -> Any:
        name = "a"
        with turns.taken(name):
            return interrupt(f"{name}?")

    def ask_b() -> Any:
        name = "b"
        with turns.taken(name):
            return interrupt(f"{name}?")

    ask_b.__code__ = ask_b.__code__.replace(co_name="ask_a")

    def node(state: State) -> Any:
        turns.begin()
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(contextvars.copy_context().run, func) for func in (ask_a, ask_b)]
        return {"out": [future.result() for future in futures]}

    graph = graph_of(node)
    ids = by_value(driver.invoke(graph, {}, THREAD))
    driver.invoke(graph, Command(resume={ids["b?"]: "B"}), THREAD)

    assert driver.invoke(graph, Command(resume={ids["a?"]: "A"}), THREAD) == {"out": ["A", "B"]}


def test_several_questions_of_each_come_in_its_own_order(driver: Any) -> None:
    def ask(name: str) -> Any:
        return [interrupt(f"{name}{count}?") for count in range(2)]

    graph = graph_of(side_by_side(driver, both(driver, ask), Turns("ab", "ba")))
    result = driver.invoke(graph, {}, THREAD)
    for _ in range(2):
        answers = {id: value for value, id in by_value(result).items()}
        result = driver.invoke(graph, Command(resume=answers), THREAD)

    assert result == {"out": [["a0?", "a1?"], ["b0?", "b1?"]]}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is new in Python 3.11")
@pytest.mark.parametrize("is_nested", [False, True])
def test_questions_asked_in_task_groups_are_questions(driver: Any, is_nested: bool) -> None:
    """A group raises what its tasks raise in a group of errors."""

    async def ask(name: str) -> str:
        if is_nested:
            async with asyncio.TaskGroup() as group:
                return await group.create_task(ask_now(name))
        return await ask_now(name)

    async def ask_now(name: str) -> str:
        return str(interrupt(f"{name}?"))

    async def anode(state: State) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(name)) for name in "ab"]
        return {"out": [task.result() for task in tasks]}

    def node(state: State) -> Any:
        return asyncio.run(anode(state))

    graph = graph_of(node if driver.name == "sync" else anode)
    result = driver.invoke(graph, {}, THREAD)
    while "__interrupt__" in result:
        ids = by_value(result)
        answers = {id: value.upper() for value, id in ids.items()}
        result = driver.invoke(graph, Command(resume=answers), THREAD)

    assert result == {"out": ["A?", "B?"]}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is new in Python 3.11")
def test_an_error_in_a_task_group_counts_before_a_question(driver: Any) -> None:
    async def ask() -> str:
        return str(interrupt("?"))

    async def fail() -> None:
        raise ValueError("failed")

    async def anode(state: State) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ask())
            group.create_task(fail())

    def node(state: State) -> None:
        asyncio.run(anode(state))

    graph = graph_of(node if driver.name == "sync" else anode)

    with pytest.raises(BaseException, match="unhandled errors") as caught:
        driver.invoke(graph, {}, THREAD)

    errors: Any = caught.value
    assert "failed" in [str(error) for error in errors.exceptions]


@pytest.mark.parametrize("order", ["aabb", "bbaa", "abba", "baab", "abab", "baba"])
def test_questions_of_each_are_answered_one_by_one_in_any_order(driver: Any, order: str) -> None:
    """What comes after the question that is answered is another question."""

    def ask(name: str) -> Any:
        return [interrupt(f"{name}{count}?") for count in range(2)]

    graph = graph_of(side_by_side(driver, both(driver, ask), Turns("ab", "ba")))
    result = driver.invoke(graph, {}, THREAD)
    for name in order:
        value, id = next((v, i) for v, i in by_value(result).items() if v.startswith(name))
        result = driver.invoke(graph, Command(resume={id: value}), THREAD)

    assert result == {"out": [["a0?", "a1?"], ["b0?", "b1?"]]}


def test_a_bare_answer_is_for_the_first_that_is_shown(driver: Any) -> None:
    """As if the task had asked one after the other."""
    node = side_by_side(driver, both(driver, lambda name: interrupt(f"{name}?")), Turns("ab", "ba"))
    graph = graph_of(node)

    result = driver.invoke(graph, {}, THREAD)
    while "__interrupt__" in result:
        first = result["__interrupt__"][0].value
        result = driver.invoke(graph, Command(resume=first.upper()), THREAD)

    assert result == {"out": ["A?", "B?"]}


def test_the_task_itself_may_ask_before_and_after(driver: Any) -> None:
    inner = side_by_side(
        driver, both(driver, lambda name: interrupt(f"{name}?")), Turns("ab", "ba")
    )

    def node(state: State) -> Any:
        before = interrupt("before?")
        out = inner(state)["out"]
        return {"out": [before, *out, interrupt("after?")]}

    async def anode(state: State) -> Any:
        before = interrupt("before?")
        out = (await inner(state))["out"]
        return {"out": [before, *out, interrupt("after?")]}

    graph = graph_of(node if driver.name == "sync" else anode)
    result = driver.invoke(graph, {}, THREAD)
    asked = []
    while "__interrupt__" in result:
        ids = by_value(result)
        asked.append(sorted(ids))
        answers = {id: value for value, id in ids.items()}
        result = driver.invoke(graph, Command(resume=answers), THREAD)

    assert asked == [["before?"], ["a?", "b?"], ["after?"]]
    assert result == {"out": ["before?", "a?", "b?", "after?"]}


def calls(*arguments: dict[str, Any], name: str = "ask") -> Any:
    message = AIMessage(
        "",
        tool_calls=[
            {"name": name, "args": given, "id": id, "type": "tool_call"}
            for id, given in zip("ab", arguments, strict=True)
        ],
    )
    return {"messages": [message]}


def tools_graph(*tools: Any, saver: Any = None) -> Any:
    builder = StateGraph(MessagesState).add_node("tools", ToolNode(tools))
    return builder.add_edge(START, "tools").compile(checkpointer=saver or InMemorySaver())


def around(driver: Any, graph: Any, *, is_called: bool) -> Any:
    """Return the builder of a graph whose one node is the graph, or calls it."""

    def node(state: MessagesState) -> Any:
        return graph.invoke(state)

    async def anode(state: MessagesState) -> Any:
        return await graph.ainvoke(state)

    call = node if driver.name == "sync" else anode
    builder = StateGraph(MessagesState).add_node("nested", call if is_called else graph)
    return builder.add_edge(START, "nested")


def contents(result: Any) -> list[Any]:
    return [message.content for message in result["messages"][1:]]


@pytest.mark.parametrize("orders", ORDERS, ids="-".join)
@pytest.mark.parametrize("is_async", [True, False], ids=["native tool", "sync tool"])
def test_tools_that_ask_are_asked_at_once(driver: Any, orders: Any, is_async: bool) -> None:
    """They have the same arguments and ask the same, so that only the calls tell them apart."""
    turns = Turns(*orders)

    def wrap(request: Any, execute: Any) -> Any:
        with turns.taken(request.tool_call["id"]):
            return execute(request)

    async def awrap(request: Any, execute: Any) -> Any:
        await turns.wait(request.tool_call["id"])
        try:
            return await execute(request)
        finally:
            turns.leave(request.tool_call["id"])

    @tool
    def ask(text: str) -> str:
        """Ask."""
        return str(interrupt(text))

    @tool("ask")
    async def aask(text: str) -> str:
        """Ask."""
        return str(interrupt(text))

    is_sync = driver.name == "sync"
    node = ToolNode(
        [aask if is_async and not is_sync else ask], wrap_tool_call=wrap, awrap_tool_call=awrap
    )

    def tools(state: MessagesState, config: RunnableConfig) -> Any:
        turns.begin()
        return node.invoke(state, config)

    async def atools(state: MessagesState, config: RunnableConfig) -> Any:
        turns.begin()
        return await node.ainvoke(state, config)

    builder = StateGraph(MessagesState).add_node("tools", tools if is_sync else atools)
    graph = builder.add_edge(START, "tools").compile(checkpointer=InMemorySaver())

    asked = driver.invoke(graph, calls({"text": "sure?"}, {"text": "sure?"}), THREAD)
    first, second = [question.id for question in asked["__interrupt__"]]
    shown = [question.id for question in graph.get_state(THREAD).interrupts]
    left = driver.invoke(graph, Command(resume={second: "B"}), THREAD)
    result = driver.invoke(graph, Command(resume={first: "A"}), THREAD)

    assert shown == [first, second]
    assert [question.id for question in left["__interrupt__"]] == [first]
    assert contents(result) == ["A", "B"]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("is_called", [True, False], ids=["called", "a node"])
def test_questions_of_nested_tools_are_answered_one_after_the_other(
    driver: Any, count: int, is_called: bool
) -> None:
    @tool
    def ask(text: str) -> str:
        """Ask."""
        return str(interrupt(text))

    graph: Any = StateGraph(MessagesState).add_node("tools", ToolNode([ask]))
    graph.add_edge(START, "tools")
    for _ in range(count):
        graph = around(driver, graph.compile(), is_called=is_called)
    graph = graph.compile(checkpointer=InMemorySaver())

    result = driver.invoke(graph, calls({"text": "a?"}, {"text": "b?"}), THREAD)
    asked = []
    while "__interrupt__" in result:
        asked.append([question.value for question in result["__interrupt__"]])
        result = driver.invoke(graph, Command(resume=asked[-1][0].upper()), THREAD)

    assert asked == [["a?", "b?"], ["b?"]]
    assert contents(result) == ["A?", "B?"]


def test_questions_of_several_nested_tasks_are_answered_by_their_ids(driver: Any) -> None:
    def ask(state: State) -> Any:
        return {"out": [interrupt("?")]}

    nested = StateGraph(State).add_node("a", ask).add_node("b", ask)
    nested.add_edge(START, "a").add_edge(START, "b")
    builder = StateGraph(State).add_node("nested", nested.compile()).add_edge(START, "nested")
    graph = builder.compile(checkpointer=InMemorySaver())
    driver.invoke(graph, {}, THREAD)

    with pytest.raises(RuntimeError, match="multiple pending interrupts"):
        driver.invoke(graph, Command(resume="A"), THREAD)


def test_a_tool_that_fails_counts_before_one_that_asks(driver: Any) -> None:
    @tool
    def ask(text: str) -> str:
        """Ask, or fail."""
        if text == "fail":
            raise OSError(text)
        return str(interrupt(text))

    builder = StateGraph(MessagesState).add_node("tools", ToolNode([ask], handle_tool_errors=False))
    graph = builder.add_edge(START, "tools").compile(checkpointer=InMemorySaver())

    with pytest.raises(OSError, match="fail"):
        driver.invoke(graph, calls({"text": "a?"}, {"text": "fail"}), THREAD)


def child_graph() -> Any:
    """Return a graph that takes a note, asks, and says what it noted and was answered."""
    builder = StateGraph(State)
    builder.add_node("note", lambda state: {"out": ["noted"]})
    builder.add_node("ask", lambda state: {"out": [interrupt(f"{state['out'][0]}?")]})
    return builder.add_edge(START, "note").add_edge("note", "ask").compile()


class Forgetful(InMemorySaver):
    """A saver that loses what tasks of the root graph asked, as if the process had been killed."""

    is_losing = True

    def put_writes(self, config: Any, writes: Any, *args: Any) -> None:
        is_root = not config["configurable"]["checkpoint_ns"]
        if not (is_root and self.is_losing and any(name == "__interrupt__" for name, _ in writes)):
            super().put_writes(config, writes, *args)

    async def aput_writes(self, *args: Any) -> None:
        self.put_writes(*args)


@pytest.mark.parametrize("orders", ORDERS, ids="-".join)
@pytest.mark.parametrize("is_killed", [False, True], ids=["paused", "killed"])
def test_each_nested_graph_goes_on_with_its_own_state(
    driver: Any, orders: Any, is_killed: bool
) -> None:
    child = child_graph()

    async def acall(name: str) -> Any:
        return (await child.ainvoke({"out": [name]}))["out"]

    def call(name: str) -> Any:
        return child.invoke({"out": [name]})["out"]

    saver = Forgetful()
    saver.is_losing = is_killed
    work = call if driver.name == "sync" else acall
    graph = graph_of(side_by_side(driver, work, Turns(*orders)), saver)

    result = driver.invoke(graph, {}, THREAD)
    if is_killed:
        saver.is_losing = False
        result = driver.invoke(graph, None, THREAD)
    ids = by_value(result)
    result = driver.invoke(graph, Command(resume={ids["b?"]: "B"}), THREAD)
    result = driver.invoke(graph, Command(resume={ids["a?"]: "A"}), THREAD)

    assert result == {"out": [["a", "noted", "A"], ["b", "noted", "B"]]}


@pytest.mark.parametrize("orders", ORDERS, ids="-".join)
def test_graphs_called_at_once_are_told_by_their_input(driver: Any, orders: Any) -> None:
    """Nothing of the program is between the start of the thread or asyncio task and the graph."""
    turns = Turns(*orders)

    def wait(state: State) -> None:
        with turns.taken(state["out"][0]):
            pass

    async def await_turn(state: State) -> None:
        await turns.wait(state["out"][0])
        turns.leave(state["out"][0])

    builder = StateGraph(State)
    builder.add_node("wait", wait if driver.name == "sync" else await_turn)
    builder.add_node("ask", lambda state: {"out": [interrupt(f"{state['out'][0]}?")]})
    child = builder.add_edge(START, "wait").add_edge("wait", "ask").compile()

    def node(state: State) -> Any:
        turns.begin()
        with ThreadPoolExecutor(2) as pool:
            futures = [
                pool.submit(contextvars.copy_context().run, child.invoke, {"out": [name]})
                for name in turns.order
            ]
        return {"out": sorted(future.result()["out"] for future in futures)}

    async def anode(state: State) -> Any:
        turns.begin()
        results = await all_of(*(child.ainvoke({"out": [name]}) for name in turns.order))
        return {"out": sorted(result["out"] for result in results)}

    graph = graph_of(node if driver.name == "sync" else anode)
    ids = by_value(driver.invoke(graph, {}, THREAD))
    answers = {ids["a?"]: "A", ids["b?"]: "B"}
    result = driver.invoke(graph, Command(resume=answers), THREAD)

    assert result == {"out": [["a", "A"], ["b", "B"]]}


@pytest.mark.parametrize("orders", ORDERS, ids="-".join)
def test_each_call_of_a_task_has_its_own_result(driver: Any, orders: Any) -> None:
    """Also where the caller asks afterwards, and before the calls of its own code."""
    turns, ran = Turns(*orders), Counter[str]()

    @task
    def step(name: str) -> str:
        ran[name] += 1
        return name.upper()

    async def acall(name: str) -> Any:
        return await step(name)

    inner = side_by_side(
        driver, lambda n: step(n).result() if driver.name == "sync" else acall(n), turns
    )

    def flow(_: Any) -> Any:
        out = inner({})["out"]
        return [*out, step("c").result(), interrupt("go?")]

    async def aflow(_: Any) -> Any:
        out = (await inner({}))["out"]
        return [*out, await step("c"), interrupt("go?")]

    saver = InMemorySaver()
    graph = entrypoint(checkpointer=saver)(flow if driver.name == "sync" else aflow)
    asked = driver.invoke(graph, "x", THREAD)
    result = driver.invoke(graph, Command(resume="yes"), THREAD)

    assert list(by_value(asked)) == ["go?"]
    assert result == ["A", "B", "C", "yes"]
    assert ran == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("orders", ORDERS, ids="-".join)
def test_each_task_that_asks_gets_its_own_answer(driver: Any, orders: Any) -> None:
    turns = Turns(*orders)

    @task
    def step(name: str) -> Any:
        return interrupt(f"{name}?")

    async def acall(name: str) -> Any:
        return await step(name)

    inner = side_by_side(
        driver, lambda n: step(n).result() if driver.name == "sync" else acall(n), turns
    )

    def flow(_: Any) -> Any:
        return inner({})["out"]

    async def aflow(_: Any) -> Any:
        return (await inner({}))["out"]

    graph = entrypoint(checkpointer=InMemorySaver())(flow if driver.name == "sync" else aflow)
    ids = by_value(driver.invoke(graph, "x", THREAD))
    driver.invoke(graph, Command(resume={ids["b?"]: "B"}), THREAD)

    assert driver.invoke(graph, Command(resume={ids["a?"]: "A"}), THREAD) == ["A", "B"]


class Ordered(InMemorySaver):
    """A saver that drops what is stored of strands, as programs do that do not know them."""

    def put_writes(self, config: Any, writes: Any, task_id: str, *args: Any) -> None:
        if [name for name, _ in writes] != ["__resume__"]:
            super().put_writes(config, writes, task_id, *args)

    async def aput_writes(self, *args: Any) -> None:
        self.put_writes(*args)


def test_threads_that_wait_since_before_get_their_answers_by_order(driver: Any) -> None:
    """A question that is known to be asked goes to who asks it."""
    node = side_by_side(driver, both(driver, lambda name: interrupt(f"{name}?")), Turns("ab", "ba"))
    graph = graph_of(node, Ordered())

    result = driver.invoke(graph, {}, THREAD)
    (ids,) = [by_value(result)]
    result = driver.invoke(graph, Command(resume={ids["a?"]: "A"}), THREAD)
    assert list(by_value(result)) == ["b?"]


def test_graphs_that_keep_their_state_are_told_apart_within_a_call() -> None:
    """From one call to the next they go by order, which the docs say."""
    calls: list[int] = []

    class Kept(TypedDict, total=False):
        name: str
        log: Annotated[list[Any], operator.add]

    builder = StateGraph(Kept).add_node("begin", lambda state: {"log": [state["name"]]})
    builder.add_node("ask", lambda state: {"log": [interrupt(state["name"])]})
    inner = builder.add_edge(START, "begin").add_edge("begin", "ask").compile(checkpointer=True)

    async def node(state: State) -> Any:
        calls.append(1)
        turns = {"a": 0, "b": 9} if len(calls) % 2 else {"a": 9, "b": 0}

        async def one(name: str) -> Any:
            for _ in range(turns[name]):
                await asyncio.sleep(0)
            return (await inner.ainvoke({"name": name}))["log"]

        results = await asyncio.gather(one("a"), one("b"), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return {"out": list(results)}

    outer = StateGraph(State).add_node(node).add_edge(START, "node")
    graph: Any = outer.compile(checkpointer=InMemorySaver())

    asked = asyncio.run(graph.ainvoke({"out": []}, THREAD))["__interrupt__"]
    answers = {question.id: question.value.upper() for question in asked}
    result = asyncio.run(graph.ainvoke(Command(resume=answers), THREAD))

    assert result["out"] == [["a", "A"], ["b", "B"]]


def test_a_task_of_an_async_run_that_is_sync_is_its_own_code() -> None:
    """What it is called with differs from run to run, and its answers are its own all the same."""
    runs: list[str] = []
    paid: list[str] = []

    @task
    def pay() -> None:
        paid.append("paid")

    @task
    def ask(stamp: str) -> list[Any]:
        pay().result()
        return [interrupt("first?"), interrupt("second?")]

    @entrypoint(checkpointer=InMemorySaver())
    async def flow(_: Any) -> Any:
        runs.append("run")
        return await ask(f"at {len(runs)}")

    async def answer() -> list[Any]:
        seen: list[Any] = [await flow.ainvoke(1, THREAD)]
        for text in ("A", "B"):
            seen.append(await flow.ainvoke(Command(resume=text), THREAD))
        return seen

    first, second, result = asyncio.run(answer())
    asked = [[one.value for one in found["__interrupt__"]] for found in (first, second)]
    assert (asked, result, paid) == ([["first?"], ["second?"]], ["A", "B"], ["paid"])


def test_the_modules_that_call_code_of_tasks_are_there() -> None:
    for name in CALLERS:
        assert importlib.util.find_spec(name) is not None
