"""Assistants as tools for clients of the Model Context Protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.responses import Response

from millstream.server.api.routing import Call, operation, read_body


@operation("POST", "/mcp", auth=("assistants", "search"))
async def speak(call: Call) -> Response:
    """Answer a request of the Model Context Protocol: which tools there are, or call one."""
    return await _answer(call)


@operation("POST", "/mcp/", auth=("assistants", "search"))
async def speak_too(call: Call) -> Response:
    """Answer the same at the address that some clients make of it."""
    return await _answer(call)


async def _answer(call: Call) -> Response:
    # Slow to import.
    answer = await asyncio.to_thread(_load)
    return answer(call, await read_body(call))


def _load() -> Callable[[Call, bytes], Response]:
    from millstream.server.agents.mcp_server import McpResponse

    return McpResponse
