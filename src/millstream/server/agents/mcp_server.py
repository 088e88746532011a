"""Assistants as tools, by the SDK of the Model Context Protocol.

Each request is a conversation of its own: nothing is kept between two of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import (
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from starlette.responses import Response

from millstream.server.api.bodies.runs import RunCreate
from millstream.server.api.delegation import Delegated, error_in, input_schema, newest_assistants
from millstream.server.errors import ApiError
from millstream.version import __version__

if TYPE_CHECKING:
    from mcp.types import CallToolRequestParams
    from starlette.types import Message, Receive, Scope, Send

    from millstream.server.api.routing import Call

MAX_TOOLS: Final = 1000
"""How many assistants are tools."""
MESSAGES: Final = "messages"
_ODD: Final = re.compile(r"[^A-Za-z0-9_.-]+")
"""What names of tools must not have."""
_SPOKEN: Final = {
    "type": "string",
    "title": "Messages",
    "description": "The user message to send to the agent.",
}
"""A list of messages as a model gives it: what the user says."""


class McpResponse(Response):
    """The answer to one request."""

    def __init__(self, call: Call, body: bytes) -> None:
        super().__init__()
        self._call = call
        self._content = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the SDK answer."""
        is_read = False

        async def replay() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read = True
            return {"type": "http.request", "body": self._content, "more_body": False}

        manager = StreamableHTTPSessionManager(
            Tools(self._call).server(),
            json_response=True,
            stateless=True,
            max_request_body_size=self._call.service.config.max_request_bytes,
        )
        async with manager.run():
            await manager.handle_request(scope, replay, send)


class Tools:
    """The assistants that a caller sees, as tools."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def server(self) -> Server[Any]:
        """Return the server of the protocol."""

        async def list_tools(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
            return await self.list()

        async def call_tool(_: Any, params: CallToolRequestParams) -> CallToolResult:
            return await self.call(params.name, params.arguments or {})

        return Server(
            "millstream", version=__version__, on_list_tools=list_tools, on_call_tool=call_tool
        )

    async def list(self) -> ListToolsResult:
        """Return all tools."""
        named = await self._assistants()
        return ListToolsResult(tools=[await self._tool(name, row) for name, row in named.items()])

    async def call(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        """Have an assistant's graph run with the arguments as its input."""
        named = await self._assistants()
        if name not in named:
            return _failed(f"Unknown tool {name!r}: there are {', '.join(named)}")
        given = dict(arguments)
        if isinstance(given.get(MESSAGES), str):
            given[MESSAGES] = [{"role": "user", "content": given[MESSAGES]}]
        body = RunCreate(assistant_id=named[name]["assistant_id"], input=given)
        try:
            result = await (await Delegated.of(self._call, body)).result()
        except ApiError as refused:
            return _failed(refused.detail)
        if (error := error_in(result)) is not None:
            return _failed(error)
        return CallToolResult(
            content=[TextContent(text=json.dumps(result, ensure_ascii=False))],
            structured_content=result if isinstance(result, dict) else None,
        )

    async def _assistants(self) -> dict[str, Mapping[str, Any]]:
        """Return the assistants by the names of their tools."""
        found = await newest_assistants(self._call, MAX_TOOLS)
        named: dict[str, Mapping[str, Any]] = {}
        # From the oldest on: what a name means does not change when another assistant is made.
        for row in reversed(found):
            name = _ODD.sub("_", row["name"] or row["graph_id"])[:64]
            if name in named:
                name = f"{name[:55]}-{row['assistant_id'][-8:]}"
            named[name] = row
        return named

    async def _tool(self, name: str, assistant: Mapping[str, Any]) -> Tool:
        title = assistant["name"] or assistant["graph_id"]
        # A graph that cannot be opened has none, and says why when it is called.
        try:
            schema = await input_schema(self._call, assistant)
        except ApiError:
            schema = {}
        return Tool(
            name=name,
            title=title,
            description=assistant["description"] or f"Tool based on the {title} assistant",
            input_schema=_of_tool(schema),
            annotations=ToolAnnotations(
                read_only_hint=False,
                destructive_hint=False,
                idempotent_hint=False,
                open_world_hint=True,
            ),
        )


def _of_tool(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a graph's schema as a tool has it: an object, messages as what the user says."""
    if not isinstance(schema.get("properties"), dict):
        return {"type": "object", "properties": {}}
    found: dict[str, Any] = {**schema, "type": "object"}
    if MESSAGES in schema["properties"]:
        found["properties"] = {**schema["properties"], MESSAGES: _SPOKEN}
        definitions = found.pop("$defs", {})
        used = _used(found, definitions)
        if used:
            found["$defs"] = used
    return found


def _used(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definitions that a schema refers to, and those that these refer to."""
    used: dict[str, Any] = {}
    texts = [json.dumps(schema)]
    while texts:
        text = texts.pop()
        for name, definition in definitions.items():
            if name not in used and f'"#/$defs/{name}"' in text:
                used[name] = definition
                texts.append(json.dumps(definition))
    return used


def _failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=True)
