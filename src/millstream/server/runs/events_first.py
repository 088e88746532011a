"""The saver of a run whose events are stored: what it has said comes before its checkpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from millstream.journal import Journal
from millstream.journal.sealing import Sealing


def events_first(graph: Any, stored: Callable[[], Awaitable[None]]) -> Any:
    """Return a graph that waits for `stored` before it stores a checkpoint."""
    saver = getattr(graph, "checkpointer", None)
    if not isinstance(saver, Journal):
        return graph
    return graph.copy(update={"checkpointer": EventsFirst(saver, stored)})


class EventsFirst(Journal):
    """The view that one run has of a journal.

    Whoever goes on from a checkpoint finds everything stored that is in the log by then. What the
    superstep said that is handed over at this moment may not be: the run has not told it yet.
    """

    def __init__(self, journal: Journal, stored: Callable[[], Awaitable[None]]) -> None:
        # All that there is of it is shared: rows, what is known of them, who writes.
        vars(self).update(vars(journal))
        self._stored = stored
        self._whole = journal

    def _sealing(self) -> Sealing:
        # That of a journal may depend on who asks.
        return self._whole._sealing()

    async def aput_together(
        self, calls: Sequence[tuple[str, tuple[Any, ...]]], **options: Any
    ) -> None:
        """Store what calls of `put` and `put_writes` would, after what was said."""
        await self._stored()
        await super().aput_together(calls, **options)
