"""What `ToolNode` does that langgraph's does not; all else is compared program by program."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import pickle
import threading
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from pydantic import ValidationError

from millstream.graph import START, StateGraph
from millstream.prebuilt import InjectedState, ToolNode, ToolRuntime
from millstream.prebuilt.tool_node import ToolInvocationError
from millstream.types import Command, Send
from prebuilt.conversation import State, asking, contents, tool_call, tools_graph

pytestmark = pytest.mark.timeout(20)


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
def fail(a: int) -> int:
    """Fail."""
    raise ValueError(f"bad {a}")


def test_a_tool_node_works_outside_a_graph(driver: Any) -> None:
    result = driver.invoke(ToolNode([add]), asking(tool_call("add", {"a": 1, "b": 2})))

    assert contents(result) == ["3"]


def test_injecting_by_hand_replaces_what_the_model_said() -> None:
    @tool
    def about(x: int, topic: Annotated[str, InjectedState("topic")]) -> str:
        """Say the topic."""
        return topic

    runtime: Any = ToolRuntime(
        state={"topic": "tea"},
        context=None,
        config={},
        stream_writer=print,
        tool_call_id="c1",
        store=None,
    )
    call = tool_call("about", {"x": 1, "topic": "lie"})

    ready = ToolNode([about]).inject_tool_args(call, runtime)

    assert ready == tool_call("about", {"x": 1, "topic": "tea"})
    assert call["args"] == {"x": 1, "topic": "lie"}


seen = contextvars.ContextVar("seen", default=0)


@tool
def where() -> tuple[str, int]:
    """Say which thread this is, and count the calls in this context."""
    before = seen.get()
    seen.set(before + 1)
    return threading.current_thread().name, before


def test_one_sync_call_runs_in_the_thread_of_its_node() -> None:
    here = threading.current_thread().name

    result = tools_graph(where).invoke(asking(tool_call("where")))

    assert contents(result) == [f'["{here}", 0]']
    assert seen.get() == 0


def test_several_sync_calls_meet_in_threads_with_contexts_of_their_own() -> None:
    both_run = threading.Barrier(2, timeout=10)

    @tool
    def meet() -> int:
        """Wait for the other call."""
        both_run.wait()
        seen.set(seen.get() + 1)
        return seen.get()

    result = tools_graph(meet).invoke(asking(tool_call("meet"), tool_call("meet", id="c2")))

    assert contents(result) == ["1", "1"]


def test_a_sync_tool_may_start_an_event_loop_below_a_running_one() -> None:
    @tool
    def nested() -> str:
        """Run a coroutine."""

        async def answer() -> str:
            return "from another loop"

        return asyncio.run(answer())

    async def call() -> Any:
        return ToolNode([nested]).invoke(asking(tool_call("nested")))

    assert contents(asyncio.run(call())) == ["from another loop"]


class Waiting:
    """An async tool that waits for ever, and how that ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended: list[str] = []

        @tool
        async def wait() -> str:
            """Wait."""
            self.begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                self.ended.append("cancelled")
                raise
            return "never"

        self.tool = wait


def test_a_failing_async_call_leaves_no_other_call_behind() -> None:
    async def run() -> list[str]:
        waiting = Waiting()

        @tool
        async def fail_later() -> str:
            """Fail once the other call has begun."""
            await waiting.begun.wait()
            raise ValueError("failed")

        graph = tools_graph(waiting.tool, fail_later)
        with pytest.raises(ValueError, match="failed"):
            await graph.ainvoke(asking(tool_call("wait"), tool_call("fail_later", id="c2")))
        return waiting.ended

    assert asyncio.run(run()) == ["cancelled"]


@pytest.mark.parametrize("count", [1, 2])
def test_cancelling_the_run_cancels_its_tools_and_waits_for_them(count: int) -> None:
    async def run() -> list[str]:
        waiting = Waiting()
        calls = [tool_call("wait", id=f"c{i}") for i in range(count)]
        running = asyncio.create_task(tools_graph(waiting.tool).ainvoke(asking(*calls)))
        await waiting.begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return waiting.ended

    assert asyncio.run(run()) == ["cancelled"] * count


def test_a_sync_wrapper_does_not_stand_in_the_way_of_the_event_loop() -> None:
    threads: list[str] = []

    def wrap(request: Any, execute: Any) -> Any:
        threads.append(threading.current_thread().name)
        return execute(request)

    graph = tools_graph(add, wrap_tool_call=wrap)
    result = asyncio.run(graph.ainvoke(asking(tool_call("add", {"a": 1, "b": 2}))))

    assert contents(result) == ["3"]
    assert len(threads) == 1
    assert threads[0] != threading.current_thread().name


def test_a_tool_that_a_wrapper_puts_in_gets_its_own_injections(driver: Any) -> None:
    @tool
    def other(a: int, runtime: ToolRuntime, topic: Annotated[str, InjectedState("topic")]) -> str:
        """Replace `add`."""
        return f"{a} {topic} {runtime.tool_call_id}"

    def wrap(request: Any, execute: Any) -> Any:
        return execute(request.override(tool=other))

    graph = tools_graph(add, wrap_tool_call=wrap)
    result = driver.invoke(graph, asking(tool_call("add", {"a": 1, "b": 2})))

    assert contents(result) == ["1 tea c1"]


def test_updates_for_a_parent_graph_are_not_lost_when_commands_become_one(driver: Any) -> None:
    @tool
    def send_to(who: str, call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Hand over to an agent of the parent graph."""
        return Command(
            graph=Command.PARENT,
            goto=[Send(who, {"topic": who})],
            update={"messages": [ToolMessage("sent", tool_call_id=call_id, id=f"for {who}")]},
        )

    def agent(state: State) -> Any:
        return {"messages": [HumanMessage(state["topic"], id=state["topic"])]}

    builder = StateGraph(State).add_node("team", tools_graph(send_to))
    builder.add_node("ann", agent).add_node("bob", agent).add_edge(START, "team")
    calls = [tool_call("send_to", {"who": who}, who) for who in ("ann", "bob")]

    ids = [
        [message.id for message in driver.invoke(builder.compile(), asking(*some))["messages"]]
        for some in (calls[:1], calls)
    ]

    assert ids == [
        ["ai", "for ann", "ann"],
        ["ai", "for ann", "for bob", "ann", "bob"],
    ]


class Explains:
    """An error handler that is an object."""

    def __call__(self, error: ValueError) -> str:
        """Say what happened."""
        return f"explained {error}"


def explain(error: ValueError, *, loudly: bool) -> str:
    """Say what happened."""
    return f"loudly {error}" if loudly else f"{error}"


@pytest.mark.parametrize(
    ("handler", "said"),
    [(Explains(), "explained bad 1"), (functools.partial(explain, loudly=True), "loudly bad 1")],
)
def test_any_callable_can_handle_errors_of_the_type_it_names(
    driver: Any, handler: Any, said: str
) -> None:
    graph = tools_graph(fail, handle_tool_errors=handler)

    result = driver.invoke(graph, asking(tool_call("fail", {"a": 1})))

    assert contents(result) == [said]
    with pytest.raises(ToolInvocationError):
        driver.invoke(graph, asking(tool_call("fail", {"a": "x"})))


def test_an_invocation_error_survives_pickling_and_names_its_cause() -> None:
    graph = tools_graph(add, handle_tool_errors=False)

    with pytest.raises(ToolInvocationError) as caught:
        graph.invoke(asking(tool_call("add", {"a": "x", "b": 1})))
    error = caught.value
    revived = pickle.loads(pickle.dumps(error))

    assert isinstance(error.__cause__, ValidationError)
    assert (str(revived), revived.tool_kwargs) == (str(error), {"a": "x", "b": 1})
