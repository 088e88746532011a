"""A run whose consumer wants events: see `stream.events`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from millstream.drivers import aio

if TYPE_CHECKING:
    from millstream.drivers.run import Run


async def drive(prepare: Callable[[], Run]) -> AsyncIterator[Any]:
    """Run a graph and yield the events that its consumer wants; see `aio.drive`."""
    runs: list[Run] = []

    def open_run() -> Run:
        runs.append(prepare())
        return runs[0]

    # The graph's own end, or what its nodes told while they were stopped, comes after its stream.
    try:
        stream = cast("AsyncGenerator[Any, None]", aio.drive(open_run))
        async with aclosing(stream) as events:
            async for event in events:
                if event is not None:
                    yield event
    except Exception:
        for event in _rest(runs):
            yield event
        raise
    for event in _rest(runs):
        yield event


def _rest(runs: list[Run]) -> list[Any]:
    return [event for run in runs for event in run.take() if event is not None]
