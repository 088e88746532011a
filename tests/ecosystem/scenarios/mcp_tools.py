"""`langchain-mcp-adapters`: tools of a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.interceptors import MCPToolCallRequest
from langchain_mcp_adapters.tools import load_mcp_tools
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from mcp.shared.memory import create_connected_server_and_client_session

from scenarios import Play, scenario
from scenarios.models import Scripted, calls, says
from scenarios.recording import Recorder
from scenarios.threads import fresh_thread
from server import make_server

SERVER = Path(__file__).parent.parent / "server.py"
ASKED: Any = {"messages": [HumanMessage("2 and 3?", id="question")]}


def _model() -> Scripted:
    return Scripted(
        turns=[
            calls(("add", {"a": 2, "b": 3})),
            calls(("describe", {"number": 5}), text="And what is that"),
            calls(("refuse", {})),
            says("Five, then"),
        ]
    )


@scenario("langchain-mcp-adapters", "create_agent with the tools of a server in this process")
def in_memory() -> Play:
    model = _model()

    async def play(record: Recorder) -> None:
        server = make_server()
        async with create_connected_server_and_client_session(server._mcp_server) as session:
            tools = await load_mcp_tools(session)
            record("tools", [[tool.name, tool.description, tool.args] for tool in tools])
            agent = create_agent(model, tools, checkpointer=InMemorySaver())
            modes: Any = ["updates", "messages", "tools", "tasks"]
            stream = agent.astream(ASKED, fresh_thread(), stream_mode=modes)
            await record.all_async("item", stream)

    return play


@scenario("langchain-mcp-adapters", "a server of its own (stdio), with an interceptor")
def stdio() -> Play:
    model = _model()

    async def play(record: Recorder) -> None:
        async def note(request: MCPToolCallRequest, handler: Any) -> Any:
            runtime: Any = request.runtime
            runtime.stream_writer({"calling": request.name, "args": request.args})
            answer = await handler(request)
            if request.name == "refuse":
                said = ToolMessage("not asked", tool_call_id=runtime.tool_call_id, name="refuse")
                return Command(update={"messages": [said]}, goto="__end__")
            return answer

        client = MultiServerMCPClient(
            {"sums": {"command": sys.executable, "args": [str(SERVER)], "transport": "stdio"}},
            tool_interceptors=[note],
        )
        async with client.session("sums") as session:
            tools = await load_mcp_tools(session, tool_interceptors=[note])
            agent = create_agent(model, tools)
            stream = agent.astream(ASKED, stream_mode=["updates", "custom"])
            await record.all_async("item", stream)

    return play
