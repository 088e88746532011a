"""Recordings of runs that have ended."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.responses import Response, StreamingResponse

from millstream.recording.recording import SUFFIX
from millstream.recording.writing import GZIP, LEVEL
from millstream.server.api.routing import Call, operation
from millstream.server.errors import ApiError
from millstream.server.log.event_ids import START
from millstream.server.recordings import RunLines
from millstream.server.runs.lifecycle import UNDER_WAY
from millstream.server.runs.reading import PAGE
from millstream.server.schemas import drawing_of
from millstream.server.storage import assistants, events
from millstream.server.storage import runs as storage

if TYPE_CHECKING:
    from millstream.server.log.run_log import Entry
    from millstream.server.storage.database import Database


@operation("GET", "/threads/{thread_id}/runs/{run_id}/recording", auth=("threads", "read"))
async def get_recording(call: Call) -> Response:
    """Return what a run has said as a recording, a file that can be replayed.

    It has the modes that its client asked for. Only what resumable runs say is kept, for a while.
    """
    db, run_id = call.service.db, call["run_id"]
    run = await db.read(storage.get, run_id, call["thread_id"], call.filters)
    if run is None:
        raise ApiError(404, "Not Found")
    if run["status"] in UNDER_WAY:
        raise ApiError(409, f"Run {run_id} goes on: its recording is there when it has ended")
    first = await db.read(events.read, run_id, START, 1)
    if not first:
        raise ApiError(
            404,
            f"Nothing is kept of what run {run_id} has said: create runs with "
            "`stream_resumable`, and ask while it is kept",
        )
    graph, drawing = await _graph(call, run["assistant_id"])
    lines = RunLines(run, graph, drawing)
    return StreamingResponse(
        _compressed(db, run_id, lines, first[0]),
        media_type="application/gzip",
        headers={"content-disposition": f'attachment; filename="run-{run_id}{SUFFIX}"'},
    )


async def _graph(call: Call, assistant_id: str) -> tuple[str, Any]:
    """Return the graph of an assistant, and its drawing, as far as the caller may see them."""
    service, graph_id = call.service, ""
    try:
        filters = await call.ask("assistants", "read", {"assistant_id": UUID(assistant_id)})
        found = await service.db.read(assistants.get, assistant_id, filters)
        if found is None:
            return "", None
        graph_id, config = found["graph_id"], found["config"]

        async def look() -> Any:
            async with service.catalog.open(graph_id, config, user=call.user) as graph:
                return drawing_of(graph, xray=True)

        return graph_id, await service.run_loop.call(look())
    except Exception:  # a recording is shown without one, too
        return graph_id, None


async def _compressed(
    db: Database, run_id: str, lines: RunLines, first: Entry
) -> AsyncIterator[bytes]:
    """Yield the file, reading no more than a page of events at a time."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)

    def compress(page: Sequence[Entry]) -> bytes:
        return compressor.compress(lines.take(page))

    yield compressor.compress(lines.begin(first))
    after = START
    while page := await db.read(events.read, run_id, after, PAGE):
        after = page[-1].id
        # Not in the event loop that all others wait for.
        yield await asyncio.to_thread(compress, page)
    yield compressor.compress(lines.end()) + compressor.flush()
