"""What happens in a thread, as a stream that stays."""

from __future__ import annotations

from starlette.responses import Response

from millstream.server.api.bodies.runs import ThreadStreamQuery
from millstream.server.api.routing import Call, operation
from millstream.server.api.runs import last_event_id
from millstream.server.errors import not_found
from millstream.server.log.thread_channel import THREAD_MODES
from millstream.server.responses import EventStream
from millstream.server.runs.reading import ThreadSource
from millstream.server.storage import runs as storage


@operation("GET", "/threads/{thread_id}/stream", auth=("threads", "read"))
async def stream_thread(call: Call, query: ThreadStreamQuery) -> Response:
    """Stream what the runs of a thread say, from now on or from an event on."""
    service, thread_id = call.service, call["thread_id"]
    after = last_event_id(call)
    if not await service.db.read(storage.has_thread, thread_id, call.filters):
        raise not_found(f"Thread with ID {thread_id}")
    # What is no mode is passed by: clients are newer than servers.
    modes = [mode for mode in (*query.stream_modes, *query.stream_mode) if mode in THREAD_MODES]
    elsewhere = service.scheduler.elsewhere
    source = ThreadSource(
        service.db, service.logs, thread_id, modes, after, replica=elsewhere.replica
    )
    try:
        await elsewhere.threads.ready(thread_id)
    except BaseException:
        source.close()
        raise
    return EventStream(source, among=service.endless)
