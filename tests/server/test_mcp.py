"""Assistants as tools: the client of the MCP SDK speaks with the server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

pytestmark = pytest.mark.real_time(reason="a server answers")


async def list_tools(url: str) -> dict[str, Any]:
    async with Client(f"{url}/mcp") as client:
        return {tool.name: tool for tool in (await client.list_tools()).tools}


async def call_tool(url: str, *args: Any) -> Any:
    async with Client(f"{url}/mcp") as client:
        return await client.call_tool(*args)


def test_every_assistant_is_a_tool_with_the_schema_of_its_input(server: Running) -> None:
    tools = asyncio.run(list_tools(server.url))
    assert {*make_graphs()} <= tools.keys()
    slow, sink = tools["slow"].input_schema, tools["sink"].input_schema
    assert slow["properties"]["n"]["type"] == "integer"
    assert sink["properties"]["messages"]["type"] == "string"
    assert (sink["type"], "$defs" in sink) == ("object", False)


def test_a_tool_runs_its_graph(server: Running) -> None:
    result = asyncio.run(call_tool(server.url, "slow", {"n": 1, "delay": 0.0}))
    assert result.structured_content == {"n": 1, "delay": 0.0, "seen": [1, -1]}
    assert not result.is_error


def test_messages_may_be_what_the_user_says(server: Running) -> None:
    result = asyncio.run(call_tool(server.url, "chat", {"messages": "hi"}))
    said = [message["content"] for message in result.structured_content["messages"]]
    assert said == ["hi", "hello from the fake model"]


def test_a_run_that_fails_is_an_error_of_its_tool(server: Running) -> None:
    result = asyncio.run(call_tool(server.url, "slow", {"n": 1, "boom": True}))
    assert (result.is_error, result.content[0].text) == (True, "ValueError: boom in tick")


def test_an_unknown_tool_is_an_error_that_names_those_there_are(server: Running) -> None:
    result = asyncio.run(call_tool(server.url, "nobody", {}))
    assert result.is_error
    assert "'nobody'" in result.content[0].text
    assert "chat" in result.content[0].text


def test_assistants_of_one_name_have_names_of_their_own_as_tools(server: Running) -> None:
    for name in ("my tool", "my tool"):
        server.http.post("/assistants", json={"graph_id": "slow", "name": name})
    names = [name for name in asyncio.run(list_tools(server.url)) if name.startswith("my_tool")]
    assert len(names) == 2
    assert "my_tool" in names


def test_trap_31_both_addresses_answer_and_no_other_method_is_taken(server: Running) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}}
    head = {"accept": "application/json, text/event-stream"}
    for path in ("/mcp", "/mcp/"):
        assert server.http.post(path, json=ping, headers=head).json()["id"] == 1
    assert server.http.get("/mcp", headers=head).status_code == 405


def test_mcp_can_be_left_out(tmp_path: Path) -> None:
    from millstream.server.config import HttpConfig

    config = config_of({}, tmp_path, http=HttpConfig(disable_mcp=True))
    with running(config) as server:
        assert server.http.post("/mcp", json={}).status_code == 404


@pytest.mark.long
def test_the_sdks_are_not_loaded_with_the_server() -> None:
    code = (
        "import sys, millstream.server.api.mcp; print(sorted({'mcp', 'a2a'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"
