"""`langgraph-prebuilt`: `ToolNode`, `create_react_agent`."""

from __future__ import annotations

from typing import Annotated, Any

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.prebuilt import (
    InjectedState,
    InjectedStore,
    ToolNode,
    ToolRuntime,
    create_react_agent,
    tools_condition,
)
from langgraph.prebuilt.tool_node import ToolInvocationError
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from scenarios import Play, scenario
from scenarios.models import Scripted, calls, says
from scenarios.recording import Recorder
from scenarios.threads import fresh_thread


class State(MessagesState):
    """Messages, and who talks."""

    speaker: str
    seen: int


@tool
def who(state: Annotated[dict[str, Any], InjectedState]) -> str:
    """Say who is talking."""
    return f"{state['speaker']}, after {len(state['messages'])} messages"


@tool
def note(
    text: str,
    store: Annotated[BaseStore, InjectedStore()],
    call_id: Annotated[str, InjectedToolCallId],
    config: RunnableConfig,
) -> Command[Any]:
    """Write a note."""
    store.put(("notes",), "last", {"text": text})
    answer = ToolMessage(f"noted, in {config['configurable']['room']}", tool_call_id=call_id)
    return Command(update={"messages": [answer], "seen": 1})


@tool
def broken(divisor: int, runtime: ToolRuntime) -> float:
    """Divide."""
    runtime.stream_writer({"dividing by": divisor})
    return 1 / divisor


@tool
def length(text: str) -> int:
    """Count the letters of a text."""
    return len(text)


@tool
def confirm(text: str) -> str:
    """Ask somebody to confirm."""
    return f"{text}: {interrupt({'confirm': text})}"


@scenario("langgraph-prebuilt", "ToolNode: injection, commands, errors, in a graph of its own")
def tool_node() -> Play:
    def explain(error: ZeroDivisionError) -> str:
        return f"cannot: {error}"

    model = Scripted(
        turns=[
            calls(("who", {})),
            calls(("note", {"text": "tea"})),
            calls(("broken", {"divisor": 0})),
            calls(("missing", {})),
            calls(("length", {"wrong": 0})),
        ]
    )
    bound = model.bind_tools([who, note, broken, length])

    def talk(state: State) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    builder = StateGraph(State)
    builder.add_node("talk", talk)
    builder.add_node("tools", ToolNode([who, note, broken, length], handle_tool_errors=explain))
    builder.add_edge(START, "talk")
    builder.add_conditional_edges("talk", tools_condition, {"tools": "tools", END: END})
    builder.add_edge("tools", "talk")
    graph = builder.compile(store=InMemoryStore())

    def play(record: Recorder) -> None:
        asked: Any = {"messages": [HumanMessage("Hello", id="question")], "speaker": "anne"}
        config: RunnableConfig = {"configurable": {"room": "kitchen"}}
        modes = ["updates", "messages", "custom", "tools"]
        try:
            record.all("item", graph.stream(asked, config, stream_mode=modes))
        except ToolInvocationError as error:
            record("error", error)
        record("graph", graph.get_graph().to_json())

    return play


@scenario("langgraph-prebuilt", "ToolNode: several calls at once, one asks")
def tool_node_asks() -> Play:
    model = Scripted(
        turns=[
            AIMessage(
                "",
                tool_calls=[
                    *calls(("confirm", {"text": "a"})).tool_calls,
                    *calls(("who", {})).tool_calls,
                ],
            ),
            says("Good"),
        ]
    )
    graph = create_react_agent(
        model, [confirm, who], state_schema=ReactState, checkpointer=InMemorySaver()
    )

    def play(record: Recorder) -> None:
        config = fresh_thread()
        asked: Any = {"messages": [HumanMessage("Go", id="question")], "speaker": "bob"}
        record("asked", graph.invoke(asked, config))
        record("state", graph.get_state(config))
        record("result", graph.invoke(Command(resume="yes"), config))

    return play


class ReactState(MessagesState):
    """What `create_react_agent` needs, and who talks."""

    speaker: str
    remaining_steps: int


class Answer(BaseModel):
    """The answer in short."""

    text: str


@scenario("langgraph-prebuilt", "create_react_agent: hooks, structured response")
def react_agent() -> Play:
    def shorten(state: Any) -> dict[str, Any]:
        kept = state["messages"][-3:]
        return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), *kept]}

    def look_back(state: Any) -> dict[str, Any]:
        return {"speaker": f"model {len(state['messages'])}"}

    class Full(ReactState):
        structured_response: Answer

    model = Scripted(
        turns=[
            calls(("who", {}), text="Who is it"),
            says("It is anne"),
            calls(("Answer", {"text": "anne"})),
        ]
    )
    graph = create_react_agent(
        model,
        [who],
        prompt="Be brief.",
        pre_model_hook=shorten,
        post_model_hook=look_back,
        response_format=Answer,
        state_schema=Full,
        version="v2",
    )
    plain = create_react_agent(
        Scripted(turns=[calls(("who", {})), says("anne")]),
        [who],
        state_schema=ReactState,
        version="v1",
    )

    async def play(record: Recorder) -> None:
        asked: Any = {"messages": [HumanMessage("Hello", id="question")], "speaker": "anne"}
        modes = ["updates", "messages", "values"]
        await record.all_async("item", graph.astream(asked, stream_mode=modes))
        record.all("v1", plain.stream(asked, stream_mode=modes))
        record("graph", graph.get_graph().to_json())

    return play
