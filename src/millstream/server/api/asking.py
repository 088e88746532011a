"""What auth handlers are asked about an operation, and what becomes of what they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from millstream.server.api.bodies.base import Asked
from millstream.server.graphs import assistant_of

if TYPE_CHECKING:
    from millstream.server.api.routing import Call


async def ask(call: Call, query: Asked | None, body: Any) -> None:
    """Ask whether the caller may do what the call is about; each part of a list of things."""
    if call.operation.auth is None:
        return
    if call.operation.asked is not None:
        body = call.operation.asked(body)
    if not isinstance(body, list):
        await _ask(call, query, body)
        return
    for part in body:
        one = replace(call)
        await _ask(one, query, part)
        call.parts.append(one)


async def _ask(call: Call, query: Asked | None, body: Any) -> None:
    auth = call.operation.auth
    assert auth is not None
    resource, action = auth if isinstance(auth, tuple) else auth(body)
    parts = [part for part in (query, body) if isinstance(part, Asked)]
    value: dict[str, Any] = {}
    for part in parts:
        value.update(part.asked())
    value.update(call.ids)
    # Handlers are told ids as such, also where a graph names its assistant.
    value = {key: _as_id(call, key, given) for key, given in value.items()}
    if value.get("metadata") is None:
        # Handlers give what has none its first.
        value.pop("metadata", None)
    before = dict(value.get("metadata") or {})
    call.filters = await call.ask(resource, action, value)
    after = value.get("metadata")
    if after is not None and not isinstance(after, Mapping):
        raise TypeError(f"an auth handler has set metadata to {after!r}")
    call.marks = {
        key: given
        for key, given in (after or {}).items()
        if key not in before or before[key] != given
    }
    for part in parts:
        part.take(value)


def _as_id(call: Call, key: str, given: Any) -> Any:
    if not key.endswith("_id") or not isinstance(given, str):
        return given
    if key == "assistant_id" and given in call.service.catalog:
        given = assistant_of(given)
    try:
        return UUID(given)
    except ValueError:
        return given
