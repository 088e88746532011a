"""Commands for a parent graph that several tasks or tools send at once: none is lost."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph
from millstream.graph.message import add_messages
from millstream.prebuilt import ToolNode
from millstream.types import Command, Send


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    log: Annotated[list[str], operator.add]
    active: str


def transferring(name: str, goto: Any) -> Any:
    """Return a tool that hands over to nodes of the parent graph."""

    @tool(name)
    def transfer(tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Hand over."""
        answer = ToolMessage(name, tool_call_id=tool_call_id)
        update = {"messages": [answer], "log": [name], "active": name}
        return Command(graph=Command.PARENT, update=update, goto=goto)

    return transfer


@tool
def look_up() -> str:
    """Find something."""
    return "found"


@tool
def fail() -> str:
    """Fail."""
    raise ValueError("boom")


TOOLS = [
    transferring("to_alice", "alice"),
    transferring("to_bob", ("bob",)),
    transferring("send_alice", [Send("alice", {"log": ["by itself"]})]),
    transferring("send_bob", [Send("bob", {"log": ["by itself"]})]),
    look_up,
    fail,
]


def agent(names: list[str], *, is_sent: bool) -> StateGraph[Any]:
    """Return an agent whose tools run in one task, or in one task each."""
    calls: Any = [{"name": name, "args": {}, "id": name} for name in names]

    def model(state: State) -> Any:
        return {"messages": [AIMessage("", tool_calls=calls)]}

    builder = StateGraph(State).add_node("model", model).add_edge(START, "model")
    builder.add_node("tools", ToolNode(TOOLS, handle_tool_errors=False))
    if is_sent:
        sends = [Send("tools", [{**call, "type": "tool_call"}]) for call in calls]
        builder.add_conditional_edges("model", lambda state: sends, ["tools"])
    else:
        builder.add_edge("model", "tools")
    return builder


def count(name: str) -> Any:
    return lambda state: {"log": [f"{name}:{len(state['log'])}"]}


def team(child: Any, *, depth: int = 1, person: Any = count, **options: Any) -> Any:
    """Return the graph around an agent, which has two more nodes."""
    for _ in range(depth - 1):
        child = StateGraph(State).add_node("between", child).add_edge(START, "between").compile()
    builder = StateGraph(State).add_node("agent", child).add_edge(START, "agent")
    for name in ("alice", "bob"):
        builder.add_node(name, person(name))
    return builder.compile(**options)


one_task_or_more = pytest.mark.parametrize("is_sent", [False, True], ids=["list", "sends"])


@one_task_or_more
@pytest.mark.parametrize(
    ("names", "log"),
    [
        (["to_alice"], ["to_alice", "alice:1"]),
        (["to_alice", "to_bob"], ["to_alice", "to_bob", "alice:2", "bob:2"]),
        (["to_bob", "to_alice", "look_up"], ["to_bob", "to_alice", "alice:2", "bob:2"]),
        (["to_alice", "send_bob"], ["to_alice", "send_bob", "alice:2", "bob:1"]),
        (["send_alice", "send_bob"], ["send_alice", "send_bob", "alice:1", "bob:1"]),
        (["to_alice", "send_alice"], ["to_alice", "send_alice", "alice:2", "alice:1"]),
    ],
    ids=str,
)
def test_every_update_and_goto_counts_once(
    driver: Any, names: list[str], log: list[str], is_sent: bool
) -> None:
    result = driver.invoke(team(agent(names, is_sent=is_sent).compile()), {"log": []})

    handing = [name for name in names if name != "look_up"]
    assert sorted(result["log"]) == sorted(log)
    assert result["log"][: len(handing)] == log[: len(handing)]
    assert [message.content for message in result["messages"]] == handing
    assert result["active"] == handing[-1]


@one_task_or_more
@pytest.mark.parametrize("depth", [2, 3])
def test_each_graph_in_between_is_left(driver: Any, depth: int, is_sent: bool) -> None:
    """The parent is the graph around the agent, whose parents go on."""
    inner = agent(["to_alice", "to_bob"], is_sent=is_sent).compile()
    graph = team(team(inner), depth=depth)

    log = driver.invoke(graph, {"log": []})["log"]

    assert log == ["to_alice", "to_bob", "alice:2", "bob:2"]


@one_task_or_more
def test_parallel_nodes_may_leave_too(driver: Any, is_sent: bool) -> None:
    def forward(name: str) -> Any:
        return lambda state: Command(graph=Command.PARENT, update={"log": [name]}, goto=name)

    middle = team(agent(["to_alice", "to_bob"], is_sent=is_sent).compile(), person=forward)

    assert driver.invoke(team(middle), {"log": []})["log"] == ["alice", "bob", "alice:2", "bob:2"]


@one_task_or_more
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_saved_thread_has_all_of_it(driver: Any, is_sent: bool, durability: Any) -> None:
    thread: Any = {"configurable": {"thread_id": "1"}}
    child = agent(["to_alice", "to_bob"], is_sent=is_sent).compile()
    graph = team(child, checkpointer=InMemorySaver(), interrupt_before=["alice"])

    driver.invoke(graph, {"log": []}, thread, durability=durability)

    state = graph.get_state(thread)
    assert (state.values["log"], state.next) == (["to_alice", "to_bob"], ("alice", "bob"))
    log = driver.invoke(graph, None, thread, durability=durability)["log"]
    assert log == ["to_alice", "to_bob", "alice:2", "bob:2"]


@one_task_or_more
def test_an_error_of_another_tool_is_raised(driver: Any, is_sent: bool) -> None:
    graph = team(agent(["to_alice", "fail"], is_sent=is_sent).compile())

    with pytest.raises(ValueError, match="boom"):
        driver.invoke(graph, {"log": []})


def test_a_slow_task_is_waited_for() -> None:
    """A command for the parent does not cancel its siblings, which may have one of their own."""
    gone = asyncio.Event()

    async def quick(state: State) -> Command[Any]:
        gone.set()
        return Command(graph=Command.PARENT, update={"log": ["quick"]}, goto="alice")

    async def slow(state: State) -> Command[Any]:
        await gone.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        return Command(graph=Command.PARENT, update={"log": ["slow"]}, goto="bob")

    child = StateGraph(State).add_node("slow", slow).add_node("quick", quick)
    child.add_edge(START, "slow").add_edge(START, "quick")

    async def run() -> Any:
        return await team(child.compile()).ainvoke({"log": []})

    assert asyncio.run(run())["log"] == ["quick", "slow", "alice:2", "bob:2"]


# It fails before it leads anywhere.
@pytest.mark.filterwarnings("ignore::millstream.warnings.GraphWarning")
def test_one_command_is_as_strict_as_ever(driver: Any) -> None:
    """Two values for one key in one update are a mistake, not a race of tools."""
    update = [("active", "a"), ("active", "b")]
    child = StateGraph(State).add_node(
        "node", lambda state: Command(graph=Command.PARENT, update=update)
    )
    graph = team(child.add_edge(START, "node").compile())

    with pytest.raises(Exception, match="Can receive only one value per step"):
        driver.invoke(graph, {"log": []})
