"""A mill that the pages beside this file talk with: it weighs, asks before it grinds, and fails.

    agent <-> tools
    agent <-> review -> tools

Its model is a script that needs no key. It knows four requests: "weigh 3 sacks" calls a tool,
"grind 3 sacks" calls one that has to be approved, "count to 50" takes its time, and "open the
sluice" fails.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.tools import tool

from actor import Actor
from millstream.graph import END, START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode, ToolRuntime
from millstream.types import Command, interrupt
from rulebook import call, words

PACE = 0.03
SACK = 50
HELP = (
    "I am a mill. Ask me to weigh 3 sacks, to grind 3 sacks, to count to 50, or to open the sluice."
)


@tool
def weigh(sacks: int) -> dict[str, int]:
    """Weigh sacks of grain."""
    return {"kilos": sacks * SACK}


@tool
async def grind(sacks: int, runtime: ToolRuntime) -> str:
    """Grind sacks of grain to flour."""
    for number in range(1, sacks + 1):
        runtime.emit_output_delta(f"sack {number}")
        await asyncio.sleep(PACE)
    return f"{sacks} sacks of flour"


def play(messages: Sequence[BaseMessage]) -> Iterator[AIMessageChunk]:
    """Play the miller."""
    last = messages[-1]
    text = str(last.text)
    found = re.search(r"\d+", text)
    number = int(found[0]) if found else 1
    if isinstance(last, ToolMessage):
        yield from words(f"{'Not done' if last.status == 'error' else 'Done'}: {text}.")
    elif "count" in text:
        yield from words(" ".join(str(each) for each in range(1, number + 1)))
    elif "sluice" in text:
        yield from words("I open the sluice, ")
        raise RuntimeError("the sluice is stuck")
    elif "weigh" in text or "grind" in text:
        yield from words("I see to it.")
        name = "weigh" if "weigh" in text else "grind"
        yield from call(name, {"sacks": number}, number=len(messages))
    else:
        yield from words(HELP)


async def agent(state: MessagesState) -> dict[str, Any]:
    """Answer, or call a tool."""
    return {"messages": [await Actor(part=play, pace=PACE).ainvoke(state["messages"])]}


def wanted(state: MessagesState) -> Literal["review", "tools", "__end__"]:
    """Say what comes after what the model has said."""
    last = state["messages"][-1]
    calls = last.tool_calls if isinstance(last, AIMessage) else []
    if not calls:
        return END
    return "review" if calls[0]["name"] == "grind" else "tools"


def review(state: MessagesState) -> Command[Literal["agent", "tools"]]:
    """Ask whether a tool may be called, in the form of LangChain's `HumanInTheLoopMiddleware`."""
    last = state["messages"][-1]
    assert isinstance(last, AIMessage)
    asked = last.tool_calls[0]
    action = {"name": asked["name"], "args": asked["args"], "description": "May the mill turn?"}
    allowed = {"action_name": asked["name"], "allowed_decisions": ["approve", "reject"]}
    answer = interrupt({"action_requests": [action], "review_configs": [allowed]})
    made = answer["decisions"][0]
    if made["type"] == "approve":
        return Command(goto="tools")
    text = made.get("message") or "it was not approved"
    refused = ToolMessage(text, name=asked["name"], tool_call_id=asked["id"], status="error")
    return Command(update={"messages": [refused]}, goto="agent")


builder = StateGraph(MessagesState)
builder.add_node(agent)
builder.add_node(review)
builder.add_node("tools", ToolNode([weigh, grind]))
builder.add_edge(START, "agent")
builder.add_conditional_edges("agent", wanted)
builder.add_edge("tools", "agent")
graph = builder.compile(name="mill")
