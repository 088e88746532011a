"""`Watchdog`: names who blocks the event loop in which graphs run.

As long as runs go on, a thread asks the loop twice a second to come round. Of a loop that does not
it looks at what its thread is at. When no run goes on it sleeps, until one begins.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any, Final

from millstream.constants import NS_END
from millstream.drivers.context import TaskContext
from millstream.modes.parts import split_ns
from millstream.server.places import place_of

logger = logging.getLogger("millstream.server")

TOO_LONG: Final = 1.0
"""Seconds after which a loop that has not come round is blocked."""
PERIOD: Final = 0.5
"""Seconds between two looks."""
_ENGINE: Final = "millstream."
_CONTEXT: Final = "context"
"""What the engine's functions call the task whose code they call."""


class Watchdog:
    """Looks after an event loop, which runs in another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, watched: threading.Thread) -> None:
        self._loop = loop
        self._watched = watched
        self._thread: threading.Thread | None = None
        self._runs = 0
        self._wake = threading.Event()
        """There are runs, or it is over."""
        self._stop = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look after the loop until the block ends; from one thread."""
        self._runs += 1
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._look_after, name=f"{self._watched.name}-watchdog", daemon=True
            )
            self._thread.start()
        # Most runs end before the next look: it is not woken for each.
        if not self._wake.is_set():
            self._wake.set()
        try:
            yield
        finally:
            self._runs -= 1

    def close(self) -> None:
        """End its thread, before the loop is closed."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _look_after(self) -> None:
        while not self._stop.wait(PERIOD):
            if self._runs:
                self._look()
                continue
            self._wake.clear()
            # Asked again: a run that has begun just now may have seen it set.
            if not self._runs and not self._stop.is_set():
                self._wake.wait()

    def _look(self) -> None:
        came_round = threading.Event()
        self._loop.call_soon_threadsafe(came_round.set)
        asked_at = monotonic()
        # In two halves: who was stopped as a whole, all threads of it, has blocked nothing.
        for _ in range(2):
            if came_round.wait(TOO_LONG / 2):
                return
        self._complain(monotonic() - asked_at)
        # Once for all the time that it takes.
        while not came_round.wait(PERIOD) and not self._stop.is_set():
            pass

    def _complain(self, seconds: float) -> None:
        frame = sys._current_frames().get(self._watched.ident or 0)
        who, fields = _blocker(frame)
        logger.warning(
            "%s blocks the event loop of the graphs, for %.1f s by now: all runs wait. Use `await` "
            "or a sync node, which has a thread",
            who,
            seconds,
            extra={"fields": {**fields, "seconds": round(seconds, 1)}},
        )


def _blocker(frame: FrameType | None) -> tuple[str, dict[str, Any]]:
    """Say what a thread is at: which node of which run, and where its code is."""
    place = inner = frame
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(_ENGINE):
            context = frame.f_locals.get(_CONTEXT) if _CONTEXT in frame.f_code.co_varnames else None
            if isinstance(context, TaskContext):
                return _told_of(context, place)
        else:
            # At last the one that the engine has called.
            place = frame
        frame = frame.f_back
    return f"Something at {place_of(inner)}", {}


def _told_of(context: TaskContext, place: FrameType | None) -> tuple[str, dict[str, Any]]:
    metadata = context.run.metadata
    above = (part.split(NS_END)[0] for part in split_ns(context.run.ns))
    node = "/".join([*above, context.task.node.name])
    graph = metadata.get("graph_id", context.run.name)
    run_id = metadata.get("run_id")
    who = f"Node {node!r} of graph {graph!r} (run {run_id}, {place_of(place)})"
    return who, {"run_id": run_id, "graph_id": graph, "node": node}
