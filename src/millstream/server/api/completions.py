"""Assistants as models of OpenAI's API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from starlette.responses import Response

from millstream.protocols import openai
from millstream.protocols.openai_requests import names_of
from millstream.server.api.assistants import as_assistant_id
from millstream.server.api.bodies.frontends import CompletionBody, nothing_of
from millstream.server.api.chats import asked_by, of_client, resumed, run_of, thread_of
from millstream.server.api.delegation import Delegated, as_operation, newest_assistants
from millstream.server.api.routing import Call, operation, reply
from millstream.server.errors import ApiError
from millstream.server.frontends.source import EncodedSource, follow
from millstream.server.graphs import assistant_of
from millstream.server.storage import assistants as rows

MOST: Final = 1000
"""How many models are listed."""
NO_RETRY: Final[Mapping[str, str]] = {"x-should-retry": "false"}
"""Clients ask again for what has failed: a graph that has failed has done what it did."""


def refuse(status: int, detail: str) -> dict[str, Any]:
    """Return an error in OpenAI's form: clients show no other."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    told = {"message": detail, "type": kind, "param": None, "code": None}
    return {"error": told, "detail": detail}


@operation("GET", "/openai/v1/models", auth=("assistants", "search"), refuse=refuse)
async def models(call: Call) -> Response:
    """List the assistants, as models."""
    found = await newest_assistants(call, MOST)
    return reply({"object": "list", "data": [_model(row) for row in found]})


@operation(
    "POST",
    "/openai/v1/chat/completions",
    auth=("assistants", "read"),
    asked=nothing_of,
    streams=True,
    refuse=refuse,
)
async def complete(call: Call, body: CompletionBody) -> Response:
    """Answer a conversation with a chat completion, whole or streamed."""
    asked = asked_by(openai.read_chat, body)
    found = await model_of(call, asked.model)
    thread_id = None if asked.thread_id is None else thread_of(asked.thread_id)
    messages = asked.history if thread_id is None else asked.new
    given: dict[str, Any] = {"input": {"messages": list(messages)}}
    if asked.answers and thread_id is not None:
        given = await resumed(call, thread_id, asked.answers)
    config = of_client(body.config, client_tools=asked.tools)
    # Which thread it is stands in the run, with the id that it has here.
    metadata = {key: value for key, value in body.metadata.items() if key != "thread_id"}
    run = run_of(found, body, given, config=config, metadata=metadata)
    delegated = await Delegated.of(call, run, thread_id)
    creation = delegated.creation
    encoder = openai.ChatEncoder(
        asked.model,
        completion_id=f"chatcmpl-{creation.run_id}",
        has_usage=asked.has_usage,
        tools=names_of(asked.tools),
    )
    if asked.is_streamed:
        return await creation.stream(partial(EncodedSource, encoder=encoder), NO_RETRY)
    async with delegated.events() as events:
        await follow(events, encoder)
    result = encoder.result()
    return reply(result, 500 if result.get("error") else 200, NO_RETRY)


async def model_of(call: Call, name: str) -> Mapping[str, Any]:
    """Return the assistant that a request names as its model."""
    assistant_id = as_assistant_id(name)
    own = await as_operation(call, "GET", "/assistants/{assistant_id}", assistant_id=assistant_id)
    found = await call.service.db.read(rows.get, assistant_id, filters=own.filters)
    if found is None:
        raise ApiError(404, f"There is no model {name[:100]!r}: see /openai/v1/models")
    row: Mapping[str, Any] = found
    return row


def _model(row: Mapping[str, Any]) -> dict[str, Any]:
    id, graph_id = str(row["assistant_id"]), row["graph_id"]
    return {
        # The assistant that each graph has is called like it.
        "id": graph_id if id == assistant_of(graph_id) else id,
        "object": "model",
        "created": seconds(row["created_at"]),
        "owned_by": row["name"] or graph_id,
    }


def seconds(time: Any) -> int:
    """Return a time of the database in seconds since the epoch."""
    return int((datetime.fromisoformat(time) if isinstance(time, str) else time).timestamp())
