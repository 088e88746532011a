"""The store: what is kept across threads."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from langgraph.store.base import Item
from starlette.responses import Response

from millstream.server.api.bodies.store import (
    ItemDelete,
    ItemPut,
    ItemQuery,
    ItemSearch,
    NamespaceSearch,
)
from millstream.server.api.routing import Call, empty, operation, reply
from millstream.server.errors import ApiError

T = TypeVar("T")


@operation("PUT", "/store/items", auth=("store", "put"), status=204)
async def put(call: Call, body: ItemPut) -> Response:
    """Keep a value."""
    namespace = _namespace(body.labels)
    options: dict[str, Any] = {"index": body.index}
    if body.ttl is not None:
        options["ttl"] = body.ttl
    await _asked(call, call.service.store.aput(namespace, body.key, body.value, **options))
    return empty()


@operation("GET", "/store/items", auth=("store", "get"))
async def get(call: Call, query: ItemQuery) -> Response:
    """Return a value, null if there is none."""
    namespace = _namespace(query.labels)
    options = {} if query.refresh_ttl is None else {"refresh_ttl": query.refresh_ttl}
    item = await _asked(call, call.service.store.aget(namespace, query.key, **options))
    return reply(None if item is None else _shown(item))


@operation("DELETE", "/store/items", auth=("store", "delete"), status=204)
async def delete(call: Call, body: ItemDelete) -> Response:
    """Forget a value."""
    await _asked(call, call.service.store.adelete(_namespace(body.labels), body.key))
    return empty()


@operation("POST", "/store/items/search", auth=("store", "search"))
async def search(call: Call, body: ItemSearch) -> Response:
    """Find values."""
    options = {} if body.refresh_ttl is None else {"refresh_ttl": body.refresh_ttl}
    items = await _asked(
        call,
        call.service.store.asearch(
            _namespace(body.labels),
            query=body.query,
            filter=body.filter,
            limit=body.limit,
            offset=body.offset,
            **options,
        ),
    )
    return reply({"items": [{**_shown(item), "score": item.score} for item in items]})


@operation("POST", "/store/namespaces", auth=("store", "list_namespaces"))
async def namespaces(call: Call, body: NamespaceSearch) -> Response:
    """Find namespaces."""
    found = await _asked(
        call,
        call.service.store.alist_namespaces(
            prefix=None if body.labels is None else _namespace(body.labels),
            suffix=None if body.suffix is None else _namespace(body.suffix),
            max_depth=body.max_depth,
            limit=body.limit,
            offset=body.offset,
        ),
    )
    return reply({"namespaces": found})


async def _asked(call: Call, asked: Coroutine[Any, Any, T]) -> T:
    try:
        return await call.service.run_loop.call(asked)
    except (ValueError, NotImplementedError) as error:
        # What it cannot do: a ttl where none is configured, an operator that it does not know.
        raise ApiError(422, str(error)) from error


def _shown(item: Item) -> dict[str, Any]:
    return {
        "namespace": item.namespace,
        "key": item.key,
        "value": item.value,
        "created_at": _time(item.created_at),
        "updated_at": _time(item.updated_at),
    }


def _time(given: datetime) -> str:
    # Stores that keep no zone mean UTC.
    known = given if given.tzinfo else given.replace(tzinfo=timezone.utc)
    return known.astimezone(timezone.utc).isoformat(timespec="microseconds")


def _namespace(labels: Sequence[str] | None) -> tuple[str, ...]:
    labels = labels or ()
    for label in labels:
        if not label or "." in label:
            raise ApiError(
                422, f"Namespace label '{label}' must be a non-empty string without periods"
            )
    return tuple(labels)
