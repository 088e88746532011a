"""Operations that other protocols' requests consist of, as if they had been asked for here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from millstream.server import schemas
from millstream.server.api.asking import ask
from millstream.server.api.bodies.runs import RunCreate
from millstream.server.api.routing import OPERATIONS
from millstream.server.api.run_creation import Creation
from millstream.server.runs.reading import RunSource
from millstream.server.sse import events_in
from millstream.server.storage import assistants

if TYPE_CHECKING:
    from millstream.server.api.routing import Call
    from millstream.server.responses import Source
    from millstream.server.storage.run_records import Created


async def as_operation(call: Call, method: str, path: str, body: Any = None, **ids: str) -> Call:
    """Return the call of an operation by whoever calls; an auth handler is asked about it."""
    found = next(known for known in OPERATIONS if (known.method, known.path) == (method, path))
    other = replace(call, operation=found, ids=ids, filters=None, marks={}, parts=[])
    if not call.service.guard.is_open:
        await ask(other, None, body)
    return other


async def newest_assistants(call: Call, most: int) -> Sequence[Mapping[str, Any]]:
    """Return the assistants that the caller may see, the newest first."""
    page = await call.service.db.read(
        assistants.search,
        metadata={},
        graph_id=None,
        name=None,
        select=None,
        sort_by="created_at",
        sort_order="desc",
        limit=most,
        offset=0,
        filters=call.filters,
    )
    return page.rows


async def input_schema(call: Call, assistant: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of what an assistant's graph is given."""
    service = call.service

    async def look() -> Any:
        async with service.catalog.open(
            assistant["graph_id"], assistant["config"], user=call.user
        ) as graph:
            return schemas.schemas_of(graph)["input_schema"]

    found: dict[str, Any] = await service.run_loop.call(look()) or {}
    return found


class Delegated:
    """A run that is asked for in another protocol."""

    def __init__(self, call: Call, creation: Creation, body: RunCreate) -> None:
        self.call = call
        self.creation = creation
        self.body = body

    @classmethod
    async def of(
        cls, call: Call, body: RunCreate, thread_id: str | None = None, **options: Any
    ) -> Delegated:
        """Return the run; raises `ApiError` where it may not be asked for."""
        if thread_id is None:
            own = await as_operation(call, "POST", "/runs/wait", body)
        else:
            path = "/threads/{thread_id}/runs/wait"
            own = await as_operation(call, "POST", path, body, thread_id=thread_id)
        return cls(own, Creation(own, body, thread_id, **options), body)

    async def result(self, told: Callable[[Created], object] = lambda _: None) -> Any:
        """Have the run carried out, and return its result as JSON holds it.

        Whoever does not wait any longer cancels it.
        """
        scheduler = self.call.service.scheduler
        waiting = scheduler.results.expect(self.creation.run_id)
        try:
            told(await self.creation.submit())
            return orjson.loads(await waiting)
        except BaseException:
            if not waiting.done():
                waiting.cancel()
                scheduler.cancel_soon(self.creation.run_id)
            raise

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """Have the run carried out, and give the names and data of its events."""
        service, creation = self.call.service, self.creation
        is_resumable = self.body.stream_resumable
        log = service.logs.open(creation.run_id, creation.thread_id, is_resumable=is_resumable)
        source = RunSource(service.db, log, 0)
        try:
            try:
                await creation.submit()
            except BaseException:
                service.logs.close(creation.run_id, creation.thread_id)
                raise
            yield events_of(source)
        finally:
            source.close()


async def events_of(source: Source) -> AsyncIterator[tuple[str, Any]]:
    """Yield the names and data of the events of a source, to its end."""
    while True:
        source.signal.clear()
        is_over = source.is_over  # asked first: what came before the end is there then
        frames = await source.take()
        if frames:
            for event in events_in(frames):
                yield event
        elif is_over:
            return
        elif not source.is_over:
            await source.signal.wait()


def error_in(result: Any) -> str | None:
    """Return what failed in a run with this result, None if nothing did."""
    error = result.get("__error__") if isinstance(result, dict) else None
    if not isinstance(error, dict):
        return None
    return f"{error.get('error')}: {error.get('message')}"
