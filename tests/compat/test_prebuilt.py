"""The tool node of langgraph-prebuilt, on millstream."""

from __future__ import annotations

import pytest

from compat.conftest import Python

HANDOVER = """
import asyncio, operator, sys
import millstream
millstream.install_as_langgraph()
from typing import Annotated, TypedDict
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool, InjectedToolCallId
from langgraph.graph import StateGraph, START
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send

class State(TypedDict, total=False):
    messages: Annotated[list, add_messages]
    log: Annotated[list, operator.add]
    active: str

def transferring(name):
    @tool(f"to_{name}")
    def transfer(tool_call_id: Annotated[str, InjectedToolCallId]):
        "Hand over."
        answer = ToolMessage(name, tool_call_id=tool_call_id)
        update = {"messages": [answer], "log": [name], "active": name}
        return Command(graph=Command.PARENT, update=update, goto=name)
    return transfer

calls = [{"name": f"to_{n}", "args": {}, "id": n, "type": "tool_call"} for n in ("alice", "bob")]
child = StateGraph(State)
child.add_node("model", lambda s: {"messages": [AIMessage("", tool_calls=calls)]})
child.add_node("tools", ToolNode([transferring("alice"), transferring("bob")]))
child.add_edge(START, "model")
if sys.argv[1] == "list":
    child.add_edge("model", "tools")
else:
    child.add_conditional_edges("model", lambda s: [Send("tools", [c]) for c in calls], ["tools"])
team = StateGraph(State).add_node("agent", child.compile()).add_edge(START, "agent")
for name in ("alice", "bob"):
    team.add_node(name, lambda s, name=name: {"log": [f"{name}:{len(s['log'])}"]})
graph = team.compile()
for result in (graph.invoke({"log": []}), asyncio.run(graph.ainvoke({"log": []}))):
    print(result["log"], result["active"], [m.content for m in result["messages"]])
"""


@pytest.mark.parametrize("how", ["list", "sends"])
def test_parallel_handovers_are_all_applied_once(python: Python, how: str) -> None:
    printed = python.check(HANDOVER, how)

    expected = "['alice', 'bob', 'alice:2', 'bob:2'] bob ['alice', 'bob']"
    assert printed.splitlines() == [expected, expected]
