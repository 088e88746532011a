"""The tree of the graphs that a run is made of, as its lifecycle events tell it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from millstream.server.encoding import loads
from millstream.server.storage import events
from millstream.server.v3.protocol import EventFilter, text_of

if TYPE_CHECKING:
    from millstream.server.log.hub import Logs
    from millstream.server.log.run_log import Entry
    from millstream.server.runs.elsewhere import Elsewhere
    from millstream.server.storage.database import Database

PAGE = 256


async def tree_of(
    db: Database, logs: Logs, elsewhere: Elsewhere, thread_id: str, run_id: str | None
) -> dict[str, Any] | None:
    """Return the tree of a run, or of the one that goes on in a thread; None if there is none."""
    nodes: dict[tuple[str, ...], dict[str, Any]] = {}
    wanted = EventFilter({"channels": ["lifecycle"]})
    if run_id is None:
        active = logs.speaking(thread_id)
        run_id = await elsewhere.speaking(thread_id) if active is None else active.run_id
        if run_id is None:
            return None
    await elsewhere.reach(run_id, thread_id)
    async for entry in _entries(db, logs, thread_id, run_id, elsewhere.replica):
        if entry.mode in wanted:
            params = loads(text_of(entry.frame))["params"]
            _note(nodes, params["namespace"], params["data"])
    return nodes.get(())


async def _entries(
    db: Database, logs: Logs, thread_id: str, run_id: str, replica: str | None
) -> AsyncIterator[Entry]:
    log = logs.get(run_id)
    seq = 0
    while page := await db.read(events.read_of_thread, thread_id, run_id, seq, PAGE, replica):
        seq = page[-1].seq
        for entry in page:
            yield entry
    if log is not None and log in logs.of_thread(thread_id):
        for entry in log.since(seq):
            yield entry


def _note(
    nodes: dict[tuple[str, ...], dict[str, Any]], namespace: list[str], data: dict[str, Any]
) -> None:
    path = tuple(namespace)
    node = nodes.get(path)
    if node is None:
        node = {"namespace": namespace, "graph_name": data.get("graph_name", "")}
        nodes[path] = node
        # A graph that a node calls in a graph that told nothing belongs to the next one above.
        for length in range(len(path) - 1, -1, -1):
            above = nodes.get(path[:length])
            if above is not None and path:
                above.setdefault("children", []).append(node)
                break
    node["status"] = data["event"]
