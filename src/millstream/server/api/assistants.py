"""Assistants: graphs with a configuration of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.responses import Response

from millstream.server import schemas
from millstream.server.api.bodies.assistants import (
    AssistantCount,
    AssistantCreate,
    AssistantPatch,
    AssistantSearch,
    DeleteQuery,
    DrawingQuery,
    SubgraphsQuery,
    VersionChange,
    VersionSearch,
)
from millstream.server.api.routing import Call, empty, operation, reply, uuid_of
from millstream.server.deletion import delete_thread
from millstream.server.encoding import dumps
from millstream.server.errors import ApiError
from millstream.server.graphs import assistant_of
from millstream.server.storage import assistants as rows

BOTH = (
    "Cannot specify both configurable and context. Prefer setting context alone. Context was "
    "introduced in LangGraph 0.6.0 and is the long term planned replacement for configurable."
)


@operation("POST", "/assistants", auth=("assistants", "create"), gives=("assistant_id",))
async def create(call: Call, body: AssistantCreate) -> Response:
    """Make an assistant."""
    _check_graph(call, body.graph_id)
    assistant_id = uuid_of(body.assistant_id, "assistant")
    values = body.model_dump(include={"graph_id", "metadata", "name", "description"})
    values["config"], values["context"] = _settings(body.config, body.context)
    filters = call.filters
    if body.if_exists != "raise":
        # What is answered with may be there already.
        filters = await call.ask("assistants", "read", {"assistant_id": UUID(assistant_id)})
    made = await call.service.db.write(
        rows.create,
        assistant_id,
        values,
        must_be_new=body.if_exists == "raise",
        filters=filters,
    )
    return reply(made)


@operation("POST", "/assistants/search", auth=("assistants", "search"))
async def search(call: Call, body: AssistantSearch) -> Response:
    """Find assistants."""
    page = await call.service.db.read(rows.search, **body.model_dump(), filters=call.filters)
    return reply(page.rows, headers=page.headers)


@operation("POST", "/assistants/count", auth=("assistants", "search"))
async def count(call: Call, body: AssistantCount) -> Response:
    """Count assistants."""
    return reply(
        await call.service.db.read(rows.count_all, **body.model_dump(), filters=call.filters)
    )


@operation("GET", "/assistants/{assistant_id}", auth=("assistants", "read"))
async def get(call: Call) -> Response:
    """Return an assistant."""
    return reply(await assistant(call))


@operation("PATCH", "/assistants/{assistant_id}", auth=("assistants", "update"))
async def patch(call: Call, body: AssistantPatch) -> Response:
    """Change an assistant: it gets a new version."""
    changes = body.model_dump(exclude_none=True)
    if body.graph_id is not None:
        _check_graph(call, body.graph_id)
    if body.config is not None or body.context is not None:
        changes["config"], changes["context"] = _settings(body.config or {}, body.context or {})
    changed = await call.service.db.write(
        rows.patch, call["assistant_id"], changes, filters=call.filters
    )
    return reply(changed)


@operation("DELETE", "/assistants/{assistant_id}", auth=("assistants", "delete"), status=204)
async def delete(call: Call, query: DeleteQuery) -> Response:
    """Delete an assistant, and its threads if they are not to stay."""
    theirs = None
    if query.delete_threads:
        theirs = await call.ask("threads", "delete", {})
    thread_ids = await call.service.db.write(
        rows.delete, call["assistant_id"], with_threads=query.delete_threads, filters=call.filters
    )
    for thread_id in thread_ids:
        await delete_thread(call.service, thread_id, theirs)
    return empty()


@operation("GET", "/assistants/{assistant_id}/graph", auth=("assistants", "read"), takes_names=True)
async def drawing(call: Call, query: DrawingQuery) -> Response:
    """Draw an assistant's graph."""
    found = await assistant(call)
    return await _look(call, found, lambda graph: schemas.drawing_of(graph, query.depth))


@operation("GET", "/assistants/{assistant_id}/schemas", auth=("assistants", "read"))
async def graph_schemas(call: Call) -> Response:
    """Return the JSON schemas of an assistant's graph."""
    found = await assistant(call)
    head = {"graph_id": found["graph_id"]}
    return await _look(call, found, lambda graph: {**head, **schemas.schemas_of(graph)})


@operation("GET", "/assistants/{assistant_id}/subgraphs", auth=("assistants", "read"))
async def subgraphs(call: Call, query: SubgraphsQuery) -> Response:
    """Return the JSON schemas of the graphs in an assistant's graph."""
    found = await assistant(call)
    return await _look(
        call, found, lambda graph: schemas.subgraphs_of(graph, None, recurse=query.recurse)
    )


@operation("GET", "/assistants/{assistant_id}/subgraphs/{namespace}", auth=("assistants", "read"))
async def subgraph(call: Call, query: SubgraphsQuery) -> Response:
    """Return the JSON schemas of one graph in an assistant's graph."""
    found = await assistant(call)
    namespace = call["namespace"]
    return await _look(
        call, found, lambda graph: schemas.subgraphs_of(graph, namespace, recurse=query.recurse)
    )


@operation("POST", "/assistants/{assistant_id}/versions", auth=("assistants", "read"))
async def versions(call: Call, body: VersionSearch) -> Response:
    """Return the versions of an assistant, the newest first."""
    return reply(
        await call.service.db.read(
            rows.versions, call["assistant_id"], **body.model_dump(), filters=call.filters
        )
    )


@operation("POST", "/assistants/{assistant_id}/latest", auth=("assistants", "update"))
async def set_latest(call: Call, body: VersionChange) -> Response:
    """Make an assistant what it was in one of its versions."""
    return reply(
        await call.service.db.write(
            rows.set_latest, call["assistant_id"], body.version, filters=call.filters
        )
    )


async def assistant(call: Call) -> dict[str, Any]:
    """Return the assistant that the path names, by its id or by its graph."""
    named = call["assistant_id"]
    assistant_id = as_assistant_id(named)
    found = await call.service.db.read(rows.get, assistant_id, filters=call.filters)
    if found is not None:
        return found
    graphs = call.service.catalog.ids()
    if assistant_id == named or named in graphs:
        raise ApiError(404, "Not Found")
    raise ApiError(404, f"There is no assistant {named!r}. The graphs are: {', '.join(graphs)}")


def as_assistant_id(text: str) -> str:
    """Return the id of an assistant that is named by its id, or by its graph."""
    try:
        return str(UUID(text))
    except ValueError:
        return assistant_of(text)


async def _look(call: Call, found: Mapping[str, Any], make: Any) -> Response:
    service = call.service

    async def look() -> bytes:
        async with service.catalog.open(
            found["graph_id"], found["config"], user=call.user
        ) as graph:
            return dumps(make(graph))

    return Response(await service.run_loop.call(look()), media_type="application/json")


def _check_graph(call: Call, graph_id: str) -> None:
    if graph_id not in call.service.catalog:
        raise call.service.catalog.unknown(graph_id)


def _settings(
    config: dict[str, Any], context: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    # Both names stand for the same: programs read one or the other.
    configurable = config.get("configurable")
    if configurable and context:
        raise ApiError(400, BOTH)
    if context:
        return {**config, "configurable": context}, context
    return config, dict(configurable or {})
