"""`langgraph-supervisor` and `langgraph-swarm`."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import create_react_agent
from langgraph_supervisor import create_forward_message_tool, create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

from scenarios import Play, scenario
from scenarios.models import Scripted, calls, says
from scenarios.recording import Recorder
from scenarios.threads import fresh_thread


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word}: a word"


def _asked(text: str) -> Any:
    return {"messages": [HumanMessage(text, id=text)]}


def office(turns: list[Any], **options: Any) -> Any:
    """Return a supervisor of a clerk who adds and a librarian."""
    clerk = create_react_agent(
        Scripted(turns=[calls(("add", {"a": 2, "b": 3})), says("It is 5")]), [add], name="clerk"
    )
    librarian = create_react_agent(
        Scripted(turns=[calls(("look_up", {"word": "five"})), says("A word")]),
        [look_up],
        name="librarian",
    )
    tools = [create_forward_message_tool()]
    boss = create_supervisor(
        [clerk, librarian], model=Scripted(turns=turns), tools=tools, **options
    )
    return boss


@scenario("langgraph-supervisor", "two agents one after the other, updates and tokens")
def supervisor() -> Play:
    turns = [
        calls(("transfer_to_clerk", {}), text="First the sum"),
        calls(("transfer_to_librarian", {})),
        says("Five is a word"),
    ]
    graph = office(turns).compile(checkpointer=InMemorySaver())

    def play(record: Recorder) -> None:
        config = fresh_thread()
        modes = ["updates", "messages", "tasks"]
        stream = graph.stream(_asked("2 and 3?"), config, stream_mode=modes, subgraphs=True)
        record.all("item", stream)
        record("state", graph.get_state(config))
        record.all("history", graph.get_state_history(config))

    return play


@scenario("langgraph-supervisor", "full history, a forwarded message, async and events")
def supervisor_async() -> Play:
    turns = [calls(("transfer_to_clerk", {})), calls(("forward_message", {"from_agent": "clerk"}))]
    graph = office(turns, output_mode="full_history").compile(name="office")

    async def play(record: Recorder) -> None:
        record("result", await graph.ainvoke(_asked("2 and 3?")))
        await record.all_async("event", graph.astream_events(_asked("2 and 3?"), version="v2"))

    return play


def _swarm() -> Any:
    to_bob = create_handoff_tool(agent_name="bob", description="Ask Bob, who adds")
    to_anne = create_handoff_tool(agent_name="anne", description="Ask Anne, who knows words")
    anne = create_react_agent(
        Scripted(turns=[calls(("transfer_to_bob", {}), text="Bob knows"), says("A word, then")]),
        [look_up, to_bob],
        name="anne",
    )
    bob = create_react_agent(
        Scripted(
            turns=[
                calls(("add", {"a": 2, "b": 3})),
                says("It is 5"),
                calls(("transfer_to_anne", {})),
            ]
        ),
        [add, to_anne],
        name="bob",
    )
    return create_swarm([anne, bob], default_active_agent="anne")


@scenario("langgraph-swarm", "handoffs over two turns of a thread")
def swarm() -> Play:
    graph = _swarm().compile(checkpointer=InMemorySaver())

    def play(record: Recorder) -> None:
        config = fresh_thread()
        modes = ["updates", "messages"]
        for text in ("2 and 3?", "Is that a word?"):
            stream = graph.stream(_asked(text), config, stream_mode=modes, subgraphs=True)
            record.all("item", stream)
            record("active", graph.get_state(config).values["active_agent"])

    return play


@scenario("langgraph-swarm", "handoffs, async, every stream mode")
def swarm_async() -> Play:
    graph = _swarm().compile(checkpointer=InMemorySaver())

    async def play(record: Recorder) -> None:
        config = fresh_thread()
        modes: list[Any] = ["values", "updates", "tasks", "checkpoints", "debug", "messages"]
        for text in ("2 and 3?", "Is that a word?"):
            stream = graph.astream(_asked(text), config, stream_mode=modes, subgraphs=True)
            await record.all_async("item", stream)

    return play
