"""A run whose consumer wants events: see `modes.event_listener`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from millstream.drivers import aio
from millstream.outbox.emitter import Emitter

if TYPE_CHECKING:
    from millstream.drivers.run import Run
    from millstream.modes.event_listener import EventListener


async def drive(prepare: Callable[[], Run]) -> AsyncIterator[Any]:
    """Run a graph and yield the events that its consumer wants; see `aio.drive`."""
    runs: list[Run] = []
    listeners: list[EventListener] = []

    def open_run() -> Run:
        run = prepare()
        runs.append(run)
        assert run.listener is not None
        listeners.append(run.listener)
        return run

    try:
        async with aclosing(aio.drive(open_run)) as events:
            async for event in events:
                if event is not None:
                    yield event
    except Exception:
        for event in _rest(runs):
            yield event
        raise
    else:
        # The graph's own end, or what its nodes told while they were stopped, comes after its
        # stream.
        for event in _rest(runs):
            yield event
    finally:
        for run, listener in zip(runs, listeners, strict=True):
            _close(run, listener)


def _close(run: Run, listener: EventListener) -> None:
    """Have nothing kept of what is told from now on, and threads stopped that nobody waits for.

    A thread may still begin and end things. It is stopped when it emits chunks.
    """
    chunks, others = (Emitter(listener.emit, run.name) for _ in range(2))
    if run.is_left or run.has_failed:
        chunks.refuse()
    for emitter in (chunks, others):
        emitter.close()
    listener.emit, listener.emit_from_task = others.emit, chunks.emit


def _rest(runs: list[Run]) -> list[Any]:
    return [event for run in runs for event in run.take() if event is not None]
