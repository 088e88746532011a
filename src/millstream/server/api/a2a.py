"""Assistants as agents for clients of the Agent2Agent protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.responses import Response

from millstream.server.api.assistants import as_assistant_id, assistant
from millstream.server.api.bodies.base import Query
from millstream.server.api.delegation import as_operation, input_schema
from millstream.server.api.routing import Call, operation, read_body, reply
from millstream.server.errors import ApiError
from millstream.server.storage import assistants as rows
from millstream.version import __version__

MEDIA: Final = ("application/json", "text/plain")
HISTORY: Final = {
    "uri": "https://langchain.com/a2a/extensions/history-scope/v1",
    "description": "Choose task-only or full-context response history",
    "required": False,
    "params": {
        "header": "LangGraph-A2A-History-Scope",
        "values": ["context", "task"],
        "default": "context",
        "methods": ["SendMessage", "GetTask", "ListTasks"],
    },
}


class CardQuery(Query):
    """Whose card is meant."""

    assistant_id: str | None = None


@operation("POST", "/a2a/{assistant_id}", auth=("assistants", "read"), takes_names=True)
async def speak(call: Call) -> Response:
    """Answer a request of the Agent2Agent protocol for an assistant."""
    found = await assistant(call)
    # Slow to import.
    answer = await asyncio.to_thread(_load)
    return await answer(call, found, await read_body(call))


@operation(
    "GET",
    "/a2a/{assistant_id}/.well-known/agent-card.json",
    auth=("assistants", "read"),
    takes_names=True,
)
async def own_card(call: Call) -> Response:
    """Return the card of an assistant."""
    return reply(await _card(call, await assistant(call)))


@operation(
    "GET",
    "/a2a/{assistant_id}/.well-known/agent.json",
    auth=("assistants", "read"),
    takes_names=True,
)
async def old_card(call: Call) -> Response:
    """Return the card of an assistant, where older clients look for it."""
    return reply(await _card(call, await assistant(call)))


@operation("GET", "/.well-known/agent-card.json", auth=("assistants", "search"))
async def card(call: Call, query: CardQuery) -> Response:
    """Return the card of the assistant that is asked for."""
    if query.assistant_id is None:
        raise ApiError(422, "Say whose card is meant: ?assistant_id=")
    assistant_id = as_assistant_id(query.assistant_id)
    own = await as_operation(call, "GET", "/assistants/{assistant_id}", assistant_id=assistant_id)
    found = await call.service.db.read(rows.get, assistant_id, filters=own.filters)
    if found is None:
        raise ApiError(404, "Not Found")
    return reply(await _card(call, found))


def _load() -> Callable[[Call, Mapping[str, Any], bytes], Awaitable[Response]]:
    from millstream.server.agents.a2a_agent import answer

    return answer


async def _card(call: Call, found: Mapping[str, Any]) -> dict[str, Any]:
    name = found["name"] or found["graph_id"]
    description = found["description"] or f"{name} assistant"
    schema = await input_schema(call, found)
    base = str(call.request.base_url).rstrip("/")
    url = f"{base}/a2a/{found['assistant_id']}"
    properties = list(schema.get("properties", ()))
    return {
        "name": name,
        "description": description,
        "url": url,
        "protocolVersion": "0.3.0",
        "preferredTransport": "JSONRPC",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": version}
            for version in ("1.0", "0.3")
        ],
        "capabilities": {
            "streaming": True,
            "pushNotifications": False,
            "stateTransitionHistory": False,
            "extensions": [HISTORY],
        },
        "defaultInputModes": [*MEDIA],
        "defaultOutputModes": [*MEDIA],
        "skills": [
            {
                "id": f"{found['assistant_id']}-main",
                "name": f"{name} Capabilities",
                "description": description,
                "tags": ["assistant", "langgraph"],
                "examples": [],
                "inputModes": [*MEDIA],
                "outputModes": [*MEDIA],
                "metadata": {
                    "inputSchema": {
                        "required": schema.get("required", []),
                        "properties": properties,
                        "supportsA2A": "messages" in properties,
                    }
                },
            }
        ],
        "version": __version__,
    }
