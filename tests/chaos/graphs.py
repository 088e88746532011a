"""The graphs that are served: programs for LangGraph, whose nodes take their time.

Each says the same whenever it is given the same, and enters what it does in the ledger.
"""

from __future__ import annotations

import asyncio
import operator
import time
from typing import Annotated, Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, ToolCall
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

from chaos.ledger import note


class Talk(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    rounds: int
    pace: int


class Walk(TypedDict, total=False):
    rounds: int
    pace: int
    width: int
    seen: Annotated[list[str], operator.add]


async def work(pace: int) -> None:
    """Take some milliseconds, and say so in the middle of them."""
    await asyncio.sleep(pace / 2000)
    get_stream_writer()({"half": pace})
    await asyncio.sleep(pace / 2000)


# Tools: a model that asks for two of them in each round.


@tool
def measure(length: int) -> str:
    """Measure something."""
    note(f"measure {length}")
    time.sleep(0.05)
    return f"{length} cm"


@tool
async def weigh(mass: int) -> str:
    """Weigh something."""
    note(f"weigh {mass}")
    await asyncio.sleep(0.1)
    return f"{mass} g"


async def agent(state: Talk) -> dict[str, Any]:
    note()
    done = sum(message.type == "ai" for message in state["messages"])
    await asyncio.sleep(state["pace"] / 1000)
    model = GenericFakeChatModel(messages=iter([AIMessage(f"round {done} of the mill")]))
    said = await model.ainvoke(state["messages"])
    calls = []
    if done < state["rounds"]:
        calls = [
            ToolCall(name="measure", args={"length": done}, id=f"m{done}"),
            ToolCall(name="weigh", args={"mass": done}, id=f"w{done}"),
        ]
    message = AIMessage(said.content, tool_calls=calls, id=f"ai{done}")
    return {"messages": [message]}


def wants_tools(state: Talk) -> str:
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else END


def make_tools() -> Any:
    builder = StateGraph(Talk).add_node(agent).add_node("tools", ToolNode([measure, weigh]))
    builder.add_edge(START, "agent").add_conditional_edges("agent", wants_tools, ["tools", END])
    return builder.add_edge("tools", "agent").compile()


# Nested graphs: one in one in one, again and again.


def stepper(name: str) -> Any:
    async def step(state: Walk) -> dict[str, Any]:
        note()
        await work(state["pace"])
        return {"seen": [f"{name}{len(state.get('seen', ()))}"]}

    return step


def blocking(state: Walk) -> dict[str, Any]:
    """Take some time in a thread."""
    note()
    time.sleep(state["pace"] / 1000)
    return {"seen": [f"blocking{len(state.get('seen', ()))}"]}


class Inner(TypedDict, total=False):
    pace: int
    seen: list[str]
    path: Annotated[list[str], operator.add]


def inner_step(name: str) -> Any:
    async def step(state: Inner) -> dict[str, Any]:
        note()
        await work(state["pace"])
        return {"path": [f"{name}{len(state.get('path', ()))}"]}

    return step


def make_nested() -> Any:
    deep = StateGraph(Inner).add_sequence([("down", inner_step("down")), ("up", inner_step("up"))])
    deep_graph = deep.add_edge(START, "down").compile()
    inner = StateGraph(Inner).add_node("first", inner_step("first")).add_node("deep", deep_graph)
    inner.add_node("last", inner_step("last")).add_edge(START, "first").add_edge("first", "deep")
    inner_graph = inner.add_edge("deep", "last").compile()

    async def call(state: Walk) -> dict[str, Any]:
        note()
        told = await inner_graph.ainvoke({"pace": state["pace"], "path": []})
        return {"seen": ["/".join(told["path"])]}

    def count(state: Walk) -> dict[str, Any]:
        note()
        return {"rounds": state["rounds"] - 1}

    builder = StateGraph(Walk).add_node("outer", stepper("outer")).add_node("call", call)
    builder.add_node("blocking", blocking).add_node("count", count).add_edge(START, "outer")
    builder.add_edge("outer", "call").add_edge("call", "blocking").add_edge("blocking", "count")
    return builder.add_conditional_edges("count", more("outer"), ["outer", END]).compile()


def more(node: str) -> Any:
    def where(state: Walk) -> str:
        return node if state["rounds"] > 0 else END

    return where


# Sends: many tasks in one superstep, plain ones and nested graphs.


class Piece(TypedDict):
    number: int
    pace: int
    seen: Annotated[list[str], operator.add]


class Seen(TypedDict):
    seen: Annotated[list[str], operator.add]


async def piece(state: Piece) -> dict[str, Any]:
    note(str(state["number"]))
    await work(state["pace"] * (1 + state["number"]) // 2)
    return {"seen": [f"piece{state['number']}"]}


def make_sends() -> Any:
    async def half(state: Piece) -> dict[str, Any]:
        note(str(state["number"]))
        await work(state["pace"])
        return {"seen": [f"half{state['number']}"]}

    async def other_half(state: Piece) -> dict[str, Any]:
        note(str(state["number"]))
        await work(state["pace"])
        return {"seen": [f"other{state['number']}"]}

    # What several graphs return together is only what has a reducer.
    halves = StateGraph(Piece, output_schema=Seen).add_sequence(
        [("half", half), ("other_half", other_half)]
    )
    halves_graph = halves.add_edge(START, "half").compile()

    def spread(state: Walk) -> list[Send]:
        pace = state["pace"]
        pieces = [
            Send("piece", {"number": n, "pace": pace, "seen": []}) for n in range(state["width"])
        ]
        nested = [
            Send("halves", {"number": n, "pace": pace, "seen": []}) for n in range(state["width"])
        ]
        return [*pieces, *nested]

    def gather(state: Walk) -> dict[str, Any]:
        note()
        return {"rounds": state["rounds"] - 1, "seen": [f"gathered{len(state['seen'])}"]}

    builder = StateGraph(Walk).add_node("begin", stepper("begin")).add_node("piece", piece)
    builder.add_node("halves", halves_graph).add_node("gather", gather).add_edge(START, "begin")
    builder.add_conditional_edges("begin", spread, ["piece", "halves"])
    builder.add_edge("piece", "gather").add_edge("halves", "gather")
    return builder.add_conditional_edges("gather", more("begin"), ["begin", END]).compile()


# Interrupts: questions, here and in a nested graph.


def make_asks() -> Any:
    async def ask(state: Walk) -> dict[str, Any]:
        note()
        await work(state["pace"])
        answer = interrupt({"question": f"how many for round {state['rounds']}?"})
        note("answered")
        await work(state["pace"])
        return {"seen": [f"answer {answer}"]}

    class Deep(TypedDict, total=False):
        rounds: int
        pace: int
        seen: Annotated[list[str], operator.add]

    async def before(state: Deep) -> dict[str, Any]:
        note()
        await work(state["pace"])
        return {"seen": ["before"]}

    async def deep_ask(state: Deep) -> dict[str, Any]:
        note()
        answer = interrupt({"question": f"how deep for round {state['rounds']}?"})
        note("answered")
        await work(state["pace"])
        return {"seen": [f"deep {answer}"]}

    deep = StateGraph(Deep).add_sequence([("before", before), ("deep_ask", deep_ask)])
    deep_graph = deep.add_edge(START, "before").compile()

    async def nested(state: Walk) -> dict[str, Any]:
        note()
        given = {"rounds": state["rounds"], "pace": state["pace"], "seen": []}
        told = await deep_graph.ainvoke(given)
        return {"seen": told["seen"], "rounds": state["rounds"] - 1}

    builder = StateGraph(Walk).add_node("step", stepper("step")).add_node("ask", ask)
    builder.add_node("nested", nested).add_edge(START, "step").add_edge("step", "ask")
    builder.add_edge("ask", "nested")
    return builder.add_conditional_edges("nested", more("step"), ["step", END]).compile()


tools = make_tools()
nested = make_nested()
sends = make_sends()
asks = make_asks()
